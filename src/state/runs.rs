//! The account of what each synchronization did.

use super::{Error, State};
use crate::id::{RecordId, RowId, SiteId, Uuid};
use rusqlite::params;
use rusqlite::types::Value as SqlValue;

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

    /// Runs before one, or the newest, newest first, each with the number of lines of its account.
    pub fn runs_before(&self, before: Option<i64>, most: u64) -> Result<Vec<(RunRow, u64)>, Error> {
        let mut q = self.conn.prepare(
            "SELECT run, started, report, (SELECT count(*) FROM cfs_change c WHERE c.run = r.run) FROM cfs_run r WHERE ?1 IS NULL OR run < ?1 ORDER BY run DESC LIMIT ?2",
        )?;
        let rows =
            q.query_map(params![before, most.cast_signed()], |r| Ok((RunRow { run: r.get(0)?, started: r.get(1)?, report: r.get(2)? }, r.get::<_, i64>(3)?.unsigned_abs())))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When runs started and how they ended, since a time.
    pub fn runs_since(&self, since_ms: i64) -> Result<Vec<RunRow>, Error> {
        let mut q = self.conn.prepare("SELECT run, started, report FROM cfs_run WHERE started >= ?1 ORDER BY run")?;
        let rows = q.query_map([since_ms], |r| Ok(RunRow { run: r.get(0)?, started: r.get(1)?, report: r.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a run did, or what happened to a record.
    pub fn changes(&self, run: Option<i64>, id: Option<&RecordId>) -> Result<Vec<(i64, ChangeRow)>, Error> {
        let all = Search { run, record: id.copied(), most: i64::MAX.unsigned_abs(), ..Search::default() };
        Ok(self.search(&all)?.into_iter().map(|(_, run, _, c)| (run, c)).collect())
    }

    /// Lines of the account that are searched for, each with its number, its run and when that started.
    pub fn search(&self, s: &Search) -> Result<Vec<(i64, i64, i64, ChangeRow)>, Error> {
        let blob = |u: &Uuid| SqlValue::Blob(u.as_bytes().to_vec());
        let (beyond, order) = if s.newest_first { ("rowid < ?", "DESC") } else { ("rowid > ?", "ASC") };
        let given = [
            ("run = ?", s.run.map(SqlValue::Integer)),
            ("id = ?", s.record.as_ref().map(blob)),
            ("site = ?", s.site.as_ref().map(blob)),
            ("tbl = ? COLLATE NOCASE", s.table.clone().map(SqlValue::Text)),
            ("what = ?", s.what.clone().map(SqlValue::Text)),
            (beyond, s.beyond.map(SqlValue::Integer)),
        ];
        // Only what is given is asked for, so that an index can answer.
        let (clauses, values): (Vec<&str>, Vec<SqlValue>) = given.into_iter().filter_map(|(c, v)| Some((c, v?))).unzip();
        let clauses = if clauses.is_empty() { String::new() } else { format!("WHERE {}", clauses.join(" AND ")) };
        let mut q = self.conn.prepare(&format!("{CHANGE} {clauses} ORDER BY rowid {order} LIMIT {}", s.most))?;
        Ok(q.query_map(rusqlite::params_from_iter(values), change)?.collect::<Result<_, _>>()?)
    }

    /// What happened, of all that is in the account.
    pub fn outcomes(&self) -> Result<Vec<String>, Error> {
        let mut q = self.conn.prepare("SELECT DISTINCT what FROM cfs_change ORDER BY what LIMIT 100")?;
        Ok(q.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?)
    }
}

/// Which lines of the account are searched for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Of this run.
    pub run: Option<i64>,
    /// About this record.
    pub record: Option<RecordId>,
    /// From this site.
    pub site: Option<SiteId>,
    /// About rows of this table.
    pub table: Option<String>,
    /// With this outcome.
    pub what: Option<String>,
    /// Beyond this line, in the order that is asked for.
    pub beyond: Option<i64>,
    /// How many at most.
    pub most: u64,
    /// Whether the newest come first.
    pub newest_first: bool,
}

const CHANGE: &str = "SELECT rowid, run, (SELECT started FROM cfs_run r WHERE r.run = cfs_change.run), id, kind, tbl, row_id, field, old, new, site, what FROM cfs_change";

fn change(r: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, i64, i64, ChangeRow)> {
    let uuid = |b: Option<Vec<u8>>| b.and_then(|b| Uuid::from_slice(&b).ok());
    let table: Option<String> = r.get(5)?;
    let row = uuid(r.get(6)?);
    let line = ChangeRow {
        id: uuid(r.get(3)?).unwrap_or_default(),
        kind: r.get::<_, Option<String>>(4)?.unwrap_or_default(),
        row: table.zip(row),
        field: r.get(7)?,
        old: r.get(8)?,
        new: r.get(9)?,
        site: uuid(r.get(10)?),
        what: r.get(11)?,
    };
    Ok((r.get(0)?, r.get(1)?, r.get::<_, Option<i64>>(2)?.unwrap_or(0), line))
}
