//! Files of every released schema are brought to today's, and nothing of them is lost.

use qpq_core::{DeviceId, Digest, GroupId, Seq, Timestamp};
use qpq_storage::{AuditFilter, Backlog, EntryBody, Feed, LogEntry, Storage as _};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{DatabaseKey, Options, SqliteStorage};

/// The schema of the first release, as it was; never to be changed.
const FIRST: &str = include_str!("../../migrations/0001_first.sql");

/// The schema of the log before it had witnesses, after the first one.
const UNTIL_ACCOUNTS_IN_THE_LOG: [&str; 2] = [
    include_str!("../../migrations/0012_transparency.sql"),
    include_str!("../../migrations/0013_accounts_in_the_log.sql"),
];

async fn raw(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .pragma("key", format!("\"x'{}'\"", "01".repeat(32)));
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn audit_rows_of_the_first_schema_are_chained_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("homeserver.db");
    let mut connection = raw(&path).await;
    sqlx::raw_sql(FIRST).execute(&mut connection).await.unwrap();
    // Numbers 2 and 3 are missing, as after a transaction that was undone.
    for (seq, action) in [(1, "token.create"), (4, "peer.invite"), (5, "peer.remove")] {
        sqlx::query("INSERT INTO audit (seq, at, actor, action, target, reason, request) VALUES (?, 7, 'uid:0', ?, 'x', '', ?)")
            .bind(seq)
            .bind(action)
            .bind(vec![9_u8; 16])
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let key = DatabaseKey::new([1; 32]);
    let storage = SqliteStorage::open(&path, &key, &Options::default()).await.unwrap();
    let all = AuditFilter::default();
    let records = storage.read().await.unwrap().audit_after(&all, Seq::ZERO, 10).await.unwrap();
    let actions: Vec<&str> = records.iter().map(|record| record.entry.action.as_str()).collect();
    assert_eq!(actions, ["token.create", "peer.invite", "peer.remove"]);
    let mut hash = Digest::ZERO;
    for (record, seq) in records.iter().zip(1..) {
        assert_eq!(record.seq, Seq(seq));
        assert_eq!(record.hash, record.entry.chained(record.seq, &hash));
        hash = record.hash;
    }
    storage.close().await.unwrap();
    // Opened once more, nothing is migrated again.
    let storage = SqliteStorage::open(&path, &key, &Options::default()).await.unwrap();
    assert_eq!(storage.read().await.unwrap().audit_count(&all).await.unwrap(), 3);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn rows_that_waited_before_there_were_request_ids_are_sent_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("homeserver.db");
    let mut connection = raw(&path).await;
    sqlx::raw_sql(FIRST).execute(&mut connection).await.unwrap();
    let waiting = "INSERT INTO vault (id, domain, incarnation, created_at)
                   VALUES (1, 'alpha.test', zeroblob(16), 1);
                   INSERT INTO outbox_streams (pk, destination, stream, last_seq, acknowledged_seq)
                   VALUES (1, 'beta.test', zeroblob(16), 1, 0);
                   INSERT INTO outbox (stream_pk, seq, id, kind, at, bytes, payload)
                   VALUES (1, 1, zeroblob(16), 2, 7, 1, x'01');
                   PRAGMA user_version = 1";
    sqlx::raw_sql(waiting).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let storage = SqliteStorage::open(&path, &DatabaseKey::new([1; 32]), &Options::default()).await.unwrap();
    let mut tx = storage.read().await.unwrap();
    let incarnation = tx.vault().await.unwrap().unwrap().incarnation;
    let lane = qpq_storage::OutboxLane { incarnation, stream: [0; 16] };
    let rows = tx.outbox_rows(&"beta.test".parse().unwrap(), &lane, Seq(1), 10, 1_000).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.seq, row.row.request)).collect::<Vec<_>>(), [(Seq(1), None)]);
    drop(tx);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_log_from_before_backlogs_had_a_weight_is_read_on_and_weighs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("homeserver.db");
    let mut connection = raw(&path).await;
    sqlx::raw_sql(FIRST).execute(&mut connection).await.unwrap();
    let group = GroupId::new([3; 16], 1, "alpha.test".parse().unwrap());
    sqlx::query(
        "INSERT INTO mls_groups (pk, id, hubbed, epoch, last_seq, application_count, accounts, created_at)
         VALUES (1, ?, 1, 1, 3, 2, 3, 1)",
    )
    .bind(group.to_bytes())
    .execute(&mut connection)
    .await
    .unwrap();
    let rows = "INSERT INTO members (group_pk, device, address, local, joined_seq, acknowledged_seq,
                                     acknowledged_count)
                VALUES (1, x'07070707070707070707070707070707', 'alice@alpha.test/dev_07070707070707070707070707070707',
                        1, 0, 1, 0);
                INSERT INTO log (group_pk, seq, id, epoch, at, kind, counted, running, message)
                VALUES (1, 1, zeroblob(16), 0, 5, 1, 0, 0, x'01'), (1, 2, zeroblob(16), 1, 6, 0, 1, 1, x'0202'),
                       (1, 3, zeroblob(16), 1, 7, 0, 1, 2, x'030303');
                UPDATE log SET sender = 'alice@alpha.test/dev_07070707070707070707070707070707', signature = zeroblob(64)
                WHERE kind = 1;
                PRAGMA user_version = 1";
    sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let storage = SqliteStorage::open(&path, &DatabaseKey::new([1; 32]), &Options::default()).await.unwrap();
    let mut tx = storage.write().await.unwrap();
    let alice = DeviceId::from_bytes([7; 16]);
    let read = tx.log_after(&group, Seq(0), 10, 1_000).await.unwrap();
    assert_eq!(
        read.iter().map(|entry| (entry.seq, entry.at.as_millis())).collect::<Vec<_>>(),
        [(Seq(1), 5), (Seq(2), 6), (Seq(3), 7)]
    );
    assert_eq!(tx.backlogs(&[alice]).await.unwrap(), [Backlog { messages: 2, bytes: 0 }]);
    let new =
        LogEntry { body: EntryBody::Application { message: vec![9; 70] }, ..read.last().unwrap().clone() };
    tx.log_append(&group, &[new]).await.unwrap();
    assert_eq!(tx.backlogs(&[alice]).await.unwrap(), [Backlog { messages: 3, bytes: 70 }]);
    tx.feeds_acknowledge(&alice, &[(Feed::Group(group.clone()), Seq(3))]).await.unwrap();
    assert_eq!(tx.backlogs(&[alice]).await.unwrap(), [Backlog { messages: 1, bytes: 70 }]);
    let absent = |millis| Timestamp::from_millis(millis);
    assert_eq!(tx.members_absent(absent(8), 10).await.unwrap(), [(group, alice)]);
    assert_eq!(tx.members_absent(absent(7), 10).await.unwrap(), []);
    drop(tx);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_log_from_before_there_were_witnesses_is_read_on_and_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("homeserver.db");
    let key = DatabaseKey::new([1; 32]);
    // What lies between changes nothing of the log.
    SqliteStorage::create(&path, &key, &Options::default()).await.unwrap().close().await.unwrap();
    let mut connection = raw(&path).await;
    let tables =
        "DROP TABLE kt_mirror; DROP TABLE kt_witnessed; DROP TABLE kt_evidence; DROP TABLE kt_cosigned;
                  DROP TABLE kt_collected; DROP TABLE kt_our_witnesses;
                  DROP TABLE kt_seen; DROP TABLE kt_contents; DROP TABLE kt_entries; DROP TABLE kt_tiles;
                  DROP TABLE kt_head";
    sqlx::raw_sql(tables).execute(&mut connection).await.unwrap();
    for schema in UNTIL_ACCOUNTS_IN_THE_LOG {
        sqlx::raw_sql(schema).execute(&mut connection).await.unwrap();
    }
    let rows = "INSERT INTO kt_entries (idx, label_id, version, entry)
                VALUES (0, zeroblob(32), 0, zeroblob(110)), (1, x'0101010101010101010101010101010101010101010101010101010101010101', 0, zeroblob(110));
                INSERT INTO kt_head (id, size, note) VALUES (1, 2, 'note');
                INSERT INTO kt_seen (idx, note) VALUES (1, 'seen');
                PRAGMA user_version = 13";
    sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let storage = SqliteStorage::open(&path, &key, &Options::default()).await.unwrap();
    let mut tx = storage.write().await.unwrap();
    let head = tx.kt_head().await.unwrap().unwrap();
    assert_eq!((head.size, tx.kt_seen(1).await.unwrap().as_deref()), (2, Some("seen")));
    assert_eq!(tx.kt_latest_within(&[1; 32], 2).await.unwrap().map(|row| row.index), Some(1));
    assert_eq!((tx.kt_cosigned().await.unwrap(), tx.kt_our_witnesses().await.unwrap()), (None, vec![]));
    assert_eq!(tx.kt_witnessed_after("", 9).await.unwrap(), []);
    tx.kt_keep_cosigned(&head).await.unwrap();
    tx.commit().await.unwrap();
    storage.close().await.unwrap();
}
