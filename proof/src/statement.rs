//! What a domain signs: which messages, in which role, when.

use ed25519_dalek::{Signer, SigningKey};
use qpq_core::{
    Digest, Domain, FederationKey, Incarnation, Seq, Timestamp,
    codec::{CodecError, Reader, put_text},
};
use qpq_transparency_tree::is_included;

use crate::tree::{MOST_LEAVES, Message, Place, plant};

const LABEL: &[u8; 12] = b"qpq/proof/v1";

/// What a domain says that it did with the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The sender's homeserver took them over: they were durable there (1).
    Accepted,
    /// The domain has stored them for its users, or as the hub in the group's log (2).
    Stored,
}

impl Role {
    /// The number in the signed bytes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Accepted => 1,
            Self::Stored => 2,
        }
    }

    /// The role of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Accepted),
            2 => Some(Self::Stored),
            _ => None,
        }
    }

    /// The word for people: what the domain did.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stored => "stored",
        }
    }
}

/// What the signer decides; the key and the tree come with signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who speaks.
    pub domain: Domain,
    /// What it did.
    pub role: Role,
    /// The life that numbers the stream's rows: of the domain that they come from.
    pub incarnation: Incarnation,
    /// The stream that the messages travel in, 16 bytes; it names both domains and the group to who knows them.
    pub stream: [u8; 16],
    /// The last row of the stream that is covered; [`Seq::ZERO`] for accepted messages, which have no number yet.
    pub through: Seq,
    /// When the domain took them, just before they were durable there.
    pub at: Timestamp,
}

/// A statement as it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What the signer decided.
    pub terms: Terms,
    /// The key that it signs with.
    pub key: FederationKey,
    /// How many messages are covered.
    pub leaves: u32,
    /// The root over them.
    pub root: Digest,
}

/// Why something proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The statement's bytes are no statement.
    #[error("the statement can't be read: {0}")]
    Unreadable(#[from] CodecError),
    /// The signature is not the named key's.
    #[error("the signature is not that of the key that the statement names")]
    Signature,
    /// The message is not among those that the statement covers.
    #[error("the message is not among those that the statement covers")]
    NotCovered,
    /// A domain stores for itself only.
    #[error("the statement speaks of what another domain stored")]
    Recipient,
}

impl Statement {
    /// The signed bytes:
    ///
    /// | bytes | what |
    /// |---|---|
    /// | 12 | `"qpq/proof/v1"` |
    /// | 1, n | length, domain |
    /// | 32 | federation key |
    /// | 1 | role: 1 accepted, 2 stored |
    /// | 16 | incarnation |
    /// | 16 | stream |
    /// | 8 | last row of the stream that is covered, or 0 |
    /// | 8 | time, ms |
    /// | 4 | number of messages |
    /// | 32 | Merkle root (RFC 6962, section 2.1) |
    pub fn to_bytes(&self) -> Vec<u8> {
        let Terms { domain, role, incarnation, stream, through, at } = &self.terms;
        let mut out = LABEL.to_vec();
        put_text(&mut out, domain.as_str());
        out.extend_from_slice(self.key.as_bytes());
        out.push(role.number());
        out.extend_from_slice(&incarnation.to_bytes());
        out.extend_from_slice(stream);
        out.extend_from_slice(&through.0.to_be_bytes());
        out.extend_from_slice(&at.as_millis().to_be_bytes());
        out.extend_from_slice(&self.leaves.to_be_bytes());
        out.extend_from_slice(self.root.as_bytes());
        out
    }

    /// Reads such bytes; what is read encodes to the same bytes again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        if reader.array::<12>()? != *LABEL {
            return Err(CodecError::Invalid("the label"));
        }
        let domain = reader.domain("the domain")?;
        let key = FederationKey::from_bytes(reader.array()?);
        let role = Role::from_number(reader.u8()?).ok_or(CodecError::Invalid("the role"))?;
        let incarnation =
            Incarnation::from_slice(&reader.array::<16>()?).ok_or(CodecError::Invalid("the incarnation"))?;
        let stream = reader.array()?;
        let through = Seq(reader.u64()?);
        let at = Timestamp::from_millis(reader.u64()?);
        let leaves = reader.u32()?;
        let root = Digest::from_bytes(reader.array()?);
        reader.finish()?;
        if leaves == 0 || usize::try_from(leaves).is_ok_and(|leaves| leaves > MOST_LEAVES) {
            return Err(CodecError::Invalid("the number of messages"));
        }
        let terms = Terms { domain, role, incarnation, stream, through, at };
        let statement = Self { terms, key, leaves, root };
        // A time that can't be held exactly would read as another one.
        if statement.to_bytes() == bytes { Ok(statement) } else { Err(CodecError::Invalid("a number")) }
    }
}

/// A statement whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    statement: Statement,
    signature: [u8; 64],
}

impl SignedStatement {
    /// Signs a statement about messages and says where each of them is in its tree; nothing of none.
    pub fn sign(key: &SigningKey, terms: Terms, messages: &[Message]) -> Option<(Self, Vec<Place>)> {
        if messages.is_empty() {
            return None;
        }
        let (leaves, root, places) = plant(messages);
        let key_bytes = FederationKey::from_bytes(key.verifying_key().to_bytes());
        let statement = Statement { terms, key: key_bytes, leaves, root };
        let signature = key.sign(&statement.to_bytes()).to_bytes();
        Some((Self { statement, signature }, places))
    }

    /// Reads a statement that came from elsewhere and checks its signature under the key that it names.
    pub fn from_parts(statement: &[u8], signature: [u8; 64]) -> Result<Self, ProofError> {
        let read = Statement::from_bytes(statement)?;
        if read.key.verifies(statement, &signature) {
            Ok(Self { statement: read, signature })
        } else {
            Err(ProofError::Signature)
        }
    }

    /// Whether it covers this message.
    pub fn covers(&self, message: &Message, place: &Place) -> Result<(), ProofError> {
        let Statement { terms, leaves, root, .. } = &self.statement;
        if terms.role == Role::Stored && message.recipient != terms.domain {
            return Err(ProofError::Recipient);
        }
        let (index, size) = (u64::from(place.index), u64::from(*leaves));
        if is_included(&message.leaf(), index, size, &place.path, root) {
            Ok(())
        } else {
            Err(ProofError::NotCovered)
        }
    }

    /// What is signed.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The signature, Ed25519 over [`Statement::to_bytes`].
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use qpq_core::{MessageId, SeededEntropy};

    use super::*;

    pub(crate) fn signer() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    pub(crate) fn terms(role: Role) -> Terms {
        let at = Timestamp::from_millis(1_800_000_000_000);
        Terms {
            domain: "beta.test".parse().unwrap(),
            role,
            incarnation: Incarnation::begin(at, &mut SeededEntropy::new(1)),
            stream: [3; 16],
            through: Seq(9),
            at,
        }
    }

    pub(crate) fn message(n: u8) -> Message {
        Message {
            id: MessageId::from_bytes([n; 16]),
            ciphertext: Digest::of(&[&[n]]),
            recipient: "beta.test".parse().unwrap(),
        }
    }

    #[test]
    fn each_message_of_a_batch_is_proven() {
        let messages: Vec<Message> = (0..21).map(message).collect();
        let (signed, places) = SignedStatement::sign(&signer(), terms(Role::Stored), &messages).unwrap();
        let again = SignedStatement::from_parts(&signed.statement().to_bytes(), *signed.signature()).unwrap();
        assert_eq!(again, signed);
        for (message, place) in messages.iter().zip(&places) {
            assert_eq!(again.covers(message, place), Ok(()));
            let other = Message { ciphertext: Digest::ZERO, ..message.clone() };
            assert_eq!(again.covers(&other, place), Err(ProofError::NotCovered));
        }
        assert_eq!(again.covers(&messages[0], &places[1]), Err(ProofError::NotCovered));
        assert_eq!(SignedStatement::sign(&signer(), terms(Role::Stored), &[]), None);
    }

    #[test]
    fn a_domain_stores_for_itself_only() {
        let elsewhere = Message { recipient: "gamma.test".parse().unwrap(), ..message(1) };
        let batch = [elsewhere.clone()];
        let (signed, places) = SignedStatement::sign(&signer(), terms(Role::Stored), &batch).unwrap();
        assert_eq!(signed.covers(&elsewhere, &places[0]), Err(ProofError::Recipient));
        let (signed, places) = SignedStatement::sign(&signer(), terms(Role::Accepted), &batch).unwrap();
        assert_eq!(signed.covers(&elsewhere, &places[0]), Ok(()));
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_another_statement(bit: prop::sample::Index) {
            let (signed, _) = SignedStatement::sign(&signer(), terms(Role::Stored), &[message(1)]).unwrap();
            let mut bytes = signed.statement().to_bytes();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(SignedStatement::from_parts(&bytes, *signed.signature()).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(statement) = Statement::from_bytes(&bytes) {
                prop_assert_eq!(statement.to_bytes(), bytes);
            }
        }
    }
}
