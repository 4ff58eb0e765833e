//! The repository as files: where it is and what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Folders that hold what was built or downloaded, never what somebody wrote.
const NOT_OURS: [&str; 6] = ["target", ".git", ".venv", "node_modules", "__pycache__", "corpus"];

/// Written by the schema compiler, named by nobody and read by nobody.
pub(crate) const GENERATED: &str = "schemas/src/gen";

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Every file and folder below `root`, relative to it, sorted.
pub(crate) fn entries(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(root, Path::new(""), &mut found)?;
    found.sort();
    Ok(found)
}

/// The files among them that end so.
pub(crate) fn files_ending(root: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = entries(root)?;
    found.retain(|path| path.extension().is_some_and(|it| it == extension) && root.join(path).is_file());
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let here = root.join(folder);
    for entry in fs::read_dir(&here).with_context(|| format!("could not list `{}`", here.display()))? {
        let entry = entry.with_context(|| format!("could not list `{}`", here.display()))?;
        let name = entry.file_name();
        if NOT_OURS.iter().any(|other| name == *other) {
            continue;
        }
        let path = folder.join(&name);
        // A link is listed but not followed: it may lead out of the repository or in a circle.
        if entry.file_type().with_context(|| format!("could not read `{}`", path.display()))?.is_dir() {
            collect(root, &path, found)?;
        }
        found.push(path);
    }
    Ok(())
}
