//! Delivery proofs: what this domain signs about messages, and the way back of what other domains sign.
//!
//! The sender's home signs what it accepted and hands that out with the answer ([`accepted`]). A domain that stores rows of
//! a peer's stream signs that in the same transaction; the receipt is a row of its own ([`stored`]) and goes to where the
//! rows came from. A hub passes a member domain's receipt on to the senders' homes, and a home to the senders' devices
//! ([`arrived`]). No domain learns a device from it: a message's id is the way back, which only its sender's home can follow
//! to a device. See `docs/decisions/0025-delivery-proofs.md`.

mod accepted;
mod arrived;
mod notary;
mod record;
mod stored;

pub(crate) use accepted::{Taken, accepted};
pub(crate) use arrived::apply;
pub use notary::Notary;
pub use record::{Proven, Receipt, copy_receipt, read_receipt, write_receipt};
pub(crate) use stored::{StoredMessage, Storing};

#[cfg(test)]
mod tests;
