//! Pages a group's log for a member: what a commit that lost its race has to be rebased on.

use qpq_core::{ErrorCode, GroupId, Seq, limits};
use qpq_storage::Feed;

use super::{Groups, not_member};
use crate::{Answered, Delivery, Page, Refusal, SessionHandle};

impl Groups {
    /// Entries after a position, as far as the device may read; `most` at most, 0: as many as fit. This domain's copy
    /// of the log answers, which may be behind the hub's.
    pub async fn log(
        &self,
        session: &SessionHandle,
        group: &GroupId,
        after: Seq,
        most: usize,
    ) -> Answered<Page> {
        session.check(self.ground().now())?;
        let device = session.device();
        let mut tx = self.ground().read().await?;
        let member = tx.member(group, &device.device).await?.filter(|member| member.device == *device);
        let member = member.ok_or_else(not_member)?;
        let feed = tx.feed(&device.device, &Feed::Group(group.clone())).await?;
        let last = feed.map_or(member.joined_seq, |feed| feed.last);
        let most = if most == 0 { limits::BATCH_ITEMS } else { most.min(limits::BATCH_ITEMS) };
        let after = after.max(member.joined_seq);
        let mut entries = tx.log_after(group, after, most, limits::BATCH_BYTES).await?;
        entries.retain(|entry| entry.seq <= last);
        if entries.is_empty() && after < last && member.needs_resync.is_some() {
            return Err(Refusal::new(ErrorCode::NeedsResync, "this device was cut off from the group"));
        }
        let more = entries.last().is_some_and(|entry| entry.seq < last);
        let incarnation = self.ground().incarnation();
        let deliveries =
            entries.into_iter().map(|entry| Delivery::of_entry(group, incarnation, entry)).collect();
        Ok(Page { deliveries, more })
    }
}
