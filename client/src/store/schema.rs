//! The layout of the database, and the way from older layouts to it: forward only, one transaction each.

use sqlx::SqliteConnection;

use super::{StoreError, row::failed};

/// Layout N is made by entry N − 1; each ends by saying its number. Never change one that was released.
pub(super) const LAYOUTS: &[&str] = &[FIRST, CONTACTS, PROOFS, KEPT, LOGS, OWN_CHAIN];

const FIRST: &str = "
CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    address TEXT NOT NULL,
    server TEXT NOT NULL,
    pin TEXT,
    ca BLOB,
    identity BLOB NOT NULL,
    signature_secret BLOB NOT NULL,
    suite INTEGER NOT NULL,
    device TEXT NOT NULL,
    signature_key BLOB NOT NULL,
    certified_at INTEGER NOT NULL,
    certificate BLOB NOT NULL,
    CHECK ((pin IS NULL) <> (ca IS NULL))
) STRICT;
CREATE TABLE session (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    session BLOB NOT NULL,
    token BLOB NOT NULL,
    offered BLOB,
    resumption_expires_at INTEGER NOT NULL,
    session_expires_at INTEGER NOT NULL,
    incarnation BLOB NOT NULL
) STRICT;
CREATE TABLE identities (
    address TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    since INTEGER NOT NULL,
    pending BLOB,
    pending_since INTEGER,
    CHECK ((pending IS NULL) = (pending_since IS NULL))
) STRICT;
CREATE TABLE certificates (
    device TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    signature_key BLOB NOT NULL,
    certified_at INTEGER NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE INDEX certificates_of ON certificates (address);
CREATE TABLE key_packages (
    reference BLOB PRIMARY KEY,
    last_resort INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    private BLOB NOT NULL,
    key_package BLOB NOT NULL,
    uploaded INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE groups (
    id BLOB PRIMARY KEY,
    name TEXT,
    peer TEXT,
    state INTEGER NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    group_info BLOB,
    ratchet_tree BLOB
) STRICT;
CREATE INDEX groups_with ON groups (peer);
CREATE TABLE members (
    group_id BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    device TEXT NOT NULL,
    signature_key BLOB NOT NULL,
    PRIMARY KEY (group_id, leaf)
) STRICT, WITHOUT ROWID;
CREATE TABLE mls_groups (
    id INTEGER PRIMARY KEY,
    group_id BLOB NOT NULL UNIQUE,
    epoch INTEGER NOT NULL
) STRICT;
CREATE TABLE mls_values (
    id INTEGER PRIMARY KEY,
    mls_group INTEGER NOT NULL,
    key BLOB NOT NULL,
    UNIQUE (mls_group, key)
) STRICT;
-- id = value * 2^32 + number of the chunk: one tree, in order, and an update touches one page.
CREATE TABLE mls_chunks (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
-- The mailbox is the feed with the empty id.
CREATE TABLE positions (
    feed BLOB PRIMARY KEY,
    incarnation BLOB NOT NULL,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id BLOB NOT NULL,
    sender TEXT NOT NULL,
    id BLOB NOT NULL,
    text TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    unread INTEGER NOT NULL DEFAULT 1,
    UNIQUE (group_id, sender, id)
) STRICT;
CREATE INDEX messages_unread ON messages (place) WHERE unread = 1;
CREATE TABLE outgoing (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    to_user TEXT,
    to_group BLOB,
    content BLOB NOT NULL,
    state INTEGER NOT NULL,
    state_at INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    ciphertext BLOB,
    epoch INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    CHECK (to_user IS NOT NULL OR to_group IS NOT NULL),
    CHECK ((ciphertext IS NULL) = (epoch IS NULL))
) STRICT;
CREATE INDEX outgoing_open ON outgoing (state, place) WHERE state < 2;
CREATE TABLE pending_commits (
    group_id BLOB PRIMARY KEY,
    id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    commit_message BLOB NOT NULL,
    group_info BLOB NOT NULL,
    welcome BLOB NOT NULL,
    signature BLOB NOT NULL,
    purpose TEXT NOT NULL,
    since INTEGER NOT NULL,
    accepted INTEGER NOT NULL
) STRICT;
PRAGMA user_version = 1;
";

/// Who has to accept this account first; `accepted` until the user knows.
const CONTACTS: &str = "
CREATE TABLE requested (
    address TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    ask_again INTEGER NOT NULL,
    accepted INTEGER
) STRICT;
PRAGMA user_version = 2;
";

/// What domains have signed about messages of this device, and the hash that ties a message to it.
const PROOFS: &str = "
ALTER TABLE outgoing ADD COLUMN ciphertext_sha256 BLOB;
CREATE TABLE proofs (
    message BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    role INTEGER NOT NULL,
    domain TEXT NOT NULL,
    recipient TEXT NOT NULL,
    statement BLOB NOT NULL,
    signature BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    path BLOB NOT NULL,
    pin BLOB,
    PRIMARY KEY (message, ciphertext, role, domain)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 3;
";

/// What is kept of messages that are in their logs, to be offered again after the homeserver's database was put back.
/// `offered_from`: the state that it had then, else 0; `put_back`: when that was noticed last.
const KEPT: &str = "
ALTER TABLE outgoing ADD COLUMN offered_from INTEGER NOT NULL DEFAULT 0;
CREATE TABLE put_back (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX outgoing_kept ON outgoing (state_at) WHERE state = 2 AND ciphertext IS NOT NULL;
PRAGMA user_version = 4;
";

/// What is pinned of key-transparency logs and known of the accounts in them, and what was verified of the account's own
/// keys there. `seen`: when the last answer was verified; `trusted_at`: when that was witnessed or claimed; `level`: 0
/// logged, 1 peer, 2 quorum; `alarm`: what is wrong with the own keys, in words: while it is set nothing is sent.
const LOGS: &str = "
CREATE TABLE logs (
    origin TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    size INTEGER,
    root BLOB,
    config_version INTEGER,
    config_leaf BLOB,
    config BLOB,
    level INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    trusted_at INTEGER NOT NULL,
    CHECK ((size IS NULL) = (root IS NULL)),
    CHECK ((config_version IS NULL) = (config IS NULL)),
    CHECK ((config_leaf IS NULL) = (config IS NULL))
) STRICT;
CREATE TABLE labels (
    address TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    status INTEGER NOT NULL,
    identity BLOB
) STRICT;
CREATE TABLE own_keys (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    checked_at INTEGER NOT NULL,
    alarm TEXT,
    alarm_since INTEGER,
    CHECK ((alarm IS NULL) = (alarm_since IS NULL))
) STRICT;
-- The versions that this device has verified.
CREATE TABLE own_versions (
    version INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL,
    reason INTEGER NOT NULL,
    time INTEGER NOT NULL,
    devices INTEGER NOT NULL
) STRICT;
PRAGMA user_version = 5;
";

/// What is known of the own keys: alarms with their kind (an old one: a version that is not right) and the version that raised
/// them, when the log was found last to show others the same, and of each version its entry and what counts after it. What was
/// known of versions without that is read again; that they were there, `labels` remembers.
const OWN_CHAIN: &str = "
ALTER TABLE own_keys ADD COLUMN alarm_kind INTEGER;
ALTER TABLE own_keys ADD COLUMN alarm_version INTEGER;
ALTER TABLE own_keys ADD COLUMN looked_at INTEGER NOT NULL DEFAULT 0;
UPDATE own_keys SET looked_at = checked_at;
UPDATE own_keys SET alarm_kind = 3 WHERE alarm IS NOT NULL;
DROP TABLE own_versions;
CREATE TABLE own_versions (
    version INTEGER PRIMARY KEY,
    entry BLOB NOT NULL,
    reason INTEGER NOT NULL,
    devices INTEGER NOT NULL,
    counts BLOB
) STRICT;
PRAGMA user_version = 6;
";

/// Brings the database to the newest layout; one of a newer version is refused.
pub(super) async fn migrate(sql: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *sql)
        .await
        .map_err(failed("read its layout"))?;
    let known = i64::try_from(LAYOUTS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let missing = LAYOUTS.iter().skip(usize::try_from(found).unwrap_or(0));
    for layout in missing {
        let step = async {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *sql).await?;
            sqlx::raw_sql(*layout).execute(&mut *sql).await?;
            sqlx::query("COMMIT").execute(&mut *sql).await
        };
        step.await.map_err(failed("change its layout"))?;
    }
    Ok(())
}
