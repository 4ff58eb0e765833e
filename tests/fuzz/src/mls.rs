//! Devices with real MLS state and real keys, as the hub's own tests have them.

use openmls_traits::signatures::Signer as _;
use qpq_core::{DeviceAddress, DeviceCertificate, DeviceId, GroupId, IdentityKey};
use qpq_delivery::view::CommitOffer;

use crate::member::{CLASSICAL, Change, Member, bytes_of};

/// A group of `alpha.test`.
pub fn group(n: u8) -> GroupId {
    GroupId::new([n; 16], 1, crate::home::alpha())
}

/// The address of a device, as text.
pub fn device(user: &str, n: u8) -> String {
    let device = DeviceId::from_bytes([n; 16]);
    DeviceAddress { user: user.parse().expect("an address"), device }.to_string()
}

/// A device.
pub struct Device(Member);

impl Device {
    /// The device with this number, of a user.
    pub fn of(user: &str, n: u32) -> Self {
        let mut member = Member::new(user, 0, CLASSICAL);
        let id = [n.to_be_bytes(); 4].concat();
        member.device.device = DeviceId::from_bytes(id.try_into().expect("16 bytes"));
        Self(member)
    }

    /// Its address.
    pub fn address(&self) -> &DeviceAddress {
        &self.0.device
    }

    /// A KeyPackage as it is uploaded.
    pub fn key_package(&self) -> Vec<u8> {
        bytes_of(&self.0.key_package(84))
    }

    /// Makes a group: its GroupInfo and tree.
    pub fn creates(&mut self, group: &GroupId) -> (Vec<u8>, Vec<u8>) {
        self.0.create(group)
    }

    /// A message to its group.
    pub fn says(&mut self, text: &str) -> Vec<u8> {
        self.0.says(text)
    }

    /// A commit that adds somebody, and is not applied.
    pub fn adds(&mut self, other: &Self) -> CommitOffer {
        let offer = self.0.offer(Change { add: vec![other.0.key_package(84)], ..Change::default() });
        self.0.lost();
        offer
    }

    /// A commit that changes nothing but keys, and is not applied.
    pub fn updates(&mut self) -> CommitOffer {
        let offer = self.0.offer(Change::default());
        self.0.lost();
        offer
    }

    pub(crate) fn identity_key(&self) -> IdentityKey {
        self.0.identity_key()
    }

    pub(crate) fn certificate(&self) -> DeviceCertificate {
        self.0.certificate()
    }

    pub(crate) fn signs(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.signer.sign(bytes).expect("a signature").try_into().expect("64 bytes")
    }
}
