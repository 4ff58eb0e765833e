//! What a supervisor is told (`sd_notify`), and what it may ask for: a reload by SIGHUP.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{debug, error, info};

use super::certificates::Certificates;
use crate::running::RunningConfiguration;

/// Says that we are ready, and keeps the watchdog fed until what is returned is dropped.
pub(super) fn ready(tasks: &TaskTracker, stopping: &CancellationToken) -> DropGuard {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let fed = stopping.child_token();
    if let Some(within) = sd_notify::watchdog_enabled() {
        let until = fed.clone();
        // A runtime that no longer gives turns feeds nobody: that is what the watchdog is to notice.
        drop(tasks.spawn(async move {
            let mut interval = tokio::time::interval((within / 2).max(Duration::from_millis(100)));
            while until.run_until_cancelled(interval.tick()).await.is_some() {
                notify(&[NotifyState::Watchdog]);
            }
        }));
    }
    fed.drop_guard()
}

/// Says that we are stopping.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Reads configuration and certificate again; what can't be used changes nothing.
pub(super) fn reload(configuration: &RunningConfiguration, certificates: &Certificates) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(cause) => debug!(%cause, "no monotonic clock for the supervisor"),
    }
    match configuration.reload() {
        Ok(()) => info!(
            "the configuration was read again: log filter, federation and directory policy and drain deadline are in effect"
        ),
        Err(refusal) => error!(%refusal, "the configuration stays as it was"),
    }
    if let Err(error) = certificates.reload() {
        let cause = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        error!(cause, "the certificate stays as it was");
    }
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(states) {
        debug!(%cause, "the supervisor could not be told");
    }
}
