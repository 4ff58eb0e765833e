//! The data directory: where everything of one domain lives, who may read it, and that only one server uses it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Why the data directory can't be used; exit code 2 (1 for the lock).
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// An operation on a file failed.
    #[error("could not {what} `{path}`")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `init` would overwrite a domain.
    #[error("`{0}` already holds a domain: nothing was changed; choose another --data-dir")]
    Occupied(PathBuf),
    /// `init` would take over somebody else's directory, and close it to others.
    #[error("`{root}` is not empty (it holds `{found}`): nothing was changed; choose a new or an empty --data-dir", found = found.display())]
    Foreign {
        /// The directory.
        root: PathBuf,
        /// What is no part of a data directory.
        found: PathBuf,
    },
    /// There is no domain yet.
    #[error("`{0}` holds no domain yet: run `qpq-server init --domain NAME --data-dir {0}`")]
    Empty(PathBuf),
    /// Somebody else may read or write it.
    #[error("`{path}` has mode {mode:04o}, so others may open it: run `chmod {wanted:04o} {}`", path.display())]
    Loose {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they must be at most.
        wanted: u32,
    },
    /// It belongs to another user.
    #[error(
        "`{path}` belongs to uid {owner}, but this process runs as uid {own}: run it as that user, or chown the directory"
    )]
    Owner {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// Another server holds it.
    #[error("another qpq-server is running on `{0}`: stop it first (its process id is in run/pid)")]
    Locked(PathBuf),
}

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Held as long as the server runs; the kernel lets go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl DataDir {
    /// Names a directory; nothing is touched.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("quicproquo.toml")
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("homeserver.db")
    }

    /// A key file.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(name)
    }

    /// The admin socket.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.root.join("run").join("admin.sock")
    }

    /// Where the running homeserver's admin listener is: one line, `IP:PORT`.
    pub(crate) fn admin_address(&self) -> PathBuf {
        self.root.join("run").join("admin-address")
    }

    /// The link for the first admin, while there is one: one line.
    pub(crate) fn setup_link(&self) -> PathBuf {
        self.root.join("run").join("setup-link")
    }

    /// Makes the directory tree for a new domain, or refuses if there is one.
    pub(crate) fn create(&self) -> Result<(), DataDirError> {
        if self.config().exists() || self.database().exists() {
            return Err(DataDirError::Occupied(self.root.clone()));
        }
        self.only_ours()?;
        for directory in
            [self.root.clone(), self.root.join("keys"), self.root.join("blobs"), self.root.join("run")]
        {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .and_then(|()| fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)))
                .map_err(|source| DataDirError::Io { what: "make the directory", path: directory, source })?;
        }
        Ok(())
    }

    /// Refuses a directory with anything in it that neither `init` nor the making of a file system puts there.
    fn only_ours(&self) -> Result<(), DataDirError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                return Err(DataDirError::Io { what: "list", path: self.root.clone(), source });
            }
        };
        for entry in entries {
            let name = entry
                .map_err(|source| DataDirError::Io { what: "list", path: self.root.clone(), source })?
                .file_name();
            if !["keys", "blobs", "run", "lost+found"].iter().any(|ours| name == *ours) {
                return Err(DataDirError::Foreign { root: self.root.clone(), found: name.into() });
            }
        }
        Ok(())
    }

    /// Whether there is nothing in the directory yet, or no directory.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(&self.root).map_or(true, |mut entries| entries.next().is_none())
    }

    /// Takes back what a failed `init` made in a directory that was empty, as far as possible.
    pub(crate) fn clear(&self) {
        for directory in ["keys", "blobs", "run"] {
            fs::remove_dir_all(self.root.join(directory)).ok();
        }
        for file in ["homeserver.db", "homeserver.db-wal", "homeserver.db-shm", "quicproquo.toml"] {
            fs::remove_file(self.root.join(file)).ok();
        }
    }

    /// Writes a new file that only we may read, and makes it durable; an existing one is an error.
    pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        };
        write().map_err(|source| DataDirError::Io { what: "write", path: path.to_owned(), source })
    }

    /// Replaces a file in one step: a crash leaves the old or the new one.
    pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
        let next = path.with_extension("next");
        let failed = |source| DataDirError::Io { what: "replace", path: path.to_owned(), source };
        match fs::remove_file(&next) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
            Ok(()) | Err(_) => {}
        }
        let replaced = Self::write_new(&next, bytes).and_then(|()| fs::rename(&next, path).map_err(failed));
        replaced.inspect_err(|_| {
            // Half a file is no use; one that can't be removed is replaced the next time.
            fs::remove_file(&next).ok();
        })
    }

    /// Checks that the directory holds a domain and that nobody else can open what lies in it.
    pub(crate) fn check(&self) -> Result<(), DataDirError> {
        if !self.config().exists() {
            return Err(DataDirError::Empty(self.root.clone()));
        }
        tight(&self.root, 0o700)?;
        for directory in ["keys", "run"] {
            let path = self.root.join(directory);
            if !path.exists() {
                DirBuilder::new().mode(0o700).create(&path).map_err(|source| DataDirError::Io {
                    what: "make the directory",
                    path: path.clone(),
                    source,
                })?;
            }
            tight(&path, 0o700)?;
        }
        let keys = self.root.join("keys");
        let entries = fs::read_dir(&keys).map_err(|source| DataDirError::Io {
            what: "list",
            path: keys.clone(),
            source,
        })?;
        for entry in entries {
            let entry =
                entry.map_err(|source| DataDirError::Io { what: "list", path: keys.clone(), source })?;
            tight(&entry.path(), 0o600)?;
        }
        for file in [self.config(), self.database()] {
            if file.exists() {
                tight(&file, 0o600)?;
            }
        }
        Ok(())
    }

    /// Takes the directory for this process.
    pub(crate) fn lock(&self) -> Result<Lock, DataDirError> {
        let mut lock = self.hold()?;
        let failed = |source| DataDirError::Io { what: "lock", path: self.pid(), source };
        let file = &mut lock.file;
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(lock)
    }

    fn pid(&self) -> PathBuf {
        self.root.join("run").join("pid")
    }

    /// Keeps servers away for a moment, without saying who does.
    pub(crate) fn hold(&self) -> Result<Lock, DataDirError> {
        let path = self.pid();
        let failed = |source| DataDirError::Io { what: "lock", path: path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(DataDirError::Locked(self.root.clone())),
            Err(errno) => return Err(failed(errno.into())),
        }
        Ok(Lock { file })
    }
}

/// Refuses a file that group or others may open, or that belongs to somebody else.
fn tight(path: &Path, wanted: u32) -> Result<(), DataDirError> {
    let metadata = fs::symlink_metadata(path).map_err(|source| DataDirError::Io {
        what: "look at",
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Err(DataDirError::Owner { path: path.to_owned(), owner: metadata.uid(), own });
    }
    if mode & 0o077 != 0 {
        return Err(DataDirError::Loose { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::at(place.path().join("alpha"));
        directory.create().unwrap();
        DataDir::write_new(&directory.config(), b"domain = \"alpha.test\"\n").unwrap();
        (place, directory)
    }

    #[test]
    fn loose_permissions_are_refused_with_the_command_that_mends_them() {
        let (_place, directory) = fresh();
        directory.check().unwrap();
        let key = directory.key("database");
        DataDir::write_new(&key, b"x").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = directory.check().unwrap_err().to_string();
        assert!(error.contains("0640") && error.contains("chmod 0600"), "{error}");
    }

    #[test]
    fn one_server_at_a_time() {
        let (_place, directory) = fresh();
        let held = directory.lock().unwrap();
        assert!(matches!(directory.lock(), Err(DataDirError::Locked(_))));
        drop(held);
        directory.lock().unwrap();
    }

    #[test]
    fn init_leaves_directories_of_others_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(place.path().join("thesis.txt"), b"x").unwrap();
        let error = DataDir::at(place.path()).create().unwrap_err().to_string();
        assert!(error.contains("thesis.txt"), "{error}");
        let mode = fs::metadata(place.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o755);
    }

    #[test]
    fn init_never_overwrites() {
        let (_place, directory) = fresh();
        assert!(matches!(directory.create(), Err(DataDirError::Occupied(_))));
    }
}
