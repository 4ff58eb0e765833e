//! What users of other domains may see of ours, and the requests that they leave where they may not.
//!
//! Nobody learns here who exists. The answer is one constant, behind one flushed transaction in both cases; a user who
//! exists costs a few reads and the request's row more, which a network doesn't show (`docs/decisions/0027-consent.md`).
//! What bounds the askers (`qpq_storage::Ask`) counts the questions, not who was found.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use qpq_core::{AccountId, Address, DeviceId, Domain, ErrorCode, GroupId, Timestamp, limits};
use qpq_delivery::contacts::Asked;
use qpq_federation_proto::DirectoryPolicy;
use qpq_metrics::Limit;
use qpq_storage::{Ask, AskNoted, Contact, ContactEvent, Device, Feed, Notice, ReadTx, Stored, WriteTx};

use crate::{Answered, Effects, Ground, Refusal, WriteJob, bans, peering::Known};

/// Who asks about users of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The domain whose link it comes over: what it says of its own users is believed.
    pub(crate) origin: &'a Domain,
    /// For whom.
    pub(crate) requester: &'a Address,
    /// The group that it is asked for, if it is named.
    pub(crate) group: Option<&'a GroupId>,
}

/// The answer to whoever must be accepted first.
pub(crate) fn requested() -> Refusal {
    let text = "whoever this is for has to accept you first; if there is such a user, they were asked";
    Refusal::retry(ErrorCode::Requested, text, limits::CONTACT_ASK_AGAIN)
}

/// Which of these addresses of ours the requester may not see, existing or not; for those who exist a request is left.
pub(crate) async fn hidden(
    ground: &Arc<Ground>,
    question: Question<'_>,
    targets: &[Address],
) -> Answered<BTreeSet<Address>> {
    let mut hidden = BTreeSet::new();
    {
        let mut tx = ground.read().await?;
        if !asks_first(tx.as_mut(), ground.directory(), question.origin, ground.now()).await? {
            return Ok(hidden);
        }
        for target in targets.iter().filter(|target| target.domain() == ground.domain()) {
            if !may_see(tx.as_mut(), question, target).await? {
                hidden.insert(target.clone());
            }
        }
    }
    // A domain asks in the name of its own users only.
    if !hidden.is_empty() && question.requester.domain() == question.origin {
        let targets = hidden.iter().cloned().collect();
        let now = ground.now();
        let job = AskAll { requester: question.requester.clone(), targets, now, effects: Effects::default() };
        ground.write(job).await?;
    }
    Ok(hidden)
}

/// Whether a device of ours may be told that `adder` of `origin`'s group added it.
pub(crate) async fn may_welcome(
    tx: &mut dyn ReadTx,
    directory: DirectoryPolicy,
    (origin, adder): (&Domain, &Address),
    group: &GroupId,
    device: &Device,
    now: Timestamp,
) -> Stored<bool> {
    if !asks_first(tx, directory, origin, now).await? {
        return Ok(true);
    }
    // What a hub says of others' users is not evidence; that we handed a package out for this group is.
    if adder.domain() == origin && is_accepted(tx, &device.account, adder).await? {
        return Ok(true);
    }
    tx.key_package_claimed(group, &device.certificate.device.device).await
}

async fn asks_first(
    tx: &mut dyn ReadTx,
    directory: DirectoryPolicy,
    origin: &Domain,
    now: Timestamp,
) -> Stored<bool> {
    Ok(directory.asks_first(Known::read(tx, origin, now).await?.state()))
}

pub(super) async fn is_accepted(tx: &mut dyn ReadTx, account: &AccountId, other: &Address) -> Stored<bool> {
    Ok(tx.contact(account, other).await?.is_some_and(Contact::is_accepted))
}

/// Whether the target has accepted the requester, or is in the group that is named: its id is known to members, their
/// homes and its hub only.
async fn may_see(tx: &mut dyn ReadTx, question: Question<'_>, target: &Address) -> Stored<bool> {
    let Some(account) = tx.account_named(target.localpart()).await? else { return Ok(false) };
    let own = question.requester.domain() == question.origin;
    if own && is_accepted(tx, &account.id, question.requester).await? {
        return Ok(true);
    }
    let Some(group) = question.group else { return Ok(false) };
    for device in active(tx, &account.id).await? {
        let member = tx.member(group, &device).await?;
        let member = member.is_some_and(|member| member.left_seq.is_none() && member.device.user == *target);
        if member || tx.key_package_claimed(group, &device).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn active(tx: &mut dyn ReadTx, account: &AccountId) -> Stored<Vec<DeviceId>> {
    let devices = tx.devices(account).await?.into_iter().filter(|device| device.revoked_at.is_none());
    Ok(devices.map(|device| device.certificate.device.device).collect())
}

/// Puts a notice into the mailbox of each of an account's devices.
pub(super) async fn tell(
    tx: &mut dyn WriteTx,
    account: &AccountId,
    notice: &Notice,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<()> {
    let devices = active(tx, account).await?;
    let notices: Vec<_> = devices.into_iter().map(|device| (device, notice.clone())).collect();
    for device in tx.mailbox_append(&notices, now).await? {
        effects.wake(device, Feed::Mailbox);
    }
    Ok(())
}

/// Leaves requests, for targets of which some may not exist.
struct AskAll {
    requester: Address,
    targets: Vec<Address>,
    now: Timestamp,
    effects: Effects,
}

#[async_trait]
impl WriteJob for AskAll {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        self.effects = Effects::default();
        if bans::of_sender(tx, &self.requester, self.now).await?.is_some() {
            return Ok(());
        }
        for target in self.targets.clone() {
            let ask = Ask {
                requester: &self.requester,
                target: &target,
                now: self.now,
                until: self.now.after(limits::CONTACT_ASKED),
                per_requester: limits::CONTACT_ASKS_PER_REQUESTER,
                per_domain: limits::CONTACT_ASKS_PER_DOMAIN,
            };
            match tx.contact_ask(&ask).await? {
                AskNoted::New => self.leave(tx, &target).await?,
                AskNoted::Repeated => {}
                AskNoted::TooMany => self.effects.hit(Limit::ContactRequests),
            }
        }
        Ok(())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}

impl AskAll {
    async fn leave(&mut self, tx: &mut dyn WriteTx, target: &Address) -> Stored<()> {
        let Some(account) = tx.account_named(target.localpart()).await? else { return Ok(()) };
        let known = tx.contact(&account.id, &self.requester).await?;
        let crowd = tx.contact_crowd(&account.id, &self.requester, self.now).await?;
        match Contact::ask(known, crowd, self.now) {
            Asked::New(request) => {
                tx.contact_store(&account.id, &self.requester, &request).await?;
                let notice =
                    Notice::Contact { address: self.requester.clone(), event: ContactEvent::Requested };
                tell(tx, &account.id, &notice, self.now, &mut self.effects).await?;
            }
            Asked::Again(request) => tx.contact_store(&account.id, &self.requester, &request).await?,
            Asked::Full => self.effects.hit(Limit::ContactRequests),
            Asked::Accepted | Asked::Declined => {}
        }
        Ok(())
    }
}
