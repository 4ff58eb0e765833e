//! The key-transparency log at the start, and as strangers read it.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use qpq_core::{Entropy, FederationKey};
use qpq_service::{Answered, Ground, Transparency, Witness, open_log};
use qpq_storage::{Storage, StorageError};
use qpq_transparency::{LogKeys, WitnessKey};
use qpq_transparency_tree::witness::WitnessRefusal;
use qpq_web::{Published, PublishedLog, Witnessed};
use tokio::{sync::Semaphore, time::timeout};

use crate::{data_dir::DataDir, keys};

/// Opens the log before anything is served; a domain that has none yet gets its keys and its first entry.
pub(super) async fn open(
    directory: &DataDir,
    ground: &Ground,
    storage: &dyn Storage,
    entropy: &mut (dyn Entropy + Send),
    federation: FederationKey,
) -> anyhow::Result<()> {
    let exists = storage.read().await?.kt_head().await?.is_some();
    if !exists {
        keys::generate_log(directory, entropy)?;
    }
    let seeds = keys::log(directory).context(
        "nothing is served without the keys of the key-transparency log: put the files back, they can't be made anew",
    )?;
    let opened = open_log(ground, LogKeys::new(ground.domain(), &seeds), federation).await;
    let head = opened.map_err(|error| {
        let damaged = matches!(error, StorageError::Corrupt { .. });
        anyhow::Error::from(error).context(if damaged {
            "nothing is served, because the key-transparency log is not what it signed: the database or `keys/log` and \
             `keys/vrf` were changed; put them back as they were together"
        } else {
            "the key-transparency log can't be opened now"
        })
    })?;
    let seed = keys::witness(directory, entropy).context("nothing is served without `keys/witness`")?;
    ground.appoint_witness(WitnessKey::new(ground.domain(), &seed));
    tracing::debug!(entries = head.size, "the key-transparency log is open");
    Ok(())
}

/// Readers of the store that strangers may keep busy at once; the others are for users.
const READERS: usize = 2;
/// How long a stranger waits for one.
const PATIENCE: Duration = Duration::from_secs(2);

/// What everybody may read.
#[derive(Debug)]
pub(super) struct Log {
    own: Transparency,
    witness: Witness,
    readers: Semaphore,
    /// Whoever asks for a cosignature makes the one writer work: one at a time, and readers don't wait for them.
    askers: Semaphore,
}

impl Log {
    pub(super) const fn new(own: Transparency, witness: Witness) -> Self {
        Self { own, witness, readers: Semaphore::const_new(READERS), askers: Semaphore::const_new(1) }
    }

    async fn read<T>(&self, ask: impl Future<Output = Answered<Option<T>>>) -> Published<T> {
        match timeout(PATIENCE, self.readers.acquire()).await {
            Ok(Ok(_reader)) => published(ask.await),
            Ok(Err(_)) | Err(_) => Published::Busy,
        }
    }
}

#[async_trait]
impl PublishedLog for Log {
    async fn checkpoint(&self) -> Published<String> {
        self.read(self.own.checkpoint()).await
    }

    async fn tile(&self, path: &str) -> Published<Vec<u8>> {
        match path.parse() {
            Ok(path) => self.read(self.own.tile(&path)).await,
            Err(error) => Published::Malformed(format!("This is no path of a tile: {error}.")),
        }
    }

    async fn add_checkpoint(&self, body: &[u8]) -> Published<Witnessed> {
        let asked = async {
            let said = self.witness.add_checkpoint_of_anybody(body).await?;
            Ok(Some(match said {
                Ok(lines) => Witnessed::Signed(lines),
                Err(WitnessRefusal::Conflict { size }) => Witnessed::Conflict(size),
                Err(why) => Witnessed::Refused(why.status(), why.to_string()),
            }))
        };
        match timeout(PATIENCE, self.askers.acquire()).await {
            Ok(Ok(_asker)) => published(asked.await),
            Ok(Err(_)) | Err(_) => Published::Busy,
        }
    }

    async fn witnessed(&self, hash: &str) -> Published<String> {
        self.read(self.witness.witnessed_by_hash(hash)).await
    }
}

fn published<T>(answer: Answered<Option<T>>) -> Published<T> {
    match answer {
        Ok(Some(found)) => Published::Found(found),
        Ok(None) => Published::Nothing,
        Err(_) => Published::Busy,
    }
}
