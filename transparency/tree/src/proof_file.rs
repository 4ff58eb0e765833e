//! A proof that a record is in a log, as a file that anybody checks without a network (C2SP tlog-proof).

use std::fmt;

use qpq_core::Digest;

use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint},
    inclusion::{LONGEST_PATH, is_included},
    note::NOTE_BYTES,
    policy::{Accepted, Policy, PolicyRefusal},
    text::{base64, from_base64, hash_from_base64, number},
};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most bytes of such a file.
pub const PROOF_FILE_BYTES: usize = NOTE_BYTES.saturating_add(16_384);

/// A proof of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// Whatever the reader needs to make the record again; not authenticated.
    pub extra: Option<Vec<u8>>,
    /// The record's place.
    pub index: u64,
    /// The hashes beside its way to the root, the lowest first.
    pub inclusion: Vec<Digest>,
    /// The head that it is in.
    pub checkpoint: SignedCheckpoint,
}

/// Why a file is no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// It is over the limit, or no text.
    #[error("the file is no text of at most {PROOF_FILE_BYTES} bytes")]
    NotText,
    /// The first line is another one.
    #[error("the file does not begin with `{HEADER}`")]
    Header,
    /// The extra data is not base64.
    #[error("the extra data is not base64")]
    Extra,
    /// There is no index.
    #[error("the line with the record's index is missing or wrong")]
    Index,
    /// A line is no hash, or there are too many.
    #[error("a line of the inclusion proof is no hash, or there are more than {LONGEST_PATH}")]
    Inclusion,
    /// What follows is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileRefusal {
    /// The checkpoint is not signed as the policy wants.
    #[error(transparent)]
    Policy(#[from] PolicyRefusal),
    /// The record is not in the tree.
    #[error("the record is not in the log at this place")]
    NotIncluded,
}

impl ProofFile {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        let fits = bytes.len() <= PROOF_FILE_BYTES;
        let text = fits.then(|| std::str::from_utf8(bytes).ok()).flatten().ok_or(ProofFileError::NotText)?;
        let mut rest = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(ProofFileError::Header)?;
        let mut extra = None;
        if let Some(behind) = rest.strip_prefix("extra ") {
            let (encoded, behind) = behind.split_once('\n').ok_or(ProofFileError::Extra)?;
            extra = Some(from_base64(encoded).ok_or(ProofFileError::Extra)?);
            rest = behind;
        }
        let (line, mut rest) = rest.split_once('\n').ok_or(ProofFileError::Index)?;
        let index = line.strip_prefix("index ").and_then(number).ok_or(ProofFileError::Index)?;
        let mut inclusion = Vec::new();
        loop {
            let (line, behind) = rest.split_once('\n').ok_or(ProofFileError::Inclusion)?;
            rest = behind;
            if line.is_empty() {
                break;
            }
            if inclusion.len() == LONGEST_PATH {
                return Err(ProofFileError::Inclusion);
            }
            inclusion.push(hash_from_base64(line).ok_or(ProofFileError::Inclusion)?);
        }
        let checkpoint = SignedCheckpoint::parse(rest.as_bytes())?;
        Ok(Self { extra, index, inclusion, checkpoint })
    }

    /// Whether the leaf of this hash is in a log that the policy accepts.
    pub fn verify(&self, leaf: &Digest, policy: &Policy) -> Result<Accepted, ProofFileRefusal> {
        let accepted = policy.accepts(&self.checkpoint)?;
        let head = self.checkpoint.head();
        if is_included(leaf, self.index, head.size, &self.inclusion, &head.root) {
            Ok(accepted)
        } else {
            Err(ProofFileRefusal::NotIncluded)
        }
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.inclusion.iter().try_for_each(|hash| writeln!(f, "{}", base64(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::{LogSigner, TreeHead, inclusion_paths, leaf_hash};

    fn proof() -> (Digest, Policy, ProofFile) {
        let leaves: Vec<Digest> = (0..9_u8).map(|n| leaf_hash(&[n])).collect();
        let (root, mut paths) = inclusion_paths(&leaves);
        let log = LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
        let checkpoint = SignedCheckpoint::sign(&log, TreeHead { size: 9, root });
        let policy = Policy::of_log(log.verifier().clone(), &[]);
        let file =
            ProofFile { extra: Some(b"value".to_vec()), index: 5, inclusion: paths.remove(5), checkpoint };
        (leaves[5], policy, file)
    }

    #[test]
    fn a_proof_convinces_whoever_has_the_policy() {
        let (leaf, policy, file) = proof();
        let read = ProofFile::parse(file.to_string().as_bytes()).unwrap();
        assert_eq!(read, file);
        assert!(read.verify(&leaf, &policy).is_ok());
        assert_eq!(read.verify(&leaf_hash(b"other"), &policy), Err(ProofFileRefusal::NotIncluded));
        let moved = ProofFile { index: 4, ..read.clone() };
        assert_eq!(moved.verify(&leaf, &policy), Err(ProofFileRefusal::NotIncluded));
        let stranger = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
        let other = Policy::of_log(stranger.verifier().clone(), &[]);
        assert!(matches!(read.verify(&leaf, &other), Err(ProofFileRefusal::Policy(_))));
    }

    #[test]
    fn what_is_no_proof_says_why() {
        let good = proof().2.to_string();
        let hash = good.lines().nth(3).unwrap();
        let cases = [
            (good.replace("@v1", "@v2"), ProofFileError::Header),
            (good.replace("extra dm", "extra d="), ProofFileError::Extra),
            (good.replace("index 5", "index 05"), ProofFileError::Index),
            (good.replace("index 5\n", ""), ProofFileError::Index),
            (good.replace(hash, "AAAA"), ProofFileError::Inclusion),
            (good.replace(hash, &vec![hash; 65].join("\n")), ProofFileError::Inclusion),
            ("x".repeat(PROOF_FILE_BYTES + 1), ProofFileError::NotText),
        ];
        for (text, error) in cases {
            assert_eq!(ProofFile::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_change_is_read_as_it_is_or_refused(at: prop::sample::Index, byte: u8) {
            let mut bytes = proof().2.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(file) = ProofFile::parse(&bytes) {
                prop_assert_eq!(file.to_string().into_bytes(), bytes);
            }
        }
    }
}
