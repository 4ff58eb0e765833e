//! What a domain says about itself, about a session and about one's own devices.

use qpq_core::{DeviceCertificate, DeviceId, Domain, Incarnation, Secret, SessionId, Timestamp};
use qpq_schemas::client_capnp::{device_info, domain_info, key_package_stock, session_grant};

use super::{bytes, parsed, read_certificate, text};
use crate::ClientError;

/// What a homeserver says to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// The domain it serves.
    pub domain: Domain,
    /// The program's version, for people.
    pub version: String,
    /// The lowest protocol version spoken.
    pub min_version: u16,
    /// The highest protocol version spoken.
    pub max_version: u16,
    /// Whether it is about to stop.
    pub draining: bool,
    /// The limits in force.
    pub limits: Limits,
}

/// Limits in force at a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest application message (MLS ciphertext).
    pub message_bytes: usize,
    /// The most items in one list of a call.
    pub batch_items: usize,
}

/// What a client keeps of a session.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session's id.
    pub session: SessionId,
    /// The single-use token for the next session.
    pub resumption_token: Secret<[u8; 32]>,
    /// When that token ends.
    pub resumption_expires_at: Timestamp,
    /// When this session ends.
    pub session_expires_at: Timestamp,
    /// The life of the domain's database.
    pub incarnation: Incarnation,
}

/// A device's stock of KeyPackages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Unclaimed one-time packages.
    pub one_time: u32,
    /// When the last-resort package must be renewed; `None`: there is none.
    pub last_resort_until: Option<Timestamp>,
}

/// One of the account's devices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeviceRow {
    /// Its id.
    pub device: DeviceId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
    /// When it was revoked; absent while it is active.
    pub revoked_at: Option<Timestamp>,
    /// Its stock of one-time KeyPackages.
    pub key_packages: u32,
    /// The identity key's statement about it.
    #[serde(skip)]
    pub certificate: DeviceCertificate,
}

pub(crate) fn read_info(reader: domain_info::Reader<'_>) -> Result<DomainInfo, ClientError> {
    let limits = reader.get_limits()?;
    Ok(DomainInfo {
        domain: parsed(reader.get_domain()?, "the domain")?,
        version: text(reader.get_version()?)?,
        min_version: reader.get_min_version(),
        max_version: reader.get_max_version(),
        draining: reader.get_draining(),
        limits: Limits {
            message_bytes: usize::try_from(limits.get_message_bytes()).unwrap_or(usize::MAX),
            batch_items: usize::from(limits.get_batch_items()),
        },
    })
}

pub(crate) fn read_grant(reader: session_grant::Reader<'_>) -> Result<Grant, ClientError> {
    Ok(Grant {
        session: SessionId::from_bytes(bytes(reader.get_session()?, "a session's id")?),
        resumption_token: Secret::new(bytes(reader.get_resumption_token()?, "the resumption token")?),
        resumption_expires_at: Timestamp::from_millis(reader.get_resumption_expires_at()),
        session_expires_at: Timestamp::from_millis(reader.get_session_expires_at()),
        incarnation: Incarnation::from_slice(reader.get_incarnation()?)
            .ok_or_else(|| ClientError::protocol("an incarnation has not 16 bytes"))?,
    })
}

pub(crate) fn read_stock(reader: key_package_stock::Reader<'_>) -> Stock {
    let until = reader.get_last_resort_until();
    Stock {
        one_time: reader.get_one_time(),
        last_resort_until: (until > 0).then_some(Timestamp::from_millis(until)),
    }
}

pub(crate) fn read_device(reader: device_info::Reader<'_>) -> Result<DeviceRow, ClientError> {
    let certificate = read_certificate(reader.get_certificate()?)?;
    let revoked = reader.get_revoked_at();
    Ok(DeviceRow {
        device: certificate.device.device,
        current: reader.get_current(),
        enrolled_at: Timestamp::from_millis(reader.get_enrolled_at()),
        last_seen_at: Timestamp::from_millis(reader.get_last_seen_at()),
        revoked_at: (revoked > 0).then_some(Timestamp::from_millis(revoked)),
        key_packages: reader.get_key_packages(),
        certificate,
    })
}
