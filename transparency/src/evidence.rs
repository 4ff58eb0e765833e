//! Evidence that a log has two histories: judged by the key that the log is known by, kept for ever, and counting until an admin
//! says otherwise.

use qpq_core::Timestamp;
use qpq_storage::{EvidenceKept, LogEvidence, NewEvidence, Stored, WitnessedRead, WriteTx};
use qpq_transparency_tree::evidence::{EvidenceError, SplitView};

use crate::{LogKeys, witness};

/// Who brought the evidence that was found here.
pub const FOUND_HERE: &str = "own";

/// Why evidence is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceRefusal {
    /// Nobody here knows the log's key.
    #[error("nothing is known here of the log `{0}`")]
    UnknownLog(String),
    /// It shows nothing.
    #[error(transparent)]
    NoEvidence(#[from] EvidenceError),
}

/// Takes evidence that `from` brought, a domain or [`FOUND_HERE`], of a log that is witnessed here or of our own one.
pub async fn report(
    tx: &mut dyn WriteTx,
    keys: Option<&LogKeys>,
    found: &SplitView,
    from: &str,
    now: Timestamp,
) -> Stored<Result<EvidenceKept, EvidenceRefusal>> {
    let origin = &found.first.checkpoint().origin;
    let own = keys.map(|keys| keys.log().verifier()).filter(|own| own.name() == origin);
    let key = match own {
        Some(own) => Some(own.clone()),
        None => witness::pinned_key(tx, origin.as_str()).await?,
    };
    let Some(key) = key else { return Ok(Err(EvidenceRefusal::UnknownLog(origin.to_string()))) };
    if let Err(error) = found.judge(&key) {
        return Ok(Err(error.into()));
    }
    keep(tx, found, from, now).await.map(Ok)
}

/// The evidence against a log that no admin has cleared; new sessions with its domain fail while there is any.
pub async fn uncleared(tx: &mut (dyn WitnessedRead + '_), origin: &str) -> Stored<Vec<LogEvidence>> {
    let mut kept = tx.kt_evidence(origin).await?;
    kept.retain(|kept| kept.cleared_at.is_none());
    Ok(kept)
}

/// Keeps evidence that was judged.
pub(crate) async fn keep(
    tx: &mut dyn WriteTx,
    found: &SplitView,
    from: &str,
    now: Timestamp,
) -> Stored<EvidenceKept> {
    let new = NewEvidence {
        origin: found.first.checkpoint().origin.to_string(),
        sizes: (found.first.head().size, found.second.head().size),
        text: found.to_string(),
        from: from.to_owned(),
        found_at: now,
    };
    tx.kt_keep_evidence(&new).await
}
