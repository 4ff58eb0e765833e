//! What labels can say. A value that is missing here can't be told, so no label ever grows with users or peers.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use qpq_core::ErrorCode;

/// An enum whose values have names as Prometheus shows them.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $value,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// Its name in the label.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                self.name().encode(encoder)
            }
        }
    };
}

named! {
    /// How a call ended.
    Outcome {
        /// It was fulfilled.
        Ok = "ok",
        /// The caller must change the request (1xx, 2xx, 4xx).
        Refused = "refused",
        /// It is to be repeated later (3xx).
        Later = "later",
        /// The trouble of who was called (5xx), or no answer at all.
        Failed = "failed",
    }
}

impl Outcome {
    /// Of an answer's error code; `None`: there was none.
    pub const fn of(code: Option<ErrorCode>) -> Self {
        match code {
            None => Self::Ok,
            Some(code) => match code.number() / 100 {
                3 => Self::Later,
                5 => Self::Failed,
                _ => Self::Refused,
            },
        }
    }
}

named! {
    /// Who called whom.
    Direction {
        /// We called a peer.
        Sent = "sent",
        /// A peer called us.
        Received = "received",
    }
}

named! {
    /// Where a peer stands.
    PeerState {
        /// It is reached, or nothing waits for it.
        Healthy = "healthy",
        /// It answers, but something is wrong.
        Degraded = "degraded",
        /// It can't be reached and is tried again later.
        BackingOff = "backing-off",
        /// An admin told its queue to wait.
        Paused = "paused",
        /// An admin blocked it.
        Blocked = "blocked",
        /// Nothing is sent until somebody acts.
        Refused = "refused",
        /// No admin here has confirmed its fingerprint.
        AwaitingConfirmation = "awaiting-confirmation",
    }
}

named! {
    /// Why a client's login failed.
    LoginFailure {
        /// Wrong name or password; which of them is nobody's business.
        Credentials = "credentials",
        /// It was begun and not finished: so does a client that finds the password wrong, and one that is gone.
        Unfinished = "unfinished",
        /// The account is banned.
        Banned = "banned",
        /// Too many attempts in a short time.
        RateLimited = "rate-limited",
        /// The password was right; the device was revoked, is one too many or isn't signed.
        Device = "device",
        /// The request made no sense.
        Malformed = "malformed",
        /// The homeserver's own trouble.
        Failed = "failed",
    }
}

impl LoginFailure {
    /// Of a refusal's code.
    pub const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::LoginFailed => Self::Credentials,
            ErrorCode::Banned => Self::Banned,
            ErrorCode::RateLimited | ErrorCode::Overloaded => Self::RateLimited,
            ErrorCode::Revoked | ErrorCode::TooManyDevices | ErrorCode::DeviceNotSigned => Self::Device,
            ErrorCode::NotStored | ErrorCode::Internal | ErrorCode::Draining => Self::Failed,
            _ => Self::Malformed,
        }
    }
}

named! {
    /// Why a sign-in to the console failed.
    SignInFailure {
        /// Wrong name or password.
        Password = "password",
        /// Wrong, used or old one-time code.
        Code = "code",
        /// A passkey that is unknown, or proves nothing.
        Passkey = "passkey",
        /// A recovery code that is unknown or used.
        RecoveryCode = "recovery-code",
        /// A setup link that is unknown, used or old.
        SetupLink = "setup-link",
        /// Too many attempts in a short time.
        RateLimited = "rate-limited",
    }
}

named! {
    /// A limit that can bite.
    Limit {
        /// Attempts to register, from one network.
        Registrations = "registrations",
        /// Attempts to log in, from one network or for one name.
        Logins = "logins",
        /// Messages of one account.
        Submits = "submits",
        /// Key lookups of one account or by one peer.
        Lookups = "lookups",
        /// KeyPackage claims of one account, by one peer, or of one target.
        KeyPackageClaims = "key-package-claims",
        /// Requests to be accepted: for one user, of one user, of one domain.
        ContactRequests = "contact-requests",
        /// KeyPackage uploads of one device in a short time.
        KeyPackageUploads = "key-package-uploads",
        /// KeyPackages in one device's stock.
        KeyPackages = "key-packages",
        /// Devices of one account.
        Devices = "devices",
        /// Undelivered messages: a sender was refused.
        Mailbox = "mailbox",
        /// What waits for one peer: a sender was refused, or a domain was left behind in a group.
        PeerQueue = "peer-queue",
        /// Calls in flight of one client or admin connection.
        Calls = "calls",
        /// Calls in flight of one peer.
        PeerCalls = "peer-calls",
        /// Calls of one address over links without trust.
        Strangers = "strangers",
    }
}

named! {
    /// Why a dial found nobody who is the peer.
    DiscoveryFailure {
        /// No name server answered.
        NoAnswer = "no-answer",
        /// A name server could not find out.
        ServerFailed = "server-failed",
        /// The answer failed its DNSSEC check.
        Bogus = "bogus",
        /// DNS has no record, or none that can be used.
        NotFound = "not-found",
        /// DNS leads to an address that it must not lead to.
        RefusedTarget = "refused-target",
        /// Another domain answered there.
        AnotherDomain = "another-domain",
    }
}

named! {
    /// What is banned.
    Bans {
        /// Users, of this domain or another.
        Users = "user",
        /// Whole domains.
        Domains = "domain",
    }
}

named! {
    /// How bad a finding of a check is.
    FindingSeverity {
        /// Good to know.
        Info = "info",
        /// It will become a problem.
        Warning = "warning",
        /// It is one.
        Critical = "critical",
    }
}

named! {
    /// How a job's run ended.
    JobResult {
        /// As it should.
        Succeeded = "succeeded",
        /// It didn't; the log says why.
        Failed = "failed",
    }
}

named! {
    /// Which TCP listener.
    Listener {
        /// Console, health and metrics.
        Admin = "admin",
        /// What everybody may read.
        Public = "public",
    }
}
