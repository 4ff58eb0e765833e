//! What is pinned of key-transparency logs comes back as it was, or as a typed error.

use std::path::Path;

use ed25519_dalek::SigningKey;
use qpq_core::{AccountId, Address, Digest, IdentityKey};
use qpq_transparency_tree::{
    KeyName, LogSigner, TreeHead, WitnessSigner,
    config::{Config, DomainKey, KeyUse},
    entry::{Entry, Kind},
    label::LabelId,
    lookup::{KnownConfig, KnownLabel, PinnedLog},
    policy::Level,
    value::{AccountValue, Reason, SignedValue, Status},
};
use sqlx::AssertSqlSafe;

use super::{
    super::{key, *},
    ALICE, BOB, at, open, raw,
};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn origin(domain: &str) -> KeyName {
    KeyName::of_log(&domain.parse().unwrap())
}

fn secret(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

/// A log of which only its key is known.
fn new_log(domain: &str) -> PinnedLog {
    PinnedLog::first_seen(LogSigner::new(origin(domain), secret(1)).verifier().clone())
}

/// A log of which everything is known.
fn full_log(domain: &str, size: u64) -> PinnedLog {
    let key = |key_use, n| DomainKey {
        key_use,
        public: secret(n).verifying_key().to_bytes(),
        not_before: at(1),
        not_after: None,
    };
    let witness = WitnessSigner::new("witness.test/kt-witness/v1".parse().unwrap(), secret(3));
    let keys = vec![key(KeyUse::Log, 1), key(KeyUse::Vrf, 2)];
    let config = Config::new(keys, vec![witness.verifier().clone()]).unwrap();
    PinnedLog {
        head: Some(TreeHead { size, root: Digest::of(&[b"root"]) }),
        config: Some(KnownConfig { version: 4, leaf: Digest::of(&[b"config"]), config }),
        level: Level::Peer,
        ..new_log(domain)
    }
}

fn label(status: Status, identity: Option<IdentityKey>) -> KnownLabel {
    KnownLabel { version: u32::MAX, leaf: Digest::of(&[b"leaf"]), status, identity }
}

fn own_version(version: u32, reason: Reason) -> OwnVersion {
    let entry = Entry {
        kind: Kind::Bind,
        label_id: LabelId::from_bytes([9; 32]),
        version,
        time: at(70),
        prev: if version == 0 { Digest::ZERO } else { Digest::of(&[b"own"]) },
        commitment: Digest::of(&[b"value"]),
    };
    OwnVersion { entry, reason, devices: 2, counts: None }
}

fn signed() -> SignedValue {
    let (account, identity) = (AccountId::from_bytes([1; 16]), IdentityKey::from_bytes([5; 32]));
    let value = AccountValue::new(account, identity, Status::Active, Reason::Registration, vec![]).unwrap();
    SignedValue { value, by_previous: None, by_self: Some([6; 64]) }
}

fn check(alarm: Option<Alarm>) -> OwnCheck {
    OwnCheck { checked_at: at(9), looked_at: at(7), alarm }
}

fn alarm(kind: AlarmKind, version: Option<u32>) -> Alarm {
    Alarm { kind, version, what: "a device that nobody here added".to_owned(), since: at(8) }
}

/// Closes the store and opens it again.
async fn reopen(store: Store, home: &Path) -> Store {
    store.close().await;
    open(home).await
}

#[tokio::test]
async fn a_log_comes_back_as_it_was_pinned_last() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.pinned_log(&origin("alpha.test")).await.unwrap(), None);
    // Everything is known at first, then less: nothing of the former row stays.
    let longest = (1 << 63) - 1;
    for log in [full_log("beta.test", longest), new_log("beta.test"), full_log("alpha.test", 0)] {
        tx.save_log(&log, at(20), at(10)).await.unwrap();
        assert_eq!(tx.pinned_log(&log.origin).await.unwrap().as_ref(), Some(&log));
    }
    let level = PinnedLog { level: Level::Quorum, ..full_log("alpha.test", longest) };
    tx.save_log(&level, at(40), at(30)).await.unwrap();
    tx.commit().await.unwrap();

    let store = reopen(store, home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let kept = [
        LogRow { log: level, seen: at(40), trusted_at: at(30) },
        LogRow { log: new_log("beta.test"), seen: at(20), trusted_at: at(10) },
    ];
    assert_eq!(tx.pinned_logs().await.unwrap(), kept);
    assert_eq!(tx.pinned_log(&origin("gamma.test")).await.unwrap(), None);
}

#[tokio::test]
async fn a_label_comes_back_with_and_without_its_key() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let (alice, bob) = (address(ALICE), address(BOB));
    let key = Some(IdentityKey::from_bytes([5; 32]));
    for status in [Status::Active, Status::Revoked, Status::Closed] {
        tx.save_label(&alice, &label(status, key)).await.unwrap();
        assert_eq!(tx.known_label(&alice).await.unwrap(), Some(label(status, key)));
    }
    tx.save_label(&alice, &label(Status::Closed, None)).await.unwrap();
    assert_eq!(tx.known_label(&bob).await.unwrap(), None);
    tx.commit().await.unwrap();

    let store = reopen(store, home.path()).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.known_label(&alice).await.unwrap(), Some(label(Status::Closed, None)));
}

#[tokio::test]
async fn an_alarm_about_the_own_keys_stays_until_a_look_finds_them_well() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.own_check().await.unwrap(), None);
    let alarmed = check(Some(alarm(AlarmKind::ResetPending, Some(u32::MAX))));
    tx.save_own_check(&check(None)).await.unwrap();
    tx.save_own_check(&alarmed).await.unwrap();
    tx.commit().await.unwrap();

    let store = reopen(store, home.path()).await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.own_check().await.unwrap(), Some(alarmed));
    for kind in [
        AlarmKind::Unlooked,
        AlarmKind::OtherIdentity,
        AlarmKind::Version,
        AlarmKind::Shown,
        AlarmKind::Forgotten,
    ] {
        let alarmed = check(Some(alarm(kind, None)));
        tx.save_own_check(&alarmed).await.unwrap();
        assert_eq!(tx.own_check().await.unwrap(), Some(alarmed));
    }
    tx.save_own_check(&check(None)).await.unwrap();
    assert_eq!(tx.own_check().await.unwrap(), Some(check(None)));
}

#[tokio::test]
async fn own_versions_come_in_their_order_each_once() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let full = |(version, reason)| OwnVersion { counts: Some(signed()), ..own_version(version, reason) };
    let all: Vec<_> = (0..).zip(Reason::ALL).map(full).collect();
    for version in all.iter().rev() {
        tx.save_own_version(&OwnVersion { devices: 0, ..version.clone() }).await.unwrap();
        tx.save_own_version(version).await.unwrap();
    }
    assert_eq!(tx.newest_own_version().await.unwrap(), all.last().cloned());
    tx.commit().await.unwrap();

    let store = reopen(store, home.path()).await;
    assert_eq!(store.begin().await.unwrap().own_versions().await.unwrap(), all);
}

#[tokio::test]
async fn a_store_of_the_layout_before_learns_of_logs_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let database = key::private_file(home.path()).unwrap();
    let mut sql = connect(home.path(), &database, &raw(7)).await.unwrap();
    for layout in &schema::LAYOUTS[..4] {
        sqlx::raw_sql(*layout).execute(&mut sql).await.unwrap();
    }
    let (bob, pinned) = (address(BOB), IdentityKey::from_bytes([3; 32]));
    sqlx::query("INSERT INTO identities (address, key, since) VALUES (?, ?, 5)")
        .bind(BOB)
        .bind(pinned.as_bytes().as_slice())
        .execute(&mut sql)
        .await
        .unwrap();
    sqlx::query("INSERT INTO put_back (one, at) VALUES (1, 6)").execute(&mut sql).await.unwrap();
    sql.close().await.unwrap();

    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let known = PinnedIdentity { address: bob.clone(), key: pinned, since: at(5), pending: None };
    assert_eq!(tx.identities().await.unwrap(), [known]);
    assert_eq!(tx.put_back().await.unwrap(), Some(at(6)));
    assert_eq!((tx.pinned_logs().await.unwrap(), tx.own_versions().await.unwrap()), (vec![], vec![]));
    assert_eq!((tx.known_label(&bob).await.unwrap(), tx.own_check().await.unwrap()), (None, None));
    tx.save_log(&full_log("beta.test", 9), at(2), at(1)).await.unwrap();
    tx.commit().await.unwrap();

    // Opened once more, nothing is migrated again.
    let store = reopen(store, home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(tx.sql()).await.unwrap();
    assert_eq!(found, 6);
    let beta = tx.pinned_log(&origin("beta.test")).await.unwrap();
    assert_eq!(beta, Some(full_log("beta.test", 9)));
}

/// What is known without an entry is read again; an alarm stays, and so does how far the log was seen.
#[tokio::test]
async fn a_store_that_knew_less_of_its_own_versions_keeps_its_alarm() {
    let home = tempfile::tempdir().unwrap();
    let database = key::private_file(home.path()).unwrap();
    let mut sql = connect(home.path(), &database, &raw(7)).await.unwrap();
    for layout in &schema::LAYOUTS[..5] {
        sqlx::raw_sql(*layout).execute(&mut sql).await.unwrap();
    }
    for row in [
        "INSERT INTO own_keys VALUES (1, 9, 'wrong', 8)",
        "INSERT INTO own_versions VALUES (0, zeroblob(32), 1, 3, 1)",
        "INSERT INTO labels VALUES ('alice@alpha.test', 0, zeroblob(32), 1, NULL)",
    ] {
        sqlx::query(row).execute(&mut sql).await.unwrap();
    }
    sql.close().await.unwrap();

    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    let alarm = Alarm { kind: AlarmKind::Version, version: None, what: "wrong".to_owned(), since: at(8) };
    let kept = OwnCheck { checked_at: at(9), looked_at: at(9), alarm: Some(alarm) };
    assert_eq!(tx.own_check().await.unwrap(), Some(kept));
    assert_eq!(tx.own_versions().await.unwrap(), []);
    assert_eq!(tx.known_label(&address(ALICE)).await.unwrap().map(|label| label.version), Some(0));
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_its_column() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    tx.save_log(&full_log("alpha.test", 9), at(2), at(1)).await.unwrap();
    tx.save_label(&address(BOB), &label(Status::Active, Some(IdentityKey::from_bytes([5; 32]))))
        .await
        .unwrap();
    tx.save_own_check(&check(Some(alarm(AlarmKind::Version, Some(1))))).await.unwrap();
    let own = OwnVersion { counts: Some(signed()), ..own_version(1, Reason::Devices) };
    tx.save_own_version(&own).await.unwrap();
    tx.commit().await.unwrap();

    let cases = [
        ("logs", "key", "'alpha.test/kt/v1+00000000+AQ'"),
        ("logs", "size", "-1"),
        ("logs", "root", "x'00'"),
        ("logs", "config_version", "4294967296"),
        ("logs", "config_leaf", "zeroblob(33)"),
        ("logs", "config", "x'0101'"),
        ("logs", "level", "3"),
        ("logs", "level", "-1"),
        ("logs", "seen", "-1"),
        ("logs", "trusted_at", "-1"),
        ("labels", "version", "-1"),
        ("labels", "leaf", "x''"),
        ("labels", "status", "4"),
        ("labels", "status", "257"),
        ("labels", "identity", "zeroblob(31)"),
        ("own_keys", "checked_at", "-1"),
        ("own_keys", "alarm_since", "-1"),
        ("own_keys", "looked_at", "-1"),
        ("own_keys", "alarm_kind", "6"),
        ("own_keys", "alarm_version", "-1"),
        ("own_versions", "entry", "zeroblob(110)"),
        ("own_versions", "counts", "x''"),
        ("own_versions", "reason", "0"),
        ("own_versions", "reason", "257"),
        ("own_versions", "devices", "4294967296"),
    ];
    for (table, column, value) in cases {
        // Dropped at the end of each turn: the next finds the row as it was.
        let mut tx = store.begin().await.unwrap();
        let damage = AssertSqlSafe(format!("UPDATE {table} SET {column} = {value}"));
        sqlx::query(damage).execute(tx.sql()).await.unwrap();
        let read = match table {
            "logs" => tx.pinned_log(&origin("alpha.test")).await.map(drop),
            "labels" => tx.known_label(&address(BOB)).await.map(drop),
            "own_keys" => tx.own_check().await.map(drop),
            _ => tx.own_versions().await.map(drop),
        };
        let error = read.unwrap_err();
        let StoreError::Damaged { table: named, what } = error else { panic!("{table}.{column}: {error:?}") };
        assert_eq!((named, what), (table, column), "{value}");
    }
    let mut tx = store.begin().await.unwrap();
    sqlx::query("UPDATE logs SET origin = 'a b'").execute(tx.sql()).await.unwrap();
    let error = tx.pinned_logs().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { table: "logs", what: "origin" }), "{error:?}");
}

#[tokio::test]
async fn parts_that_belong_together_are_there_together() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await;
    let mut tx = store.begin().await.unwrap();
    tx.save_log(&full_log("alpha.test", 9), at(2), at(1)).await.unwrap();
    tx.save_own_check(&check(None)).await.unwrap();
    for half in [
        "UPDATE logs SET size = NULL",
        "UPDATE logs SET root = NULL",
        "UPDATE logs SET config_version = NULL",
        "UPDATE logs SET config_leaf = NULL",
        "UPDATE logs SET config = NULL",
        "UPDATE own_keys SET alarm = 'wrong'",
        "UPDATE own_keys SET alarm_since = 1",
    ] {
        assert!(sqlx::query(half).execute(tx.sql()).await.is_err(), "{half}");
    }
}
