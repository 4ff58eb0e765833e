-- The first schema. Times are milliseconds since 1970, ids are their 16 bytes, addresses their one text form.
-- Large values come last in a row, so that reading the rest does not follow their overflow pages.

CREATE TABLE vault (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    domain      TEXT    NOT NULL,
    incarnation BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts (
    id              BLOB    PRIMARY KEY,
    localpart       TEXT    NOT NULL UNIQUE,
    identity_key    BLOB    NOT NULL,
    created_at      INTEGER NOT NULL,
    opaque_record   BLOB    NOT NULL,
    sealed_identity BLOB    NOT NULL
) STRICT;

CREATE TABLE devices (
    id                   BLOB    PRIMARY KEY,
    account              BLOB    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    address              TEXT    NOT NULL,
    signature_key        BLOB    NOT NULL,
    certified_at         INTEGER NOT NULL,
    signature            BLOB    NOT NULL,
    enrolled_at          INTEGER NOT NULL,
    last_seen_at         INTEGER NOT NULL,
    revoked_at           INTEGER,
    mailbox_last         INTEGER NOT NULL DEFAULT 0,
    mailbox_acknowledged INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX devices_by_account ON devices (account);
CREATE INDEX devices_by_age ON devices (enrolled_at, id);

-- The resumption token itself is never stored, only its SHA-256.
CREATE TABLE sessions (
    id              BLOB    PRIMARY KEY,
    account         BLOB    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device          BLOB    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    token           BLOB    NOT NULL UNIQUE,
    opened_at       INTEGER NOT NULL,
    resumed_at      INTEGER NOT NULL,
    resumable_until INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account, opened_at);
CREATE INDEX sessions_by_device ON sessions (device);
CREATE INDEX sessions_by_end ON sessions (resumable_until);

CREATE TABLE registration_tokens (
    id         BLOB    PRIMARY KEY,
    secret     BLOB    NOT NULL UNIQUE,
    uses       INTEGER,
    used       INTEGER NOT NULL,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- `gone`: handed out or replaced; kept only so that a repeated claim gets the same package again.
CREATE TABLE key_packages (
    device      BLOB    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    reference   BLOB    NOT NULL,
    not_after   INTEGER NOT NULL,
    last_resort INTEGER NOT NULL CHECK (last_resort IN (0, 1)),
    gone        INTEGER NOT NULL CHECK (gone IN (0, 1)),
    message     BLOB    NOT NULL,
    PRIMARY KEY (device, reference)
) STRICT;
CREATE INDEX key_packages_in_stock ON key_packages (device, last_resort, not_after, reference) WHERE gone = 0;
CREATE INDEX key_packages_by_end ON key_packages (not_after);

CREATE TABLE key_package_claims (
    requester TEXT NOT NULL,
    group_id  BLOB NOT NULL,
    device    BLOB NOT NULL,
    nonce     BLOB NOT NULL,
    reference BLOB NOT NULL,
    PRIMARY KEY (requester, group_id, device, nonce),
    FOREIGN KEY (device, reference) REFERENCES key_packages (device, reference) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX key_package_claims_by_package ON key_package_claims (device, reference);

-- `hubbed`: this domain orders the group.
CREATE TABLE mls_groups (
    pk                INTEGER PRIMARY KEY,
    id                BLOB    NOT NULL UNIQUE,
    hubbed            INTEGER NOT NULL CHECK (hubbed IN (0, 1)),
    epoch             INTEGER NOT NULL,
    last_seq          INTEGER NOT NULL,
    application_count INTEGER NOT NULL,
    accounts          INTEGER NOT NULL,
    created_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE group_infos (
    group_pk   INTEGER PRIMARY KEY REFERENCES mls_groups (pk) ON DELETE CASCADE,
    group_info BLOB    NOT NULL
) STRICT;

CREATE TABLE group_state (
    group_pk INTEGER NOT NULL REFERENCES mls_groups (pk) ON DELETE CASCADE,
    key      BLOB    NOT NULL,
    number   INTEGER NOT NULL,
    bytes    BLOB    NOT NULL,
    PRIMARY KEY (group_pk, key, number)
) STRICT;

CREATE TABLE group_trees (
    group_pk INTEGER NOT NULL REFERENCES mls_groups (pk) ON DELETE CASCADE,
    epoch    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    tree     BLOB    NOT NULL,
    PRIMARY KEY (group_pk, epoch)
) STRICT;

-- A device's backlog in a group is application_count - acknowledged_count - expired_after: the group's count now,
-- its count at the position that the device acknowledged, and the messages after it that expired meanwhile.
-- `local`: the device is this domain's, and reads from the log here.
CREATE TABLE members (
    group_pk           INTEGER NOT NULL REFERENCES mls_groups (pk) ON DELETE CASCADE,
    device             BLOB    NOT NULL,
    address            TEXT    NOT NULL,
    local              INTEGER NOT NULL CHECK (local IN (0, 1)),
    joined_seq         INTEGER NOT NULL,
    left_seq           INTEGER,
    needs_resync       INTEGER,
    acknowledged_seq   INTEGER NOT NULL,
    acknowledged_count INTEGER NOT NULL,
    expired_after      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (group_pk, device, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_device ON members (device) WHERE local = 1;

-- kind: 0 application message, 1 commit, 2 expired. `running`: application messages up to here, this one included
-- if `counted`.
CREATE TABLE log (
    pk         INTEGER PRIMARY KEY,
    group_pk   INTEGER NOT NULL REFERENCES mls_groups (pk) ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    epoch      INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    expires_at INTEGER,
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
    counted    INTEGER NOT NULL CHECK (counted IN (0, 1)),
    running    INTEGER NOT NULL,
    sender     TEXT,
    signature  BLOB,
    message    BLOB,
    UNIQUE (group_pk, seq)
) STRICT;
CREATE INDEX log_due ON log (expires_at) WHERE kind = 0 AND expires_at IS NOT NULL;

-- kind: 0 Welcome, 1 refused, 2 KeyPackages low, 3 needs resync, 4 removed.
CREATE TABLE mailbox (
    device            BLOB    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    seq               INTEGER NOT NULL,
    at                INTEGER NOT NULL,
    kind              INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 4),
    group_id          BLOB,
    epoch             INTEGER,
    start             INTEGER,
    sender            TEXT,
    message_id        BLOB,
    code              INTEGER,
    retry_after_ms    INTEGER,
    text              TEXT,
    one_time          INTEGER,
    last_resort_until INTEGER,
    welcome           BLOB,
    PRIMARY KEY (device, seq)
) STRICT;
CREATE INDEX mailbox_low ON mailbox (device) WHERE kind = 2;

CREATE TABLE senders (
    pk      INTEGER PRIMARY KEY,
    address TEXT    NOT NULL UNIQUE
) STRICT;

-- `seq`: the position in the log here; null when the hub is elsewhere.
CREATE TABLE submits (
    sender_pk INTEGER NOT NULL REFERENCES senders (pk),
    id        BLOB    NOT NULL,
    payload   BLOB    NOT NULL,
    seq       INTEGER,
    at        INTEGER NOT NULL,
    until     INTEGER NOT NULL,
    PRIMARY KEY (sender_pk, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX submits_by_end ON submits (until);

CREATE TABLE outbox_streams (
    pk               INTEGER PRIMARY KEY,
    destination      TEXT    NOT NULL,
    stream           BLOB    NOT NULL,
    last_seq         INTEGER NOT NULL,
    acknowledged_seq INTEGER NOT NULL,
    chain            BLOB,
    UNIQUE (destination, stream)
) STRICT;
CREATE INDEX outbox_waiting ON outbox_streams (destination, stream) WHERE acknowledged_seq < last_seq;

CREATE TABLE outbox (
    pk         INTEGER PRIMARY KEY,
    stream_pk  INTEGER NOT NULL REFERENCES outbox_streams (pk),
    seq        INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    kind       INTEGER NOT NULL,
    expires_at INTEGER,
    at         INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    payload    BLOB    NOT NULL,
    UNIQUE (stream_pk, seq)
) STRICT;
CREATE INDEX outbox_due ON outbox (expires_at) WHERE expires_at IS NOT NULL;

-- One row per acknowledgement instead of a mark on each row: rows up to `through`, after the one before, were
-- stored by the destination at this time.
CREATE TABLE outbox_acknowledgements (
    pk          INTEGER PRIMARY KEY,
    destination TEXT    NOT NULL,
    stream_pk   INTEGER NOT NULL REFERENCES outbox_streams (pk),
    through     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_acknowledgements_by_destination ON outbox_acknowledgements (destination, pk);
CREATE INDEX outbox_acknowledgements_by_stream ON outbox_acknowledgements (stream_pk, through);

CREATE TABLE outbox_backoffs (
    destination TEXT    PRIMARY KEY,
    failures    INTEGER NOT NULL,
    retry_at    INTEGER
) STRICT;

CREATE TABLE inbox_streams (
    origin       TEXT    NOT NULL,
    stream       BLOB    NOT NULL,
    incarnation  BLOB    NOT NULL,
    last_applied INTEGER NOT NULL,
    chain        BLOB    NOT NULL,
    header       BLOB    NOT NULL,
    PRIMARY KEY (origin, stream)
) STRICT;

CREATE TABLE inbox_parked (
    pk      INTEGER PRIMARY KEY,
    origin  TEXT    NOT NULL,
    stream  BLOB    NOT NULL,
    seq     INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    id      BLOB    NOT NULL,
    payload BLOB    NOT NULL
) STRICT;

-- state: 0 allowed, 1 awaiting confirmation, 2 blocked.
CREATE TABLE peers (
    domain         TEXT    PRIMARY KEY,
    state          INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    address        TEXT    NOT NULL,
    pin            BLOB    NOT NULL,
    federation_key BLOB    NOT NULL,
    incarnation    BLOB,
    refused        TEXT,
    since          INTEGER NOT NULL,
    note           TEXT    NOT NULL,
    ca_certificate BLOB    NOT NULL
) STRICT;

CREATE TABLE invites (
    id         BLOB    PRIMARY KEY,
    secret     BLOB    NOT NULL UNIQUE,
    bound_to   TEXT,
    expires_at INTEGER NOT NULL,
    used_by    TEXT,
    used_pin   BLOB,
    created_at INTEGER NOT NULL,
    CHECK ((used_by IS NULL) = (used_pin IS NULL))
) STRICT;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    request BLOB    NOT NULL
) STRICT;
