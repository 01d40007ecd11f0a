//! What the host database declares, read from a live connection. It only reads.

use super::mapping::Affinity;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Rows are counted up to this many; a bigger table is said to hold more.
pub const COUNT_LIMIT: u64 = 100_000;

/// Why a schema could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// SQLite refused.
    #[error("the host database's schema could not be read: {0}")]
    Sql(#[from] rusqlite::Error),
}

/// Everything the host declares, without our own `cfs_…` things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Ordinary tables, in the order they were made.
    pub tables: Vec<HostTable>,
    /// Views.
    pub views: Vec<String>,
    /// Virtual tables (full-text indexes and the like).
    pub virtual_tables: Vec<String>,
    /// Tables that belong to a virtual table.
    pub shadow_tables: Vec<String>,
    /// The host's triggers.
    pub triggers: Vec<Trigger>,
    /// The size of the database file in bytes, as SQLite counts pages.
    pub size_bytes: u64,
}

/// An ordinary table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTable {
    /// Its name as the schema spells it.
    pub name: String,
    /// Its columns in order, generated ones included.
    pub columns: Vec<HostColumn>,
    /// The declared primary key's columns, in key order; empty without one.
    pub primary_key: Vec<String>,
    /// The column that is the rowid under another name: an `INTEGER PRIMARY KEY`.
    pub rowid_alias: Option<String>,
    /// A name by which the rowid can be reached; `None` without one.
    pub rowid_name: Option<String>,
    /// Whether it is a `WITHOUT ROWID` table.
    pub without_rowid: bool,
    /// Whether it is a `STRICT` table.
    pub strict: bool,
    /// Declared foreign keys, in the order of their first columns.
    pub foreign_keys: Vec<ForeignKey>,
    /// Unique indexes, whether declared as constraints or made later; a primary key that is the
    /// rowid has none.
    pub unique: Vec<Unique>,
    /// The columns with which an index begins, the rowid's other name among them.
    pub leading: Vec<String>,
    /// Whether a constraint of it says ON CONFLICT.
    pub on_conflict: bool,
    /// How many rows it holds, counted up to [`COUNT_LIMIT`] by [`Schema::count_rows`].
    pub rows: u64,
    /// Where nothing declares a key, the column by which its rows are told apart all the same, if a proposal found one.
    pub assumed: Option<String>,
}

/// A column of an ordinary table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostColumn {
    /// Its name.
    pub name: String,
    /// The declared type, as written.
    pub declared: String,
    /// Its affinity.
    pub affinity: Affinity,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// Whether SQLite computes it.
    pub generated: bool,
    /// The default, as SQL.
    pub default: Option<String>,
}

/// A declared foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The columns that hold it.
    pub columns: Vec<String>,
    /// The parent table, as the schema spells it where it exists.
    pub parent: String,
    /// The parent's columns; empty if the parent does not exist or has no such key.
    pub parent_columns: Vec<String>,
    /// Whether the row goes when its parent goes.
    pub cascade: bool,
}

/// A unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// Its name.
    pub name: String,
    /// Its columns; an expression has none.
    pub columns: Vec<String>,
    /// Whether it has a WHERE clause.
    pub partial: bool,
    /// Whether it is over an expression.
    pub expression: bool,
    /// The SQL of an index made by `CREATE UNIQUE INDEX`.
    pub sql: Option<String>,
}

impl Unique {
    /// Whether it is a plain set of columns that no two rows share.
    pub fn plain(&self) -> bool {
        !self.partial && !self.expression
    }
}

/// A trigger of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The table or view it stands on.
    pub table: String,
    /// Its SQL.
    pub sql: String,
}

/// A name as an SQL identifier, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Several names as SQL identifiers, with commas between.
pub fn quoted_list(names: &[String]) -> String {
    names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ")
}

/// Whether two names are one for SQLite: ASCII letters without case.
pub fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl Schema {
    /// Reads the main database's schema.
    pub fn read(db: &Connection) -> Result<Schema, SchemaError> {
        let mut schema = Schema::default();
        let ours = |name: &str| name.get(..4).is_some_and(|p| same(p, "cfs_"));
        let theirs = |name: &str| name.get(..7).is_some_and(|p| same(p, "sqlite_"));
        let mut list = db.prepare(
            "SELECT l.name, l.type, l.wr, l.strict, coalesce(m.sql, '') FROM pragma_table_list l LEFT JOIN main.sqlite_master m
             ON m.name = l.name AND m.type = 'table' WHERE l.schema = 'main' ORDER BY m.rowid, l.name",
        )?;
        let rows = list.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get::<_, bool>(2)?, r.get::<_, bool>(3)?, r.get::<_, String>(4)?)))?;
        for row in rows {
            let (name, kind, without_rowid, strict, sql) = row?;
            if ours(&name) || theirs(&name) {
                continue;
            }
            match kind.as_str() {
                "view" => schema.views.push(name),
                "virtual" => schema.virtual_tables.push(name),
                "shadow" => schema.shadow_tables.push(name),
                _ => schema.tables.push(HostTable { on_conflict: says_on_conflict(&sql), ..read_table(db, name, without_rowid, strict)? }),
            }
        }
        resolve_parents(&mut schema.tables);
        let mut triggers = db.prepare("SELECT name, tbl_name, coalesce(sql, '') FROM main.sqlite_master WHERE type = 'trigger' ORDER BY name")?;
        let rows = triggers.query_map([], |r| Ok(Trigger { name: r.get(0)?, table: r.get(1)?, sql: r.get(2)? }))?;
        for t in rows {
            let t = t?;
            if !ours(&t.name) {
                schema.triggers.push(t);
            }
        }
        let pages: i64 = db.query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |r| r.get(0))?;
        schema.size_bytes = u64::try_from(pages).unwrap_or(0);
        Ok(schema)
    }

    /// Counts the rows of every table: what a proposal needs, and a sync must not pay for.
    pub fn count_rows(&mut self, db: &Connection) -> Result<(), rusqlite::Error> {
        for t in &mut self.tables {
            let count = format!("SELECT count(*) FROM (SELECT 1 FROM main.{} LIMIT {})", quoted(&t.name), COUNT_LIMIT + 1);
            t.rows = u64::try_from(db.query_row(&count, [], |r| r.get::<_, i64>(0))?).unwrap_or(0);
        }
        Ok(())
    }

    /// The table with a name.
    pub fn table(&self, name: &str) -> Option<&HostTable> {
        self.tables.iter().find(|t| same(&t.name, name))
    }

    /// The triggers that stand on a table.
    pub fn triggers_on<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Trigger> {
        self.triggers.iter().filter(move |t| same(&t.table, table))
    }
}

impl HostTable {
    /// The column with a name.
    pub fn column(&self, name: &str) -> Option<&HostColumn> {
        self.columns.iter().find(|c| same(&c.name, name))
    }

    /// Whether every one of these columns refuses NULL.
    pub fn not_null(&self, columns: &[String]) -> bool {
        columns.iter().all(|c| self.column(c).is_some_and(|c| c.not_null))
    }

    /// The columns by which a row is named: the primary key, else the first UNIQUE set whose
    /// columns refuse NULL. Empty if only the rowid names a row.
    pub fn key_columns(&self) -> Vec<String> {
        if !self.primary_key.is_empty() {
            return self.primary_key.clone();
        }
        let unique = self.unique.iter().find(|u| u.plain() && self.not_null(&u.columns));
        unique.map(|u| u.columns.clone()).unwrap_or_default()
    }

    /// The column that is the whole primary key, if it is one column.
    pub fn single_key(&self) -> Option<&str> {
        match self.primary_key.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The same, or what a proposal found in its place.
    pub fn told_apart_by(&self) -> Option<&str> {
        self.single_key().or(self.assumed.as_deref())
    }
}

/// The affinity of a declared type (datatype3.html §3.1).
pub fn affinity(declared: &str, strict: bool) -> Affinity {
    let d = declared.to_ascii_uppercase();
    if d.contains("INT") {
        Affinity::Integer
    } else if ["CHAR", "CLOB", "TEXT"].iter().any(|w| d.contains(w)) {
        Affinity::Text
    } else if d.is_empty() || d.contains("BLOB") || (strict && d == "ANY") {
        Affinity::Blob
    } else if ["REAL", "FLOA", "DOUB"].iter().any(|w| d.contains(w)) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

fn read_table(db: &Connection, name: String, without_rowid: bool, strict: bool) -> Result<HostTable, SchemaError> {
    let mut table = HostTable { without_rowid, strict, ..HostTable::default() };
    let mut key: BTreeMap<i64, String> = BTreeMap::new();
    let mut columns = db.prepare_cached("SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid")?;
    let mut rows = columns.query(params![name])?;
    while let Some(r) = rows.next()? {
        let column: String = r.get(0)?;
        let declared: String = r.get(1)?;
        let pk: i64 = r.get(4)?;
        if pk > 0 {
            key.insert(pk, column.clone());
        }
        table.columns.push(HostColumn {
            affinity: affinity(&declared, strict),
            not_null: r.get(2)?,
            generated: r.get::<_, i64>(5)? != 0,
            default: r.get(3)?,
            name: column,
            declared,
        });
    }
    table.primary_key = key.into_values().collect();
    let has_key_index = read_indexes(db, &name, &mut table)?;
    // An `INTEGER PRIMARY KEY` is the rowid itself and has no index of its own; the DESC form that
    // SQLite once took by accident for an ordinary column has one.
    if let [one] = table.primary_key.as_slice()
        && !without_rowid
        && !has_key_index
        && table.column(one).is_some_and(|c| same(&c.declared, "INTEGER"))
    {
        table.rowid_alias = Some(one.clone());
        table.leading.push(one.clone());
    }
    if without_rowid || table.rowid_alias.is_some() {
        let key = table.primary_key.clone();
        for c in table.columns.iter_mut().filter(|c| key.contains(&c.name)) {
            c.not_null = true;
        }
    }
    if !without_rowid {
        let free = ["rowid", "_rowid_", "oid"].into_iter().find(|n| table.column(n).is_none());
        table.rowid_name = table.rowid_alias.clone().or_else(|| free.map(str::to_owned));
    }
    read_foreign_keys(db, &name, &mut table)?;
    table.name = name;
    Ok(table)
}

/// A table, or as `table.column` a column of it. A table's own name may hold dots.
pub fn split_target(is_table: impl Fn(&str) -> bool, said: &str) -> (&str, Option<&str>) {
    match said.rsplit_once('.').filter(|(table, _)| !is_table(said) && is_table(table)) {
        Some((table, column)) => (table, Some(column)),
        None => (said, None),
    }
}

/// Whether a table was declared with words that let a new row take another's place.
fn says_on_conflict(sql: &str) -> bool {
    let words: Vec<String> = sql.split_whitespace().map(str::to_lowercase).collect();
    words.windows(2).any(|w| w[0].ends_with("on") && w[1].starts_with("conflict"))
}

/// Reads the indexes and says whether the primary key has one.
fn read_indexes(db: &Connection, name: &str, table: &mut HostTable) -> Result<bool, SchemaError> {
    let mut list = db.prepare_cached(
        "SELECT i.name, i.origin, i.partial, m.sql, i.\"unique\" FROM pragma_index_list(?1, 'main') i
         LEFT JOIN main.sqlite_master m ON m.type = 'index' AND m.name = i.name ORDER BY i.seq DESC",
    )?;
    let mut parts = db.prepare_cached("SELECT cid, name FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno")?;
    let mut has_key_index = false;
    let mut rows = list.query(params![name])?;
    while let Some(r) = rows.next()? {
        let index: String = r.get(0)?;
        has_key_index |= r.get::<_, String>(1)? == "pk";
        let mut unique = Unique { name: index, columns: Vec::new(), partial: r.get(2)?, expression: false, sql: r.get(3)? };
        let mut columns = parts.query(params![unique.name])?;
        while let Some(c) = columns.next()? {
            match c.get::<_, Option<String>>(1)? {
                Some(column) => unique.columns.push(column),
                None => unique.expression = true,
            }
        }
        table.leading.extend(unique.columns.first().filter(|_| !unique.partial).cloned());
        if r.get(4)? {
            table.unique.push(unique);
        }
    }
    Ok(has_key_index)
}

fn read_foreign_keys(db: &Connection, name: &str, table: &mut HostTable) -> Result<(), SchemaError> {
    let mut list = db.prepare_cached("SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1, 'main') ORDER BY id DESC, seq")?;
    let mut found: Vec<(i64, ForeignKey)> = Vec::new();
    let mut rows = list.query(params![name])?;
    while let Some(r) = rows.next()? {
        let id: i64 = r.get(0)?;
        let (parent, column): (String, String) = (r.get(1)?, r.get(2)?);
        // The child's column is given as the FOREIGN KEY clause spells it.
        let column = table.column(&column).map(|c| c.name.clone()).unwrap_or(column);
        let target: Option<String> = r.get(3)?;
        let cascade = same(&r.get::<_, String>(4)?, "CASCADE");
        if found.last().is_none_or(|(last, _)| *last != id) {
            found.push((id, ForeignKey { columns: Vec::new(), parent, parent_columns: Vec::new(), cascade }));
        }
        if let Some((_, key)) = found.last_mut() {
            key.columns.push(column);
            key.parent_columns.extend(target);
        }
    }
    let place = |k: &ForeignKey| table.columns.iter().position(|c| k.columns.first() == Some(&c.name));
    found.sort_by_key(|(_, k)| place(k));
    table.foreign_keys = found.into_iter().map(|(_, k)| k).collect();
    Ok(())
}

/// Gives every foreign key its parent's and columns' names as declared; `REFERENCES t` alone means
/// the primary key.
fn resolve_parents(tables: &mut [HostTable]) {
    let names: Vec<(String, Vec<String>, Vec<String>)> =
        tables.iter().map(|t| (t.name.clone(), t.primary_key.clone(), t.columns.iter().map(|c| c.name.clone()).collect())).collect();
    for key in tables.iter_mut().flat_map(|t| t.foreign_keys.iter_mut()) {
        let Some((name, primary, columns)) = names.iter().find(|(n, ..)| same(n, &key.parent)) else {
            key.parent_columns.clear();
            continue;
        };
        key.parent = name.clone();
        let wanted = if key.parent_columns.is_empty() { primary } else { &key.parent_columns };
        let found: Option<Vec<String>> = wanted.iter().map(|w| columns.iter().find(|c| same(c, w)).cloned()).collect();
        key.parent_columns = found.filter(|f| f.len() == key.columns.len()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Schema {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        Schema::read(&db).unwrap()
    }

    #[test]
    fn keys_are_told_apart() {
        let s = read(
            "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY DESC);
             CREATE TABLE c (id INT PRIMARY KEY); CREATE TABLE d (rowid TEXT, oid TEXT, _rowid_ TEXT);
             CREATE TABLE e (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID; CREATE TABLE f (rowid TEXT, x UNIQUE NOT NULL);
             CREATE TABLE cfs_state (x);",
        );
        let alias: Vec<_> = s.tables.iter().map(|t| t.rowid_alias.as_deref()).collect();
        assert_eq!(alias, [Some("id"), None, None, None, None, None]);
        let rowid: Vec<_> = s.tables.iter().map(|t| t.rowid_name.as_deref()).collect();
        assert_eq!(rowid, [Some("id"), Some("rowid"), Some("rowid"), None, None, Some("_rowid_")]);
        assert_eq!(s.table("E").unwrap().primary_key, ["b", "a"]);
        assert!(s.table("e").unwrap().not_null(&["a".into(), "b".into()]));
        assert_eq!(s.table("f").unwrap().key_columns(), ["x"]);
    }

    #[test]
    fn foreign_keys_find_their_parents() {
        let s = read(
            "CREATE TABLE Parent (Id INTEGER PRIMARY KEY, uuid TEXT UNIQUE);
             CREATE TABLE two (a, b, PRIMARY KEY (a, b));
             CREATE TABLE child (x REFERENCES PARENT ON DELETE CASCADE, y REFERENCES parent(UUID), z REFERENCES gone(id), p, q, FOREIGN KEY (P, q) REFERENCES two);",
        );
        let keys = &s.table("child").unwrap().foreign_keys;
        let said: Vec<_> = keys.iter().map(|k| (k.columns.join("+"), k.parent.as_str(), k.parent_columns.join("+"), k.cascade)).collect();
        let want = [("x", "Parent", "Id", true), ("y", "Parent", "uuid", false), ("z", "gone", "", false), ("p+q", "two", "a+b", false)];
        assert_eq!(said, want.map(|(a, b, c, d)| (a.to_owned(), b, c.to_owned(), d)));
    }

    #[test]
    fn unique_indexes_and_generated_columns() {
        let s = read(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, g AS (a || b), UNIQUE (b, a));
             CREATE UNIQUE INDEX u1 ON t (lower(a)); CREATE UNIQUE INDEX u2 ON t (b) WHERE a IS NULL;
             CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE f USING fts5(x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END;
             CREATE TRIGGER cfs_t AFTER INSERT ON t BEGIN SELECT 1; END;",
        );
        let t = s.table("t").unwrap();
        let plain: Vec<_> = t.unique.iter().filter(|u| u.plain()).map(|u| u.columns.join("+")).collect();
        assert_eq!(plain, ["a", "b+a"]);
        assert_eq!(t.unique.len(), 4);
        assert!(t.column("g").unwrap().generated);
        assert_eq!((s.views.len(), s.virtual_tables.len(), s.triggers.len()), (1, 1, 1));
        assert!(s.shadow_tables.len() > 3 && s.tables.len() == 1);
    }

    #[test]
    fn affinities_follow_the_manual() {
        let said = ["INTEGER", "CHAR(1)", "", "DOUBLE", "DATE", "FLOATING POINT", "BOOLEAN", "ANY"].map(|d| affinity(d, false));
        use Affinity::{Blob, Integer, Numeric, Real, Text};
        assert_eq!(said, [Integer, Text, Blob, Real, Numeric, Integer, Numeric, Numeric]);
        assert_eq!(affinity("ANY", true), Blob);
    }
}
