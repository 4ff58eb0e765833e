//! Stable numeric error codes: what programs act on. The text beside a code is for people and may change.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What went wrong, as a number that never changes its meaning (schemas/README.md lists them).
        ///
        /// 1xx: the caller must change the request. 2xx: identity and trust. 3xx: try again later, when the
        /// answer says. 4xx: groups. 5xx: the server's own trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number on the wire.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The code of a number; `None` for a number from a newer version.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The name as SDKs spell it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

codes! {
    /// A field is malformed; the text names it.
    Malformed = 100,
    /// Something is larger than its limit; the text names the limit.
    TooLarge = 101,
    /// What was asked for does not exist, or not for this caller.
    NotFound = 102,
    /// The same id was used before with another payload.
    IdReused = 103,
    /// Both sides speak no common protocol version.
    VersionUnsupported = 104,
    /// A one-time link or token was used before, was replaced, or its time is over.
    Gone = 105,
    /// Wrong name or password. An unknown user gets the same answer.
    LoginFailed = 200,
    /// The session or resumption token has expired: log in again.
    SessionExpired = 201,
    /// The session, token or device was revoked.
    Revoked = 202,
    /// The registration token is missing, used up, expired or revoked.
    RegistrationToken = 203,
    /// The name is taken.
    NameTaken = 204,
    /// A device isn't signed by its account's identity key.
    DeviceNotSigned = 205,
    /// This link is not trusted: only `hello` and `acceptInvite` exist on it.
    Untrusted = 206,
    /// The other side's certificate has expired.
    CertificateExpired = 207,
    /// The invite is unknown, used, expired or made for another domain.
    Invite = 208,
    /// Policy refuses: the domain is not a peer, or is blocked.
    PolicyRefused = 209,
    /// The account already has the most devices allowed.
    TooManyDevices = 210,
    /// The account or the sender is banned here; the text says why and until when.
    Banned = 211,
    /// An admin must prove again who they are: the last proof is too old for a change.
    ReauthenticationNeeded = 212,
    /// The admin's role does not allow this action.
    RoleRefused = 213,
    /// The next version of the account's keys can't stand in the log; the text says why. Ask where it stands now.
    LogRefused = 214,
    /// Too many requests of this kind; the answer says when to retry.
    RateLimited = 300,
    /// The recipient's queue is full; the answer says when to retry.
    MailboxFull = 301,
    /// Too many calls in flight on this session; wait for some answers.
    Overloaded = 302,
    /// The other domain can't be reached now; the answer says when to retry.
    PeerUnreachable = 303,
    /// The server is stopping: reconnect in a moment.
    Draining = 304,
    /// No KeyPackage is left, or none with enough lifetime.
    KeyPackagesExhausted = 305,
    /// The user, if there is one, has to accept the requester first, and was asked; the answer says when to ask again.
    Requested = 306,
    /// The log has something newer about the user that its witnesses have not signed yet; the answer says when to ask again.
    KeysPending = 307,
    /// The group has moved on; fetch the missing commits and rebase.
    WrongEpoch = 400,
    /// The group's policy does not allow this.
    NotAllowed = 401,
    /// The message is older than five epochs: encrypt it again.
    EpochTooOld = 402,
    /// The caller's device is not a member.
    NotMember = 403,
    /// The device fell too far behind and was cut off from the group.
    NeedsResync = 404,
    /// The group id exists already.
    GroupExists = 405,
    /// Nothing was kept; try again.
    NotStored = 500,
    /// The server's store is damaged or another fault that the admin must see.
    Internal = 501,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_round_trip() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
        }
    }
}
