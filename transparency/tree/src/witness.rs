//! What a witness is asked, and when it signs (C2SP tlog-witness).
//!
//! A witness keeps one head per log: the last that it cosigned. It signs the next one only if that one is behind, or is
//! the same; so nobody who asks for its signature can be shown another history than it has seen.

use std::fmt;

use qpq_core::Digest;

use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint, TreeHead},
    consistency::is_consistent,
    key::VerifierKey,
    note::NOTE_BYTES,
    text::{base64, hash_from_base64, number},
};

/// The most hashes of a consistency proof.
pub const PROOF_LINES: usize = 63;
/// The most bytes of a request: the longest note, and a proof of 45 bytes a line.
pub const REQUEST_BYTES: usize = NOTE_BYTES.saturating_add(4_096);

/// The body of `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the head that the asker believes the witness cosigned last; 0 for none.
    pub old_size: u64,
    /// The consistency proof from there (RFC 6962, section 2.1.2).
    pub proof: Vec<Digest>,
    /// What is to be cosigned.
    pub checkpoint: SignedCheckpoint,
}

/// Why a witness doesn't sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// The request can't be read, or speaks of an old size beyond the new one (400).
    #[error("the request can't be read: {0}")]
    Malformed(#[from] AddCheckpointError),
    /// The witness doesn't follow this log (404).
    #[error("this log is not witnessed here")]
    UnknownOrigin,
    /// The log's key didn't sign (403).
    #[error("the checkpoint is not signed by the log's key")]
    Untrusted,
    /// The asker is wrong about what was cosigned last (409).
    #[error("the last checkpoint cosigned here has {size} entries")]
    Conflict {
        /// The size that was.
        size: u64,
    },
    /// Two heads of one size: the log has two histories (409).
    #[error("another root was cosigned here for {size} entries: the log has two histories")]
    Fork {
        /// The size of both.
        size: u64,
    },
    /// The proof doesn't lead from the old head to the new one (422).
    #[error("the proof does not lead from the checkpoint that was cosigned last to this one")]
    Inconsistent,
}

impl WitnessRefusal {
    /// The HTTP status that tlog-witness gives it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Untrusted => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } | Self::Fork { .. } => 409,
            Self::Inconsistent => 422,
        }
    }
}

/// Why a request is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// It is over the limit, or no text.
    #[error("it is no text of at most {REQUEST_BYTES} bytes")]
    NotText,
    /// The first line is not `old <size>`.
    #[error("its first line is not `old` and a size")]
    OldSize,
    /// A line of the proof is no hash.
    #[error("line {0} of the proof is no hash in base64")]
    Hash(usize),
    /// The proof has more lines than any tree needs.
    #[error("the proof has more than {PROOF_LINES} lines")]
    TooManyHashes,
    /// What follows the empty line is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The old size is beyond the new one.
    #[error("the old size {old} is beyond the checkpoint's {new}")]
    Backwards {
        /// The size asked from.
        old: u64,
        /// The size of the checkpoint.
        new: u64,
    },
}

impl AddCheckpoint {
    /// Reads a request's body.
    pub fn parse(bytes: &[u8]) -> Result<Self, AddCheckpointError> {
        let short = bytes.len() <= REQUEST_BYTES;
        let text =
            short.then(|| std::str::from_utf8(bytes).ok()).flatten().ok_or(AddCheckpointError::NotText)?;
        let (first, mut rest) = text.split_once('\n').ok_or(AddCheckpointError::OldSize)?;
        let old_size = first.strip_prefix("old ").and_then(number).ok_or(AddCheckpointError::OldSize)?;
        let mut proof = Vec::new();
        loop {
            let line_number = proof.len().saturating_add(1);
            let (line, behind) = rest.split_once('\n').ok_or(AddCheckpointError::Hash(line_number))?;
            rest = behind;
            if line.is_empty() {
                break;
            }
            if proof.len() == PROOF_LINES {
                return Err(AddCheckpointError::TooManyHashes);
            }
            proof.push(hash_from_base64(line).ok_or(AddCheckpointError::Hash(line_number))?);
        }
        let checkpoint = SignedCheckpoint::parse(rest.as_bytes())?;
        let new = checkpoint.head().size;
        if old_size > new {
            return Err(AddCheckpointError::Backwards { old: old_size, new });
        }
        Ok(Self { old_size, proof, checkpoint })
    }

    /// Whether a witness that knows the log by `log` and cosigned `last` may cosign this.
    ///
    /// If so it keeps the new head instead of `last`, in one step with this look at it, and signs only then.
    pub fn judge(&self, log: &VerifierKey, last: Option<TreeHead>) -> Result<TreeHead, WitnessRefusal> {
        let origin = &self.checkpoint.checkpoint().origin;
        if origin != log.name() {
            return Err(WitnessRefusal::UnknownOrigin);
        }
        self.checkpoint.signed_by(log).map_err(|_| WitnessRefusal::Untrusted)?;
        let new = self.checkpoint.head();
        // Nothing was cosigned: any tree is consistent with the empty one.
        let last = last.unwrap_or_else(|| TreeHead { size: 0, root: crate::root(&[]) });
        if self.old_size != last.size {
            return Err(WitnessRefusal::Conflict { size: last.size });
        }
        if new.size == last.size && new.root != last.root {
            return Err(WitnessRefusal::Fork { size: last.size });
        }
        if is_consistent(last.size, &last.root, new.size, &new.root, &self.proof) {
            Ok(new)
        } else {
            Err(WitnessRefusal::Inconsistent)
        }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", base64(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::{LogSigner, leaf_hash, root};

    fn signer(n: u8) -> LogSigner {
        LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[n; 32]))
    }

    fn head(count: usize) -> TreeHead {
        let leaves: Vec<Digest> = (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        TreeHead { size: u64::try_from(count).unwrap(), root: root(&leaves) }
    }

    /// From 3 to 4 leaves (RFC 6962, section 2.1.3): the third leaf, the fourth, and the first two.
    fn from_three_to_four() -> Vec<Digest> {
        let leaf = |n: usize| leaf_hash(&n.to_be_bytes());
        vec![leaf(2), leaf(3), root(&[leaf(0), leaf(1)])]
    }

    fn ask(old_size: u64, proof: Vec<Digest>, new: TreeHead) -> AddCheckpoint {
        AddCheckpoint { old_size, proof, checkpoint: SignedCheckpoint::sign(&signer(1), new) }
    }

    #[test]
    fn a_log_that_grows_is_cosigned() {
        let key = signer(1).verifier().clone();
        assert_eq!(ask(0, vec![], head(3)).judge(&key, None), Ok(head(3)));
        let grown = ask(3, from_three_to_four(), head(4));
        assert_eq!(grown.judge(&key, Some(head(3))), Ok(head(4)));
        assert_eq!(ask(4, vec![], head(4)).judge(&key, Some(head(4))), Ok(head(4)));
        assert_eq!(AddCheckpoint::parse(grown.to_string().as_bytes()), Ok(grown));
    }

    #[test]
    fn everything_else_is_refused_with_its_status() {
        let (key, other_key) = (signer(1).verifier().clone(), signer(2).verifier().clone());
        let other_log = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
        let forked = TreeHead { root: Digest::ZERO, ..head(3) };
        let grown = ask(3, from_three_to_four(), head(4));
        let mut short = grown.clone();
        short.proof.pop();
        let mut long = grown.clone();
        long.proof.push(Digest::ZERO);
        let cases = [
            (&grown, other_log.verifier(), Some(head(3)), WitnessRefusal::UnknownOrigin, 404),
            (&grown, &other_key, Some(head(3)), WitnessRefusal::Untrusted, 403),
            (&grown, &key, None, WitnessRefusal::Conflict { size: 0 }, 409),
            (&grown, &key, Some(head(4)), WitnessRefusal::Conflict { size: 4 }, 409),
            (&grown, &key, Some(forked), WitnessRefusal::Inconsistent, 422),
            (&short, &key, Some(head(3)), WitnessRefusal::Inconsistent, 422),
            (&long, &key, Some(head(3)), WitnessRefusal::Inconsistent, 422),
        ];
        for (request, log, last, refusal, status) in cases {
            assert_eq!(request.judge(log, last), Err(refusal.clone()), "{refusal}");
            assert_eq!(refusal.status(), status);
        }
        let fork = ask(3, vec![], forked).judge(&key, Some(head(3)));
        assert_eq!(fork, Err(WitnessRefusal::Fork { size: 3 }));
    }

    #[test]
    fn what_is_no_request_says_why() {
        let good = ask(3, from_three_to_four(), head(4)).to_string();
        let hash = good.lines().nth(1).unwrap();
        let cases = [
            (good.replace("old 3", "old 03"), AddCheckpointError::OldSize),
            (good.replace("old 3", "old"), AddCheckpointError::OldSize),
            (good.replace(hash, "AAAA"), AddCheckpointError::Hash(1)),
            (good.replace(hash, &format!("{hash} ")), AddCheckpointError::Hash(1)),
            (good.replace(hash, &vec![hash; 70].join("\n")), AddCheckpointError::TooManyHashes),
            (good.replace("old 3", "old 5"), AddCheckpointError::Backwards { old: 5, new: 4 }),
            (format!("old 3\n{}", "x".repeat(REQUEST_BYTES)), AddCheckpointError::NotText),
            ("old 3\n".to_owned(), AddCheckpointError::Hash(1)),
        ];
        for (text, error) in cases {
            assert_eq!(AddCheckpoint::parse(text.as_bytes()), Err(error), "{text}");
        }
        let cut = AddCheckpoint::parse(b"old 3\n\n");
        assert!(matches!(cut, Err(AddCheckpointError::Checkpoint(_))), "{cut:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(request) = AddCheckpoint::parse(&bytes) {
                prop_assert_eq!(request.to_string().into_bytes(), bytes);
            }
        }
    }
}
