//! Whether the log may be signed now: not before its witnesses were asked what they have seen, and no more once one of them has
//! seen another history.

use qpq_core::{ErrorCode, Millis};
use tokio::sync::{Notify, watch};

use crate::{Answered, Refusal};

/// How it stands with the log's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    /// Entries are signed.
    Open,
    /// The server has just started, and its witnesses are asked whether this database is the newest.
    Asking,
    /// A witness has seen what this database doesn't have: whatever was signed now would be a second history.
    Halted(String),
}

/// The gate before everything that appends to the log.
#[derive(Debug)]
pub(crate) struct SigningGate {
    state: watch::Sender<Signing>,
    grown: Notify,
}

impl SigningGate {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(Signing::Open), grown: Notify::new() }
    }

    /// How it stands.
    pub(crate) fn state(&self) -> Signing {
        self.state.borrow().clone()
    }

    /// Why nothing is signed any more, if nothing is.
    pub(crate) fn halted(&self) -> Option<String> {
        match self.state() {
            Signing::Halted(why) => Some(why),
            Signing::Open | Signing::Asking => None,
        }
    }

    /// The witnesses are asked first.
    pub(crate) fn ask(&self) {
        self.state.send_replace(Signing::Asking);
    }

    /// They have answered, or had their time. What was halted stays so.
    pub(crate) fn open(&self) {
        self.state.send_if_modified(|state| {
            let asking = *state == Signing::Asking;
            if asking {
                *state = Signing::Open;
            }
            asking
        });
    }

    /// Nothing is signed any more; the first reason counts. Whether this was it.
    pub(crate) fn halt(&self, why: &str) -> bool {
        self.state.send_if_modified(|state| {
            let first = !matches!(state, Signing::Halted(_));
            if first {
                *state = Signing::Halted(why.to_owned());
            }
            first
        })
    }

    /// Waits until something may be logged; refuses if nothing may be.
    pub(crate) async fn pass(&self) -> Answered<()> {
        let mut state = self.state.subscribe();
        // The sender lives as long as we do.
        let decided = state.wait_for(|state| *state != Signing::Asking).await;
        match decided.map(|state| state.clone()) {
            Ok(Signing::Halted(why)) => Err(Refusal::retry(
                ErrorCode::NotStored,
                format!("the key-transparency log is not signed now, so no keys can change: {why}"),
                Millis::from_secs(3_600),
            )),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The log is about to grow: the witnesses are asked soon.
    pub(crate) fn grows(&self) {
        self.grown.notify_one();
    }

    /// Waits until it does.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }
}
