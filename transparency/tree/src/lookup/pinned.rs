//! What a client keeps of a log and of a label between two lookups.

use qpq_core::{Digest, IdentityKey};

use crate::{
    checkpoint::TreeHead, config::Config, key::VerifierKey, name::KeyName, policy::Level, value::Status,
};

/// What is pinned of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedLog {
    /// Which log.
    pub origin: KeyName,
    /// The key that signs it.
    pub key: VerifierKey,
    /// The last head; `None` before the first answer.
    pub head: Option<TreeHead>,
    /// The newest CONFIG that was seen.
    pub config: Option<KnownConfig>,
    /// The highest level that was reached.
    pub level: Level,
}

impl PinnedLog {
    /// A log of which nothing is known but its key; its name is the origin.
    pub fn first_seen(key: VerifierKey) -> Self {
        Self { origin: key.name().clone(), key, head: None, config: None, level: Level::Logged }
    }
}

/// A CONFIG that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownConfig {
    /// Its version.
    pub version: u32,
    /// The hash of its leaf.
    pub leaf: Digest,
    /// What it says.
    pub config: Config,
}

/// What is known of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownLabel {
    /// The newest version that was verified.
    pub version: u32,
    /// The hash of its leaf.
    pub leaf: Digest,
    /// Whether the account's keys count.
    pub status: Status,
    /// The identity key that it binds; `None` of an account that was closed before anything was known of it.
    pub identity: Option<IdentityKey>,
}
