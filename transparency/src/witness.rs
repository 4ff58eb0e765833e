//! Other domains' logs, as their witness: whose key a log has, and which checkpoint of it was cosigned last.
//!
//! Why no two checkpoints that can't both be true are ever cosigned:
//! 1. Whoever cosigns holds the one write transaction of the store: the look at the last checkpoint and the keeping of the next
//!    one are one step.
//! 2. The last checkpoint must be the one that the next is proven to continue ([`AddCheckpoint::judge`]), and the store keeps none
//!    that is smaller than the one before.
//! 3. A signature may leave the process only after the commit. If the commit is lost, so must be the signature; if it was kept
//!    although the call failed, the witness stands further on than anybody was told, and says so (409).
//!
//! The key that a log was first seen with stays: another one is refused, whoever says it.

use qpq_core::Timestamp;
use qpq_storage::{EvidenceKept, LogHead, Stored, WitnessedLog, WitnessedRead, WriteTx};
use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead, VerifierKey, WitnessSigner,
    evidence::SplitView,
    key::Algorithm,
    note::{NOTE_BYTES, NoteError, NoteSignature},
    witness::{AddCheckpoint, AddCheckpointError, WitnessRefusal},
};

use crate::{evidence, sequence::corrupt};

/// What became of a log's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It is the first that is known of this log, and counts from now on.
    First,
    /// It was known.
    Known,
}

/// Why a log's key is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinRefusal {
    /// Another one is known: a log's key changes along its own CONFIG chain, never because somebody says so.
    #[error("the log is known by the key `{pinned}`, not by the key that was given")]
    OtherKey {
        /// The one that counts.
        pinned: VerifierKey,
    },
    /// It is a witness's key.
    #[error("the key signs no log: it is a witness's")]
    NoLogKey,
}

/// A checkpoint was cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What it says.
    pub head: TreeHead,
    /// The signature line to answer with, after the commit.
    pub signature: NoteSignature,
}

/// A checkpoint was not cosigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// Why, as the asker is told.
    pub why: WitnessRefusal,
    /// Evidence that came of it: the log signed two checkpoints that can't both be true.
    pub evidence: Option<(SplitView, EvidenceKept)>,
}

/// Keeps the key of a log, whose origin is the key's name, if none is known yet.
pub async fn pin(tx: &mut dyn WriteTx, key: &VerifierKey) -> Stored<Result<Pinned, PinRefusal>> {
    if key.algorithm() != Algorithm::Ed25519 {
        return Ok(Err(PinRefusal::NoLogKey));
    }
    let origin = key.name().as_str();
    let known = tx.kt_witnessed(origin).await?;
    let pinned = tx.kt_pin(origin, &key.to_string()).await?;
    let pinned = read_key(origin, &pinned)?;
    if pinned != *key {
        return Ok(Err(PinRefusal::OtherKey { pinned }));
    }
    Ok(Ok(if known.is_some() { Pinned::Known } else { Pinned::First }))
}

/// Judges a checkpoint, keeps it as the last one of its log, and signs it, in this transaction.
///
/// **Commit it whatever the answer is**: also a refusal may have found evidence, which is kept then. Answer only after the
/// commit; if that fails, the signature must be forgotten.
pub async fn cosign(
    tx: &mut dyn WriteTx,
    signer: &WitnessSigner,
    request: &AddCheckpoint,
    now: Timestamp,
) -> Stored<Result<Cosigned, Refused>> {
    let origin = request.checkpoint.checkpoint().origin.as_str();
    let Some(log) = tx.kt_witnessed(origin).await? else {
        return Ok(Err(WitnessRefusal::UnknownOrigin.into()));
    };
    let key = read_key(origin, &log.key)?;
    let last = last(&log)?;
    let head = match request.judge(&key, last.as_ref().map(SignedCheckpoint::head)) {
        Ok(head) => head,
        Err(why) => {
            let evidence = match &last {
                Some(last) => split(tx, &key, last, request, now).await?,
                None => None,
            };
            return Ok(Err(Refused { why, evidence }));
        }
    };
    // What others signed beside the log is theirs to show: only what we judged is kept.
    let Some(alone) = request.checkpoint.clone().only_by(&key) else {
        return Ok(Err(WitnessRefusal::Untrusted.into()));
    };
    let signature = alone.cosign(signer, now);
    let note = alone.with(signature.clone()).to_string();
    if note.len() > NOTE_BYTES {
        // With our signature nobody could read it.
        let too_long = AddCheckpointError::Checkpoint(NoteError::TooLong(note.len()).into());
        return Ok(Err(WitnessRefusal::Malformed(too_long).into()));
    }
    tx.kt_cosign(origin, &LogHead { size: head.size, note }).await?;
    Ok(Ok(Cosigned { head, signature }))
}

/// The newest checkpoint of a log that was cosigned here, with our signature; `None` if there is none.
pub async fn witnessed(tx: &mut (dyn WitnessedRead + '_), origin: &str) -> Stored<Option<SignedCheckpoint>> {
    match tx.kt_witnessed(origin).await? {
        Some(log) => last(&log),
        None => Ok(None),
    }
}

/// The key that a log is known by; `None` if it isn't.
pub async fn pinned_key(tx: &mut (dyn WitnessedRead + '_), origin: &str) -> Stored<Option<VerifierKey>> {
    let log = tx.kt_witnessed(origin).await?;
    log.map(|log| read_key(origin, &log.key)).transpose()
}

/// Keeps evidence, if what is refused is any: whatever the asker says it wants, the log signed it.
async fn split(
    tx: &mut dyn WriteTx,
    key: &VerifierKey,
    last: &SignedCheckpoint,
    request: &AddCheckpoint,
    now: Timestamp,
) -> Stored<Option<(SplitView, EvidenceKept)>> {
    let Some(found) = SplitView::find(key, last, &request.checkpoint, &request.proof) else {
        return Ok(None);
    };
    let kept = evidence::keep(tx, &found, evidence::FOUND_HERE, now).await?;
    Ok(Some((found, kept)))
}

fn last(log: &WitnessedLog) -> Stored<Option<SignedCheckpoint>> {
    let Some(LogHead { size, note }) = &log.cosigned else { return Ok(None) };
    let fault = |what: String| corrupt("kt_witnessed", format!("`{}`: {what}", log.origin));
    let signed = SignedCheckpoint::parse(note.as_bytes()).map_err(|error| fault(error.to_string()))?;
    if signed.head().size == *size && signed.checkpoint().origin.as_str() == log.origin {
        Ok(Some(signed))
    } else {
        Err(fault("its checkpoint is another one than its columns say".to_owned()))
    }
}

fn read_key(origin: &str, key: &str) -> Stored<VerifierKey> {
    let fault = |what: String| corrupt("kt_witnessed", format!("`{origin}`: {what}"));
    let key: VerifierKey = key.parse().map_err(|error| fault(format!("{error}")))?;
    if key.name().as_str() == origin { Ok(key) } else { Err(fault("its key is another log's".to_owned())) }
}

impl From<WitnessRefusal> for Refused {
    fn from(why: WitnessRefusal) -> Self {
        Self { why, evidence: None }
    }
}

#[cfg(test)]
mod tests;
