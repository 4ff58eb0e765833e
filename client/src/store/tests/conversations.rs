//! Engine and store together: crashes at each step, and what a message costs on disk.

use std::path::Path;

use super::{super::*, ALICE, BOB, account, at, message, open, record};
use crate::mls::{
    CommitOutcome, Content, Device, Group, LogCommit, Received, Suite,
    testing::{device, group_id, key_package, message_id, now},
    welcome_references,
};

/// What one process of ours does, with every step in a transaction of its own.
struct Party {
    device: Device,
    store: Store,
}

impl Party {
    async fn new(home: &Path, device: Device) -> Self {
        Self { device, store: open(home).await }
    }

    async fn load(&self) -> Group {
        self.store.begin().await.unwrap().load_group(&group_id()).await.unwrap().unwrap()
    }

    async fn says(&self, id: u8, text: &str) -> Vec<u8> {
        let mut tx = self.store.begin().await.unwrap();
        let content = Content::text(text, at(1));
        tx.enqueue(&NewOutgoing {
            id: message_id(id),
            target: Target::Group(group_id()),
            content: content.clone(),
        })
        .await
        .unwrap();
        let mut group = tx.load_group(&group_id()).await.unwrap().unwrap();
        let ciphertext = group.encrypt(&self.device, &content).unwrap();
        tx.save_group(&mut group).await.unwrap();
        tx.set_encrypted(&message_id(id), &ciphertext, group.epoch()).await.unwrap();
        tx.commit().await.unwrap();
        ciphertext
    }

    /// Decrypts and stores; `commits` says whether the process lives long enough.
    async fn hears(&self, id: u8, ciphertext: &[u8], commits: bool) -> Received {
        let mut tx = self.store.begin().await.unwrap();
        let mut group = tx.load_group(&group_id()).await.unwrap().unwrap();
        let received = group.decrypt(ciphertext).unwrap();
        tx.save_group(&mut group).await.unwrap();
        if let Received::Content { .. } = &received {
            tx.record_received(&message(id, "seen")).await.unwrap();
        }
        if commits {
            tx.commit().await.unwrap();
        }
        received
    }

    async fn applies(&self, pending: &PendingCommit, sender: &Device) -> CommitOutcome {
        let mut tx = self.store.begin().await.unwrap();
        let mut group = tx.load_group(&group_id()).await.unwrap().unwrap();
        let staged = &pending.staged;
        let commit = LogCommit {
            id: &staged.id,
            commit: &staged.commit,
            sender: sender.address(),
            signature: &staged.signature,
        };
        let outcome = group.apply_commit(&commit).unwrap();
        tx.save_group(&mut group).await.unwrap();
        tx.delete_pending_commit(&group_id()).await.unwrap();
        tx.commit().await.unwrap();
        outcome
    }
}

#[tokio::test]
async fn a_conversation_survives_a_crash_at_any_step() {
    let (alice_home, bob_home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let alice = Party::new(alice_home.path(), device(ALICE, 1)).await;
    let bob = Party::new(bob_home.path(), device(BOB, 2)).await;

    let mut tx = bob.store.begin().await.unwrap();
    let (package, verified) = key_package(&bob.device, Suite::Classical);
    tx.add_key_packages(&[package]).await.unwrap();
    tx.commit().await.unwrap();

    let (mut group, new) = Group::create(&alice.device, &group_id(), Suite::Classical, now()).unwrap();
    let mut tx = alice.store.begin().await.unwrap();
    tx.save_group_record(&record(GroupState::Creating)).await.unwrap();
    tx.save_group_creation(&group_id(), &new).await.unwrap();
    tx.save_group(&mut group).await.unwrap();
    tx.commit().await.unwrap();
    drop(group);

    // The commit is staged and durable, then the process dies before the answer.
    let mut group = alice.load().await;
    let staged = group.stage_add(&alice.device, message_id(1), &[verified], &[]).unwrap();
    let pending = PendingCommit {
        group: group_id(),
        staged,
        purpose: CommitPurpose::Add { users: vec![BOB.parse().unwrap()] },
        since: at(5),
        accepted: false,
    };
    let mut tx = alice.store.begin().await.unwrap();
    tx.save_group(&mut group).await.unwrap();
    tx.save_pending_commit(&pending).await.unwrap();
    assert!(tx.save_pending_commit(&pending).await.is_err(), "a second pending commit was kept");
    tx.commit().await.unwrap();
    alice.store.close().await;
    let alice = Party::new(alice_home.path(), device(ALICE, 1)).await;
    let mut tx = alice.store.begin().await.unwrap();
    tx.mark_commit_accepted(&group_id()).await.unwrap();
    let known = tx.pending_commit(&group_id()).await.unwrap().unwrap();
    assert_eq!(known, PendingCommit { accepted: true, ..pending.clone() });
    assert_eq!(tx.pending_commits().await.unwrap(), [known]);
    tx.commit().await.unwrap();
    assert!(
        matches!(alice.applies(&pending, &alice.device).await, CommitOutcome::Applied(facts) if facts.own)
    );
    let tree = alice.load().await.export(&alice.device).unwrap().ratchet_tree;

    // Bob dies after joining and before storing: the KeyPackage is still there.
    let references = welcome_references(&pending.staged.welcome).unwrap();
    for commits in [false, true] {
        let mut tx = bob.store.begin().await.unwrap();
        let stock = tx.key_package_secrets(&references).await.unwrap();
        let mut joined = Group::join(&pending.staged.welcome, &tree, &stock).unwrap();
        tx.save_group(&mut joined.group).await.unwrap();
        tx.delete_key_package(&joined.used.unwrap()).await.unwrap();
        if commits {
            tx.commit().await.unwrap();
        }
    }
    let mut tx = bob.store.begin().await.unwrap();
    assert!(tx.key_package_secrets(&references).await.unwrap().is_empty());
    assert_eq!(tx.members(&group_id()).await.unwrap().len(), 2);
    drop(tx);

    // Bob dies between decrypting and storing: the message comes again, readable, once.
    let ciphertext = alice.says(10, "hello bob").await;
    assert!(matches!(bob.hears(10, &ciphertext, false).await, Received::Content { .. }));
    assert!(bob.store.begin().await.unwrap().unread(5).await.unwrap().is_empty());
    assert!(matches!(bob.hears(10, &ciphertext, true).await, Received::Content { .. }));
    assert_eq!(bob.hears(10, &ciphertext, true).await, Received::AlreadyProcessed);
    assert_eq!(bob.store.begin().await.unwrap().unread(5).await.unwrap().len(), 1);
    let back = bob.says(11, "hello alice").await;
    assert!(matches!(alice.hears(11, &back, true).await, Received::Content { .. }));

    let mut tx = alice.store.begin().await.unwrap();
    tx.delete_group_state(&group_id()).await.unwrap();
    assert!(tx.load_group(&group_id()).await.unwrap().is_none());
    assert!(tx.members(&group_id()).await.unwrap().is_empty());
    let left: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM mls_chunks) + (SELECT count(*) FROM mls_values)")
            .fetch_one(tx.sql())
            .await
            .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn nothing_readable_is_in_the_files() {
    let home = tempfile::tempdir().unwrap();
    let party = Party::new(home.path(), device(ALICE, 1)).await;
    let (mut group, new) = Group::create(&party.device, &group_id(), Suite::Classical, now()).unwrap();
    let mut tx = party.store.begin().await.unwrap();
    tx.save_account(&account()).await.unwrap();
    tx.save_group_record(&record(GroupState::Active)).await.unwrap();
    tx.save_group_creation(&group_id(), &new).await.unwrap();
    tx.save_group(&mut group).await.unwrap();
    tx.record_received(&message(1, "the plaintext of a message")).await.unwrap();
    tx.commit().await.unwrap();
    party.says(2, "the plaintext of another").await;

    let secret = party.device.secret();
    let needles: [&[u8]; 6] =
        [b"the plaintext", b"alice", b"alpha.test", b"bob@", b"CREATE TABLE", secret.expose()];
    let scan = |name: &str| {
        let bytes = std::fs::read(home.path().join(name)).unwrap();
        assert!(bytes.len() > 100, "{name} is empty");
        for needle in needles {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{name} holds {needle:?}");
        }
        bytes
    };
    scan("store.db-wal");
    party.store.close().await;
    let bytes = scan("store.db");
    assert!(!bytes.starts_with(b"SQLite format 3"));
}

/// What a message costs on disk in a group of 100, pages and journal included.
#[tokio::test]
async fn a_message_in_a_group_of_a_hundred_costs_few_pages() {
    let home = tempfile::tempdir().unwrap();
    let party = Party::new(home.path(), device(ALICE, 1)).await;
    let (mut group, _) = Group::create(&party.device, &group_id(), Suite::Classical, now()).unwrap();
    for batch in 0..3_u8 {
        let adds: Vec<_> = (0..33)
            .map(|n| {
                key_package(
                    &device(&format!("user{}@beta.test", u32::from(batch) * 33 + n), 5),
                    Suite::Classical,
                )
                .1
            })
            .collect();
        let staged = group.stage_add(&party.device, message_id(batch), &adds, &[]).unwrap();
        let commit = LogCommit {
            id: &staged.id,
            commit: &staged.commit,
            sender: party.device.address(),
            signature: &staged.signature,
        };
        group.apply_commit(&commit).unwrap();
    }
    let mut tx = party.store.begin().await.unwrap();
    tx.save_group(&mut group).await.unwrap();
    assert_eq!(tx.members(&group_id()).await.unwrap().len(), 100);
    tx.commit().await.unwrap();
    let wal = home.path().join("store.db-wal");
    let mut costs = Vec::new();
    for n in 0..5 {
        let mut tx = party.store.begin().await.unwrap();
        sqlx::query("PRAGMA wal_autocheckpoint = 0").execute(tx.sql()).await.unwrap();
        tx.commit().await.unwrap();
        let before = std::fs::metadata(&wal).unwrap().len();
        party.says(100 + n, "a short message").await;
        costs.push(std::fs::metadata(&wal).unwrap().len() - before);
    }
    println!("bytes of journal for a sent message in a group of 100: {costs:?}");
    assert!(costs.iter().all(|cost| *cost <= 64 * 1_024), "{costs:?}");
}
