//! What the rules need to know of a group, and what a commit says: facts without any MLS type.
//!
//! `hub` implements [`GroupView`] over OpenMLS; tests implement it over a list.

use qpq_core::{DeviceAddress, Digest, MessageId, SignatureKey, mls::HubExtension};

use crate::{key_packages::Lifetime, policy::Refusal};

/// A member's place in the ratchet tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeafIndex(pub u32);

/// A device that is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place in the ratchet tree.
    pub leaf: LeafIndex,
    /// Which device its credential names.
    pub device: DeviceAddress,
    /// The key in its leaf.
    pub signature_key: SignatureKey,
}

/// A device that a commit adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedDevice {
    /// Which device the credential of its KeyPackage names.
    pub device: DeviceAddress,
    /// The key in its leaf.
    pub signature_key: SignatureKey,
    /// How long its KeyPackage is valid.
    pub lifetime: Lifetime,
}

/// Whether the committer's new leaf names the same device with the same signature key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitterLeaf {
    /// It does, or the commit brings no new leaf.
    Kept,
    /// Credential or signature key differ.
    Changed,
}

/// Whether the GroupInfo describes the epoch after the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupInfoMatch {
    /// Context equal, signed by the committer, confirmation tag equal.
    Matches,
    /// It isn't a GroupInfo, or of another version.
    Malformed,
    /// Its group context is another one.
    ContextDiffers,
    /// It is not signed by the committer's key.
    NotByCommitter,
    /// Its confirmation tag isn't the commit's.
    TagDiffers,
}

/// Whether the Welcome is for exactly the added devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WelcomeMatch {
    /// One secret for each added KeyPackage and no other; no Welcome if none is added.
    Matches,
    /// It isn't a Welcome, or of another suite.
    Malformed,
    /// It is for other KeyPackages than the added ones.
    OthersWelcomed,
}

/// What a valid commit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFacts {
    /// The epoch that it starts from.
    pub epoch: u64,
    /// The leaf that signed it.
    pub committer: Member,
    /// Whether that leaf stays the same device.
    pub committer_leaf: CommitterLeaf,
    /// Whom it adds.
    pub added: Vec<AddedDevice>,
    /// Whom it removes.
    pub removed: Vec<Member>,
    /// Kinds of proposals beside Add and Remove.
    pub other_proposals: Vec<&'static str>,
    /// What the GroupInfo beside it is worth.
    pub group_info: GroupInfoMatch,
    /// What the Welcome beside it is worth.
    pub welcome: WelcomeMatch,
}

/// A commit that a device offers to the hub, and what follows from it if it wins.
#[derive(Clone, PartialEq, Eq)]
pub struct CommitOffer {
    /// The idempotency key.
    pub id: MessageId,
    /// The device whose session (or whose home domain) brought it.
    pub sender: DeviceAddress,
    /// The epoch that it starts from, as the submitter says.
    pub epoch: u64,
    /// An `MLSMessage` of wire format `mls_public_message`.
    pub commit: Vec<u8>,
    /// An `MLSMessage` of wire format `mls_group_info`, without the tree.
    pub group_info: Vec<u8>,
    /// An `MLSMessage` of wire format `mls_welcome`; empty if nobody is added.
    pub welcome: Vec<u8>,
    /// The device's signature over [`qpq_core::mls::commit_signed_bytes`].
    pub signature: [u8; 64],
}

impl CommitOffer {
    /// The SHA-256 by which a repeat is told from another commit under the same id.
    pub fn digest(&self) -> Digest {
        // Hashes of the three variable parts have a fixed length, so nothing is ambiguous.
        Digest::of(&[
            &self.epoch.to_be_bytes(),
            Digest::of(&[&self.commit]).as_bytes(),
            Digest::of(&[&self.group_info]).as_bytes(),
            Digest::of(&[&self.welcome]).as_bytes(),
            &self.signature,
        ])
    }
}

impl std::fmt::Debug for CommitOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitOffer")
            .field("id", &self.id)
            .field("sender", &self.sender)
            .field("epoch", &self.epoch)
            .field("commit_bytes", &self.commit.len())
            .field("welcome_bytes", &self.welcome.len())
            .finish_non_exhaustive()
    }
}

/// What ordering needs to know of one group at its current epoch.
pub trait GroupView {
    /// A verified commit that can be merged, once the store has it.
    type Staged;

    /// The current epoch.
    fn epoch(&self) -> u64;

    /// Everybody who is in the group now, by leaf.
    fn members(&self) -> &[Member];

    /// Which hub, which term, which policy.
    fn extension(&self) -> &HubExtension;

    /// Verifies a commit as far as a non-member can. Nothing changes; policy is not asked yet.
    fn check_commit(&self, offer: &CommitOffer) -> Result<(CommitFacts, Self::Staged), Refusal>;
}
