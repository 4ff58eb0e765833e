-- Bytes of application messages that wait for a device, kept like their count: application_bytes - acknowledged_bytes -
-- expired_bytes. What was stored before weighs nothing.
ALTER TABLE mls_groups ADD COLUMN application_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN running_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN acknowledged_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN expired_bytes INTEGER NOT NULL DEFAULT 0;

-- When this domain stored an entry, by its own clock; `at` is the hub's word.
ALTER TABLE log ADD COLUMN stored_at INTEGER NOT NULL DEFAULT 0;
UPDATE log SET stored_at = at;
