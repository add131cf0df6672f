//! The tables, as the list of steps that lead to them. A step is never edited once it shipped.

/// One step per schema version: the first makes version 1 of an empty file.
pub(super) const STEPS: &[&str] = &[FIRST, ENDED_APART, NO_ENDINGS, DEAD_LETTERS, KEPT, JOBS, AUDIT, CONSUMED];

/// What attempts took, by owner and hour, changed with the rows of tasks (`consumed.rs`); it stays when they go. `counted`
/// says how many attempts of a task are in it. What ended before there was this table is not.
const CONSUMED: &str = "
CREATE TABLE consumed (
    owner         TEXT    NOT NULL,
    hour          INTEGER NOT NULL,
    tasks         INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    cpu_ms        INTEGER NOT NULL,
    memory_mib_ms INTEGER NOT NULL,
    gpu_ms        INTEGER NOT NULL,
    used_cpu_ms   INTEGER NOT NULL,
    PRIMARY KEY (owner, hour)
) STRICT, WITHOUT ROWID;
ALTER TABLE tasks ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
";

/// Rows are added and never changed. Each index ends with the row id, which is the place in the log: so each is sorted by
/// (its columns, place) and serves its pages in that order.
const AUDIT: &str = "
CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT,
    body   TEXT    NOT NULL,
    mac    BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_at         ON audit (at);
CREATE INDEX audit_who        ON audit (who);
CREATE INDEX audit_action     ON audit (action);
CREATE INDEX audit_who_action ON audit (who, action);
CREATE INDEX audit_object     ON audit (object) WHERE object IS NOT NULL;
";

/// The submission order of a job is that of its first task; those of the others follow, so that the tasks of a job are a
/// range of rows. Plans are large and read by their job alone: compressed, in a table of their own. Lists of tasks leave
/// elements of arrays out, of which there may be millions: their indexes keep those apart.
const JOBS: &str = "
CREATE TABLE jobs (
    ord         INTEGER PRIMARY KEY,
    ulid        BLOB    NOT NULL UNIQUE,
    version     INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    name        TEXT,
    idem_key    TEXT,
    tasks       INTEGER NOT NULL,
    finished_at INTEGER,
    ended       TEXT,
    body        TEXT    NOT NULL
) STRICT;
CREATE INDEX jobs_live  ON jobs (finished_at) WHERE finished_at IS NULL;
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX jobs_key ON jobs (owner, idem_key) WHERE idem_key IS NOT NULL;

CREATE TABLE job_plans (
    ulid   BLOB PRIMARY KEY,
    plan   BLOB NOT NULL,
    groups BLOB
) STRICT;

CREATE TABLE job_needs (
    ulid    BLOB    NOT NULL,
    on_ulid BLOB    NOT NULL,
    on_idx  INTEGER NOT NULL,
    PRIMARY KEY (ulid, on_ulid, on_idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_needs_on ON job_needs (on_ulid, on_idx);

DROP INDEX tasks_status;
DROP INDEX tasks_owner;
CREATE INDEX tasks_status ON tasks (ended, idx < 0) WHERE ended IS NOT NULL;
CREATE INDEX tasks_owner  ON tasks (owner, ended, idx < 0) WHERE ended IS NOT NULL;
";

/// What the files of each owner come to, so that nobody has to read them all; changed with their rows (`kept.rs`). A sum
/// beyond all numbers, which only a worker that lies could tell, is cut.
const KEPT: &str = "
CREATE TABLE kept (
    owner TEXT    PRIMARY KEY,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO kept (owner, files, bytes)
    SELECT t.owner, count(*), CAST(min(total(o.size), 9.0e18) AS INTEGER)
    FROM outputs AS o JOIN tasks AS t ON t.ulid = o.ulid AND t.idx = o.idx
    GROUP BY t.owner;
";

/// `dead` is 1 for a task whose retries are used up, until it is submitted again.
const DEAD_LETTERS: &str = "
ALTER TABLE tasks ADD COLUMN dead INTEGER;
CREATE INDEX tasks_dead       ON tasks (dead) WHERE dead IS NOT NULL;
CREATE INDEX tasks_dead_owner ON tasks (owner, dead) WHERE dead IS NOT NULL;
";

/// Random keys cost a page of the log each: ends of ids are looked for in the index of whole ids,
/// which takes a fifth of a second for a million of them. The phase stands in the record alone.
const NO_ENDINGS: &str = "
DROP INDEX tasks_id_rev;
ALTER TABLE tasks DROP COLUMN id_rev;
ALTER TABLE tasks DROP COLUMN phase;
";

/// Live tasks are listed from the master's memory: only what has ended needs the indexes of lists,
/// and each change of a live task costs its own row and nothing beside. `ended` is the status of
/// those, so that a question names what the index is about and is answered from it alone. Attempts
/// and results stand in the records alone.
const ENDED_APART: &str = "
DROP TABLE assignments;
DROP TABLE results;
DROP INDEX tasks_status;
DROP INDEX tasks_owner;
DROP INDEX tasks_worker;
DROP INDEX tasks_id_rev;
ALTER TABLE tasks ADD COLUMN ended TEXT;
UPDATE tasks SET ended = status WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_live   ON tasks (finished_at) WHERE finished_at IS NULL;
CREATE INDEX tasks_status ON tasks (ended) WHERE ended IS NOT NULL;
CREATE INDEX tasks_owner  ON tasks (owner, ended) WHERE ended IS NOT NULL;
CREATE INDEX tasks_worker ON tasks (worker, ended) WHERE ended IS NOT NULL AND worker IS NOT NULL;
CREATE INDEX tasks_id_rev ON tasks (id_rev) WHERE ended IS NOT NULL;
";

/// The submission order is the row id of a task: every index ends with the row id, so each index
/// below is sorted by (its columns, submission order) and serves its pages in that order.
/// Tables of records are kept as JSON in `body`; the other columns are what questions are about.
const FIRST: &str = "
CREATE TABLE cluster (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    id          TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    term        INTEGER NOT NULL,
    last_commit INTEGER NOT NULL,
    last_order  INTEGER NOT NULL
) STRICT;

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    id      TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    status  TEXT    NOT NULL,
    body    TEXT    NOT NULL
) STRICT;

CREATE TABLE tasks (
    ord         INTEGER PRIMARY KEY,
    ulid        BLOB    NOT NULL,
    idx         INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    job         TEXT,
    status      TEXT    NOT NULL,
    phase       TEXT,
    worker      TEXT,
    name        TEXT,
    idem_key    TEXT,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER,
    priority    INTEGER NOT NULL,
    id_rev      TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    UNIQUE (ulid, idx)
) STRICT;
CREATE INDEX tasks_status ON tasks (status);
CREATE INDEX tasks_owner  ON tasks (owner, status);
CREATE INDEX tasks_worker ON tasks (worker, status) WHERE worker IS NOT NULL;
CREATE INDEX tasks_name   ON tasks (name) WHERE name IS NOT NULL;
CREATE INDEX tasks_id_rev ON tasks (id_rev);
CREATE UNIQUE INDEX tasks_key ON tasks (owner, idem_key) WHERE idem_key IS NOT NULL;

CREATE TABLE dependencies (
    ulid     BLOB    NOT NULL,
    idx      INTEGER NOT NULL,
    on_ulid  BLOB    NOT NULL,
    on_idx   INTEGER NOT NULL,
    ends     TEXT    NOT NULL,
    PRIMARY KEY (ulid, idx, on_ulid, on_idx),
    FOREIGN KEY (ulid, idx) REFERENCES tasks (ulid, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_on ON dependencies (on_ulid, on_idx);

CREATE TABLE assignments (
    ulid        BLOB    NOT NULL,
    idx         INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    worker      TEXT    NOT NULL,
    assigned_at INTEGER NOT NULL,
    ended_at    INTEGER,
    status      TEXT,
    reason      TEXT,
    accepted    INTEGER NOT NULL,
    PRIMARY KEY (ulid, idx, attempt),
    FOREIGN KEY (ulid, idx) REFERENCES tasks (ulid, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
    ulid        BLOB    NOT NULL,
    idx         INTEGER NOT NULL,
    status      TEXT    NOT NULL,
    reason      TEXT,
    exit_code   INTEGER,
    oom_killed  INTEGER NOT NULL,
    message     TEXT    NOT NULL,
    worker      TEXT,
    attempt     INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (ulid, idx),
    FOREIGN KEY (ulid, idx) REFERENCES tasks (ulid, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE outputs (
    ulid    BLOB    NOT NULL,
    idx     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    path    TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT    NOT NULL,
    PRIMARY KEY (ulid, idx, attempt, path),
    FOREIGN KEY (ulid, idx) REFERENCES tasks (ulid, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
";
