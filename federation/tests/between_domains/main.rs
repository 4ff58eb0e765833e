//! Two domains in one process, over real QUIC on loopback.

#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`: calls live on one thread")]
#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

mod links;
mod peering;
mod rows;
mod stranger;
mod strangers;
mod world;
