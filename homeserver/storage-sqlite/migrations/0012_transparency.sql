-- The key-transparency log. Entries are never changed or deleted.
CREATE TABLE kt_entries (
    idx      INTEGER PRIMARY KEY,
    label_id BLOB    NOT NULL,
    version  INTEGER NOT NULL,
    entry    BLOB    NOT NULL
) STRICT;

-- Entries without a label have no versions.
CREATE UNIQUE INDEX kt_versions ON kt_entries (label_id, version) WHERE label_id <> zeroblob(32);

-- What entries commit to. Erasing a person deletes rows here; the entries stay.
CREATE TABLE kt_contents (
    idx     INTEGER PRIMARY KEY REFERENCES kt_entries (idx),
    label   BLOB NOT NULL,
    opening BLOB NOT NULL,
    value   BLOB NOT NULL
) STRICT;

-- The tree over the entries (C2SP tlog-tiles); a tile grows until it has 256 hashes.
CREATE TABLE kt_tiles (
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

-- The newest checkpoint.
CREATE TABLE kt_head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    note TEXT    NOT NULL
) STRICT;
