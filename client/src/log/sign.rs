//! Versions of the account's own keys, signed.

use ed25519_dalek::{Signer as _, SigningKey};
use qpq_core::DeviceCertificate;
use qpq_transparency_tree::{
    KeyName,
    value::{AccountValue, LoggedDevice, Reason, SignedValue, Standing, Status, ValueError, signed_bytes},
};
use qpq_transparency_wire::LogPlace;

use crate::{ClientError, identity::Identity, store::Account};

/// The first version of an account's keys, or the first after somebody else had the name.
pub(crate) fn first_version(
    account: &Account,
    place: &LogPlace,
    devices: &[DeviceCertificate],
) -> Result<SignedValue, ClientError> {
    let reason = if place.version == 0 { Reason::Registration } else { Reason::Reset };
    let devices = devices.iter().map(|device| added(device, place)).collect();
    sign(account, place, reason, devices)
}

/// The version that adds this device; `None` if it is there already, or nothing can be added now.
pub(crate) fn with_device(account: &Account, place: &LogPlace) -> Result<Option<SignedValue>, ClientError> {
    let Some(value) = place.value.as_ref().map(|signed| &signed.value) else { return Ok(None) };
    let own = &account.certificate;
    let named = value.device_key(&own.device.device) == Some(own.signature_key);
    let open = value.status() == Status::Active && value.reason() != Reason::ResetPending;
    if named || !open {
        return Ok(None);
    }
    let others = value.devices().iter().filter(|device| device.device != own.device.device).copied();
    let devices = others.chain([added(own, place)]).collect();
    sign(account, place, Reason::Devices, devices).map(Some)
}

/// The version without devices that are not active any more; `None` if all are.
pub(crate) fn without_gone(
    account: &Account,
    place: &LogPlace,
    active: &[DeviceCertificate],
) -> Result<Option<SignedValue>, ClientError> {
    let Some(value) = place.value.as_ref().map(|signed| &signed.value) else { return Ok(None) };
    let open = value.status() == Status::Active && value.reason() != Reason::ResetPending;
    let is_active = |device: &LoggedDevice| active.iter().any(|known| known.device.device == device.device);
    let devices: Vec<_> = value.devices().iter().filter(|device| is_active(device)).copied().collect();
    if !open || devices.len() == value.devices().len() {
        return Ok(None);
    }
    sign(account, place, Reason::Devices, devices).map(Some)
}

const fn added(certificate: &DeviceCertificate, place: &LogPlace) -> LoggedDevice {
    LoggedDevice {
        device: certificate.device.device,
        signature_key: certificate.signature_key,
        added_in: place.version,
    }
}

/// Signs a version with the identity key, twice where it has to sign for itself.
fn sign(
    account: &Account,
    place: &LogPlace,
    reason: Reason,
    devices: Vec<LoggedDevice>,
) -> Result<SignedValue, ClientError> {
    let identity = Identity::from_bytes(*account.identity.expose());
    let value = AccountValue::new(place.account, identity.public(), Status::Active, reason, devices);
    let key = identity.signing_key();
    signed(account, place, value, (reason == Reason::Devices).then_some(&key), &key)
}

/// Signs a version with the key that it names, and with the one before where that has to sign for it.
pub(super) fn signed(
    account: &Account,
    place: &LogPlace,
    value: Result<AccountValue, ValueError>,
    previous: Option<&SigningKey>,
    new: &SigningKey,
) -> Result<SignedValue, ClientError> {
    // The name of another log, and the signature would be worth something there.
    if place.origin != KeyName::of_log(account.address.domain()) {
        return Err(ClientError::protocol("the homeserver names the log of another domain"));
    }
    let value = value.map_err(|error| {
        ClientError::protocol(format_args!("the account's keys can't be logged: {error}"))
    })?;
    let standing = Standing {
        origin: &place.origin,
        label_id: place.label_id,
        version: place.version,
        prev: place.prev,
    };
    let message = signed_bytes(&standing, &value);
    let by = |key: &SigningKey| key.sign(&message).to_bytes();
    Ok(SignedValue { by_previous: previous.map(by), by_self: Some(by(new)), value })
}
