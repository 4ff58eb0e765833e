//! A true statement about two messages.

use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Domain, Incarnation, MessageId, SeededEntropy, Seq, Timestamp};
use qpq_proof::{Message, Place, Role, SignedStatement, Terms};

/// The message that [`signed`] has first.
pub fn message(n: u8) -> Message {
    Message { id: MessageId::from_bytes([n; 16]), ciphertext: Digest::of(&[&[n]]), recipient: beta() }
}

fn beta() -> Domain {
    "beta.test".parse().expect("a domain")
}

/// Beta's word that it stored messages 1 and 2.
pub fn signed() -> (SignedStatement, Vec<Place>) {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let terms = Terms {
        domain: beta(),
        role: Role::Stored,
        incarnation: Incarnation::begin(at, &mut SeededEntropy::new(1)),
        stream: [3; 16],
        through: Seq(9),
        at,
    };
    let key = SigningKey::from_bytes(&[7; 32]);
    SignedStatement::sign(&key, terms, &[message(1), message(2)]).expect("two messages")
}
