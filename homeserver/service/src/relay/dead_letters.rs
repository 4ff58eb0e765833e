//! Dead letters: what a peer could not take, for an admin to replay or to drop.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, ErrorCode, Millis, Timestamp};
use qpq_federation_proto::{RowKind, StreamId};
use qpq_storage::{AuditEntry, DeadLetter, NewOutboxRow, Page, Stored, Window, WriteTx};
use serde::Serialize;

use super::{
    give_up::not_taken,
    quota::{self, QueueRoom},
};
use crate::{Answered, Caller, Effects, Ground, Refusal, WriteJob, audit::Audited, groups};

/// A replayed message has at least this time to arrive.
const SHORTEST: Millis = Millis::from_secs(60);

/// A dead letter as an admin sees it: never what is in it, nor whom it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterView {
    /// Its number.
    pub id: u64,
    /// For whom it was.
    pub domain: Domain,
    /// Its stream.
    pub stream: String,
    /// What it is.
    pub kind: &'static str,
    /// How large it is.
    pub bytes: u64,
    /// Why it was given up.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
    /// When its time is over: then it goes back to its sender.
    pub expires_at: Option<Timestamp>,
    /// Whether it can be replayed.
    pub replayable: bool,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let kind = RowKind::from_number(letter.row.kind);
        Self {
            id: letter.id,
            stream: StreamId::from_bytes(letter.row.stream).to_string(),
            kind: super::queue::kind_name(kind),
            bytes: u64::try_from(letter.row.payload.len()).unwrap_or(u64::MAX),
            reason: letter.reason,
            at: letter.at,
            expires_at: letter.row.expires_at,
            replayable: replayable(kind),
            domain: letter.row.destination,
        }
    }
}

/// Only what is not in any log yet: an entry's place in its group's log is taken by its tombstone.
fn replayable(kind: RowKind) -> bool {
    kind == RowKind::GroupSubmit
}

/// A page of the dead letters for one domain or for all.
pub async fn dead_letters(
    ground: &Ground,
    domain: Option<&Domain>,
    window: Window,
) -> Answered<Page<DeadLetterView>> {
    let Page { rows, total } = ground.read().await?.dead_letters(domain, window).await?;
    Ok(Page { rows: rows.into_iter().map(DeadLetterView::from).collect(), total })
}

/// Sends a dead letter once more, as a new row at the end of its stream.
pub async fn replay(ground: &Arc<Ground>, id: u64, caller: &Caller) -> Answered<DeadLetterView> {
    settle(ground, id, Settled::Replayed, caller, String::new()).await
}

/// Drops a dead letter; its sender hears of it.
pub async fn drop_letter(
    ground: &Arc<Ground>,
    id: u64,
    reason: &str,
    caller: &Caller,
) -> Answered<DeadLetterView> {
    settle(ground, id, Settled::Dropped(reason.to_owned()), caller, reason.to_owned()).await
}

/// Dead letters whose time is over go back to their senders; returns how many.
pub async fn expire_letters(ground: &Arc<Ground>) -> Answered<usize> {
    const AT_ONCE: usize = 256;
    let mut all = 0;
    loop {
        let expired = ground
            .write(Expire { ground: Arc::clone(ground), at_once: AT_ONCE, effects: Effects::default() })
            .await?;
        all += expired;
        if expired < AT_ONCE {
            return Ok(all);
        }
    }
}

/// What becomes of a dead letter.
#[derive(Clone, Debug)]
enum Settled {
    Replayed,
    Dropped(String),
}

async fn settle(
    ground: &Arc<Ground>,
    id: u64,
    how: Settled,
    caller: &Caller,
    reason: String,
) -> Answered<DeadLetterView> {
    let action = match &how {
        Settled::Replayed => "peer.dead-letters.replay",
        Settled::Dropped(_) => "peer.dead-letters.drop",
    };
    let entry: AuditEntry = caller.entry(ground, action, id.to_string(), reason);
    let job = Settle { ground: Arc::clone(ground), id, how, effects: Effects::default() };
    ground.write(Audited { job, entry, changed: Result::is_ok }).await?
}

struct Settle {
    ground: Arc<Ground>,
    id: u64,
    how: Settled,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Settle {
    type Output = Answered<DeadLetterView>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.effects = Effects::default();
        let Some(letter) = tx.dead_letter(self.id).await? else {
            let id = self.id;
            let text = format!("there is no dead letter {id}: `peer dead-letters list` shows what there is");
            return Ok(Err(Refusal::new(ErrorCode::NotFound, text)));
        };
        let (destination, now) = (&letter.row.destination, self.ground.now());
        match &self.how {
            Settled::Replayed if !replayable(RowKind::from_number(letter.row.kind)) => {
                let text = "an entry of a group's log can't be replayed, because its place is taken: drop it";
                return Ok(Err(Refusal::new(ErrorCode::Malformed, text)));
            }
            Settled::Replayed if tx.peer(destination).await?.is_none() => {
                let text = format!("`{destination}` is no peer any more: drop the letter");
                return Ok(Err(Refusal::new(ErrorCode::PolicyRefused, text)));
            }
            Settled::Replayed => {
                // A receiver drops an id that it has seen, so an answer that was lost makes no second message.
                let at_least = now.after(SHORTEST);
                let expires_at = letter.row.expires_at.map(|end| end.max(at_least));
                let row = NewOutboxRow { at: now, expires_at, ..letter.row.clone() };
                let quota = self.ground.settings().peer_queue_bytes;
                if !QueueRoom::of(tx, destination, quota).await?.take(row.payload.len()) {
                    return Ok(Err(quota::full(destination)));
                }
                self.effects.send(row.destination.clone());
                tx.outbox_append(&[row]).await?;
            }
            Settled::Dropped(reason) => {
                let text =
                    format!("an admin of this domain dropped the message for `{destination}`: {reason}");
                groups::give_back(&self.ground, tx, &letter.row, &text, &mut self.effects).await?;
            }
        }
        tx.dead_letter_take(self.id).await?;
        Ok(Ok(DeadLetterView::from(letter)))
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

struct Expire {
    ground: Arc<Ground>,
    at_once: usize,
    effects: Effects,
}

#[async_trait]
impl WriteJob for Expire {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        self.effects = Effects::default();
        let letters = tx.dead_letters_expire(self.ground.now(), self.at_once).await?;
        for letter in &letters {
            let text = not_taken(&letter.row.destination, &letter.reason);
            groups::give_back(&self.ground, tx, &letter.row, &text, &mut self.effects).await?;
        }
        Ok(letters.len())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
