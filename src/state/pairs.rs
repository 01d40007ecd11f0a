//! Records that match: found by their hashes, and noted where a person must decide.

use super::{DELETED, Error, State, id_of};
use crate::host::local::Local;
use crate::id::RecordId;
use crate::record::Record;
use rusqlite::params;
use std::collections::BTreeSet;

/// Two records that look like one, and why nobody matched them yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The one with the smaller UUID.
    pub a: RecordId,
    /// The other.
    pub b: RecordId,
    /// Why it is for a person to decide.
    pub reason: String,
}

impl State<'_> {
    /// Records that are there and share a matching hash with one: each with the hash.
    pub fn alike(&self, id: &RecordId) -> Result<Vec<([u8; 16], RecordId)>, Error> {
        let mut q = self.conn.prepare_cached(
            "SELECT m.hash, o.id FROM cfs_record r JOIN cfs_match m ON m.n = r.n JOIN cfs_match x ON x.kind = m.kind AND x.hash = m.hash AND x.n <> m.n \
             JOIN cfs_record o ON o.n = x.n WHERE r.id = ?1 AND o.flags & ?2 = 0 ORDER BY o.id",
        )?;
        let rows = q.query_map(params![id.as_bytes(), DELETED], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Vec<u8>>(1)?)))?;
        let hash = |b: Vec<u8>| <[u8; 16]>::try_from(b).map_err(|_| Error::Damaged("hash"));
        rows.map(|r| r.map_err(Error::from).and_then(|(h, id)| Ok((hash(h)?, id_of(&id)?)))).collect()
    }

    /// All records that share a matching hash with another.
    pub fn all_alike(&self) -> Result<BTreeSet<RecordId>, Error> {
        let mut q = self.conn.prepare(
            "SELECT r.id FROM (SELECT kind, hash FROM cfs_match GROUP BY kind, hash HAVING count(*) > 1) g JOIN cfs_match m ON m.kind = g.kind AND m.hash = g.hash JOIN cfs_record r ON r.n = m.n",
        )?;
        let rows = q.query_map([], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| id_of(&b?)).collect()
    }

    /// Pairs that are for a person to decide.
    pub fn pairs(&self) -> Result<Vec<Pair>, Error> {
        let mut q = self.conn.prepare("SELECT a, b, reason FROM cfs_pair ORDER BY a, b")?;
        let rows = q.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Vec<u8>>(1)?, r.get(2)?)))?;
        rows.map(|r| r.map_err(Error::from).and_then(|(a, b, reason)| Ok(Pair { a: id_of(&a)?, b: id_of(&b)?, reason }))).collect()
    }

    /// How many pairs are for a person to decide.
    pub fn pair_count(&self) -> Result<u64, Error> {
        Ok(self.conn.query_row("SELECT count(*) FROM cfs_pair", [], |r| r.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Notes a pair.
    pub fn add_pair(&self, p: &Pair) -> Result<(), Error> {
        self.conn.prepare_cached("INSERT INTO cfs_pair (a, b, reason) VALUES (?1, ?2, ?3)")?.execute(params![p.a.as_bytes(), p.b.as_bytes(), p.reason])?;
        Ok(())
    }

    /// Forgets a pair.
    pub fn drop_pair(&self, a: &RecordId, b: &RecordId) -> Result<(), Error> {
        self.conn.prepare_cached("DELETE FROM cfs_pair WHERE a = ?1 AND b = ?2")?.execute(params![a.as_bytes(), b.as_bytes()])?;
        Ok(())
    }

    /// Sets only under which keys the host holds a record's rows.
    pub fn set_local(&self, id: &RecordId, local: &Local) -> Result<(), Error> {
        if let Some(s) = self.load(id)? {
            self.conn.prepare_cached("UPDATE cfs_record SET local = ?2 WHERE id = ?1")?.execute(params![id.as_bytes(), local.write(&s.known)])?;
        }
        Ok(())
    }

    /// The host holds none of a record's rows any more.
    pub fn leave_host(&self, id: &RecordId) -> Result<(), Error> {
        self.conn.prepare_cached("UPDATE cfs_record SET local = ?2, root_key = NULL WHERE id = ?1")?.execute(params![id.as_bytes(), Local::default().write(&Record::default())])?;
        Ok(())
    }
}
