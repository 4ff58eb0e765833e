//! Who performs an admin action, with which role, and how lately they proved who they are.

use std::fmt;

use qpq_core::{AdminId, ErrorCode, Millis, RequestId, Timestamp};
use qpq_storage::AdminRole;

use crate::{Action, Answered, Refusal};

/// A proof of who an admin is allows changes for this long (console.md).
pub const REAUTHENTICATION: Millis = Millis::from_secs(600);

/// Who performs an admin action; its text is what the audit log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user of the machine on the admin socket: `uid:0`.
    Uid(u32),
    /// An admin of the console: `admin:alice`.
    Admin {
        /// The admin.
        id: AdminId,
        /// Their name.
        name: String,
    },
    /// A job of the homeserver itself: `job:lift-bans`.
    Job(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Admin { name, .. } => write!(f, "admin:{name}"),
            Self::Job(job) => write!(f, "job:{job}"),
        }
    }
}

/// How a caller stands to the guard of actions that change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The caller is the owner of the process on the admin socket, or the homeserver itself.
    NotNeeded,
    /// The admin proved who they are at this time.
    At(Timestamp),
}

/// One caller of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// What they may do.
    pub role: AdminRole,
    /// How lately they proved who they are.
    pub proof: Proof,
    /// The request that this belongs to: in the audit log, in log lines, on error pages.
    pub request: RequestId,
}

impl Caller {
    /// A user of the machine on the admin socket, who may do everything.
    pub const fn uid(uid: u32, request: RequestId) -> Self {
        Self { actor: Actor::Uid(uid), role: AdminRole::Owner, proof: Proof::NotNeeded, request }
    }

    /// A job of the homeserver itself.
    pub const fn job(job: &'static str, request: RequestId) -> Self {
        Self { actor: Actor::Job(job), role: AdminRole::Owner, proof: Proof::NotNeeded, request }
    }

    /// Refuses what the role does not allow, and changes long after the last proof.
    pub(crate) fn may(&self, action: &Action, now: Timestamp) -> Answered<()> {
        if self.role < action.role {
            let text = format!("`{}` needs the role {}, and you are {}", action.verb, action.role, self.role);
            return Err(Refusal::new(ErrorCode::RoleRefused, text));
        }
        match self.proof {
            Proof::At(at) if action.audit.is_some() => fresh(at, now),
            Proof::At(_) | Proof::NotNeeded => Ok(()),
        }
    }
}

/// Refuses what was proved too long ago. A proof from the future was made before the clock was set back: nobody knows
/// how old it is.
pub(crate) fn fresh(proved_at: Timestamp, now: Timestamp) -> Answered<()> {
    if proved_at <= now && now.since(proved_at) <= REAUTHENTICATION {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::ReauthenticationNeeded,
        "changes need a proof of who you are that is not older than ten minutes: confirm it and repeat",
    ))
}
