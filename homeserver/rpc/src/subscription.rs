//! A subscription: one task on the session's worker that pushes what waits into the client's `Inbox`.
//!
//! Deliveries are streaming calls: capnp lets the next one go while the bytes of those that the client has not returned
//! stay below the window, so a slow client holds back its own feed and nobody else's. The feeder remembers what it gave,
//! and the store keeps everything until it is acknowledged, so ending a subscription at any point loses nothing.

use std::{rc::Rc, time::Duration};

use qpq_core::Millis;
use qpq_schemas::client_capnp::inbox;
use qpq_service::{Delivery, Feeder, wire};
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, debug, field, info_span, warn};

use crate::{deliveries::write_deliveries, session::Live};

/// A client that returns no delivery for so long, while the window is full, loses its subscription.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may take to hear that the process is stopping.
const FAREWELL: Duration = Duration::from_secs(1);
/// After a fault of the store that names no time of its own.
const PAUSE: Millis = Millis::from_secs(5);

/// Begins to push; a former subscription of the session ends.
pub(crate) fn start(live: Rc<Live>, feeder: Feeder, inbox: inbox::Client) {
    let ended = live.link.ended.child_token();
    live.replace_subscription(ended.clone().drop_guard());
    let context = live.link.context.clone();
    // A stopping process waits until the client has heard of it.
    let in_flight = live.link.calls.in_flight().token();
    let pushing = async move {
        ended.run_until_cancelled(push(&live, feeder, &inbox)).await;
        drop(in_flight);
    };
    context.spawn(pushing.instrument(info_span!("rpc.mailbox.push")));
}

async fn push(live: &Live, feeder: Feeder, inbox: &inbox::Client) {
    let stopping = live.link.context.stopping();
    if stopping.run_until_cancelled(feed(feeder, inbox)).await.is_none() {
        let mut request = inbox.draining_request();
        request.get().set_reason("the homeserver is stopping: reconnect in a moment");
        // Who doesn't hear it sees the connection end.
        timeout(FAREWELL, request.send().promise).await.ok();
    }
}

async fn feed(mut feeder: Feeder, inbox: &inbox::Client) {
    loop {
        match feeder.next().await {
            Ok(Some(batch)) => match timeout(PATIENCE, deliver(inbox, &batch)).await {
                Ok(Ok(())) => (),
                Ok(Err(error)) => return debug!(%error, "a client's inbox is gone, its subscription ended"),
                Err(_) => return debug!("a client took no deliveries, its subscription ended"),
            },
            Ok(None) => return,
            Err(refusal) => {
                // What the store said was logged where it happened.
                warn!(
                    failure.code = field::display(refusal.code),
                    "could not read what waits for a device, will try again"
                );
                sleep(refusal.retry_after.unwrap_or(PAUSE).to_duration()).await;
            }
        }
    }
}

/// Sends one batch; ready when the window has room for the next.
async fn deliver(inbox: &inbox::Client, batch: &[Delivery]) -> capnp::Result<()> {
    let mut request = inbox.deliver_request();
    write_deliveries(batch, request.get().init_deliveries(wire::length(batch.len())));
    request.send().await
}
