//! Who is banned from this domain, why, and until when.

use std::fmt;

use async_trait::async_trait;
use qpq_core::{Address, Domain, Timestamp};

use crate::{Page, Stored, Window};

/// Whom a ban keeps out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BanSubject {
    /// A user of this domain or of another.
    User(Address),
    /// Another domain with all its users.
    Domain(Domain),
}

impl BanSubject {
    /// Which kind it is.
    pub const fn kind(&self) -> BanKind {
        match self {
            Self::User(_) => BanKind::User,
            Self::Domain(_) => BanKind::Domain,
        }
    }
}

impl fmt::Display for BanSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(address) => address.fmt(f),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

/// The kinds of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanKind {
    /// A user.
    User,
    /// A domain.
    Domain,
}

/// A ban. It counts while [`Ban::is_active`]; the row goes when it is lifted, by an admin or by the job that follows
/// `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom it keeps out.
    pub subject: BanSubject,
    /// Why, as the admin wrote it.
    pub reason: String,
    /// Who banned.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: for good.
    pub until: Option<Timestamp>,
}

impl Ban {
    /// Whether it keeps anybody out now: a row that is lifted late must not.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A part of the list of bans, newest first.
#[derive(Clone, Copy, Debug)]
pub struct BansQuery<'a> {
    /// Only subjects with this text in them; empty: all.
    pub search: &'a str,
    /// Only this kind.
    pub kind: Option<BanKind>,
    /// Which part.
    pub window: Window,
}

/// Reads bans.
#[async_trait]
pub trait BansRead: Send {
    /// The ban of a subject, be it over or not.
    async fn ban(&mut self, subject: &BanSubject) -> Stored<Option<Ban>>;
    /// A page of all bans, newest first.
    async fn bans(&mut self, query: &BansQuery<'_>) -> Stored<Page<Ban>>;
    /// Bans whose time is over, the earliest first, at most `limit`.
    async fn bans_due(&mut self, now: Timestamp, limit: usize) -> Stored<Vec<Ban>>;
    /// When the next ban ends.
    async fn next_ban_end(&mut self) -> Stored<Option<Timestamp>>;
}

/// Writes bans.
#[async_trait]
pub trait BansWrite: Send {
    /// Stores a ban; it takes the place of a former one of the same subject.
    async fn ban_store(&mut self, ban: &Ban) -> Stored<()>;
    /// Lifts a ban; `false` if there was none.
    async fn ban_lift(&mut self, subject: &BanSubject) -> Stored<bool>;
}
