//! Values that the cases store.

use qpq_core::{
    AccountId, Address, DeviceAddress, DeviceCertificate, DeviceId, Digest, Domain, GroupId, IdentityKey,
    Localpart, MessageId, Seq, SignatureKey, Timestamp,
};

use super::{Failure, Subject, write};
use crate::{Account, Device, EntryBody, FeedsRead, GrantedCommit, Group, LogEntry};

/// A time, in seconds after a fixed one.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

/// The domain whose store it is.
pub fn here() -> Result<Domain, Failure> {
    Ok("alpha.test".parse()?)
}

/// Another domain.
pub fn elsewhere() -> Result<Domain, Failure> {
    Ok("beta.test".parse()?)
}

/// A device id.
pub const fn device_id(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 16])
}

/// A message id.
pub const fn message_id(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

/// The device of a user of this domain; each user has one, of the same number.
pub fn device_address(name: &str, number: u8) -> Result<DeviceAddress, Failure> {
    let localpart: Localpart = name.parse()?;
    Ok(DeviceAddress { user: Address::new(localpart, here()?), device: device_id(number) })
}

/// A device of a user of another domain.
pub fn foreign_device(name: &str, number: u8) -> Result<DeviceAddress, Failure> {
    let localpart: Localpart = name.parse()?;
    Ok(DeviceAddress { user: Address::new(localpart, elsewhere()?), device: device_id(number) })
}

/// An account.
pub fn account(name: &str, number: u8) -> Result<Account, Failure> {
    Ok(Account {
        id: AccountId::from_bytes([number; 16]),
        localpart: name.parse()?,
        opaque_record: vec![number; 192],
        identity_key: IdentityKey::from_bytes([number; 32]),
        sealed_identity: vec![number; 60],
        created_at: at(u64::from(number)),
    })
}

/// A device of an account.
pub fn device(name: &str, account: u8, number: u8) -> Result<Device, Failure> {
    Ok(Device {
        account: AccountId::from_bytes([account; 16]),
        certificate: DeviceCertificate {
            device: device_address(name, number)?,
            signature_key: SignatureKey::from_bytes([number; 32]),
            certified_at: at(0),
            signature: [number; 64],
        },
        enrolled_at: at(u64::from(number)),
        last_seen_at: at(u64::from(number)),
        revoked_at: None,
    })
}

/// Stores a user with one device, both of the same number.
pub async fn enrol(subject: &dyn Subject, name: &str, number: u8) -> Result<DeviceAddress, Failure> {
    let device = device(name, number, number)?;
    let mut tx = write(subject).await?;
    tx.account_create(&account(name, number)?, &device, None).await?;
    tx.commit().await?;
    Ok(device.certificate.device)
}

/// A group that this domain orders.
pub fn group_id(number: u8) -> Result<GroupId, Failure> {
    Ok(GroupId::new([number; 16], 1, here()?))
}

/// A group that another domain orders.
pub fn foreign_group_id(number: u8) -> Result<GroupId, Failure> {
    Ok(GroupId::new([number; 16], 1, elsewhere()?))
}

/// How many messages wait for each of these devices.
pub async fn waiting<T: FeedsRead + ?Sized>(tx: &mut T, devices: &[DeviceId]) -> Result<Vec<u64>, Failure> {
    Ok(tx.backlogs(devices).await?.into_iter().map(|backlog| backlog.messages).collect())
}

/// A new group.
pub fn group(id: &GroupId) -> Group {
    Group {
        id: id.clone(),
        epoch: 0,
        last_seq: Seq::ZERO,
        application_count: 0,
        accounts: 1,
        created_at: at(0),
    }
}

/// Makes a group of these devices here: created by the first, the others added by the first commit.
pub async fn group_of(
    subject: &dyn Subject,
    number: u8,
    devices: &[DeviceAddress],
) -> Result<GroupId, Failure> {
    let id = group_id(number)?;
    let mut tx = write(subject).await?;
    if let Some((creator, others)) = devices.split_first() {
        tx.group_create(&group(&id), creator, &[], b"info").await?;
        if !others.is_empty() {
            tx.group_commit(&granted(&id, &commit(0, 200, creator), others, &[])).await?;
        }
    }
    tx.commit().await?;
    Ok(id)
}

/// An application message.
pub fn message(number: u8) -> LogEntry {
    LogEntry {
        seq: Seq::ZERO,
        id: message_id(number),
        epoch: 1,
        at: at(10),
        expires_at: Some(at(1_000)),
        body: EntryBody::Application { message: vec![number; 100] },
    }
}

/// A commit that starts from `epoch`.
pub fn commit(epoch: u64, number: u8, sender: &DeviceAddress) -> LogEntry {
    LogEntry {
        seq: Seq::ZERO,
        id: message_id(number),
        epoch,
        at: at(10),
        expires_at: None,
        body: EntryBody::Commit {
            message: vec![number; 300],
            sender: sender.clone(),
            signature: [number; 64],
        },
    }
}

/// The same entry at a position.
#[must_use]
pub fn placed(entry: LogEntry, seq: u64) -> LogEntry {
    LogEntry { seq: Seq(seq), ..entry }
}

/// A commit with what follows from it, without state.
pub const fn granted<'a>(
    group: &'a GroupId,
    entry: &'a LogEntry,
    added: &'a [DeviceAddress],
    removed: &'a [DeviceAddress],
) -> GrantedCommit<'a> {
    GrantedCommit {
        group,
        entry,
        accounts: 3,
        added,
        removed,
        state: &[],
        group_info: b"next info",
        tree: None,
        tree_until: Timestamp::from_millis(0),
    }
}

/// A SHA-256 value.
pub const fn digest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}
