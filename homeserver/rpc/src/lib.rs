//! The Cap'n Proto server for clients and for the admin socket.
//!
//! The way of a call: a [`ClientListener`] takes the one stream of a connection and offers `Homeserver`, which leads to
//! a `Session`, whose seven areas are one file each here. A method parses its params once into domain types, calls one
//! use case of `service`, and writes what it answers, or its refusal, into the results. No rule lives here.
//!
//! What bounds a client: frames, traversal and unread replies in `transport`; calls in flight, each call's deadline and
//! the time without a session here; and the capabilities that it may hold.
//!
//! [`AdminSocket`] does the same for the command line, on a Unix socket.

#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`: a session lives on its worker thread")]

mod account;
mod admin;
mod call;
mod contacts;
mod deliveries;
mod devices;
mod directory;
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod homeserver;
mod key_packages;
mod link;
mod listener;
mod mailbox;
mod session;
mod subscription;

pub use admin::{AdminSocket, AdminSocketError, serve_admin};
pub use listener::ClientListener;
