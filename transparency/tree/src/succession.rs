//! Which version of an account may follow which: the rules that a log keeps before it appends, and that an owner and every
//! contact check again.

use qpq_core::{Digest, IdentityKey, Millis, Timestamp};

use crate::{
    entry::Entry,
    name::KeyName,
    value::{AccountValue, Reason, SignedValue, Standing, Status, signed_bytes},
};

/// How long a reset is announced before it counts.
pub const RESET_DELAY: Millis = Millis::from_secs(24 * 3_600);

/// A version that was judged, as the next one needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its number.
    pub version: u32,
    /// The hash of its leaf.
    pub leaf: Digest,
    /// When it was sequenced.
    pub time: Timestamp,
    /// Since when the log's witnesses had seen it, a quorum of them; `None` if the log has none.
    pub seen_by: Option<Timestamp>,
    /// What it says; `None` of a closed account that was erased.
    pub value: Option<AccountValue>,
}

/// Why a version can't stand where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// The numbers have a hole, or go back.
    #[error("the version does not follow the one before")]
    Version,
    /// It names another predecessor.
    #[error("the version names another predecessor")]
    Prev,
    /// Its time is before its predecessor's.
    #[error("the version is older than the one before")]
    Time,
    /// The entry's kind is not the value's.
    #[error("the entry's kind is not that of its value")]
    Kind,
    /// The reason can't stand there.
    #[error("`{}` can't follow `{}`", next.word(), previous.map_or("nothing", Reason::word))]
    Reason {
        /// The reason before; none at the first version.
        previous: Option<Reason>,
        /// The reason that can't follow.
        next: Reason,
    },
    /// The account's id changed where it may not.
    #[error("the version is of another account")]
    Account,
    /// The identity key changed without a rotation or reset, or did not change in one.
    #[error("the identity key and the reason for the version don't go together")]
    Identity,
    /// A device claims to be older or younger than it is, or changed where nothing may change.
    #[error("the device set and the reason for the version don't go together")]
    Devices,
    /// The previous identity key did not sign, or should not have.
    #[error("the previous identity key's signature is missing, superfluous or wrong")]
    SignedByPrevious,
    /// The new identity key did not sign, or should not have.
    #[error("the identity key's own signature is missing, superfluous or wrong")]
    SignedBySelf,
    /// A reset came too early.
    #[error("a reset counts 24 hours after it was announced, not before")]
    TooEarly,
}

/// Whether an entry with this value may be the next version of its label.
pub fn judge(
    origin: &KeyName,
    previous: Option<&Predecessor>,
    entry: &Entry,
    signed: &SignedValue,
) -> Result<(), SuccessionError> {
    let (version, prev) = match previous {
        None => (Some(0), Digest::ZERO),
        Some(known) => (known.version.checked_add(1), known.leaf),
    };
    if version != Some(entry.version) {
        return Err(SuccessionError::Version);
    }
    if entry.prev != prev {
        return Err(SuccessionError::Prev);
    }
    if previous.is_some_and(|known| entry.time < known.time) {
        return Err(SuccessionError::Time);
    }
    if entry.kind != signed.value.status().kind() {
        return Err(SuccessionError::Kind);
    }
    match previous {
        Some(Predecessor { value: None, .. }) => judge_after_erasure(&signed.value)?,
        Some(Predecessor { value: Some(before), .. }) => {
            judge_value(Some(before), entry.version, &signed.value)?;
        }
        None => judge_value(None, entry.version, &signed.value)?,
    }
    let identity = previous.and_then(|known| known.value.as_ref()).map(AccountValue::identity);
    judge_signatures(origin, identity, entry, signed)?;
    match (signed.value.reason(), previous) {
        (Reason::Reset, Some(known)) => {
            // Contacts count from when witnesses had seen the announcement.
            let announced = known.seen_by.map_or(known.time, |seen| seen.max(known.time));
            if entry.time < announced.after(RESET_DELAY) { Err(SuccessionError::TooEarly) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

impl Entry {
    /// Where its value stands.
    pub const fn standing<'a>(&self, origin: &'a KeyName) -> Standing<'a> {
        Standing { origin, label_id: self.label_id, version: self.version, prev: self.prev }
    }
}

/// The signatures alone: all that can be judged without the value before, if its identity key is known.
///
/// | reason | by the previous key | by the new key |
/// |---|---|---|
/// | registration, reset | absent | needed |
/// | devices, rotation, reset_cancelled, revocation | needed | needed |
/// | reset_pending | absent | absent |
/// | closure | both, or neither: the domain may close an account | |
pub fn judge_signatures(
    origin: &KeyName,
    previous: Option<IdentityKey>,
    entry: &Entry,
    signed: &SignedValue,
) -> Result<(), SuccessionError> {
    let message = signed_bytes(&entry.standing(origin), &signed.value);
    let holds = |key: IdentityKey, signature: &[u8; 64]| key.verifies(&message, signature);
    let by_previous = match (&signed.by_previous, previous) {
        (Some(signature), Some(key)) => holds(key, signature).then_some(true),
        (Some(_), None) => None,
        (None, _) => Some(false),
    };
    let by_previous = by_previous.ok_or(SuccessionError::SignedByPrevious)?;
    let by_self = signed.by_self.as_ref().map(|signature| holds(signed.value.identity(), signature));
    let by_self = match by_self {
        Some(false) => return Err(SuccessionError::SignedBySelf),
        Some(true) => true,
        None => false,
    };
    let (needs_previous, needs_self) = match signed.value.reason() {
        Reason::Registration | Reason::Reset => (false, true),
        Reason::Devices | Reason::Rotation | Reason::ResetCancelled | Reason::Revocation => (true, true),
        Reason::ResetPending => (false, false),
        Reason::Closure => (by_self, by_previous),
    };
    if by_previous != needs_previous {
        return Err(SuccessionError::SignedByPrevious);
    }
    if by_self != needs_self {
        return Err(SuccessionError::SignedBySelf);
    }
    Ok(())
}

/// That the new key signed, where nobody knows the key before.
pub(crate) fn judge_self(
    origin: &KeyName,
    entry: &Entry,
    signed: &SignedValue,
) -> Result<(), SuccessionError> {
    let message = signed_bytes(&entry.standing(origin), &signed.value);
    let by_self =
        signed.by_self.is_some_and(|signature| signed.value.identity().verifies(&message, &signature));
    match (signed.by_previous.is_some(), by_self) {
        (true, true) => Ok(()),
        (false, _) => Err(SuccessionError::SignedByPrevious),
        (true, false) => Err(SuccessionError::SignedBySelf),
    }
}

fn judge_value(
    previous: Option<&AccountValue>,
    version: u32,
    value: &AccountValue,
) -> Result<(), SuccessionError> {
    let reason = value.reason();
    let refused = || SuccessionError::Reason { previous: previous.map(AccountValue::reason), next: reason };
    let Some(before) = previous else {
        let first = reason == Reason::Registration;
        return if first { judge_devices(None, version, value) } else { Err(refused()) };
    };
    let fits = match reason {
        Reason::Registration => false,
        Reason::Devices | Reason::Rotation | Reason::Revocation => {
            before.status() == Status::Active && before.reason() != Reason::ResetPending
        }
        Reason::ResetPending => before.reason() != Reason::ResetPending,
        // Who held the name before it was closed has no say over who holds it next.
        Reason::ResetCancelled => {
            before.reason() == Reason::ResetPending && before.status() != Status::Closed
        }
        Reason::Reset => before.reason() == Reason::ResetPending,
        Reason::Closure => before.status() != Status::Closed,
    };
    if !fits {
        return Err(refused());
    }
    if before.status() == Status::Closed {
        // Somebody else may have the name now; nothing of the account before needs to be known any more.
        let announces = reason == Reason::ResetPending;
        return if announces { judge_after_erasure(value) } else { judge_devices(None, version, value) };
    }
    if before.account() != value.account() {
        return Err(SuccessionError::Account);
    }
    let changes_key = matches!(reason, Reason::Rotation | Reason::Reset);
    if changes_key == (before.identity() == value.identity()) {
        return Err(SuccessionError::Identity);
    }
    let stays = reason.status().is_none();
    if stays && before.status() != value.status() {
        // A reset that is announced or cancelled makes no revoked key count again.
        return Err(refused());
    }
    if stays && before.devices() != value.devices() {
        return Err(SuccessionError::Devices);
    }
    judge_devices(Some(before), version, value)
}

/// A closed name is opened again by an announcement first, which says nothing of whoever had it.
fn judge_after_erasure(value: &AccountValue) -> Result<(), SuccessionError> {
    let refused = SuccessionError::Reason { previous: Some(Reason::Closure), next: value.reason() };
    let announced = value.reason() == Reason::ResetPending && value.status() == Status::Closed;
    if announced { Ok(()) } else { Err(refused) }
}

/// Each device was in the set before, unchanged, or is added by this version.
fn judge_devices(
    before: Option<&AccountValue>,
    version: u32,
    value: &AccountValue,
) -> Result<(), SuccessionError> {
    let old = before.map_or(&[] as &[_], AccountValue::devices);
    let sound = value.devices().iter().all(|device| device.added_in == version || old.contains(device));
    if sound { Ok(()) } else { Err(SuccessionError::Devices) }
}

#[cfg(test)]
mod tests;
