//! Consent: one answer for everybody who isn't accepted, requests that are bounded, and what both sides hear.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Address, Domain, ErrorCode, GroupId, MessageId, Millis, Seq, limits};
use qpq_federation_proto::{DirectoryPolicy, Row, RowKind};
use qpq_storage::{ContactEvent, Notice, Stored, WriteTx};

use super::{accepted::ContactAccepted, requested};
use crate::{
    Answered, BanTerms, Caller, Effects, Ground, Opened, RegistrationPolicy, Settings, UserAnswer, WriteJob,
    directory::tests::allow_beta,
    fixture::{Home, Person},
    relay::{self, RowOutcome},
    wire,
};

fn beta() -> Domain {
    "beta.test".parse().unwrap()
}

fn bob() -> Address {
    "bob@beta.test".parse().unwrap()
}

fn group() -> GroupId {
    GroupId::new([1; 16], 1, beta())
}

async fn consenting() -> Home {
    let settings = Settings {
        registration: RegistrationPolicy::Open,
        directory: DirectoryPolicy::Consent,
        session_lifetime: Millis::from_days(365),
        ..Settings::default()
    };
    let home = Home::with(settings);
    allow_beta(&home).await;
    home
}

async fn asks(home: &Home, requester: &Address, target: &Address) -> UserAnswer {
    asks_for_group(home, &beta(), requester, target, None).await
}

async fn asks_for_group(
    home: &Home,
    origin: &Domain,
    requester: &Address,
    target: &Address,
    group: Option<&GroupId>,
) -> UserAnswer {
    let directory = &home.use_cases.directory;
    let targets = std::slice::from_ref(target);
    directory
        .resolve_for_peer(origin, requester, targets, group, &crate::Views::new())
        .await
        .unwrap()
        .remove(0)
}

async fn waiting(home: &Home, opened: &Opened) -> Vec<Address> {
    let requests = home.use_cases.contacts.requests(&opened.handle).await.unwrap();
    requests.into_iter().map(|request| request.from).collect()
}

/// The answer as it goes over the wire.
fn bytes(answer: &UserAnswer) -> Vec<u8> {
    let mut message = capnp::message::Builder::new_default();
    wire::write_user(answer, message.init_root());
    capnp::serialize::write_message_to_words(&message)
}

async fn waits_at(home: &Home, destination: &Domain) -> Vec<Vec<u8>> {
    let mut tx = home.ground.read().await.unwrap();
    let mut payloads = Vec::new();
    for head in tx.outbox_heads(destination).await.unwrap() {
        let rows = tx.outbox_rows(destination, &head.lane, Seq(1), 100, usize::MAX).await.unwrap();
        payloads.extend(rows.into_iter().map(|row| {
            assert_eq!(RowKind::from_number(row.row.kind), RowKind::ContactAccepted);
            row.row.payload
        }));
    }
    payloads
}

#[tokio::test(start_paused = true)]
async fn the_answer_about_a_user_is_the_same_before_and_after_there_is_one() {
    let home = consenting().await;
    let address: Address = "alice@alpha.test".parse().unwrap();
    let written = "quicproquo_storage_duration_seconds_count{operation=\"write-batch\"}";
    let before = home.counted(written);
    let missing = asks(&home, &bob(), &address).await;
    let for_missing = home.counted(written) - before;

    home.wait(limits::CONTACT_ASKED);
    let (alice, opened) = home.joins("alice").await;
    assert_eq!(alice.address, address);
    let before = home.counted(written);
    let existing = asks(&home, &bob(), &address).await;
    assert_eq!(home.counted(written) - before, for_missing, "both wrote the same number of times");
    assert_eq!(for_missing, 1);

    assert_eq!(existing, Err((address, requested())));
    assert_eq!(bytes(&existing), bytes(&missing));
    assert_eq!(waiting(&home, &opened).await, [bob()], "of the user who exists, once");

    let before = home.counted(written);
    for target in [&alice.address, &"nobody@alpha.test".parse().unwrap()] {
        let nonce = [1; 16];
        let packages = &home.use_cases.key_packages;
        let claimed = packages
            .claim_for_peer(
                &beta(),
                &bob(),
                &group(),
                nonce,
                std::slice::from_ref(target),
                &crate::Views::new(),
            )
            .await
            .unwrap();
        assert_eq!(claimed, [Err((target.clone(), requested()))]);
    }
    assert_eq!(home.counted(written) - before, 2, "a repeat is looked up as a first question is");
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_flows_and_its_home_is_told_once() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    assert!(asks(&home, &bob(), &alice.address).await.is_err());
    let contacts = &home.use_cases.contacts;
    assert_eq!(contacts.accept(&opened.handle, &[bob()]).await.unwrap(), [bob()]);
    assert_eq!(contacts.accept(&opened.handle, &[bob()]).await.unwrap(), [] as [Address; 0]);
    assert_eq!(waiting(&home, &opened).await, [] as [Address; 0]);
    assert_eq!(asks(&home, &bob(), &alice.address).await.unwrap().address, alice.address);
    let other = "mallory@beta.test".parse().unwrap();
    assert!(asks(&home, &other, &alice.address).await.is_err(), "one user, not the domain");

    let told = ContactAccepted { user: alice.address.clone(), asker: bob() };
    assert_eq!(waits_at(&home, &beta()).await, [told.to_bytes()]);
    let packages = &home.use_cases.key_packages;
    let claimed = packages
        .claim_for_peer(&beta(), &bob(), &group(), [1; 16], &[alice.address], &crate::Views::new())
        .await
        .unwrap();
    assert_eq!(claimed[0].as_ref().unwrap_err().1.code, ErrorCode::KeyPackagesExhausted, "she has none");
}

#[tokio::test(start_paused = true)]
async fn who_writes_first_accepts_and_nobody_is_told_who_did_not_ask() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    let contacts = &home.use_cases.contacts;
    let addresses = [bob(), "carol@alpha.test".parse().unwrap()];
    assert_eq!(contacts.accept(&opened.handle, &addresses).await.unwrap(), [] as [Address; 0]);
    assert!(asks(&home, &bob(), &alice.address).await.is_ok());
    assert_eq!(waits_at(&home, &beta()).await, [] as [Vec<u8>; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_decline_looks_like_waiting_and_holds_for_a_month() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    let waiting_answer = asks(&home, &bob(), &alice.address).await;
    let contacts = &home.use_cases.contacts;
    contacts.decline(&opened.handle, &bob()).await.unwrap();
    for _ in 0..29 {
        home.wait(Millis::from_days(1));
        assert_eq!(asks(&home, &bob(), &alice.address).await, waiting_answer);
        assert_eq!(waiting(&home, &opened).await, [] as [Address; 0]);
    }
    assert_eq!(waits_at(&home, &beta()).await, [] as [Vec<u8>; 0], "nobody was told");
    home.wait(Millis::from_days(1));
    assert_eq!(asks(&home, &bob(), &alice.address).await, waiting_answer);
    assert_eq!(waiting(&home, &opened).await, [bob()]);
    let unknown: Address = "eve@beta.test".parse().unwrap();
    assert_eq!(contacts.decline(&opened.handle, &unknown).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_can_be_taken_back() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    let contacts = &home.use_cases.contacts;
    contacts.accept(&opened.handle, &[bob()]).await.unwrap();
    assert!(asks(&home, &bob(), &alice.address).await.is_ok());
    contacts.decline(&opened.handle, &bob()).await.unwrap();
    assert_eq!(asks(&home, &bob(), &alice.address).await.unwrap_err().1, requested());
}

#[tokio::test(start_paused = true)]
async fn the_banned_leave_no_request_and_hear_nothing_else() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    let caller = Caller::job("test", qpq_core::RequestId::from_bytes([7; 16]));
    let terms = BanTerms::new("spam", None).unwrap();
    home.use_cases.bans.ban(&[bob()], &terms, &caller).await.unwrap();
    assert_eq!(asks(&home, &bob(), &alice.address).await.unwrap_err().1, requested());
    assert_eq!(waiting(&home, &opened).await, [] as [Address; 0]);

    let carol: Address = "carol@beta.test".parse().unwrap();
    assert!(asks(&home, &carol, &alice.address).await.is_err());
    assert_eq!(waiting(&home, &opened).await, std::slice::from_ref(&carol));
    home.use_cases.bans.ban(&[carol], &terms, &caller).await.unwrap();
    assert_eq!(waiting(&home, &opened).await, [] as [Address; 0], "who was banned meanwhile asks no more");
}

#[tokio::test(start_paused = true)]
async fn one_asker_leaves_a_hundred_requests_and_the_next_is_counted() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    for n in 0..limits::CONTACT_ASKS_PER_REQUESTER {
        let nobody = format!("nobody{n}@alpha.test").parse().unwrap();
        assert!(asks(&home, &bob(), &nobody).await.is_err());
    }
    let hit = "quicproquo_limits_hit_total{limit=\"contact-requests\"}";
    assert_eq!(home.counted(hit), 0);
    assert_eq!(asks(&home, &bob(), &alice.address).await.unwrap_err().1, requested(), "the same answer");
    assert_eq!((waiting(&home, &opened).await, home.counted(hit)), (vec![], 1));
    home.wait(limits::CONTACT_ASKED);
    assert!(asks(&home, &bob(), &alice.address).await.is_err());
    assert_eq!(waiting(&home, &opened).await, [bob()]);
}

#[tokio::test(start_paused = true)]
async fn one_user_is_asked_by_so_many_and_no_more() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    for n in 0..limits::CONTACT_REQUESTS_PER_TARGET {
        let asker = format!("asker{n}@beta.test").parse().unwrap();
        assert!(asks(&home, &asker, &alice.address).await.is_err());
    }
    assert!(asks(&home, &bob(), &alice.address).await.is_err());
    assert_eq!(home.counted("quicproquo_limits_hit_total{limit=\"contact-requests\"}"), 1);
    let waiting = waiting(&home, &opened).await;
    assert!(!waiting.contains(&bob()));
    assert_eq!(waiting.len(), usize::try_from(limits::CONTACT_REQUESTS_PER_TARGET).unwrap());
}

#[tokio::test(start_paused = true)]
async fn whoever_names_a_shared_group_sees_its_members_and_only_them() {
    let home = consenting().await;
    let (alice, _) = home.joins("alice").await;
    let (carol, asked) = home.joins("carol").await;
    let (shared, member) = (group(), alice.device_address());
    home.writes(move |tx| {
        let (shared, member) = (shared.clone(), member.clone());
        Box::pin(async move {
            let now = qpq_core::Timestamp::from_millis(1);
            tx.members_join(&shared, &[member], 1, Seq(1), 2, now).await
        })
    })
    .await;
    // Gamma orders groups, and asks in the name of beta's user.
    for (origin, requester) in [(beta(), bob()), (beta(), "dan@gamma.test".parse().unwrap())] {
        let named = |target| {
            let (home, origin, requester) = (&home, &origin, &requester);
            async move { asks_for_group(home, origin, requester, target, Some(&group())).await }
        };
        assert!(named(&alice.address).await.is_ok());
        assert_eq!(named(&carol.address).await.unwrap_err().1, requested());
        let other = GroupId::new([2; 16], 1, beta());
        let unknown = asks_for_group(&home, &origin, &requester, &alice.address, Some(&other)).await;
        assert_eq!(unknown.unwrap_err().1, requested());
    }
    assert_eq!(waiting(&home, &asked).await, [bob()], "a domain asks in the name of its own users only");
}

#[tokio::test(start_paused = true)]
async fn the_policy_counts_from_the_next_question_on() {
    let home = Home::open();
    allow_beta(&home).await;
    let (alice, opened) = home.joins("alice").await;
    assert!(asks(&home, &bob(), &alice.address).await.is_ok(), "a peer's users see ours by default");
    home.ground.set_directory(DirectoryPolicy::Consent);
    assert!(asks(&home, &bob(), &alice.address).await.is_err());
    home.ground.set_directory(DirectoryPolicy::Open);
    assert!(asks(&home, &bob(), &alice.address).await.is_ok());
    assert_eq!(waiting(&home, &opened).await, [bob()], "what was asked waits");
    let local: Address = "alice@alpha.test".parse().unwrap();
    let (_, carol) = home.joins("carol").await;
    home.ground.set_directory(DirectoryPolicy::Consent);
    let seen =
        home.use_cases.directory.resolve(&carol.handle, &[local], None, &crate::Views::new()).await.unwrap();
    assert!(seen[0].is_ok(), "members of one domain see each other");
}

/// Applies a row of a peer, and lets its effects follow.
struct Arrives {
    ground: Arc<Ground>,
    origin: Domain,
    payload: Vec<u8>,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Arrives {
    type Output = RowOutcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<RowOutcome> {
        self.effects = Effects::default();
        let row = Row {
            seq: Seq(1),
            id: MessageId::from_bytes([1; 16]),
            kind: RowKind::ContactAccepted,
            ttl: None,
            payload: self.payload.clone(),
            request: None,
        };
        relay::apply_row(&self.ground, tx, &self.origin, &[1; 16], &row, &mut self.effects).await
    }
}

async fn says_accepted(
    home: &Home,
    origin: &Domain,
    user: &Address,
    asker: &Address,
) -> Answered<RowOutcome> {
    let record = ContactAccepted { user: user.clone(), asker: asker.clone() };
    assert_eq!(ContactAccepted::from_bytes(&record.to_bytes()), Ok(record.clone()));
    let arrives = Arrives {
        ground: Arc::clone(&home.ground),
        origin: origin.clone(),
        payload: record.to_bytes(),
        effects: Effects::default(),
    };
    home.ground.write(arrives).await
}

async fn notices(home: &Home, person: &Person) -> Vec<Notice> {
    let mut tx = home.ground.read().await.unwrap();
    let rows = tx.mailbox_after(&person.device, Seq::ZERO, 100).await.unwrap();
    rows.into_iter().map(|row| row.notice).collect()
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_reaches_who_waits_for_it_and_says_nothing_about_others() {
    let home = consenting().await;
    let (alice, opened) = home.joins("alice").await;
    let nobody: Address = "nobody@alpha.test".parse().unwrap();
    for asker in [&alice.address, &nobody] {
        let outcome = says_accepted(&home, &beta(), &bob(), asker).await.unwrap();
        assert_eq!(outcome, RowOutcome::Stored, "the same for who does not wait and who does not exist");
    }
    assert_eq!(notices(&home, &alice).await, []);

    // Who asks has accepted whom they ask for.
    home.use_cases.contacts.accept(&opened.handle, &[bob()]).await.unwrap();
    for _ in 0..3 {
        says_accepted(&home, &beta(), &bob(), &alice.address).await.unwrap();
    }
    let told = Notice::Contact { address: bob(), event: ContactEvent::Accepted };
    assert_eq!(notices(&home, &alice).await, [told], "once, however often it is said");

    let gamma: Domain = "gamma.test".parse().unwrap();
    let lie = says_accepted(&home, &gamma, &bob(), &alice.address).await.unwrap();
    assert!(matches!(lie, RowOutcome::Refused(_)), "{lie:?}");
    let carol: Address = "carol@gamma.test".parse().unwrap();
    let misled = says_accepted(&home, &beta(), &bob(), &carol).await.unwrap();
    assert!(matches!(misled, RowOutcome::Refused(_)), "{misled:?}");
}
