//! What reports ask of our tables: counts and lists, never a record's content.

use super::{Error, HELD, State, WAITING, id_of};
use crate::id::{RecordId, SiteId};
use rusqlite::params;

/// A record that is held or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// The record.
    pub id: RecordId,
    /// Its flags.
    pub flags: i64,
    /// Why, in the host's words.
    pub reason: Option<String>,
    /// Since when, milliseconds since 1970.
    pub since: Option<i64>,
}

/// Something announced that is not here yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRow {
    /// Whose segment announced it.
    pub site: SiteId,
    /// Which segment.
    pub seq: u64,
    /// The record.
    pub id: RecordId,
    /// Since when, milliseconds since 1970.
    pub since: i64,
}

/// What waits to be done, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brief {
    /// Rows that the host touched and no sync has looked at.
    pub touched: u64,
    /// Deletions that the host asked for.
    pub delete_requests: u64,
    /// Changes not yet in a segment.
    pub unsent: u64,
    /// Segments not yet in the folder.
    pub segments: u64,
    /// Record files to be written.
    pub files: u64,
}

impl State<'_> {
    /// What waits to be done, in numbers.
    pub fn brief(&self) -> Result<Brief, Error> {
        let seen: i64 = self.meta("notes_seen")?.unwrap_or(0);
        let one = |sql: &str| -> Result<u64, Error> { Ok(self.conn.query_row(sql, [], |r| r.get::<_, i64>(0))?.unsigned_abs()) };
        let touched: i64 = self.conn.query_row(
            "SELECT count(*) FROM (SELECT DISTINCT tbl, coalesce(nk1, ok1), coalesce(nk2, ok2), coalesce(nk3, ok3), coalesce(nk4, ok4) FROM cfs_note WHERE rowid > ?1)",
            [seen],
            |r| r.get(0),
        )?;
        Ok(Brief {
            touched: touched.unsigned_abs(),
            delete_requests: one("SELECT count(*) FROM cfs_delete")?,
            unsent: self.out_count()?,
            segments: one("SELECT count(*) FROM cfs_segment")?,
            files: one("SELECT count(*) FROM cfs_file WHERE due = 1")?,
        })
    }

    /// Records that are held or wait for others, the oldest first.
    pub fn held(&self) -> Result<Vec<HeldRow>, Error> {
        let mut q = self.conn.prepare("SELECT id, flags, reason, since FROM cfs_record WHERE flags > 0 AND flags & ?1 <> 0 ORDER BY since, id")?;
        let rows = q.query_map([HELD | WAITING], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
        rows.map(|r| r.map_err(Error::from).and_then(|(id, flags, reason, since)| Ok(HeldRow { id: id_of(&id)?, flags, reason, since }))).collect()
    }

    /// How many records have a flag.
    pub fn count_flagged(&self, flag: i64) -> Result<u64, Error> {
        Ok(self.conn.query_row("SELECT count(*) FROM cfs_record WHERE flags > 0 AND flags & ?1 <> 0", [flag], |r| r.get::<_, i64>(0))?.unsigned_abs())
    }

    /// What was announced and is not here yet.
    pub fn pending_rows(&self) -> Result<Vec<PendingRow>, Error> {
        let mut q = self.conn.prepare("SELECT site, seq, id, since FROM cfs_pending ORDER BY since, seq")?;
        let rows = q.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, i64>(1)?, r.get::<_, Vec<u8>>(2)?, r.get(3)?)))?;
        rows.map(|r| r.map_err(Error::from).and_then(|(site, seq, id, since)| Ok(PendingRow { site: id_of(&site)?, seq: seq.unsigned_abs(), id: id_of(&id)?, since }))).collect()
    }

    /// Records whose UUID starts with these hex digits, at most `limit` of them.
    pub fn with_prefix(&self, hex: &str, limit: usize) -> Result<Vec<RecordId>, Error> {
        let mut q = self.conn.prepare("SELECT id FROM cfs_record WHERE substr(lower(hex(id)), 1, ?2) = ?1 ORDER BY id LIMIT ?3")?;
        let rows = q.query_map(params![hex, hex.len() as i64, limit as i64], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| id_of(&b?)).collect()
    }
}
