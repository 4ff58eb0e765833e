//! Delivery rules without I/O: group ordering, mailboxes, fan-out, KeyPackages, contacts, rates.
//!
//! Values in, decisions out; time is an argument and nothing here waits. [`ordering`] is a core with the house
//! grammar (events in, [`ordering::Ordering::poll_action`] out), the other modules are rules that a driver asks.
//! What the rules know of MLS comes through [`view::GroupView`], which `hub` implements over OpenMLS.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    expect(clippy::arithmetic_side_effects, reason = "the tests count small numbers and may panic")
)]

pub mod contacts;
pub mod fanout;
pub mod key_packages;
pub mod mailbox;
pub mod messages;
pub mod ordering;
pub mod policy;
pub mod rates;
pub mod view;
