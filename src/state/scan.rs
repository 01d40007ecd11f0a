//! What each record's rows looked like when its state was stored: for sites that capture by comparing
//! (decision 0023).

use super::{Error, State, id_of};
use crate::id::RecordId;
use crate::shared::HashMap;
use rusqlite::{OptionalExtension, params};

/// 128 bits over a record's rows.
pub type RowsPrint = [u8; 16];

/// A record that the host has: which one, and its print if that is known.
type Printed = (RecordId, Option<RowsPrint>);

impl State<'_> {
    /// Makes the table of prints, or removes it: what was printed while triggers did the work says nothing later.
    pub fn keep_prints(&self, keep: bool) -> Result<(), Error> {
        let sql = if keep { "CREATE TABLE IF NOT EXISTS cfs_scan (n INTEGER PRIMARY KEY, print BLOB NOT NULL)" } else { "DROP TABLE IF EXISTS cfs_scan" };
        Ok(self.conn.execute_batch(sql)?)
    }

    /// Records of a type that the host has, by the bytes of their root keys.
    pub fn prints(&self, kind: &str) -> Result<HashMap<Vec<u8>, Printed>, Error> {
        let mut q = self.conn.prepare("SELECT r.root_key, r.id, s.print FROM cfs_record r LEFT JOIN cfs_scan s ON s.n = r.n WHERE r.kind = ?1 AND r.root_key IS NOT NULL")?;
        let rows = q.query_map([kind], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, Vec<u8>>(1)?, r.get::<_, Option<RowsPrint>>(2)?)))?;
        rows.map(|r| r.map_err(Error::from).and_then(|(key, id, print)| Ok((key, (id_of(&id)?, print))))).collect()
    }

    /// Says what a record's rows look like now that its state is stored; `None` where that is not known.
    pub fn set_print(&self, n: i64, print: Option<RowsPrint>) -> Result<(), Error> {
        match print {
            Some(p) => self.conn.prepare_cached("INSERT OR REPLACE INTO cfs_scan (n, print) VALUES (?1, ?2)")?.execute(params![n, p])?,
            None => self.conn.prepare_cached("DELETE FROM cfs_scan WHERE n = ?1")?.execute([n])?,
        };
        Ok(())
    }

    /// How often others have committed to the database, as this connection sees it.
    pub fn data_version(&self) -> Result<i64, Error> {
        Ok(self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))?)
    }

    /// Whether readers stop writers: the database keeps a rollback journal.
    pub fn readers_block(&self) -> Result<bool, Error> {
        let mode: Option<String> = self.conn.prepare_cached("PRAGMA journal_mode")?.query_row([], |r| r.get(0)).optional()?;
        Ok(mode.as_deref() != Some("wal"))
    }
}
