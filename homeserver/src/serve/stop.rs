//! Stopping in order: nobody new, those who are there finish, what was accepted is durable, the files are closed.

use std::time::Duration;

use tracing::{error, info, warn};

use super::start::Running;

/// What is in flight may take this long.
const DRAIN: Duration = Duration::from_secs(30);

/// Stops everything; a second signal cuts it short.
pub(super) async fn stop(running: Running) {
    let Running { storage, queue, federation, workers, writer, tasks, stopping, .. } = running;
    stopping.cancel();
    tasks.close();
    federation.stop(DRAIN).await;
    let report = workers.stop(DRAIN).await;
    if report.abandoned > 0 {
        warn!(abandoned = report.abandoned, "some tasks did not end within {} s", DRAIN.as_secs());
    }
    tasks.wait().await;
    queue.stop();
    if tokio::time::timeout(DRAIN, writer).await.is_err() {
        warn!("the writer did not end within {} s", DRAIN.as_secs());
    }
    match storage.close().await {
        Ok(()) => info!("stopped"),
        Err(cause) => error!(error = &cause as &dyn std::error::Error, "the database was not closed cleanly"),
    }
}
