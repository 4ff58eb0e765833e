//! The rows that travel between homeservers, as bytes: `schemas/records.capnp`.
//!
//! What is read here came from a peer and is judged before it becomes a value; what is written here is read there.

use qpq_core::{DeviceAddress, GroupId, Millis, Seq, Timestamp, limits};
use qpq_schemas::records_capnp::{group_entry, group_submit, group_welcome, submit_refused};

use crate::{
    Answered, Refusal,
    relay::payload::{read, write},
    wire::{bounded, bytes, device_address, group_id, length, read_failure, unreadable, write_failure},
};

/// An application message on its way to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupSubmit {
    pub(crate) group: GroupId,
    pub(crate) sender: DeviceAddress,
    pub(crate) message: Vec<u8>,
}

/// Who committed, and the device's own signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committer {
    pub(crate) sender: DeviceAddress,
    pub(crate) signature: [u8; 64],
}

/// An entry of a group's log, from its hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupEntry {
    pub(crate) group: GroupId,
    pub(crate) seq: Seq,
    pub(crate) epoch: u64,
    pub(crate) at: Timestamp,
    pub(crate) message: Vec<u8>,
    /// Of a commit; application messages have none.
    pub(crate) committer: Option<Committer>,
    pub(crate) removed: Vec<DeviceAddress>,
    pub(crate) accounts: u32,
}

/// Devices of the destination that a commit added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupWelcome {
    pub(crate) group: GroupId,
    pub(crate) epoch: u64,
    pub(crate) start: Seq,
    pub(crate) sender: DeviceAddress,
    pub(crate) devices: Vec<DeviceAddress>,
    pub(crate) welcome: Vec<u8>,
    pub(crate) accounts: u32,
}

/// A submit that is in no log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubmitRefused {
    pub(crate) group: GroupId,
    /// Whose it was; a member's domain that refuses an entry can't know, and the hub does.
    pub(crate) sender: Option<DeviceAddress>,
    pub(crate) refusal: Refusal,
}

impl GroupSubmit {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<group_submit::Owned>(|mut record| {
            record.set_group(&self.group.to_bytes());
            record.set_sender(self.sender.to_string());
            record.set_message(&self.message);
        })
    }

    pub(crate) fn from_bytes(payload: &[u8]) -> Answered<Self> {
        let message = read(payload)?;
        let record = message.get_root::<group_submit::Reader<'_>>().map_err(unreadable)?;
        Ok(Self {
            group: group_id(record.get_group())?,
            sender: device_address("sender", record.get_sender())?,
            message: bytes("message", record.get_message(), limits::MESSAGE_BYTES)?,
        })
    }
}

impl GroupEntry {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<group_entry::Owned>(|mut record| {
            record.set_group(&self.group.to_bytes());
            record.set_seq(self.seq.0);
            record.set_epoch(self.epoch);
            record.set_at(self.at.as_millis());
            record.set_message(&self.message);
            if let Some(committer) = &self.committer {
                record.set_sender(committer.sender.to_string());
                record.set_signature(&committer.signature);
            }
            record.set_member_count(self.accounts);
            write_devices(&self.removed, record.init_removed(length(self.removed.len())));
        })
    }

    pub(crate) fn from_bytes(payload: &[u8]) -> Answered<Self> {
        let message = read(payload)?;
        let record = message.get_root::<group_entry::Reader<'_>>().map_err(unreadable)?;
        let committer = if record.has_sender() {
            Some(Committer {
                sender: device_address("sender", record.get_sender())?,
                signature: crate::wire::array("signature", record.get_signature())?,
            })
        } else {
            None
        };
        let most = if committer.is_some() { limits::HANDSHAKE_BYTES } else { limits::MESSAGE_BYTES };
        Ok(Self {
            group: group_id(record.get_group())?,
            seq: Seq(record.get_seq()),
            epoch: record.get_epoch(),
            at: Timestamp::from_millis(record.get_at()),
            message: bytes("message", record.get_message(), most)?,
            committer,
            removed: read_devices("removed", record.get_removed())?,
            accounts: record.get_member_count(),
        })
    }
}

impl GroupWelcome {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<group_welcome::Owned>(|mut record| {
            record.set_group(&self.group.to_bytes());
            record.set_epoch(self.epoch);
            record.set_start_seq(self.start.0);
            record.set_sender(self.sender.to_string());
            record.set_welcome(&self.welcome);
            record.set_member_count(self.accounts);
            write_devices(&self.devices, record.init_devices(length(self.devices.len())));
        })
    }

    pub(crate) fn from_bytes(payload: &[u8]) -> Answered<Self> {
        let message = read(payload)?;
        let record = message.get_root::<group_welcome::Reader<'_>>().map_err(unreadable)?;
        Ok(Self {
            group: group_id(record.get_group())?,
            epoch: record.get_epoch(),
            start: Seq(record.get_start_seq()),
            sender: device_address("sender", record.get_sender())?,
            devices: read_devices("devices", record.get_devices())?,
            welcome: bytes("welcome", record.get_welcome(), limits::HANDSHAKE_BYTES)?,
            accounts: record.get_member_count(),
        })
    }
}

impl SubmitRefused {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<submit_refused::Owned>(|mut record| {
            record.set_group(&self.group.to_bytes());
            if let Some(sender) = &self.sender {
                record.set_sender(sender.to_string());
            }
            write_failure(&self.refusal, record.init_failure());
        })
    }

    pub(crate) fn from_bytes(payload: &[u8]) -> Answered<Self> {
        let message = read(payload)?;
        let record = message.get_root::<submit_refused::Reader<'_>>().map_err(unreadable)?;
        Ok(Self {
            group: group_id(record.get_group())?,
            sender: record.has_sender().then(|| device_address("sender", record.get_sender())).transpose()?,
            refusal: read_failure(record.get_failure().map_err(unreadable)?)?,
        })
    }
}

fn write_devices(devices: &[DeviceAddress], mut list: capnp::text_list::Builder<'_>) {
    for (index, device) in (0_u32..).zip(devices) {
        list.set(index, device.to_string());
    }
}

fn read_devices(
    field: &'static str,
    list: capnp::Result<capnp::text_list::Reader<'_>>,
) -> Answered<Vec<DeviceAddress>> {
    let list = list.map_err(unreadable)?;
    // A commit may change a whole large group at once.
    if list.len() > 16 * length(limits::BATCH_ITEMS) {
        bounded(field, list.len())?;
    }
    list.iter().map(|device| device_address(field, device)).collect()
}

/// What is left of a message's life, as the holder counts.
pub(crate) fn expires_at(ttl: Option<Millis>, most: Millis, now: Timestamp) -> Timestamp {
    now.after(ttl.map_or(most, |ttl| ttl.min(most)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use qpq_core::{DeviceId, ErrorCode};

    use super::*;

    fn device(user: &str, n: u8) -> DeviceAddress {
        DeviceAddress { user: user.parse().unwrap(), device: DeviceId::from_bytes([n; 16]) }
    }

    fn group() -> GroupId {
        GroupId::new([1; 16], 1, "alpha.test".parse().unwrap())
    }

    #[test]
    fn records_round_trip() {
        let submit = GroupSubmit { group: group(), sender: device("a@b.test", 1), message: vec![1, 2, 3] };
        assert_eq!(GroupSubmit::from_bytes(&submit.to_bytes()), Ok(submit));
        let entry = GroupEntry {
            group: group(),
            seq: Seq(3),
            epoch: 2,
            at: Timestamp::from_millis(9),
            message: vec![7; 1_000],
            committer: Some(Committer { sender: device("a@b.test", 1), signature: [5; 64] }),
            removed: vec![device("c@d.test", 2)],
            accounts: 4,
        };
        assert_eq!(GroupEntry::from_bytes(&entry.to_bytes()), Ok(entry.clone()));
        let message = GroupEntry { committer: None, removed: vec![], ..entry };
        assert_eq!(GroupEntry::from_bytes(&message.to_bytes()), Ok(message));
        let welcome = GroupWelcome {
            group: group(),
            epoch: 2,
            start: Seq(3),
            sender: device("a@b.test", 1),
            devices: vec![device("c@d.test", 2)],
            welcome: vec![9; 10],
            accounts: 2,
        };
        assert_eq!(GroupWelcome::from_bytes(&welcome.to_bytes()), Ok(welcome));
        let refusal = Refusal::retry(ErrorCode::MailboxFull, "full", Millis(5));
        let refused = SubmitRefused { group: group(), sender: Some(device("a@b.test", 1)), refusal };
        assert_eq!(SubmitRefused::from_bytes(&refused.to_bytes()), Ok(refused.clone()));
        let unknown = SubmitRefused { sender: None, ..refused };
        assert_eq!(SubmitRefused::from_bytes(&unknown.to_bytes()), Ok(unknown));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_panic(noise: Vec<u8>, at: prop::sample::Index, value: u8) {
            drop(GroupEntry::from_bytes(&noise));
            drop(GroupWelcome::from_bytes(&noise));
            drop(SubmitRefused::from_bytes(&noise));
            let submit = GroupSubmit { group: group(), sender: device("a@b.test", 1), message: vec![1, 2, 3] };
            let mut bytes = submit.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = value;
            drop(GroupSubmit::from_bytes(&bytes));
        }
    }
}
