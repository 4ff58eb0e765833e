-- Who may use the console. Secrets that we make are here as their SHA-256 only; a password as its Argon2id hash. The TOTP
-- secret must be read to check a code, so it is here as it is.

CREATE TABLE admins (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    name            TEXT    NOT NULL UNIQUE,
    role            TEXT    NOT NULL CHECK (role IN ('owner', 'operator', 'auditor')),
    created_at      INTEGER NOT NULL,
    created_by      TEXT    NOT NULL,
    last_sign_in_at INTEGER,
    password        TEXT,
    totp_secret     BLOB,
    totp_last_step  INTEGER,
    CHECK ((password IS NULL) = (totp_secret IS NULL) AND (password IS NULL) = (totp_last_step IS NULL))
) STRICT;

CREATE TABLE admin_passkeys (
    id            BLOB    PRIMARY KEY CHECK (length(id) = 16),
    admin         BLOB    NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    credential_id BLOB    NOT NULL UNIQUE,
    label         TEXT    NOT NULL,
    rp_id         TEXT    NOT NULL,
    credential    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
CREATE INDEX admin_passkeys_by_admin ON admin_passkeys (admin);

CREATE TABLE admin_recovery_codes (
    admin BLOB NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    code  BLOB NOT NULL CHECK (length(code) = 32),
    PRIMARY KEY (admin, code)
) STRICT, WITHOUT ROWID;

-- admin: null is the link for the first admin.
CREATE TABLE admin_links (
    token      BLOB    PRIMARY KEY CHECK (length(token) = 32),
    purpose    TEXT    NOT NULL CHECK (purpose IN ('first', 'added', 'recovery')),
    admin      BLOB    REFERENCES admins (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK ((purpose = 'first') = (admin IS NULL))
) STRICT;
CREATE INDEX admin_links_by_admin ON admin_links (admin);

CREATE TABLE console_sessions (
    id        BLOB    PRIMARY KEY CHECK (length(id) = 16),
    cookie    BLOB    NOT NULL UNIQUE CHECK (length(cookie) = 32),
    admin     BLOB    NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    opened_at INTEGER NOT NULL,
    proved_at INTEGER NOT NULL,
    seen_at   INTEGER NOT NULL,
    address   TEXT    NOT NULL,
    agent     TEXT    NOT NULL
) STRICT;
CREATE INDEX console_sessions_by_admin ON console_sessions (admin);
