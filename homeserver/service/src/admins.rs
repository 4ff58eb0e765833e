//! Accounts of the console and how they sign in: one-time links, passkeys, password with TOTP, recovery codes,
//! sessions, and the proof that every change wants (docs/decisions/0021-how-admins-sign-in.md).
//!
//! What is here knows nothing of HTTP: it takes what a form or a script sent and answers with what to show. Ceremonies
//! of a few minutes (a passkey being made, a TOTP secret that is not confirmed yet) live in memory, bounded; everything
//! else is stored, secrets as hashes.

mod accounts;
mod ceremonies;
pub(crate) mod deeds;
mod enrol;
mod factors;
mod limits;
mod links;
mod metered;
mod own;
mod passkeys;
mod password;
mod secrets;
mod sessions;
mod setup;
mod sign_in;
#[cfg(test)]
mod tests;
mod totp;
mod views;

use std::{fmt, sync::Arc};

use qpq_core::{Millis, Timestamp};
use qpq_delivery::rates::Rate;
use qpq_storage::SessionLife;
use tokio::sync::watch;

pub(crate) use sessions::EndSession;
pub use views::{
    Ceremony, ConsolePlace, LinkView, NewSession, OwnAccount, PasskeyView, SetupLink, SignedIn, TotpOffer,
    Visit, Welcome,
};

use crate::{Answered, Ground, SourceNetwork, rates::Throttle};
use ceremonies::Ceremonies;
use limits::Attempts;
use passkeys::Passkeys;
use password::Passwords;

/// A session lives this long at most.
const LONGEST: Millis = Millis::from_secs(12 * 3_600);
/// A session that is not used ends after this.
const IDLE: Millis = Millis::from_secs(20 * 60);
/// Sign-ins with passkeys that one network may begin: many people may be behind one address.
const SIGN_INS: Rate = Rate { burst: 60, refill: Millis::from_secs(1) };

/// The use cases of admins; cheap to clone.
#[derive(Clone)]
pub struct Admins(Arc<Parts>);

/// What they share.
struct Parts {
    ground: Arc<Ground>,
    place: ConsolePlace,
    passkeys: Passkeys,
    passwords: Passwords,
    attempts: Attempts,
    doors: Throttle<SourceNetwork>,
    /// What people with a link or a session began.
    ceremonies: Ceremonies,
    /// What anybody can begin, apart, so that nobody can crowd the others out.
    sign_ins: Ceremonies,
    first_link: watch::Sender<Option<SetupLink>>,
}

impl fmt::Debug for Admins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admins").field("place", &self.0.place).finish_non_exhaustive()
    }
}

impl Admins {
    /// On this ground, for browsers that find the console at this place. A place that browsers allow no passkeys for,
    /// like an IP address, is refused.
    pub fn new(ground: Arc<Ground>, place: ConsolePlace) -> Answered<Self> {
        Self::with(ground, place, Passwords::new())
    }

    /// The same with passwords that are quick to compute.
    #[cfg(test)]
    pub(crate) fn cheap(ground: Arc<Ground>, place: ConsolePlace) -> Answered<Self> {
        Self::with(ground, place, Passwords::cheap())
    }

    fn with(ground: Arc<Ground>, place: ConsolePlace, passwords: Passwords) -> Answered<Self> {
        Ok(Self(Arc::new(Parts {
            ground,
            passkeys: Passkeys::at(&place)?,
            place,
            passwords,
            attempts: Attempts::default(),
            doors: Throttle::new(SIGN_INS),
            ceremonies: Ceremonies::default(),
            sign_ins: Ceremonies::default(),
            first_link: watch::Sender::new(None),
        })))
    }

    /// Where browsers find the console.
    pub fn place(&self) -> &ConsolePlace {
        &self.0.place
    }

    /// The link for the first admin, as it changes: `None` when there is none, or it was used.
    pub fn first_link(&self) -> watch::Receiver<Option<SetupLink>> {
        self.0.first_link.subscribe()
    }

    fn now(&self) -> Timestamp {
        self.0.ground.now()
    }
}

/// How long sessions live, seen from now.
pub(crate) const fn life(now: Timestamp) -> SessionLife {
    SessionLife { now, longest: LONGEST, idle: IDLE }
}
