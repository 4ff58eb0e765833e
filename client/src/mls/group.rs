//! One group in memory.

use openmls::{
    group::{GroupId as MlsGroupId, MlsGroup},
    prelude::{BasicCredential, Credential, LeafNode, OpenMlsProvider as _, tls_codec::Serialize as _},
};
use qpq_core::{DeviceAddress, GroupId, SignatureKey, Timestamp};

use super::{
    Device, MlsError, StateChanges, StoredValue, Suite,
    provider::Provider,
    state::Stored,
    suite::{create_config, names_its_hub, past_epochs},
};

/// One leaf of a group's tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its place in the tree.
    pub leaf: u32,
    /// Whose device it is.
    pub device: DeviceAddress,
    /// The key that it signs with.
    pub signature_key: SignatureKey,
}

/// What the hub needs for a new group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// A serialised `MLSMessage` of wire format `mls_group_info`, epoch 0, without the tree.
    pub group_info: Vec<u8>,
    /// The serialised ratchet tree.
    pub ratchet_tree: Vec<u8>,
}

/// One group in memory: OpenMLS' state, its provider, and what of it is stored.
pub struct Group {
    pub(super) id: GroupId,
    pub(super) mls: MlsGroup,
    pub(super) provider: Provider,
    stored: Stored,
}

impl Group {
    /// Makes a group whose only member is this device, at epoch 0; persist it, then create it at the hub.
    pub fn create(
        device: &Device,
        id: &GroupId,
        suite: Suite,
        now: Timestamp,
    ) -> Result<(Self, NewGroup), MlsError> {
        let provider = Provider::new(std::collections::HashMap::new())?;
        let config = create_config(id, suite, now)?;
        let mls = MlsGroup::new_with_group_id(&provider, device, &config, mls_id(id), device.credential())
            .map_err(MlsError::engine("make the group"))?;
        let group = Self { id: id.clone(), mls, provider, stored: Stored::default() };
        let new = group.export(device)?;
        Ok((group, new))
    }

    /// The group from its stored state ([`crate::store::Tx::load_group`] calls this).
    pub fn load(id: &GroupId, values: Vec<StoredValue>) -> Result<Self, MlsError> {
        let stored = Stored::new(values);
        let provider = Provider::new(stored.to_values())?;
        let damaged = |what: &str| MlsError::Damaged { what: what.to_owned() };
        let mls = MlsGroup::load(provider.storage(), &mls_id(id))
            .map_err(|error| damaged(&error.to_string()))?
            .ok_or_else(|| damaged("parts of it are missing"))?;
        Ok(Self { id: id.clone(), mls, provider, stored })
    }

    /// A group that was just joined, on the scratch provider that it was joined with.
    pub(super) fn joined(id: GroupId, mls: MlsGroup, provider: Provider) -> Self {
        Self { id, mls, provider, stored: Stored::default() }
    }

    /// The group's id.
    pub const fn id(&self) -> &GroupId {
        &self.id
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// Its cipher suite.
    pub fn suite(&self) -> Suite {
        // Only groups of our two suites are made or joined.
        Suite::of(self.mls.ciphersuite()).unwrap_or_default()
    }

    /// Whether this device is still a member.
    pub fn is_active(&self) -> bool {
        self.mls.is_active()
    }

    /// This device's leaf.
    pub fn own_leaf(&self) -> u32 {
        self.mls.own_leaf_index().u32()
    }

    /// Every member, by leaf.
    pub fn members(&self) -> Result<Vec<Member>, MlsError> {
        self.mls.members().map(|member| parse_member(&member)).collect()
    }

    /// Whether a commit of ours is staged and waits for its echo.
    pub fn has_pending(&self) -> bool {
        self.mls.pending_commit().is_some()
    }

    /// Drops the pending commit: it lost its epoch, or was refused.
    pub fn discard_pending(&mut self) -> Result<(), MlsError> {
        self.mls
            .clear_pending_commit(self.provider.storage())
            .map_err(MlsError::engine("drop the pending commit"))
    }

    /// The GroupInfo and ratchet tree of this epoch, as the hub wants them for a new group.
    pub fn export(&self, device: &Device) -> Result<NewGroup, MlsError> {
        let group_info = self
            .mls
            .export_group_info(self.provider.crypto(), device, false)
            .map_err(MlsError::engine("describe the group"))?
            .to_bytes()
            .map_err(MlsError::engine("serialise the GroupInfo"))?;
        let ratchet_tree = self
            .mls
            .export_ratchet_tree()
            .tls_serialize_detached()
            .map_err(MlsError::engine("serialise the ratchet tree"))?;
        Ok(NewGroup { group_info, ratchet_tree })
    }

    /// What changed since the state was loaded or last taken. After this call the group counts as saved.
    pub fn take_changes(&mut self) -> StateChanges {
        let Self { provider, stored, .. } = self;
        provider.with_values(|values| stored.advance(values))
    }

    /// After a change of members: the number of past epochs follows the group's size.
    pub(super) fn settle(&mut self) -> Result<(), MlsError> {
        let policy = past_epochs(self.mls.members().count());
        if *self.mls.past_epoch_deletion_policy() == policy {
            return Ok(());
        }
        self.mls
            .set_past_epoch_deletion_policy(&self.provider, policy)
            .map_err(MlsError::engine("change how many past epochs are kept"))
    }

    /// Whether the group's context names the hub of its id.
    pub(super) fn names_its_hub(&self) -> bool {
        names_its_hub(&self.id, self.mls.extensions())
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

pub(super) fn mls_id(id: &GroupId) -> MlsGroupId {
    MlsGroupId::from_slice(&id.to_bytes())
}

/// The device that a credential names.
pub(super) fn device_of(credential: &Credential) -> Option<DeviceAddress> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    DeviceAddress::from_credential(basic.identity())
}

/// The device and key of a leaf.
pub(super) fn leaf_device(leaf: &LeafNode) -> Option<(DeviceAddress, SignatureKey)> {
    Some((device_of(leaf.credential())?, SignatureKey::from_slice(leaf.signature_key().as_slice())?))
}

pub(super) fn parse_member(member: &openmls::group::Member) -> Result<Member, MlsError> {
    let parsed = device_of(&member.credential).zip(SignatureKey::from_slice(&member.signature_key));
    let (device, signature_key) =
        parsed.ok_or(MlsError::Malformed { what: "a member's credential and Ed25519 key" })?;
    Ok(Member { leaf: member.index.u32(), device, signature_key })
}
