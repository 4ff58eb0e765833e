//! One group as its hub sees it: made once from a GroupInfo and a tree, afterwards always loaded from stored chunks.

use openmls::{
    group::{GroupId as MlsGroupId, ProposalStore, PublicGroup},
    messages::group_info::VerifiableGroupInfo,
    prelude::{Extension, ExtensionType, LeafNodeIndex, RatchetTreeIn, tls_codec::Serialize as _},
};
use qpq_core::{
    GroupId, SignatureKey, limits,
    mls::{HUB_EXTENSION, HubExtension},
};
use qpq_delivery::{
    policy::Refusal,
    view::{CommitFacts, CommitOffer, GroupView, LeafIndex, Member},
};

use crate::{
    Chunk, Engine, StagedCommit, commit,
    engine::known_suite,
    framing::parse,
    group_info,
    key_package::device_of,
    state::{StoredChunks, assemble},
    values::Values,
};

/// Why a new group is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// GroupInfo or tree can't be parsed.
    #[error("the {0} is malformed")]
    Malformed(&'static str),
    /// OpenMLS finds them invalid.
    #[error("the new group is not valid: {reason}")]
    Invalid {
        /// OpenMLS' words.
        reason: String,
    },
    /// The GroupInfo is another group's, or of a later epoch.
    #[error("the GroupInfo is not that of the new group at epoch 0")]
    Context,
    /// A suite that isn't spoken here.
    #[error("the group is of a cipher suite that is not spoken here")]
    Suite,
    /// The hub extension is missing, unreadable, or says something else than the group id.
    #[error("the group's hub extension does not say what its id says")]
    HubExtension,
    /// Another group-context extension than ours.
    #[error("the group has an extension that is not allowed: {0}")]
    Extension(String),
    /// A new group has exactly one member.
    #[error("a new group has exactly one member, which names a device")]
    Members,
}

/// Why stored state can't be used: the store is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Chunks are missing.
    #[error("the stored state of the group has holes")]
    Holes,
    /// OpenMLS can't read it back.
    #[error("the stored state of the group can't be read")]
    Unreadable,
}

/// OpenMLS would not merge what it has staged: a fault in this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a verified commit could not be merged: {reason}")]
pub struct MergeError {
    /// OpenMLS' words.
    reason: String,
}

/// A group that was just made.
#[derive(Debug)]
pub struct Created {
    /// The group.
    pub group: HubGroup,
    /// Its whole state, to store.
    pub state: Vec<Chunk>,
    /// Its only member.
    pub creator: Member,
}

/// A group after a commit, in memory only.
#[derive(Debug)]
pub struct Merged {
    /// The group at its new epoch. Keep it only if the store granted the commit.
    pub group: HubGroup,
    /// What changed in its state, to store.
    pub state: Vec<Chunk>,
    /// The ratchet tree of the new epoch, for joiners.
    pub ratchet_tree: Vec<u8>,
}

/// One group's public state at its current epoch.
pub struct HubGroup {
    pub(crate) engine: Engine,
    pub(crate) group: PublicGroup,
    extension: HubExtension,
    members: Vec<Member>,
    stored: StoredChunks,
}

impl std::fmt::Debug for HubGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubGroup")
            .field("epoch", &self.epoch())
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Begins to follow a new group: epoch 0, one member, the hub extension as the group id says.
    ///
    /// The only place that builds on a tree from outside; it also judges leaf lifetimes against the system clock,
    /// which OpenMLS can't be told otherwise.
    pub fn create_group(&self, id: &GroupId, info: &[u8], tree: &[u8]) -> Result<Created, CreateError> {
        let info = group_info::parse(info).ok_or(CreateError::Malformed("GroupInfo"))?;
        let extension = check_context(id, &info)?;
        if tree.len() > limits::HANDSHAKE_BYTES {
            return Err(CreateError::Malformed("ratchet tree"));
        }
        let tree = parse::<RatchetTreeIn>(tree).ok_or(CreateError::Malformed("ratchet tree"))?;
        let storage = Values::default();
        let (group, _) =
            PublicGroup::from_external(self.crypto(), &storage, tree, info, ProposalStore::new())
                .map_err(|error| CreateError::Invalid { reason: error.to_string() })?;
        let members = members_of(&group).ok_or(CreateError::Members)?;
        let [creator] = members.as_slice() else { return Err(CreateError::Members) };
        let creator = creator.clone();
        let mut stored = StoredChunks::default();
        let state = stored.update(&storage);
        let group = HubGroup { engine: self.clone(), group, extension, members, stored };
        Ok(Created { group, state, creator })
    }

    /// Comes back to a group from its stored chunks.
    pub fn load_group(&self, id: &GroupId, chunks: Vec<Chunk>) -> Result<HubGroup, LoadError> {
        let (storage, stored) = assemble(chunks).ok_or(LoadError::Holes)?;
        let group = PublicGroup::load(&storage, &MlsGroupId::from_slice(&id.to_bytes()))
            .ok()
            .flatten()
            .filter(|group| group.group_id().as_slice() == id.to_bytes())
            .ok_or(LoadError::Unreadable)?;
        let extension = extension_of(&group).ok_or(LoadError::Unreadable)?;
        let members = members_of(&group).ok_or(LoadError::Unreadable)?;
        Ok(HubGroup { engine: self.clone(), group, extension, members, stored })
    }
}

impl HubGroup {
    /// Merges a checked commit, in memory. The group is consumed: whoever can't store the result drops it and loads
    /// the group again.
    pub fn merge(mut self, commit: StagedCommit) -> Result<Merged, MergeError> {
        let storage = Values::default();
        let wrong = |reason: String| MergeError { reason };
        self.group.merge_commit(&storage, commit.into_inner()).map_err(|error| wrong(error.to_string()))?;
        self.members =
            members_of(&self.group).ok_or_else(|| wrong("a member's credential is unreadable".into()))?;
        let ratchet_tree = self
            .group
            .export_ratchet_tree()
            .tls_serialize_detached()
            .map_err(|error| wrong(error.to_string()))?;
        let state = self.stored.update(&storage);
        Ok(Merged { group: self, state, ratchet_tree })
    }

    /// The member at a leaf.
    pub(crate) fn member_at(&self, leaf: LeafNodeIndex) -> Option<&Member> {
        self.members.iter().find(|member| member.leaf.0 == leaf.u32())
    }
}

impl GroupView for HubGroup {
    type Staged = StagedCommit;

    fn epoch(&self) -> u64 {
        self.group.group_context().epoch().as_u64()
    }

    fn members(&self) -> &[Member] {
        &self.members
    }

    fn extension(&self) -> &HubExtension {
        &self.extension
    }

    fn check_commit(&self, offer: &CommitOffer) -> Result<(CommitFacts, StagedCommit), Refusal> {
        commit::check(self, offer)
    }
}

fn check_context(id: &GroupId, info: &VerifiableGroupInfo) -> Result<HubExtension, CreateError> {
    known_suite(info.ciphersuite()).ok_or(CreateError::Suite)?;
    if info.group_id().as_slice() != id.to_bytes() || info.epoch().as_u64() != 0 {
        return Err(CreateError::Context);
    }
    let extensions = info.group_context().extensions();
    for extension in extensions.iter() {
        match extension.extension_type() {
            ExtensionType::Unknown(HUB_EXTENSION) | ExtensionType::RequiredCapabilities => {}
            other => return Err(CreateError::Extension(format!("{other:?}"))),
        }
    }
    let bytes = extensions.unknown(HUB_EXTENSION).ok_or(CreateError::HubExtension)?;
    let extension = HubExtension::from_bytes(&bytes.0).map_err(|_| CreateError::HubExtension)?;
    if extension.hub != *id.hub() || extension.term != id.term() {
        return Err(CreateError::HubExtension);
    }
    Ok(extension)
}

fn extension_of(group: &PublicGroup) -> Option<HubExtension> {
    let extensions = group.group_context().extensions();
    let unknown = extensions.iter().find_map(|extension| match extension {
        Extension::Unknown(HUB_EXTENSION, bytes) => Some(bytes),
        _ => None,
    })?;
    HubExtension::from_bytes(&unknown.0).ok()
}

/// `None` if some leaf names no device: it could not have been added.
fn members_of(group: &PublicGroup) -> Option<Vec<Member>> {
    group
        .members()
        .map(|member| {
            Some(Member {
                leaf: LeafIndex(member.index.u32()),
                device: device_of(&member.credential)?,
                signature_key: SignatureKey::from_slice(&member.signature_key)?,
            })
        })
        .collect()
}
