//! Commits of our own: staged, persisted, submitted, and merged only when the log echoes them.

use openmls::prelude::{LeafNodeIndex, MlsMessageOut, OpenMlsProvider as _};
use qpq_core::{MessageId, mls::commit_signed_bytes};

use super::{Device, Group, MlsError, VerifiedKeyPackage};

/// A commit ready to be submitted: persist it together with the group's changes before it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedCommit {
    /// The idempotency key.
    pub id: MessageId,
    /// The epoch that it starts from.
    pub epoch: u64,
    /// A serialised `MLSMessage` of wire format `mls_public_message`.
    pub commit: Vec<u8>,
    /// A serialised `MLSMessage` of wire format `mls_group_info`, for the epoch after it.
    pub group_info: Vec<u8>,
    /// A serialised `MLSMessage` of wire format `mls_welcome`; empty if nobody is added.
    pub welcome: Vec<u8>,
    /// Ours over [`qpq_core::mls::commit_signed_bytes`].
    pub signature: [u8; 64],
}

impl Group {
    /// Stages a commit that adds devices and, in the same step, removes `leaves` (old leaves of the same users).
    pub fn stage_add(
        &mut self,
        device: &Device,
        id: MessageId,
        adds: &[VerifiedKeyPackage],
        leaves: &[u32],
    ) -> Result<StagedCommit, MlsError> {
        self.stage(device, id, adds, leaves)
    }

    /// Stages a commit that removes other leaves of this device's own account.
    pub fn stage_remove(
        &mut self,
        device: &Device,
        id: MessageId,
        leaves: &[u32],
    ) -> Result<StagedCommit, MlsError> {
        self.stage(device, id, &[], leaves)
    }

    /// Stages a commit that only renews this device's keys (soon after joining).
    pub fn stage_update(&mut self, device: &Device, id: MessageId) -> Result<StagedCommit, MlsError> {
        self.stage(device, id, &[], &[])
    }

    fn stage(
        &mut self,
        device: &Device,
        id: MessageId,
        adds: &[VerifiedKeyPackage],
        leaves: &[u32],
    ) -> Result<StagedCommit, MlsError> {
        if !self.is_active() {
            return Err(MlsError::Removed);
        }
        // OpenMLS' builder would silently put the new commit in the pending one's place.
        if self.has_pending() {
            return Err(MlsError::PendingCommit);
        }
        let epoch = self.epoch();
        let provider = &self.provider;
        let bundle = self
            .mls
            .commit_builder()
            // Every commit renews the committer's keys: that is what heals a group after a theft of keys.
            .force_self_update(true)
            .propose_adds(adds.iter().map(|add| add.key_package.clone()))
            .propose_removals(leaves.iter().map(|leaf| LeafNodeIndex::new(*leaf)))
            .load_psks(provider.storage())
            .map_err(MlsError::engine("begin the commit"))?
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), device, |_| true)
            .map_err(MlsError::engine("make the commit"))?
            .stage_commit(provider)
            .map_err(MlsError::engine("stage the commit"))?;
        let (commit, welcome, group_info) = bundle.into_messages();
        let bytes = |message: Option<MlsMessageOut>| match message {
            Some(message) => message.to_bytes().map_err(MlsError::engine("serialise the commit")),
            None => Ok(Vec::new()),
        };
        let commit = bytes(Some(commit))?;
        let signature = device.sign(&commit_signed_bytes(&id, &commit));
        Ok(StagedCommit {
            id,
            epoch,
            commit,
            group_info: bytes(group_info)?,
            welcome: bytes(welcome)?,
            signature,
        })
    }
}
