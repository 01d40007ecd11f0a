//! Which row points to which: declared foreign keys, and references that only names and data show.

use super::Told;
use crate::host::looks::words;
use crate::host::mapping::Affinity;
use crate::host::schema::{HostTable, Schema, quoted, same};
use rusqlite::Connection;

/// How many values of a column are looked up.
const SAMPLE: u32 = 5_000;
/// With fewer values than this an agreement may be chance.
const ENOUGH: u64 = 20;

/// A reference from one table to another, as indexes into the schema's tables.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) child: usize,
    pub(super) columns: Vec<String>,
    pub(super) parent: usize,
    pub(super) not_null: bool,
    pub(super) cascade: bool,
    /// Who wrote a row, not whose row it is: `created_by`, a user's id.
    pub(super) stamp: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Edges {
    pub(super) all: Vec<Edge>,
    told: Vec<(usize, Told)>,
}

impl Edges {
    pub(super) fn read(db: &Connection, schema: &Schema) -> Result<Edges, rusqlite::Error> {
        let mut edges = Edges::default();
        for (child, table) in schema.tables.iter().enumerate() {
            for key in table.foreign_keys.iter().filter(|k| !k.parent_columns.is_empty()) {
                let Some(parent) = index(schema, &key.parent) else { continue };
                edges.push(schema, child, key.columns.clone(), parent, key.cascade);
            }
            for told in undeclared(db, schema, table)?.into_iter().chain(by_column(db, schema, table)?) {
                if let (true, false, Some(parent)) = (told.on, told.by_column, index(schema, &told.target)) {
                    edges.push(schema, child, vec![told.column.clone()], parent, false);
                }
                edges.told.push((child, told));
            }
        }
        Ok(edges)
    }

    fn push(&mut self, schema: &Schema, child: usize, columns: Vec<String>, parent: usize, cascade: bool) {
        let not_null = schema.tables[child].not_null(&columns);
        let stamp = is_stamp(&columns, &schema.tables[parent].name);
        self.all.push(Edge { child, columns, parent, not_null, cascade, stamp });
    }

    /// The references of a table.
    pub(super) fn of(&self, child: usize) -> impl Iterator<Item = &Edge> {
        self.all.iter().filter(move |e| e.child == child)
    }

    /// Whether a column is part of a reference.
    pub(super) fn refers(&self, child: usize, column: &str) -> bool {
        let told = self.told_of(child).any(|t| t.on && same(&t.column, column));
        told || self.of(child).any(|e| e.columns.iter().any(|c| same(c, column)))
    }

    /// The undeclared references of a table, switched on or not.
    pub(super) fn told_of(&self, child: usize) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(move |(c, _)| *c == child).map(|(_, t)| t)
    }
}

pub(super) fn index(schema: &Schema, name: &str) -> Option<usize> {
    schema.tables.iter().position(|t| same(&t.name, name))
}

fn is_stamp(columns: &[String], parent: &str) -> bool {
    let by = columns.iter().any(|c| words(c).iter().any(|w| ["by", "creator", "author", "editor", "modifier"].contains(&w.as_str())));
    let user = words(parent).iter().any(|w| ["user", "users", "account", "accounts", "login", "staff", "employee", "employees"].contains(&w.as_str()));
    by || user
}

/// The end of a name in the singular, roughly: `visits` and `visit` are one.
pub(super) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    word.strip_suffix('s').filter(|w| w.len() > 2 && !w.ends_with('s')).unwrap_or(word).to_owned()
}

/// `visit_id` in a table without that foreign key: does a table of that name have those keys?
fn undeclared(db: &Connection, schema: &Schema, table: &HostTable) -> Result<Vec<Told>, rusqlite::Error> {
    let mut found = Vec::new();
    for c in table.columns.iter().filter(|c| !c.generated) {
        let declared = table.foreign_keys.iter().any(|k| k.columns.iter().any(|n| same(n, &c.name)));
        let own_key = table.single_key().is_some_and(|k| same(k, &c.name));
        let mut stem = words(&c.name);
        if declared || own_key || stem.pop().as_deref() != Some("id") || stem.is_empty() {
            continue;
        }
        let Some(parent) = named(schema, &stem) else { continue };
        let Some(key) = parent.single_key().and_then(|k| parent.column(k)) else { continue };
        let number = |a: Affinity| matches!(a, Affinity::Integer | Affinity::Numeric);
        if number(key.affinity) != number(c.affinity) {
            continue;
        }
        let sql = format!(
            "SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM main.{p} AS p WHERE p.{k} = v.x)), 0) FROM (SELECT {c} AS x FROM main.{t} WHERE {c} IS NOT NULL LIMIT {SAMPLE}) v",
            p = quoted(&parent.name),
            k = quoted(&key.name),
            c = quoted(&c.name),
            t = quoted(&table.name),
        );
        let (all, hit): (u64, u64) = db.query_row(&sql, [], |r| Ok((count(r, 0)?, count(r, 1)?)))?;
        // A name that says it exactly needs no rows to prove it, only none that speak against it:
        // an empty database that joins must come to the same answer as a full one.
        let exact = same(&c.name, &key.name) || (same(&key.name, "id") && same(&c.name, &format!("{}_id", parent.name)));
        if (all == 0 && !exact) || hit * 2 < all {
            continue;
        }
        found.push(Told {
            column: c.name.clone(),
            target: parent.name.clone(),
            by_column: false,
            evidence: match all {
                0 => format!("by its name; there are no values yet, and {} is the key of {}", key.name, parent.name),
                _ => format!("{} of {} values are keys of {}", thousands(hit), thousands(all), parent.name),
            },
            on: hit == all && (all >= ENOUGH || exact),
        });
    }
    Ok(found)
}

/// The table whose name is these words, in singular or plural, with or without a prefix such as an
/// application's name.
fn named<'a>(schema: &'a Schema, stem: &[String]) -> Option<&'a HostTable> {
    let plain = |w: &[String]| w.iter().map(|w| singular(w)).collect::<Vec<_>>();
    let stem = plain(stem);
    let exact = schema.tables.iter().find(|t| plain(&words(&t.name)) == stem);
    exact.or_else(|| {
        let mut ends = schema.tables.iter().filter(|t| {
            let name = plain(&words(&t.name));
            name.len() == stem.len() + 1 && name.ends_with(&stem)
        });
        ends.next().filter(|_| ends.next().is_none())
    })
}

/// `ref_table` beside `ref_id`: one column names the table, the other the row.
fn by_column(db: &Connection, schema: &Schema, table: &HostTable) -> Result<Vec<Told>, rusqlite::Error> {
    let mut found = Vec::new();
    for c in table.columns.iter().filter(|c| !c.generated) {
        let mut stem = words(&c.name);
        if stem.pop().as_deref() != Some("id") || stem.is_empty() || table.primary_key.iter().any(|k| same(k, &c.name)) {
            continue;
        }
        if table.foreign_keys.iter().any(|k| k.columns.contains(&c.name)) {
            continue;
        }
        let names = table.columns.iter().find(|t| {
            let w = words(&t.name);
            let kind = ["table", "type", "kind", "entity", "class", "model"];
            t.name != c.name && (w == stem || (w.len() == stem.len() + 1 && w.starts_with(&stem) && w.last().is_some_and(|l| kind.contains(&l.as_str()))))
        });
        let Some(names) = names else { continue };
        let (mut all, mut hit) = (0, 0);
        let (t, by, id) = (quoted(&table.name), quoted(&names.name), quoted(&c.name));
        let sql = format!("SELECT CAST({by} AS TEXT), count(*) FROM main.{t} WHERE {by} IS NOT NULL AND {id} IS NOT NULL GROUP BY 1 LIMIT 100");
        let mut kinds = db.prepare(&sql)?;
        let mut rows = kinds.query([])?;
        while let Some(r) = rows.next()? {
            let name = String::from_utf8_lossy(r.get_ref(0)?.as_bytes()?).into_owned();
            all += count(r, 1)?;
            let Some((parent, key)) = schema.table(&name).and_then(|p| Some((p, p.single_key()?))) else { continue };
            let sql =
                format!("SELECT count(*) FROM main.{t} AS c WHERE c.{by} = ?1 AND EXISTS (SELECT 1 FROM main.{} AS p WHERE p.{} = c.{id})", quoted(&parent.name), quoted(key));
            hit += db.query_row(&sql, [&name], |r| count(r, 0))?;
        }
        let mut table_words = stem.clone();
        table_words.push("table".to_owned());
        let exact = words(&names.name) == table_words;
        if hit > 0 || (all == 0 && exact) {
            found.push(Told {
                column: c.name.clone(),
                target: names.name.clone(),
                by_column: true,
                evidence: match all {
                    0 => format!("by its name, beside {}; there are no values yet", names.name),
                    _ => format!("{} of {} rows: {} names a table that has that key", thousands(hit), thousands(all), names.name),
                },
                on: hit == all && (all >= ENOUGH || exact),
            });
        }
    }
    Ok(found)
}

pub(super) fn count(r: &rusqlite::Row<'_>, i: usize) -> Result<u64, rusqlite::Error> {
    Ok(u64::try_from(r.get::<_, i64>(i)?).unwrap_or(0))
}

/// A number with commas.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
