//! Groups: made, enlarged, listed, shown.

use std::collections::BTreeSet;

use qpq_core::{Address, DeviceId, Entropy as _, ErrorCode, GroupId};

use crate::{
    Client, ClientError,
    commits::Addition,
    log::InLog,
    mls::{Claimed, Group, KeyPackageRefused, verify_key_package},
    store::{Feed, GroupRecord, GroupState},
    trust::is_proven,
    wire::ClaimedUser,
};

/// Users added in one commit: with X-Wing a leaf and its share of the Welcome are some kilobytes.
const CHUNK: usize = 32;
/// Bytes of a group's name.
const LONGEST_NAME: usize = 256;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GroupSummary {
    /// Its id.
    pub group: GroupId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The other user of a conversation of two.
    pub peer: Option<Address>,
    /// How it is doing: `creating`, `active`, `needs_resync`, `blocked` or `removed`.
    pub state: &'static str,
    /// Why it is not active.
    pub reason: Option<String>,
    /// Its members.
    pub users: Vec<Address>,
}

/// A group and its members' devices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GroupDetails {
    /// As in the list.
    #[serde(flatten)]
    pub summary: GroupSummary,
    /// Its epoch here; absent when this device is no member.
    pub epoch: Option<u64>,
    /// Every leaf.
    pub members: Vec<MemberRow>,
}

/// A device in a group.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemberRow {
    /// Whose.
    pub address: Address,
    /// Which.
    pub device: DeviceId,
    /// Whether its account's identity key has signed it.
    pub signed: bool,
    /// How its account stands to its domain's log.
    pub in_log: InLog,
}

impl Client {
    /// Makes a group with this account's devices in it.
    pub async fn group_create(&self, name: &str) -> Result<GroupId, ClientError> {
        self.check_name(name).await?;
        self.may_send().await?;
        let group = self.make_group(Some(name), None).await?;
        self.add_users(&group, &[self.address()?]).await?;
        Ok(group)
    }

    /// A name must be one that its group can be called by, beside those that are here already.
    async fn check_name(&self, name: &str) -> Result<(), ClientError> {
        let refused = |why| Err(ClientError::GroupName { text: name.chars().take(100).collect(), why });
        if name.trim().is_empty() {
            return refused("it has no letters");
        }
        if name.len() > LONGEST_NAME {
            return refused("it is longer than 256 bytes");
        }
        if name.chars().any(char::is_control) {
            return refused("it has line breaks or other control characters");
        }
        if name.parse::<Address>().is_ok() || name.parse::<GroupId>().is_ok() {
            return refused("it looks like an address or an id, so that nothing could be sent to it by name");
        }
        let mut tx = self.inner.store.begin().await?;
        let groups = tx.groups().await?;
        if groups
            .iter()
            .any(|group| group.name.as_deref() == Some(name) && group.state != GroupState::Removed)
        {
            return refused("there is one of this name already, `qpq group list` shows it");
        }
        Ok(())
    }

    /// Adds users with all their devices; who is in it already and fell behind is taken in anew.
    pub async fn group_add(&self, group: &str, users: &[Address]) -> Result<GroupId, ClientError> {
        let record = self.find_group(group).await?;
        match record.state {
            GroupState::Active | GroupState::Blocked { .. } => {}
            GroupState::Creating => self.offer_group(&record.id).await?,
            GroupState::NeedsResync { .. } | GroupState::Removed => {
                return Err(ClientError::CutOff { group: record.id, address: self.address()? });
            }
        }
        self.may_send().await?;
        self.accept_contacts(users).await?;
        self.add_users(&record.id, users).await?;
        Ok(record.id)
    }

    /// The groups of this home.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let mut summaries = Vec::new();
        for record in tx.groups().await? {
            let members = tx.members(&record.id).await?;
            let users: BTreeSet<_> = members.into_iter().map(|member| member.device.user).collect();
            summaries.push(summary(record, users));
        }
        Ok(summaries)
    }

    /// A group and its members.
    pub async fn group_show(&self, group: &str) -> Result<GroupDetails, ClientError> {
        let record = self.find_group(group).await?;
        let epoch = self.epoch(&record.id).await?;
        let mut tx = self.inner.store.begin().await?;
        let leaves = tx.members(&record.id).await?;
        let users = leaves.iter().map(|leaf| leaf.device.user.clone()).collect();
        let mut members = Vec::new();
        for leaf in leaves {
            let signed = is_proven(&mut tx, &leaf).await?;
            let in_log = self.in_log(&mut tx, &leaf.device.user).await?;
            members.push(MemberRow { address: leaf.device.user, device: leaf.device.device, signed, in_log });
        }
        Ok(GroupDetails { summary: summary(record, users), epoch, members })
    }

    /// The group that a user means: by its id, or by its name if only one has it.
    pub(crate) async fn find_group(&self, text: &str) -> Result<GroupRecord, ClientError> {
        let unknown = || ClientError::UnknownGroup { text: text.chars().take(100).collect() };
        let mut tx = self.inner.store.begin().await?;
        if let Ok(id) = text.parse::<GroupId>() {
            return tx.group(&id).await?.ok_or_else(unknown);
        }
        let mut named = tx
            .groups()
            .await?
            .into_iter()
            .filter(|record| record.name.as_deref() == Some(text))
            .collect::<Vec<_>>();
        if named.len() > 1 {
            // Groups that have ended don't make a name ambiguous.
            named.retain(|record| record.state != GroupState::Removed);
        }
        match (named.pop(), named.is_empty()) {
            (Some(record), true) => Ok(record),
            (Some(_), false) => Err(ClientError::AmbiguousGroup { text: text.to_owned() }),
            (None, _) => Err(unknown()),
        }
    }

    /// Makes a group here, then at its hub, which is the own domain.
    pub(crate) async fn make_group(
        &self,
        name: Option<&str>,
        peer: Option<&Address>,
    ) -> Result<GroupId, ClientError> {
        let me = self.me()?;
        let id = GroupId::random(me.address().domain().clone(), &mut self.entropy()?);
        let (mut group, new) = Group::create(&me.device, &id, me.account.suite, self.now())?;
        let mut turn = self.turn().await;
        let mut tx = self.inner.store.begin().await?;
        tx.save_group_record(&GroupRecord {
            id: id.clone(),
            name: name.map(str::to_owned),
            peer: peer.cloned(),
            state: GroupState::Creating,
            since: self.now(),
        })
        .await?;
        tx.save_group(&mut group).await?;
        tx.save_group_creation(&id, &new).await?;
        tx.commit().await?;
        turn.put(group);
        turn.done();
        self.offer_group(&id).await?;
        Ok(id)
    }

    /// Creates a group at its hub that may not have it; repeating this is harmless.
    pub(crate) async fn offer_group(&self, id: &GroupId) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let new = tx.group_creation(id).await?;
        drop(tx);
        let Some(new) = new else { return Ok(()) };
        let position = self.session()?.group_create(id, &new).await?;
        let mut tx = self.inner.store.begin().await?;
        tx.group_created(id).await?;
        tx.set_position(&Feed::Group(id.clone()), position.cursor).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Claims KeyPackages of every device of each user, checks them, and commits the addition, in chunks.
    pub(crate) async fn add_users(&self, group: &GroupId, users: &[Address]) -> Result<(), ClientError> {
        let me = self.me()?;
        let mut users: Vec<Address> = users.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        if users.contains(me.address()) && !self.has_other_devices().await? {
            users.retain(|user| user != me.address());
        }
        for chunk in users.chunks(CHUNK) {
            let addition = self.claim(group, chunk).await?;
            self.commit_addition(group, &addition).await?;
        }
        Ok(())
    }

    async fn has_other_devices(&self) -> Result<bool, ClientError> {
        let devices = self.session()?.device_list().await?;
        Ok(devices.iter().any(|device| !device.current && device.revoked_at.is_none()))
    }

    /// Takes one KeyPackage of each device of these users, and believes none of it unchecked.
    async fn claim(&self, group: &GroupId, users: &[Address]) -> Result<Addition, ClientError> {
        let me = self.me()?;
        let mut nonce = [0; 16];
        self.entropy()?.fill(&mut nonce);
        let mut asked = self.asking(users).await?;
        let claimed = self.session()?.claim(group, &nonce, users, asked.views()).await?;
        for keys in claimed.iter().filter_map(|claimed| claimed.keys.as_ref().ok()) {
            asked.answered(keys);
        }
        let waiting = users.iter().zip(&claimed).filter_map(|(address, claimed)| match &claimed.keys {
            Err(refusal) if refusal.is(ErrorCode::Requested) => Some((address.clone(), refusal)),
            Ok(_) | Err(_) => None,
        });
        let (waiting, refusals): (Vec<_>, Vec<_>) = waiting.unzip();
        if let Some(refusal) = refusals.first() {
            return Err(self.note_requested(&waiting, refusal).await?);
        }
        let mut addition = Addition { users: users.to_vec(), packages: Vec::new(), active: BTreeSet::new() };
        for (address, claimed) in users.iter().zip(claimed) {
            let ClaimedUser { keys, packages } = claimed;
            let keys = keys.map_err(|refusal| ClientError::User { address: address.clone(), refusal })?;
            self.judge(&asked, &[(address.clone(), &keys)]).await?;
            addition.active.extend(keys.devices.iter().map(|device| (address.clone(), device.device.device)));
            let mut usable = 0_usize;
            for package in packages {
                let Some(certificate) =
                    keys.devices.iter().find(|device| device.device.device == package.device)
                else {
                    continue;
                };
                if certificate.device == *me.device.address() {
                    continue;
                }
                let claimed = Claimed { certificate: certificate.clone(), key_package: package.key_package };
                match verify_key_package(&claimed, me.account.suite, self.now()) {
                    Ok(package) => {
                        addition.packages.push(package);
                        usable += 1;
                    }
                    Err(KeyPackageRefused::Device | KeyPackageRefused::Key) => {
                        return Err(ClientError::ForeignKeyPackage { device: claimed.certificate.device });
                    }
                    Err(why) => {
                        tracing::warn!(device = %claimed.certificate.device, %why, "a device can't be added");
                    }
                }
            }
            if usable == 0 && address != me.address() {
                return Err(ClientError::NoKeyPackages { address: address.clone() });
            }
        }
        Ok(addition)
    }
}

fn summary(record: GroupRecord, users: BTreeSet<Address>) -> GroupSummary {
    let (state, reason) = match record.state {
        GroupState::Creating => ("creating", None),
        GroupState::Active => ("active", None),
        GroupState::NeedsResync { reason } => ("needs_resync", Some(reason)),
        GroupState::Blocked { reason } => ("blocked", Some(reason)),
        GroupState::Removed => ("removed", None),
    };
    GroupSummary {
        group: record.id,
        name: record.name,
        peer: record.peer,
        state,
        reason,
        users: users.into_iter().collect(),
    }
}
