//! The cosignatures of our own log: what its witnesses are asked, what becomes of their answers, and which checkpoint lookups are
//! answered at.
//!
//! A witness answers about one checkpoint, and others may have come meanwhile. So the newest few collect side by side, in the store,
//! and whichever first has the cosignatures that its own CONFIG asks for takes the place of the one before, if that is smaller.
//! Nobody is answered at a checkpoint that the log's own rules call too little witnessed, except as [`lookup`] says.

use qpq_core::{Millis, Timestamp};
use qpq_storage::{LogHead, OurWitness, ReadTx, Stored, TransparencyRead, WriteTx};
use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead, VerifierKey,
    entry::Kind,
    lookup::{AHEAD, FRESH},
    note::{NOTE_SIGNATURES, NoteSignature},
    policy::{Policy, PolicyRefusal},
    value::{Reason, SignedValue},
    witness::AddCheckpoint,
};

use crate::{
    LogKeys, configuration, lookup,
    sequence::{corrupt, read_entry},
};

/// After so long without the needed cosignatures, members of the own domain are answered without them, and shown that. Not long:
/// their clients pin the tree that they are shown, so a lie is found out with the next cosignature, and who works beside somebody
/// waits for no other domain (decision 0036).
pub const SILENT: Millis = Millis::from_secs(5);

/// The most bytes that are kept of why a witness didn't sign.
const WHY_BYTES: usize = 300;

/// How many entries are read at once.
const PAGE: usize = 256;

/// What became of a witness's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is kept, and others are needed.
    Collecting {
        /// How many have signed this checkpoint.
        cosignatures: usize,
    },
    /// The checkpoint has what it needs: lookups are answered at it from the commit on.
    Cosigned(TreeHead),
    /// A larger one has what it needs already; it is noted that the witness signed.
    Late,
}

/// Why a witness's answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The checkpoint is not one that our log signed, or not of the history that it has.
    #[error("the checkpoint that was cosigned is none of our log's")]
    NotOurs,
    /// The CONFIG within the checkpoint doesn't name the witness.
    #[error("`{0}` is no witness of our log in the checkpoint that was cosigned")]
    NotNamed(VerifierKey),
    /// No line says that it is by the witness.
    #[error("the answer has no signature by the witness")]
    Unsigned,
    /// A line says that it is by the witness, and is not.
    #[error("the witness's signature does not hold")]
    BadSignature,
    /// The witness's clock is ahead.
    #[error("the witness signed at {at}, which is more than {} s ahead", AHEAD.0 / 1_000)]
    Ahead {
        /// The time that it signed.
        at: Timestamp,
    },
}

/// How a witness of our log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its key.
    pub key: VerifierKey,
    /// Whether the newest CONFIG names it.
    pub named: bool,
    /// The largest size that it cosigned; 0 for none.
    pub size: u64,
    /// When we got its last signature.
    pub signed_at: Option<Timestamp>,
    /// Why it didn't sign since, and when that was.
    pub failed: Option<(String, Timestamp)>,
}

/// The checkpoint that lookups are answered at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// The newest that the log signed: its CONFIG names no witnesses.
    Newest(SignedCheckpoint),
    /// The newest that has the cosignatures it needs.
    Cosigned(SignedCheckpoint),
    /// Witnesses are named, and none that they signed is known.
    None,
}

/// What a witness is asked that cosigned `old_size` entries last: the newest checkpoint, with the proof from there. `None` before
/// the first entry, and if the witness has seen more than there is: then our database is older than what we signed.
pub async fn request(tx: &mut (dyn TransparencyRead + '_), old_size: u64) -> Stored<Option<AddCheckpoint>> {
    let Some(head) = tx.kt_head().await? else { return Ok(None) };
    let checkpoint = read("kt_head", &head)?;
    let proof = lookup::consistency(tx, old_size, head.size).await?;
    Ok(proof.map(|proof| AddCheckpoint { old_size, proof, checkpoint }))
}

/// Takes what a witness answered about a checkpoint of ours.
pub async fn take(
    tx: &mut dyn WriteTx,
    keys: &LogKeys,
    witness: &VerifierKey,
    checkpoint: &SignedCheckpoint,
    answer: &[NoteSignature],
    now: Timestamp,
) -> Stored<Result<Taken, NotTaken>> {
    let head = checkpoint.head();
    let Some(ours) = checkpoint.clone().only_by(keys.log().verifier()) else {
        return Ok(Err(NotTaken::NotOurs));
    };
    // Our key may have signed another history, before the database went back.
    if lookup::root(tx, head.size).await? != Some(head.root) {
        return Ok(Err(NotTaken::NotOurs));
    }
    let config = configuration::within(tx, head.size).await?;
    let witnesses = config.as_ref().map_or(&[] as &[_], |config| config.witnesses());
    if !witnesses.contains(witness) {
        return Ok(Err(NotTaken::NotNamed(witness.clone())));
    }
    let (signature, at) = match signed(witness, &ours, answer) {
        Ok(signed) => signed,
        Err(refused) => return Ok(Err(refused)),
    };
    if at > now.after(AHEAD) {
        return Ok(Err(NotTaken::Ahead { at }));
    }
    tx.kt_witness_signed(&witness.to_string(), head.size, now).await?;
    let cosigned = tx.kt_cosigned().await?.map_or(0, |cosigned| cosigned.size);
    if head.size < cosigned {
        return Ok(Ok(Taken::Late));
    }
    let collected = match tx.kt_collected(head.size).await? {
        Some(collected) => read("kt_collected", &collected)?,
        None => ours,
    };
    let collected = newer(collected, witness, signature, at);
    let kept = LogHead { size: head.size, note: collected.to_string() };
    tx.kt_keep_collected(&kept).await?;
    match Policy::of_log(keys.log().verifier().clone(), witnesses).accepts(&collected) {
        Ok(_) => {
            tx.kt_keep_cosigned(&kept).await?;
            keep_seen(tx, cosigned, &kept).await?;
            Ok(Ok(Taken::Cosigned(head)))
        }
        Err(PolicyRefusal::TooFew(cosignatures)) => Ok(Ok(Taken::Collecting { cosignatures })),
        Err(bad) => Err(corrupt("kt_collected", format!("the checkpoint of {}: {bad}", head.size))),
    }
}

/// Notes why a witness didn't sign, for whoever looks.
pub async fn failed(tx: &mut dyn WriteTx, witness: &VerifierKey, why: &str, now: Timestamp) -> Stored<()> {
    let end = why.floor_char_boundary(WHY_BYTES);
    tx.kt_witness_failed(&witness.to_string(), why.get(..end).unwrap_or_default(), now).await
}

/// How all witnesses stand: those that the newest CONFIG names, and those of before.
pub async fn standings(tx: &mut (dyn ReadTx + '_)) -> Stored<Vec<Standing>> {
    let config = configuration::newest(tx).await?;
    let named = config.as_ref().map_or(&[] as &[_], |config| config.witnesses());
    let mut all = Vec::new();
    for OurWitness { key, size, signed_at, failed } in tx.kt_our_witnesses().await? {
        let fault = |error| corrupt("kt_our_witnesses", format!("`{key}`: {error}"));
        let key: VerifierKey = key.parse().map_err(fault)?;
        all.push(Standing { named: named.contains(&key), key, size, signed_at, failed });
    }
    let unheard = named.iter().filter(|key| !all.iter().any(|standing| standing.key == **key));
    let unheard =
        unheard.map(|key| Standing { key: key.clone(), named: true, size: 0, signed_at: None, failed: None });
    let unheard: Vec<Standing> = unheard.collect();
    all.extend(unheard);
    all.sort_by(|one, other| (!one.named, &one.key).cmp(&(!other.named, &other.key)));
    Ok(all)
}

/// The checkpoint that everybody can be answered at; `None` before the first entry.
pub async fn served(tx: &mut (dyn ReadTx + '_)) -> Stored<Option<Served>> {
    let Some(head) = tx.kt_head().await? else { return Ok(None) };
    let config = configuration::newest(tx).await?;
    if config.is_none_or(|config| config.witnesses().is_empty()) {
        return read("kt_head", &head).map(|newest| Some(Served::Newest(newest)));
    }
    let cosigned = tx.kt_cosigned().await?;
    let cosigned = cosigned.map(|cosigned| read("kt_cosigned", &cosigned)).transpose()?;
    Ok(Some(cosigned.map_or(Served::None, Served::Cosigned)))
}

/// Whether a needed witness has been silent for long: the first entry that is not in the checkpoint that was cosigned last has
/// waited for [`SILENT`]; or there is none, and the needed signatures are so old that clients show it ([`FRESH`]), which no log
/// gets to whose witnesses sign it again every few minutes.
pub(crate) async fn is_silent(
    tx: &mut (dyn TransparencyRead + '_),
    keys: &LogKeys,
    cosigned: Option<&SignedCheckpoint>,
    now: Timestamp,
) -> Stored<bool> {
    let size = cosigned.map_or(0, |cosigned| cosigned.head().size);
    if let Some(waiting) = tx.kt_entries(size, 1).await?.first() {
        return Ok(read_entry(waiting)?.time.after(SILENT) <= now);
    }
    let (Some(cosigned), Some(config)) = (cosigned, configuration::within(tx, size).await?) else {
        return Ok(false);
    };
    let policy = Policy::of_log(keys.log().verifier().clone(), config.witnesses());
    let at = policy.accepts(cosigned).ok().and_then(|accepted| accepted.witnessed_at);
    Ok(at.is_some_and(|at| at.after(FRESH) < now))
}

/// Keeps, for each reset that was announced since the former cosigned checkpoint, that it was seen now.
pub(crate) async fn keep_seen(tx: &mut dyn WriteTx, from: u64, seen: &LogHead) -> Stored<()> {
    let mut next = from;
    while next < seen.size {
        let rows = tx.kt_entries(next, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.index) else { break };
        for row in rows.iter().filter(|row| row.index < seen.size) {
            let of_account = matches!(read_entry(row)?.kind, Kind::Bind | Kind::Revoke | Kind::Close);
            let contents = if of_account { tx.kt_contents(row.index).await? } else { None };
            let value = contents.and_then(|contents| SignedValue::from_bytes(&contents.value).ok());
            if value.is_some_and(|signed| signed.value.reason() == Reason::ResetPending) {
                tx.kt_keep_seen(row.index, &seen.note).await?;
            }
        }
        next = last.saturating_add(1);
    }
    Ok(())
}

/// The witness's signature, and when it says it was made. Lines of others are theirs to bring.
fn signed(
    witness: &VerifierKey,
    checkpoint: &SignedCheckpoint,
    answer: &[NoteSignature],
) -> Result<(NoteSignature, Timestamp), NotTaken> {
    let mut latest = None;
    for signature in answer.iter().filter(|signature| witness.claims(signature)).take(NOTE_SIGNATURES) {
        let verified = witness.verify(checkpoint.note().text(), signature).ok_or(NotTaken::BadSignature)?;
        let seconds = verified.at_secs.ok_or(NotTaken::BadSignature)?;
        if latest.as_ref().is_none_or(|(_, best)| *best < seconds) {
            latest = Some((signature.clone(), seconds));
        }
    }
    let (signature, seconds) = latest.ok_or(NotTaken::Unsigned)?;
    Ok((signature, Timestamp::from_millis(seconds.saturating_mul(1_000))))
}

/// The checkpoint with the witness's signature, unless it has a later one.
fn newer(
    collected: SignedCheckpoint,
    witness: &VerifierKey,
    signature: NoteSignature,
    at: Timestamp,
) -> SignedCheckpoint {
    let known = collected.note().signatures().iter().filter(|known| witness.claims(known)).cloned();
    let known: Vec<NoteSignature> = known.collect();
    match signed(witness, &collected, &known) {
        Ok((_, before)) if before >= at => collected,
        Ok(_) | Err(_) => collected.with(signature),
    }
}

fn read(table: &'static str, head: &LogHead) -> Stored<SignedCheckpoint> {
    let fault = |what: String| corrupt(table, format!("the checkpoint over {} entries: {what}", head.size));
    let signed = SignedCheckpoint::parse(head.note.as_bytes()).map_err(|error| fault(error.to_string()))?;
    if signed.head().size == head.size { Ok(signed) } else { Err(fault("it is over others".to_owned())) }
}

#[cfg(test)]
mod tests;
