-- Which domains have proven that they stored a submit; gone with it.
CREATE TABLE receipts (
    sender_pk INTEGER NOT NULL,
    id        BLOB    NOT NULL,
    domain    TEXT    NOT NULL,
    PRIMARY KEY (sender_pk, id, domain),
    FOREIGN KEY (sender_pk, id) REFERENCES submits (sender_pk, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- A receipt names messages only by their ids.
CREATE INDEX submits_by_id ON submits (id);

-- The receipt of a notice of kind 6.
ALTER TABLE mailbox ADD COLUMN receipt BLOB;
