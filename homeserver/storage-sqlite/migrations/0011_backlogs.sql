-- Bytes of application messages that wait for a device, kept like their count: application_bytes - acknowledged_bytes -
-- expired_bytes. What was stored before weighs nothing.
ALTER TABLE mls_groups ADD COLUMN application_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN acknowledged_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN expired_bytes INTEGER NOT NULL DEFAULT 0;

-- The log is made anew: a column behind the message would be read through all of its pages.
-- kind: 0 application message, 1 commit, 2 expired. `running`, `running_bytes`: application messages up to here, this one
-- included if `counted`; `bytes`: what it added.
CREATE TABLE log_with_bytes (
    pk            INTEGER PRIMARY KEY,
    group_pk      INTEGER NOT NULL REFERENCES mls_groups (pk) ON DELETE CASCADE,
    seq           INTEGER NOT NULL,
    id            BLOB    NOT NULL,
    epoch         INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    expires_at    INTEGER,
    kind          INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
    counted       INTEGER NOT NULL CHECK (counted IN (0, 1)),
    running       INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    running_bytes INTEGER NOT NULL,
    sender        TEXT,
    signature     BLOB,
    message       BLOB,
    UNIQUE (group_pk, seq)
) STRICT;
INSERT INTO log_with_bytes
    SELECT pk, group_pk, seq, id, epoch, at, expires_at, kind, counted, running, 0, 0, sender, signature, message
    FROM log;
DROP TABLE log;
ALTER TABLE log_with_bytes RENAME TO log;
CREATE INDEX log_due ON log (expires_at) WHERE kind = 0 AND expires_at IS NOT NULL;
