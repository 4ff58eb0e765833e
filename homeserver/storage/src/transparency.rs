//! The domain's key-transparency log: entries, tiles, what they commit to, and the newest checkpoint.
//!
//! The store knows rows and bytes; that they are a tree, `qpq-transparency` knows.

use async_trait::async_trait;

use crate::Stored;

/// The bytes of an entry of the log.
pub const LOG_ENTRY_BYTES: usize = 110;

/// The label id of entries that have no label, and so no versions: each has version 0.
pub const LOG_NO_LABEL: [u8; 32] = [0; 32];

/// The newest checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// How many entries it is over.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// An entry with what finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its place in the log, from 0.
    pub index: u64,
    /// Its label's id.
    pub label_id: [u8; 32],
    /// Its label's version.
    pub version: u32,
    /// The entry.
    pub entry: [u8; LOG_ENTRY_BYTES],
}

/// What an entry commits to; it can be erased, the entry can't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogContents {
    /// The label's bytes.
    pub label: Vec<u8>,
    /// The opening of the commitment.
    pub opening: [u8; 16],
    /// The value.
    pub value: Vec<u8>,
}

/// A tile as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTile {
    /// Its level.
    pub level: u8,
    /// Its place within the level.
    pub index: u64,
    /// Its hashes, 32 bytes each, 1 to 256 of them.
    pub hashes: Vec<u8>,
}

/// Reads the log.
#[async_trait]
pub trait TransparencyRead: Send {
    /// The newest checkpoint; `None` before the first entry.
    async fn kt_head(&mut self) -> Stored<Option<LogHead>>;

    /// The hashes of a tile, as many as there are by now; `None` if there is no such tile.
    async fn kt_tile(&mut self, level: u8, index: u64) -> Stored<Option<Vec<u8>>>;

    /// At most `limit` entries from a place on, in order.
    async fn kt_entries(&mut self, from: u64, limit: usize) -> Stored<Vec<LogRow>>;

    /// The newest entry of a label.
    async fn kt_latest(&mut self, label_id: &[u8; 32]) -> Stored<Option<LogRow>>;

    /// The newest entry of a label in the tree of the first `size` entries; none of [`LOG_NO_LABEL`].
    async fn kt_latest_within(&mut self, label_id: &[u8; 32], size: u64) -> Stored<Option<LogRow>>;

    /// At most `limit` entries of a label from a version on, in order; none of [`LOG_NO_LABEL`].
    async fn kt_versions(&mut self, label_id: &[u8; 32], from: u32, limit: usize) -> Stored<Vec<LogRow>>;

    /// What an entry commits to; `None` if it was erased, or there is no such entry.
    async fn kt_contents(&mut self, index: u64) -> Stored<Option<LogContents>>;

    /// The checkpoint that was kept for an entry, a signed note; see [`TransparencyWrite::kt_keep_seen`].
    async fn kt_seen(&mut self, index: u64) -> Stored<Option<String>>;
}

/// Writes the log.
#[async_trait]
pub trait TransparencyWrite: Send {
    /// Appends entries with what they commit to, puts tiles in the place of their former selves, and the checkpoint over all of
    /// it in the place of the one before.
    ///
    /// `Conflict` unless the entries continue the log without a hole, each label's versions do ([`LOG_NO_LABEL`] is none), and the checkpoint's size is
    /// that of the log then: a second history can't be written.
    async fn kt_append(
        &mut self,
        entries: &[(LogRow, LogContents)],
        tiles: &[LogTile],
        head: &LogHead,
    ) -> Stored<()>;

    /// Keeps for an entry, a reset that was announced, the first checkpoint over it that witnesses had signed: since when
    /// others could see it. A second one for the same entry is ignored.
    ///
    /// `Conflict` if there is no such entry.
    async fn kt_keep_seen(&mut self, index: u64, note: &str) -> Stored<()>;

    /// Erases what all entries of a label commit to, and says how many still had it; the entries and the tiles stay.
    /// Nothing is erased of [`LOG_NO_LABEL`].
    async fn kt_erase(&mut self, label_id: &[u8; 32]) -> Stored<u64>;
}
