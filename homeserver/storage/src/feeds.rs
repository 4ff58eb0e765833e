//! What waits for a device: notices of its own (its mailbox), and the logs of its groups from where it stands.

use async_trait::async_trait;
use qpq_core::{Address, DeviceAddress, DeviceId, GroupId, MessageId, Seq, Timestamp};

use crate::{KeyPackageStock, Stored};

/// One of a device's feeds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// The device's own notices.
    Mailbox,
    /// The log of a group.
    Group(GroupId),
}

/// Something addressed to one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It was added to a group.
    Welcome {
        /// The group.
        group: GroupId,
        /// The epoch it starts in.
        epoch: u64,
        /// The serialised MLSMessage of wire format `mls_welcome`.
        welcome: Vec<u8>,
        /// Who added it.
        sender: DeviceAddress,
        /// Its position in the log.
        start: Seq,
    },
    /// A message it sent is in no log.
    Refused {
        /// The group.
        group: GroupId,
        /// The message.
        id: MessageId,
        /// The number of the `ErrorCode`.
        code: u16,
        /// For people.
        text: String,
        /// When to try again, in milliseconds; 0: not worth trying.
        retry_after_ms: u64,
    },
    /// It should upload KeyPackages.
    KeyPackagesLow(KeyPackageStock),
    /// It was cut off from a group.
    NeedsResync {
        /// The group.
        group: GroupId,
    },
    /// It was removed from a group.
    Removed {
        /// The group.
        group: GroupId,
    },
    /// Something about a user of another domain.
    Contact {
        /// Whom.
        address: Address,
        /// What.
        event: ContactEvent,
    },
    /// A domain has stored messages that it sent.
    Receipt {
        /// A `Receipt` of `common.capnp`; the store doesn't look into it.
        receipt: Vec<u8>,
    },
}

impl Notice {
    /// Whether an unread notice is of no use once this one is there.
    pub fn replaces(&self, former: &Self) -> bool {
        match (self, former) {
            (Self::KeyPackagesLow(_), Self::KeyPackagesLow(_)) => true,
            (Self::Contact { address, .. }, Self::Contact { address: known, .. }) => address == known,
            _ => false,
        }
    }
}

/// What can be said about a user of another domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactEvent {
    /// They ask to be accepted.
    Requested,
    /// They have accepted the device's user.
    Accepted,
}

/// A notice in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRow {
    /// Its position.
    pub seq: Seq,
    /// When it was stored.
    pub at: Timestamp,
    /// What it says.
    pub notice: Notice,
}

/// Application messages that a device has not acknowledged, where it still follows the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many.
    pub messages: u64,
    /// Their ciphertexts' bytes.
    pub bytes: u64,
}

/// Where a device stands in one feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    /// Which feed.
    pub feed: Feed,
    /// What it acknowledged.
    pub acknowledged: Seq,
    /// The last position it may read.
    pub last: Seq,
}

/// Reads feeds.
#[async_trait]
pub trait FeedsRead: Send {
    /// All feeds of a device: its mailbox first, then every group it is or was a member of and has not read to the
    /// end it may read; and groups that it is a member of now.
    async fn feeds(&mut self, device: &DeviceId) -> Stored<Vec<FeedState>>;
    /// One feed; `None` for a group that it never was a member of.
    async fn feed(&mut self, device: &DeviceId, feed: &Feed) -> Stored<Option<FeedState>>;
    /// Notices after a position, at most `limit`.
    async fn mailbox_after(&mut self, device: &DeviceId, after: Seq, limit: usize)
    -> Stored<Vec<MailboxRow>>;
    /// What waits for each device, over all its groups, in the order asked.
    async fn backlogs(&mut self, devices: &[DeviceId]) -> Stored<Vec<Backlog>>;
}

/// Writes feeds.
#[async_trait]
pub trait FeedsWrite: Send {
    /// Appends notices to the mailboxes of devices of this domain; unknown devices are skipped. A `KeyPackagesLow` replaces an unread
    /// one, and a `Contact` an unread one about the same user. Returns the devices that got one.
    async fn mailbox_append(
        &mut self,
        notices: &[(DeviceId, Notice)],
        now: Timestamp,
    ) -> Stored<Vec<DeviceId>>;
    /// "Stored durably up to here": forgets acknowledged notices, moves group positions forward, never back, never
    /// beyond the log.
    async fn feeds_acknowledge(&mut self, device: &DeviceId, positions: &[(Feed, Seq)]) -> Stored<()>;
}
