//! Where OpenMLS writes the four public values of one group: a map that answers damage with an error.
//!
//! OpenMLS' own in-memory store panics on a value that it can't read back; a store of ours may be damaged. It also
//! writes JSON, where a changed key changes the length of everything before the next one: with postcard, keys keep
//! their place, and a commit changes only the chunks that its path touches.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use openmls_traits::{
    public_storage::PublicStorageProvider,
    storage::{CURRENT_VERSION, traits},
};
use serde::{Serialize, de::DeserializeOwned};

/// A value could not be written or read back.
#[derive(Debug, thiserror::Error)]
#[error("a value of the group's public state can't be read or written")]
pub(crate) struct ValueError(#[from] postcard::Error);

/// The values of one group, by their kind; a group has one of each.
#[derive(Debug, Default)]
pub(crate) struct Values(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Values {
    pub(crate) const fn from_map(values: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self(Mutex::new(values))
    }

    pub(crate) fn to_map(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, kind: &str, value: &impl Serialize) -> Result<(), ValueError> {
        let bytes = postcard::to_stdvec(value)?;
        self.lock().insert(kind.as_bytes().to_vec(), bytes);
        Ok(())
    }

    fn take<T: DeserializeOwned>(&self, kind: &str) -> Result<Option<T>, ValueError> {
        Ok(self.lock().get(kind.as_bytes()).map(|bytes| postcard::from_bytes(bytes)).transpose()?)
    }

    fn remove(&self, kind: &str) {
        self.lock().remove(kind.as_bytes());
    }
}

/// Proposals on their own are never accepted at the hub, so its queue of them is empty by rule.
impl PublicStorageProvider<CURRENT_VERSION> for Values {
    type PublicError = ValueError;

    fn write_tree<G: traits::GroupId<CURRENT_VERSION>, V: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
        value: &V,
    ) -> Result<(), ValueError> {
        self.put("tree", value)
    }

    fn tree<G: traits::GroupId<CURRENT_VERSION>, V: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<V>, ValueError> {
        self.take("tree")
    }

    fn delete_tree<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), ValueError> {
        self.remove("tree");
        Ok(())
    }

    fn write_interim_transcript_hash<
        G: traits::GroupId<CURRENT_VERSION>,
        V: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        value: &V,
    ) -> Result<(), ValueError> {
        self.put("interim_transcript_hash", value)
    }

    fn interim_transcript_hash<
        G: traits::GroupId<CURRENT_VERSION>,
        V: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Option<V>, ValueError> {
        self.take("interim_transcript_hash")
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), ValueError> {
        self.remove("interim_transcript_hash");
        Ok(())
    }

    fn write_context<G: traits::GroupId<CURRENT_VERSION>, V: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
        value: &V,
    ) -> Result<(), ValueError> {
        self.put("context", value)
    }

    fn group_context<G: traits::GroupId<CURRENT_VERSION>, V: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<V>, ValueError> {
        self.take("context")
    }

    fn delete_context<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), ValueError> {
        self.remove("context");
        Ok(())
    }

    fn write_confirmation_tag<
        G: traits::GroupId<CURRENT_VERSION>,
        V: traits::ConfirmationTag<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        value: &V,
    ) -> Result<(), ValueError> {
        self.put("confirmation_tag", value)
    }

    fn confirmation_tag<G: traits::GroupId<CURRENT_VERSION>, V: traits::ConfirmationTag<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<V>, ValueError> {
        self.take("confirmation_tag")
    }

    fn delete_confirmation_tag<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), ValueError> {
        self.remove("confirmation_tag");
        Ok(())
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        Q: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        _: &R,
        _: &Q,
    ) -> Result<(), ValueError> {
        Ok(())
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        Q: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Vec<(R, Q)>, ValueError> {
        Ok(Vec::new())
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &R,
    ) -> Result<(), ValueError> {
        Ok(())
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), ValueError> {
        Ok(())
    }
}
