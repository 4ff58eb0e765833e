//! Domains that can't follow a group any more, because an entry of its log could not be kept for them: the hub marks their
//! members and sends them no more of it, and tells the domain by a tombstone that names the group. A member adds them again.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{Address, DeviceAddress, DeviceId, Domain, GroupId, MessageId, Timestamp};
use qpq_federation_proto::{RowKind, StreamId, StreamName};
use qpq_storage::{Member, NewOutboxRow, Stored, WriteTx};
use tracing::warn;

use super::accept::cut_off;
use crate::{Effects, relay::Tombstone, request};

/// The domains of members of which none follows the group.
pub(super) fn domains_behind(members: &[Member]) -> BTreeSet<Domain> {
    let mut follows: BTreeMap<&Domain, bool> = BTreeMap::new();
    for member in members.iter().filter(|member| member.left_seq.is_none()) {
        *follows.entry(member.device.user.domain()).or_default() |= member.needs_resync.is_none();
    }
    follows.into_iter().filter(|(_, follows)| !follows).map(|(domain, _)| domain.clone()).collect()
}

/// The domains of devices that follow the group and are other accounts' than a sender's.
pub(super) fn audience(members: &[Member], sender: &Address) -> BTreeSet<Domain> {
    let follow = members.iter().filter(|member| member.left_seq.is_none() && member.needs_resync.is_none());
    let others = follow.map(|member| &member.device.user).filter(|user| *user != sender);
    others.map(|user| user.domain().clone()).collect()
}

/// Something that a hub can't keep for a domain.
pub(crate) struct Missed<'a> {
    pub(crate) us: &'a Domain,
    pub(crate) group: &'a GroupId,
    pub(crate) domain: &'a Domain,
    /// The id of the first entry that is missing.
    pub(crate) id: MessageId,
    pub(crate) now: Timestamp,
}

impl Missed<'_> {
    /// Marks the domain's members, all of them: who of them could follow without the entry is theirs to know. `false`: they
    /// are marked, and were told. Of members that have left the domain may not know yet.
    pub(crate) async fn mark(&self, tx: &mut dyn WriteTx) -> Stored<bool> {
        let members = tx.members(self.group).await?.into_iter();
        let theirs = members.filter(|member| member.device.user.domain() == self.domain);
        let present: Vec<Member> = theirs.filter(|member| member.left_seq.is_none()).collect();
        if !present.is_empty() && present.iter().all(|member| member.needs_resync.is_some()) {
            return Ok(false);
        }
        let devices: Vec<DeviceAddress> = present.into_iter().map(|member| member.device).collect();
        warn!(peer.domain = %self.domain, devices = devices.len(), "a peer's devices can't follow a group any more");
        tx.members_left_behind(self.group, &devices).await?;
        Ok(true)
    }

    /// Leaves the domain behind; a row at the end of its stream, behind everything that it still gets, says so once.
    pub(crate) async fn leave_behind(&self, tx: &mut dyn WriteTx, effects: &mut Effects) -> Stored<()> {
        if !self.mark(tx).await? {
            return Ok(());
        }
        let Self { us, group, domain, id, now } = *self;
        let said = Tombstone {
            reason: "left behind".to_owned(),
            kind: RowKind::GroupEntry.number(),
            group: Some(group.clone()),
        };
        let row = NewOutboxRow {
            destination: domain.clone(),
            stream: *StreamId::of(us, domain, &StreamName::FanOut(group.clone())).as_bytes(),
            id,
            kind: RowKind::Tombstone.number(),
            expires_at: None,
            payload: said.to_bytes(),
            at: now,
            request: request::current(),
        };
        effects.send(domain.clone());
        tx.outbox_append(&[row]).await.map(drop)
    }
}

/// The hub of a group says that our devices can't follow it: they hear that they must be added again. A tombstone that names
/// another hub's group says nothing.
pub(super) async fn apply_left_behind(
    tx: &mut dyn WriteTx,
    us: &Domain,
    origin: &Domain,
    payload: &[u8],
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    // It keeps a position, whatever is in it.
    let named = Tombstone::group_in(payload).ok().flatten();
    let Some(group) = named.filter(|group| group.hub() == origin) else { return Ok(()) };
    cut_off_ours(tx, us, &group, now, effects).await.map(drop)
}

/// Cuts our devices off that follow a group of another hub; returns how many.
pub(super) async fn cut_off_ours(
    tx: &mut dyn WriteTx,
    us: &Domain,
    group: &GroupId,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<usize> {
    let members = tx.members(group).await?;
    let follows = |member: &&Member| {
        member.left_seq.is_none() && member.needs_resync.is_none() && member.device.user.domain() == us
    };
    let devices: Vec<DeviceId> = members.iter().filter(follows).map(|member| member.device.device).collect();
    cut_off(tx, group, &devices, now, effects).await?;
    Ok(devices.len())
}
