-- Large values, each known by the SHA-256 of its content (decision 0010).

-- Its file in the folder as it was last seen whole, and whether it must be written. `unused`: since
-- when no record here refers to it, 0 where its file must go now; `last`: the last that did.
CREATE TABLE cfs_blob (sha256 BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, due INTEGER NOT NULL DEFAULT 0, unused INTEGER, last INTEGER);
CREATE INDEX cfs_blob_due ON cfs_blob (due);
CREATE INDEX cfs_blob_unused ON cfs_blob (unused);

-- Which record refers to it, and where its content is: 0 in the host, wherever the record has it; 1 in
-- cfs_bytes; 2 nowhere here: it is awaited.
CREATE TABLE cfs_use (n INTEGER NOT NULL, sha256 BLOB NOT NULL, size INTEGER NOT NULL, place INTEGER NOT NULL, since INTEGER);
CREATE INDEX cfs_use_n ON cfs_use (n);
CREATE INDEX cfs_use_sha256 ON cfs_use (sha256);
CREATE INDEX cfs_use_place ON cfs_use (place);

-- Content that is known and that the host does not hold: superseded, in the trash, held, of columns
-- and types that it does not have, or about to be applied.
CREATE TABLE cfs_bytes (sha256 BLOB PRIMARY KEY, bytes BLOB NOT NULL);

-- A sample of records of each type: what `known` is packed with.
CREATE TABLE cfs_dictionary (id INTEGER PRIMARY KEY, kind TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL);
