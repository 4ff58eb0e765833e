//! The server over real loopback connections, called by a client that knows nothing but the schemas.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]
#![expect(clippy::future_not_send, reason = "Cap'n Proto is `!Send`")]

mod admin;
mod door;
mod held_back;
mod push;
mod sessions;
mod world;

/// Runs a test on a `LocalSet`, as capnp needs it, with a deadline.
async fn local(test: impl Future<Output = ()>) {
    let limited = tokio::time::timeout(world::SOON, test);
    tokio::task::LocalSet::new().run_until(limited).await.unwrap();
}
