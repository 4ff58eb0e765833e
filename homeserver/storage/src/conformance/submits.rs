//! Idempotency of submits, and who has proven to have stored them.

use qpq_core::{MessageId, Seq};

use super::{
    Outcome, Subject, conflicts,
    fixtures::{at, device_address, digest, elsewhere, message_id},
    read, same, write,
};
use crate::{SeenSubmit, SubmitOutcome};

fn seen(number: u8) -> SeenSubmit {
    let outcome = if number.is_multiple_of(2) {
        SubmitOutcome::AtHub { seq: Seq(u64::from(number)), at: at(1) }
    } else {
        SubmitOutcome::AtHome { at: at(2) }
    };
    SeenSubmit { payload: digest(number), outcome }
}

/// Both outcomes come back, in the order asked, to the sender alone.
pub async fn a_submit_is_remembered(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let mut tx = write(subject).await?;
    let submits = [(message_id(1), seen(1)), (message_id(2), seen(2))];
    tx.submits_remember(&alice, &submits, at(100)).await?;
    tx.submits_remember(&alice, &[], at(100)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let ids = [message_id(2), message_id(9), message_id(1), message_id(2)];
    let found = tx.submits_seen(&alice, &ids).await?;
    same("alice's", found, vec![Some(seen(2)), None, Some(seen(1)), Some(seen(2))])?;
    same("bob's", tx.submits_seen(&bob, &[message_id(1)]).await?, vec![None])?;
    same("none asked", tx.submits_seen(&bob, &[]).await?, vec![])
}

/// A whole batch, of a size that is no power of two.
pub async fn many_submits_keep_their_order(subject: &mut dyn Subject) -> Outcome {
    let alice = device_address("alice", 1)?;
    let id = |number: u16| {
        let mut bytes = [0; 16];
        let [high, low] = number.to_be_bytes();
        bytes[0] = high;
        bytes[1] = low;
        MessageId::from_bytes(bytes)
    };
    let outcome = |number: u16| SeenSubmit {
        payload: digest(3),
        outcome: SubmitOutcome::AtHub { seq: Seq(u64::from(number)), at: at(1) },
    };
    let submits: Vec<_> = (0..605).map(|number| (id(number), outcome(number))).collect();
    let mut tx = write(subject).await?;
    tx.submits_remember(&alice, &submits, at(100)).await?;
    tx.commit().await?;
    let ids: Vec<_> = submits.iter().map(|(id, _)| *id).collect();
    let found = read(subject).await?.submits_seen(&alice, &ids).await?;
    same("all", found, submits.into_iter().map(|(_, seen)| Some(seen)).collect())
}

/// Remembering an id twice is a mistake of the caller, who must look first.
pub async fn a_repeat_is_a_conflict(subject: &mut dyn Subject) -> Outcome {
    let alice = device_address("alice", 1)?;
    let mut tx = write(subject).await?;
    tx.submits_remember(&alice, &[(message_id(1), seen(1))], at(100)).await?;
    let again = tx.submits_remember(&alice, &[(message_id(1), seen(3))], at(100)).await;
    conflicts("the same id", again)
}

/// A forgotten id is free again.
pub async fn submits_are_forgotten(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let mut tx = write(subject).await?;
    tx.submits_remember(&alice, &[(message_id(1), seen(1)), (message_id(2), seen(2))], at(100)).await?;
    tx.submit_forget(&bob, &message_id(1)).await?;
    tx.submit_forget(&alice, &message_id(2)).await?;
    let found = tx.submits_seen(&alice, &[message_id(1), message_id(2)]).await?;
    same("left", found, vec![Some(seen(1)), None])?;
    tx.submits_remember(&alice, &[(message_id(2), seen(4))], at(100)).await?;
    same("anew", tx.submits_seen(&alice, &[message_id(2)]).await?, vec![Some(seen(4))])
}

/// Records go when their time is over, not before.
pub async fn submits_expire(subject: &mut dyn Subject) -> Outcome {
    let alice = device_address("alice", 1)?;
    let mut tx = write(subject).await?;
    tx.submits_remember(&alice, &[(message_id(1), seen(1))], at(100)).await?;
    tx.submits_remember(&alice, &[(message_id(2), seen(2))], at(200)).await?;
    same("early", tx.submits_expire(at(99)).await?, 0)?;
    same("late", tx.submits_expire(at(100)).await?, 1)?;
    let found = tx.submits_seen(&alice, &[message_id(1), message_id(2)]).await?;
    same("left", found, vec![None, Some(seen(2))])
}

/// Senders are found by the ids that they used, whoever they are.
pub async fn submitters_are_found_by_their_ids(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let mut tx = write(subject).await?;
    tx.submits_remember(&alice, &[(message_id(1), seen(1)), (message_id(2), seen(2))], at(100)).await?;
    tx.submits_remember(&bob, &[(message_id(2), seen(4)), (message_id(3), seen(3))], at(100)).await?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    let of = |number: u8, sender: &qpq_core::DeviceAddress, payload: u8| {
        (message_id(number), sender.clone(), digest(payload))
    };
    let found = tx.submitters(&[message_id(3), message_id(2), message_id(9)]).await?;
    same("some", found, vec![of(2, &alice, 2), of(2, &bob, 4), of(3, &bob, 3)])?;
    same("none asked", tx.submitters(&[]).await?, vec![])?;
    drop(tx);
    let mut tx = write(subject).await?;
    tx.submit_forget(&bob, &message_id(2)).await?;
    same("forgotten", tx.submitters(&[message_id(2)]).await?, vec![of(2, &alice, 2)])
}

/// A domain's word about a submit is news once, and is forgotten with the submit.
pub async fn receipts_are_news_once(subject: &mut dyn Subject) -> Outcome {
    let (alice, bob) = (device_address("alice", 1)?, device_address("bob", 2)?);
    let (beta, gamma) = (elsewhere()?, "gamma.test".parse()?);
    let mut tx = write(subject).await?;
    tx.submits_remember(&alice, &[(message_id(1), seen(1)), (message_id(2), seen(2))], at(100)).await?;
    tx.submits_remember(&bob, &[(message_id(1), seen(1))], at(200)).await?;
    let of = |sender: &qpq_core::DeviceAddress, number: u8| (sender.clone(), message_id(number));
    let both = [of(&alice, 1), of(&alice, 2)];
    same("first", tx.receipts_note(&beta, &both).await?, vec![true, true])?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    let more = [of(&alice, 1), of(&bob, 1), of(&alice, 1), of(&bob, 1)];
    same("again", tx.receipts_note(&beta, &more).await?, vec![false, true, false, false])?;
    same("another domain", tx.receipts_note(&gamma, &both).await?, vec![true, true])?;
    tx.submit_forget(&alice, &message_id(1)).await?;
    same("expired", tx.submits_expire(at(150)).await?, 1)?;
    tx.submits_remember(&alice, &[(message_id(1), seen(3)), (message_id(2), seen(2))], at(300)).await?;
    same("anew", tx.receipts_note(&beta, &both).await?, vec![true, true])?;
    same("bob's stays", tx.receipts_note(&beta, &[of(&bob, 1)]).await?, vec![false])?;
    conflicts("nobody's", tx.receipts_note(&beta, &[of(&bob, 9)]).await)
}
