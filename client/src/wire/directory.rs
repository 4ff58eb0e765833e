//! What a domain says about users: keys, devices, KeyPackages.

use qpq_core::{Address, DeviceCertificate, DeviceId, IdentityKey, SignatureKey, Timestamp};
use qpq_schemas::common_capnp::{claimed_user, device_certificate, user_keys};

use qpq_transparency_wire::{ToldLookup, read_lookup};

use super::{bytes, parsed, refusal};
use crate::{ClientError, error::Refusal};

/// A user's keys as the domain tells them; not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKeys {
    /// Whose keys.
    pub address: Address,
    /// The account's identity key.
    pub identity: IdentityKey,
    /// Every active device.
    pub devices: Vec<DeviceCertificate>,
    /// What the domain's log says, if it keeps one.
    pub lookup: Option<Box<ToldLookup>>,
}

/// The answer about one of the users asked for.
pub type UserAnswer = Result<UserKeys, Refusal>;

/// A user's keys and one KeyPackage of each device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedUser {
    /// The keys, or why there are none.
    pub keys: UserAnswer,
    /// One for each device that has any.
    pub packages: Vec<ClaimedPackage>,
}

/// One KeyPackage of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedPackage {
    /// Whose.
    pub device: DeviceId,
    /// The serialised MLS message.
    pub key_package: Vec<u8>,
}

pub(crate) fn read_certificate(
    reader: device_certificate::Reader<'_>,
) -> Result<DeviceCertificate, ClientError> {
    Ok(DeviceCertificate {
        device: parsed(reader.get_device()?, "a device's address")?,
        signature_key: SignatureKey::from_bytes(bytes(reader.get_signature_key()?, "a device's key")?),
        certified_at: Timestamp::from_millis(reader.get_certified_at()),
        signature: bytes(reader.get_signature()?, "a certificate's signature")?,
    })
}

pub(crate) fn write_certificate(
    mut builder: device_certificate::Builder<'_>,
    certificate: &DeviceCertificate,
) {
    builder.set_device(certificate.device.to_string());
    builder.set_signature_key(certificate.signature_key.as_bytes());
    builder.set_certified_at(certificate.certified_at.as_millis());
    builder.set_signature(&certificate.signature);
}

pub(crate) fn read_user(reader: user_keys::Reader<'_>) -> Result<UserAnswer, ClientError> {
    if reader.has_failure() {
        return Ok(Err(refusal(reader.get_failure()?)?));
    }
    Ok(Ok(UserKeys {
        address: parsed(reader.get_address()?, "an address")?,
        identity: IdentityKey::from_bytes(bytes(reader.get_identity_key()?, "an identity key")?),
        devices: reader.get_devices()?.iter().map(read_certificate).collect::<Result<_, _>>()?,
        lookup: if reader.has_lookup() {
            Some(Box::new(read_lookup(reader.get_lookup()?).map_err(ClientError::protocol)?))
        } else {
            None
        },
    }))
}

pub(crate) fn read_claimed(reader: claimed_user::Reader<'_>) -> Result<ClaimedUser, ClientError> {
    let packages = reader.get_packages()?;
    Ok(ClaimedUser {
        keys: read_user(reader.get_keys()?)?,
        packages: packages
            .iter()
            .map(|package| {
                Ok(ClaimedPackage {
                    device: DeviceId::from_bytes(bytes(package.get_device()?, "a device's id")?),
                    key_package: package.get_key_package()?.to_vec(),
                })
            })
            .collect::<Result<_, ClientError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use qpq_core::DeviceAddress;

    use super::*;

    #[test]
    fn certificates_round_trip() {
        let certificate = DeviceCertificate {
            device: DeviceAddress {
                user: "alice@alpha.test".parse().unwrap(),
                device: DeviceId::from_bytes([1; 16]),
            },
            signature_key: SignatureKey::from_bytes([2; 32]),
            certified_at: Timestamp::from_millis(3),
            signature: [4; 64],
        };
        let mut message = capnp::message::Builder::new_default();
        write_certificate(message.init_root(), &certificate);
        assert_eq!(read_certificate(message.get_root_as_reader().unwrap()).unwrap(), certificate);
    }
}
