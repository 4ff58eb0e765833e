//! The keys of accounts in the log: which version may come next, and what becomes of them when somebody leaves.
//!
//! The log keeps the rules that contacts check again ([`succession`](qpq_transparency_tree::succession)): what they would refuse
//! never gets in.

use qpq_core::{AccountId, Digest, IdentityKey, Timestamp};
use qpq_storage::{LogRow, Stored, TransparencyRead, WriteTx};
use qpq_transparency_tree::{
    SignedCheckpoint,
    commitment::Opening,
    config::Config,
    entry::Entry,
    label::{Label, LabelId},
    policy::Policy,
    succession::{Predecessor, RESET_DELAY, SuccessionError, judge},
    value::{AccountValue, Reason, SignedValue, Status},
};

use crate::{
    Appended, LogKeys, NewEntry, configuration,
    sequence::{Batch, commits_to, corrupt, latest, read_entry},
};

/// A version of an account's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its place in the log.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// What it commits to; `None` if that was erased.
    pub contents: Option<(Opening, SignedValue)>,
}

/// Where an account's next version will stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The label's id.
    pub label_id: LabelId,
    /// The next version's number.
    pub version: u32,
    /// The hash of the leaf before it; zeros at version 0.
    pub prev: Digest,
    /// The version before it.
    pub newest: Option<Version>,
}

/// Why a version was not logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLogged {
    /// It can't stand where it would.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
    /// The VRF gives the label no place, which happens to one label in 2^256.
    #[error("the name has no place in the log")]
    NoPlace,
}

impl Version {
    /// What it says, without signatures.
    pub fn value(&self) -> Option<&AccountValue> {
        self.contents.as_ref().map(|(_, signed)| &signed.value)
    }

    /// Whether it is the end of an account, or the announcement that its name will be given to somebody else.
    pub fn is_closed(&self) -> bool {
        self.value().is_none_or(|value| value.status() == Status::Closed)
    }

    /// When a reset that it announces may be made; `None` if it announces none.
    pub fn reset_from(&self, seen_by: Option<Timestamp>) -> Option<Timestamp> {
        let announces = self.value().is_some_and(|value| value.reason() == Reason::ResetPending);
        announces.then(|| seen_by.unwrap_or(self.entry.time).max(self.entry.time).after(RESET_DELAY))
    }
}

/// Where the label's next version will stand, and the one before it.
pub async fn place(tx: &mut (dyn TransparencyRead + '_), label_id: LabelId) -> Stored<Place> {
    let newest = newest(tx, label_id).await?;
    let version = newest.as_ref().map_or(0, |newest| newest.entry.version.saturating_add(1));
    let prev = newest.as_ref().map_or(Digest::ZERO, |newest| newest.entry.leaf_hash());
    Ok(Place { label_id, version, prev, newest })
}

/// The newest version of a label.
pub async fn newest(tx: &mut (dyn TransparencyRead + '_), label_id: LabelId) -> Stored<Option<Version>> {
    let Some(entry) = latest(tx, label_id).await? else { return Ok(None) };
    let rows = tx.kt_versions(label_id.as_bytes(), entry.version, 1).await?;
    match rows.first() {
        Some(row) => read(tx, row).await.map(Some),
        None => Err(corrupt("kt_entries", format!("version {} of a label is gone", entry.version))),
    }
}

/// The versions of a label from a number on, ascending, at most `limit`.
pub async fn versions(
    tx: &mut (dyn TransparencyRead + '_),
    label_id: LabelId,
    from: u32,
    limit: usize,
) -> Stored<Vec<Version>> {
    let mut versions = Vec::new();
    for row in tx.kt_versions(label_id.as_bytes(), from, limit).await? {
        versions.push(read(tx, &row).await?);
    }
    Ok(versions)
}

/// A row with what it commits to. `Corrupt` if that is not what was signed.
async fn read(tx: &mut (dyn TransparencyRead + '_), row: &LogRow) -> Stored<Version> {
    let entry = read_entry(row)?;
    let fault = |what: &str| corrupt("kt_contents", format!("what entry {} commits to {what}", row.index));
    let contents = match tx.kt_contents(row.index).await? {
        None => None,
        Some(contents) if !commits_to(&entry, &contents) => return Err(fault("was changed")),
        Some(contents) => {
            let signed = SignedValue::from_bytes(&contents.value).map_err(|_| fault("can't be read"))?;
            Some((Opening::from_bytes(contents.opening), signed))
        }
    };
    Ok(Version { index: row.index, entry, contents })
}

/// Whether this may be the next version of an account's keys: for whoever has other things to refuse in the same transaction.
pub async fn may_bind(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    label: &Label,
    signed: &SignedValue,
    now: Timestamp,
) -> Stored<Result<(), NotLogged>> {
    // Which opening it gets has no say in that.
    let opening = Opening::from_bytes([0; 16]);
    Ok(prepare(tx, keys, label, signed, opening, now).await?.map(drop))
}

/// Logs the next version of an account's keys, if it may stand there. Of a reset that is announced, the checkpoint that shows it
/// is kept: whoever meets the reset later must see that it was announced a day before.
pub async fn bind(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    label: &Label,
    signed: &SignedValue,
    opening: Opening,
    now: Timestamp,
) -> Stored<Result<Appended, NotLogged>> {
    let batch = match prepare(tx, keys, label, signed, opening, now).await? {
        Ok(batch) => batch,
        Err(refused) => return Ok(Err(refused)),
    };
    let appended = batch.write(tx, keys).await?;
    if signed.value.reason() == Reason::ResetPending && witnesses(tx).await?.is_none() {
        tx.kt_keep_seen(appended.head.size.saturating_sub(1), &appended.note).await?;
    }
    Ok(Ok(appended))
}

/// The batch of this one version, judged.
async fn prepare(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    label: &Label,
    signed: &SignedValue,
    opening: Opening,
    now: Timestamp,
) -> Stored<Result<Batch, NotLogged>> {
    let Some((label_id, _)) = keys.place(label) else { return Ok(Err(NotLogged::NoPlace)) };
    let new = NewEntry {
        kind: signed.value.status().kind(),
        label_id,
        label: label.as_bytes().to_vec(),
        opening,
        value: signed.to_bytes(),
    };
    let mut batch = Batch::begin(tx, keys, now).await?;
    let entry = batch.next(tx, &new).await?;
    let before = predecessor(tx, keys, label_id, entry.time).await?;
    if let Err(error) = judge(keys.origin(), before.as_ref(), &entry, signed) {
        return Ok(Err(error.into()));
    }
    batch.push(entry, &new)?;
    Ok(Ok(batch))
}

/// Announces that a label gets another identity key from whoever can't sign with the present one. A closed name is announced
/// without a word about whoever had it.
pub async fn announce_reset(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    label: &Label,
    opening: Opening,
    now: Timestamp,
) -> Stored<Result<Appended, NotLogged>> {
    let Some((label_id, _)) = keys.place(label) else { return Ok(Err(NotLogged::NoPlace)) };
    let newest = newest(tx, label_id).await?;
    let kept = newest.as_ref().and_then(Version::value).filter(|value| value.status() != Status::Closed);
    let value = match kept {
        Some(before) => AccountValue::new(
            before.account(),
            before.identity(),
            before.status(),
            Reason::ResetPending,
            before.devices().to_vec(),
        ),
        None => AccountValue::new(
            AccountId::from_bytes([0; 16]),
            IdentityKey::from_bytes([0; 32]),
            Status::Closed,
            Reason::ResetPending,
            Vec::new(),
        ),
    };
    let value = value.map_err(|error| corrupt("kt_contents", error.to_string()))?;
    let signed = SignedValue { value, by_previous: None, by_self: None };
    bind(tx, keys, label, &signed, opening, now).await
}

/// Closes a label and erases what all its entries commit to; `None` if it was not in the log, or was closed before.
pub async fn close(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    label: &Label,
    opening: Opening,
    now: Timestamp,
) -> Stored<Option<Appended>> {
    let Some((label_id, _)) = keys.place(label) else { return Ok(None) };
    let newest = newest(tx, label_id).await?;
    let mut closed = None;
    if let Some(before) = newest.as_ref().and_then(Version::value)
        && before.status() != Status::Closed
    {
        let value = AccountValue::new(
            before.account(),
            before.identity(),
            Status::Closed,
            Reason::Closure,
            Vec::new(),
        );
        let value = value.map_err(|error| corrupt("kt_contents", error.to_string()))?;
        let signed = SignedValue { value, by_previous: None, by_self: None };
        let appended = bind(tx, keys, label, &signed, opening, now).await?;
        closed = Some(appended.map_err(|error| corrupt("kt_entries", format!("closing: {error}")))?);
    }
    tx.kt_erase(label_id.as_bytes()).await?;
    Ok(closed)
}

/// Since when the log's witnesses had seen the announcement of a reset; `None` if the log has none: then its own time counts. What
/// they haven't seen yet they see now at the earliest.
pub async fn seen_by(
    tx: &mut (dyn TransparencyRead + '_),
    keys: &LogKeys,
    announced: &Version,
    now: Timestamp,
) -> Stored<Option<Timestamp>> {
    let Some(note) = tx.kt_seen(announced.index).await? else {
        return Ok(witnesses(tx).await?.map(|_| now));
    };
    let seen = SignedCheckpoint::parse(note.as_bytes())
        .map_err(|error| corrupt("kt_seen", format!("entry {}: {error}", announced.index)))?;
    // Whose signatures were needed, the CONFIG of that time says: others may witness now.
    let config = configuration::within(tx, seen.head().size).await?;
    let then_named = config.as_ref().map_or(&[] as &[_], Config::witnesses);
    let accepted = Policy::of_log(keys.log().verifier().clone(), then_named).accepts(&seen);
    Ok(accepted.map_or(Some(now), |accepted| accepted.seen_by))
}

/// The CONFIG, if it names witnesses.
async fn witnesses(tx: &mut (dyn TransparencyRead + '_)) -> Stored<Option<Config>> {
    Ok(configuration::newest(tx).await?.filter(|config| !config.witnesses().is_empty()))
}

async fn predecessor(
    tx: &mut (dyn TransparencyRead + '_),
    keys: &LogKeys,
    label_id: LabelId,
    now: Timestamp,
) -> Stored<Option<Predecessor>> {
    let Some(newest) = newest(tx, label_id).await? else { return Ok(None) };
    let value = newest.value().cloned();
    let announces = value.as_ref().is_some_and(|value| value.reason() == Reason::ResetPending);
    let seen_by = if announces { seen_by(tx, keys, &newest, now).await? } else { None };
    Ok(Some(Predecessor {
        version: newest.entry.version,
        leaf: newest.entry.leaf_hash(),
        time: newest.entry.time,
        seen_by,
        value,
    }))
}

#[cfg(test)]
mod tests;
