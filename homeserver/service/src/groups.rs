//! Groups: the log that a hub orders, who may write to it, and how it reaches every member's domain.
//!
//! One domain, the *hub*, orders each group; the group id names it. Commits are interactive: they are judged here when
//! this domain is the hub ([`Groups::commit`], [`Groups::commit_from_peer`]), else passed on to it. Application
//! messages are accepted at once: into the log at the hub, into the outbox elsewhere ([`Groups::submit`]). What a hub
//! orders comes to the other members' domains as rows ([`apply_row`]) and is stored there under the hub's
//! numbers, so that every device reads one log at its own home.

mod absent;
mod accept;
mod apply;
mod behind;
mod cache;
mod certificates;
mod commit;
mod create;
mod entries;
mod expire;
mod gap;
mod log;
pub(crate) mod records;
mod refuse;
mod store_commit;
mod submit;
mod tree;

use std::{fmt, sync::Arc};

use qpq_core::{DeviceAddress, Domain, ErrorCode, GroupId, Millis, Timestamp};
use qpq_delivery::mailbox::MailboxLimit;
use qpq_federation_proto::DirectoryPolicy;
use qpq_hub::Engine;
use qpq_metrics::Limit;

use crate::{Answered, Ground, Refusal, SessionHandle, SubmitRates, UserKeys};
use cache::HubCache;
use certificates::Certificates;

pub use absent::cut_off_absent;
pub(crate) use apply::apply_row;
pub(crate) use behind::Missed;
pub(crate) use entries::apply_entries;
pub use expire::expire_messages;
pub(crate) use gap::Gaps;
pub(crate) use records::{GroupEntry, GroupSubmit, GroupWelcome};
pub(crate) use refuse::give_back;
pub use submit::{ApplicationSubmit, SubmitAnswer, Submitted};

/// The use cases of groups. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Groups(Arc<Shared>);

struct Shared {
    ground: Arc<Ground>,
    engine: Engine,
    hubs: HubCache,
    certificates: Certificates,
    rates: Arc<SubmitRates>,
}

/// What the rules inside a transaction need of the world outside.
#[derive(Clone, Debug)]
struct Place {
    domain: Domain,
    limit: MailboxLimit,
    ttl: Millis,
    /// What may wait for one peer, in bytes.
    peer_queue: u64,
    directory: DirectoryPolicy,
}

impl Groups {
    /// On this ground, nothing in memory yet.
    pub fn new(ground: Arc<Ground>, engine: Engine, rates: Arc<SubmitRates>) -> Self {
        Self(Arc::new(Shared {
            ground,
            engine,
            hubs: HubCache::default(),
            certificates: Certificates::default(),
            rates,
        }))
    }

    /// Remembers what a home said about its user's devices: whoever resolves or claims through this domain tells us,
    /// and the commit that follows needs no question.
    pub fn learn(&self, keys: &UserKeys) {
        if keys.address.domain() != self.ground().domain() {
            self.0.certificates.learn(keys, self.ground().now());
        }
    }

    /// One more of what an account may send in a minute.
    fn admit(&self, session: &SessionHandle, now: Timestamp) -> Answered<()> {
        self.ground().limited(Limit::Submits, self.0.rates.admit(&session.account(), 1, now))
    }

    fn ground(&self) -> &Arc<Ground> {
        &self.0.ground
    }

    fn is_hub_of(&self, group: &GroupId) -> bool {
        group.hub() == self.ground().domain()
    }
}

impl Place {
    fn of(ground: &Ground) -> Self {
        let settings = ground.settings();
        Self {
            domain: ground.domain().clone(),
            limit: MailboxLimit { messages: settings.mailbox_messages, bytes: settings.mailbox_bytes },
            ttl: settings.message_ttl,
            peer_queue: settings.peer_queue_bytes,
            directory: ground.directory(),
        }
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("domain", self.ground().domain()).finish_non_exhaustive()
    }
}

/// A peer may speak for its own users only.
fn check_origin(origin: &Domain, device: &DeviceAddress) -> Answered<()> {
    if device.user.domain() == origin {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::PolicyRefused, format!("`{origin}` can't speak for {device}")))
}

fn no_group(group: &GroupId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no group {group} here"))
}

fn not_member() -> Refusal {
    Refusal::new(ErrorCode::NotMember, "this device is not a member of the group")
}

fn needs_resync() -> Refusal {
    let text =
        "this device fell too far behind and was cut off: a member must add its owner to the group again";
    Refusal::new(ErrorCode::NeedsResync, text)
}

/// The membership of a device of any domain. Device ids are their owners' choice: one of ours may bear the id of a
/// foreign device, and the store then finds ours by it.
async fn member_at(
    tx: &mut dyn qpq_storage::ReadTx,
    group: &GroupId,
    device: &DeviceAddress,
) -> qpq_storage::Stored<Option<qpq_storage::Member>> {
    let found = tx.member(group, &device.device).await?;
    if found.as_ref().is_none_or(|member| member.device == *device) {
        return Ok(found);
    }
    Ok(tx.members(group).await?.into_iter().find(|member| member.device == *device))
}

/// A device may act in a group while its membership lasts and it was not cut off.
fn check_member(member: Option<&qpq_storage::Member>, device: &DeviceAddress) -> Answered<()> {
    match member.filter(|member| member.device == *device) {
        Some(member) if member.left_seq.is_some() => Err(not_member()),
        Some(member) if member.needs_resync.is_some() => Err(needs_resync()),
        Some(_) => Ok(()),
        None => Err(not_member()),
    }
}

impl From<qpq_delivery::policy::Refusal> for Refusal {
    fn from(refusal: qpq_delivery::policy::Refusal) -> Self {
        let retry_after = refusal.retry_after();
        Self { code: refusal.code(), text: refusal.to_string(), retry_after, request: None }
    }
}

#[cfg(test)]
mod tests;
