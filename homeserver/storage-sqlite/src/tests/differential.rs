//! The same random operations on a database file and in memory: both must say the same, all the time.

mod witnesses;

use qpq_core::{
    AccountId, DeviceAddress, DeviceCertificate, DeviceId, Entropy as _, GroupId, IdentityKey, MessageId,
    SeededEntropy, Seq, SignatureKey, Timestamp,
};
use qpq_storage::{
    Account, Device, EntryBody, Feed, GrantedCommit, Group, LogEntry, Storage, WriteTx, memory::MemoryStorage,
};

use crate::{DatabaseKey, Options, SqliteStorage};

const DEVICES: u8 = 4;
const GROUPS: u8 = 3;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// The last device is another domain's.
fn device(number: u8) -> DeviceAddress {
    let domain = if number == DEVICES { "beta.test" } else { "alpha.test" };
    format!("user{number}@{domain}/{}", DeviceId::from_bytes([number; 16])).parse().unwrap()
}

/// The last group is another domain's.
fn group_id(number: u8) -> GroupId {
    let hub = if number == GROUPS { "beta.test" } else { "alpha.test" };
    GroupId::new([number; 16], 1, hub.parse().unwrap())
}

async fn enrol(tx: &mut dyn WriteTx, number: u8) {
    let id = AccountId::from_bytes([number; 16]);
    let account = Account {
        id,
        localpart: format!("user{number}").parse().unwrap(),
        opaque_record: vec![1],
        identity_key: IdentityKey::from_bytes([1; 32]),
        sealed_identity: vec![1],
        created_at: at(0),
    };
    let certificate = DeviceCertificate {
        device: device(number),
        signature_key: SignatureKey::from_bytes([1; 32]),
        certified_at: at(0),
        signature: [1; 64],
    };
    let first =
        Device { account: id, certificate, enrolled_at: at(0), last_seen_at: at(0), revoked_at: None };
    tx.account_create(&account, &first, None).await.unwrap();
}

/// One random operation, the same on every store that is in the same state.
struct Operation {
    entropy: SeededEntropy,
    now: u64,
}

impl Operation {
    fn below(&mut self, bound: u64) -> u64 {
        self.entropy.below(bound)
    }

    fn number(&mut self, most: u8) -> u8 {
        u8::try_from(self.below(u64::from(most))).unwrap() + 1
    }

    fn entry(&mut self, seq: u64, epoch: Option<u64>) -> LogEntry {
        let body = match epoch {
            Some(_) => EntryBody::Commit { message: vec![2; 9], sender: device(1), signature: [3; 64] },
            None if self.below(9) == 0 => EntryBody::Expired,
            None => EntryBody::Application { message: vec![1; usize::from(self.number(40))] },
        };
        let application = matches!(body, EntryBody::Application { .. });
        let lifetime = self.below(40);
        LogEntry {
            seq: Seq(seq),
            id: MessageId::from_bytes([self.number(200); 16]),
            epoch: epoch.unwrap_or(0),
            at: at(self.now.saturating_sub(self.below(9))),
            expires_at: (application && lifetime > 5).then(|| at(self.now + lifetime)),
            body,
        }
    }

    async fn perform(&mut self, tx: &mut dyn WriteTx) -> String {
        let group = group_id(self.number(GROUPS));
        let member = device(self.number(DEVICES));
        let other = device(self.number(DEVICES));
        let known = tx.group(&group).await.unwrap();
        let last = known.as_ref().map_or(0, |group| group.last_seq.0);
        let epoch = known.as_ref().map_or(0, |group| group.epoch);
        let ours = group.hub().as_str() == "alpha.test";
        match (self.below(12), known.is_some()) {
            (0..=1, true) if ours => {
                let epoch = epoch.saturating_sub(self.below(4) / 3);
                let entry = self.entry(0, Some(epoch));
                let added = [member.clone(), other.clone()];
                let (adds, removes) = (self.below(2) == 0, self.below(3) == 0);
                let commit = GrantedCommit {
                    group: &group,
                    entry: &entry,
                    accounts: 2 + u32::from(self.number(2)),
                    added: if adds { &added } else { &[] },
                    removed: if removes { std::slice::from_ref(&other) } else { &[] },
                    state: &[],
                    group_info: b"info",
                    tree: None,
                    tree_until: at(0),
                };
                format!("commit {:?}", tx.group_commit(&commit).await.unwrap())
            }
            (2..=4, true) if ours => {
                let entries: Vec<_> = (0..self.below(5)).map(|_| self.entry(0, None)).collect();
                format!("append {:?}", tx.log_append(&group, &entries).await.unwrap())
            }
            (0..=1, _) if !ours => {
                let start = last.saturating_sub(2) + self.below(5);
                tx.members_join(&group, &[member], epoch + self.below(2), Seq(start), 2, at(self.now))
                    .await
                    .unwrap();
                format!("join at {start}")
            }
            (2..=4, _) if !ours => {
                let mut seq = last.saturating_sub(1);
                let mut entries = Vec::new();
                for _ in 0..self.below(6) {
                    seq += 1 + self.below(8) / 7;
                    let commit = (self.below(4) == 0).then_some(epoch);
                    entries.push(self.entry(seq, commit));
                }
                let removed = if self.below(3) == 0 { vec![member] } else { vec![] };
                tx.log_copy(&group, &entries, &removed, 3, at(self.now)).await.unwrap();
                format!("copy {} entries", entries.len())
            }
            (5..=7, _) => {
                let positions: Vec<_> = (1..=GROUPS)
                    .map(|number| (Feed::Group(group_id(number)), Seq(self.below(last + 3))))
                    .collect();
                tx.feeds_acknowledge(&member.device, &positions).await.unwrap();
                format!("acknowledge {positions:?}")
            }
            (8, _) => {
                let limit = usize::try_from(1 + self.below(3)).unwrap();
                format!("expire {:?}", tx.log_expire(at(self.now), limit).await.unwrap())
            }
            (9, _) if self.below(3) == 0 => {
                tx.members_cut_off(&group, &[member.device]).await.unwrap();
                tx.members_left_behind(&group, std::slice::from_ref(&other)).await.unwrap();
                format!("cut off {member}, left {other} behind")
            }
            (10, _) if self.below(3) == 0 => {
                let before = at(self.now.saturating_sub(self.below(20)));
                format!("prune {}", tx.log_prune(before, at(self.now), self.below(3)).await.unwrap())
            }
            (11, _) if self.below(30) == 0 => {
                format!("revoke {member}: {}", tx.device_revoke(&member.device, at(self.now)).await.unwrap())
            }
            _ => {
                let group = Group {
                    id: group.clone(),
                    epoch: 0,
                    last_seq: Seq::ZERO,
                    application_count: 0,
                    accounts: 1,
                    created_at: at(self.now),
                };
                format!("create {}", ours && tx.group_create(&group, &member, &[], b"info").await.unwrap())
            }
        }
    }
}

/// Everything that the two must agree about.
async fn view(tx: &mut dyn WriteTx) -> Vec<String> {
    let mut seen = Vec::new();
    for number in 1..=GROUPS {
        let id = group_id(number);
        seen.push(format!("{:?}", tx.group(&id).await.unwrap()));
        seen.push(format!("{:?}", tx.members(&id).await.unwrap()));
        seen.push(format!("{:?}", tx.log_after(&id, Seq::ZERO, 10_000, 1_000_000).await.unwrap()));
    }
    let devices: Vec<DeviceId> = (1..=DEVICES).map(|number| device(number).device).collect();
    seen.push(format!("{:?}", tx.backlogs(&devices).await.unwrap()));
    for before in [5, 20, 60, 200, 800] {
        seen.push(format!("absent {:?}", tx.members_absent(at(before), 100).await.unwrap()));
    }
    for device in &devices {
        seen.push(format!("{:?}", tx.feeds(device).await.unwrap()));
        for number in 1..=GROUPS {
            seen.push(format!("{:?}", tx.feed(device, &Feed::Group(group_id(number))).await.unwrap()));
        }
    }
    seen
}

#[tokio::test]
async fn the_database_says_what_memory_says() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let memory = MemoryStorage::new();
        let path = directory.path().join(format!("{seed}.db"));
        let disk =
            SqliteStorage::create(&path, &DatabaseKey::new([1; 32]), &Options::default()).await.unwrap();
        for storage in [&memory as &dyn Storage, &disk] {
            let mut tx = storage.write().await.unwrap();
            for number in 1..DEVICES {
                enrol(&mut *tx, number).await;
            }
            tx.commit().await.unwrap();
        }
        let (mut expected, mut found) = (memory.write().await.unwrap(), disk.write().await.unwrap());
        let mut history = Vec::new();
        for step in 0..250 {
            let operation =
                || Operation { entropy: SeededEntropy::new(seed * 1_000_000 + step), now: step / 2 };
            let said = operation().perform(&mut *expected).await;
            history.push(said.clone());
            assert_eq!(operation().perform(&mut *found).await, said, "seed {seed}: {history:#?}");
            assert_eq!(view(&mut *found).await, view(&mut *expected).await, "seed {seed}: {history:#?}");
        }
    }
}
