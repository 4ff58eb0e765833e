//! What is on the disk, who can open it, and what happens when the disk is full.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{DatabaseKey, OpenError, Options, SqliteStorage, Synchronous};
use qpq_core::{
    AccountId, DeviceAddress, DeviceCertificate, DeviceId, GroupId, IdentityKey, MessageId, Seq,
    SignatureKey, Timestamp,
};
use qpq_storage::{Account, Device, EntryBody, Group, LogEntry, Storage, StorageError, StreamName};

const SECRET_TEXT: &[u8] = b"meet me at the old mill at midnight";
const SECRET_NAME: &str = "rumpelstiltskin";
const STREAM: StreamName = [5; 16];

fn key(number: u8) -> DatabaseKey {
    DatabaseKey::new([number; 32])
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

struct Place {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().join("homeserver.db"), _directory: directory }
    }

    async fn create(&self) -> SqliteStorage {
        SqliteStorage::create(&self.path, &key(1), &Options::default()).await.unwrap()
    }

    async fn open(&self) -> SqliteStorage {
        SqliteStorage::open(&self.path, &key(1), &Options::default()).await.unwrap()
    }
}

fn device() -> DeviceAddress {
    format!("{SECRET_NAME}@alpha.test/{}", DeviceId::from_bytes([3; 16])).parse().unwrap()
}

fn group_id() -> GroupId {
    GroupId::new([4; 16], 1, "alpha.test".parse().unwrap())
}

fn message(bytes: usize) -> LogEntry {
    let message = SECRET_TEXT.iter().copied().cycle().take(bytes).collect();
    LogEntry {
        seq: Seq::ZERO,
        id: MessageId::from_bytes([8; 16]),
        epoch: 0,
        at: at(1),
        expires_at: None,
        body: EntryBody::Application { message },
    }
}

/// Stores an account, its device and its group.
async fn furnish(storage: &SqliteStorage) {
    let id = AccountId::from_bytes([2; 16]);
    let account = Account {
        id,
        localpart: SECRET_NAME.parse().unwrap(),
        opaque_record: SECRET_TEXT.to_vec(),
        identity_key: IdentityKey::from_bytes([0x6b; 32]),
        sealed_identity: vec![0x6b; 60],
        created_at: at(1),
    };
    let certificate = DeviceCertificate {
        device: device(),
        signature_key: SignatureKey::from_bytes([0x6c; 32]),
        certified_at: at(1),
        signature: [0x6d; 64],
    };
    let first =
        Device { account: id, certificate, enrolled_at: at(1), last_seen_at: at(1), revoked_at: None };
    let group = Group {
        id: group_id(),
        epoch: 0,
        last_seq: Seq::ZERO,
        application_count: 0,
        accounts: 1,
        created_at: at(1),
    };
    let mut tx = storage.write().await.unwrap();
    tx.account_create(&account, &first, None).await.unwrap();
    tx.group_create(&group, &device(), &[], SECRET_TEXT).await.unwrap();
    tx.commit().await.unwrap();
}

async fn say(storage: &SqliteStorage, bytes: usize) -> Result<(), StorageError> {
    let mut tx = storage.write().await?;
    tx.log_append(&group_id(), &[message(bytes)]).await?;
    tx.commit().await
}

async fn said(storage: &SqliteStorage) -> u64 {
    let mut tx = storage.read().await.unwrap();
    tx.group(&group_id()).await.unwrap().map_or(0, |group| group.application_count)
}

/// All files beside the database, read by another process: opening and closing the file here would drop SQLite's
/// locks.
fn bytes_on_disk(path: &Path) -> Vec<u8> {
    let directory = path.parent().unwrap();
    let output = Command::new("sh").args(["-c", "cat ./*"]).current_dir(directory).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[tokio::test]
async fn no_plaintext_reaches_the_disk() {
    let place = Place::new();
    let storage = place.create().await;
    furnish(&storage).await;
    for _ in 0..50 {
        say(&storage, 3_000).await.unwrap();
    }
    let wal = place.path.with_file_name("homeserver.db-wal");
    assert!(wal.metadata().unwrap().len() > 100_000, "the WAL was not in use");
    for written in [bytes_on_disk(&place.path), {
        storage.close().await.unwrap();
        bytes_on_disk(&place.path)
    }] {
        assert!(written.len() > 100_000);
        let first = &written[..16];
        assert_ne!(first, b"SQLite format 3\0");
        let needles: [&[u8]; 8] = [
            SECRET_TEXT,
            SECRET_NAME.as_bytes(),
            b"alpha.test",
            b"CREATE TABLE",
            &[0x6b; 16],
            &[0x6c; 16],
            &[0x6d; 16],
            &[1; 16],
        ];
        for needle in needles {
            assert!(!written.windows(needle.len()).any(|window| window == needle), "found {needle:?}");
        }
    }
}

#[tokio::test]
async fn each_database_starts_with_other_bytes() {
    let (one, other) = (Place::new(), Place::new());
    one.create().await.close().await.unwrap();
    other.create().await.close().await.unwrap();
    assert_ne!(bytes_on_disk(&one.path).get(..16), bytes_on_disk(&other.path).get(..16));
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_one_sentence() {
    let place = Place::new();
    let storage = place.create().await;
    furnish(&storage).await;
    storage.close().await.unwrap();
    let error = SqliteStorage::open(&place.path, &key(2), &Options::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "the database key does not open `{}`: it belongs to another database, or the file is damaged",
            place.path.display()
        )
    );
    let storage = place.open().await;
    assert!(storage.read().await.unwrap().group(&group_id()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused() {
    let place = Place::new();
    let open = async || SqliteStorage::open(&place.path, &key(1), &Options::default()).await;
    assert!(matches!(open().await, Err(OpenError::Missing { .. })));
    std::fs::write(&place.path, "not a database").unwrap();
    assert!(matches!(open().await, Err(OpenError::NotADatabase { .. })));
    let created = SqliteStorage::create(&place.path, &key(1), &Options::default()).await;
    assert!(matches!(created, Err(OpenError::Exists { .. })));
    std::fs::remove_file(&place.path).unwrap();
    let plain = sqlx::sqlite::SqliteConnectOptions::new().filename(&place.path).create_if_missing(true);
    let mut plain = sqlx::ConnectOptions::connect(&plain).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (x)").execute(&mut plain).await.unwrap();
    sqlx::Connection::close(plain).await.unwrap();
    assert!(matches!(open().await, Err(OpenError::NotADatabase { .. })));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    place.create().await.close().await.unwrap();
    let raw = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&place.path)
        .pragma("key", format!("\"x'{}'\"", "01".repeat(32)));
    let mut raw = sqlx::ConnectOptions::connect(&raw).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut raw).await.unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    let error = SqliteStorage::open(&place.path, &key(1), &Options::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let place = Place::new();
    let storage = place.create().await;
    furnish(&storage).await;
    for name in ["homeserver.db", "homeserver.db-wal"] {
        let mode = place.path.with_file_name(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_full_database_keeps_nothing_and_recovers() {
    let place = Place::new();
    let storage = place.create().await;
    furnish(&storage).await;
    storage.close().await.unwrap();
    let most_pages = Some(u32::try_from(place.path.metadata().unwrap().len() / 4096 + 20).unwrap());
    let storage = SqliteStorage::open(&place.path, &key(1), &Options { most_pages, ..Options::default() })
        .await
        .unwrap();
    say(&storage, 1_000).await.unwrap();
    let error = say(&storage, 200_000).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    assert_eq!(said(&storage).await, 1);
    say(&storage, 1_000).await.unwrap();
    assert_eq!(said(&storage).await, 2);
    storage.close().await.unwrap();
    let storage = place.open().await;
    say(&storage, 200_000).await.unwrap();
    assert_eq!(said(&storage).await, 3);
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_and_recovers() {
    let disk = SmallDisk::mount();
    let Some(disk) = disk else { return };
    let path = disk.0.path().join("homeserver.db");
    let storage = SqliteStorage::create(&path, &key(1), &Options::default()).await.unwrap();
    furnish(&storage).await;
    let ballast = disk.0.path().join("ballast");
    let mut stored = 0;
    let error = loop {
        match say(&storage, 100_000).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        // The disk has 4 MiB: fill what is left of it early.
        if stored == 3 {
            drop(std::fs::write(&ballast, vec![0; 4 * 1024 * 1024]));
        }
    };
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    assert_eq!(said(&storage).await, stored);
    std::fs::remove_file(&ballast).unwrap();
    say(&storage, 100_000).await.unwrap();
    assert_eq!(said(&storage).await, stored + 1);
    storage.close().await.unwrap();
    let storage = SqliteStorage::open(&path, &key(1), &Options::default()).await.unwrap();
    assert_eq!(said(&storage).await, stored + 1);
    storage.close().await.unwrap();
}

/// A file system of 4 MiB; needs the right to mount, so the test says when it can't run.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: this user may not mount a small tmpfs");
        }
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).output());
    }
}

#[tokio::test]
async fn a_closed_database_refuses_in_words() {
    let place = Place::new();
    let storage = place.create().await;
    furnish(&storage).await;
    let reading = storage.read().await.unwrap();
    let writing = storage.write().await.unwrap();
    let (closed, ()) = tokio::join!(storage.close(), async {
        drop(reading);
        drop(writing);
    });
    closed.unwrap();
    storage.close().await.unwrap();
    assert!(matches!(storage.read().await, Err(StorageError::Unavailable { .. })));
    assert!(matches!(storage.write().await, Err(StorageError::Unavailable { .. })));
    let wal = place.path.with_file_name("homeserver.db-wal");
    assert!(!wal.exists(), "the writer did not empty the WAL");
}

#[tokio::test]
async fn a_writer_that_takes_too_long_is_waited_for_only_so_long() {
    let place = Place::new();
    place.create().await.close().await.unwrap();
    let turn_deadline = std::time::Duration::from_millis(50);
    let storage = SqliteStorage::open(&place.path, &key(1), &Options { turn_deadline, ..Options::default() })
        .await
        .unwrap();
    let slow = storage.write().await.unwrap();
    assert!(matches!(storage.write().await, Err(StorageError::Unavailable { .. })));
    drop(slow);
    storage.write().await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn durability_is_what_the_options_say() {
    assert_eq!(Options::default().synchronous, Synchronous::Full);
    let place = Place::new();
    place.create().await.close().await.unwrap();
    let options = Options { synchronous: Synchronous::Off, ..Options::default() };
    let storage = SqliteStorage::open(&place.path, &key(1), &options).await.unwrap();
    furnish(&storage).await;
    assert_eq!(said(&storage).await, 0);
}

/// Readers release their snapshots when they are dropped: otherwise the WAL would grow for ever.
#[tokio::test]
async fn the_wal_is_reused_while_readers_come_and_go() {
    let place = Place::new();
    let storage = place.create().await;
    furnish(&storage).await;
    for _ in 0..300 {
        let view = storage.read().await.unwrap();
        say(&storage, 100_000).await.unwrap();
        drop(view);
    }
    let wal = place.path.with_file_name("homeserver.db-wal").metadata().unwrap().len();
    assert!(wal < 40_000_000, "the WAL has {wal} bytes after 30 MB of messages");
    let heads = storage.read().await.unwrap().outbox_heads(&"beta.test".parse().unwrap()).await.unwrap();
    assert!(heads.iter().all(|head| head.lane.stream == STREAM));
}
