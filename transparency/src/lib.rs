//! The key-transparency log of one domain: sequences entries, and says what of it is published.
//!
//! [`append`] runs within the transaction that changes what is logged, so a change and its entry are kept together or not at
//! all, and whoever is answered after the commit is in a signed, durable checkpoint (decision 0032). The group commit is the
//! batch. [`open`] is the look at a start: the root is computed anew from the tiles, and a log that doesn't fit its own
//! checkpoint is not served. What the log says of the domain itself is made in [`configuration`], what of people in
//! [`accounts`]; what a client is answered in [`lookup`], what strangers read in [`publication`].
//!
//! Others cosign our checkpoints ([`cosigning`]), and we theirs ([`witness`]), mirror what we cosigned ([`mirror`]), and keep
//! evidence of logs that have two histories ([`evidence`]). None of it knows who carries it.
//!
//! The tree itself, and everything that a verifier needs, is in `qpq-transparency-tree`.

pub mod accounts;
pub mod configuration;
pub mod cosigning;
pub mod evidence;
#[cfg(test)]
mod fickle;
mod inspection;
mod keys;
pub mod lookup;
pub mod mirror;
pub mod publication;
mod sequence;
pub mod witness;

pub use inspection::{Inspection, Progress};
pub use keys::{LogKeys, LogSeeds, WitnessKey};
pub use sequence::{Appended, NewEntry, Opened, append, open, read_entry};
