//! Reading a whole log as an outsider: every entry in order, then the head that it should lead to.
//!
//! Names and keys are in no entry, so this shows what anybody may know: that there is one history, that every label's
//! versions follow each other, that times don't run back, and that the log signed exactly this tree.

use std::collections::BTreeMap;

use qpq_core::{Digest, Timestamp};

use crate::{
    checkpoint::TreeHead,
    entry::{Entry, EntryError, Kind},
    growth::RightEdge,
    label::LabelId,
    tile::TileId,
};

/// What was read so far.
#[derive(Debug)]
pub struct Audit {
    edge: RightEdge,
    time: Timestamp,
    labels: BTreeMap<LabelId, (u32, Digest)>,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// An entry is none.
    #[error("entry {index} can't be read: {error}")]
    Entry {
        /// Its place.
        index: u64,
        /// Why.
        error: EntryError,
    },
    /// The log doesn't begin with what the domain says about itself.
    #[error("entry 0 is no CONFIG")]
    NoConfig,
    /// A label's versions have a hole, or repeat.
    #[error("entry {index} is version {found} of its label, and {expected} is the next one")]
    Version {
        /// Its place.
        index: u64,
        /// Its version.
        found: u32,
        /// The version that should be there.
        expected: u32,
    },
    /// A version names another predecessor than the one that it has.
    #[error("entry {0} names another predecessor than its label's version before")]
    Prev(u64),
    /// Time runs back.
    #[error("entry {0} is older than the one before it")]
    Time(u64),
    /// There are more entries than trees may have.
    #[error("the log has more entries than a log may have")]
    TooMany,
    /// There are fewer or more entries than the checkpoint says.
    #[error("the checkpoint speaks of {signed} entries, and {found} are there")]
    Size {
        /// What was signed.
        signed: u64,
        /// What was read.
        found: u64,
    },
    /// The entries lead to another root.
    #[error("the entries lead to another root than the one that was signed")]
    Root,
}

impl Audit {
    /// Of a log of which nothing was read yet.
    pub const fn new() -> Self {
        Self { edge: RightEdge::empty(), time: Timestamp::from_millis(0), labels: BTreeMap::new() }
    }

    /// How many entries were read.
    pub const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// How many labels they are about, the domain itself included.
    pub fn labels(&self) -> usize {
        self.labels.len()
    }

    /// Reads the next entries, as many as the caller has; gives the tiles that are new or wider than before, with all their
    /// hashes. After an error nothing more can be read.
    pub fn take(&mut self, entries: &[&[u8]]) -> Result<Vec<(TileId, Vec<Digest>)>, AuditError> {
        let mut leaves = Vec::new();
        for (index, bytes) in (self.size()..).zip(entries) {
            let entry = Entry::from_bytes(bytes).map_err(|error| AuditError::Entry { index, error })?;
            let leaf = entry.leaf_hash();
            self.judge(index, &entry, leaf)?;
            leaves.push(leaf);
        }
        self.edge.append(&leaves).map_err(|_| AuditError::TooMany)
    }

    /// Whether what was read is what was signed.
    pub fn finish(&self, head: TreeHead) -> Result<(), AuditError> {
        let found = self.size();
        if found != head.size {
            return Err(AuditError::Size { signed: head.size, found });
        }
        if self.edge.root() == head.root { Ok(()) } else { Err(AuditError::Root) }
    }

    fn judge(&mut self, index: u64, entry: &Entry, leaf: Digest) -> Result<(), AuditError> {
        if index == 0 && entry.kind != Kind::Config {
            return Err(AuditError::NoConfig);
        }
        if entry.time < self.time {
            return Err(AuditError::Time(index));
        }
        // Entries without a label form no chain.
        if entry.label_id != LabelId::NONE {
            let before = self.labels.insert(entry.label_id, (entry.version, leaf));
            let expected = before.map_or(0, |(version, _)| version.saturating_add(1));
            if entry.version != expected {
                return Err(AuditError::Version { index, found: entry.version, expected });
            }
            if entry.prev != before.map_or(Digest::ZERO, |(_, leaf)| leaf) {
                return Err(AuditError::Prev(index));
            }
        }
        self.time = entry.time;
        Ok(())
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use qpq_core::Millis;

    use super::*;
    use crate::{
        sample::{Person, SampleLog},
        value::Reason,
    };

    fn log() -> SampleLog {
        let mut log = SampleLog::new(1);
        let alice = Person::new("alice", 7);
        alice.registers(&mut log);
        log.later(Millis(5));
        Person::new("bob", 9).registers(&mut log);
        alice.logs(&mut log, Reason::Devices, Some(&alice.identity));
        log
    }

    fn audited(entries: &[Vec<u8>], head: TreeHead) -> Result<Audit, AuditError> {
        let mut audit = Audit::new();
        for pair in entries.chunks(2) {
            audit.take(&pair.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        }
        audit.finish(head).map(|()| audit)
    }

    fn bytes(log: &SampleLog) -> Vec<Vec<u8>> {
        log.entries.iter().map(|(entry, _)| entry.to_bytes().to_vec()).collect()
    }

    #[test]
    fn an_honest_log_is_whole() {
        let log = log();
        let audit = audited(&bytes(&log), log.head(log.size())).unwrap();
        assert_eq!((audit.size(), audit.labels()), (4, 3));
    }

    #[test]
    fn each_fault_is_named() {
        let log = log();
        let head = log.head(log.size());
        let bend = |bend: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut entries = bytes(&log);
            bend(&mut entries);
            audited(&entries, head).map(|audit| audit.size())
        };
        let with = |index: usize, change: &dyn Fn(&mut Entry)| {
            bend(&|entries| {
                let mut entry = log.entries[index].0;
                change(&mut entry);
                entries[index] = entry.to_bytes().to_vec();
            })
        };
        assert_eq!(bend(&|_| {}), Ok(4));
        assert_eq!(bend(&|entries| drop(entries.remove(0))), Err(AuditError::NoConfig));
        assert_eq!(bend(&|entries| entries.truncate(3)), Err(AuditError::Size { signed: 4, found: 3 }));
        assert_eq!(
            bend(&|entries| drop(entries.remove(1))),
            Err(AuditError::Version { index: 2, found: 1, expected: 0 })
        );
        let again = bend(&|entries| entries.push(entries[2].clone()));
        assert_eq!(again, Err(AuditError::Version { index: 4, found: 0, expected: 1 }));
        let short = bend(&|entries| entries[2].truncate(109));
        assert_eq!(short, Err(AuditError::Entry { index: 2, error: EntryError::Length(109) }));
        let earlier = with(3, &|entry| entry.time = entry.time.before(Millis(9)));
        assert_eq!(earlier, Err(AuditError::Time(3)));
        assert_eq!(with(3, &|entry| entry.prev = Digest::of(&[b"x"])), Err(AuditError::Prev(3)));
        assert_eq!(with(3, &|entry| entry.commitment = Digest::ZERO), Err(AuditError::Root));
    }
}
