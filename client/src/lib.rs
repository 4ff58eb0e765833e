//! The client library: MLS, OPAQUE login, local store.
//!
//! [`Client`] is one device of one account. Its rooms: [`mls`] (the engine, no I/O), [`store`] (what survives),
//! [`wire`] and [`session`] (the contract's calls as functions of domain types), and the use cases, one file
//! each: registering, logging in, keeping connected, syncing, sending, committing, groups, keys, devices.
//!
//! Three rules hold everywhere. What leaves is durable here first; what came is durable here before it is
//! acknowledged; and nothing is encrypted to a device that its owner's identity key has not signed.
//!
//! Cap'n Proto is `!Send`: everything that talks to a homeserver runs on a [`tokio::task::LocalSet`].

#![expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]

mod client;
mod commits;
mod connect;
mod contacts;
mod devices;
mod direct;
mod error;
mod groups;
mod identity;
mod inbox;
mod keys;
mod link;
mod live;
mod log;
mod login;
pub mod mls;
mod outbox;
mod password;
mod proofs;
mod received;
mod register;
mod safety_number;
mod send;
mod server;
pub mod session;
mod stock;
pub mod store;
mod sync;
#[cfg(test)]
mod testing;
mod trust;
pub mod wire;

pub use client::{Client, Options, Whoami};
pub use error::{ClientError, Refusal};
pub use groups::{GroupDetails, GroupSummary, MemberRow};
pub use keys::{ExportedProof, KeyComparison, KeyReport};
pub use link::Link;
pub use live::Live;
pub use log::{HistoryRow, InLog, LogReport, OwnHistory, ResetState};
pub use login::LoggedIn;
pub use mls::Suite;
pub use received::{Message, Undelivered};
pub use safety_number::SafetyNumber;
pub use send::{SendState, Sent};
pub use server::{Server, ServerAddress, Trust};
pub use session::ContactRequest;
pub use wire::DeviceRow;
