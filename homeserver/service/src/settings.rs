//! What an admin may choose, already parsed: the homeserver reads it from its configuration before anything starts.

use qpq_core::{Millis, limits};

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Holders of a registration token.
    Token,
    /// Everybody.
    Open,
}

/// What an admin may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may make an account.
    pub registration: RegistrationPolicy,
    /// Undelivered application messages per device.
    pub mailbox_messages: u64,
    /// Submits per user and minute.
    pub submits_per_minute: u32,
    /// How long an undelivered message lives, and the most a sender may ask for.
    pub message_ttl: Millis,
    /// How long a session's resumption token lives.
    pub resumption_lifetime: Millis,
    /// How long a session lives before it must resume.
    pub session_lifetime: Millis,
    /// One-time KeyPackages that one requester may take from one target before claims slow down.
    pub claim_burst: u32,
    /// After the burst, one more claim in this time.
    pub claim_interval: Millis,
    /// How long acknowledged outbox rows are kept.
    pub retain: Millis,
    /// How many bytes of them are kept for each peer.
    pub retain_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registration: RegistrationPolicy::Token,
            mailbox_messages: limits::MAILBOX_MESSAGES,
            submits_per_minute: limits::SUBMITS_PER_MINUTE,
            message_ttl: limits::MESSAGE_TTL,
            resumption_lifetime: limits::RESUMPTION_LIFETIME,
            session_lifetime: limits::SESSION_LIFETIME,
            claim_burst: 6,
            claim_interval: Millis::from_secs(600),
            retain: limits::RETAIN,
            retain_bytes: limits::RETAIN_BYTES,
        }
    }
}
