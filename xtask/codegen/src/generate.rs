//! Writes or checks `schemas/src/gen/`: one Rust file per schema, and nothing else in that folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::compile;

/// Brings the committed files up to date.
pub(crate) fn write(schemas: &Path) -> anyhow::Result<()> {
    let target = generated_folder(schemas);
    fs::create_dir_all(&target).with_context(|| format!("could not create `{}`", target.display()))?;
    for difference in differences(&render(schemas)?, &committed(schemas)?) {
        let path = target.join(difference.file);
        match difference.wanted {
            Some(text) => {
                fs::write(&path, text).with_context(|| format!("could not write `{}`", path.display()))?;
            }
            None => {
                fs::remove_file(&path).with_context(|| format!("could not remove `{}`", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Fails when the committed files are not what the schemas compile to.
pub(crate) fn check(schemas: &Path) -> anyhow::Result<()> {
    let wanted = render(schemas)?;
    let stale: Vec<String> = differences(&wanted, &committed(schemas)?)
        .map(|difference| difference.file.to_string_lossy().into_owned())
        .collect();
    if !stale.is_empty() {
        bail!("generated code differs from the schemas: {}; run `cargo xtask codegen`", stale.join(", "));
    }
    Ok(())
}

/// File name to content.
type Files = BTreeMap<OsString, Vec<u8>>;

/// One file that is missing, outdated, or (`wanted` is `None`) no longer generated.
struct Difference<'a> {
    file: &'a OsString,
    wanted: Option<&'a Vec<u8>>,
}

fn differences<'a>(wanted: &'a Files, found: &'a Files) -> impl Iterator<Item = Difference<'a>> {
    let outdated = wanted
        .iter()
        .filter(|(file, text)| found.get(*file) != Some(*text))
        .map(|(file, text)| Difference { file, wanted: Some(text) });
    let left_over =
        found.keys().filter(|file| !wanted.contains_key(*file)).map(|file| Difference { file, wanted: None });
    outdated.chain(left_over)
}

fn render(schemas: &Path) -> anyhow::Result<Files> {
    let request = compile::folder(schemas, &schemas.join("std"))?;
    let scratch = tempfile::tempdir().context("could not make a temporary directory")?;
    capnpc::codegen::CodeGenerationCommand::new()
        .output_directory(scratch.path())
        .run(request.as_slice())
        .context("could not generate Rust from the schemas")?;
    read_all(scratch.path())
}

fn committed(schemas: &Path) -> anyhow::Result<Files> {
    read_all(&generated_folder(schemas))
}

fn generated_folder(schemas: &Path) -> PathBuf {
    schemas.join("src").join("gen")
}

fn read_all(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for path in compile::files_ending(folder, "rs")? {
        let text = fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        if let Some(name) = path.file_name() {
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(schema: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let standard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/std/capnp");
        fs::create_dir_all(folder.path().join("std/capnp")).unwrap();
        for file in compile::schema_files(&standard).unwrap() {
            fs::copy(&file, folder.path().join("std/capnp").join(file.file_name().unwrap())).unwrap();
        }
        fs::write(
            folder.path().join("words.capnp"),
            "@0xd1a0c9c8e3b7f001;\nstruct Word { text @0 :Text; }\n",
        )
        .unwrap();
        fs::write(folder.path().join("calls.capnp"), schema).unwrap();
        folder
    }

    const STREAMING: &str = "@0xd1a0c9c8e3b7f002;\nusing Words = import \"words.capnp\";\n\
        interface Inbox { push @0 (words :List(Words.Word)) -> stream; done @1 () -> (last :Words.Word); }\n";

    #[test]
    fn a_streaming_method_and_an_import_compile_and_refer_to_the_module_of_the_other_schema() {
        let folder = scratch(STREAMING);
        write(folder.path()).unwrap();
        check(folder.path()).unwrap();
        let calls = fs::read_to_string(folder.path().join("src/gen/calls_capnp.rs")).unwrap();
        assert!(calls.contains("crate::words_capnp::word"), "{calls}");
        assert!(calls.contains("StreamingRequest"), "{calls}");
    }

    #[test]
    fn an_edited_and_a_left_over_file_are_drift() {
        let folder = scratch(STREAMING);
        write(folder.path()).unwrap();
        fs::write(folder.path().join("src/gen/words_capnp.rs"), "// edited by hand\n").unwrap();
        fs::write(folder.path().join("src/gen/gone_capnp.rs"), "").unwrap();
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(error.contains("words_capnp.rs") && error.contains("gone_capnp.rs"), "{error}");
        write(folder.path()).unwrap();
        check(folder.path()).unwrap();
    }
}
