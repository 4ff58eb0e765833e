-- Consent: who of other domains was accepted or declined, who waits, and who asked for whom lately.

-- state: 0 requested, 1 accepted, 2 declined. `since`: of a request and an acceptance; `until`: of a request and a decline.
CREATE TABLE contacts (
    account BLOB    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    other   TEXT    NOT NULL,
    domain  TEXT    NOT NULL,
    state   INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    since   INTEGER CHECK ((since IS NULL) = (state = 2)),
    until   INTEGER CHECK ((until IS NULL) = (state = 1)),
    PRIMARY KEY (account, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_waiting ON contacts (account, since) WHERE state = 0;
CREATE INDEX contacts_waiting_by_other ON contacts (other, until) WHERE state = 0;
CREATE INDEX contacts_waiting_by_domain ON contacts (domain, until) WHERE state = 0;
CREATE INDEX contacts_by_end ON contacts (until) WHERE until IS NOT NULL;

-- The target need not exist.
CREATE TABLE contact_asks (
    requester TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    domain    TEXT    NOT NULL,
    until     INTEGER NOT NULL,
    PRIMARY KEY (requester, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_asks_by_domain ON contact_asks (domain, until);
CREATE INDEX contact_asks_by_end ON contact_asks (until);

-- For which group a device's packages were handed out.
CREATE INDEX key_package_claims_by_group ON key_package_claims (device, group_id);

-- Notices get another kind, and the list of kinds is the code's: a CHECK can't be changed, only left out of a new table.
CREATE TABLE new_mailbox (
    device            BLOB    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    seq               INTEGER NOT NULL,
    at                INTEGER NOT NULL,
    kind              INTEGER NOT NULL,
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
INSERT INTO new_mailbox
    SELECT device, seq, at, kind, group_id, epoch, start, sender, message_id, code, retry_after_ms, text, one_time,
           last_resort_until, welcome FROM mailbox;
DROP TABLE mailbox;
ALTER TABLE new_mailbox RENAME TO mailbox;
CREATE INDEX mailbox_low ON mailbox (device) WHERE kind = 2;
CREATE INDEX mailbox_contacts ON mailbox (device, text) WHERE kind = 5;
