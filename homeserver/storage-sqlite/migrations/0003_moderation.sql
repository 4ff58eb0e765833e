-- Bans; registration tokens get a creator; what the lists of users and peers need.

-- kind: 0 a user of any domain, 1 a domain. `until`: null is for good.
CREATE TABLE bans (
    subject   TEXT    PRIMARY KEY,
    kind      INTEGER NOT NULL CHECK (kind IN (0, 1)),
    banned_by TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    until     INTEGER,
    reason    TEXT    NOT NULL
) STRICT;
CREATE INDEX bans_due ON bans (until) WHERE until IS NOT NULL;
CREATE INDEX bans_by_age ON bans (since);

ALTER TABLE registration_tokens ADD COLUMN creator TEXT NOT NULL DEFAULT '';
ALTER TABLE registration_tokens ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE INDEX registration_tokens_by_age ON registration_tokens (created_at);

-- The newest of what the account's devices say, so that the list of users is sorted without reading them all.
ALTER TABLE accounts ADD COLUMN last_seen_at INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET last_seen_at =
    COALESCE((SELECT MAX(last_seen_at) FROM devices WHERE devices.account = accounts.id), created_at);
CREATE INDEX accounts_by_age ON accounts (created_at);
CREATE INDEX accounts_by_last_seen ON accounts (last_seen_at);
