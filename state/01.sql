-- What cfs keeps in the host's own file, so that a restored backup restores what cfs knew together
-- with what the host held. Plain syntax on purpose: hosts with SQLite 3.7 must be able to parse it.

CREATE TABLE cfs_meta (name TEXT PRIMARY KEY, value);

-- What the triggers saw. No unique columns but the number, which SQLite gives: a note can never make
-- a host statement fail. Without a column of its own VACUUM would number the notes anew.
CREATE TABLE cfs_note (n INTEGER PRIMARY KEY, op TEXT, tbl TEXT, ok1, ok2, ok3, ok4, nk1, nk2, nk3, nk4, oo1, oo2, oo3, no1, no2, no3);

-- What a host asks to delete, in its own transaction.
CREATE TABLE cfs_delete (table_name TEXT, key, reason TEXT);

-- One row for each record: what is known, what the host accepted where that differs, and under
-- which keys the host holds its rows.
CREATE TABLE cfs_record (
  n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, root_key BLOB,
  flags INTEGER NOT NULL DEFAULT 0, reason TEXT, since INTEGER,
  known BLOB NOT NULL, applied BLOB, local BLOB NOT NULL);
CREATE INDEX cfs_record_key ON cfs_record (kind, root_key);
CREATE INDEX cfs_record_flags ON cfs_record (flags);

-- The record's file as it was last read or written here. `due`: it must be written.
CREATE TABLE cfs_file (n INTEGER PRIMARY KEY, hash TEXT, size INTEGER, mtime INTEGER, due INTEGER NOT NULL DEFAULT 0);
CREATE INDEX cfs_file_due ON cfs_file (due);

-- Which record has which values in its matching columns, hashed.
CREATE TABLE cfs_match (kind TEXT NOT NULL, hash BLOB NOT NULL, n INTEGER NOT NULL);
CREATE INDEX cfs_match_hash ON cfs_match (kind, hash);
CREATE INDEX cfs_match_n ON cfs_match (n);

-- Rows elsewhere that wait for a record to arrive, or to be there again.
CREATE TABLE cfs_wait (target BLOB NOT NULL, n INTEGER NOT NULL);
CREATE INDEX cfs_wait_target ON cfs_wait (target);
CREATE INDEX cfs_wait_n ON cfs_wait (n);

-- Written here and not yet in a segment.
CREATE TABLE cfs_out (o INTEGER PRIMARY KEY, id BLOB NOT NULL, item BLOB NOT NULL, size INTEGER NOT NULL);

-- Segments whose bytes are decided and that are not yet known to be in the folder.
CREATE TABLE cfs_segment (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL);

-- The other sites, as far as read.
CREATE TABLE cfs_peer (
  site BLOB NOT NULL UNIQUE, upto INTEGER NOT NULL DEFAULT 0, beyond TEXT NOT NULL DEFAULT '',
  size INTEGER, mtime INTEGER, file BLOB, gap_since INTEGER);

-- Announced and not to be had yet: kept and retried.
CREATE TABLE cfs_pending (site BLOB NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, item BLOB NOT NULL, since INTEGER NOT NULL);
CREATE INDEX cfs_pending_id ON cfs_pending (id);

-- Directories as last listed, and files that are not a record's canonical one as last read.
CREATE TABLE cfs_dir (path TEXT PRIMARY KEY, mtime INTEGER NOT NULL);
CREATE TABLE cfs_seen_file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, outcome TEXT NOT NULL, since INTEGER NOT NULL);

-- Pairs that look like one and are for a person to decide.
CREATE TABLE cfs_pair (a BLOB NOT NULL, b BLOB NOT NULL, reason TEXT NOT NULL);

-- The account of what each synchronization did.
CREATE TABLE cfs_run (run INTEGER PRIMARY KEY, started INTEGER NOT NULL, report TEXT);
CREATE TABLE cfs_change (
  run INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT, tbl TEXT, row_id BLOB, field TEXT,
  old TEXT, new TEXT, site BLOB, what TEXT NOT NULL);
CREATE INDEX cfs_change_run ON cfs_change (run);
CREATE INDEX cfs_change_id ON cfs_change (id);

-- Tombstones whose content is kept: the segment of its author that has it, and since which day of
-- synchronizing every registered site is known to have read that.
CREATE TABLE cfs_trash (n INTEGER NOT NULL, row_id BLOB NOT NULL, site BLOB NOT NULL, need INTEGER NOT NULL, since_day INTEGER);
CREATE INDEX cfs_trash_n ON cfs_trash (n);
