//! Devices that stayed away from a group for too long: they are cut off, because the commits that they missed can't be processed
//! for ever (`limits::MAILBOX_AGE`), and so that its log doesn't grow for them any more.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{DeviceId, GroupId, Timestamp};
use qpq_storage::{Stored, WriteTx};

use super::accept::cut_off;
use crate::{Answered, Effects, Ground, WriteJob};

/// Devices that are cut off in one transaction.
const AT_ONCE: usize = 256;

/// Cuts off the devices of this domain that have stayed away for too long; returns how many times that happened.
pub async fn cut_off_absent(ground: &Arc<Ground>) -> Answered<usize> {
    let mut all = 0_usize;
    loop {
        let now = ground.now();
        let before = now.before(ground.settings().mailbox_age);
        // All groups are looked at: writers need not wait for that, since as a rule nobody is found.
        if ground.read().await?.members_absent(before, 1).await?.is_empty() {
            return Ok(all);
        }
        let absent = ground.write(CutOffAbsent { before, now, effects: Effects::default() }).await?;
        all = all.saturating_add(absent);
        if absent < AT_ONCE {
            return Ok(all);
        }
    }
}

struct CutOffAbsent {
    before: Timestamp,
    now: Timestamp,
    effects: Effects,
}

#[async_trait]
impl WriteJob for CutOffAbsent {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        self.effects = Effects::default();
        let absent = tx.members_absent(self.before, AT_ONCE).await?;
        let mut groups: BTreeMap<&GroupId, Vec<DeviceId>> = BTreeMap::new();
        for (group, device) in &absent {
            groups.entry(group).or_default().push(*device);
        }
        for (group, devices) in groups {
            cut_off(tx, group, &devices, self.now, &mut self.effects).await?;
        }
        Ok(absent.len())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
