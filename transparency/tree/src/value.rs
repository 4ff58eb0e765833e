//! What an entry about an account commits to: its identity key, its whole device set, and who signed that.
//!
//! A value is kept beside the log and can be erased; the log has its commitment only.
//!
//! # Bytes
//! Big-endian, no padding; one value has one encoding.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format: 1 |
//! | 16 | account id |
//! | 32 | identity key (Ed25519) |
//! | 1 | status: 1 active, 2 revoked, 3 closed; what the reason leads to |
//! | 1 | reason, see [`Reason`] |
//! | 1 | *n*: number of devices, at most 16 |
//! | *n* × 52 | device id (16), MLS signature key (32), version that added the device (u32); ascending by id, each id once |
//! | 1 | signatures that follow: bit 0 by the previous identity key, bit 1 by this one; other bits 0 |
//! | 0 or 64 | Ed25519 by the previous identity key |
//! | 0 or 64 | Ed25519 by the identity key of this value |
//!
//! Both signatures are over ([`signed_bytes`]):
//!
//! | bytes | what |
//! |---|---|
//! | 14 | `"qpq/kt/bind/v1"` |
//! | 2, n | length, origin of the log |
//! | 32 | label id |
//! | 4 | version |
//! | 32 | leaf hash of the label's previous entry; zeros at version 0 |
//! | 32 | SHA-256 of the value up to and without the byte that says which signatures follow |

use qpq_core::{
    AccountId, DeviceId, Digest, IdentityKey, SignatureKey,
    codec::{CodecError, Reader},
    limits,
};

use crate::{entry::Kind, label::LabelId, name::KeyName};

/// The most bytes of a value with its signatures.
pub const VALUE_BYTES: usize = 53 + limits::DEVICES_PER_ACCOUNT * 52 + 128;

/// Whether the account's keys count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// They do (1).
    Active,
    /// The identity key was revoked: no device counts until a reset (2).
    Revoked,
    /// The account is gone (3).
    Closed,
}

/// Why there is a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first binding (1).
    Registration,
    /// Devices came, went, or changed their keys (2).
    Devices,
    /// Another identity key, signed for by the one before (3).
    Rotation,
    /// Somebody asks for another identity key who can't sign with the one before; nothing changes yet (4).
    ResetPending,
    /// The owner says no to that, with the identity key (5).
    ResetCancelled,
    /// Another identity key, 24 hours after that was announced (6).
    Reset,
    /// The owner takes the identity key back, with that key (7).
    Revocation,
    /// The account was closed, by its owner or by the domain (8).
    Closure,
}

impl Status {
    /// The number in the bytes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Active => 1,
            Self::Revoked => 2,
            Self::Closed => 3,
        }
    }

    /// The status of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Active),
            2 => Some(Self::Revoked),
            3 => Some(Self::Closed),
            _ => None,
        }
    }

    /// The kind of the entries whose values have it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Active => Kind::Bind,
            Self::Revoked => Kind::Revoke,
            Self::Closed => Kind::Close,
        }
    }
}

impl Reason {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Registration,
        Self::Devices,
        Self::Rotation,
        Self::ResetPending,
        Self::ResetCancelled,
        Self::Reset,
        Self::Revocation,
        Self::Closure,
    ];

    /// The number in the bytes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Registration => 1,
            Self::Devices => 2,
            Self::Rotation => 3,
            Self::ResetPending => 4,
            Self::ResetCancelled => 5,
            Self::Reset => 6,
            Self::Revocation => 7,
            Self::Closure => 8,
        }
    }

    /// The reason of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }

    /// What the account's keys are after it; `None` if they stay what they were.
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::Registration | Self::Devices | Self::Rotation | Self::Reset => Some(Status::Active),
            Self::Revocation => Some(Status::Revoked),
            Self::Closure => Some(Status::Closed),
            Self::ResetPending | Self::ResetCancelled => None,
        }
    }

    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Devices => "devices",
            Self::Rotation => "rotation",
            Self::ResetPending => "reset_pending",
            Self::ResetCancelled => "reset_cancelled",
            Self::Reset => "reset",
            Self::Revocation => "revocation",
            Self::Closure => "closure",
        }
    }
}

/// A device as the log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoggedDevice {
    /// Which device.
    pub device: DeviceId,
    /// Its MLS signature key (RFC 9420, section 5.1).
    pub signature_key: SignatureKey,
    /// The version that brought this device with this key.
    pub added_in: u32,
}

/// An account's keys, without signatures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountValue {
    account: AccountId,
    identity: IdentityKey,
    status: Status,
    reason: Reason,
    devices: Vec<LoggedDevice>,
}

/// Why parts make no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The reason leads to another status.
    #[error("the status is not what the reason leads to")]
    Status,
    /// More than an account may have.
    #[error("an account has at most {max} devices", max = limits::DEVICES_PER_ACCOUNT)]
    TooMany,
    /// One of them twice.
    #[error("a device is named twice")]
    Twice,
    /// Devices of an account whose keys don't count.
    #[error("a revoked or closed account has no devices")]
    NotActive,
}

impl AccountValue {
    /// A value; the devices may come in any order.
    pub fn new(
        account: AccountId,
        identity: IdentityKey,
        status: Status,
        reason: Reason,
        mut devices: Vec<LoggedDevice>,
    ) -> Result<Self, ValueError> {
        devices.sort_unstable_by_key(|device| device.device);
        let twice =
            |pair: &[LoggedDevice]| pair.first().map(|one| one.device) == pair.last().map(|one| one.device);
        if devices.len() > limits::DEVICES_PER_ACCOUNT {
            return Err(ValueError::TooMany);
        }
        if devices.windows(2).any(twice) {
            return Err(ValueError::Twice);
        }
        if status != Status::Active && !devices.is_empty() {
            return Err(ValueError::NotActive);
        }
        if reason.status().is_some_and(|led_to| led_to != status) {
            return Err(ValueError::Status);
        }
        Ok(Self { account, identity, status, reason, devices })
    }

    /// Whose, within its domain.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The identity key.
    pub const fn identity(&self) -> IdentityKey {
        self.identity
    }

    /// Why there is this version.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether the keys count.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The devices, ascending by id.
    pub fn devices(&self) -> &[LoggedDevice] {
        &self.devices
    }

    /// The MLS signature key of a device, if the device is in the set.
    pub fn device_key(&self, device: &DeviceId) -> Option<SignatureKey> {
        self.devices.iter().find(|known| known.device == *device).map(|known| known.signature_key)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend_from_slice(self.account.as_bytes());
        out.extend_from_slice(self.identity.as_bytes());
        out.extend_from_slice(&[self.status.number(), self.reason.number()]);
        out.push(u8::try_from(self.devices.len()).unwrap_or(u8::MAX));
        for LoggedDevice { device, signature_key, added_in } in &self.devices {
            out.extend_from_slice(device.as_bytes());
            out.extend_from_slice(signature_key.as_bytes());
            out.extend_from_slice(&added_in.to_be_bytes());
        }
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        if reader.u8()? != 1 {
            return Err(CodecError::Invalid("the value's format"));
        }
        let account = AccountId::from_bytes(reader.array()?);
        let identity = IdentityKey::from_bytes(reader.array()?);
        let status = Status::from_number(reader.u8()?).ok_or(CodecError::Invalid("the status"))?;
        let reason = Reason::from_number(reader.u8()?).ok_or(CodecError::Invalid("the reason"))?;
        let count = reader.u8()?;
        let mut devices = Vec::new();
        for _ in 0..count {
            let device = DeviceId::from_bytes(reader.array()?);
            let signature_key = SignatureKey::from_bytes(reader.array()?);
            devices.push(LoggedDevice { device, signature_key, added_in: reader.u32()? });
        }
        let value = Self::new(account, identity, status, reason, devices.clone());
        let value = value.map_err(|error| match error {
            ValueError::Status => CodecError::Invalid("the status"),
            ValueError::TooMany | ValueError::Twice | ValueError::NotActive => {
                CodecError::Invalid("the device set")
            }
        })?;
        if value.devices == devices {
            Ok(value)
        } else {
            Err(CodecError::Invalid("the order of the devices"))
        }
    }
}

/// Where a value stands: what its signatures are over, besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The log.
    pub origin: &'a KeyName,
    /// The label.
    pub label_id: LabelId,
    /// The version.
    pub version: u32,
    /// The leaf hash of the label's previous entry; zeros at version 0.
    pub prev: Digest,
}

/// What is signed about a value (the module's second table).
pub fn signed_bytes(standing: &Standing<'_>, value: &AccountValue) -> Vec<u8> {
    let origin = standing.origin.as_str().as_bytes();
    let mut out = b"qpq/kt/bind/v1".to_vec();
    out.extend_from_slice(&u16::try_from(origin.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(origin);
    out.extend_from_slice(standing.label_id.as_bytes());
    out.extend_from_slice(&standing.version.to_be_bytes());
    out.extend_from_slice(standing.prev.as_bytes());
    out.extend_from_slice(Digest::of(&[&value.to_bytes()]).as_bytes());
    out
}

/// A value with the signatures that go with it, not yet judged: [`crate::succession`] does that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedValue {
    /// What is said.
    pub value: AccountValue,
    /// By the identity key of the version before.
    pub by_previous: Option<[u8; 64]>,
    /// By the identity key of this version.
    pub by_self: Option<[u8; 64]>,
}

impl SignedValue {
    /// The bytes that an entry commits to (the module's first table).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.value.to_bytes();
        out.push(u8::from(self.by_previous.is_some()) | (u8::from(self.by_self.is_some()) << 1));
        for signature in [&self.by_previous, &self.by_self].into_iter().flatten() {
            out.extend_from_slice(signature);
        }
        out
    }

    /// Reads such bytes; what is read encodes to the same bytes again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > VALUE_BYTES {
            return Err(CodecError::TooLarge("the value"));
        }
        let mut reader = Reader::new(bytes);
        let value = AccountValue::read(&mut reader)?;
        let present = reader.u8()?;
        if present > 3 {
            return Err(CodecError::Invalid("the signatures"));
        }
        let by_previous = (present & 1 != 0).then(|| reader.array()).transpose()?;
        let by_self = (present & 2 != 0).then(|| reader.array()).transpose()?;
        reader.finish()?;
        Ok(Self { value, by_previous, by_self })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn device(n: u8, added_in: u32) -> LoggedDevice {
        LoggedDevice {
            device: DeviceId::from_bytes([n; 16]),
            signature_key: SignatureKey::from_bytes([n.wrapping_add(100); 32]),
            added_in,
        }
    }

    pub(crate) fn value(reason: Reason, devices: &[u8]) -> AccountValue {
        let identity = IdentityKey::from_bytes([7; 32]);
        let devices = devices.iter().map(|n| device(*n, 0)).collect();
        let status = reason.status().unwrap_or(Status::Active);
        AccountValue::new(AccountId::from_bytes([5; 16]), identity, status, reason, devices).unwrap()
    }

    fn signed(reason: Reason, devices: &[u8], present: u8) -> SignedValue {
        SignedValue {
            value: value(reason, devices),
            by_previous: (present & 1 != 0).then_some([1; 64]),
            by_self: (present & 2 != 0).then_some([2; 64]),
        }
    }

    #[test]
    fn the_longest_value_fits_its_limit() {
        let all: Vec<u8> = (0..16).collect();
        assert_eq!(signed(Reason::Devices, &all, 3).to_bytes().len(), VALUE_BYTES);
    }

    #[test]
    fn a_device_set_has_no_repeats_and_one_order() {
        let new = |reason, devices: Vec<LoggedDevice>| {
            let (account, identity) = (AccountId::from_bytes([5; 16]), IdentityKey::from_bytes([7; 32]));
            let status = Reason::status(reason).unwrap();
            AccountValue::new(account, identity, status, reason, devices)
        };
        let twice = vec![device(1, 0), device(2, 0), device(1, 4)];
        assert_eq!(new(Reason::Devices, twice), Err(ValueError::Twice));
        let many = (0..17).map(|n| device(n, 0)).collect();
        assert_eq!(new(Reason::Devices, many), Err(ValueError::TooMany));
        assert_eq!(new(Reason::Closure, vec![device(1, 0)]), Err(ValueError::NotActive));
        assert_eq!(value(Reason::Devices, &[2, 1]), value(Reason::Devices, &[1, 2]));
        let mut bytes = signed(Reason::Devices, &[1, 2], 2).to_bytes();
        bytes[52..156].rotate_left(52);
        assert_eq!(SignedValue::from_bytes(&bytes), Err(CodecError::Invalid("the order of the devices")));
    }

    #[test]
    fn malformed_values_are_named() {
        let good = signed(Reason::Registration, &[1], 2).to_bytes();
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            SignedValue::from_bytes(&bytes)
        };
        assert_eq!(changed(0, 2), Err(CodecError::Invalid("the value's format")));
        assert_eq!(changed(49, 2), Err(CodecError::Invalid("the device set")));
        assert_eq!(changed(49, 4), Err(CodecError::Invalid("the status")));
        assert_eq!(changed(50, 9), Err(CodecError::Invalid("the reason")));
        assert_eq!(changed(51, 2), Err(CodecError::Truncated));
        assert_eq!(changed(104, 4), Err(CodecError::Invalid("the signatures")));
        assert_eq!(changed(104, 0), Err(CodecError::Trailing));
        assert_eq!(
            SignedValue::from_bytes(&vec![1; VALUE_BYTES + 1]),
            Err(CodecError::TooLarge("the value"))
        );
    }

    proptest! {
        #[test]
        fn values_round_trip(reason in 0..8_usize, devices in proptest::collection::btree_set(any::<u8>(), 0..16), present in 0..4_u8) {
            let reason = Reason::ALL[reason];
            let active = reason.status().is_none_or(|status| status == Status::Active);
            let devices: Vec<u8> = if active { devices.into_iter().collect() } else { vec![] };
            let signed = signed(reason, &devices, present);
            prop_assert_eq!(SignedValue::from_bytes(&signed.to_bytes()), Ok(signed));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(value) = SignedValue::from_bytes(&bytes) {
                prop_assert_eq!(value.to_bytes(), bytes);
            }
        }
    }
}
