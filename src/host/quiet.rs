//! Inserting rows without triggers (decision 0026): where only our own triggers would hear of an insert, and what they
//! note would be dropped again in the same transaction, this connection leaves them off. Others' are not touched.

use super::events::Events;
use super::mapping::Mapping;
use rusqlite::Connection;
use rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;

/// Whether the schema's triggers are off on this connection.
pub fn is_quiet(conn: &Connection) -> rusqlite::Result<bool> {
    conn.db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER).map(|on| !on)
}

/// Turns the schema's triggers off on this connection. What it has prepared is prepared anew when it is next used.
pub fn quiet(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, false).map(drop)
}

/// Turns them on again: before anything but an insert is written to the host's tables.
pub fn loud(conn: &Connection) -> rusqlite::Result<()> {
    if is_quiet(conn)? {
        conn.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
    }
    Ok(())
}

/// Whether no trigger but ours hears of an insert into a table that we write, as the schema is now.
pub fn nobody_listens(conn: &Connection, m: &Mapping) -> rusqlite::Result<bool> {
    let mut q = conn.prepare_cached("SELECT tbl_name, sql FROM main.sqlite_master WHERE type = 'trigger' AND name NOT LIKE 'cfs\\_%' ESCAPE '\\'")?;
    let mut rows = q.query([])?;
    while let Some(r) = rows.next()? {
        let (table, sql): (String, String) = (r.get(0)?, r.get(1)?);
        if m.tables.iter().any(|t| t.name.eq_ignore_ascii_case(&table)) && Events::of(&sql).insert {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The number that every change of the schema raises.
pub fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA main.schema_version")?.query_row([], |r| r.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_connection_is_quiet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.db");
        let (a, b) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
        a.execute_batch(
            "CREATE TABLE t (x INTEGER PRIMARY KEY); CREATE TABLE heard (x); CREATE TABLE below (x REFERENCES t ON DELETE CASCADE);
             CREATE TRIGGER ti AFTER INSERT ON t BEGIN INSERT INTO heard VALUES (NEW.x); END;
             CREATE TRIGGER td AFTER DELETE ON below BEGIN INSERT INTO heard VALUES (-OLD.x); END; PRAGMA foreign_keys = ON",
        )
        .unwrap();
        let insert = |c: &Connection, x: i64| c.prepare_cached("INSERT INTO t VALUES (?1)").unwrap().execute([x]).unwrap();
        let heard = || -> Vec<i64> { b.prepare("SELECT x FROM heard ORDER BY rowid").unwrap().query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect() };
        insert(&a, 1);
        quiet(&a).unwrap();
        assert!(is_quiet(&a).unwrap() && !is_quiet(&b).unwrap());
        insert(&a, 2);
        insert(&b, 3);
        a.execute_batch("INSERT INTO below VALUES (2)").unwrap();
        loud(&a).unwrap();
        insert(&a, 4);
        a.execute_batch("DELETE FROM t WHERE x = 2").unwrap();
        assert_eq!(heard(), [1, 3, 4, -2]);
    }
}
