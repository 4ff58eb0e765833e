//! What only the binary can see of its machine: files and permissions, the disk, sockets, certificates, the
//! configuration file against what runs, the whole database.
//!
//! The looks are the same whether a server runs or `doctor` comes alone. None opens `homeserver.db*` except through
//! SQLite: sizes and permissions are asked of the path.

mod files;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use qpq_service::{
    CertificateFact, ConfigurationFact, DiskFact, Integrity, Machine, MachineFacts, Room, SocketFact,
};
use qpq_storage_sqlite::SqliteStorage;
use tokio::time::timeout;

pub(crate) use files::KEYS;

use crate::{data_dir::DataDir, environment::Environment, keys, running::RunningConfiguration};

/// How long the file system may take; a network file system that is gone takes for ever.
const FILES: Duration = Duration::from_secs(5);

/// What is looked at on the file system.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    directory: DataDir,
    environment: Environment,
}

impl Place {
    /// A data directory, and what the process was started with.
    pub(crate) fn new(directory: &DataDir, environment: &Environment) -> Self {
        Self { directory: directory.clone(), environment: environment.clone() }
    }

    /// Looks at files, disk and certificates, or says that it took too long.
    pub(crate) async fn look(&self) -> MachineFacts {
        let place = self.clone();
        let looked = timeout(FILES, tokio::task::spawn_blocking(move || place.files())).await;
        match looked {
            Ok(Ok(facts)) => facts,
            Ok(Err(_)) | Err(_) => MachineFacts {
                unseen: vec![format!("`{}`", self.directory.root().display())],
                ..MachineFacts::default()
            },
        }
    }

    fn files(&self) -> MachineFacts {
        let size = |path: &Path| std::fs::metadata(path).ok().map(|found| found.len());
        let database = self.directory.database();
        let log = database.with_extension("db-wal");
        let key = keys::database_key_path(
            &self.directory,
            self.environment.database_key_file.as_deref(),
            self.environment.credentials.as_deref(),
        );
        MachineFacts {
            files: files::look(&self.directory, &key),
            disk: disk(self.directory.root()),
            certificates: vec![CertificateFact {
                purpose: "listeners",
                validity: files::certificate(&self.directory),
            }],
            database_bytes: size(&database),
            // Emptied logs are gone.
            log_bytes: Some(size(&log).unwrap_or(0)),
            ..MachineFacts::default()
        }
    }
}

fn disk(root: &Path) -> Option<DiskFact> {
    let found = rustix::fs::statvfs(root).ok()?;
    let bytes = Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    };
    let inodes = (found.f_files > 0).then_some(Room { free: found.f_favail, total: found.f_files });
    Some(DiskFact { path: root.display().to_string(), bytes, inodes })
}

/// The machine of a running homeserver.
#[derive(Debug)]
pub(crate) struct RunningMachine {
    /// Its files.
    pub(crate) place: Place,
    /// Its listeners.
    pub(crate) sockets: Vec<SocketFact>,
    /// Its configuration.
    pub(crate) configuration: RunningConfiguration,
    /// Its database.
    pub(crate) storage: Arc<SqliteStorage>,
}

#[async_trait]
impl Machine for RunningMachine {
    async fn look(&self) -> MachineFacts {
        let mut facts = self.place.look().await;
        facts.sockets.clone_from(&self.sockets);
        let configuration = self.configuration.clone();
        let compared = tokio::task::spawn_blocking(move || configuration.compared());
        match timeout(FILES, compared).await {
            Ok(Ok(found)) => facts.configuration = Some(found),
            Ok(Err(_)) | Err(_) => facts.unseen.push("the configuration file".to_owned()),
        }
        facts
    }

    async fn integrity(&self) -> Integrity {
        match self.storage.integrity().await {
            Ok(found) => judged(found),
            Err(cause) => Integrity::Unknown(words(&cause)),
        }
    }
}

/// What SQLite found, for the checks.
pub(crate) fn judged(found: qpq_storage_sqlite::Integrity) -> Integrity {
    if found.faults.is_empty() { Integrity::Whole } else { Integrity::Damaged(found.faults) }
}

/// An error with what caused it.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    crate::output::with_causes(error)
}

/// A configuration that nothing runs with yet: only whether it can be used.
pub(crate) fn configuration_alone(path: &Path, unusable: Option<String>) -> ConfigurationFact {
    ConfigurationFact { path: path.display().to_string(), unusable, ..ConfigurationFact::default() }
}
