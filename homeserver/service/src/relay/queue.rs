//! What waits for a peer, stream by stream: how much, since when, and what goes next. Never whose.

use qpq_core::{Domain, Timestamp};
use qpq_federation_proto::{RowKind, StreamId};
use qpq_storage::{Page, QueueLine, Window};
use serde::Serialize;

use crate::{Answered, Ground};

/// One stream's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueView {
    /// The stream.
    pub stream: String,
    /// When the life of this database began that numbered the rows.
    pub life: Timestamp,
    /// The number of the row that goes next.
    pub next: u64,
    /// How many rows wait.
    pub rows: u64,
    /// How large they are together.
    pub bytes: u64,
    /// What goes next.
    pub kind: &'static str,
    /// When that was accepted.
    pub oldest_at: Option<Timestamp>,
}

impl From<QueueLine> for QueueView {
    fn from(line: QueueLine) -> Self {
        let (kind, oldest_at) = line.first.unzip();
        Self {
            stream: StreamId::from_bytes(line.lane.stream).to_string(),
            life: line.lane.incarnation.time(),
            next: line.next.0,
            rows: line.rows,
            bytes: line.bytes,
            kind: kind.map_or("gap", |kind| kind_name(RowKind::from_number(kind))),
            oldest_at,
        }
    }
}

/// A kind's name in JSON.
pub(super) const fn kind_name(kind: RowKind) -> &'static str {
    match kind {
        RowKind::GroupSubmit => "submit",
        RowKind::GroupEntry => "entry",
        RowKind::Welcome => "welcome",
        RowKind::SubmitRefused => "refusal",
        RowKind::ContactAccepted => "contact",
        RowKind::Receipt => "receipt",
        RowKind::Tombstone => "tombstone",
        RowKind::Unknown(_) => "unknown",
    }
}

/// A page of what waits for a peer.
pub async fn queue(ground: &Ground, peer: &Domain, window: Window) -> Answered<Page<QueueView>> {
    let Page { rows, total } = ground.read().await?.outbox_queue(peer, window).await?;
    Ok(Page { rows: rows.into_iter().map(QueueView::from).collect(), total })
}
