//! A logged-in session: every call as a function of domain types, each with its deadline.

mod contacts;
mod own_keys;
mod patience;

use std::rc::Rc;

use qpq_core::{Address, DeviceCertificate, DeviceId, GroupId, MessageId, Seq};
use qpq_schemas::{
    client_capnp::{
        account, contacts as contacts_capnp, device_claim, devices, directory, groups, inbox, key_packages,
        mailbox, session, submit_answer,
    },
    common_capnp::commit_answer,
};

use qpq_transparency_wire::{Views, write_views};

use patience::Patience;

use crate::{
    ClientError,
    error::Refusal,
    link::{CALL, FAR_CALL, Link, within},
    mls::{NewGroup, StagedCommit},
    wire::{self, ClaimedUser, Delivery, DeviceRow, Grant, Position, Receipt, Stock, UserAnswer, refused},
};

pub use contacts::ContactRequest;
pub use own_keys::ToldHistory;

/// The capabilities of one session; clones share the connection.
#[derive(Clone)]
pub struct Session {
    link: Rc<Link>,
    account: account::Client,
    devices: devices::Client,
    key_packages: key_packages::Client,
    directory: directory::Client,
    mailbox: mailbox::Client,
    groups: groups::Client,
    contacts: contacts_capnp::Client,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("link", &self.link).finish_non_exhaustive()
    }
}

/// A KeyPackage to upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The serialised MLS message.
    pub key_package: Vec<u8>,
    /// Whether it replaces the last-resort package.
    pub last_resort: bool,
}

/// An encrypted message to hand over.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The idempotency key.
    pub id: MessageId,
    /// For which group.
    pub group: GroupId,
    /// The serialised MLS message.
    pub message: Vec<u8>,
}

/// What became of a message that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is in the group's log.
    AtHub,
    /// It is durable at home and on its way.
    AtHome,
    /// Nothing was kept.
    Refused(Refusal),
}

/// What became of the messages of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// An answer for each, in the order given.
    pub answers: Vec<Submitted>,
    /// What the homeserver has signed about those that it took.
    pub receipts: Vec<Receipt>,
}

/// What the hub made of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitVerdict {
    /// It won its epoch.
    Accepted {
        /// Its place in the log.
        seq: Seq,
    },
    /// Another commit won.
    WrongEpoch,
    /// Refused for another reason.
    Refused(Refusal),
}

impl Session {
    /// Asks for all capabilities at once; the calls are pipelined and cost no round trip.
    pub(crate) fn new(link: Rc<Link>, session: &session::Client) -> Self {
        Self {
            account: session.account_request().send().pipeline.get_account(),
            devices: session.devices_request().send().pipeline.get_devices(),
            key_packages: session.key_packages_request().send().pipeline.get_key_packages(),
            directory: session.directory_request().send().pipeline.get_directory(),
            mailbox: session.mailbox_request().send().pipeline.get_mailbox(),
            groups: session.groups_request().send().pipeline.get_groups(),
            contacts: session.contacts_request().send().pipeline.get_contacts(),
            link,
        }
    }

    /// The connection below.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Says goodbye if nobody else holds the connection.
    pub(crate) async fn close(self) {
        let link = Rc::clone(&self.link);
        drop(self);
        if let Ok(link) = Rc::try_unwrap(link) {
            link.close().await;
        }
    }

    /// The account's devices.
    pub async fn device_list(&self) -> Result<Vec<DeviceRow>, ClientError> {
        let response =
            self.link.answer(CALL, "devices.list", self.devices.list_request().send().promise).await?;
        let results = response.get()?;
        refused!(results);
        results.get_devices()?.iter().map(wire::read_device).collect()
    }

    /// Ends a device of the account.
    pub async fn device_revoke(&self, device: &DeviceId) -> Result<(), ClientError> {
        let mut request = self.devices.revoke_request();
        request.get().set_device(device.as_bytes());
        let response = self.link.answer(CALL, "devices.revoke", request.send().promise).await?;
        refused!(response.get()?);
        Ok(())
    }

    /// Adds to this device's stock of KeyPackages.
    pub async fn upload(&self, packages: &[Upload]) -> Result<Stock, ClientError> {
        let mut request = self.key_packages.upload_request();
        let mut list = request.get().init_packages(length(packages.len())?);
        for (n, package) in (0..).zip(packages) {
            let mut item = list.reborrow().get(n);
            item.set_key_package(&package.key_package);
            item.set_last_resort(package.last_resort);
        }
        let response = self.link.answer(CALL, "keyPackages.upload", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        Ok(wire::read_stock(results.get_stock()?))
    }

    /// How many KeyPackages of this device are left.
    pub async fn stock(&self) -> Result<Stock, ClientError> {
        let response = self
            .link
            .answer(CALL, "keyPackages.stock", self.key_packages.stock_request().send().promise)
            .await?;
        let results = response.get()?;
        refused!(results);
        Ok(wire::read_stock(results.get_stock()?))
    }

    /// Takes one KeyPackage of every device of each target; `nonce` makes a repeat harmless. For what the witnesses of a log have
    /// not signed yet it waits a moment.
    pub async fn claim(
        &self,
        group: &GroupId,
        nonce: &[u8; 16],
        targets: &[Address],
        views: &Views,
    ) -> Result<Vec<ClaimedUser>, ClientError> {
        let patience = Patience::new();
        loop {
            let claimed = self.claim_now(group, nonce, targets, views).await?;
            if !patience.waits(claimed.iter().filter_map(|claimed| claimed.keys.as_ref().err())).await {
                return Ok(claimed);
            }
        }
    }

    async fn claim_now(
        &self,
        group: &GroupId,
        nonce: &[u8; 16],
        targets: &[Address],
        views: &Views,
    ) -> Result<Vec<ClaimedUser>, ClientError> {
        let mut request = self.key_packages.claim_request();
        let mut params = request.get();
        params.set_group(&group.to_bytes());
        params.set_nonce(nonce);
        let mut list = params.reborrow().init_targets(length(targets.len())?);
        for (n, target) in (0..).zip(targets) {
            list.set(n, target.to_string());
        }
        write_views(views, params.init_views(length(views.len())?));
        let response = self.link.answer(FAR_CALL, "keyPackages.claim", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let users: Vec<_> = results.get_users()?.iter().map(wire::read_claimed).collect::<Result<_, _>>()?;
        same_length(users.len(), targets.len(), "keyPackages.claim")?;
        Ok(users)
    }

    /// The keys of users of any domain, in the order asked; `group` is one that this device shares with them. For what the
    /// witnesses of a log have not signed yet it waits a moment.
    pub async fn resolve(
        &self,
        addresses: &[Address],
        group: Option<&GroupId>,
        views: &Views,
    ) -> Result<Vec<UserAnswer>, ClientError> {
        let patience = Patience::new();
        loop {
            let answers = self.resolve_now(addresses, group, views).await?;
            if !patience.waits(answers.iter().filter_map(|answer| answer.as_ref().err())).await {
                return Ok(answers);
            }
        }
    }

    /// The same without waiting.
    pub(crate) async fn resolve_now(
        &self,
        addresses: &[Address],
        group: Option<&GroupId>,
        views: &Views,
    ) -> Result<Vec<UserAnswer>, ClientError> {
        let mut request = self.directory.resolve_request();
        let mut params = request.get();
        if let Some(group) = group {
            params.set_group(&group.to_bytes());
        }
        let mut list = params.reborrow().init_addresses(length(addresses.len())?);
        for (n, address) in (0..).zip(addresses) {
            list.set(n, address.to_string());
        }
        write_views(views, params.init_views(length(views.len())?));
        let response = self.link.answer(FAR_CALL, "directory.resolve", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let users: Vec<_> = results.get_users()?.iter().map(wire::read_user).collect::<Result<_, _>>()?;
        same_length(users.len(), addresses.len(), "directory.resolve")?;
        Ok(users)
    }

    /// Has everything pushed to `inbox` from now on.
    pub async fn subscribe(&self, inbox: inbox::Client) -> Result<(), ClientError> {
        let mut request = self.mailbox.subscribe_request();
        request.get().set_inbox(inbox);
        let response = self.link.answer(CALL, "mailbox.subscribe", request.send().promise).await?;
        refused!(response.get()?);
        Ok(())
    }

    /// Pulls what waits after `after` (other feeds: after what was acknowledged), and whether more waits.
    pub async fn fetch(&self, after: &[Position], max: u16) -> Result<(Vec<Delivery>, bool), ClientError> {
        let mut request = self.mailbox.fetch_request();
        let mut params = request.get();
        params.set_max_items(max);
        let mut list = params.init_after(length(after.len())?);
        for (n, position) in (0..).zip(after) {
            wire::write_position(list.reborrow().get(n), position);
        }
        let response = self.link.answer(CALL, "mailbox.fetch", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let deliveries =
            results.get_deliveries()?.iter().map(wire::read_delivery).collect::<Result<_, _>>()?;
        Ok((deliveries, results.get_more()))
    }

    /// "Stored durably up to here."
    pub async fn acknowledge(&self, positions: &[Position]) -> Result<(), ClientError> {
        let mut request = self.mailbox.acknowledge_request();
        let mut list = request.get().init_positions(length(positions.len())?);
        for (n, position) in (0..).zip(positions) {
            wire::write_position(list.reborrow().get(n), position);
        }
        let response = self.link.answer(CALL, "mailbox.acknowledge", request.send().promise).await?;
        refused!(response.get()?);
        Ok(())
    }

    /// Makes the own domain the hub of a new group.
    pub async fn group_create(&self, group: &GroupId, new: &NewGroup) -> Result<Position, ClientError> {
        let mut request = self.groups.create_request();
        let mut params = request.get();
        params.set_group(&group.to_bytes());
        params.set_group_info(&new.group_info);
        params.set_ratchet_tree(&new.ratchet_tree);
        let response = self.link.answer(CALL, "groups.create", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        wire::read_position(results.get_position()?)
    }

    /// Offers a commit to the group's hub.
    pub async fn commit(&self, group: &GroupId, staged: &StagedCommit) -> Result<CommitVerdict, ClientError> {
        let mut request = self.groups.commit_request();
        let mut submit = request.get().init_submit();
        submit.set_id(staged.id.as_bytes());
        submit.set_group(&group.to_bytes());
        submit.set_epoch(staged.epoch);
        submit.set_commit(&staged.commit);
        submit.set_group_info(&staged.group_info);
        submit.set_welcome(&staged.welcome);
        submit.set_signature(&staged.signature);
        let response = self.link.answer(FAR_CALL, "groups.commit", request.send().promise).await?;
        match response.get()?.get_answer()?.which() {
            Ok(commit_answer::Accepted(accepted)) => {
                Ok(CommitVerdict::Accepted { seq: Seq(accepted?.get_seq()) })
            }
            Ok(commit_answer::WrongEpoch(_)) => Ok(CommitVerdict::WrongEpoch),
            Ok(commit_answer::Failure(failure)) => Ok(CommitVerdict::Refused(wire::refusal(failure?)?)),
            Err(capnp::NotInSchema(_)) => Err(ClientError::protocol("an unknown answer to a commit")),
        }
    }

    /// Hands messages over.
    pub async fn submit(&self, messages: &[Submit]) -> Result<HandedOver, ClientError> {
        let mut request = self.groups.submit_request();
        let mut list = request.get().init_messages(length(messages.len())?);
        for (n, message) in (0..).zip(messages) {
            let mut item = list.reborrow().get(n);
            item.set_id(message.id.as_bytes());
            item.set_group(&message.group.to_bytes());
            item.set_message(&message.message);
        }
        let response = self.link.answer(CALL, "groups.submit", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let answers = results.get_answers()?.iter().map(read_submitted).collect::<Result<Vec<_>, _>>()?;
        same_length(answers.len(), messages.len(), "groups.submit")?;
        let receipts = results.get_receipts()?.iter().filter_map(wire::readable_receipt).collect();
        Ok(HandedOver { answers, receipts })
    }

    /// The ratchet tree that a Welcome needs.
    pub async fn tree(&self, group: &GroupId, epoch: u64) -> Result<Vec<u8>, ClientError> {
        let mut request = self.groups.tree_request();
        let mut params = request.get();
        params.set_group(&group.to_bytes());
        params.set_epoch(epoch);
        let response = self.link.answer(FAR_CALL, "groups.tree", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        Ok(results.get_tree()?.get_ratchet_tree()?.to_vec())
    }

    /// Pages the group's log from a position.
    pub async fn log(
        &self,
        group: &GroupId,
        after: Seq,
        max: u16,
    ) -> Result<(Vec<Delivery>, bool), ClientError> {
        let mut request = self.groups.log_request();
        let mut params = request.get();
        params.set_group(&group.to_bytes());
        params.set_after(after.0);
        params.set_max_items(max);
        let response = self.link.answer(FAR_CALL, "groups.log", request.send().promise).await?;
        let results = response.get()?;
        refused!(results);
        let deliveries =
            results.get_deliveries()?.iter().map(wire::read_delivery).collect::<Result<_, _>>()?;
        Ok((deliveries, results.get_more()))
    }
}

/// Opens a session with a resumption token, which is thereby used up; `next` will be the one after it.
pub async fn resume(
    link: Rc<Link>,
    token: &[u8; 32],
    next: &[u8; 32],
) -> Result<(Session, Grant), ClientError> {
    let mut request = link.homeserver().resume_request();
    request.get().set_token(token);
    request.get().set_next(next);
    let response = within(CALL, "resume", request.send().promise).await?;
    let results = response.get()?;
    refused!(results);
    let grant = wire::read_grant(results.get_grant()?)?;
    Ok((Session::new(Rc::clone(&link), &results.get_session()?), grant))
}

/// A device that presents itself.
pub(crate) fn write_claim(
    mut builder: device_claim::Builder<'_>,
    certificate: &DeviceCertificate,
    possession: &[u8; 64],
) {
    builder.set_possession(possession);
    wire::write_certificate(builder.init_certificate(), certificate);
}

fn read_submitted(answer: submit_answer::Reader<'_>) -> Result<Submitted, ClientError> {
    match answer.which() {
        Ok(submit_answer::AtHub(_)) => Ok(Submitted::AtHub),
        Ok(submit_answer::AtHome(_)) => Ok(Submitted::AtHome),
        Ok(submit_answer::Failure(failure)) => Ok(Submitted::Refused(wire::refusal(failure?)?)),
        Err(capnp::NotInSchema(_)) => Err(ClientError::protocol("an unknown answer to a message")),
    }
}

fn length(items: usize) -> Result<u32, ClientError> {
    u32::try_from(items).map_err(|_| ClientError::protocol("a list is too long to be sent"))
}

fn same_length(answered: usize, asked: usize, what: &'static str) -> Result<(), ClientError> {
    if answered == asked {
        Ok(())
    } else {
        Err(ClientError::protocol(format_args!("{what} answered {answered} of {asked} items")))
    }
}
