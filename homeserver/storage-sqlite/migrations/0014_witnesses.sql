-- Logs of other domains that are witnessed here: the key of each, the last checkpoint that was cosigned, and how far its entries
-- are mirrored (with the partial tiles over them, lowest level first). Nothing here goes back.
CREATE TABLE kt_witnessed (
    pk       INTEGER PRIMARY KEY,
    origin   TEXT    NOT NULL UNIQUE,
    key      TEXT    NOT NULL,
    size     INTEGER,
    note     TEXT,
    mirrored INTEGER NOT NULL DEFAULT 0,
    edge     BLOB    NOT NULL DEFAULT x'',
    CHECK ((size IS NULL) = (note IS NULL)),
    CHECK (mirrored <= COALESCE(size, 0))
) STRICT;

-- Their entries, which are never changed or deleted.
CREATE TABLE kt_mirror (
    log_pk INTEGER NOT NULL REFERENCES kt_witnessed (pk),
    idx    INTEGER NOT NULL,
    entry  BLOB    NOT NULL,
    PRIMARY KEY (log_pk, idx)
) STRICT, WITHOUT ROWID;

-- Evidence that a log has two histories: kept for ever, and taken to count until an admin says otherwise.
CREATE TABLE kt_evidence (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    origin     TEXT    NOT NULL,
    smaller    INTEGER NOT NULL,
    larger     INTEGER NOT NULL,
    evidence   TEXT    NOT NULL,
    brought_by TEXT    NOT NULL,
    found_at   INTEGER NOT NULL,
    cleared_at INTEGER,
    UNIQUE (origin, smaller, larger)
) STRICT;

-- The newest checkpoint of our own log that had the cosignatures it needs.
CREATE TABLE kt_cosigned (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    note TEXT    NOT NULL
) STRICT;

-- Those that still collect them.
CREATE TABLE kt_collected (
    size INTEGER PRIMARY KEY,
    note TEXT    NOT NULL
) STRICT;

-- What the witnesses of our own log did last.
CREATE TABLE kt_our_witnesses (
    key       TEXT    PRIMARY KEY,
    size      INTEGER NOT NULL,
    signed_at INTEGER,
    failed    TEXT,
    failed_at INTEGER,
    CHECK ((failed IS NULL) = (failed_at IS NULL))
) STRICT, WITHOUT ROWID;
