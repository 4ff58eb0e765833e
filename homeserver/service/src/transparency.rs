//! The key-transparency log of this domain: opened at the start, published to strangers, shown to admins.

pub(crate) mod logged;

use std::sync::Arc;

use qpq_core::{ErrorCode, FederationKey, Millis, Timestamp};
use qpq_storage::{StorageError, Stored};
use qpq_transparency::{Inspection, LogKeys, Progress, configuration, publication, read_entry};
use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead,
    commitment::Opening,
    config::{Config, KeyUse},
    entry::{Entry, Kind},
    tile::TilePath,
};

use crate::{Answered, Ground, Refusal};

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
    /// How many entries were read and found fine.
    pub(crate) entries: u64,
    pub(crate) labels: usize,
    /// What is wrong, if anything is.
    pub(crate) wrong: Option<String>,
}

/// Opens the log at the start, before anything is served: looks whether it is what it signed, and logs what the domain's keys
/// are now. From here on the ground has the log's keys.
pub async fn open_log(ground: &Ground, keys: LogKeys, federation: FederationKey) -> Stored<TreeHead> {
    let opening = ground.draw(Opening::random);
    let mut tx = ground.write_alone().await?;
    let opened = qpq_transparency::open(tx.as_mut(), &keys).await?;
    // A key must not begin or end before the log's own time, or it would count at no time at all.
    let now = opened.map_or_else(|| ground.now(), |opened| opened.last_entry_at.max(ground.now()));
    let domain_keys = [keys.public().as_slice(), &[(KeyUse::Federation, *federation.as_bytes())]].concat();
    let logged = configuration::log(tx.as_mut(), &keys, &domain_keys, opening, now).await?;
    let head = match (&logged, opened) {
        (Some(appended), _) => appended.head,
        (None, Some(opened)) => opened.head,
        (None, None) => return Err(StorageError::Conflict { what: "open the log" }),
    };
    tx.commit().await?;
    if logged.is_some() {
        tracing::info!(entries = head.size, "the log says what the domain's keys are");
    }
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
        let last_entry_at = last.first().map(read_entry).transpose()?.map(|entry| entry.time);
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
        let entry = read_entry(row)?;
        let contents = tx.kt_contents(index).await?;
        let commits = !matches!(entry.kind, Kind::MapRoot | Kind::Pad);
        let erased = commits && contents.is_none();
        let config = contents.filter(|_| entry.kind == Kind::Config);
        let config = config.and_then(|contents| Config::from_bytes(&contents.value).ok());
        Ok(Shown { index, entry, config, erased })
    }

    /// Reads everything that is kept of the log and compares it with what was signed. One reading at a time: it is long, and
    /// whoever else wants one hears so.
    pub(crate) async fn verify(&self) -> Answered<Verification> {
        let keys = self.keys()?;
        let Ok(_one) = self.ground.log_reading().try_lock() else {
            let text = "the log is being read already: see what that finds (`job list`)";
            return Err(Refusal::retry(ErrorCode::Overloaded, text, Millis::from_secs(30)));
        };
        let begun = Inspection::begin(self.ground.read().await?.as_mut(), keys).await;
        let found = match begun {
            Ok(inspection) => self.inspect(inspection.ok_or_else(no_log)?).await?,
            Err(StorageError::Corrupt { what, .. }) => {
                Verification { entries: 0, labels: 0, wrong: Some(what) }
            }
            Err(other) => return Err(other.into()),
        };
        self.ground.log_was(found.wrong.clone());
        Ok(found)
    }

    async fn inspect(&self, mut inspection: Inspection) -> Answered<Verification> {
        let wrong = loop {
            let mut tx = self.ground.read().await?;
            match inspection.piece(tx.as_mut()).await? {
                Progress::More => {}
                Progress::Whole => break None,
                Progress::Broken(why) => break Some(why),
            }
        };
        Ok(Verification { entries: inspection.entries(), labels: inspection.labels(), wrong })
    }
}

fn read(note: &str) -> Answered<TreeHead> {
    let signed = SignedCheckpoint::parse(note.as_bytes())
        .map_err(|error| StorageError::Corrupt { table: "kt_head", what: error.to_string() })?;
    Ok(signed.head())
}

fn no_log() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "this homeserver keeps no key-transparency log")
}

#[cfg(test)]
pub(crate) mod tests;
