//! Where passphrases and passwords come from: a file, or a person at a terminal.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use qpq_core::Secret;

/// More than any passphrase, less than a disk image given by mistake.
const LONGEST: u64 = 64 * 1024;

/// The passphrase of the local store: from a file, else asked for, else an error.
pub(crate) fn passphrase(file: Option<&Path>) -> anyhow::Result<Secret<String>> {
    match file {
        Some(path) => from_file(path, "the passphrase file"),
        None if io::stdin().is_terminal() && io::stderr().is_terminal() => {
            rpassword::prompt_password("Passphrase of this home: ")
                .map(Secret::new)
                .context("could not read the passphrase from the terminal")
        }
        None => bail!(
            "no passphrase: give --passphrase-file FILE, or name the file in QPQ_PASSPHRASE_FILE (there is no \
             terminal to ask at)"
        ),
    }
}

/// A secret from a file; one newline at the end is cut.
pub(crate) fn from_file(path: &Path, what: &str) -> anyhow::Result<Secret<String>> {
    let mut text = read_text(path, what)?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.is_empty() {
        bail!("{what} `{}` is empty", path.display());
    }
    Ok(Secret::new(text))
}

/// The text of a small file.
pub(crate) fn read_text(path: &Path, what: &str) -> anyhow::Result<String> {
    let found = fs::metadata(path).with_context(|| format!("could not read {what} `{}`", path.display()))?;
    if found.len() > LONGEST {
        bail!("{what} `{}` is larger than {LONGEST} bytes: is it the right one?", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("could not read {what} `{}`", path.display()))
}
