//! This domain as the witness of others' logs: it cosigns what continues what it has seen, and keeps a copy of the entries.

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use qpq_core::{Digest, Domain, ErrorCode, Timestamp};
use qpq_storage::{Stored, WriteTx};
use qpq_transparency::{
    lookup, mirror,
    witness::{self, Cosigned as Signed, PinRefusal, Refused},
};
use qpq_transparency_tree::{
    KeyName, VerifierKey,
    entry::ENTRY_BYTES,
    witness::{AddCheckpoint, WitnessRefusal},
};
use qpq_transparency_wire::{CosignAnswer, Cosigned, LOG_ENTRIES};

use crate::{Answered, Effects, Ground, Refusal, WriteJob};

/// How many logs are looked through for one that a stranger names by its hash.
const PAGE: usize = 256;

/// The use cases of witnessing.
#[derive(Clone, Debug)]
pub struct Witness {
    ground: Arc<Ground>,
}

/// What became of a checkpoint that somebody brought.
#[derive(Debug)]
enum Judged {
    Signed(Signed),
    OtherKey(PinRefusal),
    Refused(Box<Refused>),
}

impl Witness {
    /// On this ground.
    pub const fn new(ground: Arc<Ground>) -> Self {
        Self { ground }
    }

    /// Cosigns a checkpoint of a peer's log, whose key is kept the first time.
    pub async fn add_checkpoint(
        &self,
        peer: &Domain,
        log: &VerifierKey,
        request: &[u8],
    ) -> Answered<CosignAnswer> {
        let signer = self.ground.witness_key().ok_or_else(no_witness)?.signer().verifier().clone();
        if *log.name() != KeyName::of_log(peer) {
            return Err(refused(&format!("`{}` is not the log of `{peer}`", log.name())));
        }
        let request = AddCheckpoint::parse(request).map_err(|error| Refusal::malformed(error.to_string()))?;
        let said = match self.judge(Some(log.clone()), request).await? {
            Judged::Signed(Signed { signature, .. }) => Cosigned::Signed(vec![signature]),
            Judged::OtherKey(why) => return Err(refused(&why.to_string())),
            Judged::Refused(why) => match why.why {
                WitnessRefusal::Conflict { size } => Cosigned::Conflict(size),
                other => return Err(refused(&other.to_string())),
            },
        };
        Ok(CosignAnswer { witness: signer, said })
    }

    /// The same for whoever asks over HTTP, as C2SP tlog-witness says: the signature lines, or why there are none.
    pub async fn add_checkpoint_of_anybody(&self, body: &[u8]) -> Answered<Result<String, WitnessRefusal>> {
        self.ground.witness_key().ok_or_else(no_witness)?;
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error.into())),
        };
        // Nothing is written for logs that are not followed.
        let origin = request.checkpoint.checkpoint().origin.clone();
        let known = self.ground.read().await?.kt_witnessed(origin.as_str()).await?.is_some();
        if !known {
            return Ok(Err(WitnessRefusal::UnknownOrigin));
        }
        Ok(match self.judge(None, request).await? {
            Judged::Signed(Signed { signature, .. }) => Ok(format!("{signature}\n")),
            Judged::Refused(refused) => Err(refused.why),
            Judged::OtherKey(_) => Err(WitnessRefusal::Untrusted),
        })
    }

    async fn judge(&self, log: Option<VerifierKey>, request: AddCheckpoint) -> Answered<Judged> {
        if let Some(why) = self.ground.signing().halted() {
            // A database that went back has forgotten what it cosigned, too.
            return Err(refused(&format!("this witness has stopped: {why}")));
        }
        let origin = request.checkpoint.checkpoint().origin.clone();
        let (ground, now) = (Arc::clone(&self.ground), self.ground.now());
        let judged = self.ground.write(Cosign { ground, log, request, now }).await?;
        if let Judged::Refused(refused) = &judged
            && refused.evidence.is_some()
        {
            let why = &refused.why;
            tracing::error!(log = %origin, %why, "a log shows two histories; the evidence is kept (`qpq-server log evidence list`)");
        }
        Ok(judged)
    }

    /// The last checkpoint of a log that was cosigned here, a signed note.
    pub async fn witnessed(&self, origin: &KeyName) -> Answered<Option<String>> {
        let mut tx = self.ground.read().await?;
        let last = witness::witnessed(tx.as_mut(), origin.as_str()).await?;
        Ok(last.map(|last| last.to_string()))
    }

    /// The same by the SHA-256 of the origin in hexadecimal, as tlog-witness names logs.
    pub async fn witnessed_by_hash(&self, hash: &str) -> Answered<Option<String>> {
        let mut tx = self.ground.read().await?;
        let mut after = String::new();
        loop {
            let page = tx.kt_witnessed_after(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(None) };
            after.clone_from(&last.origin);
            let named = |origin: &str| HEXLOWER.encode(Digest::of(&[origin.as_bytes()]).as_bytes()) == hash;
            if let Some(log) = page.iter().find(|log| named(&log.origin)) {
                let last = witness::witnessed(tx.as_mut(), &log.origin).await?;
                return Ok(last.map(|last| last.to_string()));
            }
        }
    }

    /// Entries of a log from a place on: of our own one what was signed, of another's what is mirrored here.
    pub async fn entries(
        &self,
        origin: &KeyName,
        first: u64,
        count: usize,
    ) -> Answered<Vec<[u8; ENTRY_BYTES]>> {
        let count = count.min(LOG_ENTRIES);
        let mut tx = self.ground.read().await?;
        if *origin == KeyName::of_log(self.ground.domain()) {
            let rows = tx.kt_entries(first, count).await?;
            return Ok(rows.into_iter().map(|row| row.entry).collect());
        }
        Ok(mirror::entries(tx.as_mut(), origin.as_str(), first, count).await?)
    }

    /// That our log at one size continues it at another.
    pub async fn consistency(&self, old: u64, new: u64) -> Answered<Vec<Digest>> {
        let mut tx = self.ground.read().await?;
        let proof = lookup::consistency(tx.as_mut(), old, new).await?;
        proof.ok_or_else(|| {
            Refusal::new(ErrorCode::NotFound, format!("this log has no trees of {old} and of {new} entries"))
        })
    }
}

struct Cosign {
    ground: Arc<Ground>,
    /// The key to keep, if the log is not known yet.
    log: Option<VerifierKey>,
    request: AddCheckpoint,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Cosign {
    type Output = Judged;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Judged> {
        // Whatever somebody calls the log's key, only one that signed this is kept.
        if let Some(log) = &self.log
            && self.request.checkpoint.signed_by(log).is_err()
        {
            return Ok(Judged::Refused(Box::new(WitnessRefusal::Untrusted.into())));
        }
        if let Some(log) = &self.log
            && let Err(why) = witness::pin(tx, log).await?
        {
            return Ok(Judged::OtherKey(why));
        }
        let Some(key) = self.ground.witness_key() else {
            return Ok(Judged::Refused(Box::new(WitnessRefusal::UnknownOrigin.into())));
        };
        Ok(match witness::cosign(tx, key.signer(), &self.request, self.now).await? {
            Ok(signed) => Judged::Signed(signed),
            Err(refused) => Judged::Refused(Box::new(refused)),
        })
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

fn no_witness() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "this homeserver witnesses no logs")
}

fn refused(why: &str) -> Refusal {
    Refusal::new(ErrorCode::LogRefused, format!("the checkpoint is not cosigned: {why}"))
}

#[cfg(test)]
pub(crate) mod tests;
