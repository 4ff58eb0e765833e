//! The world that the suites run in: real processes on loopback, in directories that vanish.
//!
//! A suite (`tests/tests/*.rs`, one file per theme) tells a story to a [`World`]: domains are `qpq-server` processes
//! ([`HomeDomain`]), users are `qpq` processes ([`Person`]) or long-lived library clients ([`Resident`]), and whoever
//! has to speak the contract without our client does it through [`wire`]. Nothing here sleeps to synchronise: it waits
//! for an event, with a deadline. When a story fails, the logs of its domains are printed.

#![expect(clippy::future_not_send, reason = "Cap'n Proto capabilities live on one thread")]

pub mod bytes;
mod domain;
pub mod hostile;
pub mod hosts;
pub mod lane;
mod person;
mod ports;
pub mod preload;
mod program;
pub mod proxy;
mod resident;
pub mod site;
pub mod stranger;
pub mod wire;
mod world;

pub use domain::{HomeDomain, Info, peer};
pub use person::{Person, Received, Sent};
pub use program::{Finished, Program, binary};
pub use resident::{Resident, server_of};
pub use world::{World, eventually, story, told};
