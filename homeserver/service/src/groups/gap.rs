//! Rows of a hub that will never come: who missed them can't follow the group any more.

use qpq_core::{DeviceId, Domain, Timestamp};
use qpq_federation_proto::{StreamId, StreamName};
use qpq_storage::{Stored, WriteTx};

use super::accept::cut_off;
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
    let members = tx.members(&group).await?;
    let follows = |member: &&qpq_storage::Member| {
        member.left_seq.is_none() && member.needs_resync.is_none() && member.device.user.domain() == us
    };
    let devices: Vec<DeviceId> = members.iter().filter(follows).map(|member| member.device.device).collect();
    cut_off(tx, &group, &devices, now, effects).await?;
    Ok(devices.len())
}
