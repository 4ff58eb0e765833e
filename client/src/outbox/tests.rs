//! What may go out, and in which order, without a homeserver.

use qpq_core::{Address, Millis};

use super::Waiting;
use crate::{
    mls::Content,
    store::{GroupRecord, GroupState, NewOutgoing, Target},
    testing::{Somebody, conversation, id},
};

/// A message that was refused for a while belongs to its group, the ones behind it still to their user. If those went
/// first, it would come after more of them than its readers keep keys for, and nobody could read it.
#[tokio::test]
async fn nothing_overtakes_a_message_that_waits() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    alice.knows(&bob).await;
    let user: Address = "bob@beta.test".parse().unwrap();
    let mut talk = conversation(&alice, &bob).await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.save_group_record(&GroupRecord {
        id: talk.id.clone(),
        name: None,
        peer: Some(user.clone()),
        state: GroupState::Active,
        since: alice.client.now(),
    })
    .await
    .unwrap();
    tx.save_group(&mut talk.alice).await.unwrap();
    for n in 1..=3 {
        let (target, content) = (Target::User(user.clone()), Content::text("hello", alice.client.now()));
        tx.enqueue(&NewOutgoing { id: id(n), target, content }).await.unwrap();
    }
    tx.set_encrypted(&id(1), b"ciphertext", 1).await.unwrap();
    tx.set_target_group(&id(1), &talk.id).await.unwrap();
    tx.requeue(&id(1), alice.client.now().after(Millis::from_secs(60)), false).await.unwrap();
    tx.commit().await.unwrap();

    let ready = async || {
        let prepared = alice.client.prepare(&Waiting::default()).await.unwrap();
        assert!(prepared.open.is_empty(), "the conversation is there");
        prepared.submits.into_iter().map(|submit| submit.id).collect::<Vec<_>>()
    };
    assert_eq!(ready().await, []);

    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.requeue(&id(1), alice.client.now(), false).await.unwrap();
    tx.commit().await.unwrap();
    alice.client.prove(&talk.id).await.unwrap();
    assert_eq!(ready().await, [id(1), id(2), id(3)]);
}
