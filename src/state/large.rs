//! Large values: who refers to them, where their content is, how their files were last seen.

use super::{AGAIN, Error, State, id_of};
use crate::id::RecordId;
use crate::value::{Hash, Large};
use rusqlite::{OptionalExtension, params};

/// Where the content of a large value is at this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the host, wherever the record has it.
    Host,
    /// In our own table.
    Ours,
    /// Nowhere: it is awaited.
    Awaited,
}

impl Place {
    fn of(n: i64) -> Place {
        match n {
            0 => Place::Host,
            1 => Place::Ours,
            _ => Place::Awaited,
        }
    }
}

/// A large value that a record refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Its content's hash and size.
    pub large: Large,
    /// Where its content is.
    pub place: Place,
}

/// A large value that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// The record that refers to it.
    pub id: RecordId,
    /// Its content's hash and size.
    pub large: Large,
    /// Since when, milliseconds since 1970.
    pub since: i64,
}

fn hash_of(b: &[u8]) -> Result<Hash, Error> {
    b.try_into().map_err(|_| Error::Damaged("hash"))
}

impl State<'_> {
    /// Keeps content, until the host holds it or nobody refers to it.
    pub fn keep_bytes(&self, hash: &Hash, bytes: &[u8], now_ms: i64) -> Result<(), Error> {
        self.conn.prepare_cached("INSERT OR IGNORE INTO cfs_blob (sha256, unused) VALUES (?1, ?2)")?.execute(params![hash, now_ms.max(1)])?;
        self.conn.prepare_cached("INSERT OR IGNORE INTO cfs_bytes (sha256, bytes) VALUES (?1, ?2)")?.execute(params![hash, bytes])?;
        Ok(())
    }

    /// Whether content is kept.
    pub fn has_bytes(&self, (hash, size_bytes): Large) -> Result<bool, Error> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM cfs_bytes WHERE sha256 = ?1 AND length(bytes) = ?2")?.exists(params![hash, size_bytes.cast_signed()])?)
    }

    /// Content that is kept.
    pub fn bytes(&self, (hash, size_bytes): Large) -> Result<Option<Vec<u8>>, Error> {
        let mut q = self.conn.prepare_cached("SELECT bytes FROM cfs_bytes WHERE sha256 = ?1 AND length(bytes) = ?2")?;
        Ok(q.query_row(params![hash, size_bytes.cast_signed()], |r| r.get(0)).optional()?)
    }

    /// Drops content that is wanted no more: every record that refers to it has it in the host.
    pub fn drop_spare_bytes(&self, hash: &Hash) -> Result<(), Error> {
        self.conn.prepare_cached("DELETE FROM cfs_bytes WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM cfs_use WHERE sha256 = ?1 AND place <> 0)")?.execute([hash])?;
        Ok(())
    }

    /// Whether any record refers to a large value at all.
    pub fn any_large(&self) -> Result<bool, Error> {
        Ok(self.conn.prepare_cached("SELECT 1 FROM cfs_use")?.exists([])?)
    }

    /// The large values that a record refers to, as of when it was last stored.
    pub fn uses(&self, n: i64) -> Result<Vec<Use>, Error> {
        let mut q = self.conn.prepare_cached("SELECT sha256, size, place FROM cfs_use WHERE n = ?1 ORDER BY sha256, size")?;
        let rows = q.query_map([n], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)))?;
        rows.map(|r| r.map_err(Error::from).and_then(|(h, size, place)| Ok(Use { large: (hash_of(&h)?, size.cast_unsigned()), place: Place::of(place) }))).collect()
    }

    /// Where a record's large value was when the record was last stored.
    pub fn place_of(&self, id: &RecordId, (hash, size_bytes): Large) -> Result<Option<Place>, Error> {
        let sql = "SELECT u.place FROM cfs_record r JOIN cfs_use u ON u.n = r.n WHERE r.id = ?1 AND u.sha256 = ?2 AND u.size = ?3";
        Ok(self.conn.prepare_cached(sql)?.query_row(params![id.as_bytes(), hash, size_bytes.cast_signed()], |r| r.get(0)).optional()?.map(Place::of))
    }

    /// Records that refer to a large value, and where its content is for them.
    pub fn users(&self, hash: &Hash) -> Result<Vec<(RecordId, Place)>, Error> {
        let mut q = self.conn.prepare_cached("SELECT r.id, u.place FROM cfs_use u JOIN cfs_record r ON r.n = u.n WHERE u.sha256 = ?1 ORDER BY r.id")?;
        let rows = q.query_map([hash], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get(1)?)))?;
        rows.map(|r| r.map_err(Error::from).and_then(|(id, place)| Ok((id_of(&id)?, Place::of(place))))).collect()
    }

    /// Replaces what a record refers to. What a record has here is to be in the folder.
    pub fn set_uses(&self, n: i64, uses: &[Use], now_ms: i64) -> Result<(), Error> {
        let since: Vec<(Vec<u8>, i64)> = {
            let mut q = self.conn.prepare_cached("SELECT sha256, since FROM cfs_use WHERE n = ?1 AND place = 2")?;
            let rows = q.query_map([n], |r| Ok((r.get(0)?, r.get::<_, Option<i64>>(1)?.unwrap_or(now_ms))))?;
            rows.collect::<Result<_, _>>()?
        };
        self.conn.prepare_cached("DELETE FROM cfs_use WHERE n = ?1")?.execute([n])?;
        for Use { large: (hash, size_bytes), place } in uses {
            let awaited = (*place == Place::Awaited).then(|| since.iter().find(|(h, _)| h == hash).map_or(now_ms, |(_, t)| *t));
            let sql = "INSERT INTO cfs_use (n, sha256, size, place, since) VALUES (?1, ?2, ?3, ?4, ?5)";
            self.conn.prepare_cached(sql)?.execute(params![n, hash, size_bytes.cast_signed(), *place as i64, awaited])?;
            self.conn.prepare_cached("INSERT OR IGNORE INTO cfs_blob (sha256) VALUES (?1)")?.execute([hash])?;
            // What nobody here has cannot be due, or everything else would wait for it.
            let sql = "UPDATE cfs_blob SET unused = NULL, due = CASE WHEN ?2 THEN max(due, mtime IS NULL)
                WHEN EXISTS (SELECT 1 FROM cfs_use WHERE sha256 = ?1 AND place <> 2) THEN due ELSE 0 END WHERE sha256 = ?1";
            self.conn.prepare_cached(sql)?.execute(params![hash, *place != Place::Awaited])?;
        }
        Ok(())
    }

    /// Notes that a record no longer refers to a large value: since when nobody does, if that is so.
    /// `at_once`: the file must not stay.
    pub fn left(&self, n: i64, hash: &Hash, at_once: bool, now_ms: i64) -> Result<(), Error> {
        let unused = if at_once { 0 } else { now_ms.max(1) };
        let sql = "UPDATE cfs_blob SET due = 0, unused = min(coalesce(unused, ?2), ?2), last = ?3 WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM cfs_use WHERE sha256 = ?1)";
        self.conn.prepare_cached(sql)?.execute(params![hash, unused, n])?;
        Ok(())
    }

    /// A record was erased: what it referred to once, and nobody does any more, must not stay.
    pub fn left_erased(&self, n: i64) -> Result<(), Error> {
        self.conn.prepare_cached("UPDATE cfs_blob SET unused = 0 WHERE unused > 0 AND last = ?1")?.execute([n])?;
        Ok(())
    }

    /// Large values that nobody here refers to since a time or longer.
    pub fn unused(&self, until_ms: i64) -> Result<Vec<Hash>, Error> {
        let mut q = self.conn.prepare_cached("SELECT sha256 FROM cfs_blob WHERE unused <= ?1 ORDER BY sha256")?;
        let rows = q.query_map([until_ms], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|h| hash_of(&h?)).collect()
    }

    /// Forgets a large value that nobody refers to.
    pub fn forget_large(&self, hash: &Hash) -> Result<(), Error> {
        for table in ["cfs_bytes", "cfs_blob"] {
            self.conn.prepare_cached(&format!("DELETE FROM {table} WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM cfs_use WHERE sha256 = ?1)"))?.execute([hash])?;
        }
        Ok(())
    }

    /// Size and modification time of a large value's file as it was last seen whole.
    pub fn whole(&self, hash: &Hash) -> Result<Option<(u64, i64)>, Error> {
        let row: Option<(Option<i64>, Option<i64>)> =
            self.conn.prepare_cached("SELECT size, mtime FROM cfs_blob WHERE sha256 = ?1")?.query_row([hash], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        Ok(row.and_then(|(s, m)| Some((s?.cast_unsigned(), m?))))
    }

    /// Remembers a large value's file as whole.
    pub fn set_whole(&self, hash: &Hash, (size_bytes, mtime): (u64, i64)) -> Result<(), Error> {
        self.conn.prepare_cached("UPDATE cfs_blob SET size = ?2, mtime = ?3, due = 0 WHERE sha256 = ?1")?.execute(params![hash, size_bytes.cast_signed(), mtime])?;
        Ok(())
    }

    /// A large value's file may not be whole: it is looked at, and written, with the next sync.
    pub fn doubt(&self, hash: &Hash) -> Result<(), Error> {
        let sql = "UPDATE cfs_blob SET mtime = NULL, due = EXISTS (SELECT 1 FROM cfs_use WHERE sha256 = ?1 AND place <> 2) WHERE sha256 = ?1";
        self.conn.prepare_cached(sql)?.execute([hash])?;
        Ok(())
    }

    /// Large values whose files must be written.
    pub fn large_due(&self) -> Result<Vec<Hash>, Error> {
        self.hashes("SELECT sha256 FROM cfs_blob INDEXED BY cfs_blob_due WHERE due = 1 ORDER BY sha256")
    }

    /// Every large value whose content is here.
    pub fn large_here(&self) -> Result<Vec<Hash>, Error> {
        self.hashes("SELECT DISTINCT sha256 FROM cfs_use WHERE place <> 2 ORDER BY sha256")
    }

    fn hashes(&self, sql: &str) -> Result<Vec<Hash>, Error> {
        let mut q = self.conn.prepare_cached(sql)?;
        let rows = q.query_map([], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|h| hash_of(&h?)).collect()
    }

    /// Large values that are not here.
    pub fn awaited(&self) -> Result<Vec<Awaited>, Error> {
        let sql = "SELECT r.id, u.sha256, u.size, u.since FROM cfs_use u INDEXED BY cfs_use_place JOIN cfs_record r ON r.n = u.n WHERE u.place = 2 ORDER BY r.id, u.sha256";
        let mut q = self.conn.prepare_cached(sql)?;
        let rows = q.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Vec<u8>>(1)?, r.get::<_, i64>(2)?, r.get::<_, Option<i64>>(3)?)))?;
        rows.map(|r| {
            let (id, hash, size, since) = r?;
            Ok(Awaited { id: id_of(&id)?, large: (hash_of(&hash)?, size.cast_unsigned()), since: since.unwrap_or(0) })
        })
        .collect()
    }

    /// The records that refer to a large value are to be looked at again.
    pub fn look_again_at_users(&self, hash: &Hash) -> Result<(), Error> {
        self.conn.prepare_cached("UPDATE cfs_record SET flags = flags | ?2 WHERE n IN (SELECT n FROM cfs_use WHERE sha256 = ?1)")?.execute(params![hash, AGAIN])?;
        Ok(())
    }
}
