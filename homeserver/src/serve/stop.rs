//! Stopping in order: it is said first, then clients go, then peers, what was accepted is durable, the files are closed.
//!
//! Clients go before peers, because a call in flight may wait for a peer's answer.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::start::Running;

/// After the drain the writer may take this long for what was queued.
const FLUSH: Duration = Duration::from_secs(30);
/// Links to peers get at least this long, also when clients took all of the drain.
const LAST_CALLS: Duration = Duration::from_secs(4);
/// The TCP listeners go last, and nobody is waited for long.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Stops everything; a second signal cuts it short.
pub(super) async fn stop(running: Running) {
    let Running {
        storage,
        queue,
        federation,
        workers,
        sites,
        admin_address,
        configuration,
        clients,
        notice,
        writer,
        tasks,
        stopping,
        ..
    } = running;
    // From here on `/readyz` and `info` say draining; whoever asks is told until the end.
    stopping.cancel();
    let drain = configuration.drain().to_duration();
    tasks.close();
    tokio::time::sleep(notice).await;
    let end = Instant::now() + drain;
    let left = || end.saturating_duration_since(Instant::now());
    let busy = clients.drain(left()).await;
    if busy > 0 {
        warn!(connections = busy, "some clients' calls did not end within {} s", drain.as_secs());
    }
    federation.stop(left().max(LAST_CALLS)).await;
    let report = workers.stop(left().max(LAST_CALLS)).await;
    if report.abandoned > 0 {
        warn!(abandoned = report.abandoned, "some tasks did not end within {} s", drain.as_secs());
    }
    tasks.wait().await;
    sites.stop(LAST_REQUESTS).await;
    drop(admin_address);
    queue.stop();
    if tokio::time::timeout(FLUSH, writer).await.is_err() {
        warn!("the writer did not end within {} s", FLUSH.as_secs());
    }
    match storage.close().await {
        Ok(()) => info!("stopped"),
        Err(cause) => error!(error = &cause as &dyn std::error::Error, "the database was not closed cleanly"),
    }
}
