//! Versions of the account's own keys, signed over what was verified.

use ed25519_dalek::{Signer as _, SigningKey};
use qpq_core::{DeviceCertificate, limits};
use qpq_transparency_tree::value::{
    AccountValue, LoggedDevice, Reason, SignedValue, Standing, Status, ValueError, signed_bytes,
};

use super::chain::Place;
use crate::{ClientError, identity::Identity, store::Account};

/// The first version of an account's keys, or the first after somebody else had the name.
pub(crate) fn first_version(
    account: &Account,
    place: &Place,
    devices: &[DeviceCertificate],
) -> Result<SignedValue, ClientError> {
    let reason = if place.version == 0 { Reason::Registration } else { Reason::Reset };
    let devices = devices.iter().map(|device| named(device, place)).collect();
    let key = Identity::from_bytes(*account.identity.expose());
    let value = AccountValue::new(place.account, key.public(), Status::Active, reason, devices);
    signed(place, value, None, &key.signing_key())
}

/// The version that has this device and none that is not active any more; `None` if that is so already, or can't be now.
pub(crate) fn with_devices(
    account: &Account,
    place: &Place,
    active: &[DeviceCertificate],
) -> Result<Option<SignedValue>, ClientError> {
    let Some(before) = place.before.as_ref().filter(|before| is_open(before)) else { return Ok(None) };
    let own = &account.certificate;
    let stays = |device: &LoggedDevice| {
        active.iter().any(|known| known.device.device == device.device)
            && (device.device != own.device.device || device.signature_key == own.signature_key)
    };
    let mut devices: Vec<_> = before.devices().iter().filter(|device| stays(device)).copied().collect();
    if devices.iter().all(|device| device.device != own.device.device) {
        devices.push(named(own, place));
    }
    if devices.len() > limits::DEVICES_PER_ACCOUNT {
        tracing::warn!(
            "the log has no room for another device of this account: end one (`qpq devices revoke`)"
        );
        return Ok(None);
    }
    if devices == before.devices() {
        return Ok(None);
    }
    let key = Identity::from_bytes(*account.identity.expose());
    let value = AccountValue::new(before.account(), key.public(), Status::Active, Reason::Devices, devices);
    signed(place, value, Some(&key.signing_key()), &key.signing_key()).map(Some)
}

/// Whether devices can come and go.
pub(crate) fn is_open(value: &AccountValue) -> bool {
    value.status() == Status::Active && value.reason() != Reason::ResetPending
}

/// A device as the version names it: as it was named before, or as new.
pub(super) fn named(certificate: &DeviceCertificate, place: &Place) -> LoggedDevice {
    let before = place.before.as_ref().map_or(&[] as &[_], AccountValue::devices);
    let same = |device: &&LoggedDevice| {
        (device.device, device.signature_key) == (certificate.device.device, certificate.signature_key)
    };
    before.iter().find(same).copied().unwrap_or(LoggedDevice {
        device: certificate.device.device,
        signature_key: certificate.signature_key,
        added_in: place.version,
    })
}

/// Signs a version with the key that it names, and with the one before where that has to sign for it.
pub(super) fn signed(
    place: &Place,
    value: Result<AccountValue, ValueError>,
    previous: Option<&SigningKey>,
    new: &SigningKey,
) -> Result<SignedValue, ClientError> {
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
