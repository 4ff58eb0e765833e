//! Groups: the log that the hub orders, who of them is known here, and the hub's public state.
//!
//! Every member domain keeps a copy of the log under the hub's numbers; the hub also keeps the group's public MLS
//! state. A copy may have holes where a message expired on its way: positions only ever grow.

use async_trait::async_trait;
use qpq_core::{DeviceAddress, DeviceId, Digest, GroupId, MessageId, Seq, Timestamp};

use crate::Stored;

/// A group as this domain knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id, which names its hub.
    pub id: GroupId,
    /// The hub's epoch, as far as it is known here.
    pub epoch: u64,
    /// The last position of the log here.
    pub last_seq: Seq,
    /// How many application messages the log here has had.
    pub application_count: u64,
    /// Accounts in the group; two-member groups refuse instead of cutting off.
    pub accounts: u32,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// What an entry of the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryBody {
    /// An application message (PrivateMessage).
    Application {
        /// The serialised MLSMessage.
        message: Vec<u8>,
    },
    /// A granted commit (PublicMessage).
    Commit {
        /// The serialised MLSMessage.
        message: Vec<u8>,
        /// The committing device.
        sender: DeviceAddress,
        /// Its signature over the commit (`qpq_core::mls::commit_signed_bytes`).
        signature: [u8; 64],
    },
    /// An application message that outlived its time; the position stays.
    Expired,
}

/// An entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its position.
    pub seq: Seq,
    /// The id it was submitted under.
    pub id: MessageId,
    /// The epoch that its message belongs to; of a commit, the one that it starts from.
    pub epoch: u64,
    /// When the hub accepted it.
    pub at: Timestamp,
    /// When an application message may be dropped undelivered; `None`: never (handshakes).
    pub expires_at: Option<Timestamp>,
    /// What it is.
    pub body: EntryBody,
}

/// A device's membership, as this domain knows it. The hub knows all members, other domains their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The device.
    pub device: DeviceAddress,
    /// The position of the commit that added it; its feed starts after.
    pub joined_seq: Seq,
    /// The position of the commit that removed it; it still reads up to there.
    pub left_seq: Option<Seq>,
    /// Set when it fell too far behind and was cut off, with the position where its feed stopped.
    pub needs_resync: Option<Seq>,
}

/// A piece of the hub's public state: values are cut into chunks so that a small change writes little.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateChunk {
    /// The value's key.
    pub key: Vec<u8>,
    /// Which chunk of the value.
    pub number: u32,
    /// Its bytes; `None` in a change deletes the chunk.
    pub bytes: Option<Vec<u8>>,
}

/// A commit that won, with all that follows from it.
#[derive(Clone, Debug)]
pub struct GrantedCommit<'a> {
    /// The group.
    pub group: &'a GroupId,
    /// The entry; its `seq` is ignored and numbered by the store, its `epoch` must be the group's.
    pub entry: &'a LogEntry,
    /// Accounts in the group afterwards.
    pub accounts: u32,
    /// Devices that it adds.
    pub added: &'a [DeviceAddress],
    /// Devices that it removes.
    pub removed: &'a [DeviceAddress],
    /// What changed in the public state.
    pub state: &'a [StateChunk],
    /// The GroupInfo of the epoch after it.
    pub group_info: &'a [u8],
    /// The ratchet tree of the epoch after it, kept until `tree_until` for joiners; `None` if nobody was added.
    pub tree: Option<&'a [u8]>,
    /// When the tree may go.
    pub tree_until: Timestamp,
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is the one of its epoch, at this position.
    Granted(Seq),
    /// The group has moved on.
    Stale {
        /// The group's epoch now.
        current: u64,
    },
}

/// Reads groups.
#[async_trait]
pub trait GroupsRead: Send {
    /// One group.
    async fn group(&mut self, id: &GroupId) -> Stored<Option<Group>>;
    /// All memberships of a group that are known here, including ended ones.
    async fn members(&mut self, group: &GroupId) -> Stored<Vec<Member>>;
    /// The groups that other domains order, in the order of their ids.
    async fn groups_elsewhere(&mut self) -> Stored<Vec<GroupId>>;
    /// Devices of this domain that follow a group of more than two accounts and have not acknowledged an entry from before a
    /// time, at most `limit`, by group.
    async fn members_absent(&mut self, before: Timestamp, limit: usize) -> Stored<Vec<(GroupId, DeviceId)>>;
    /// One device's membership.
    async fn member(&mut self, group: &GroupId, device: &DeviceId) -> Stored<Option<Member>>;
    /// The log after a position, at most `limit` entries and about `bytes` bytes (at least one entry if there is one).
    async fn log_after(
        &mut self,
        group: &GroupId,
        after: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<LogEntry>>;
    /// The hub's public state, ordered by key and number.
    async fn group_state(&mut self, group: &GroupId) -> Stored<Vec<StateChunk>>;
    /// The GroupInfo of the current epoch.
    async fn group_info(&mut self, group: &GroupId) -> Stored<Option<Vec<u8>>>;
    /// The ratchet tree of an epoch, while it is kept.
    async fn group_tree(&mut self, group: &GroupId, epoch: u64) -> Stored<Option<Vec<u8>>>;
}

/// Writes groups.
#[async_trait]
pub trait GroupsWrite: Send {
    /// Makes a group at the hub, at epoch 0 with its creator as only member; `false` if the id exists.
    async fn group_create(
        &mut self,
        group: &Group,
        creator: &DeviceAddress,
        state: &[StateChunk],
        group_info: &[u8],
    ) -> Stored<bool>;
    /// Epoch compare-and-set: appends the commit, membership changes, state, GroupInfo and tree, or does nothing.
    async fn group_commit(&mut self, commit: &GrantedCommit<'_>) -> Stored<Committed>;
    /// Appends application messages at the hub and numbers them in the order given; their `seq` is ignored. Returns
    /// the position of each.
    async fn log_append(&mut self, group: &GroupId, entries: &[LogEntry]) -> Stored<Vec<Seq>>;
    /// Copies entries that the hub numbered; makes the group if it is new here. Entries at or below the last position are skipped. A commit
    /// raises the group's epoch to its own plus one and ends the memberships of `removed`.
    async fn log_copy(
        &mut self,
        group: &GroupId,
        entries: &[LogEntry],
        removed: &[DeviceAddress],
        accounts: u32,
        now: Timestamp,
    ) -> Stored<()>;
    /// Adds devices of this domain that a Welcome names; makes the group if it is new here, at `start` and `epoch`. A
    /// device that was a member before starts anew; a Welcome that is repeated, or older than a removal, changes
    /// nothing.
    async fn members_join(
        &mut self,
        group: &GroupId,
        devices: &[DeviceAddress],
        epoch: u64,
        start: Seq,
        accounts: u32,
        now: Timestamp,
    ) -> Stored<()>;
    /// Cuts devices off at the group's last position: they read up to there, and nothing that comes later.
    async fn members_cut_off(&mut self, group: &GroupId, devices: &[DeviceId]) -> Stored<()>;
    /// Notes that other domains' members, by address, can't follow a group that is ordered here from its last position on.
    async fn members_left_behind(&mut self, group: &GroupId, devices: &[DeviceAddress]) -> Stored<()>;
    /// Lets the positions of every log that is ordered here go on so many places further: members elsewhere may hold entries that
    /// this store has lost, and a position is never used twice.
    async fn logs_leap(&mut self, places: u64) -> Stored<()>;
    /// Turns application entries that expired into [`EntryBody::Expired`]; returns (group, id) of those that some device here had
    /// not acknowledged, at most `limit` a call.
    async fn log_expire(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<(GroupId, MessageId)>>;
    /// Deletes entries that every member here has acknowledged or can't read any more, except that the hub keeps the commits of the
    /// last `keep_commits` epochs and everything newer than `before`; and trees whose time is over. Returns how many entries went.
    async fn log_prune(&mut self, before: Timestamp, now: Timestamp, keep_commits: u64) -> Stored<u64>;
}

/// SHA-256 of a message, as the idempotency table keeps it.
pub fn payload_digest(message: &[u8]) -> Digest {
    Digest::of(&[message])
}
