-- Rows for peers are numbered anew in each life (incarnation) of this database: a restored one must not give a number to
-- another row. Until now there was one life, the vault's.
CREATE TABLE outbox_streams_by_life (
    pk               INTEGER PRIMARY KEY,
    destination      TEXT    NOT NULL,
    incarnation      BLOB    NOT NULL,
    stream           BLOB    NOT NULL,
    last_seq         INTEGER NOT NULL,
    acknowledged_seq INTEGER NOT NULL,
    chain            BLOB,
    UNIQUE (destination, incarnation, stream)
) STRICT;
INSERT INTO outbox_streams_by_life (pk, destination, incarnation, stream, last_seq, acknowledged_seq, chain)
    SELECT s.pk, s.destination, v.incarnation, s.stream, s.last_seq, s.acknowledged_seq, s.chain
    FROM outbox_streams s, vault v;

CREATE TABLE outbox_by_life (
    pk         INTEGER PRIMARY KEY,
    stream_pk  INTEGER NOT NULL REFERENCES outbox_streams_by_life (pk),
    seq        INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    kind       INTEGER NOT NULL,
    expires_at INTEGER,
    at         INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    payload    BLOB    NOT NULL,
    request    BLOB,
    UNIQUE (stream_pk, seq)
) STRICT;
INSERT INTO outbox_by_life (pk, stream_pk, seq, id, kind, expires_at, at, bytes, payload, request)
    SELECT pk, stream_pk, seq, id, kind, expires_at, at, bytes, payload, request FROM outbox;

CREATE TABLE outbox_acknowledgements_by_life (
    pk          INTEGER PRIMARY KEY,
    destination TEXT    NOT NULL,
    stream_pk   INTEGER NOT NULL REFERENCES outbox_streams_by_life (pk),
    through     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT;
INSERT INTO outbox_acknowledgements_by_life (pk, destination, stream_pk, through, at, rows, bytes)
    SELECT pk, destination, stream_pk, through, at, rows, bytes FROM outbox_acknowledgements;

DROP TABLE outbox_acknowledgements;
DROP TABLE outbox;
DROP TABLE outbox_streams;
ALTER TABLE outbox_streams_by_life RENAME TO outbox_streams;
ALTER TABLE outbox_by_life RENAME TO outbox;
ALTER TABLE outbox_acknowledgements_by_life RENAME TO outbox_acknowledgements;
CREATE INDEX outbox_waiting ON outbox_streams (destination, incarnation, stream) WHERE acknowledged_seq < last_seq;
CREATE INDEX outbox_due ON outbox (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX outbox_acknowledgements_by_destination ON outbox_acknowledgements (destination, pk);
CREATE INDEX outbox_acknowledgements_by_stream ON outbox_acknowledgements (stream_pk, through);

-- Rows up to here are inside a completed backup: their origin need not keep them for us.
ALTER TABLE inbox_streams ADD COLUMN backed_up INTEGER NOT NULL DEFAULT 0;

-- Rows that were lost for good: ours (0) that a peer asked for after they were forgotten, or a peer's (1).
CREATE TABLE stream_gaps (
    pk        INTEGER PRIMARY KEY,
    direction INTEGER NOT NULL CHECK (direction IN (0, 1)),
    domain    TEXT    NOT NULL,
    stream    BLOB    NOT NULL,
    first     INTEGER NOT NULL,
    through   INTEGER NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX stream_gaps_by_domain ON stream_gaps (domain, pk);

-- Messages that a peer could not take; an admin replays or drops them.
CREATE TABLE dead_letters (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT    NOT NULL,
    stream      BLOB    NOT NULL,
    message     BLOB    NOT NULL,
    kind        INTEGER NOT NULL,
    expires_at  INTEGER,
    accepted_at INTEGER NOT NULL,
    payload     BLOB    NOT NULL,
    request     BLOB,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_destination ON dead_letters (destination, id);
CREATE INDEX dead_letters_due ON dead_letters (expires_at) WHERE expires_at IS NOT NULL;

-- Peers that an admin told to wait: rows stay, nothing goes out.
CREATE TABLE peer_pauses (
    domain TEXT    PRIMARY KEY,
    reason TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

-- A peer has shown a header that this domain signed and this database doesn't hold: it is older than what was sent. Nothing
-- is served until an admin has acted.
CREATE TABLE rollbacks (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    shown_by TEXT    NOT NULL,
    stream   BLOB    NOT NULL,
    evidence BLOB    NOT NULL,
    later    BLOB,
    at       INTEGER NOT NULL
) STRICT;
