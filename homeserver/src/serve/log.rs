//! The key-transparency log at the start, and as strangers read it.

use anyhow::Context as _;
use async_trait::async_trait;
use qpq_core::{Entropy, FederationKey};
use qpq_service::{Answered, Ground, Transparency, open_log};
use qpq_storage::Storage;
use qpq_transparency::LogKeys;
use qpq_web::{Published, PublishedLog};

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
    let head = open_log(ground, LogKeys::new(ground.domain(), &seeds), federation).await.context(
        "nothing is served, because the key-transparency log is not what it signed: the database or `keys/log` and \
         `keys/vrf` were changed; put them back as they were together",
    )?;
    tracing::debug!(entries = head.size, "the key-transparency log is open");
    Ok(())
}

/// What everybody may read.
#[derive(Debug)]
pub(super) struct Log(pub(super) Transparency);

#[async_trait]
impl PublishedLog for Log {
    async fn checkpoint(&self) -> Published<String> {
        published(self.0.checkpoint().await)
    }

    async fn tile(&self, path: &str) -> Published<Vec<u8>> {
        match path.parse() {
            Ok(path) => published(self.0.tile(&path).await),
            Err(error) => Published::Malformed(format!("This is no path of a tile: {error}.")),
        }
    }
}

fn published<T>(answer: Answered<Option<T>>) -> Published<T> {
    match answer {
        Ok(Some(found)) => Published::Found(found),
        Ok(None) => Published::Nothing,
        Err(_) => Published::Busy,
    }
}
