//! Stopping in order: nobody new, those who are there finish, what was accepted is durable, the files are closed.

use std::time::Duration;

use tracing::{error, info, warn};

use super::start::Running;

/// After the drain the writer may take this long for what was queued.
const FLUSH: Duration = Duration::from_secs(30);
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
        writer,
        tasks,
        stopping,
        ..
    } = running;
    // From here on `/readyz` and `info` say draining; whoever asks is told until the end.
    stopping.cancel();
    let drain = configuration.drain().to_duration();
    tasks.close();
    federation.stop(drain).await;
    let report = workers.stop(drain).await;
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
