//! Capture: triggers that note which rows were touched, by any program, whether `cfs` runs or not.
//!
//! A note only says where to look. What changed is decided later, field by field, against what was
//! last applied; so a note too many costs a look, and never a wrong stamp.

use crate::host::key::HostKey;
use crate::host::mapping::{Mapping, Table};
use crate::host::rows::{quote, value_of};
use crate::planted;
use crate::shared::Name;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;

/// How many key columns a note can hold. A longer key is noted by its first columns.
const KEY_WIDTH: usize = 4;
/// How many owner columns a note can hold.
const OWNER_WIDTH: usize = 3;

/// What a trigger noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its number, growing.
    pub n: i64,
    /// `I`, `U`, `D`, or `R` for a row that an insert is about to replace.
    pub op: char,
    /// The table, an index into [`Mapping::tables`].
    pub table: usize,
    /// The row's key before.
    pub old_key: HostKey,
    /// The row's key after.
    pub new_key: HostKey,
    /// The values of the owner columns before.
    pub old_owner: HostKey,
    /// The values of the owner columns after.
    pub new_owner: HostKey,
}

/// The triggers that a mapping needs in the host's schema, by name: none where what changed is found by comparing.
pub fn wanted(m: &Mapping) -> BTreeMap<String, String> {
    if m.scan { BTreeMap::new() } else { all(m) }
}

fn all(m: &Mapping) -> BTreeMap<String, String> {
    m.tables.iter().flat_map(triggers).collect()
}

fn triggers(t: &Table) -> Vec<(String, String)> {
    let keys: Vec<Name> = t.key_columns().iter().take(KEY_WIDTH).cloned().collect();
    let owners: Vec<Name> = t.owner_columns().iter().take(OWNER_WIDTH).cloned().collect();
    let (table, text) = (quote(&t.name), t.name.replace('\'', "''"));
    let names = |prefix: &str, n: usize| (1..=n).map(|i| format!(", {prefix}{i}")).collect::<String>();
    let from = |row: &str, columns: &[Name]| columns.iter().map(|c| format!(", {row}.{}", quote(c))).collect::<String>();
    let (ok, nk) = (names("ok", keys.len()), names("nk", keys.len()));
    let (oo, no) = (names("oo", owners.len()), names("no", owners.len()));
    let old = from("OLD", &keys);
    let new = from("NEW", &keys);
    let (old_o, new_o) = (from("OLD", &owners), from("NEW", &owners));
    let left = if planted::bug("move-half-noted") { &new_o } else { &old_o };
    let found = from("x", &keys);
    let found_o = from("x", &owners);
    let same: Vec<String> = keys.iter().map(|k| format!("x.{0} = NEW.{0}", quote(k))).collect();
    let name = |op: &str| format!("cfs_{op}_{}", t.name);
    let make = |op: &str, when: &str, body: String| (name(op), format!("CREATE TRIGGER {} {when} ON {table} BEGIN {body}; END", quote(&name(op))));
    vec![
        make("insert", "AFTER INSERT", format!("INSERT INTO cfs_note (op, tbl{nk}{no}) VALUES ('I', '{text}'{new}{new_o})")),
        make("update", "AFTER UPDATE", format!("INSERT INTO cfs_note (op, tbl{ok}{nk}{oo}{no}) VALUES ('U', '{text}'{old}{new}{left}{new_o})")),
        make("delete", "AFTER DELETE", format!("INSERT INTO cfs_note (op, tbl{ok}{oo}) VALUES ('D', '{text}'{old}{old_o})")),
        // REPLACE deletes without a DELETE trigger: note what stands under the key beforehand.
        make("replace", "BEFORE INSERT", format!("INSERT INTO cfs_note (op, tbl{ok}{oo}) SELECT 'R', '{text}'{found}{found_o} FROM {table} AS x WHERE {}", same.join(" AND "))),
    ]
}

/// How the triggers in the host's schema are not as a mapping needs them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Misfits {
    drop: Vec<String>,
    make: BTreeMap<String, String>,
}

/// Compares the triggers that are there with those that a mapping needs.
pub fn misfits(conn: &Connection, m: &Mapping) -> rusqlite::Result<Misfits> {
    let (mut make, mut present) = (wanted(m), present(conn, "sqlite_master")?);
    // What fits is neither made nor dropped.
    make.retain(|name, sql| present.get(name) != Some(sql) || present.remove(name).is_none());
    Ok(Misfits { drop: present.into_keys().collect(), make })
}

impl Misfits {
    /// The tables whose triggers are missing: nobody noted what was done to them, and once they are there nothing tells.
    pub fn unheard(&self) -> impl Iterator<Item = &str> {
        self.make.keys().filter_map(|name| name.strip_prefix("cfs_insert_"))
    }

    /// Drops the triggers that do not fit, and makes those that are missing.
    pub fn mend(&self, conn: &Connection) -> rusqlite::Result<()> {
        self.drop.iter().try_for_each(|name| conn.execute_batch(&format!("DROP TRIGGER main.{}", quote(name))))?;
        self.make.values().try_for_each(|sql| conn.execute_batch(sql))
    }
}

fn present(conn: &Connection, master: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut q = conn.prepare(&format!("SELECT name, sql FROM {master} WHERE type = 'trigger' AND name LIKE 'cfs\\_%' ESCAPE '\\'"))?;
    q.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}

/// Where what changed is found by comparing: has this connection alone note what its own writes do, cascades and the
/// host's triggers included. The schema is not touched.
pub fn listen(conn: &Connection, m: &Mapping) -> rusqlite::Result<()> {
    hush(conn)?;
    all(m).values().try_for_each(|sql| conn.execute_batch(&sql.replacen("CREATE TRIGGER", "CREATE TEMP TRIGGER", 1)))
}

/// Ends [`listen`].
pub fn hush(conn: &Connection) -> rusqlite::Result<()> {
    present(conn, "sqlite_temp_master")?.keys().try_for_each(|name| conn.execute_batch(&format!("DROP TRIGGER temp.{}", quote(name))))
}

/// Drops all our triggers.
pub fn uninstall(conn: &Connection) -> rusqlite::Result<()> {
    present(conn, "sqlite_master")?.keys().try_for_each(|n| conn.execute_batch(&format!("DROP TRIGGER main.{}", quote(n))))
}

/// The newest note's number.
pub fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    Ok(conn.prepare_cached("SELECT max(rowid) FROM cfs_note")?.query_row([], |r| r.get::<_, Option<i64>>(0)).optional()?.flatten().unwrap_or(0))
}

/// How many inserts were noted after a number.
pub fn inserts(conn: &Connection, after: i64) -> rusqlite::Result<usize> {
    let n: i64 = conn.prepare_cached("SELECT count(*) FROM cfs_note WHERE rowid > ?1 AND op = 'I'")?.query_row([after], |r| r.get(0))?;
    Ok(usize::try_from(n).unwrap_or(0))
}

/// The notes after a number.
pub fn notes(conn: &Connection, m: &Mapping, after: i64) -> rusqlite::Result<Vec<Note>> {
    read(conn, m, after, "")
}

/// The notes after a number that are about rows that were there before.
pub fn changes(conn: &Connection, m: &Mapping, after: i64) -> rusqlite::Result<Vec<Note>> {
    read(conn, m, after, " AND op IN ('U', 'D')")
}

fn read(conn: &Connection, m: &Mapping, after: i64, only: &str) -> rusqlite::Result<Vec<Note>> {
    let columns = "rowid, op, tbl, ok1, ok2, ok3, ok4, nk1, nk2, nk3, nk4, oo1, oo2, oo3, no1, no2, no3";
    let mut q = conn.prepare_cached(&format!("SELECT {columns} FROM cfs_note WHERE rowid > ?1{only} ORDER BY rowid"))?;
    let mut rows = q.query([after])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        let op: String = r.get(1)?;
        let name: String = r.get(2)?;
        // A table that is no longer synchronized.
        let Some(table) = m.table(&name) else { continue };
        let Some(t) = m.tables.get(table) else { continue };
        let take = |from: usize, n: usize| (from..from + n).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<HostKey>>();
        let (k, o) = (t.key_columns().len().min(KEY_WIDTH), t.owner_columns().len().min(OWNER_WIDTH));
        out.push(Note { n: r.get(0)?, op: op.chars().next().unwrap_or('?'), table, old_key: take(3, k)?, new_key: take(7, k)?, old_owner: take(11, o)?, new_owner: take(14, o)? });
    }
    Ok(out)
}

/// Forgets the notes between two. The later one stays: rowids must go on growing.
pub fn drop_between(conn: &Connection, after: i64, before: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM cfs_note WHERE rowid > ?1 AND rowid < ?2")?.execute([after, before])?;
    Ok(())
}

/// Forgets notes up to a number, but for the last: rowids must go on growing. A first import leaves
/// millions, and the host waits meanwhile: only so many at a time. Says whether there are more.
pub fn forget(conn: &Connection, upto: i64, most: i64) -> rusqlite::Result<bool> {
    let oldest = "(SELECT min(rowid) FROM cfs_note)";
    let sql = format!("DELETE FROM cfs_note WHERE rowid <= ?1 AND rowid < (SELECT max(rowid) FROM cfs_note) AND rowid < {oldest} + ?2");
    conn.prepare_cached(&sql)?.execute([upto, most])?;
    Ok(conn
        .prepare_cached(&format!("SELECT {oldest} <= ?1 AND {oldest} < (SELECT max(rowid) FROM cfs_note)"))?
        .query_row([upto], |r| r.get::<_, Option<bool>>(0))?
        .unwrap_or(false))
}
