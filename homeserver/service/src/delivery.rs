//! What a device receives: the domain form of the schema's `Delivery`.

use qpq_core::{
    Address, Cursor, DeviceAddress, ErrorCode, GroupId, Incarnation, MessageId, Millis, Seq, Timestamp,
};
use qpq_storage::{ContactEvent, EntryBody, Feed, KeyPackageStock, LogEntry, MailboxRow, Notice};

use crate::Refusal;

/// A position in one of a device's feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    /// Which feed.
    pub feed: Feed,
    /// Where, and in which life of the database.
    pub cursor: Cursor,
}

/// Something that a device receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it stands.
    pub position: FeedPosition,
    /// When this domain stored it.
    pub stored_at: Timestamp,
    /// What it is.
    pub body: DeliveryBody,
}

/// What a device receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryBody {
    /// An application message of the position's group.
    Application {
        /// The id that its sender submitted it with.
        id: MessageId,
        /// The epoch it belongs to.
        epoch: u64,
        /// The serialised PrivateMessage.
        message: Vec<u8>,
    },
    /// A commit that the hub granted.
    Commit {
        /// The id it was submitted under.
        id: MessageId,
        /// The epoch that it starts from.
        epoch: u64,
        /// The serialised PublicMessage.
        commit: Vec<u8>,
        /// The committing device.
        sender: DeviceAddress,
        /// Its signature (`qpq_core::mls::commit_signed_bytes`).
        signature: [u8; 64],
    },
    /// An invitation into a group.
    Welcome {
        /// The group.
        group: GroupId,
        /// The epoch that the joiner starts in.
        epoch: u64,
        /// The serialised Welcome.
        welcome: Vec<u8>,
        /// The device that added this one.
        sender: DeviceAddress,
        /// The joiner's position in the group's log.
        start: Seq,
    },
    /// A message of this device is in no log.
    Refused {
        /// The group.
        group: GroupId,
        /// The message.
        id: MessageId,
        /// Why.
        failure: Refusal,
    },
    /// The device should upload KeyPackages.
    KeyPackagesLow(KeyPackageStock),
    /// The device was cut off from a group.
    NeedsResync {
        /// The group.
        group: GroupId,
        /// In words.
        reason: String,
    },
    /// The device was removed from a group.
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
    /// A domain has stored messages of this device: a `Receipt` of `common.capnp` as it is stored ([`crate::copy_receipt`]).
    Receipt(Vec<u8>),
    /// A message outlived its time; its position stays.
    Expired {
        /// The id that its sender submitted it with.
        id: MessageId,
    },
}

impl Delivery {
    /// An entry of a group's log.
    pub fn of_entry(group: &GroupId, incarnation: Incarnation, entry: LogEntry) -> Self {
        let LogEntry { seq, id, epoch, at, body, .. } = entry;
        let body = match body {
            EntryBody::Application { message } => DeliveryBody::Application { id, epoch, message },
            EntryBody::Commit { message, sender, signature } => {
                DeliveryBody::Commit { id, epoch, commit: message, sender, signature }
            }
            EntryBody::Expired => DeliveryBody::Expired { id },
        };
        Self {
            position: FeedPosition::new(Feed::Group(group.clone()), incarnation, seq),
            stored_at: at,
            body,
        }
    }

    /// A notice of a device's mailbox.
    pub fn of_notice(incarnation: Incarnation, row: MailboxRow) -> Self {
        let body = match row.notice {
            Notice::Welcome { group, epoch, welcome, sender, start } => {
                DeliveryBody::Welcome { group, epoch, welcome, sender, start }
            }
            Notice::Refused { group, id, code, text, retry_after_ms } => {
                // A code of a newer peer is no use to anybody; its words are.
                let code = ErrorCode::from_number(code).unwrap_or(ErrorCode::Internal);
                let retry_after = (retry_after_ms > 0).then_some(Millis(retry_after_ms));
                let failure = Refusal { code, text, retry_after, request: None };
                DeliveryBody::Refused { group, id, failure }
            }
            Notice::KeyPackagesLow(stock) => DeliveryBody::KeyPackagesLow(stock),
            Notice::NeedsResync { group } => DeliveryBody::NeedsResync {
                group,
                reason: "more messages waited for this device than its domain keeps: \
                         ask a member to add the account again"
                    .to_owned(),
            },
            Notice::Removed { group } => DeliveryBody::Removed { group },
            Notice::Contact { address, event } => DeliveryBody::Contact { address, event },
            Notice::Receipt { receipt } => DeliveryBody::Receipt(receipt),
        };
        Self { position: FeedPosition::new(Feed::Mailbox, incarnation, row.seq), stored_at: row.at, body }
    }

    /// About how many bytes it takes on the wire.
    pub const fn size(&self) -> usize {
        const FRAME: usize = 256;
        match &self.body {
            DeliveryBody::Application { message, .. } => FRAME + message.len(),
            DeliveryBody::Commit { commit, .. } => FRAME + commit.len(),
            DeliveryBody::Welcome { welcome, .. } => FRAME + welcome.len(),
            DeliveryBody::Receipt(receipt) => FRAME + receipt.len(),
            _ => FRAME,
        }
    }
}

impl FeedPosition {
    /// Puts a position together.
    pub const fn new(feed: Feed, incarnation: Incarnation, seq: Seq) -> Self {
        Self { feed, cursor: Cursor { incarnation, seq } }
    }
}
