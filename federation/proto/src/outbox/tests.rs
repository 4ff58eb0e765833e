use qpq_core::{Incarnation, SeededEntropy};

use super::{comparing::REPLAY, *};
use crate::answer::{Refusal, RowAck, StreamAnswer};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn stream(number: u8) -> StreamId {
    StreamId::from_bytes([number; 16])
}

fn life(time: u64) -> Incarnation {
    Incarnation::begin(Timestamp::from_millis(time), &mut SeededEntropy::new(time))
}

fn lane(number: u8) -> Lane {
    Lane { incarnation: life(1), stream: stream(number) }
}

fn head(number: u8, accepted: u64, last: u64) -> StreamHead {
    StreamHead { lane: lane(number), accepted: Seq(accepted), chain: None, last: Seq(last) }
}

fn outbox(heads: &[StreamHead]) -> Outbox {
    let peer = "beta.test".parse().unwrap();
    Outbox::resume(peer, OutboxLimits::default(), SavedLink::default(), heads.to_vec(), NOW)
}

fn send(outbox: &mut Outbox) -> Option<(CallId, Vec<Cut>)> {
    match outbox.poll_action()? {
        Action::Send { call, cuts, .. } => Some((call, cuts)),
        other => panic!("{other:?} instead of Send"),
    }
}

fn sent(number: u8, last: u64) -> Sent {
    Sent { lane: lane(number), last: Seq(last), rows: 1, chain: None }
}

fn applied(number: u8, through: u64) -> (StreamId, StreamAnswer) {
    let chain = Digest::of(&[&[number]]);
    (stream(number), StreamAnswer::Applied { through: Seq(through), chain, refusals: vec![] })
}

fn entropy() -> SeededEntropy {
    SeededEntropy::new(1)
}

/// Sends the one batch that waits and gives the peer's answer to it.
fn answered(outbox: &mut Outbox, last: u64, answer: StreamAnswer) {
    let (call, _) = send(outbox).unwrap();
    outbox.handle_sent(call, &[sent(1, last)], NOW);
    outbox.handle_answers(call, vec![(stream(1), answer)], NOW, &mut entropy());
}

#[test]
fn a_queue_resumes_at_start_from_what_was_stored() {
    let mut outbox = outbox(&[head(1, 4, 9), head(2, 0, 1), head(3, 5, 5)]);
    let (_, cuts) = send(&mut outbox).unwrap();
    assert_eq!(
        cuts.iter().map(|cut| (cut.lane.stream, cut.from)).collect::<Vec<_>>(),
        [(stream(1), Seq(5)), (stream(2), Seq(1)),]
    );
    assert_eq!(cuts[1].before, Some(Digest::ZERO));
    assert_eq!(outbox.poll_action(), None);
}

#[test]
fn one_batch_per_stream_is_in_flight_and_others_go_on() {
    let mut outbox = outbox(&[head(1, 0, 9)]);
    let (call, _) = send(&mut outbox).unwrap();
    outbox.handle_sent(call, &[sent(1, 5)], NOW);
    outbox.handle_enqueued(head(1, 0, 12));
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_enqueued(head(2, 0, 1));
    assert_eq!(send(&mut outbox).unwrap().1[0].lane.stream, stream(2));
}

#[test]
fn a_stream_goes_on_only_after_the_acknowledgement_is_durable() {
    let mut outbox = outbox(&[head(1, 0, 9)]);
    let (call, _) = send(&mut outbox).unwrap();
    outbox.handle_sent(call, &[sent(1, 5)], NOW);
    outbox.handle_answers(call, vec![applied(1, 5)], NOW, &mut entropy());
    let Some(Action::MarkKept { store, kept, .. }) = outbox.poll_action() else { panic!("nothing kept") };
    assert_eq!((kept[0].lane.stream, kept[0].through), (stream(1), Seq(5)));
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_not_stored(store, NOW);
    assert_eq!(outbox.poll_action(), None);
    assert_eq!(outbox.poll_timeout(), Some(NOW.after(LOCAL_RETRY)));
    outbox.handle_timeout(NOW.after(LOCAL_RETRY));
    assert!(matches!(outbox.poll_action(), Some(Action::MarkKept { .. })));
    outbox.handle_stored(store);
    assert_eq!(send(&mut outbox).unwrap().1[0].from, Seq(6));
}

#[test]
fn refused_rows_bounce_and_hold_nothing() {
    let mut outbox = outbox(&[head(1, 2, 5)]);
    let ack = RowAck::MailboxFull { retry_after: Millis(7) };
    let refusals = [1, 4, 4, 6].map(|seq| Refusal { seq: Seq(seq), ack }).to_vec();
    answered(&mut outbox, 5, StreamAnswer::Applied { through: Seq(5), chain: Digest::ZERO, refusals });
    let Some(Action::MarkKept { store, kept, bounces }) = outbox.poll_action() else {
        panic!("nothing kept")
    };
    assert_eq!(kept[0].through, Seq(5));
    assert_eq!(
        bounces,
        [Bounce { lane: lane(1), seq: Seq(4), ack }],
        "only rows of this batch count, and each once"
    );
    outbox.handle_stored(store);
    assert_eq!(outbox.status(NOW).to_string(), "`beta.test` is reachable; nothing waits");
}

#[test]
fn an_unreachable_peer_is_tried_within_15_s_then_more_rarely_and_at_once_after_contact() {
    let mut outbox = outbox(&[head(1, 0, 1)]);
    let mut now = NOW;
    for failures in 1..30 {
        let (call, _) = send(&mut outbox).unwrap();
        outbox.handle_failed(call, Failure::Unreachable, now, &mut entropy());
        let Some(Action::SaveLink(saved)) = outbox.poll_action() else { panic!("the backoff isn't stored") };
        assert_eq!(saved.failures, failures);
        assert_eq!(outbox.poll_action(), None);
        let until = outbox.poll_timeout().unwrap();
        let most = if failures == 1 { 15_000 } else { 1_800_000 };
        assert!(until.since(now) <= Millis(most) && until > now);
        now = until;
        outbox.handle_timeout(now);
    }
    let (call, _) = send(&mut outbox).unwrap();
    outbox.handle_failed(call, Failure::Unreachable, now, &mut entropy());
    outbox.handle_peer_spoke(now);
    while let Some(action) = outbox.actions.pop_front() {
        assert!(matches!(action, Action::SaveLink(_)));
    }
    let (call, _) = send(&mut outbox).unwrap();
    outbox.handle_failed(call, Failure::Unreachable, now, &mut entropy());
    outbox.actions.clear();
    outbox.handle_peer_spoke(now.after(Millis(14_999)));
    assert_eq!(outbox.poll_action(), None, "contact clears at most once per 15 s");
    outbox.handle_peer_spoke(now.after(Millis(15_000)));
    outbox.actions.clear();
    assert!(send(&mut outbox).is_some());
}

#[test]
fn an_overloaded_peer_is_obeyed_whatever_it_says_meanwhile() {
    let mut outbox = outbox(&[head(1, 0, 1)]);
    let (call, _) = send(&mut outbox).unwrap();
    let retry_after = Millis::from_secs(60);
    outbox.handle_failed(call, Failure::Overloaded { retry_after }, NOW, &mut entropy());
    outbox.actions.clear();
    outbox.handle_peer_spoke(NOW.after(Millis(1)));
    outbox.handle_timeout(NOW.after(Millis(59_999)));
    assert_eq!(outbox.poll_action(), None);
    assert_eq!(
        outbox.status(NOW).to_string(),
        "`beta.test` is overloaded and asked for time; attempt 2 in 60 s; 1 messages wait"
    );
    outbox.handle_timeout(NOW.after(retry_after));
    assert!(send(&mut outbox).is_some());
}

#[test]
fn a_stopped_peer_waits_for_the_admin_also_over_a_restart() {
    let mut running = outbox(&[head(1, 0, 1)]);
    let (call, _) = send(&mut running).unwrap();
    running.handle_failed(call, Failure::Refused(StopReason::UnprovenClaim), NOW, &mut entropy());
    assert_eq!(running.poll_action(), Some(Action::Alarm(StopReason::UnprovenClaim)));
    let Some(Action::SaveLink(saved)) = running.poll_action() else { panic!("the stop isn't stored") };
    let heads = [head(1, 0, 1)];
    let peer: Domain = "beta.test".parse().unwrap();
    let mut outbox = Outbox::resume(peer, OutboxLimits::default(), saved, heads, NOW);
    outbox.handle_timeout(NOW.after(Millis::from_days(9)));
    outbox.handle_peer_spoke(NOW.after(Millis::from_days(9)));
    assert_eq!((outbox.poll_action(), outbox.poll_timeout()), (None, None));
    assert!(outbox.status(NOW).to_string().starts_with("nothing is sent to `beta.test`: it claims"));
    outbox.handle_released();
    assert_eq!(outbox.poll_action(), Some(Action::SaveLink(SavedLink::default())));
    assert!(send(&mut outbox).is_some());
}

#[test]
fn a_stop_that_the_peer_pronounced_ends_with_its_contact() {
    let mut outbox = outbox(&[head(1, 0, 1)]);
    outbox.handle_stopped(StopReason::RefusedByPeer, NOW);
    outbox.actions.clear();
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_peer_spoke(NOW);
    outbox.actions.clear();
    assert!(send(&mut outbox).is_some());
}

#[test]
fn what_makes_no_sense_backs_off_and_keeps_nothing() {
    let chain = Digest::ZERO;
    let claims = |through| StreamAnswer::Applied { through: Seq(through), chain, refusals: vec![] };
    for answer in [claims(3), StreamAnswer::ExpectSeq(Seq(4))] {
        let mut outbox = outbox(&[head(1, 2, 5)]);
        answered(&mut outbox, 4, answer.clone());
        while let Some(action) = outbox.poll_action() {
            assert!(matches!(action, Action::SaveLink(_)), "{answer:?} led to {action:?}");
        }
        let words = outbox.status(NOW).to_string();
        assert!(words.starts_with("`beta.test` answers in a way that makes no sense"), "{words}");
    }
}

#[test]
fn what_contradicts_us_is_compared_before_anything_else_goes_out() {
    let applied = |through, chain| StreamAnswer::Applied { through: Seq(through), chain, refusals: vec![] };
    for answer in [
        applied(6, Digest::ZERO),
        applied(4, Digest::of(&[b"theirs"])),
        StreamAnswer::ExpectSeq(Seq(7)),
        StreamAnswer::ExpectSeq(Seq(2)),
        StreamAnswer::ChainDiffers { header: vec![] },
    ] {
        let mut outbox = outbox(&[head(1, 2, 5), head(2, 0, 1)]);
        let (call, _) = send(&mut outbox).unwrap();
        let ours = Sent { chain: Some(Digest::of(&[b"ours"])), ..sent(1, 4) };
        outbox.handle_sent(call, &[ours], NOW);
        outbox.handle_answers(call, vec![(stream(1), answer.clone())], NOW, &mut entropy());
        assert_eq!(outbox.poll_action(), Some(Action::AskHeads), "{answer:?}");
        assert_eq!(outbox.poll_action(), None, "nothing goes out meanwhile");
        outbox.handle_not_reconciled(Failure::Refused(StopReason::UnprovenClaim), NOW, &mut entropy());
        assert_eq!(outbox.poll_action(), Some(Action::Alarm(StopReason::UnprovenClaim)));
        outbox.handle_released();
        outbox.actions.clear();
        assert_eq!(outbox.poll_action(), Some(Action::AskHeads), "the admin's word doesn't settle it");
        outbox.handle_reconciled([head(1, 1, 5)], true, true, NOW);
        assert_eq!(send(&mut outbox).unwrap().1[0].from, Seq(2), "what it has lost goes out again");
        assert_eq!(outbox.replay_in(NOW.after(Millis(1))), Some(Millis(REPLAY.0 - 1)));
        assert_eq!(outbox.replay_in(NOW.after(REPLAY)), None);
    }
}

#[test]
fn a_peer_whose_answers_never_fit_what_it_says_is_asked_less_and_less() {
    let mut outbox = outbox(&[head(1, 0, 9)]);
    let (mut now, mut asked) = (NOW, 0_u32);
    let hour = NOW.after(Millis::from_secs(3_600));
    while now < hour {
        match outbox.poll_action() {
            Some(Action::Send { call, .. }) => {
                outbox.handle_sent(call, &[sent(1, 9)], now);
                let lie = StreamAnswer::Applied { through: Seq(99), chain: Digest::ZERO, refusals: vec![] };
                outbox.handle_answers(call, vec![(stream(1), lie)], now, &mut entropy());
            }
            Some(Action::AskHeads) => {
                asked += 1;
                assert!(asked < 100, "it is asked without end");
                outbox.handle_reconciled([head(1, 0, 9)], true, false, now);
            }
            Some(_) => {}
            None => {
                now = outbox.poll_timeout().unwrap();
                outbox.handle_timeout(now);
            }
        }
    }
    assert!((2..40).contains(&asked), "{asked} times in an hour");
    // Rows that it takes settle it.
    loop {
        match outbox.poll_action() {
            Some(Action::Send { call, .. }) => {
                outbox.handle_sent(call, &[sent(1, 9)], now);
                outbox.handle_answers(call, vec![applied(1, 9)], now, &mut entropy());
                break;
            }
            Some(Action::AskHeads) => outbox.handle_reconciled([head(1, 0, 9)], true, false, now),
            Some(_) => {}
            None => {
                now = outbox.poll_timeout().unwrap();
                outbox.handle_timeout(now);
            }
        }
    }
    assert_eq!(outbox.doubts, 0);
}

#[test]
fn a_hello_that_differs_is_looked_at_when_nothing_is_on_its_way() {
    let mut outbox = outbox(&[head(1, 0, 9)]);
    let (call, _) = send(&mut outbox).unwrap();
    outbox.handle_claims(false);
    assert!(outbox.must_compare());
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_put_back(call);
    assert_eq!(outbox.poll_action(), Some(Action::AskHeads));
    outbox.handle_not_compared(NOW);
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_timeout(outbox.poll_timeout().unwrap());
    assert_eq!(outbox.poll_action(), Some(Action::AskHeads));
    outbox.handle_reconciled([head(1, 0, 9)], true, false, NOW);
    outbox.handle_claims(true);
    assert!(send(&mut outbox).is_some());
}

#[test]
fn rows_of_an_older_life_go_out_first() {
    let newer = StreamHead { lane: Lane { incarnation: life(2), ..lane(1) }, ..head(1, 0, 1) };
    let other = StreamHead { lane: Lane { incarnation: life(2), ..lane(2) }, ..head(2, 0, 1) };
    let mut outbox = outbox(&[newer, other, head(1, 4, 5)]);
    let (call, cuts) = send(&mut outbox).unwrap();
    assert_eq!(cuts.iter().map(|cut| cut.lane).collect::<Vec<_>>(), [lane(1)], "a call has rows of one life");
    outbox.handle_sent(call, &[sent(1, 5)], NOW);
    let (_, cuts) = send(&mut outbox).unwrap();
    assert_eq!(
        cuts.iter().map(|cut| cut.lane).collect::<Vec<_>>(),
        [other.lane],
        "another stream need not wait"
    );
    outbox.handle_answers(call, vec![applied(1, 5)], NOW, &mut entropy());
    let Some(Action::MarkKept { store, .. }) = outbox.poll_action() else { panic!("nothing kept") };
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_stored(store);
    assert_eq!(send(&mut outbox).unwrap().1[0].lane, newer.lane);
}

#[test]
fn a_row_that_the_peer_can_not_read_is_found_and_given_up_alone() {
    const POISON: u64 = 7;
    let mut outbox = outbox(&[head(1, 0, 20), head(2, 0, 1)]);
    let (mut now, mut given_up, mut through) = (NOW, Vec::new(), BTreeMap::from([(1, 0), (2, 0)]));
    for _ in 0..200 {
        let Some(action) = outbox.poll_action() else {
            let Some(due) = outbox.poll_timeout() else { break };
            now = due;
            outbox.handle_timeout(now);
            continue;
        };
        match action {
            Action::Send { call, cuts, .. } => {
                let rows = |cut: &Cut| {
                    let last = if cut.lane == lane(1) { 20 } else { 1 };
                    let rows = cut.max_rows.min(usize::try_from(last + 1 - cut.from.0).unwrap());
                    let last = Seq(cut.from.0 + u64::try_from(rows).unwrap() - 1);
                    Sent { lane: cut.lane, last, rows, chain: None }
                };
                let sent: Vec<Sent> = cuts.iter().map(rows).collect();
                outbox.handle_sent(call, &sent, now);
                let from = |sent: &Sent| sent.last.0 + 1 - u64::try_from(sent.rows).unwrap();
                let bad = sent.iter().any(|sent| {
                    sent.lane == lane(1)
                        && given_up.is_empty()
                        && (from(sent)..=sent.last.0).contains(&POISON)
                });
                if bad {
                    outbox.handle_failed(call, Failure::Malformed, now, &mut entropy());
                } else {
                    let answers = sent.iter().map(|sent| {
                        let number = sent.lane.stream.as_bytes()[0];
                        through.insert(number, sent.last.0);
                        applied(number, sent.last.0)
                    });
                    outbox.handle_answers(call, answers.collect(), now, &mut entropy());
                }
            }
            Action::MarkKept { store, .. } => outbox.handle_stored(store),
            Action::GiveUp { store, lane, seq } => {
                given_up.push((lane, seq));
                outbox.handle_stored(store);
            }
            Action::SaveLink(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(given_up, [(lane(1), Seq(POISON))]);
    assert_eq!(through, BTreeMap::from([(1, 20), (2, 1)]), "the others went on");
    assert!(outbox.streams.is_empty());
}

#[test]
fn a_stream_that_is_put_off_waits_alone() {
    let mut outbox = outbox(&[head(1, 0, 1)]);
    answered(&mut outbox, 1, StreamAnswer::NotNow { retry_after: Millis::from_secs(5) });
    outbox.handle_enqueued(head(2, 0, 1));
    let (_, cuts) = send(&mut outbox).unwrap();
    assert_eq!(cuts[0].lane.stream, stream(2));
    assert_eq!(outbox.poll_timeout(), Some(NOW.after(Millis::from_secs(5))));
    outbox.handle_timeout(NOW.after(Millis::from_secs(5)));
    assert_eq!(send(&mut outbox).unwrap().1[0].lane.stream, stream(1));
}

#[test]
fn a_database_that_can_not_be_read_is_no_fault_of_the_peer() {
    let mut outbox = outbox(&[head(1, 0, 1)]);
    let (call, _) = send(&mut outbox).unwrap();
    outbox.handle_sent(call, &[], NOW);
    assert_eq!(outbox.poll_action(), None);
    outbox.handle_timeout(outbox.poll_timeout().unwrap());
    assert!(send(&mut outbox).is_some());
    assert_eq!(outbox.status(NOW).state, QueueState::Healthy);
}

#[test]
fn memory_is_bounded_and_no_stream_starves() {
    let limits = OutboxLimits { streams: 4, calls: 1, streams_per_call: 2 };
    let peer: Domain = "beta.test".parse().unwrap();
    let heads: Vec<StreamHead> = (0..10).map(|number| head(number, 0, 1)).collect();
    let mut outbox = Outbox::resume(peer, limits, SavedLink::default(), heads.clone(), NOW);
    let mut done = BTreeSet::new();
    while let Some(action) = outbox.poll_action() {
        assert!(outbox.streams.len() <= 4);
        match action {
            Action::Send { call, cuts, .. } => {
                assert!(cuts.len() <= 2);
                let batches: Vec<Sent> = cuts
                    .iter()
                    .map(|cut| Sent { lane: cut.lane, last: Seq(1), rows: 1, chain: None })
                    .collect();
                outbox.handle_sent(call, &batches, NOW);
                let answers = cuts.iter().map(|cut| {
                    let chain = Digest::ZERO;
                    (cut.lane.stream, StreamAnswer::Applied { through: Seq(1), chain, refusals: vec![] })
                });
                outbox.handle_answers(call, answers.collect(), NOW, &mut entropy());
            }
            Action::MarkKept { store, kept, .. } => {
                done.extend(kept.iter().map(|kept| kept.lane));
                outbox.handle_stored(store);
            }
            Action::LoadHeads { limit } => {
                let waiting: Vec<_> =
                    heads.iter().filter(|head| !done.contains(&head.lane)).copied().collect();
                outbox.handle_heads(waiting.iter().take(limit).copied(), waiting.len() <= limit);
            }
            Action::SaveLink(_) | Action::Alarm(_) | Action::AskHeads | Action::GiveUp { .. } => {
                panic!("{action:?}")
            }
        }
    }
    assert_eq!(done.len(), 10);
}
