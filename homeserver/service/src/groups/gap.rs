//! Rows of a hub that will never come: who missed them can't follow the group any more.

use qpq_core::{Domain, Timestamp};
use qpq_federation_proto::{StreamId, StreamName};
use qpq_storage::{Stored, WriteTx};

use super::behind::cut_off_ours;
use crate::Effects;

/// Cuts our devices off that read the group of a stream with a gap: a commit may have been in it. Gaps of other streams
/// leave nobody behind here: what a home submitted was its own, and its users hear of it there.
pub(crate) async fn apply_gap(
    tx: &mut dyn WriteTx,
    us: &Domain,
    (origin, stream): (&Domain, StreamId),
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<usize> {
    let groups = tx.groups_elsewhere().await?;
    let of_stream = |name: &StreamName| StreamId::of(origin, us, name) == stream;
    let theirs = groups.into_iter().filter(|group| group.hub() == origin);
    let Some(group) = theirs.into_iter().find(|group| of_stream(&StreamName::FanOut(group.clone()))) else {
        return Ok(0);
    };
    cut_off_ours(tx, us, &group, now, effects).await
}
