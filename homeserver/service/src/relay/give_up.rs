//! Giving up a row that a peer can't take: its number stays as a tombstone, and nothing is lost in silence.
//!
//! A message becomes a dead letter, which an admin replays or drops. A handshake can't: without it nobody at that domain
//! could follow the group, so its devices there are cut off and must be added again.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Domain, Seq};
use qpq_federation_proto::{Lane, RowKind};
use qpq_storage::{NewOutboxRow, Stored, Window, WriteTx};
use tracing::warn;

use super::{
    outbound::stored_lane,
    tombstone::{Tombstone, group_of},
};
use crate::{
    Answered, Effects, Ground, WriteJob,
    groups::{self, Missed},
};

/// Dead letters that are kept for one domain; what comes beyond goes back to its sender at once.
const LETTERS: u64 = 10_000;

/// Gives one waiting row up.
pub async fn give_up(ground: &Arc<Ground>, peer: &Domain, lane: Lane, seq: Seq) -> Answered<()> {
    let effects = Effects::default();
    ground.write(GiveUp { ground: Arc::clone(ground), peer: peer.clone(), lane, seq, effects }).await
}

struct GiveUp {
    ground: Arc<Ground>,
    peer: Domain,
    lane: Lane,
    seq: Seq,
    effects: Effects,
}

#[async_trait]
impl WriteJob for GiveUp {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        self.effects = Effects::default();
        let of = stored_lane(self.lane);
        let (kind, payload) = (RowKind::Tombstone.number(), Tombstone::plain("malformed", 0).to_bytes());
        let buried = tx.outbox_bury(&self.peer, &of, self.seq, kind, &payload).await?;
        match buried {
            Some(row) => {
                let reason = "the peer could not read the call that carried it";
                bury(&self.ground, tx, row.row, reason, &mut self.effects).await
            }
            None => Ok(()),
        }
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

/// Does with a row that the peer can't take what its kind asks for. Other rows than these are said again by whoever asks, or
/// keep a number only.
pub(super) async fn bury(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    row: NewOutboxRow,
    reason: &str,
    effects: &mut Effects,
) -> Stored<()> {
    warn!(peer.domain = %row.destination, kind = row.kind, reason, "a row for a peer is given up");
    if let Some((group, true)) = group_of(&row) {
        let (us, domain) = (ground.domain(), &row.destination);
        let missed = Missed { us, group: &group, domain, id: row.id, now: ground.now() };
        return missed.leave_behind(tx, effects).await;
    }
    match RowKind::from_number(row.kind) {
        RowKind::GroupSubmit | RowKind::GroupEntry => dead_letter(ground, tx, row, reason, effects).await,
        RowKind::Welcome
        | RowKind::SubmitRefused
        | RowKind::ContactAccepted
        | RowKind::Receipt
        | RowKind::Tombstone
        | RowKind::Unknown(_) => Ok(()),
    }
}

async fn dead_letter(
    ground: &Ground,
    tx: &mut dyn WriteTx,
    row: NewOutboxRow,
    reason: &str,
    effects: &mut Effects,
) -> Stored<()> {
    let kept = tx.dead_letters(Some(&row.destination), Window { offset: 0, limit: 0 }).await?.total;
    if kept >= LETTERS {
        return groups::give_back(ground, tx, &row, &not_taken(&row.destination, reason), effects).await;
    }
    tx.dead_letter_add(&row, reason, ground.now()).await.map(drop)
}

/// What the sender of a message hears that a peer could not take.
pub(super) fn not_taken(peer: &Domain, reason: &str) -> String {
    format!("`{peer}` could not take the message: {reason}")
}
