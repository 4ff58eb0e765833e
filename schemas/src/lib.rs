//! The wire contract: Cap'n Proto schemas, and the Rust that `cargo xtask codegen` makes from them.
//!
//! `schemas/README.md` says how to build an SDK on them. The generated modules are committed and are the only
//! code here; they don't inherit the workspace's lints.

#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated code; the schemas carry the documentation"
)]

#[rustfmt::skip]
#[path = "gen/common_capnp.rs"]
pub mod common_capnp;
#[rustfmt::skip]
#[path = "gen/transparency_capnp.rs"]
pub mod transparency_capnp;
#[rustfmt::skip]
#[path = "gen/client_capnp.rs"]
pub mod client_capnp;
#[rustfmt::skip]
#[path = "gen/federation_capnp.rs"]
pub mod federation_capnp;
#[rustfmt::skip]
#[path = "gen/records_capnp.rs"]
pub mod records_capnp;
#[rustfmt::skip]
#[path = "gen/admin_capnp.rs"]
pub mod admin_capnp;
