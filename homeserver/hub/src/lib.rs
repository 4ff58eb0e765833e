//! Follows groups with OpenMLS' `PublicGroup` for the domain that orders them.
//!
//! The hub holds no secret of any group. It verifies what a non-member can verify (signatures, tree, transcript), tells
//! `delivery`'s rules what a commit does ([`HubGroup`] implements [`qpq_delivery::view::GroupView`]), and keeps the
//! public state as chunks so that a commit rewrites only what it changed. The state in memory is a cache: it is always
//! loaded from stored chunks, merged before the store is asked, and dropped when the store says no.
//!
//! Everything that arrives is hostile until parsed: each function answers garbage with a typed error.

mod commit;
mod engine;
mod framing;
mod group;
mod group_info;
mod key_package;
mod state;
mod values;

pub use commit::StagedCommit;
pub use engine::{Engine, EngineError};
pub use framing::{ApplicationFraming, FramingError, application_framing};
pub use group::{CreateError, Created, HubGroup, LoadError, MergeError, Merged};
pub use key_package::{KeyPackageError, KeyPackageFacts};
pub use state::Chunk;
