//! A peer's place: how the rest of the process reaches its driver.

use std::sync::{Arc, Mutex, PoisonError};

use qpq_core::{Domain, Millis, Timestamp};
use qpq_federation_proto::{Failure, StopReason, Undiscovered};
use qpq_service::{PeerHealth, Standing};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{allowance::Allowance, link::LinkHandle, turns::Turn};

/// Commands that wait for one driver.
const COMMANDS: usize = 64;

/// What a driver is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// A link that the peer dialled is trusted on both sides.
    LinkUp(LinkHandle),
    /// The link with this number has ended.
    LinkLost(usize),
    /// Somebody wants to ask the peer something now.
    Want(oneshot::Sender<Result<LinkHandle, Trouble>>),
    /// The peer introduced itself, and nothing was wrong with it.
    Spoke,
    /// Its introduction claims a later life of ours: it has to prove that.
    Challenged,
    /// Its introduction is a reason to stop it.
    Stop(StopReason),
    /// The admin wants it tried now.
    Retry,
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It doesn't answer.
    Unreachable(String),
    /// Nobody knows where it is, or somebody else is there.
    NotFound(Undiscovered),
    /// It asks for time.
    Overloaded { retry_after: Millis },
    /// It refuses us, or we it.
    Stopped(StopReason),
}

impl Trouble {
    /// As the outbox core reads it.
    pub(crate) const fn failure(&self) -> Failure {
        match self {
            Self::Unreachable(_) | Self::NotFound(_) => Failure::Unreachable,
            Self::Overloaded { retry_after } => Failure::Overloaded { retry_after: *retry_after },
            Self::Stopped(reason) => Failure::Refused(*reason),
        }
    }

    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Unreachable(why) => why.clone(),
            Self::NotFound(why) => why.to_string(),
            Self::Overloaded { .. } => "it asks for time".to_owned(),
            Self::Stopped(reason) => reason.words().to_owned(),
        }
    }
}

/// A peer's place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) domain: Domain,
    commands: mpsc::Sender<Command>,
    /// What it may cost us.
    pub(crate) allowance: Allowance,
    /// Its turn to have rows stored.
    pub(crate) turn: Turn,
    /// Rows were committed for it.
    pub(crate) filled: Notify,
    /// Its record may have changed.
    pub(crate) changed: Notify,
    /// It is no peer any more.
    pub(crate) gone: CancellationToken,
    /// Fires when links that were trusted until now no longer are.
    trust: Mutex<CancellationToken>,
    seen: Mutex<Seen>,
    introduced: Mutex<Option<Introduced>>,
}

/// What a peer's last hello told.
#[derive(Clone, Copy, Debug)]
struct Introduced {
    /// The version that both speak.
    version: u16,
    /// How far its clock was ahead of ours.
    skew_ms: i64,
    /// Our clock then, and a watch that nobody sets: what ours was set by since is taken off.
    at: Timestamp,
    watch: Instant,
}

/// What its driver last said about it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The link that is up.
    pub(crate) link: Option<LinkHandle>,
    /// In words.
    pub(crate) state: String,
    /// When it is tried again.
    pub(crate) retry_at: Option<Timestamp>,
    /// How it stands.
    pub(crate) standing: Standing,
    /// What is wrong.
    pub(crate) trouble: Option<String>,
}

impl Slot {
    pub(crate) fn new(domain: Domain) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let seen = Seen { state: "starting".to_owned(), ..Seen::default() };
        let slot = Self {
            domain,
            commands,
            allowance: Allowance::default(),
            turn: Turn::default(),
            filled: Notify::new(),
            changed: Notify::new(),
            gone: CancellationToken::new(),
            trust: Mutex::default(),
            seen: Mutex::new(seen),
            introduced: Mutex::default(),
        };
        (Arc::new(slot), receiver)
    }

    /// Rows wait for it.
    pub(crate) fn fill(&self) {
        self.filled.notify_one();
    }

    /// Its record may have changed.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    /// It is no peer any more.
    pub(crate) fn end(&self) {
        self.gone.cancel();
        self.distrust();
    }

    /// What fires when a link that is trusted now no longer is.
    pub(crate) fn trust(&self) -> CancellationToken {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends every link that was trusted until now, also those that the driver doesn't know yet.
    pub(crate) fn distrust(&self) {
        let former = {
            let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
            // Who is gone stays gone.
            let next = if self.gone.is_cancelled() { trust.clone() } else { CancellationToken::new() };
            std::mem::replace(&mut *trust, next)
        };
        former.cancel();
    }

    /// Tells the driver; one that has ended needs to know nothing.
    pub(crate) async fn tell(&self, command: Command) {
        self.commands.send(command).await.ok();
    }

    /// The link that is up, else one that is dialled for this.
    pub(crate) async fn link(&self) -> Result<LinkHandle, Trouble> {
        if let Some(link) = self.link_now() {
            return Ok(link);
        }
        let (answer, answered) = oneshot::channel();
        self.tell(Command::Want(answer)).await;
        answered.await.unwrap_or_else(|_| Err(Trouble::Unreachable("the homeserver is stopping".to_owned())))
    }

    fn link_now(&self) -> Option<LinkHandle> {
        self.seen().link.clone().filter(LinkHandle::is_up)
    }

    /// What the driver last said about it.
    pub(crate) fn health(&self, now: Timestamp) -> PeerHealth {
        let link = self.link_now();
        let seen = self.seen();
        PeerHealth {
            reachable: link.is_some(),
            state: seen.state.clone(),
            retry_at: seen.retry_at,
            key_exchange: link.and_then(|link| link.key_exchange()).map(str::to_owned),
            standing: seen.standing,
            trouble: seen.trouble.clone(),
            clock_skew_ms: self.skew(now),
            version: self.introduced().map(|introduced| introduced.version),
        }
    }

    /// The peer said hello.
    pub(crate) fn note_hello(&self, version: u16, skew_ms: i64, now: Timestamp) {
        let introduced = Introduced { version, skew_ms, at: now, watch: Instant::now() };
        *self.introduced.lock().unwrap_or_else(PoisonError::into_inner) = Some(introduced);
    }

    fn introduced(&self) -> Option<Introduced> {
        *self.introduced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn skew(&self, now: Timestamp) -> Option<i64> {
        let Introduced { skew_ms, at, watch, .. } = self.introduced()?;
        let passed = i64::try_from(watch.elapsed().as_millis()).unwrap_or(i64::MAX);
        let shown = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let then = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let set_by = shown.saturating_sub(then).saturating_sub(passed);
        Some(skew_ms.saturating_sub(set_by))
    }

    /// What the driver says about it.
    pub(crate) fn show(&self, seen: Seen) {
        *self.seen() = seen;
    }

    /// How the peer stands.
    pub(crate) fn standing(&self) -> Standing {
        self.seen().standing
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_since_the_hello_is_taken_into_account() {
        let (slot, _commands) = Slot::new("beta.test".parse().unwrap());
        let hello = Timestamp::from_millis(1_000_000);
        assert_eq!(slot.health(hello).clock_skew_ms, None);
        slot.note_hello(1, -120_000, hello);
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        assert_eq!(slot.health(hello.after(Millis(5_000))).clock_skew_ms, Some(-120_000));
        // Ours was two minutes ahead, and its admin set it back.
        assert_eq!(slot.health(hello.before(Millis(115_000))).clock_skew_ms, Some(0));
    }
}
