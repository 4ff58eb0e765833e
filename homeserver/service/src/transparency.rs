//! The key-transparency log of this domain: opened at the start, published to strangers, shown to admins.

mod candidates;
pub(crate) mod logged;
mod mirroring;
mod rounds;
pub(crate) mod signing;
mod start;
mod witness;

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, ErrorCode, FederationKey, Millis, Timestamp};
use qpq_storage::{LogEvidence, StorageError, Stored, WriteTx};
use qpq_transparency::{
    Appended, Inspection, LogKeys, Progress, configuration,
    cosigning::{self, Served, Standing},
    evidence, publication, read_entry,
};
use qpq_transparency_tree::{
    KeyName, SignedCheckpoint, TreeHead,
    commitment::Opening,
    config::{Config, KeyUse},
    entry::{Entry, Kind},
    tile::TilePath,
};

use crate::{Answered, Effects, Ground, Refusal, WriteJob};

pub use rounds::Rounds;
pub use witness::Witness;

/// The log of this domain, for whoever reads it.
#[derive(Clone, Debug)]
pub struct Transparency {
    ground: Arc<Ground>,
}

/// How long the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLength {
    /// How many entries.
    pub entries: u64,
    /// How many of them are in the newest checkpoint that has the cosignatures it needs; all, if it needs none.
    pub cosigned: u64,
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
    /// The size of the newest checkpoint that has the cosignatures it needs; `None` if the CONFIG names no witnesses, or none is
    /// known.
    pub(crate) cosigned: Option<u64>,
    /// Why nothing is signed, if nothing is.
    pub(crate) halted: Option<String>,
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
/// are now. From here on the ground has the log's keys. A log that has witnesses is not signed before they were asked
/// ([`Rounds`]).
pub async fn open_log(ground: &Ground, keys: LogKeys, federation: FederationKey) -> Stored<TreeHead> {
    let mut tx = ground.write_alone().await?;
    let opened = qpq_transparency::open(tx.as_mut(), &keys).await?;
    let config = configuration::newest(tx.as_mut()).await?;
    let is_witnessed = config.is_some_and(|config| !config.witnesses().is_empty());
    ground
        .says_its_keys([keys.public().as_slice(), &[(KeyUse::Federation, *federation.as_bytes())]].concat());
    let logged = if is_witnessed {
        None
    } else {
        let opening = ground.draw(Opening::random);
        log_keys(tx.as_mut(), ground, &keys, opening).await?
    };
    let head = match (&logged, opened) {
        (Some(appended), _) => appended.head,
        (None, Some(opened)) => opened.head,
        (None, None) => return Err(StorageError::Conflict { what: "open the log" }),
    };
    tx.commit().await?;
    if logged.is_some() {
        tracing::info!(entries = head.size, "the log says what the domain's keys are");
    }
    if is_witnessed {
        ground.signing().ask();
    }
    ground.keep_log(keys);
    Ok(head)
}

/// Logs what the domain's keys are, unless the log says so already.
async fn log_keys(
    tx: &mut dyn WriteTx,
    ground: &Ground,
    keys: &LogKeys,
    opening: Opening,
) -> Stored<Option<Appended>> {
    // A key must not begin or end before the log's own time, or it would count at no time at all.
    let last = qpq_transparency::open(tx, keys).await?.map(|opened| opened.last_entry_at);
    let now = last.map_or_else(|| ground.now(), |last| last.max(ground.now()));
    configuration::log(tx, keys, &ground.domain_keys(), opening, now).await
}

/// The same once the witnesses were asked.
pub(crate) async fn configure(ground: &Arc<Ground>) -> Answered<()> {
    ground.signing().pass().await?;
    let opening = ground.draw(Opening::random);
    ground.write(Configure { ground: Arc::clone(ground), opening }).await
}

struct Configure {
    ground: Arc<Ground>,
    opening: Opening,
}

#[async_trait]
impl WriteJob for Configure {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        let Some(keys) = self.ground.log_keys() else { return Ok(()) };
        let opening = self.opening;
        let logged = Box::pin(log_keys(tx, &self.ground, keys, opening)).await?;
        if logged.is_some() {
            self.ground.signing().grows();
        }
        Ok(())
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
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

    /// How long the log is, and how far it is witnessed.
    pub async fn length(&self) -> Answered<LogLength> {
        let mut tx = self.ground.read().await?;
        let entries = tx.kt_head().await?.map_or(0, |head| head.size);
        let cosigned = match cosigning::served(tx.as_mut()).await? {
            Some(Served::Cosigned(cosigned)) => cosigned.head().size,
            Some(Served::Newest(newest)) => newest.head().size,
            Some(Served::None) | None => 0,
        };
        Ok(LogLength { entries, cosigned })
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
        let cosigned = match cosigning::served(tx.as_mut()).await? {
            Some(Served::Cosigned(cosigned)) => Some(cosigned.head().size),
            Some(Served::Newest(_) | Served::None) | None => None,
        };
        let halted = self.ground.signing().halted();
        Ok(Status { note, head, config, last_entry_at, cosigned, halted })
    }

    /// How the witnesses of the log stand, those first that the CONFIG names.
    pub(crate) async fn witnesses(&self) -> Answered<Vec<Standing>> {
        self.keys()?;
        Ok(cosigning::standings(self.ground.read().await?.as_mut()).await?)
    }

    /// The newest evidence of logs with two histories, at most so much.
    pub(crate) async fn evidence(&self, limit: usize) -> Answered<Vec<LogEvidence>> {
        let mut tx = self.ground.read().await?;
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let page = tx.kt_evidence_after(after, limit).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            found.extend(page);
        }
        found.reverse();
        found.truncate(limit);
        Ok(found)
    }

    /// One piece of evidence.
    pub(crate) async fn one_evidence(&self, id: u64) -> Answered<LogEvidence> {
        let before = id.checked_sub(1).ok_or_else(|| no_evidence(id))?;
        let found = self.ground.read().await?.kt_evidence_after(before, 1).await?;
        found.into_iter().next().filter(|found| found.id == id).ok_or_else(|| no_evidence(id))
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

pub(crate) fn no_evidence(id: u64) -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        format!("there is no evidence {id} (`log evidence list` shows what there is)"),
    )
}

/// Refuses to begin anything new with a domain whose log was shown to have two histories, until an admin has decided about that.
pub(crate) async fn believed(ground: &Ground, domain: &Domain) -> Answered<()> {
    let origin = KeyName::of_log(domain);
    let against = evidence::uncleared(ground.read().await?.as_mut(), origin.as_str()).await?;
    match against.first() {
        None => Ok(()),
        Some(found) => Err(Refusal::new(
            ErrorCode::LogRefused,
            format!(
                "the key-transparency log of `{domain}` shows two histories (evidence {}), so its keys are not believed until an \
                 admin of this homeserver has decided about that",
                found.id
            ),
        )),
    }
}

pub(crate) fn no_log() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "this homeserver keeps no key-transparency log")
}

#[cfg(test)]
pub(crate) mod tests;
