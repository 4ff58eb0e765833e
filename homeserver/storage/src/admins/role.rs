//! What admins may do.

use std::{fmt, str::FromStr};

/// What an admin may do; a higher role may do everything that a lower one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminRole {
    /// Reads everything, changes nothing.
    Auditor,
    /// Runs the domain: users, tokens, peers, settings.
    Operator,
    /// Besides: admins, and what can't be undone.
    Owner,
}

impl AdminRole {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for AdminRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not `owner`, `operator` or `auditor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is `owner`, `operator` or `auditor`")]
pub struct RoleError;

impl FromStr for AdminRole {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let roles = [Self::Auditor, Self::Operator, Self::Owner];
        roles.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
    }
}
