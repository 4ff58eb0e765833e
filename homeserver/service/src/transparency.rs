//! The key-transparency log of this domain: opened at the start, published to strangers, shown to admins.

use std::sync::Arc;

use qpq_core::{ErrorCode, FederationKey, Timestamp};
use qpq_storage::{LogRow, StorageError, Stored};
use qpq_transparency::{LogKeys, configuration, publication};
use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead,
    audit::Audit,
    commitment::Opening,
    config::{Config, KeyUse},
    entry::{Entry, Kind},
    tile::TilePath,
};

use crate::{Answered, Ground, Refusal};

/// Entries that are read at once.
const PIECE: usize = 256;

/// The log of this domain, for whoever reads it.
#[derive(Clone, Debug)]
pub struct Transparency {
    ground: Arc<Ground>,
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) index: u64,
    pub(crate) entry: Entry,
    /// What a CONFIG says; of other entries it is nobody's business.
    pub(crate) config: Option<Config>,
    /// Whether it commits to something that is not kept any more.
    pub(crate) erased: bool,
}

/// How the log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The newest checkpoint.
    pub(crate) note: String,
    /// What it says.
    pub(crate) head: TreeHead,
    /// The newest CONFIG.
    pub(crate) config: Config,
    /// The time of the last entry.
    pub(crate) last_entry_at: Option<Timestamp>,
}

/// What reading the whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    pub(crate) entries: u64,
    pub(crate) labels: usize,
    /// What is wrong, if anything is.
    pub(crate) wrong: Option<String>,
}

/// Opens the log at the start, before anything is served: looks whether it is what it signed, and logs what the domain's keys
/// are now. From here on the ground has the log's keys.
pub async fn open_log(ground: &Ground, keys: LogKeys, federation: FederationKey) -> Stored<TreeHead> {
    let now = ground.now();
    let opening = ground.draw(Opening::random);
    let mut tx = ground.write_alone().await?;
    qpq_transparency::open(tx.as_mut(), &keys).await?;
    let before = configuration::newest(tx.as_mut()).await?;
    let domain_keys = [keys.public().as_slice(), &[(KeyUse::Federation, *federation.as_bytes())]].concat();
    let witnesses = before.as_ref().map_or_else(Vec::new, |config| config.witnesses().to_vec());
    let config = configuration::next(before.as_ref(), &domain_keys, witnesses, now).map_err(|error| {
        StorageError::Corrupt { table: "kt_contents", what: format!("the next CONFIG: {error}") }
    })?;
    let logged = configuration::log(tx.as_mut(), &keys, &config, opening, now).await?;
    let head = match logged {
        Some(appended) => {
            tracing::info!(entries = appended.head.size, "the log says what the domain's keys are");
            appended.head
        }
        None => qpq_transparency::open(tx.as_mut(), &keys)
            .await?
            .ok_or(StorageError::Conflict { what: "open the log" })?,
    };
    tx.commit().await?;
    ground.keep_log(keys);
    Ok(head)
}

impl Transparency {
    /// On this ground.
    pub const fn new(ground: Arc<Ground>) -> Self {
        Self { ground }
    }

    /// The newest checkpoint as a signed note; `None` if there is no log.
    pub async fn checkpoint(&self) -> Answered<Option<String>> {
        let mut tx = self.ground.read().await?;
        Ok(publication::checkpoint(tx.as_mut()).await?)
    }

    /// A tile of hashes or of entries; `None` if the log has no tile as wide as that.
    pub async fn tile(&self, path: &TilePath) -> Answered<Option<Vec<u8>>> {
        let mut tx = self.ground.read().await?;
        Ok(publication::tile(tx.as_mut(), path).await?)
    }

    /// The keys that sign the log.
    pub(crate) fn keys(&self) -> Answered<&LogKeys> {
        self.ground.log_keys().ok_or_else(no_log)
    }

    /// How the log stands, all of it at one moment.
    pub(crate) async fn status(&self) -> Answered<Status> {
        let mut tx = self.ground.read().await?;
        let note = publication::checkpoint(tx.as_mut()).await?.ok_or_else(no_log)?;
        let head = read(&note)?;
        let config = configuration::newest(tx.as_mut()).await?.ok_or_else(no_log)?;
        let last = tx.kt_entries(head.size.saturating_sub(1), 1).await?;
        let last_entry_at = last.first().map(parse).transpose()?.map(|entry| entry.time);
        Ok(Status { note, head, config, last_entry_at })
    }

    /// An entry of the log.
    pub(crate) async fn entry(&self, index: u64) -> Answered<Shown> {
        let mut tx = self.ground.read().await?;
        let size = tx.kt_head().await?.ok_or_else(no_log)?.size;
        let unknown = || {
            let last = size.saturating_sub(1);
            Refusal::new(ErrorCode::NotFound, format!("the log has no entry {index}: its last one is {last}"))
        };
        let rows = tx.kt_entries(index, 1).await?;
        let row = rows.first().filter(|row| row.index == index).ok_or_else(unknown)?;
        let entry = parse(row)?;
        let contents = tx.kt_contents(index).await?;
        let commits = !matches!(entry.kind, Kind::MapRoot | Kind::Pad);
        let erased = commits && contents.is_none();
        let config = contents.filter(|_| entry.kind == Kind::Config);
        let config = config.and_then(|contents| Config::from_bytes(&contents.value).ok());
        Ok(Shown { index, entry, config, erased })
    }

    /// Reads every entry and computes the tree anew, as an outsider would; the whole look is at one moment.
    pub(crate) async fn verify(&self) -> Answered<Verification> {
        let mut tx = self.ground.read().await?;
        let note = publication::checkpoint(tx.as_mut()).await?.ok_or_else(no_log)?;
        let (head, mut audit) = (read(&note)?, Audit::new());
        loop {
            let rows = tx.kt_entries(audit.size(), PIECE).await?;
            if rows.is_empty() {
                break;
            }
            let entries: Vec<&[u8]> = rows.iter().map(|row| row.entry.as_slice()).collect();
            if let Err(error) = audit.take(&entries) {
                return Ok(found(&audit, Some(error.to_string())));
            }
        }
        if let Err(error) = audit.finish(head) {
            return Ok(found(&audit, Some(error.to_string())));
        }
        let keys = self.keys()?;
        let wrong = match qpq_transparency::open(tx.as_mut(), keys).await {
            Ok(_) => None,
            Err(StorageError::Corrupt { what, .. }) => Some(what),
            Err(other) => return Err(other.into()),
        };
        Ok(found(&audit, wrong))
    }
}

fn found(audit: &Audit, wrong: Option<String>) -> Verification {
    Verification { entries: audit.size(), labels: audit.labels(), wrong }
}

fn read(note: &str) -> Answered<TreeHead> {
    let signed = SignedCheckpoint::parse(note.as_bytes())
        .map_err(|error| StorageError::Corrupt { table: "kt_head", what: error.to_string() })?;
    Ok(signed.head())
}

fn parse(row: &LogRow) -> Stored<Entry> {
    Entry::from_bytes(&row.entry).map_err(|error| {
        let what = format!("entry {}: {error}", row.index);
        StorageError::Corrupt { table: "kt_entries", what }
    })
}

fn no_log() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "this homeserver keeps no key-transparency log")
}

#[cfg(test)]
mod tests;
