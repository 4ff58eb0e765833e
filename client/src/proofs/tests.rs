//! Which receipts count for a message, without a homeserver.

use ed25519_dalek::SigningKey;
use qpq_core::{Clock as _, Digest, Domain, GroupId, Incarnation, OsEntropy, Pin, Seq, SystemClock};
use qpq_proof::{Message, Role, SignedStatement, Terms};

use super::keep;
use crate::{
    ClientError,
    mls::Content,
    store::{NewOutgoing, Target},
    testing::{Somebody, id},
    wire::Receipt,
};

fn group() -> GroupId {
    GroupId::new([3; 16], 1, "gamma.test".parse().unwrap())
}

/// What `domain` says of message 1 with this ciphertext.
fn word(domain: &str, role: Role, ciphertext: &[u8]) -> Receipt {
    let domain: Domain = domain.parse().unwrap();
    let recipient = if role == Role::Accepted { group().hub().clone() } else { domain.clone() };
    let now = SystemClock.now();
    let terms = Terms {
        domain,
        role,
        incarnation: Incarnation::begin(now, &mut OsEntropy::new().unwrap()),
        stream: [1; 16],
        through: Seq(1),
        at: now,
    };
    let others = Message { id: id(2), ciphertext: Digest::ZERO, recipient: recipient.clone() };
    let messages = [Message { id: id(1), ciphertext: Digest::of(&[ciphertext]), recipient }, others];
    let key = SigningKey::from_bytes(&[7; 32]);
    let (signed, places) = SignedStatement::sign(&key, terms, &messages).unwrap();
    let pin = Some(Pin::of_spki(b"key"));
    Receipt { group: group(), signed, messages: vec![(id(1), places[0].clone())], pin }
}

async fn hears(alice: &Somebody, receipt: &Receipt) {
    let home = "alpha.test".parse().unwrap();
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    keep(&mut tx, &home, receipt).await.unwrap();
    tx.commit().await.unwrap();
}

/// Who has proven message 1, and in which role.
async fn proven(alice: &Somebody) -> Vec<(String, &'static str)> {
    let (_, _, judged) = match alice.client.proofs(&id(1)).await {
        Err(ClientError::NotProven { .. }) => return Vec::new(),
        file => file.unwrap().judge().unwrap(),
    };
    assert!(judged.iter().all(|judged| judged.outcome.is_ok()));
    let terms = judged.into_iter().map(|judged| judged.statement.unwrap().terms);
    terms.map(|terms| (terms.domain.to_string(), terms.role.word())).collect()
}

async fn alice_has_sent(ciphertext: &[u8]) -> Somebody {
    let alice = Somebody::called("alice@alpha.test").await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    let content = Content::text("hello", alice.client.now());
    tx.enqueue(&NewOutgoing { id: id(1), target: Target::Group(group()), content }).await.unwrap();
    tx.set_encrypted(&id(1), ciphertext, 1).await.unwrap();
    tx.commit().await.unwrap();
    alice
}

#[tokio::test]
async fn each_domains_first_word_about_what_was_sent_is_kept() {
    let alice = alice_has_sent(b"one").await;
    assert_eq!(proven(&alice).await, []);
    for _ in 0..2 {
        hears(&alice, &word("beta.test", Role::Stored, b"one")).await;
        hears(&alice, &word("alpha.test", Role::Accepted, b"one")).await;
    }
    let both = [("alpha.test".to_owned(), "accepted"), ("beta.test".to_owned(), "stored")];
    assert_eq!(proven(&alice).await, both);
    let unknown = alice.client.proofs(&id(9)).await;
    assert!(matches!(unknown, Err(ClientError::UnknownMessage { .. })), "{unknown:?}");
}

#[tokio::test]
async fn what_is_not_true_of_what_was_sent_is_skipped() {
    let alice = alice_has_sent(b"one").await;
    hears(&alice, &word("beta.test", Role::Stored, b"another")).await;
    hears(&alice, &word("beta.test", Role::Accepted, b"one")).await;
    let mut displaced = word("beta.test", Role::Stored, b"one");
    displaced.messages[0].1.index = 1;
    hears(&alice, &displaced).await;
    assert_eq!(proven(&alice).await, []);
}

#[tokio::test]
async fn a_message_that_is_encrypted_again_is_proven_anew() {
    let alice = alice_has_sent(b"one").await;
    hears(&alice, &word("alpha.test", Role::Accepted, b"one")).await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.requeue(&id(1), alice.client.now(), true).await.unwrap();
    tx.set_encrypted(&id(1), b"two", 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(proven(&alice).await, [], "the first one was never delivered");
    // What is late about the first proves nothing of the second.
    hears(&alice, &word("beta.test", Role::Stored, b"one")).await;
    assert_eq!(proven(&alice).await, []);
    hears(&alice, &word("beta.test", Role::Stored, b"two")).await;
    assert_eq!(proven(&alice).await, [("beta.test".to_owned(), "stored")]);
}
