-- The request that a row follows from (16 bytes): its peer logs it too. Null: none, or older than this column.
ALTER TABLE outbox ADD COLUMN request BLOB;
