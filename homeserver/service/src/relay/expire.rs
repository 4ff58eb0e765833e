//! Rows whose time is over: they become tombstones, and their senders hear of it.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{DeviceId, ErrorCode, Timestamp};
use qpq_federation_proto::RowKind;
use qpq_schemas::records_capnp::{group_submit, tombstone};
use qpq_storage::{Feed, Notice, OutboxRow, Stored, WriteTx};

use crate::{Answered, Effects, Ground, WriteJob, wire};

/// Rows that expire in one transaction.
const AT_ONCE: usize = 256;

/// Turns waiting rows whose time is over into tombstones and tells their senders; returns how many.
pub async fn expire(ground: &Arc<Ground>) -> Answered<usize> {
    let mut all = 0;
    loop {
        let expired = ground.write(Expire { now: ground.now(), told: Vec::new() }).await?;
        all += expired;
        if expired < AT_ONCE {
            return Ok(all);
        }
    }
}

struct Expire {
    now: Timestamp,
    told: Vec<DeviceId>,
}

#[async_trait]
impl WriteJob for Expire {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        let kind = RowKind::Tombstone.number();
        let rows = tx.outbox_expire(self.now, kind, &expired_payload(), AT_ONCE).await?;
        let notices: Vec<_> = rows.iter().filter_map(failure_notice).collect();
        self.told = tx.mailbox_append(&notices, self.now).await?;
        Ok(rows.len())
    }

    fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.told.drain(..).for_each(|device| effects.wake(device, Feed::Mailbox));
        effects
    }
}

fn expired_payload() -> Vec<u8> {
    let mut message = capnp::message::Builder::new_default();
    message.init_root::<tombstone::Builder<'_>>().set_reason("expired");
    capnp::serialize::write_message_to_words(&message)
}

/// What our user's device hears about a submit that expired here. An entry of a log has reached its hub's members;
/// what its recipients miss there is theirs to see.
fn failure_notice(row: &OutboxRow) -> Option<(DeviceId, Notice)> {
    if RowKind::from_number(row.row.kind) != RowKind::GroupSubmit {
        return None;
    }
    let segments = capnp::serialize::BufferSegments::new(row.row.payload.as_slice(), capnp::message::ReaderOptions::new());
    let message = wire::record(segments.ok()?);
    let submit = message.get_root::<group_submit::Reader<'_>>().ok()?;
    let sender = wire::device_address("sender", submit.get_sender()).ok()?;
    let notice = Notice::Refused {
        group: wire::group_id(submit.get_group()).ok()?,
        id: row.row.id,
        code: ErrorCode::PeerUnreachable.number(),
        text: format!("`{}` could not be reached before the message expired", row.row.destination),
        retry_after_ms: 0,
    };
    Some((sender.device, notice))
}
