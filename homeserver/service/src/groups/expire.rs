//! Messages that outlived their time in a log: their content goes, their position stays.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use qpq_core::{GroupId, Timestamp};
use qpq_storage::{Feed, Stored, WriteTx};

use crate::{Answered, Effects, Ground, WriteJob};

/// Messages that expire in one transaction.
const AT_ONCE: usize = 256;

/// Expires what is due, in this domain's copies too; returns how many messages some device here had not read.
pub async fn expire_messages(ground: &Arc<Ground>) -> Answered<usize> {
    let mut all = 0_usize;
    loop {
        let now = ground.now();
        let unread = ground.write(ExpireMessages { now, effects: Effects::default() }).await?;
        all = all.saturating_add(unread);
        if unread < AT_ONCE {
            return Ok(all);
        }
    }
}

struct ExpireMessages {
    now: Timestamp,
    effects: Effects,
}

#[async_trait]
impl WriteJob for ExpireMessages {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        self.effects = Effects::default();
        let unread = tx.log_expire(self.now, AT_ONCE).await?;
        // Its readers learn that something was there.
        let groups: BTreeSet<&GroupId> = unread.iter().map(|(group, _)| group).collect();
        for group in groups {
            for member in tx.members(group).await?.into_iter().filter(|member| member.left_seq.is_none()) {
                self.effects.wake(member.device.device, Feed::Group(group.clone()));
            }
        }
        Ok(unread.len())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
