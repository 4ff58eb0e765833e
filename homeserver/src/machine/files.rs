//! Files that must be there and closed to others, and the certificate among them.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use qpq_core::{Secret, Timestamp};
use qpq_service::{FileFact, FileState};
use qpq_transport::Identity;

use crate::{data_dir::DataDir, keys};

/// The files under `keys/` without which a start is refused.
pub(crate) const KEYS: [&str; 6] = ["ca.crt", "ca.key", "tls.crt", "tls.key", "federation", "opaque"];

/// Everything that must be there, and everything else under `keys/` that must be closed.
pub(super) fn look(directory: &DataDir, database_key: &Path) -> Vec<FileFact> {
    let (root, keys_directory) = (directory.root(), directory.root().join("keys"));
    let mut facts = vec![
        fact(root, 0o700),
        fact(&keys_directory, 0o700),
        fact(&directory.config(), 0o600),
        fact(&directory.database(), 0o600),
        database_key_fact(directory, database_key),
    ];
    // A directory from before there was a log gets its keys at the next start, both of them.
    let has_log = keys::LOG_KEYS.iter().any(|name| directory.key(name).exists());
    let of_the_log = keys::LOG_KEYS.into_iter().filter(|_| has_log);
    let names: Vec<&str> = KEYS.into_iter().chain(of_the_log).collect();
    facts.extend(names.iter().map(|name| key_fact(directory, name)));
    let seen: Vec<PathBuf> =
        names.iter().map(|name| directory.key(name)).chain([database_key.to_owned()]).collect();
    let others = fs::read_dir(&keys_directory).into_iter().flatten().filter_map(Result::ok);
    let mut others: Vec<PathBuf> =
        others.map(|entry| entry.path()).filter(|path| !seen.contains(path)).collect();
    others.sort();
    facts.extend(others.iter().map(|path| fact(path, 0o600)));
    facts
}

fn key_fact(directory: &DataDir, name: &str) -> FileFact {
    let found = fact(&directory.key(name), 0o600);
    if found.state != FileState::Fine {
        return found;
    }
    match keys::readable(directory, name) {
        Ok(()) => found,
        Err(why) => FileFact { state: FileState::Malformed(why), ..found },
    }
}

/// A key outside of the directory is its keeper's matter (a credential is 0400 and root's); it must hold a key.
fn database_key_fact(directory: &DataDir, path: &Path) -> FileFact {
    let found = if path.starts_with(directory.root()) {
        fact(path, 0o600)
    } else if path.exists() {
        FileFact { path: path.display().to_string(), state: FileState::Fine }
    } else {
        FileFact { path: path.display().to_string(), state: FileState::Missing }
    };
    match keys::database_key_bytes(path) {
        Err(error) if found.state == FileState::Fine => {
            FileFact { state: FileState::Malformed(super::words(&error)), ..found }
        }
        Ok(_) | Err(_) => found,
    }
}

fn fact(path: &Path, wanted: u32) -> FileFact {
    let own = rustix::process::geteuid().as_raw();
    let state = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileState::Missing,
        Err(error) => FileState::Malformed(error.to_string()),
        Ok(found) if found.uid() != own => FileState::Foreign { owner: found.uid(), own },
        Ok(found) => match found.permissions().mode() & 0o777 {
            mode if mode & 0o077 != 0 => FileState::Loose { mode, wanted },
            _ => FileState::Fine,
        },
    };
    FileFact { path: path.display().to_string(), state }
}

/// From when until when the listeners' certificate counts.
pub(super) fn certificate(directory: &DataDir) -> Result<(Timestamp, Timestamp), String> {
    let read =
        |name| fs::read_to_string(directory.key(name)).map_err(|error| format!("`keys/{name}`: {error}"));
    let identity = Identity::from_pem(&read("tls.crt")?, &Secret::new(read("tls.key")?));
    let identity = identity.map_err(|error| super::words(&error))?;
    Ok((identity.certificate().not_before, identity.certificate().not_after))
}
