-- The first checkpoint over an announced reset that witnesses had signed: since when others could see it.
CREATE TABLE kt_seen (
    idx  INTEGER PRIMARY KEY REFERENCES kt_entries (idx),
    note TEXT NOT NULL
) STRICT;
