//! Members in memory for tests: each has its device, its rows on "disk", and its group.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use qpq_core::{
    Clock as _, DeviceAddress, DeviceCertificate, DeviceId, GroupId, MessageId, SeededEntropy, SignatureKey,
    SystemClock, Timestamp,
};

use super::{
    Claimed, CommitFacts, CommitOutcome, Content, Device, Group, KeyPackageSecret, LogCommit, NewKeyPackage,
    Received, StagedCommit, StateChanges, StockKind, StoredValue, Suite, VerifiedKeyPackage, new_key_package,
    verify_key_package,
};

/// OpenMLS reads the system's clock, so tests live in the present.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) fn message_id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

pub(crate) fn group_id() -> GroupId {
    GroupId::random("alpha.test".parse().unwrap(), &mut SeededEntropy::new(1))
}

/// The n-th device of a user.
pub(crate) fn device(user: &str, n: u8) -> Device {
    let mut seed = u64::from(n);
    for byte in user.bytes() {
        seed = seed.wrapping_mul(131).wrapping_add(u64::from(byte));
    }
    let address = DeviceAddress { user: user.parse().unwrap(), device: DeviceId::from_bytes([n; 16]) };
    Device::generate(address, &mut SeededEntropy::new(seed))
}

pub(crate) fn certificate(device: &Device) -> DeviceCertificate {
    let key: SignatureKey = device.signature_key();
    DeviceCertificate::issue(&SigningKey::from_bytes(&[1; 32]), device.address().clone(), key, now())
}

pub(crate) fn key_package(device: &Device, suite: Suite) -> (NewKeyPackage, VerifiedKeyPackage) {
    let package = new_key_package(device, suite, StockKind::OneTime, now()).unwrap();
    let claimed = Claimed { certificate: certificate(device), key_package: package.key_package.clone() };
    let verified = verify_key_package(&claimed, suite, now()).unwrap();
    (package, verified)
}

/// One member: what a process of ours holds, and what its disk does.
#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) device: Device,
    pub(crate) group: Group,
    rows: BTreeMap<(Vec<u8>, u32), Vec<u8>>,
}

impl Party {
    pub(crate) fn new(device: Device, group: Group) -> Self {
        let mut party = Self { device, group, rows: BTreeMap::new() };
        party.save();
        party
    }

    pub(crate) fn creates(device: Device, suite: Suite) -> Self {
        let (group, _) = Group::create(&device, &group_id(), suite, now()).unwrap();
        Self::new(device, group)
    }

    /// Joins with the inviter's tree, which must be at the Welcome's epoch.
    pub(crate) fn joins(
        device: Device,
        staged: &StagedCommit,
        tree: &[u8],
        secret: &KeyPackageSecret,
    ) -> Self {
        let joined = Group::join(&staged.welcome, tree, std::slice::from_ref(secret)).unwrap();
        assert_eq!(joined.used.as_ref(), Some(&secret.reference));
        Self::new(device, joined.group)
    }

    /// Writes what changed; what is on disk is what a crash leaves.
    pub(crate) fn save(&mut self) -> StateChanges {
        let changes = self.group.take_changes();
        for row in &changes.rows {
            let place = (row.key.clone(), row.n);
            match &row.bytes {
                Some(bytes) => self.rows.insert(place, bytes.clone()),
                None => self.rows.remove(&place),
            };
        }
        changes
    }

    /// The process died: only what was saved is left.
    pub(crate) fn crashes(&mut self) {
        let mut values: Vec<StoredValue> = Vec::new();
        for ((key, n), bytes) in &self.rows {
            match values.last_mut().filter(|value| value.key == *key) {
                Some(value) => value.chunks.push((*n, bytes.clone())),
                None => values.push(StoredValue { key: key.clone(), chunks: vec![(*n, bytes.clone())] }),
            }
        }
        self.group = Group::load(&self.group.id().clone(), values).unwrap();
    }

    pub(crate) fn says(&mut self, text: &str) -> Vec<u8> {
        let content = Content::text(text, Timestamp::from_millis(1));
        let message = self.group.encrypt(&self.device, &content).unwrap();
        self.save();
        message
    }

    /// An application message with any payload.
    pub(crate) fn mls_message(&mut self, payload: &[u8]) -> Vec<u8> {
        let message = self.group.mls.create_message(&self.group.provider, &self.device, payload);
        message.unwrap().to_bytes().unwrap()
    }

    pub(crate) fn hears(&mut self, message: &[u8]) -> Received {
        let received = self.group.decrypt(message).unwrap();
        self.save();
        received
    }

    /// What the log's echo of a commit does here.
    pub(crate) fn applies(&mut self, staged: &StagedCommit, sender: &DeviceAddress) -> CommitOutcome {
        let commit =
            LogCommit { id: &staged.id, commit: &staged.commit, sender, signature: &staged.signature };
        let outcome = self.group.apply_commit(&commit).unwrap();
        self.save();
        outcome
    }

    pub(crate) fn must_apply(&mut self, staged: &StagedCommit, sender: &DeviceAddress) -> CommitFacts {
        match self.applies(staged, sender) {
            CommitOutcome::Applied(facts) => facts,
            other => panic!("not applied: {other:?}"),
        }
    }

    pub(crate) fn tree(&self) -> Vec<u8> {
        self.group.export(&self.device).unwrap().ratchet_tree
    }

    /// Adds a device and lets it join at once.
    pub(crate) fn adds(&mut self, newcomer: Device, id: MessageId) -> (Self, StagedCommit) {
        let (package, verified) = key_package(&newcomer, self.group.suite());
        let staged = self.group.stage_add(&self.device, id, &[verified], &[]).unwrap();
        self.save();
        let sender = self.device.address().clone();
        self.must_apply(&staged, &sender);
        (Self::joins(newcomer, &staged, &self.tree(), &package.secret), staged)
    }
}

/// What was read, if it was a text.
pub(crate) fn text(received: &Received) -> Option<(String, DeviceAddress)> {
    match received {
        Received::Content { sender, content, .. } => match &content.kind {
            super::ContentKind::Text(text) => Some((text.clone(), sender.clone())),
            _ => None,
        },
        _ => None,
    }
}
