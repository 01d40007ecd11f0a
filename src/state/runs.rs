//! The account of what each synchronization did.

use super::{Error, State};
use crate::id::{RecordId, RowId, SiteId, Uuid};
use rusqlite::params;

/// One thing that a synchronization did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The record.
    pub id: RecordId,
    /// Its type.
    pub kind: String,
    /// The row's table and UUID, if it is about a row.
    pub row: Option<(String, RowId)>,
    /// The field, if it is about a field.
    pub field: Option<String>,
    /// The value before, for people.
    pub old: Option<String>,
    /// The value after, for people.
    pub new: Option<String>,
    /// The site it came from.
    pub site: Option<SiteId>,
    /// What happened: `sent`, `received`, `merged`, `superseded`, `deleted`, `restored` …
    pub what: String,
}

/// A synchronization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub run: i64,
    /// When it started, milliseconds since 1970.
    pub started: i64,
    /// Its report as JSON; `None` if it did not finish.
    pub report: Option<String>,
}

impl State<'_> {
    /// Starts the account of a synchronization. It is written only if something happens.
    pub fn start_run(&self, now_ms: i64) -> Result<i64, Error> {
        self.conn.execute("INSERT INTO cfs_run (started) VALUES (?1)", [now_ms])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Ends it with its report.
    pub fn end_run(&self, run: i64, report: &str) -> Result<(), Error> {
        self.conn.execute("UPDATE cfs_run SET report = ?2 WHERE run = ?1", params![run, report])?;
        Ok(())
    }

    /// Drops accounts older than a time.
    pub fn forget_runs(&self, before_ms: i64) -> Result<(), Error> {
        self.conn.execute("DELETE FROM cfs_change WHERE run IN (SELECT run FROM cfs_run WHERE started < ?1)", [before_ms])?;
        self.conn.execute("DELETE FROM cfs_run WHERE started < ?1", [before_ms])?;
        Ok(())
    }

    /// Adds to an account.
    pub fn add_change(&self, run: i64, c: &ChangeRow) -> Result<(), Error> {
        self.conn.prepare_cached("INSERT INTO cfs_change (run, id, kind, tbl, row_id, field, old, new, site, what) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?.execute(
            params![
                run,
                c.id.as_bytes(),
                c.kind,
                c.row.as_ref().map(|r| &r.0),
                c.row.as_ref().map(|r| r.1.as_bytes().to_vec()),
                c.field,
                c.old,
                c.new,
                c.site.map(|s| s.as_bytes().to_vec()),
                c.what
            ],
        )?;
        Ok(())
    }

    /// The last runs, newest first.
    pub fn runs(&self, last: u64) -> Result<Vec<RunRow>, Error> {
        let mut q = self.conn.prepare("SELECT run, started, report FROM cfs_run ORDER BY run DESC LIMIT ?1")?;
        let rows = q.query_map([last.cast_signed()], |r| Ok(RunRow { run: r.get(0)?, started: r.get(1)?, report: r.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a run did, or what happened to a record.
    pub fn changes(&self, run: Option<i64>, id: Option<&RecordId>) -> Result<Vec<(i64, ChangeRow)>, Error> {
        let mut q = self
            .conn
            .prepare("SELECT run, id, kind, tbl, row_id, field, old, new, site, what FROM cfs_change WHERE (?1 IS NULL OR run = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY rowid")?;
        let uuid = |b: Option<Vec<u8>>| b.and_then(|b| Uuid::from_slice(&b).ok());
        let rows = q.query_map(params![run, id.map(|i| i.as_bytes().to_vec())], |r| {
            let table: Option<String> = r.get(3)?;
            let row = uuid(r.get(4)?);
            Ok((
                r.get(0)?,
                ChangeRow {
                    id: uuid(r.get(1)?).unwrap_or_default(),
                    kind: r.get::<_, Option<String>>(2)?.unwrap_or_default(),
                    row: table.zip(row),
                    field: r.get(5)?,
                    old: r.get(6)?,
                    new: r.get(7)?,
                    site: uuid(r.get(8)?),
                    what: r.get(9)?,
                },
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
