//! A log's word on what is newest: signed, so that it is evidence if it was a lie.
//!
//! The tree proves that an entry is there, not that none came after it. Until a map proves that, the log signs it: two
//! claims that can't both be true, or a claim beside a later entry with an earlier time, show the lie to anybody.

use qpq_core::{
    Digest, Timestamp,
    codec::{CodecError, Reader},
};

use crate::{
    checkpoint::TreeHead,
    key::{LogSigner, VerifierKey},
    label::LabelId,
    name::{KeyName, NAME_BYTES},
};

const LABEL: &[u8; 12] = b"kt-latest/v1";

/// What is newest of one label, in one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestClaim {
    /// The log.
    pub origin: KeyName,
    /// The label.
    pub label_id: LabelId,
    /// Its newest version and the hash of its leaf; `None` if there is no entry of it.
    pub latest: Option<(u32, Digest)>,
    /// The same of the log's CONFIG, so that none of those is withheld either.
    pub config: (u32, Digest),
    /// The tree that is spoken of.
    pub head: TreeHead,
    /// When.
    pub time: Timestamp,
}

impl LatestClaim {
    /// The signed bytes:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 12 | `"kt-latest/v1"` |
    /// | 2, n | length, origin |
    /// | 32 | label id |
    /// | 1 | 1 if there is a version, 0 if the label is absent |
    /// | 4, 32 | version and leaf hash, or zeros |
    /// | 4, 32 | version and leaf hash of the CONFIG |
    /// | 8 | size of the tree |
    /// | 32 | its root |
    /// | 8 | time, ms |
    pub fn to_bytes(&self) -> Vec<u8> {
        let origin = self.origin.as_str().as_bytes();
        let mut out = LABEL.to_vec();
        out.extend_from_slice(&u16::try_from(origin.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(origin);
        out.extend_from_slice(self.label_id.as_bytes());
        out.push(u8::from(self.latest.is_some()));
        for (version, leaf) in [self.latest.unwrap_or((0, Digest::ZERO)), self.config] {
            out.extend_from_slice(&version.to_be_bytes());
            out.extend_from_slice(leaf.as_bytes());
        }
        out.extend_from_slice(&self.head.size.to_be_bytes());
        out.extend_from_slice(self.head.root.as_bytes());
        out.extend_from_slice(&self.time.as_millis().to_be_bytes());
        out
    }

    /// Reads such bytes; what is read encodes to the same bytes again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        if reader.array::<12>()? != *LABEL {
            return Err(CodecError::Invalid("the label"));
        }
        let length = usize::from(reader.u16()?);
        if length > NAME_BYTES {
            return Err(CodecError::TooLarge("the origin"));
        }
        let origin = std::str::from_utf8(reader.take(length)?).ok().and_then(|name| name.parse().ok());
        let origin = origin.ok_or(CodecError::Invalid("the origin"))?;
        let label_id = LabelId::from_bytes(reader.array()?);
        let there = reader.u8()?;
        let named = (reader.u32()?, Digest::from_bytes(reader.array()?));
        let latest = match there {
            0 if named == (0, Digest::ZERO) => None,
            1 => Some(named),
            _ => return Err(CodecError::Invalid("the version")),
        };
        let config = (reader.u32()?, Digest::from_bytes(reader.array()?));
        let head = TreeHead { size: reader.u64()?, root: Digest::from_bytes(reader.array()?) };
        let time = Timestamp::from_millis(reader.u64()?);
        reader.finish()?;
        Ok(Self { origin, label_id, latest, config, head, time })
    }

    /// Signs it; the log's key must be that of [`origin`](Self::origin).
    pub fn sign(self, log: &LogSigner) -> SignedClaim {
        let signature = log.sign_labelled(&self.to_bytes());
        SignedClaim { claim: self, signature }
    }
}

/// A claim with a signature that is still to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedClaim {
    /// What is claimed.
    pub claim: LatestClaim,
    /// Ed25519 by the log's key over [`LatestClaim::to_bytes`].
    pub signature: [u8; 64],
}

impl SignedClaim {
    /// Whether it is the word of this log.
    pub fn holds(&self, log: &VerifierKey) -> bool {
        self.claim.origin == *log.name() && log.verify_bytes(&self.claim.to_bytes(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn log(n: u8) -> LogSigner {
        LogSigner::new("alpha.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[n; 32]))
    }

    fn claim(version: Option<u32>) -> LatestClaim {
        LatestClaim {
            origin: "alpha.test/kt/v1".parse().unwrap(),
            label_id: LabelId::from_bytes([4; 32]),
            latest: version.map(|version| (version, Digest::of(&[b"leaf"]))),
            config: (2, Digest::of(&[b"config"])),
            head: TreeHead { size: 11, root: Digest::of(&[b"r"]) },
            time: Timestamp::from_millis(1_800_000_000_000),
        }
    }

    #[test]
    fn a_claim_is_the_word_of_its_log_only() {
        let signed = claim(Some(3)).sign(&log(1));
        assert!(signed.holds(log(1).verifier()));
        assert!(!signed.holds(log(2).verifier()));
        let other = SignedClaim { claim: claim(None), ..signed };
        assert!(!other.holds(log(1).verifier()));
        let foreign = LogSigner::new("beta.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
        assert!(!claim(None).sign(&foreign).holds(foreign.verifier()));
    }

    #[test]
    fn claims_round_trip() {
        for claim in [claim(None), claim(Some(0)), claim(Some(u32::MAX))] {
            assert_eq!(LatestClaim::from_bytes(&claim.to_bytes()), Ok(claim));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut bytes = claim(Some(1)).to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Ok(claim) = LatestClaim::from_bytes(&bytes) {
                prop_assert_eq!(claim.to_bytes(), bytes);
            }
        }
    }
}
