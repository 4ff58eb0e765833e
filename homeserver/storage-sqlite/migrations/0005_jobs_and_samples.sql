-- The last run of each job, and the samples of the last day.

CREATE TABLE job_runs (
    job         TEXT    PRIMARY KEY,
    started     INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    ok          INTEGER NOT NULL CHECK (ok IN (0, 1)),
    result      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE samples (
    series TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    value  INTEGER NOT NULL,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;
