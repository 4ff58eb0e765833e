//! Groups and their logs.

use qpq_core::{GroupId, Seq};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{
        at, commit, device_id, enrol, foreign_device, foreign_group_id, granted, group, group_id, group_of,
        message, message_id, placed, waiting,
    },
    read, same, write,
};
use crate::{Committed, EntryBody, Feed, GrantedCommit, Group, LogEntry, Member, StateChunk};

async fn log(subject: &dyn Subject, group: &GroupId) -> Result<Vec<LogEntry>, Failure> {
    Ok(read(subject).await?.log_after(group, Seq::ZERO, 1_000, 1_000_000).await?)
}

async fn positions(subject: &dyn Subject, group: &GroupId) -> Result<Vec<u64>, Failure> {
    Ok(log(subject, group).await?.into_iter().map(|entry| entry.seq.0).collect())
}

async fn appended(subject: &dyn Subject, group: &GroupId, entries: &[LogEntry]) -> Result<Vec<Seq>, Failure> {
    let mut tx = write(subject).await?;
    let seqs = tx.log_append(group, entries).await?;
    tx.commit().await?;
    Ok(seqs)
}

/// The second group of an id is refused; the first is whole.
pub async fn a_group_is_made_once(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_id(1)?;
    let chunk = StateChunk { key: b"tree".to_vec(), number: 0, bytes: Some(vec![1; 20]) };
    let mut tx = write(subject).await?;
    let chunks = std::slice::from_ref(&chunk);
    same("first", tx.group_create(&group(&id), &alice, chunks, b"info").await?, true)?;
    same("second", tx.group_create(&group(&id), &alice, &[], b"other").await?, false)?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    same("group", tx.group(&id).await?, Some(group(&id)))?;
    same("state", tx.group_state(&id).await?, vec![chunk])?;
    same("info", tx.group_info(&id).await?.as_deref(), Some(b"info".as_slice()))?;
    let creator = Member { device: alice, joined_seq: Seq::ZERO, left_seq: None, needs_resync: None };
    same("members", tx.members(&id).await?, vec![creator])?;
    same("another", tx.group(&group_id(2)?).await?, None)
}

/// Epoch compare-and-set: one commit per epoch, the loser hears the epoch now and leaves nothing.
pub async fn a_commit_wins_its_epoch_once(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let bob = foreign_device("bob", 2)?;
    let mut tx = write(subject).await?;
    let first = tx.group_commit(&granted(&id, &commit(0, 1, &alice), &[], &[])).await?;
    same("first", first, Committed::Granted(Seq(1)))?;
    let entry = commit(0, 2, &alice);
    let loser =
        GrantedCommit { tree: Some(b"tree"), ..granted(&id, &entry, std::slice::from_ref(&bob), &[]) };
    same("loser", tx.group_commit(&loser).await?, Committed::Stale { current: 1 })?;
    same(
        "ahead of its time",
        tx.group_commit(&granted(&id, &commit(5, 3, &alice), &[], &[])).await?,
        Committed::Stale { current: 1 },
    )?;
    tx.commit().await?;
    let entries = log(subject, &id).await?;
    same("log", entries, vec![placed(commit(0, 1, &alice), 1)])?;
    let mut tx = read(subject).await?;
    same("members", tx.members(&id).await?.len(), 1)?;
    same("tree", tx.group_tree(&id, 1).await?, None)?;
    let expected = Group { epoch: 1, last_seq: Seq(1), accounts: 3, ..group(&id) };
    same("group", tx.group(&id).await?, Some(expected))?;
    let entry = commit(0, 1, &alice);
    let missing = group_id(9)?;
    let stray = granted(&missing, &entry, &[], &[]);
    conflicts("in no group", write(subject).await?.group_commit(&stray).await)
}

/// Three commits for one epoch at once: one wins.
pub async fn concurrent_commits_have_one_winner(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let subject: &dyn Subject = subject;
    let attempt = |number: u8| {
        let (id, entry) = (id.clone(), commit(0, number, &alice));
        async move {
            let mut tx = write(subject).await?;
            let outcome = tx.group_commit(&granted(&id, &entry, &[], &[])).await?;
            tx.commit().await?;
            Ok::<_, Failure>(outcome)
        }
    };
    let (a, b, c) = tokio::join!(attempt(1), attempt(2), attempt(3));
    let outcomes = [a?, b?, c?];
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, Committed::Granted(_))).count();
    same("winners", winners, 1)?;
    let losers = outcomes.iter().filter(|outcome| **outcome == Committed::Stale { current: 1 }).count();
    same("losers", losers, 2)
}

/// Commits begin and end memberships at their position; a removed device that is added again starts anew.
pub async fn membership_follows_commits(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let bob = foreign_device("bob", 2)?;
    let bobs = std::slice::from_ref(&bob);
    let id = group_of(subject, 1, &[alice.clone(), bob.clone()]).await?;
    let member = |joined, left: Option<u64>| {
        Some(Member {
            device: bob.clone(),
            joined_seq: Seq(joined),
            left_seq: left.map(Seq),
            needs_resync: None,
        })
    };
    let mut tx = write(subject).await?;
    same("added", tx.member(&id, &bob.device).await?, member(1, None))?;
    tx.group_commit(&granted(&id, &commit(1, 2, &alice), &[], bobs)).await?;
    same("removed", tx.member(&id, &bob.device).await?, member(1, Some(2)))?;
    tx.group_commit(&granted(&id, &commit(2, 3, &alice), bobs, &[])).await?;
    same("added again", tx.member(&id, &bob.device).await?, member(3, None))?;
    tx.group_commit(&granted(&id, &commit(3, 4, &alice), bobs, bobs)).await?;
    same("replaced at once", tx.member(&id, &bob.device).await?, member(4, None))?;
    same("nobody", tx.member(&id, &device_id(9)).await?, None)
}

/// Chunks are changed and deleted one by one; the GroupInfo is the newest.
pub async fn state_is_kept_in_chunks(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let chunk = |key: &[u8], number: u32, byte: Option<u8>| StateChunk {
        key: key.to_vec(),
        number,
        bytes: byte.map(|byte| vec![byte; 30]),
    };
    let id = group_id(1)?;
    let mut tx = write(subject).await?;
    let first = [chunk(b"b", 0, Some(1)), chunk(b"a", 1, Some(2)), chunk(b"a", 0, Some(3))];
    tx.group_create(&group(&id), &alice, &first, b"info").await?;
    let changes = [chunk(b"a", 1, Some(9)), chunk(b"a", 0, None), chunk(b"c", 0, Some(4))];
    let entry = commit(0, 1, &alice);
    tx.group_commit(&GrantedCommit { state: &changes, ..granted(&id, &entry, &[], &[]) }).await?;
    let expected = vec![chunk(b"a", 1, Some(9)), chunk(b"b", 0, Some(1)), chunk(b"c", 0, Some(4))];
    same("state", tx.group_state(&id).await?, expected)?;
    same("info", tx.group_info(&id).await?.as_deref(), Some(b"next info".as_slice()))
}

/// The tree of an epoch is kept for joiners until its time is over.
pub async fn trees_go_when_their_time_is_over(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let entry = commit(0, 1, &alice);
    let mut tx = write(subject).await?;
    let bob = foreign_device("bob", 2)?;
    let adding = granted(&id, &entry, std::slice::from_ref(&bob), &[]);
    tx.group_commit(&GrantedCommit { tree: Some(b"tree"), tree_until: at(100), ..adding }).await?;
    tx.log_prune(at(0), at(99), 10).await?;
    same("kept", tx.group_tree(&id, 1).await?.as_deref(), Some(b"tree".as_slice()))?;
    same("another epoch", tx.group_tree(&id, 0).await?, None)?;
    tx.log_prune(at(0), at(100), 10).await?;
    same("gone", tx.group_tree(&id, 1).await?, None)
}

/// Positions are given in order, counted, and never twice; what was given as position is ignored.
pub async fn messages_are_numbered_in_order(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let many: Vec<LogEntry> = (0..=255).map(message).collect();
    let given: Vec<u64> = appended(subject, &id, &many).await?.into_iter().map(|seq| seq.0).collect();
    same("first batch", given, (1..=256).collect())?;
    let given = appended(subject, &id, &[placed(message(1), 7)]).await?;
    same("second batch", given, vec![Seq(257)])?;
    same("empty batch", appended(subject, &id, &[]).await?, vec![])?;
    let expected: Vec<LogEntry> =
        many.into_iter().chain([message(1)]).zip(1..).map(|(entry, seq)| placed(entry, seq)).collect();
    same("log", log(subject, &id).await?, expected)?;
    let found = read(subject).await?.group(&id).await?;
    same("group", found, Some(Group { last_seq: Seq(257), application_count: 257, ..group(&id) }))
}

/// After a leap entries have later positions; what is ordered elsewhere stays where it is.
pub async fn a_leap_leaves_a_hole(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let elsewhere = foreign_group_id(2)?;
    appended(subject, &id, &[message(1)]).await?;
    let mut tx = write(subject).await?;
    tx.log_copy(&elsewhere, &[placed(message(1), 4)], &[], 2, at(1)).await?;
    tx.logs_leap(1_000).await?;
    tx.commit().await?;
    subject.reopen().await?;
    same("after it", appended(subject, &id, &[message(2)]).await?, vec![Seq(1_002)])?;
    same("log", positions(subject, &id).await?, vec![1, 1_002])?;
    same("elsewhere", read(subject).await?.group(&elsewhere).await?.map(|group| group.last_seq), Some(Seq(4)))
}

/// A page has at most so many entries and bytes, and at least one entry.
pub async fn pages_are_cut_by_count_and_bytes(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, &[alice]).await?;
    appended(subject, &id, &[message(1), message(2), message(3), message(4)]).await?;
    let mut tx = read(subject).await?;
    let seqs = |entries: Vec<LogEntry>| entries.iter().map(|entry| entry.seq.0).collect::<Vec<_>>();
    same("by count", seqs(tx.log_after(&id, Seq(1), 2, 10_000).await?), vec![2, 3])?;
    same("by bytes", seqs(tx.log_after(&id, Seq::ZERO, 9, 250).await?), vec![1, 2])?;
    same("at least one", seqs(tx.log_after(&id, Seq(2), 9, 1).await?), vec![3])?;
    same("at the end", seqs(tx.log_after(&id, Seq(4), 9, 1_000).await?), vec![])?;
    same("of no group", seqs(tx.log_after(&group_id(9)?, Seq::ZERO, 9, 1_000).await?), vec![])
}

/// A copied batch again changes nothing; holes are allowed, the hub's numbers are kept.
pub async fn copies_skip_what_is_known(subject: &mut dyn Subject) -> Outcome {
    let id = foreign_group_id(1)?;
    let expired = LogEntry { body: EntryBody::Expired, ..message(9) };
    let batch = [placed(message(1), 3), placed(expired, 5), placed(message(2), 6)];
    for _ in 0..2 {
        let mut tx = write(subject).await?;
        tx.log_copy(&id, &batch, &[], 2, at(1)).await?;
        tx.commit().await?;
    }
    same("log", log(subject, &id).await?, batch.to_vec())?;
    let expected =
        Group { last_seq: Seq(6), application_count: 2, accounts: 2, created_at: at(1), ..group(&id) };
    same("group", read(subject).await?.group(&id).await?, Some(expected))?;
    let mut tx = write(subject).await?;
    tx.log_copy(&id, &[placed(message(2), 6), placed(message(3), 7)], &[], 4, at(2)).await?;
    tx.commit().await?;
    same("overlap", positions(subject, &id).await?, vec![3, 5, 6, 7])
}

/// A copied commit raises the epoch and ends memberships, once.
pub async fn a_copied_commit_raises_the_epoch(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let (id, bob) = (foreign_group_id(1)?, foreign_device("bob", 2)?);
    let mut tx = write(subject).await?;
    tx.members_join(&id, std::slice::from_ref(&alice), 4, Seq(10), 2, at(1)).await?;
    let entry = placed(commit(4, 1, &bob), 11);
    tx.log_copy(&id, &[entry, placed(message(1), 12)], std::slice::from_ref(&alice), 1, at(2)).await?;
    let found = tx.group(&id).await?.map(|group| (group.epoch, group.last_seq.0, group.accounts));
    same("group", found, Some((5, 12, 1)))?;
    let left = tx.member(&id, &alice.device).await?.and_then(|member| member.left_seq);
    same("left", left, Some(Seq(11)))
}

/// A Welcome that comes before the commit that it belongs to begins a membership that the commit does not end.
pub async fn a_welcome_may_overtake_the_commit(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let alices = std::slice::from_ref(&alice);
    let (id, bob) = (foreign_group_id(1)?, foreign_device("bob", 2)?);
    let mut tx = write(subject).await?;
    tx.members_join(&id, alices, 1, Seq(2), 2, at(1)).await?;
    tx.log_copy(&id, &[placed(message(1), 3)], &[], 2, at(1)).await?;
    tx.members_join(&id, alices, 6, Seq(5), 2, at(1)).await?;
    let rejoin = [placed(message(2), 4), placed(commit(5, 3, &bob), 5), placed(message(4), 6)];
    tx.log_copy(&id, &rejoin, alices, 2, at(1)).await?;
    let member = tx.member(&id, &alice.device).await?;
    let expected = Member { device: alice.clone(), joined_seq: Seq(5), left_seq: None, needs_resync: None };
    same("member", member, Some(expected))?;
    same("backlog", waiting(tx.as_mut(), &[alice.device]).await?, vec![1])?;
    let feed = tx.feed(&alice.device, &Feed::Group(id)).await?;
    same("feed", feed.map(|feed| (feed.acknowledged.0, feed.last.0)), Some((5, 6)))
}

/// A repeated Welcome does not send a device back, one from before its removal does not bring it back.
pub async fn an_old_welcome_changes_nothing(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let alices = std::slice::from_ref(&alice);
    let (id, bob) = (foreign_group_id(1)?, foreign_device("bob", 2)?);
    let feed = Feed::Group(id.clone());
    let mut tx = write(subject).await?;
    tx.members_join(&id, alices, 1, Seq(2), 2, at(1)).await?;
    tx.log_copy(&id, &[placed(message(1), 3), placed(message(2), 4)], &[], 2, at(1)).await?;
    tx.feeds_acknowledge(&alice.device, &[(feed.clone(), Seq(3))]).await?;
    tx.members_join(&id, alices, 1, Seq(2), 2, at(1)).await?;
    let at_position = tx.feed(&alice.device, &feed).await?.map(|feed| feed.acknowledged.0);
    same("position after a repeat", at_position, Some(3))?;
    tx.log_copy(&id, &[placed(commit(1, 9, &bob), 5)], alices, 1, at(1)).await?;
    tx.members_join(&id, alices, 1, Seq(2), 2, at(1)).await?;
    let left = tx.member(&id, &alice.device).await?.and_then(|member| member.left_seq);
    same("left", left, Some(Seq(5)))
}

/// Expired messages keep their position; those that a device here had not read are reported, once.
pub async fn expiry_reports_the_unread(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let lasting = LogEntry { expires_at: None, ..message(3) };
    appended(subject, &id, &[message(1), message(2), lasting.clone()]).await?;
    let mut tx = write(subject).await?;
    tx.feeds_acknowledge(&alice.device, &[(Feed::Group(id.clone()), Seq(1))]).await?;
    same("early", tx.log_expire(at(999), 10).await?, vec![])?;
    let mut unread = tx.log_expire(at(1_000), 1).await?;
    unread.extend(tx.log_expire(at(1_000), 10).await?);
    same("unread", unread, vec![(id.clone(), message_id(2))])?;
    same("again", tx.log_expire(at(1_000), 10).await?, vec![])?;
    tx.commit().await?;
    let gone = |entry: LogEntry, seq| placed(LogEntry { body: EntryBody::Expired, ..entry }, seq);
    let expected = vec![gone(message(1), 1), gone(message(2), 2), placed(lasting, 3)];
    same("log", log(subject, &id).await?, expected)
}

/// Pruning takes what all devices here have read and nothing that is newer than asked.
pub async fn what_is_needed_survives_pruning(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let bob = foreign_device("bob", 2)?;
    let id = group_of(subject, 1, &[alice.clone(), bob]).await?;
    let newer = LogEntry { at: at(500), ..message(4) };
    appended(subject, &id, &[message(1), message(2), newer, message(3)]).await?;
    let mut tx = write(subject).await?;
    same("all unread", tx.log_prune(at(100), at(100), 0).await?, 0)?;
    tx.feeds_acknowledge(&alice.device, &[(Feed::Group(id.clone()), Seq(4))]).await?;
    same("two messages and a commit", tx.log_prune(at(100), at(100), 0).await?, 3)?;
    same("again", tx.log_prune(at(100), at(100), 0).await?, 0)?;
    same("backlog", waiting(tx.as_mut(), &[alice.device]).await?, vec![1])?;
    tx.feeds_acknowledge(&alice.device, &[(Feed::Group(id.clone()), Seq(5))]).await?;
    tx.commit().await?;
    same("left", positions(subject, &id).await?, vec![4, 5])?;
    same("numbering goes on", appended(subject, &id, &[message(6)]).await?, vec![Seq(6)])?;
    same("backlog", waiting(read(subject).await?.as_mut(), &[alice.device]).await?, vec![1])
}

/// The hub keeps the commits of its last epochs, whoever has read them.
pub async fn hubs_keep_recent_commits(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let id = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let mut tx = write(subject).await?;
    for epoch in 0..4 {
        tx.group_commit(&granted(&id, &commit(epoch, 1, &alice), &[], &[])).await?;
    }
    tx.feeds_acknowledge(&alice.device, &[(Feed::Group(id.clone()), Seq(4))]).await?;
    same("gone", tx.log_prune(at(100), at(100), 2).await?, 2)?;
    tx.commit().await?;
    same("kept", positions(subject, &id).await?, vec![3, 4])
}
