-- What waits for a destination, kept with every change: a quota is judged at each submit and can't count rows.
CREATE TABLE outbox_queues (
    destination TEXT    PRIMARY KEY,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_queues (destination, rows, bytes)
    SELECT s.destination, COUNT(*), SUM(o.bytes)
    FROM outbox_streams s JOIN outbox o ON o.stream_pk = s.pk AND o.seq > s.acknowledged_seq
    WHERE s.acknowledged_seq < s.last_seq
    GROUP BY s.destination;

-- Rows without an end of their own (handshakes), by age. A tombstone (kind 5) has nothing left that could end.
CREATE INDEX outbox_endless ON outbox (at) WHERE expires_at IS NULL AND kind <> 5;
