//! All or nothing, in isolation, also across a crash.

use super::{
    Outcome, Subject, conflicts,
    fixtures::{
        account, at, commit, device, digest, enrol, granted, group_id, group_of, message, placed, waiting,
    },
    read, same, write,
};
use crate::{Committed, SeenSubmit, SubmitOutcome};

/// A transaction that is dropped leaves nothing.
pub async fn dropping_undoes(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.account_create(&account("alice", 1)?, &device("alice", 1, 1)?, None).await?;
    drop(tx);
    same("accounts", read(subject).await?.accounts(None, 10).await?, vec![])?;
    let mut tx = write(subject).await?;
    same("accounts seen by the next writer", tx.accounts(None, 10).await?, vec![])
}

/// A read transaction shows one state, whatever is committed meanwhile; a later one shows the new state.
pub async fn a_view_stays_as_it_was(subject: &mut dyn Subject) -> Outcome {
    let mut before = read(subject).await?;
    enrol(subject, "alice", 1).await?;
    same("the older view", before.account_named(&"alice".parse()?).await?, None)?;
    let mut after = read(subject).await?;
    same("the newer view", after.account_named(&"alice".parse()?).await?, Some(account("alice", 1)?))?;
    same("the older view again", before.devices(&account("alice", 1)?.id).await?, vec![])
}

/// What a transaction wrote it reads; nobody else does before the commit.
pub async fn a_write_sees_itself(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.account_create(&account("alice", 1)?, &device("alice", 1, 1)?, None).await?;
    same("inside", tx.account_named(&"alice".parse()?).await?, Some(account("alice", 1)?))?;
    same("outside", read(subject).await?.account_named(&"alice".parse()?).await?, None)?;
    tx.commit().await?;
    let found = read(subject).await?.account_named(&"alice".parse()?).await?;
    same("afterwards", found, Some(account("alice", 1)?))
}

/// Two writers at once: the second sees what the first committed.
pub async fn writers_take_turns(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let group = group_of(subject, 1, &[alice]).await?;
    let subject: &dyn Subject = subject;
    let append = |number: u8| {
        let group = group.clone();
        async move {
            let mut tx = write(subject).await?;
            let seqs = tx.log_append(&group, &[message(number), message(number + 1)]).await?;
            tx.commit().await?;
            Ok::<_, super::Failure>(seqs)
        }
    };
    let (first, second, third) = tokio::join!(append(1), append(3), append(5));
    let mut all: Vec<u64> = [first?, second?, third?].concat().into_iter().map(|seq| seq.0).collect();
    all.sort_unstable();
    same("positions", all, (1..=6).collect())
}

/// After a contradiction the transaction refuses to commit, so nothing half-done is kept.
pub async fn a_failed_transaction_cannot_commit(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.account_create(&account("alice", 1)?, &device("alice", 1, 1)?, None).await?;
    conflicts("a message to no group", tx.log_append(&group_id(9)?, &[message(1)]).await)?;
    same("commit", tx.commit().await.is_ok(), false)?;
    same("accounts", read(subject).await?.accounts(None, 10).await?, vec![])?;
    enrol(subject, "alice", 1).await?;
    same("accounts afterwards", read(subject).await?.accounts(None, 10).await?.len(), 1)
}

/// Crash point: written, not committed.
pub async fn a_crash_before_the_commit_leaves_nothing(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let group = group_of(subject, 1, &[alice]).await?;
    let mut tx = write(subject).await?;
    tx.log_append(&group, &[message(1)]).await?;
    drop(tx);
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    same("log", tx.log_after(&group, qpq_core::Seq::ZERO, 10, 10_000).await?, vec![])?;
    same("group", tx.group(&group).await?.map(|group| group.last_seq.0), Some(0))
}

/// Crash point: committed, and nobody heard of it.
pub async fn a_crash_after_the_commit_keeps_all(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let group = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let mut tx = write(subject).await?;
    tx.log_append(&group, &[message(1)]).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let log = tx.log_after(&group, qpq_core::Seq::ZERO, 10, 10_000).await?;
    same("log", log, vec![placed(message(1), 1)])?;
    same("backlog", waiting(tx.as_mut(), &[alice.device]).await?, vec![1])
}

/// After a commit whose answer was lost, the repeat finds what the first one did: message and commit.
pub async fn a_repeat_after_a_lost_answer_finds_the_first(subject: &mut dyn Subject) -> Outcome {
    let alice = enrol(subject, "alice", 1).await?;
    let group = group_of(subject, 1, std::slice::from_ref(&alice)).await?;
    let entry = commit(0, 7, &alice);
    let mut tx = write(subject).await?;
    let first = tx.group_commit(&granted(&group, &entry, &[], &[])).await?;
    let seen =
        SeenSubmit { payload: digest(7), outcome: SubmitOutcome::AtHub { seq: qpq_core::Seq(1), at: at(1) } };
    tx.submits_remember(&alice, &[(entry.id, seen.clone())], at(100)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    same("the first", first, Committed::Granted(qpq_core::Seq(1)))?;
    let mut tx = write(subject).await?;
    same("the submit", tx.submits_seen(&alice, &[entry.id]).await?, vec![Some(seen)])?;
    let again = tx.group_commit(&granted(&group, &entry, &[], &[])).await?;
    same("the epoch is taken", again, Committed::Stale { current: 1 })
}
