//! Signed-in browsers.

use qpq_core::{AdminId, ConsoleSessionId, Millis, Timestamp};

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSession {
    /// Its public name; the cookie is another value.
    pub id: ConsoleSessionId,
    /// Whose it is.
    pub admin: AdminId,
    /// When the admin signed in.
    pub opened_at: Timestamp,
    /// When the admin last proved who they are.
    pub proved_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// Where it was opened from.
    pub address: String,
    /// What the browser calls itself.
    pub agent: String,
}

/// How long sessions live, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLife {
    /// The moment.
    pub now: Timestamp,
    /// From the sign-in on.
    pub longest: Millis,
    /// Without being used.
    pub idle: Millis,
}

impl SessionLife {
    /// The earliest sign-in that still counts.
    pub const fn opened_from(&self) -> Timestamp {
        self.now.before(self.longest)
    }

    /// The earliest use that still counts.
    pub const fn seen_from(&self) -> Timestamp {
        self.now.before(self.idle)
    }

    /// Whether a session lives. One from the future was opened before the clock was set back: nobody knows how old it is.
    pub fn holds(&self, session: &ConsoleSession) -> bool {
        (self.opened_from()..=self.now).contains(&session.opened_at)
            && (self.seen_from()..=self.now).contains(&session.seen_at)
    }
}
