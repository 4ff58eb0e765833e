//! Schema files to the compiler's own description of them, a `CodeGeneratorRequest`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Compiles every `*.capnp` directly inside `folder`; `/capnp/…` imports are looked up in `standard`.
pub(crate) fn folder(folder: &Path, standard: &Path) -> anyhow::Result<Vec<u8>> {
    let files = schema_files(folder)?;
    if files.is_empty() {
        bail!("no schema in `{}`", folder.display());
    }
    let mut command = capnpc_embedded::CompileCommand::new();
    // The committed standard schemas and no others: they are what foreign SDKs compile against.
    command.no_standard_import().import_path(standard).src_prefix(folder);
    for file in &files {
        command.file(file);
    }
    command.compile().with_context(|| format!("could not compile the schemas in `{}`", folder.display()))
}

/// The schema files of a folder in a fixed order, so that the same input gives the same output.
pub(crate) fn schema_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files_ending(folder, "capnp")
}

/// Files of `folder` with this extension, sorted; none if the folder does not exist.
pub(crate) fn files_ending(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not list `{}`", folder.display()))? {
        let path = entry.with_context(|| format!("could not list `{}`", folder.display()))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
