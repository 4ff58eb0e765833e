//! Words everybody uses: ids, names, time, entropy, limits, error codes and secrets.
//!
//! Nothing here does I/O, except [`SystemClock`] and [`OsEntropy`], which are the only two places of the
//! whole workspace that ask the operating system for the time or for random bytes. A value of any type in
//! this crate is valid by construction: parsing happens once, at the door.

mod address;
mod certificate;
mod code;
pub mod codec;
mod cursor;
mod digest;
mod domain;
mod entropy;
mod group;
mod id;
pub mod limits;
pub mod mls;
pub mod opaque;
mod pin;
mod plain;
mod secret;
mod text_form;
mod time;

pub use address::{Address, DeviceAddress, Localpart, NameError};
pub use certificate::{CertificateError, DeviceCertificate, FederationKey, IdentityKey, SignatureKey};
pub use code::ErrorCode;
pub use cursor::{Cursor, Incarnation, Seq};
pub use digest::Digest;
pub use domain::{Domain, DomainError};
pub use entropy::{Entropy, EntropyError, OsEntropy, SeededEntropy};
pub use group::{GroupId, GroupIdError};
pub use id::{
    AccountId, AdminId, ConsoleSessionId, DeviceId, IdError, InviteId, MessageId, PasskeyId, RequestId,
    SessionId, TokenId,
};
pub use pin::{Pin, PinError};
pub use plain::is_plain;
pub use secret::Secret;
pub use time::{Clock, ManualClock, Millis, MillisError, SystemClock, Timestamp, TimestampError};
