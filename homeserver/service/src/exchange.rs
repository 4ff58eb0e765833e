//! Values that cross domains and the wire: the domain forms of `schemas/common.capnp`.

use qpq_core::{Address, DeviceCertificate, DeviceId, GroupId, IdentityKey, MessageId, Seq, Timestamp};

use qpq_transparency_wire::ToldLookup;

use crate::Refusal;

/// What a domain says about the keys of one of its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKeys {
    /// Whose.
    pub address: Address,
    /// The account's identity key.
    pub identity_key: IdentityKey,
    /// Its active devices; of an account that is in the log, those that the log names.
    pub devices: Vec<DeviceCertificate>,
    /// What the domain's log says, if that was asked for.
    pub lookup: Option<Box<ToldLookup>>,
}

impl UserKeys {
    /// Whether this is one of the user's devices.
    pub fn has_device(&self, device: &DeviceId) -> bool {
        self.devices.iter().any(|known| known.device.device == *device)
    }
}

/// One user's keys, or why this one could not be answered.
pub type UserAnswer = Result<UserKeys, (Address, Refusal)>;

/// One user's keys and a KeyPackage of each device that has one, or why not.
pub type ClaimedUser = Result<(UserKeys, Vec<ClaimedPackage>), (Address, Refusal)>;

/// What KeyPackages are claimed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPurpose {
    /// Who adds somebody.
    pub requester: Address,
    /// To which group.
    pub group: GroupId,
    /// The same for each repeat of one claim.
    pub nonce: [u8; 16],
}

/// One KeyPackage of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedPackage {
    /// The device that can open it.
    pub device: DeviceId,
    /// The serialised MLSMessage.
    pub message: Vec<u8>,
    /// Whether it stays when the others are gone.
    pub last_resort: bool,
}

/// A commit offered to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSubmit {
    /// The idempotency key.
    pub id: MessageId,
    /// The group.
    pub group: GroupId,
    /// The epoch that it starts from.
    pub epoch: u64,
    /// The serialised PublicMessage.
    pub commit: Vec<u8>,
    /// The GroupInfo of the epoch after it, without the tree.
    pub group_info: Vec<u8>,
    /// The Welcome for all added devices; empty if none is added.
    pub welcome: Vec<u8>,
    /// The device's signature (`qpq_core::mls::commit_signed_bytes`).
    pub signature: [u8; 64],
}

/// What the hub made of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// It won its epoch.
    Accepted {
        /// Its position in the log.
        seq: Seq,
        /// When.
        at: Timestamp,
    },
    /// Another commit won.
    WrongEpoch {
        /// The group's epoch now.
        current: u64,
        /// The last position of the log, as the hub counts.
        seq: Seq,
    },
    /// Refused for another reason.
    Refused(Refusal),
}

/// What a joiner needs beside its Welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTree {
    /// The epoch.
    pub epoch: u64,
    /// The serialised ratchet tree of exactly that epoch.
    pub ratchet_tree: Vec<u8>,
}
