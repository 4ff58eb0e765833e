//! One-time links by which somebody becomes an admin, or comes back as one.

use std::{fmt, str::FromStr};

use qpq_core::{AdminId, Timestamp};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Who opens it becomes the first admin, an owner, and chooses a name.
    First,
    /// An owner added the account, and whoever it is for chooses how to sign in.
    Added,
    /// An account lost what it signs in with.
    Recovery,
}

impl LinkPurpose {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Added => "added",
            Self::Recovery => "recovery",
        }
    }
}

impl fmt::Display for LinkPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link is `first`, `added` or `recovery`")]
pub struct PurposeError;

impl FromStr for LinkPurpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        let purposes = [Self::First, Self::Added, Self::Recovery];
        purposes.into_iter().find(|purpose| purpose.as_str() == text).ok_or(PurposeError)
    }
}

/// A link that was not used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminLink {
    /// What it is for.
    pub purpose: LinkPurpose,
    /// Whose it is; `None` for the first admin, who has no account yet.
    pub admin: Option<AdminId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl AdminLink {
    /// Whether it can be used. One from the future was made before the clock was set back: nobody knows how old it is.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.created_at <= now && now < self.expires_at
    }
}
