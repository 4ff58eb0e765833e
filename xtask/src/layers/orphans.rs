//! Files that no module names: cargo compiles none of them, whatever tests they hold.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::tree;

/// Roots of crates, and the build script.
const ROOTS: [&str; 4] = ["lib", "main", "mod", "build"];

/// One sentence per source file below a `src/` that the module above it doesn't name.
pub(super) fn orphans(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut orphans = Vec::new();
    for path in tree::files_ending(root, "rs")? {
        if is_module(&path) && !is_named(root, &path)? {
            orphans.push(format!("`{}` is compiled by nothing: no module names it", path.display()));
        }
    }
    Ok(orphans)
}

fn is_module(path: &Path) -> bool {
    let below_src = path.components().any(|part| part.as_os_str() == "src");
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let program = path.parent().is_some_and(|parent| parent.ends_with("src/bin"));
    below_src && !program && !ROOTS.contains(&stem) && !path.starts_with(tree::GENERATED)
}

/// Whether the file of the folder, or the root in it, says `mod NAME;`.
fn is_named(root: &Path, path: &Path) -> anyhow::Result<bool> {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(|stem| stem.to_str())) else {
        return Ok(false);
    };
    let naming = format!("mod {stem};");
    let above: [PathBuf; 4] =
        [folder.with_extension("rs"), folder.join("mod.rs"), folder.join("main.rs"), folder.join("lib.rs")];
    for file in above.iter().map(|file| root.join(file)).filter(|file| file.is_file()) {
        let text =
            fs::read_to_string(&file).with_context(|| format!("could not read `{}`", file.display()))?;
        let names = |line: &str| line.strip_suffix(&naming).is_some_and(|before| !before.contains("//"));
        if text.lines().any(|line| names(line.trim())) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_names_is_found() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("a/src/lib.rs", "mod named;\npub(crate) mod other;\n// mod spoken_of;\n"),
            ("a/src/named.rs", "#[cfg(test)]\nmod tests;\n"),
            ("a/src/named/tests.rs", ""),
            ("a/src/other.rs", ""),
            ("a/src/other/tests.rs", "#[test] fn never_run() {}"),
            ("a/src/spoken_of.rs", ""),
            ("a/src/bin/tool.rs", ""),
            ("a/tests/suite.rs", ""),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut found = orphans(root.path()).unwrap();
        found.sort();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("a/src/other/tests.rs") && found[1].contains("a/src/spoken_of.rs"));
    }
}
