//! The database's key, from the user's passphrase; and the files in the home directory, closed to others.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::HEXLOWER;
use qpq_core::{Entropy as _, OsEntropy, Secret};
use zeroize::Zeroizing;

use super::StoreError;

const DATABASE: &str = "store.db";
const SALT: &str = "store.salt";
/// Argon2id's cost: 64 MiB, three passes, four lanes.
const MEMORY_KIB: u32 = 64 * 1_024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// The raw 32-byte key of a store.
#[derive(Clone, Debug)]
pub struct StoreKey(Secret<[u8; 32]>);

impl StoreKey {
    /// A key that the caller holds.
    pub const fn from_raw(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// Stretches a passphrase with the salt in `home`, which is drawn when there is none.
    pub(super) async fn from_passphrase(
        home: &Path,
        passphrase: &Secret<String>,
    ) -> Result<Self, StoreError> {
        let salt = salt(home)?;
        let passphrase = Zeroizing::new(passphrase.expose().clone());
        // Some hundred milliseconds of work: not on the thread that serves connections.
        tokio::task::spawn_blocking(move || Self::stretch(passphrase.as_bytes(), &salt))
            .await
            .map_err(|_| StoreError::Key)?
    }

    fn stretch(passphrase: &[u8], salt: &[u8; 16]) -> Result<Self, StoreError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).map_err(|_| StoreError::Key)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, key.as_mut_slice())
            .map_err(|_| StoreError::Key)?;
        Ok(Self::from_raw(*key))
    }

    /// The value of `PRAGMA key`: a raw key, so that SQLCipher stretches nothing itself.
    pub(super) fn pragma(&self) -> String {
        format!("\"x'{}'\"", HEXLOWER.encode(self.0.expose()))
    }
}

/// Whether `home` holds a store.
pub(super) fn exists(home: &Path) -> bool {
    home.join(DATABASE).exists()
}

/// Makes the home directory, closed to others, when there is none.
pub(super) fn prepare(home: &Path) -> Result<(), StoreError> {
    if home.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(file_error("make the directory", home))
}

/// The database's path; the file exists afterwards with mode 0600, and SQLite's other files copy its mode.
pub(super) fn private_file(home: &Path) -> Result<PathBuf, StoreError> {
    let path = home.join(DATABASE);
    drop(open_private(&path)?);
    Ok(path)
}

/// Opens a file that only its owner may read; one that others can read is refused.
pub(super) fn open_private(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(file_error("open", path))?;
    let mode = file.metadata().map_err(file_error("look at", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(StoreError::Permissions { path: path.to_owned() });
    }
    Ok(file)
}

/// The salt beside the database. Written whole under another name first: half a salt would lock the user out.
fn salt(home: &Path) -> Result<[u8; 16], StoreError> {
    let path = home.join(SALT);
    match fs::read(&path) {
        Ok(bytes) => {
            drop(open_private(&path)?);
            bytes.try_into().map_err(|_| StoreError::Damaged { table: SALT, what: "not 16 bytes" })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !has_content(home) => {
            let mut salt = [0; 16];
            OsEntropy::new().map_err(|_| StoreError::Key)?.fill(&mut salt);
            let fresh = home.join("store.salt.new");
            let mut file = open_private(&fresh)?;
            io::Write::write_all(&mut file, &salt).map_err(file_error("write", &fresh))?;
            file.set_len(16).and_then(|()| file.sync_all()).map_err(file_error("write", &fresh))?;
            fs::rename(&fresh, &path).map_err(file_error("write", &path))?;
            File::open(home).and_then(|dir| dir.sync_all()).map_err(file_error("write", home))?;
            Ok(salt)
        }
        Err(source) => Err(StoreError::File { what: "read", path, source }),
    }
}

/// Whether the database holds anything; without its salt it would be lost, and a new salt would not bring it back.
fn has_content(home: &Path) -> bool {
    fs::metadata(home.join(DATABASE)).is_ok_and(|meta| meta.len() > 0)
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::File { what, path: path.to_owned(), source }
}
