//! What the homeserver keeps: storage traits, the in-memory implementation and the conformance suite.
//!
//! [`Storage::read`] and [`Storage::write`] give transactions. A method is one use case of one caller, takes slices
//! where the hot path needs it, gets the time and ids from the caller, and returns expected outcomes as values.
//! No SQL type and no table name crosses these traits; rows are parsed into domain types before they come out, and a
//! broken invariant is [`StorageError::Corrupt`], which names the table, the column and the row.
//!
//! The areas are traits of their own, one file each; [`ReadTx`] and [`WriteTx`] put them together. A write
//! transaction can also read, and sees its own writes. Dropping a transaction without `commit` undoes it. After an
//! error a transaction is over: `commit` is refused, so nothing half-done is kept. A lost answer to `commit` leaves
//! open whether it was kept; whoever repeats finds out by the idempotency record or the epoch.

mod accounts;
mod admins;
mod audit;
mod bans;
mod contacts;
mod cosigned;
mod feeds;
mod groups;
mod idempotency;
mod inbox;
mod jobs;
mod key_packages;
mod losses;
mod outbox;
mod page;
mod peers;
mod receipts;
mod samples;
mod tokens;
mod transparency;
mod vault;
mod witnessed;

pub mod conformance;
pub mod memory;

use async_trait::async_trait;

pub use accounts::*;
pub use admins::*;
pub use audit::*;
pub use bans::*;
pub use contacts::*;
pub use cosigned::*;
pub use feeds::*;
pub use groups::*;
pub use idempotency::*;
pub use inbox::*;
pub use jobs::*;
pub use key_packages::*;
pub use losses::*;
pub use outbox::*;
pub use page::*;
pub use peers::*;
pub use receipts::*;
pub use samples::*;
pub use tokens::*;
pub use transparency::*;
pub use vault::*;
pub use witnessed::*;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A row that must be unique exists already, or a referenced one does not: a mistake of the caller.
    #[error("the store refused `{what}` because it contradicts what is stored")]
    Conflict {
        /// The operation.
        what: &'static str,
    },
    /// A stored value can't be read back as what it should be.
    #[error("the store is damaged in `{table}`: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// Column, row and what is wrong.
        what: String,
    },
    /// The store can't be reached now: disk full, I/O error, deadline passed. Nothing was kept.
    #[error("the store could not `{what}`")]
    Unavailable {
        /// The operation.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What every storage method returns.
pub type Stored<T> = Result<T, StorageError>;

/// A store of one domain's data.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Opens a consistent view; many at once.
    async fn read(&self) -> Stored<Box<dyn ReadTx>>;

    /// Opens the one write transaction; waits for the one before.
    async fn write(&self) -> Stored<Box<dyn WriteTx>>;
}

/// A consistent view of everything.
pub trait ReadTx:
    VaultRead
    + AccountsRead
    + TokensRead
    + KeyPackagesRead
    + GroupsRead
    + FeedsRead
    + IdempotencyRead
    + OutboxRead
    + InboxRead
    + LossesRead
    + PeersRead
    + AuditRead
    + BansRead
    + ContactsRead
    + AdminsRead
    + JobsRead
    + SamplesRead
    + TransparencyRead
    + CosignedRead
    + WitnessedRead
{
}

/// All or nothing.
#[async_trait]
pub trait WriteTx:
    ReadTx
    + VaultWrite
    + AccountsWrite
    + TokensWrite
    + KeyPackagesWrite
    + GroupsWrite
    + FeedsWrite
    + IdempotencyWrite
    + OutboxWrite
    + InboxWrite
    + ReceiptsWrite
    + LossesWrite
    + PeersWrite
    + AuditWrite
    + BansWrite
    + ContactsWrite
    + AdminsWrite
    + JobsWrite
    + TransparencyWrite
    + CosignedWrite
    + WitnessedWrite
    + SamplesWrite
{
    /// Makes everything durable; consumes the transaction, so nothing can follow by accident.
    async fn commit(self: Box<Self>) -> Stored<()>;
}
