//! What lies on the disk, byte for byte.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Every file under a directory, sockets left out.
pub fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("could not list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The databases under a directory, with what SQLite keeps beside them.
pub fn databases(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let belongs = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        [".db", ".db-wal", ".db-shm", ".db-journal"].iter().any(|ending| name.ends_with(ending))
    };
    Ok(files(directory)?.into_iter().filter(belongs).collect())
}

/// Whether `needle` is somewhere in `haystack`.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut left = haystack;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = left.get(at + 1..).unwrap_or_default();
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

/// The ways in which a secret may show: as it is, in hexadecimal, in base64 and in base64url.
pub fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
    [
        secret.to_vec(),
        HEXLOWER.encode(secret).into_bytes(),
        HEXUPPER.encode(secret).into_bytes(),
        BASE64_NOPAD.encode(secret).into_bytes(),
        BASE64URL_NOPAD.encode(secret).into_bytes(),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found() {
        assert!(contains(b"aab", b"ab") && contains(b"abc", b"c") && contains(b"abc", b""));
        assert!(!contains(b"abc", b"ac") && !contains(b"ab", b"abc"));
    }
}
