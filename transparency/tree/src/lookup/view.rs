//! What an asker says of itself, so that an answer continues what it has and leaves out what it knows.

use super::{KnownLabel, PinnedLog};

/// How far an asker has verified a log, and a label in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The size of its last tree; 0 if it has none.
    pub size: u64,
    /// The version of the CONFIG that it has.
    pub config: Option<u32>,
    /// The newest version of the label that it has.
    pub version: Option<u32>,
}

impl View {
    /// Of what is pinned.
    pub fn of(log: Option<&PinnedLog>, label: Option<&KnownLabel>) -> Self {
        Self {
            size: log.and_then(|log| log.head).map_or(0, |head| head.size),
            config: log.and_then(|log| log.config.as_ref()).map(|known| known.version),
            version: label.map(|known| known.version),
        }
    }
}
