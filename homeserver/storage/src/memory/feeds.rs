//! What waits for a device, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{DeviceId, Seq, Timestamp};

use super::{MemoryTx, groups::Membership};
use crate::{Backlog, Feed, FeedState, FeedsRead, FeedsWrite, MailboxRow, Notice, Stored};

#[derive(Clone, Default)]
struct Mailbox {
    last: Seq,
    acknowledged: Seq,
    rows: BTreeMap<Seq, Arc<MailboxRow>>,
}

/// The mailboxes of active devices.
#[derive(Clone, Default)]
pub(super) struct Mailboxes(BTreeMap<DeviceId, Arc<Mailbox>>);

impl Mailboxes {
    /// Gives a new device its mailbox.
    pub(super) fn open(&mut self, device: DeviceId) {
        self.0.entry(device).or_default();
    }

    /// Drops a device's mailbox.
    pub(super) fn close(&mut self, device: &DeviceId) {
        self.0.remove(device);
    }
}

impl MemoryTx {
    fn mailbox_state(&self, device: &DeviceId) -> Option<FeedState> {
        self.state.feeds.0.get(device).map(|mailbox| FeedState {
            feed: Feed::Mailbox,
            acknowledged: mailbox.acknowledged,
            last: mailbox.last,
        })
    }
}

#[async_trait]
impl FeedsRead for MemoryTx {
    async fn feeds(&mut self, device: &DeviceId) -> Stored<Vec<FeedState>> {
        let mut feeds: Vec<FeedState> = self.mailbox_state(device).into_iter().collect();
        for (id, data) in &self.state.groups.0 {
            if let Some(membership) = data.local_of(device) {
                let last = membership.end(data.group.last_seq);
                if membership.is_active() || membership.acknowledged < last {
                    let acknowledged = membership.acknowledged;
                    feeds.push(FeedState { feed: Feed::Group(id.clone()), acknowledged, last });
                }
            }
        }
        Ok(feeds)
    }

    async fn feed(&mut self, device: &DeviceId, feed: &Feed) -> Stored<Option<FeedState>> {
        let group = match feed {
            Feed::Mailbox => return Ok(self.mailbox_state(device)),
            Feed::Group(group) => group,
        };
        let Some(data) = self.state.groups.0.get(group) else { return Ok(None) };
        Ok(data.local_of(device).map(|membership| FeedState {
            feed: feed.clone(),
            acknowledged: membership.acknowledged,
            last: membership.end(data.group.last_seq),
        }))
    }

    async fn mailbox_after(
        &mut self,
        device: &DeviceId,
        after: Seq,
        limit: usize,
    ) -> Stored<Vec<MailboxRow>> {
        let Some(mailbox) = self.state.feeds.0.get(device) else { return Ok(Vec::new()) };
        Ok(mailbox.rows.range(after.next()..).take(limit).map(|(_, row)| (**row).clone()).collect())
    }

    async fn backlogs(&mut self, devices: &[DeviceId]) -> Stored<Vec<Backlog>> {
        let groups = &self.state.groups.0;
        let of = |device| {
            let memberships = groups.values().filter_map(|data| Some((data, data.local_of(device)?)));
            let backlogs = memberships.filter(|(_, m)| m.is_active()).map(|(data, m)| data.backlog(m));
            backlogs.fold(Backlog::default(), |sum, one| Backlog {
                messages: sum.messages.saturating_add(one.messages),
                bytes: sum.bytes.saturating_add(one.bytes),
            })
        };
        Ok(devices.iter().map(of).collect())
    }
}

#[async_trait]
impl FeedsWrite for MemoryTx {
    async fn mailbox_append(
        &mut self,
        notices: &[(DeviceId, Notice)],
        now: Timestamp,
    ) -> Stored<Vec<DeviceId>> {
        let mailboxes = Arc::make_mut(&mut self.state.feeds);
        let mut reached: Vec<DeviceId> = Vec::new();
        for (device, notice) in notices {
            let Some(mailbox) = mailboxes.0.get_mut(device) else { continue };
            let mailbox = Arc::make_mut(mailbox);
            mailbox.rows.retain(|_, row| !notice.replaces(&row.notice));
            mailbox.last = mailbox.last.next();
            let row = MailboxRow { seq: mailbox.last, at: now, notice: notice.clone() };
            mailbox.rows.insert(mailbox.last, Arc::new(row));
            if !reached.contains(device) {
                reached.push(*device);
            }
        }
        Ok(reached)
    }

    async fn feeds_acknowledge(&mut self, device: &DeviceId, positions: &[(Feed, Seq)]) -> Stored<()> {
        let planted = self.planted;
        for (feed, position) in positions {
            let position = &if planted.one_too_many() { position.next() } else { *position };
            match feed {
                Feed::Mailbox => {
                    if let Some(mailbox) = Arc::make_mut(&mut self.state.feeds).0.get_mut(device) {
                        let mailbox = Arc::make_mut(mailbox);
                        mailbox.acknowledged = mailbox.acknowledged.max((*position).min(mailbox.last));
                        mailbox.rows = mailbox.rows.split_off(&mailbox.acknowledged.next());
                    }
                }
                Feed::Group(group) => {
                    let groups = Arc::make_mut(&mut self.state.groups);
                    let Some(data) = groups.0.get_mut(group).map(Arc::make_mut) else { continue };
                    let last = data.group.last_seq;
                    for membership in data.members.values_mut() {
                        if membership.local && membership.member.device.device == *device {
                            advance(membership, *position, last);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Moves a membership forward, never back, never beyond what it may read.
fn advance(membership: &mut Membership, position: Seq, last: Seq) {
    let end = membership.end(last);
    membership.acknowledged = membership.acknowledged.max(position.min(end));
}
