//! Histories written by hand: for each promise one that keeps it and one that breaks it.

use super::*;

const STREAM: StreamId = StreamId::from_bytes([1; 16]);

/// Two domains, the first of which orders the one group; in some a third that lies.
fn setting(hostile: Option<DomainNo>) -> Setting {
    Setting { domains: 3, hostile, hubs: vec![0], members: vec![vec![0, 1]], prompt_ms: 100 }
}

fn judge(events: &[Event]) -> Result<(), Violation> {
    check(&setting(Some(2)), events)
}

fn accepted(id: Id) -> Event {
    Event::Accepted { domain: 0, group: 0, id }
}

fn logged(domain: DomainNo, id: Id) -> Event {
    Event::Logged { domain, group: 0, id, entry: Entry::Message }
}

fn committed(domain: DomainNo, epoch: u64, id: Id) -> Event {
    Event::Logged { domain, group: 0, id, entry: Entry::Commit { epoch } }
}

fn numbered(seq: u64, id: Id, at: u64) -> Event {
    Event::Numbered { origin: 0, destination: 1, stream: STREAM, life: 1, seq, id, at }
}

fn applied(seq: u64, id: Id) -> Event {
    Event::Applied { domain: 1, origin: 0, stream: STREAM, life: 1, seq, id }
}

fn kept(through: u64, at: u64) -> Event {
    Event::Kept { origin: 0, destination: 1, stream: STREAM, life: 1, through, at }
}

#[test]
fn a_message_that_is_everywhere_once_is_well() {
    let story = [accepted(1), logged(0, 1), numbered(1, 1, 5), applied(1, 1), logged(1, 1), kept(1, 9)];
    assert_eq!(judge(&story), Ok(()));
}

#[test]
fn an_acknowledged_message_that_is_missing_somewhere_is_lost() {
    assert_eq!(judge(&[accepted(1), logged(0, 1)]), Err(Violation::Lost { id: 1, domain: 1 }));
    assert_eq!(judge(&[accepted(1)]), Err(Violation::Lost { id: 1, domain: 0 }));
    assert_eq!(judge(&[accepted(1), Event::Failed { id: 1 }]), Ok(()), "its sender was told");
}

#[test]
fn what_becomes_durable_twice_is_found() {
    assert_eq!(judge(&[logged(0, 1), logged(0, 1)]), Err(Violation::Twice { id: 1, domain: 0 }));
    let welcome = Event::Welcomed { domain: 1, group: 0, commit: 7 };
    assert_eq!(judge(&[welcome.clone(), welcome]), Err(Violation::Twice { id: 7, domain: 1 }));
}

#[test]
fn rows_are_applied_in_the_order_of_their_numbers() {
    let order = |seq, due| Err(Violation::Order { domain: 1, origin: 0, seq, due });
    let two = [numbered(1, 1, 0), numbered(2, 2, 0)];
    assert_eq!(judge(&[two.as_slice(), &[applied(2, 2)]].concat()), order(2, 1));
    assert_eq!(judge(&[two.as_slice(), &[applied(1, 1), applied(1, 1)]].concat()), order(1, 2));
    assert_eq!(
        judge(&[two.as_slice(), &[applied(1, 2)]].concat()),
        order(1, 1),
        "another row under its number"
    );
    let older = Event::Applied { domain: 1, origin: 0, stream: STREAM, life: 0, seq: 1, id: 1 };
    assert_eq!(judge(&[numbered(1, 1, 0), applied(1, 1), older]), order(1, 2), "a life that is over");
}

#[test]
fn an_epoch_has_one_commit() {
    assert_eq!(judge(&[committed(0, 0, 1), committed(1, 0, 1)]), Ok(()));
    let two = [committed(0, 0, 1), committed(0, 0, 2)];
    assert_eq!(judge(&two), Err(Violation::Epoch { group: 0, domain: 0, epoch: 0, due: 1 }));
    let granted = Event::Granted { group: 0, epoch: 0, id: 3 };
    assert_eq!(judge(&[committed(0, 0, 1), granted]), Err(Violation::CommitLost { id: 3 }));
}

#[test]
fn copies_of_a_log_agree() {
    let crossed = [logged(0, 1), logged(0, 2), logged(1, 2), logged(1, 1)];
    assert_eq!(judge(&crossed), Err(Violation::Forked { group: 0, domain: 1 }));
}

#[test]
fn a_welcome_belongs_to_a_commit_that_won() {
    let welcome = Event::Welcomed { domain: 1, group: 0, commit: 1 };
    assert_eq!(judge(&[committed(0, 0, 1), committed(1, 0, 1), welcome.clone()]), Ok(()));
    assert_eq!(judge(&[welcome]), Err(Violation::LosersWelcome { commit: 1 }));
}

#[test]
fn what_is_acknowledged_was_applied() {
    let too_much = Err(Violation::AcknowledgedTooMuch { origin: 0, destination: 1, rows: 1 });
    assert_eq!(judge(&[numbered(1, 1, 0), applied(1, 1), kept(2, 0)]), too_much);
    assert_eq!(judge(&[numbered(1, 1, 0), numbered(2, 2, 0), applied(1, 1), kept(2, 0)]), too_much);
}

#[test]
fn queues_between_honest_domains_drain() {
    let waits = Err(Violation::NotDrained { origin: 0, destination: 1, rows: 1 });
    assert_eq!(judge(&[numbered(1, 1, 0)]), waits);
    let for_a_liar =
        Event::Numbered { origin: 0, destination: 2, stream: STREAM, life: 1, seq: 1, id: 1, at: 0 };
    assert_eq!(judge(&[for_a_liar]), Ok(()));
}

#[test]
fn contact_after_the_faults_is_used() {
    let contact = Event::Contact { domain: 0, from: 1, at: 50 };
    let story = |kept_at| {
        [numbered(1, 1, 0), applied(1, 1), Event::Healed { at: 10 }, contact.clone(), kept(1, kept_at)]
    };
    assert_eq!(judge(&story(150)), Ok(()));
    assert_eq!(judge(&story(151)), Err(Violation::LateAfterContact { domain: 0, peer: 1, rows: 1 }));
}

#[test]
fn an_honest_peer_is_never_stopped_and_memory_is_bounded() {
    let alarm = |peer| Event::Alarm { domain: 0, peer, why: "x".to_owned() };
    assert!(matches!(judge(&[alarm(1)]), Err(Violation::Alarm { domain: 0, peer: 1, .. })));
    assert_eq!(judge(&[alarm(2)]), Ok(()));
    let held = |held| Event::Held { domain: 1, held, bound: 4 };
    assert_eq!(judge(&[held(4)]), Ok(()));
    assert_eq!(judge(&[held(5)]), Err(Violation::Unbounded { domain: 1, held: 5, bound: 4 }));
}

#[test]
fn after_a_restore_what_others_hold_comes_back_and_what_does_not_is_told() {
    let before = [logged(0, 1), logged(1, 1), accepted(1), Event::Snapshot { domain: 0 }];
    let lost = [logged(0, 2), logged(1, 2), accepted(2), Event::Restored { domain: 0 }];
    let story = |rest: &[Event]| judge(&[before.as_slice(), &lost, rest].concat());
    assert_eq!(story(&[logged(0, 2)]), Ok(()), "it came back, which is not twice");
    assert_eq!(story(&[]), Err(Violation::Lost { id: 2, domain: 0 }));
    assert_eq!(story(&[Event::GapShown { domain: 0, group: 0 }]), Ok(()));
    let elsewhere = Event::GapShown { domain: 1, group: 0 };
    assert_eq!(story(&[elsewhere]), Err(Violation::Lost { id: 2, domain: 0 }));
    assert_eq!(story(&[logged(0, 1)]), Err(Violation::Twice { id: 1, domain: 0 }), "it was in the snapshot");
}

#[test]
fn rows_that_a_restored_peer_has_lost_wait_again() {
    let sent = [numbered(1, 1, 0), Event::Snapshot { domain: 1 }, applied(1, 1), kept(1, 5)];
    let rewound = Event::Rewound { origin: 0, destination: 1, stream: STREAM, life: 1, to: 0 };
    let lost = [Event::Restored { domain: 1 }, rewound];
    let story = |rest: &[Event]| judge(&[sent.as_slice(), &lost, rest].concat());
    assert_eq!(story(&[]), Err(Violation::NotDrained { origin: 0, destination: 1, rows: 1 }));
    assert_eq!(story(&[applied(1, 1), kept(1, 9)]), Ok(()));
}

#[test]
fn what_a_restored_domain_numbers_anew_is_judged_by_its_new_numbers() {
    let anew =
        |seq, id| Event::Numbered { origin: 0, destination: 1, stream: STREAM, life: 2, seq, id, at: 9 };
    let applied_anew = |seq, id| Event::Applied { domain: 1, origin: 0, stream: STREAM, life: 2, seq, id };
    let kept_anew = Event::Kept { origin: 0, destination: 1, stream: STREAM, life: 2, through: 1, at: 9 };
    let before = [numbered(1, 1, 0), applied(1, 1), numbered(2, 2, 0), Event::Restored { domain: 0 }];
    let story = |rest: &[Event]| judge(&[before.as_slice(), rest].concat());
    assert_eq!(story(&[anew(1, 2), applied_anew(1, 2), kept_anew]), Ok(()));
    let order = Err(Violation::Order { domain: 1, origin: 0, seq: 2, due: 1 });
    assert_eq!(story(&[anew(1, 2), applied_anew(2, 2)]), order);
}
