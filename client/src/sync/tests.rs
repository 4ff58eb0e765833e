//! The batches of a device without a homeserver: real MLS, a real store, deliveries made by hand.

use std::collections::BTreeSet;

use qpq_core::{ErrorCode, GroupId, Timestamp};

use super::{Trees, batch::Outcome, settle_refusal};
use crate::{
    error::Refusal,
    mls::Content,
    store::{Feed, GroupRecord, GroupState, NewOutgoing, OutgoingState, Target},
    testing::{Somebody, at, conversation, id},
    wire::{Delivery, DeliveryBody},
};

impl Somebody {
    async fn takes(&self, deliveries: &[Delivery], trees: Trees) -> Outcome {
        self.client.store_batch(deliveries, trees, BTreeSet::new(), &BTreeSet::new()).await.unwrap()
    }
}

#[tokio::test]
async fn an_invitation_leads_to_messages_and_each_is_shown_once() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    bob.knows(&alice).await;
    let mut talk = conversation(&alice, &bob).await;
    let (first, second) = (talk.says(&alice, 2, "one"), talk.says(&alice, 3, "two"));

    let outcome = bob.takes(&[talk.welcome.clone()], talk.trees.clone()).await;
    assert!(outcome.progress.again && outcome.positions.len() == 2);
    let outcome = bob.takes(&[first.clone(), second.clone()], Trees::new()).await;
    assert_eq!(outcome.messages, 2);
    // The acknowledgement got lost: everything comes again, the invitation too.
    let outcome = bob.takes(&[talk.welcome.clone(), first, second], talk.trees.clone()).await;
    assert_eq!((outcome.messages, outcome.positions.len()), (0, 2));
    assert_eq!(bob.texts().await, ["one", "two"]);
    let groups = bob.client.groups().await.unwrap();
    assert_eq!(groups.first().unwrap().peer, Some("alice@alpha.test".parse().unwrap()));
    let last = bob.client.unread(10).await.unwrap().pop().unwrap();
    bob.client.mark_shown(&last).await.unwrap();
    assert!(bob.texts().await.is_empty());
}

#[tokio::test]
async fn messages_wait_for_their_invitation() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    bob.knows(&alice).await;
    let mut talk = conversation(&alice, &bob).await;
    let early = talk.says(&alice, 2, "early");
    let outcome = bob.takes(std::slice::from_ref(&early), Trees::new()).await;
    assert!(outcome.progress.held && outcome.positions.is_empty());
    // The tree can't be had at this moment: nothing is used up.
    let outcome = bob.takes(&[talk.welcome.clone()], Trees::new()).await;
    assert!(outcome.progress.held && outcome.positions.is_empty());
    bob.takes(&[talk.welcome.clone(), early], talk.trees.clone()).await;
    assert_eq!(bob.texts().await, ["early"]);
}

#[tokio::test]
async fn nothing_is_shown_from_a_device_that_its_account_has_not_signed() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    let mut talk = conversation(&alice, &bob).await;
    let message = talk.says(&alice, 2, "trust me");
    bob.takes(&[talk.welcome.clone(), message], talk.trees.clone()).await;
    assert!(bob.texts().await.is_empty());
}

#[tokio::test]
async fn a_batch_that_is_not_stored_is_read_again() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    bob.knows(&alice).await;
    let mut talk = conversation(&alice, &bob).await;
    bob.takes(&[talk.welcome.clone()], talk.trees.clone()).await;
    let message = talk.says(&alice, 2, "again");
    {
        // Decrypted, and then the call is cancelled before anything is stored.
        let me = bob.client.me().unwrap();
        let mut turn = bob.client.turn().await;
        let mut tx = bob.client.inner.store.begin().await.unwrap();
        let mut batch = super::batch::Batch::new(&me, Trees::new(), BTreeSet::new(), bob.client.now());
        batch.take(&mut turn, &mut tx, &message).await.unwrap();
        batch.save(&mut turn, &mut tx).await.unwrap();
    }
    assert!(bob.texts().await.is_empty());
    bob.takes(&[message], Trees::new()).await;
    assert_eq!(bob.texts().await, ["again"]);
}

#[tokio::test]
async fn a_refused_message_is_encrypted_again_tried_later_or_given_up() {
    let alice = Somebody::called("alice@alpha.test").await;
    let group = GroupId::new([3; 16], 1, "alpha.test".parse().unwrap());
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.save_group_record(&GroupRecord {
        id: group.clone(),
        name: None,
        peer: None,
        state: GroupState::Active,
        since: alice.client.now(),
    })
    .await
    .unwrap();
    for n in 1..=5 {
        tx.enqueue(&NewOutgoing {
            id: id(n),
            target: Target::Group(group.clone()),
            content: Content::text("hello", alice.client.now()),
        })
        .await
        .unwrap();
        tx.set_encrypted(&id(n), b"ciphertext", 1).await.unwrap();
        tx.mark_at_home(&id(n), b"ciphertext", alice.client.now()).await.unwrap();
    }
    for n in 4..=5 {
        tx.mark_at_hub(&id(n), b"ciphertext", alice.client.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let refused = |n: u8, number: u16, wait: Option<u64>| {
        let code = ErrorCode::from_number(number);
        let retry_after = wait.map(qpq_core::Millis);
        let refusal = Refusal { number, code, text: String::from("no"), retry_after, request: None };
        at(Feed::Mailbox, u64::from(n), DeliveryBody::Refused { group: group.clone(), id: id(n), refusal })
    };
    alice
        .takes(
            &[
                refused(1, 402, None),
                refused(2, 301, Some(60_000)),
                refused(3, 401, None),
                refused(4, 303, None),
                refused(5, 401, None),
            ],
            Trees::new(),
        )
        .await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    let again = tx.outgoing(&id(1)).await.unwrap().unwrap();
    assert!(again.state == OutgoingState::Queued && again.encrypted.is_none());
    let later = tx.outgoing(&id(2)).await.unwrap().unwrap();
    assert!(later.state == OutgoingState::Queued && later.encrypted.is_none());
    assert!(later.not_before > alice.client.now());
    for n in 3..=4 {
        let gone = tx.outgoing(&id(n)).await.unwrap().unwrap();
        assert!(matches!(gone.state, OutgoingState::Failed { .. }), "{n}: {:?}", gone.state);
    }
    tx.mark_at_hub(&id(4), b"ciphertext", alice.client.now()).await.unwrap();
    let gone = tx.outgoing(&id(4)).await.unwrap().unwrap();
    assert!(matches!(gone.state, OutgoingState::Failed { .. }), "its echo is no news");
    let in_the_log = tx.outgoing(&id(5)).await.unwrap().unwrap();
    assert!(matches!(in_the_log.state, OutgoingState::AtHub { .. }), "others have read it");
}

#[tokio::test]
async fn what_was_accepted_is_not_given_up_for_what_a_homeserver_has_forgotten() {
    let alice = Somebody::called("alice@alpha.test").await;
    let home = GroupId::new([3; 16], 1, "alpha.test".parse().unwrap());
    let elsewhere = GroupId::new([4; 16], 1, "beta.test".parse().unwrap());
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    let now = alice.client.now();
    for id in [&home, &elsewhere] {
        let (name, peer, since) = (None, None, now);
        let record = GroupRecord { id: id.clone(), name, peer, state: GroupState::Active, since };
        tx.save_group_record(&record).await.unwrap();
    }
    let [not_found, id_reused, too_old, wrong_epoch, not_allowed] = [102, 103, 402, 400, 401];
    let told = [
        (1, &home, not_found, "at hub"),
        (2, &home, wrong_epoch, "at hub"),
        (3, &home, too_old, "queued"),
        (4, &elsewhere, id_reused, "at hub"),
        (5, &elsewhere, too_old, "encrypted again"),
        (6, &elsewhere, not_allowed, "failed"),
    ];
    for (n, group, ..) in told {
        let (target, content) = (Target::Group(group.clone()), Content::text("hello", now));
        tx.enqueue(&NewOutgoing { id: id(n), target, content }).await.unwrap();
        tx.set_encrypted(&id(n), b"ciphertext", 1).await.unwrap();
        if *group == home {
            tx.mark_at_hub(&id(n), b"ciphertext", now).await.unwrap();
        } else {
            tx.mark_at_home(&id(n), b"ciphertext", now).await.unwrap();
        }
    }
    assert_eq!(tx.offer_again(home.hub(), Timestamp::from_millis(0)).await.unwrap(), told.len());
    // Two are refused in an answer, the others by notices from a mailbox that was put back.
    let refused = |number| Refusal {
        number,
        code: ErrorCode::from_number(number),
        text: String::from("no"),
        retry_after: None,
        request: None,
    };
    for n in [1, 2] {
        settle_refusal(&mut tx, &id(n), &refused(not_found), now).await.unwrap();
    }
    tx.commit().await.unwrap();
    let notices = told.iter().skip(2).map(|(n, group, number, _)| {
        let body = DeliveryBody::Refused { group: (*group).clone(), id: id(*n), refusal: refused(*number) };
        at(Feed::Mailbox, u64::from(*n), body)
    });
    alice.takes(&notices.collect::<Vec<_>>(), Trees::new()).await;
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    for (n, _, _, becomes) in told {
        let known = tx.outgoing(&id(n)).await.unwrap().unwrap();
        let found = match known.state {
            OutgoingState::Queued if known.encrypted.is_none() => "encrypted again",
            OutgoingState::Queued => "queued",
            OutgoingState::AtHome { .. } => "at home",
            OutgoingState::AtHub { .. } => "at hub",
            OutgoingState::Failed { .. } => "failed",
        };
        assert_eq!(found, becomes, "{n}");
    }
}

#[tokio::test]
async fn the_echo_of_a_returned_message_is_not_taken_for_the_one_that_is_still_to_go() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    let mut talk = conversation(&alice, &bob).await;
    let echo = talk.says(&alice, 2, "hello");
    let DeliveryBody::Application { message, .. } = &echo.body else { panic!("a message") };
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    let record = GroupRecord {
        id: talk.id.clone(),
        name: None,
        peer: None,
        state: GroupState::Active,
        since: alice.client.now(),
    };
    tx.save_group_record(&record).await.unwrap();
    tx.save_group(&mut talk.alice).await.unwrap();
    let content = Content::text("hello", alice.client.now());
    tx.enqueue(&NewOutgoing { id: id(2), target: Target::Group(talk.id.clone()), content }).await.unwrap();
    tx.set_encrypted(&id(2), message, 1).await.unwrap();
    tx.mark_at_hub(&id(2), message, alice.client.now()).await.unwrap();
    tx.commit().await.unwrap();

    let full = |group: &GroupId| DeliveryBody::Refused {
        group: group.clone(),
        id: id(2),
        refusal: Refusal {
            number: 301,
            code: ErrorCode::from_number(301),
            text: String::from("full"),
            retry_after: Some(qpq_core::Millis(1)),
            request: None,
        },
    };
    let state = async || {
        let mut tx = alice.client.inner.store.begin().await.unwrap();
        tx.outgoing(&id(2)).await.unwrap().unwrap().state
    };
    // Whoever orders another group has no say.
    let other = GroupId::new([9; 16], 1, "evil.test".parse().unwrap());
    alice.takes(&[at(Feed::Mailbox, 1, full(&other))], Trees::new()).await;
    assert!(matches!(state().await, OutgoingState::AtHub { .. }));
    // The mailbox is read before the group's log.
    alice.takes(&[at(Feed::Mailbox, 2, full(&talk.id)), echo], Trees::new()).await;
    assert_eq!(state().await, OutgoingState::Queued);
    let mut tx = alice.client.inner.store.begin().await.unwrap();
    tx.set_encrypted(&id(2), b"again", 1).await.unwrap();
    tx.mark_at_hub(&id(2), b"again", alice.client.now()).await.unwrap();
    assert!(matches!(tx.outgoing(&id(2)).await.unwrap().unwrap().state, OutgoingState::AtHub { .. }));
}

#[tokio::test]
async fn nothing_overtakes_what_was_left_out() {
    let (alice, bob) = (Somebody::called("alice@alpha.test").await, Somebody::called("bob@beta.test").await);
    bob.knows(&alice).await;
    let mut talk = conversation(&alice, &bob).await;
    let (first, second) = (talk.says(&alice, 2, "one"), talk.says(&alice, 3, "two"));
    bob.takes(&[talk.welcome.clone()], talk.trees.clone()).await;
    // Alice's keys can't be had when the first is pushed, and can when the second is.
    let unproven = BTreeSet::from([Feed::Group(talk.id.clone())]);
    let first_batch = std::slice::from_ref(&first);
    let outcome =
        bob.client.store_batch(first_batch, Trees::new(), unproven, &BTreeSet::new()).await.unwrap();
    let waiting = outcome.progress.waiting;
    assert_eq!(waiting, BTreeSet::from([Feed::Group(talk.id.clone())]));
    let second_batch = std::slice::from_ref(&second);
    let outcome =
        bob.client.store_batch(second_batch, Trees::new(), BTreeSet::new(), &waiting).await.unwrap();
    assert!(outcome.positions.is_empty() && outcome.progress.waiting == waiting);
    bob.takes(&[first, second], Trees::new()).await;
    assert_eq!(bob.texts().await, ["one", "two"]);
}
