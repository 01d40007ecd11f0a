//! Whether two databases hold the same, whatever keys their rows have: every row is described by its values
//! and, in place of a foreign key, by the description of the row that it leads to. Written without the
//! engine's own reading of a host; of `cfs.toml` it takes what is synchronized and what points where.

use cloud_folder_sync::config::Config;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// How far references are followed.
const DEPTH: usize = 3;

struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// The rowid's other name, a key that means nothing elsewhere.
    surrogate: Option<String>,
    key: Vec<String>,
    /// Columns to table and columns.
    references: Vec<(Vec<String>, String, Vec<String>)>,
    in_text: Vec<String>,
    skipped: Vec<String>,
}

struct Database {
    tables: BTreeMap<String, Table>,
}

/// What two sites hold in the tables that both synchronize, as counted descriptions: equal, or not.
pub(crate) fn assert_same(a: &Path, b: &Path, config: &Path) {
    let config = Config::load(config).unwrap();
    let (one, two) = (Database::read(a, &config), Database::read(b, &config));
    for name in one.tables.keys() {
        let (mut x, mut y) = (one.described(name), two.described(name));
        x.retain(|row, n| {
            let other = y.get_mut(row);
            let both = other.as_ref().map_or(0, |m| **m).min(*n);
            *n -= both;
            if let Some(m) = other {
                *m -= both;
            }
            *n > 0
        });
        y.retain(|_, n| *n > 0);
        assert!(x.is_empty() && y.is_empty(), "{name}: only at {}: {x:#?}\nonly at {}: {y:#?}", a.display(), b.display());
    }
    for db in [a, b] {
        let conn = Connection::open(db).unwrap();
        let check: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(check, "ok", "{}", db.display());
        assert!(!conn.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap(), "{}: a foreign key leads nowhere", db.display());
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Database {
    fn read(file: &Path, config: &Config) -> Database {
        let conn = Connection::open(file).unwrap();
        let mut tables = BTreeMap::new();
        let mut names: Vec<String> = config.types.keys().cloned().collect();
        names.extend(config.tables.keys().filter(|t| !config.types.contains_key(*t)).cloned());
        for name in names {
            let said = config.tables.get(&name).cloned().unwrap_or_default();
            let mut q = conn.prepare(&format!("PRAGMA table_xinfo({})", quote(&name))).unwrap();
            let all: Vec<(String, String, i64, i64)> = q.query_map([], |r| Ok((r.get(1)?, r.get(2)?, r.get(5)?, r.get(6)?))).unwrap().map(Result::unwrap).collect();
            let columns: Vec<String> = all.iter().filter(|c| c.3 == 0).map(|c| c.0.clone()).collect();
            let mut keys: Vec<&(String, String, i64, i64)> = all.iter().filter(|c| c.2 > 0).collect();
            keys.sort_by_key(|c| c.2);
            let surrogate = keys.first().filter(|c| keys.len() == 1 && c.1.eq_ignore_ascii_case("INTEGER")).map(|c| c.0.clone());
            let mut references: BTreeMap<i64, (Vec<String>, String, Vec<Option<String>>)> = BTreeMap::new();
            let mut q = conn.prepare(&format!("PRAGMA foreign_key_list({})", quote(&name))).unwrap();
            let mut rows = q.query([]).unwrap();
            while let Some(r) = rows.next().unwrap() {
                let entry = references.entry(r.get(0).unwrap()).or_insert((Vec::new(), r.get(2).unwrap(), Vec::new()));
                entry.0.push(r.get(3).unwrap());
                entry.2.push(r.get(4).unwrap());
            }
            let key_of = |table: &str| -> Vec<String> {
                let mut q = conn.prepare(&format!("SELECT name FROM pragma_table_xinfo({}) WHERE pk > 0 ORDER BY pk", quote(table))).unwrap();
                q.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
            };
            let mut references: Vec<(Vec<String>, String, Vec<String>)> = references
                .into_values()
                .map(|(columns, table, to)| {
                    let to = to.iter().cloned().collect::<Option<Vec<String>>>().unwrap_or_else(|| key_of(&table));
                    (columns, table, to)
                })
                .collect();
            references.extend(said.references.iter().map(|(c, t)| match t.rsplit_once('.') {
                Some((t, column)) => (vec![c.clone()], t.to_owned(), vec![column.to_owned()]),
                None => (vec![c.clone()], t.clone(), key_of(t)),
            }));
            let list = columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
            let mut q = conn.prepare(&format!("SELECT {list} FROM {}", quote(&name))).unwrap();
            // Text that is no UTF-8 is text all the same.
            let text = |r: &rusqlite::Row<'_>, i: usize| match r.get_ref(i).unwrap() {
                rusqlite::types::ValueRef::Text(t) => Value::Text(t.iter().map(|b| char::from(*b)).collect()),
                v => v.try_into().unwrap(),
            };
            let rows = q.query_map([], |r| Ok((0..columns.len()).map(|i| text(r, i)).collect())).unwrap().map(Result::unwrap).collect();
            let skipped = said.local.0.keys().chain(&said.ignore.0).chain(said.references_by.keys()).cloned().collect();
            let key = key_of(&name);
            tables.insert(name, Table { columns, rows, surrogate, key, references, in_text: said.references_in_text.keys().cloned().collect(), skipped });
        }
        Database { tables }
    }

    fn table(&self, name: &str) -> Option<(&String, &Table)> {
        self.tables.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    fn described(&self, name: &str) -> HashMap<String, usize> {
        let mut out = HashMap::new();
        for row in &self.tables.get(name).unwrap().rows {
            *out.entry(self.row(name, row, DEPTH)).or_insert(0) += 1;
        }
        out
    }

    fn row(&self, name: &str, row: &[Value], depth: usize) -> String {
        let Some((_, t)) = self.table(name) else { return "?".to_owned() };
        let get = |c: &String| t.columns.iter().position(|x| x.eq_ignore_ascii_case(c)).and_then(|i| row.get(i)).cloned().unwrap_or(Value::Null);
        let mut out = name.to_owned();
        let mut led: Vec<&String> = Vec::new();
        for (columns, table, to) in t.references.iter().filter(|(_, table, _)| self.table(table).is_some()) {
            led.extend(columns);
            let values: Vec<Value> = columns.iter().map(get).collect();
            out.push_str(&format!(" {}=({})", columns.join("+"), self.leads(table, to, &values, depth)));
        }
        for (column, value) in t.columns.iter().zip(row) {
            let reference = led.iter().any(|c| c.eq_ignore_ascii_case(column));
            let own = t.surrogate.as_ref() == Some(column) || t.skipped.iter().any(|c| c.eq_ignore_ascii_case(column));
            match value {
                // How a text key is written is part of the row; a number is not.
                Value::Text(text) if reference => out.push_str(&format!(" {column}~{text:?}")),
                _ if reference || own => {}
                Value::Text(text) if t.in_text.contains(column) => {
                    let (model, id) = text.split_once(',').unwrap_or((text, ""));
                    let of = model.replace('.', "_");
                    let id = Value::Integer(id.parse().unwrap_or(-1));
                    let key = self.table(&of).map(|(_, t)| t.key.clone()).unwrap_or_default();
                    out.push_str(&format!(" {column}={model}({})", self.leads(&of, &key, &[id], depth)));
                }
                value => out.push_str(&format!(" {column}={value:?}")),
            }
        }
        out
    }

    /// The row that has these values, as SQLite would find it with any collation.
    fn leads(&self, table: &str, columns: &[String], values: &[Value], depth: usize) -> String {
        if values.contains(&Value::Null) || depth == 0 {
            return if depth == 0 { "…".to_owned() } else { "NULL".to_owned() };
        }
        let Some((name, t)) = self.table(table) else { return "?".to_owned() };
        let at: Vec<usize> = columns.iter().filter_map(|c| t.columns.iter().position(|x| x.eq_ignore_ascii_case(c))).collect();
        let like = |a: &Value, b: &Value| match (a, b) {
            (Value::Text(a), Value::Text(b)) => a.eq_ignore_ascii_case(b),
            (a, b) => a == b,
        };
        let found = t.rows.iter().find(|r| at.iter().zip(values).all(|(i, v)| r.get(*i).is_some_and(|x| like(x, v))));
        found.map_or_else(|| "nowhere".to_owned(), |r| self.row(name, r, depth - 1))
    }
}
