//! What could not be delivered, or is lost.

use qpq_core::{RequestId, Seq};

use super::{
    Outcome, Subject,
    fixtures::{at, elsewhere, message_id},
    read, same, write,
};
use crate::{Lost, NewOutboxRow, Pause, Rollback, StreamGap, Window};

const ALL: Window = Window { offset: 0, limit: 10 };

/// Dead letters are listed, taken once, and expire; no number is used twice.
pub async fn a_dead_letter_is_taken_once(subject: &mut dyn Subject) -> Outcome {
    let row = |number: u8, destination: &str| -> Result<NewOutboxRow, super::Failure> {
        Ok(NewOutboxRow {
            destination: destination.parse()?,
            stream: [1; 16],
            id: message_id(number),
            kind: 1,
            expires_at: number.is_multiple_of(2).then(|| at(100)),
            payload: vec![number; 10],
            at: at(1),
            request: Some(RequestId::from_bytes([number; 16])),
        })
    };
    let mut tx = write(subject).await?;
    let first = tx.dead_letter_add(&row(1, "beta.test")?, "unreadable", at(5)).await?;
    let second = tx.dead_letter_add(&row(2, "gamma.test")?, "unreadable", at(6)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    same("all", tx.dead_letters(None, ALL).await?.total, 2)?;
    let found = tx.dead_letters(Some(&elsewhere()?), ALL).await?.rows;
    same("one", found.iter().map(|letter| letter.id).collect(), vec![first])?;
    let letter = found.into_iter().next();
    same("by its number", tx.dead_letter(first).await?, letter.clone())?;
    same("row", letter.as_ref().map(|letter| letter.row.clone()), Some(row(1, "beta.test")?))?;
    same("why", letter.map(|letter| (letter.reason, letter.at)), Some(("unreadable".to_owned(), at(5))))?;
    same("unknown", tx.dead_letter(99).await?, None)?;
    drop(tx);
    let mut tx = write(subject).await?;
    same("taken", tx.dead_letter_take(first).await?.map(|letter| letter.id), Some(first))?;
    same("again", tx.dead_letter_take(first).await?, None)?;
    same("early", tx.dead_letters_expire(at(99), 10).await?, vec![])?;
    let over = tx.dead_letters_expire(at(100), 10).await?;
    same("over", over.into_iter().map(|letter| letter.id).collect(), vec![second])?;
    let third = tx.dead_letter_add(&row(3, "beta.test")?, "unreadable", at(7)).await?;
    same("no number twice", third > second, true)
}

/// Gaps are listed by peer, the latest first, and only so many stay.
pub async fn gaps_are_noted(subject: &mut dyn Subject) -> Outcome {
    let gap = |lost, first| -> Result<StreamGap, super::Failure> {
        Ok(StreamGap {
            lost,
            domain: elsewhere()?,
            stream: [1; 16],
            first: Seq(first),
            through: Seq(first + 1),
            at: at(5),
        })
    };
    let other = StreamGap { domain: "gamma.test".parse()?, ..gap(Lost::Ours, 9)? };
    let mut tx = write(subject).await?;
    tx.gap_note(&other, 2).await?;
    for first in [1, 3, 5] {
        let lost = if first == 3 { Lost::Theirs } else { Lost::Ours };
        tx.gap_note(&gap(lost, first)?, 2).await?;
    }
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    let expected = vec![gap(Lost::Ours, 5)?, gap(Lost::Theirs, 3)?];
    same("the latest", tx.gaps(&elsewhere()?, 10).await?, expected.clone())?;
    same("bounded", tx.gaps(&elsewhere()?, 1).await?, expected[..1].to_vec())?;
    same("of another", tx.gaps(&other.domain, 10).await?, vec![other.clone()])
}

/// A pause reads back until it ends; a removed peer has none.
pub async fn a_pause_ends_once(subject: &mut dyn Subject) -> Outcome {
    let pause = Pause { reason: "moving".to_owned(), at: at(3) };
    let mut tx = write(subject).await?;
    same("before", tx.pause(&elsewhere()?).await?, None)?;
    tx.pause_set(&elsewhere()?, &Pause { reason: "first".to_owned(), at: at(1) }).await?;
    tx.pause_set(&elsewhere()?, &pause).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("after", tx.pause(&elsewhere()?).await?, Some(pause.clone()))?;
    same("ends", tx.pause_end(&elsewhere()?).await?, true)?;
    same("again", tx.pause_end(&elsewhere()?).await?, false)?;
    tx.pause_set(&elsewhere()?, &pause).await?;
    tx.peer_store(&super::peers::peer("beta.test", 1)?).await?;
    tx.peer_remove(&elsewhere()?).await?;
    same("of a removed peer", tx.pause(&elsewhere()?).await?, None)
}

/// The first proof of a rollback stays until an admin has acted.
pub async fn the_first_proof_stays(subject: &mut dyn Subject) -> Outcome {
    let rollback = |second: u8, later: bool| -> Result<Rollback, super::Failure> {
        Ok(Rollback {
            shown_by: elsewhere()?,
            stream: [second; 16],
            evidence: vec![second; 9],
            later: super::small::incarnation(second).filter(|_| later),
            at: at(u64::from(second)),
        })
    };
    let mut tx = write(subject).await?;
    same("before", tx.rollback().await?, None)?;
    tx.rollback_note(&rollback(1, false)?).await?;
    tx.rollback_note(&rollback(2, true)?).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("the first", tx.rollback().await?, Some(rollback(1, false)?))?;
    tx.rollback_clear().await?;
    same("cleared", tx.rollback().await?, None)?;
    tx.rollback_note(&rollback(2, true)?).await?;
    same("the next", tx.rollback().await?, Some(rollback(2, true)?))
}
