//! Use cases: what the homeserver can do, whoever asks.
//!
//! The console, the command line, clients' RPC and peers call the same functions, so parity is structural. A use case
//! authorises, checks limits, writes in one transaction and answers after it is durable; it opens no socket. Peers are
//! reached through [`PeerCalls`], which `federation` implements.
//!
//! Every use case stands on the [`Ground`]: domain, clock, entropy, storage, the group-commit [`Writer`] and the
//! [`Wakes`] that tell sessions that something waits for them.

mod exchange;
mod ground;
mod peer_calls;
mod refusal;
mod settings;
mod wakes;
mod writer;

pub use exchange::{
    ClaimedPackage, ClaimedUser, CommitAnswer, CommitSubmit, GroupTree, UserAnswer, UserKeys,
};
pub use ground::Ground;
pub use peer_calls::{NoPeers, PeerCallError, PeerCalls, PeerHealth};
pub use refusal::{Answered, Refusal};
pub use settings::{RegistrationPolicy, Settings};
pub use wakes::{Subscription, Wakes};
pub use writer::{Effects, WriteJob, Writer};
