//! The MLS engine (RFC 9420): OpenMLS on an in-memory provider per group, and nothing else.
//!
//! No I/O and no async in here: bytes and values in, bytes and values out. What changed since a group was loaded
//! is handed out by [`Group::take_changes`] and written by [`crate::store::Tx::save_group`], in one transaction
//! with what it belongs to. **If that transaction does not commit, drop the [`Group`] and load it again.**
//!
//! The two rules that callers must keep:
//!
//! * *Send persists before the message leaves*: a ciphertext whose ratchet step is not durable may be followed by
//!   another with the same generation, which receivers refuse silently.
//! * *A commit is persisted before it is submitted* and merged only when the hub's log echoes it. A group has at
//!   most one pending commit; [`Group::discard_pending`] before the next one is staged.

mod commit;
mod content;
mod device;
mod error;
mod group;
mod join;
mod key_package;
mod message;
mod provider;
mod stage;
mod state;
mod suite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use commit::{CommitFacts, CommitOutcome, CommitRefusal, LogCommit};
pub use content::{Content, ContentError, ContentKind, padme};
pub use device::Device;
pub use error::MlsError;
pub use group::{Group, Member, NewGroup};
pub use join::{JoinError, Joined, welcome_references};
pub use key_package::{
    Claimed, KeyPackageRef, KeyPackageRefused, KeyPackageSecret, NewKeyPackage, StockKind,
    VerifiedKeyPackage, new_key_package, verify_key_package,
};
pub use message::Received;
pub use stage::StagedCommit;
pub use state::{ChunkRow, StateChanges, StoredValue};
pub use suite::Suite;
