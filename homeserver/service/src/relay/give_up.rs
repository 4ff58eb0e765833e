//! Giving up a row that a peer can't take: its number stays as a tombstone, and nothing is lost in silence.
//!
//! A message becomes a dead letter, which an admin replays or drops. A handshake can't: without it nobody at that domain
//! could follow the group, so its devices there are cut off and must be added again.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{DeviceId, Domain, GroupId, Seq, Timestamp};
use qpq_federation_proto::{Lane, RowKind};
use qpq_storage::{NewOutboxRow, Stored, Window, WriteTx};
use tracing::warn;

use super::{expire::tombstone, outbound::stored_lane};
use crate::{
    Answered, Effects, Ground, WriteJob,
    groups::{self, GroupEntry, GroupWelcome},
};

/// Dead letters that are kept for one domain; what comes beyond goes back to its sender at once.
const LETTERS: u64 = 10_000;

/// Gives one waiting row up.
pub async fn give_up(ground: &Arc<Ground>, peer: &Domain, lane: Lane, seq: Seq) -> Answered<()> {
    let effects = Effects::default();
    ground.write(GiveUp { peer: peer.clone(), lane, seq, now: ground.now(), effects }).await
}

struct GiveUp {
    peer: Domain,
    lane: Lane,
    seq: Seq,
    now: Timestamp,
    effects: Effects,
}

#[async_trait]
impl WriteJob for GiveUp {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        self.effects = Effects::default();
        let (of, kind, payload) =
            (stored_lane(self.lane), RowKind::Tombstone.number(), tombstone("malformed"));
        let buried = tx.outbox_bury(&self.peer, &of, self.seq, kind, &payload).await?;
        match buried {
            Some(row) => {
                let reason = "the peer could not read the call that carried it";
                bury(tx, row.row, reason, self.now, &mut self.effects).await
            }
            None => Ok(()),
        }
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

/// Does with a row that goes nowhere what its kind asks for.
pub(super) async fn bury(
    tx: &mut dyn WriteTx,
    row: NewOutboxRow,
    reason: &str,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    warn!(peer.domain = %row.destination, kind = row.kind, reason, "a row for a peer is given up");
    match RowKind::from_number(row.kind) {
        RowKind::GroupSubmit => dead_letter(tx, row, reason, now, effects).await,
        RowKind::GroupEntry => match GroupEntry::from_bytes(&row.payload) {
            Ok(entry) if entry.committer.is_some() => {
                cut_off(tx, &entry.group, &row.destination, now, effects).await
            }
            _ => dead_letter(tx, row, reason, now, effects).await,
        },
        RowKind::Welcome => match GroupWelcome::from_bytes(&row.payload) {
            Ok(welcome) => cut_off(tx, &welcome.group, &row.destination, now, effects).await,
            Err(_) => Ok(()),
        },
        // What it says is said again by whoever asks, or keeps a number only.
        RowKind::SubmitRefused
        | RowKind::ContactAccepted
        | RowKind::Receipt
        | RowKind::Tombstone
        | RowKind::Unknown(_) => Ok(()),
    }
}

async fn dead_letter(
    tx: &mut dyn WriteTx,
    row: NewOutboxRow,
    reason: &str,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let kept = tx.dead_letters(Some(&row.destination), Window { offset: 0, limit: 0 }).await?.total;
    if kept >= LETTERS {
        let text = format!("`{}` could not take the message: {reason}", row.destination);
        return groups::submit_failed(tx, &row, &text, now, effects).await;
    }
    tx.dead_letter_add(&row, reason, now).await.map(drop)
}

/// The devices of a domain can't follow the group any more.
async fn cut_off(
    tx: &mut dyn WriteTx,
    group: &GroupId,
    domain: &Domain,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let members = tx.members(group).await?;
    let theirs =
        members.iter().filter(|member| member.left_seq.is_none() && member.device.user.domain() == domain);
    let devices: Vec<DeviceId> = theirs.map(|member| member.device.device).collect();
    groups::cut_off(tx, group, &devices, now, effects).await
}
