//! Two domains in one process, over real QUIC on loopback.

#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`: calls live on one thread")]
#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

mod discovery;
mod links;
mod name_server;
mod peering;
mod probe;
mod rows;
mod stranger;
mod strangers;
mod world;
