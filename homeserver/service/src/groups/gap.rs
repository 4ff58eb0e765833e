//! Rows of a hub that will never come: who missed them can't follow the group any more.

use std::collections::HashMap;

use qpq_core::{Domain, GroupId, Timestamp};
use qpq_federation_proto::{StreamId, StreamName};
use qpq_storage::{Stored, WriteTx};

use super::behind::cut_off_ours;
use crate::Effects;

/// The gaps of one call. Which groups their streams belong to is looked up once for all of them: a stream's name can't be
/// read from its id, so that takes a look at every group that the origin orders.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    groups: Option<HashMap<StreamId, GroupId>>,
    /// How many there were.
    pub(crate) count: usize,
    /// Devices of ours that were cut off.
    pub(crate) cut_off: usize,
}

impl Gaps {
    /// A row has made groups known.
    pub(crate) fn look_again(&mut self) {
        self.groups = None;
    }

    /// Cuts our devices off that read the group of a stream with a gap: a commit may have been in it. Gaps of other streams
    /// leave nobody behind here: what a home submitted was its own, and its users hear of it there.
    pub(crate) async fn apply(
        &mut self,
        tx: &mut dyn WriteTx,
        us: &Domain,
        (origin, stream): (&Domain, StreamId),
        now: Timestamp,
        effects: &mut Effects,
    ) -> Stored<()> {
        self.count = self.count.saturating_add(1);
        let groups = match &mut self.groups {
            Some(groups) => groups,
            unknown @ None => unknown.insert(fan_outs(tx, us, origin).await?),
        };
        if let Some(group) = groups.get(&stream) {
            let cut_off = cut_off_ours(tx, us, group, now, effects).await?;
            self.cut_off = self.cut_off.saturating_add(cut_off);
        }
        Ok(())
    }
}

/// The groups that another domain orders, by the streams in which their logs come here.
async fn fan_outs(tx: &mut dyn WriteTx, us: &Domain, hub: &Domain) -> Stored<HashMap<StreamId, GroupId>> {
    let groups = tx.groups_elsewhere().await?.into_iter().filter(|group| group.hub() == hub);
    Ok(groups.map(|group| (StreamId::of(hub, us, &StreamName::FanOut(group.clone())), group)).collect())
}
