//! What can go wrong for a client, in words that say what to do next.

use qpq_core::{
    Address, DeviceAddress, Domain, ErrorCode, GroupId, IdentityKey, MessageId, Millis, Pin, RequestId,
};

use qpq_transparency_tree::lookup::LookupError;

use crate::{mls::MlsError, store::StoreError};

/// The domain's own words: why it did not fulfil a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number on the wire.
    pub number: u16,
    /// What it means; `None` for a number that is newer than this program.
    pub code: Option<ErrorCode>,
    /// One sentence for people.
    pub text: String,
    /// When trying again makes sense; `None` if trying the same again does not help.
    pub retry_after: Option<Millis>,
    /// The refused request, as the homeserver's log names it.
    pub request: Option<RequestId>,
}

impl Refusal {
    /// Whether it says so because of `code`.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == Some(code)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (error {code})", self.text)?,
            None => write!(f, "{} (error {})", self.text, self.number)?,
        }
        if let Some(Millis(wait)) = self.retry_after {
            write!(f, "; try again in {} s", wait.div_ceil(1_000))?;
        }
        // From 500 on it is the homeserver's own trouble: only its admin can look it up.
        match self.request {
            Some(request) if self.number >= 500 => {
                write!(f, "; its admin finds this as {request} in the log")
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why something a user asked of this client did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the homeserver is not `HOST:PORT`.
    #[error("`{text}` is not an address of the form HOST:PORT")]
    ServerAddress {
        /// What was given.
        text: String,
    },
    /// The homeserver's name has no address.
    #[error("could not find the machine `{host}`: check the spelling and the network")]
    Resolve {
        /// The name that was looked up.
        host: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Nobody answers there.
    #[error("nobody answers at {server} ({reason}): is the homeserver running, and is this its address?")]
    Unreachable {
        /// Where it was tried.
        server: String,
        /// What the transport said.
        reason: String,
    },
    /// The homeserver's key is another than the pinned one.
    #[error(
        "the homeserver at {server} is not the one you pinned: expected {expected}, it shows {}. Nothing was sent to \
         it. If its admin changed the key, ask for the new pin (`qpq-server info` prints it)",
        presented.map_or_else(|| String::from("none"), |pin| pin.to_string())
    )]
    WrongPin {
        /// Where it was tried.
        server: String,
        /// What the user gave.
        expected: Pin,
        /// What was shown.
        presented: Option<Pin>,
    },
    /// The homeserver's certificate was not accepted.
    #[error("the certificate of the homeserver at {server} was not accepted: {reason}")]
    Untrusted {
        /// Where it was tried.
        server: String,
        /// In words.
        reason: String,
    },
    /// This machine could not prepare a connection.
    #[error("could not prepare a connection: {what}")]
    Setup {
        /// In words.
        what: String,
    },
    /// No answer came in time.
    #[error("the homeserver did not answer in time ({what}): try again")]
    Deadline {
        /// The call.
        what: &'static str,
    },
    /// The connection ended.
    #[error("the connection to the homeserver ended: {reason}")]
    Disconnected {
        /// In words.
        reason: String,
    },
    /// Too many calls are under way.
    #[error("the homeserver has too much to do for this session: try again in a moment")]
    Overloaded,
    /// The domain refused, and said why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The domain's answer breaks the contract.
    #[error("the homeserver's answer can't be understood: {what}")]
    Protocol {
        /// Which part.
        what: String,
    },
    /// The password is wrong, or the name is.
    #[error("wrong name or password")]
    WrongPassword,
    /// OPAQUE failed for a reason other than the password.
    #[error("the login protocol failed: {what}")]
    Opaque {
        /// In words.
        what: String,
    },
    /// The domain gave a sealed identity that the password does not open.
    #[error(
        "the account's identity key can't be opened with this password: the homeserver gave a damaged or foreign one"
    )]
    SealedIdentity,
    /// The domain says that it is another domain.
    #[error("the homeserver at this address serves {served}, but the address given is of {wanted}")]
    OtherDomain {
        /// The domain it serves.
        served: Domain,
        /// The domain of the address.
        wanted: Domain,
    },
    /// No account lives in this home.
    #[error("this home has no account yet: run `qpq register` or `qpq login` first")]
    NoAccount,
    /// Another account lives in this home.
    #[error("this home already belongs to {address}: choose another directory with --home")]
    HomeTaken {
        /// Whose home it is.
        address: Address,
    },
    /// There is no usable session and no password at hand.
    #[error(
        "the session has ended ({reason}): run `qpq login {address} --server … --pin …` with the same home"
    )]
    LoggedOut {
        /// Whose session.
        address: Address,
        /// In words.
        reason: String,
    },
    /// An account shows another identity key than before.
    #[error(
        "the identity key of {address} has changed, so nothing is sent to them. Compare both keys with them \
         (`qpq keys show {address}`), and if the new one is really theirs run `qpq keys accept {address}`"
    )]
    IdentityChanged {
        /// Whose key.
        address: Address,
        /// The key seen first.
        pinned: IdentityKey,
        /// The key shown now.
        presented: IdentityKey,
    },
    /// A device that its account's identity key has not signed.
    #[error("the device {device} isn't signed by its account's identity key: nothing is sent to it")]
    DeviceNotSigned {
        /// Which device.
        device: DeviceAddress,
    },
    /// The log of the user's domain doesn't prove what the domain says.
    #[error(
        "the key-transparency log of {}'s domain is not believed, so nothing is sent to them: {error}",
        address
    )]
    LogRefused {
        /// Whose keys were asked for.
        address: Address,
        /// The step that failed.
        #[source]
        error: LookupError,
    },
    /// A domain whose log was seen before shows none.
    #[error(
        "the domain of {address} shows no proof of their keys, though it keeps a log: nothing is sent to them"
    )]
    LogWithheld {
        /// Whose keys were asked for.
        address: Address,
    },
    /// The directory of the user's domain shows another identity key than its log.
    #[error(
        "the domain of {address} shows the identity key {shown}, and its log proves {logged}: nothing is sent to them"
    )]
    NotTheLoggedKey {
        /// Whose.
        address: Address,
        /// What the log proves.
        logged: IdentityKey,
        /// What the directory shows.
        shown: IdentityKey,
    },
    /// A device that its domain shows, but not its log.
    #[error("the device {device} is not in the log of its domain: nothing is sent to it")]
    DeviceNotLogged {
        /// Which device.
        device: DeviceAddress,
    },
    /// The account's owner took its identity key back.
    #[error("{address} has revoked their identity key: nothing is sent to them until they have a new one")]
    KeysRevoked {
        /// Who.
        address: Address,
    },
    /// There is no version of the account's keys to prove.
    #[error(
        "the log of {}'s domain has no keys of theirs, or the domain keeps no log: there is nothing to prove",
        address
    )]
    NotLogged {
        /// Whose.
        address: Address,
    },
    /// The account was closed.
    #[error("the account {address} was closed")]
    Closed {
        /// Which.
        address: Address,
    },
    /// Something was logged in the account's name that it did not sign.
    #[error(
        "{what}. Nothing is sent meanwhile: look at `qpq keys history`, and if all of it is yours, run `qpq keys accept` with \
         your own address"
    )]
    OwnKeys {
        /// In words.
        what: String,
    },
    /// The account's own identity key was revoked.
    #[error(
        "you have revoked your identity key, so nothing is sent: run `qpq keys reset` to get another one"
    )]
    OwnKeyRevoked,
    /// The account is not in its domain's log yet, or another device keeps changing it there.
    #[error("this account's keys are not in its domain's log, or change there at this moment: try again")]
    OwnNotLogged,
    /// The domain keeps no log.
    #[error("this domain keeps no key-transparency log")]
    NoOwnLog,
    /// There is nothing to say no to.
    #[error("no reset is announced for this account")]
    NoReset,
    /// The identity key that the password opened is not the one that counts.
    #[error(
        "the homeserver gave an identity key of {address} that is not the one its log names: the log says {logged}, the \
         password opened {opened}. An older key may have been put back; nothing is sent with it"
    )]
    OpenedAnother {
        /// Whose.
        address: Address,
        /// The key that counts.
        logged: IdentityKey,
        /// The key that was given.
        opened: IdentityKey,
    },
    /// The account got another identity key, and nobody is there to log in.
    #[error(
        "the homeserver has another identity key of {address} than this device: if you changed it, run \
         `qpq login {address} --server … --pin …` with the same home"
    )]
    IdentityMoved {
        /// Whose.
        address: Address,
    },
    /// A KeyPackage that does not belong to the device that it was handed out for.
    #[error("the KeyPackage of {device} belongs to somebody else: its homeserver handed out a wrong one")]
    ForeignKeyPackage {
        /// Which device.
        device: DeviceAddress,
    },
    /// A user none of whose devices can be added.
    #[error(
        "{address} has no device that can be added now: they have to be online once, to leave new KeyPackages"
    )]
    NoKeyPackages {
        /// Who.
        address: Address,
    },
    /// A user that can't be found or asked.
    #[error("could not ask for {address}: {refusal}")]
    User {
        /// Who.
        address: Address,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// Users of other domains who have to accept this account first.
    #[error(
        "{} has to accept you first; if there is such a user, they were asked",
        users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Requested {
        /// Who.
        users: Vec<Address>,
    },
    /// No such group here.
    #[error("there is no group `{text}` here: `qpq group list` shows what there is")]
    UnknownGroup {
        /// What was given.
        text: String,
    },
    /// No such message of this device.
    #[error("this device has sent no message {id}: `qpq send` prints the ids")]
    UnknownMessage {
        /// What was given.
        id: MessageId,
    },
    /// Nobody has signed anything about it.
    #[error("nothing is proven of {id} yet: `qpq recv` looks for what has come since, once it is sent")]
    NotProven {
        /// Which message.
        id: MessageId,
    },
    /// A group can't be called so.
    #[error("a group can't be called `{text}`: {why}")]
    GroupName {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Several groups have this name.
    #[error("several groups are called `{text}`: give the id, `qpq group list` shows it")]
    AmbiguousGroup {
        /// What was given.
        text: String,
    },
    /// The device can't take part in the group any more.
    #[error(
        "this device is no longer part of {group}: ask a member to add {address} again with `qpq group add`"
    )]
    CutOff {
        /// Which group.
        group: GroupId,
        /// Who has to be added.
        address: Address,
    },
    /// The group is being changed by many members at once.
    #[error("other members keep changing {group} at this moment: try again")]
    Contention {
        /// Which group.
        group: GroupId,
    },
    /// The user talks to themselves.
    #[error("{address} is yourself: there is nobody else to talk to")]
    Yourself {
        /// Oneself.
        address: Address,
    },
    /// A message that was queued and can't be delivered.
    #[error("the message {message} can't be delivered: {reason}")]
    Undeliverable {
        /// Which message.
        message: MessageId,
        /// In words.
        reason: String,
    },
    /// The local store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// MLS.
    #[error(transparent)]
    Mls(#[from] MlsError),
}

impl ClientError {
    /// The domain's code, if it was the domain that refused.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) | Self::User { refusal, .. } => refusal.code,
            Self::Requested { .. } => Some(ErrorCode::Requested),
            _ => None,
        }
    }

    /// Whether the domain could not be reached or asked, so that the same may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::Disconnected { .. }
            | Self::Overloaded
            | Self::Requested { .. }
            | Self::Contention { .. } => true,
            Self::Refused(refusal) | Self::User { refusal, .. } => {
                // The numbers from 300 mean "later", whoever says so.
                refusal.retry_after.is_some()
                    || (300..400).contains(&refusal.number)
                    || refusal.is(ErrorCode::NotStored)
            }
            _ => false,
        }
    }

    /// Whether what is meant for somebody waits for better times, because only what is shown of keys, theirs or one's own, stands
    /// against it.
    pub(crate) const fn is_about_keys(&self) -> bool {
        matches!(
            self,
            Self::IdentityChanged { .. }
                | Self::LogRefused { .. }
                | Self::LogWithheld { .. }
                | Self::KeysRevoked { .. }
                | Self::NotTheLoggedKey { .. }
                | Self::DeviceNotLogged { .. }
                | Self::DeviceNotSigned { .. }
                | Self::OwnKeys { .. }
                | Self::OwnKeyRevoked
        )
    }

    pub(crate) fn protocol(what: impl std::fmt::Display) -> Self {
        Self::Protocol { what: what.to_string() }
    }
}

impl From<capnp::Error> for ClientError {
    fn from(error: capnp::Error) -> Self {
        match error.kind {
            capnp::ErrorKind::Overloaded => Self::Overloaded,
            capnp::ErrorKind::Disconnected => Self::Disconnected { reason: error.extra },
            _ => Self::protocol(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_when_to_try_again() {
        let refusal = Refusal {
            number: 301,
            code: Some(ErrorCode::MailboxFull),
            text: String::from("the queue of bob is full"),
            retry_after: Some(Millis(1_500)),
            request: Some(RequestId::from_bytes([1; 16])),
        };
        assert_eq!(
            refusal.to_string(),
            "the queue of bob is full (error 301 (MailboxFull)); try again in 2 s"
        );
        assert!(ClientError::from(refusal).is_transient());
    }

    #[test]
    fn the_homeservers_own_trouble_names_the_request_for_its_admin() {
        let refusal = Refusal {
            number: 501,
            code: Some(ErrorCode::Internal),
            text: String::from("the store has a fault"),
            retry_after: None,
            request: Some(RequestId::from_bytes([0xab; 16])),
        };
        let expected = format!(
            "the store has a fault (error 501 (Internal)); its admin finds this as req_{} in the log",
            "ab".repeat(16)
        );
        assert_eq!(refusal.to_string(), expected);
    }

    #[test]
    fn a_wrong_pin_is_told_in_words() {
        let error = ClientError::WrongPin {
            server: String::from("127.0.0.1:7443"),
            expected: Pin::of_spki(b"a"),
            presented: Some(Pin::of_spki(b"b")),
        };
        let text = error.to_string();
        assert!(text.contains("not the one you pinned") && text.contains(&Pin::of_spki(b"b").to_string()));
    }
}
