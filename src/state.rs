//! The door to our own tables, `cfs_…`, which live in the host's file.

mod ask;
mod large;
mod out;
mod pack;
mod pairs;
mod peers;
mod runs;
mod scan;

pub use ask::{Brief, HeldRow, PendingRow};
pub use large::{Awaited, Place, Use};
pub use pack::{Dictionary, pack};
pub use pairs::Pair;
pub use peers::{Peer, Pending};
pub use runs::{ChangeRow, RunRow, Search};
pub use scan::RowsPrint;

use crate::host::key::{HostKey, decode, encode};
use crate::host::local::Local;
use crate::id::{RecordId, SiteId, Uuid};
use crate::record::Record;
use crate::shared::Name;
use crate::xml;
use rusqlite::{Connection, OptionalExtension, params};

/// What our tables could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused.
    #[error("the database refused: {}", crate::host::in_words(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// Something of ours does not read back.
    #[error("cfs's own state in the database is damaged ({0}); run `cfs verify`")]
    Damaged(&'static str),
    /// Made by a newer program.
    #[error("the database was used by a newer cfs (state {0}); update cfs here")]
    TooNew(i64),
}

/// The newest layout of our tables that this program knows.
const LAYOUT: i64 = 3;

/// The record is held: the host's constraints refuse it for now.
pub const HELD: i64 = 1;
/// Rows of the record wait for others.
pub const WAITING: i64 = 2;
/// The record has superseded values.
pub const SUPERSEDED: i64 = 4;
/// The file in the folder lacks something that its writer is still to bring.
pub const BEHIND: i64 = 8;
/// Rows deleted by the host wait for a person's word.
pub const ASKED: i64 = 16;
/// The record is deleted.
pub const DELETED: i64 = 32;
/// The record must be looked at again at the next sync.
pub const AGAIN: i64 = 64;
/// The record has tombstones whose content is still kept.
pub const TRASH: i64 = 128;

/// What was said about the record being the same as another is not carried out yet.
pub const SAME: i64 = 256;
/// Rows of the record hang from nothing in the host.
pub const LOOSE: i64 = 512;

/// A record as our tables hold it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its row number, for the small tables beside it.
    pub n: i64,
    /// The root row's key in the host, if the host has it.
    pub root_key: Option<HostKey>,
    /// [`HELD`] and its like.
    pub flags: i64,
    /// Why it is held, in the host's words.
    pub reason: Option<String>,
    /// What is known.
    pub known: Record,
    /// What the host accepted, where that is not all that is known.
    pub applied: Option<Record>,
    /// Under which keys the host holds its rows.
    pub local: Local,
    /// The hash inside its file as last read or written.
    pub file_hash: Option<String>,
}

/// Our tables in a host database.
#[derive(Debug, Clone, Copy)]
pub struct State<'c> {
    /// The connection they are reached through.
    pub conn: &'c Connection,
    /// The folder whose records are stored.
    pub folder: Uuid,
}

fn id_of(b: &[u8]) -> Result<Uuid, Error> {
    Uuid::from_slice(b).map_err(|_| Error::Damaged("id"))
}

/// Makes our tables where they are missing, inside a transaction of their own.
pub fn install(conn: &Connection) -> Result<(), Error> {
    match layout(conn)? {
        None => make(conn, &format!("{}\n{}\nINSERT INTO cfs_meta VALUES ('layout', {LAYOUT});", include_str!("../state/01.sql"), include_str!("../state/02.sql"))),
        Some(_) => upgrade(conn),
    }
}

/// Brings our tables, as an older program made them, to the present layout.
pub fn upgrade(conn: &Connection) -> Result<(), Error> {
    let now = format!("UPDATE cfs_meta SET value = {LAYOUT} WHERE name = 'layout';");
    match layout(conn)? {
        Some(1) => make(conn, &format!("{}\n{now}", include_str!("../state/02.sql"))),
        // The same tables; what is stored from now on is packed otherwise (decision 0027).
        Some(2) => make(conn, &now),
        Some(newer) if newer > LAYOUT => Err(Error::TooNew(newer)),
        _ => Ok(()),
    }
}

fn make(conn: &Connection, sql: &str) -> Result<(), Error> {
    if let Err(e) = conn.execute_batch(&format!("BEGIN IMMEDIATE;\n{sql}\nCOMMIT;")) {
        // Nothing half-made stays.
        if !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK")?;
        }
        return Err(e.into());
    }
    Ok(())
}

/// The layout of our tables in a database; `None` if there are none.
pub fn layout(conn: &Connection) -> Result<Option<i64>, Error> {
    let there: bool = conn.query_row("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'cfs_meta'", [], |r| r.get::<_, i64>(0)).map(|n| n > 0)?;
    if !there {
        return Ok(None);
    }
    Ok(conn.query_row("SELECT value FROM cfs_meta WHERE name = 'layout'", [], |r| r.get(0)).optional()?)
}

/// Removes our tables.
pub fn uninstall(conn: &Connection) -> Result<(), Error> {
    let mut names = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'cfs\\_%' ESCAPE '\\'")?;
    let names: Vec<String> = names.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    for n in names {
        conn.execute_batch(&format!("DROP TABLE \"{n}\""))?;
    }
    Ok(())
}

impl<'c> State<'c> {
    /// Our tables, for records of a folder.
    pub fn new(conn: &'c Connection, folder: Uuid) -> Self {
        State { conn, folder }
    }

    /// A named value.
    pub fn meta<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<Option<T>, Error> {
        Ok(self.conn.prepare_cached("SELECT value FROM cfs_meta WHERE name = ?1")?.query_row([name], |r| r.get(0)).optional()?)
    }

    /// Sets a named value.
    pub fn set_meta(&self, name: &str, value: impl rusqlite::ToSql) -> Result<(), Error> {
        self.conn.prepare_cached("INSERT OR REPLACE INTO cfs_meta (name, value) VALUES (?1, ?2)")?.execute(params![name, value])?;
        Ok(())
    }

    /// Keeps a record's packed state for as long as it is not known whether it is needed.
    pub fn keep_whole(&self, id: &RecordId, packed: &[u8]) -> Result<(), Error> {
        self.set_meta(&format!("whole {id}"), packed)
    }

    /// What is kept so.
    pub fn kept_whole(&self) -> Result<std::collections::BTreeMap<RecordId, Vec<u8>>, Error> {
        let mut q = self.conn.prepare_cached("SELECT name, value FROM cfs_meta WHERE name >= 'whole ' AND name < 'whole!'")?;
        let rows = q.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, Vec<u8>>(1)?)))?;
        let of = |(name, packed): (String, Vec<u8>)| Some((RecordId::parse_str(name.strip_prefix("whole ")?).ok()?, packed));
        Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().filter_map(of).collect())
    }

    /// Keeps it no more.
    pub fn forget_whole(&self, id: &RecordId) -> Result<(), Error> {
        self.conn.prepare_cached("DELETE FROM cfs_meta WHERE name = ?1")?.execute([format!("whole {id}")])?;
        Ok(())
    }

    /// A UUID by name.
    pub fn meta_uuid(&self, name: &str) -> Result<Option<Uuid>, Error> {
        Ok(self.meta::<Vec<u8>>(name)?.and_then(|b| Uuid::from_slice(&b).ok()))
    }

    /// The number of a record.
    pub fn number(&self, id: &RecordId) -> Result<Option<i64>, Error> {
        Ok(self.conn.prepare_cached("SELECT n FROM cfs_record WHERE id = ?1")?.query_row([id.as_bytes()], |r| r.get(0)).optional()?)
    }

    /// The record whose root the host holds under a key.
    pub fn by_root_key(&self, kind: &str, key: &HostKey) -> Result<Option<RecordId>, Error> {
        let id: Option<Vec<u8>> =
            self.conn.prepare_cached("SELECT id FROM cfs_record WHERE kind = ?1 AND root_key = ?2")?.query_row(params![kind, encode(key)], |r| r.get(0)).optional()?;
        Ok(id.and_then(|b| Uuid::from_slice(&b).ok()))
    }

    /// Kind and root key of a record, without its content.
    pub fn root_of(&self, id: &RecordId) -> Result<Option<(String, Option<HostKey>, i64)>, Error> {
        let row = self
            .conn
            .prepare_cached("SELECT kind, root_key, flags FROM cfs_record WHERE id = ?1")?
            .query_row([id.as_bytes()], |r| Ok((r.get::<_, String>(0)?, r.get::<_, Option<Vec<u8>>>(1)?, r.get::<_, i64>(2)?)))
            .optional()?;
        Ok(row.map(|(kind, key, flags)| (kind, key.and_then(|k| decode(&k)), flags)))
    }

    /// Under which keys the host holds a record's rows.
    pub fn local(&self, id: &RecordId) -> Result<Option<Local>, Error> {
        Ok(self.load(id)?.map(|s| s.local))
    }

    /// A record with everything.
    pub fn load(&self, id: &RecordId) -> Result<Option<Stored>, Error> {
        Ok(self.load_sealed(id)?.map(|(s, _)| s))
    }

    /// The same, and the hash that its file must have.
    pub fn load_sealed(&self, id: &RecordId) -> Result<Option<(Stored, String)>, Error> {
        let mut q =
            self.conn.prepare_cached("SELECT r.n, root_key, flags, reason, known, applied, local, f.hash FROM cfs_record r LEFT JOIN cfs_file f ON f.n = r.n WHERE id = ?1")?;
        let row = q
            .query_row([id.as_bytes()], |r| {
                Ok((
                    r.get::<_, i64>(0)?,
                    r.get::<_, Option<Vec<u8>>>(1)?,
                    r.get::<_, i64>(2)?,
                    r.get::<_, Option<String>>(3)?,
                    r.get::<_, Vec<u8>>(4)?,
                    r.get::<_, Option<Vec<u8>>>(5)?,
                    r.get::<_, Vec<u8>>(6)?,
                    r.get::<_, Option<String>>(7)?,
                ))
            })
            .optional()?;
        let Some((n, key, flags, reason, known, applied, local, file_hash)) = row else { return Ok(None) };
        let bytes = self.unpack(&known)?;
        let known = self.read(&bytes)?;
        let stored = Stored {
            n,
            root_key: key.and_then(|k| decode(&k)),
            flags,
            reason,
            local: Local::read(&local, &known).ok_or(Error::Damaged("keys"))?,
            known,
            applied: applied.map(|a| self.read(&self.unpack(&a)?)).transpose()?,
            file_hash,
        };
        Ok(Some((stored, xml::seal_of(&bytes))))
    }

    fn read(&self, bytes: &[u8]) -> Result<Record, Error> {
        xml::read_record(bytes, &self.folder).map_err(|_| Error::Damaged("record"))
    }

    /// Unpacks bytes of ours.
    pub fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, Error> {
        pack::unpack(packed, &|id| Ok(self.conn.query_row("SELECT bytes FROM cfs_dictionary WHERE id = ?1", [id.cast_signed()], |r| r.get(0))?))
    }

    /// The dictionaries of record types.
    pub fn dictionaries(&self) -> Result<std::collections::BTreeMap<Name, Dictionary>, Error> {
        let mut q = self.conn.prepare("SELECT kind, bytes FROM cfs_dictionary")?;
        let rows = q.query_map([], |r| Ok((Name::of(&r.get::<_, String>(0)?), Dictionary::new(&r.get::<_, Vec<u8>>(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the dictionary of a record type.
    pub fn add_dictionary(&self, kind: &str, d: &Dictionary) -> Result<(), Error> {
        self.conn.execute("INSERT OR IGNORE INTO cfs_dictionary (id, kind, bytes) VALUES (?1, ?2, ?3)", params![d.id().cast_signed(), kind, d.bytes()])?;
        Ok(())
    }

    /// Stores a record. `known` is its canonical bytes, packed. Gives its number.
    pub fn save(&self, id: &RecordId, s: &Stored, known: Vec<u8>, now_ms: i64) -> Result<i64, Error> {
        let applied = s.applied.as_ref().map(|a| pack(&xml::write_record(a, &self.folder), None)).transpose()?;
        let key = s.root_key.as_ref().map(|k| encode(k));
        let local = s.local.write(&s.known);
        let since = (s.flags & (HELD | WAITING) != 0).then_some(now_ms);
        if s.n == 0 {
            self.conn
                .prepare_cached("INSERT INTO cfs_record (id, kind, root_key, flags, reason, since, known, applied, local) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
                .execute(params![id.as_bytes(), s.known.kind, key, s.flags, s.reason, since, known, applied, local])?;
            return Ok(self.conn.last_insert_rowid());
        }
        self.conn
            .prepare_cached("UPDATE cfs_record SET kind = ?9, root_key = ?2, flags = ?3, reason = ?4, since = CASE WHEN ?5 IS NULL THEN NULL ELSE coalesce(since, ?5) END, known = ?6, applied = ?7, local = ?8 WHERE n = ?1")?
            .execute(params![s.n, key, s.flags, s.reason, since, known, applied, local, s.known.kind])?;
        Ok(s.n)
    }

    /// Gives records the type that is known of them: until November 2026 one that was announced before anything
    /// of it could be read was stored as being of none for good, and so not found under its root key.
    pub fn name_kinds(&self) -> Result<(), Error> {
        for id in self.ids("SELECT id FROM cfs_record INDEXED BY cfs_record_key WHERE kind = '' ORDER BY id")? {
            if let Some(s) = self.load(&id)?.filter(|s| !s.known.kind.is_empty()) {
                self.conn.execute("UPDATE cfs_record SET kind = ?2 WHERE n = ?1", params![s.n, s.known.kind])?;
            }
        }
        Ok(())
    }

    /// Says that a record's file must be written, or what it is now.
    pub fn set_file(&self, n: i64, hash: Option<&str>, stat: Option<(u64, i64)>, due: bool) -> Result<(), Error> {
        let (size, mtime) = stat.map_or((None, None), |(s, m)| (Some(s.cast_signed()), Some(m)));
        self.conn.prepare_cached("INSERT OR REPLACE INTO cfs_file (n, hash, size, mtime, due) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![n, hash, size, mtime, due])?;
        Ok(())
    }

    /// Size and modification time of a record's file as last seen.
    pub fn file_stat(&self, n: i64) -> Result<Option<(u64, i64)>, Error> {
        let row: Option<(Option<i64>, Option<i64>)> =
            self.conn.prepare_cached("SELECT size, mtime FROM cfs_file WHERE n = ?1")?.query_row([n], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        Ok(row.and_then(|(s, m)| Some((s?.cast_unsigned(), m?))))
    }

    /// Whether a record's file is still to be written.
    pub fn file_due(&self, n: i64) -> Result<bool, Error> {
        Ok(self.conn.prepare_cached("SELECT due FROM cfs_file WHERE n = ?1")?.query_row([n], |r| r.get(0)).optional()?.unwrap_or(false))
    }

    /// All records, each with its file's size and modification time as last seen.
    pub fn file_stats(&self) -> Result<std::collections::BTreeMap<RecordId, Option<(u64, i64)>>, Error> {
        let mut q = self.conn.prepare("SELECT r.id, f.size, f.mtime FROM cfs_record r LEFT JOIN cfs_file f ON f.n = r.n")?;
        let rows = q.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Option<i64>>(1)?, r.get::<_, Option<i64>>(2)?)))?;
        rows.map(|row| {
            let (id, size, mtime) = row?;
            Ok((id_of(&id)?, size.map(i64::cast_unsigned).zip(mtime)))
        })
        .collect()
    }

    /// Records whose files a sync that did not finish left to be written.
    pub fn files_due(&self) -> Result<Vec<RecordId>, Error> {
        self.ids("SELECT r.id FROM cfs_file f INDEXED BY cfs_file_due JOIN cfs_record r ON r.n = f.n WHERE f.due = 1 ORDER BY r.id")
    }

    /// Records with any of the flags.
    ///
    /// The index is named: left to itself, SQLite reads the whole table in order of the ids.
    pub fn flagged(&self, flags: i64) -> Result<Vec<RecordId>, Error> {
        self.ids(&format!("SELECT id FROM cfs_record INDEXED BY cfs_record_flags WHERE flags > 0 AND flags & {flags} <> 0 ORDER BY id"))
    }

    /// All records of a kind, or of every kind.
    pub fn all(&self, kind: Option<&str>) -> Result<Vec<RecordId>, Error> {
        let mut q = self.conn.prepare("SELECT id FROM cfs_record WHERE ?1 IS NULL OR kind = ?1 ORDER BY id")?;
        let rows = q.query_map([kind], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| id_of(&b?)).collect()
    }

    /// Whether any record is known.
    pub fn any(&self) -> Result<bool, Error> {
        Ok(self.conn.query_row("SELECT EXISTS (SELECT 1 FROM cfs_record)", [], |r| r.get(0))?)
    }

    fn ids(&self, sql: &str) -> Result<Vec<RecordId>, Error> {
        let mut q = self.conn.prepare(sql)?;
        let rows = q.query_map([], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| id_of(&b?)).collect()
    }

    /// All records with their types and root keys, in the order of the keys.
    pub fn listed(&self) -> Result<Vec<(RecordId, String, Option<HostKey>)>, Error> {
        let mut q = self.conn.prepare("SELECT id, kind, root_key FROM cfs_record")?;
        let rows = q.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get(1)?, r.get::<_, Option<Vec<u8>>>(2)?)))?;
        let mut out: Vec<(RecordId, String, Option<HostKey>)> = rows
            .map(|r| {
                let (id, kind, key) = r?;
                Ok((id_of(&id)?, kind, key.and_then(|k| decode(&k))))
            })
            .collect::<Result<_, Error>>()?;
        out.sort_by(|a, b| (&a.1, &a.2, &a.0).cmp(&(&b.1, &b.2, &b.0)));
        Ok(out)
    }

    /// How many records are known.
    pub fn count(&self) -> Result<u64, Error> {
        Ok(self.conn.query_row("SELECT count(*) FROM cfs_record", [], |r| r.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Replaces the matching hashes of a record.
    pub fn set_matches(&self, n: i64, kind: &str, hashes: &[[u8; 16]], new: bool) -> Result<(), Error> {
        if !new {
            self.conn.prepare_cached("DELETE FROM cfs_match WHERE n = ?1")?.execute([n])?;
        }
        let mut q = self.conn.prepare_cached("INSERT INTO cfs_match (kind, hash, n) VALUES (?1, ?2, ?3)")?;
        for h in hashes {
            q.execute(params![kind, h, n])?;
        }
        Ok(())
    }

    /// Whether any record of a type has a matching hash.
    pub fn any_match(&self, kind: &str) -> Result<bool, Error> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM cfs_match WHERE kind = ?1 LIMIT 1")?.exists([kind])?)
    }

    /// Records that have a matching hash.
    pub fn matching(&self, kind: &str, hash: &[u8; 16]) -> Result<Vec<RecordId>, Error> {
        let mut q = self.conn.prepare_cached("SELECT r.id FROM cfs_match m JOIN cfs_record r ON r.n = m.n WHERE m.kind = ?1 AND m.hash = ?2 ORDER BY r.id")?;
        let rows = q.query_map(params![kind, hash], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| id_of(&b?)).collect()
    }

    /// Replaces the records that a record waits for.
    pub fn set_waits(&self, n: i64, targets: &[RecordId], new: bool) -> Result<(), Error> {
        if !new {
            self.conn.prepare_cached("DELETE FROM cfs_wait WHERE n = ?1")?.execute([n])?;
        }
        for t in targets {
            self.conn.prepare_cached("INSERT INTO cfs_wait (target, n) VALUES (?1, ?2)")?.execute(params![t.as_bytes(), n])?;
        }
        Ok(())
    }

    /// Records that wait for a record.
    pub fn waiting_for(&self, target: &RecordId) -> Result<Vec<RecordId>, Error> {
        let mut q = self.conn.prepare_cached("SELECT r.id FROM cfs_wait w JOIN cfs_record r ON r.n = w.n WHERE w.target = ?1 ORDER BY r.id")?;
        let rows = q.query_map([target.as_bytes()], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| id_of(&b?)).collect()
    }

    /// This site's id.
    pub fn site(&self) -> Result<SiteId, Error> {
        self.meta_uuid("site")?.ok_or(Error::Damaged("site id"))
    }
}
