//! Which row points to which: declared foreign keys, and references that only names and data show.

use super::dictionary::Dictionary;
use super::like::Like;
use super::{Told, infer};
use crate::host::looks::words;
use crate::host::schema::{Schema, same};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A reference from one table to another, as indexes into the schema's tables.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) child: usize,
    pub(super) columns: Vec<String>,
    pub(super) parent: usize,
    pub(super) not_null: bool,
    pub(super) cascade: bool,
    /// Not declared in the schema.
    pub(super) told: bool,
    /// Who wrote a row, not whose row it is: `created_by`, a user's id.
    pub(super) stamp: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Edges {
    pub(super) all: Vec<Edge>,
    /// Those of each table, by their places in `all`.
    by_child: BTreeMap<usize, Vec<usize>>,
    told: Vec<(usize, Told)>,
    /// What the application itself says of its tables.
    pub(super) dictionary: Dictionary,
}

impl Edges {
    pub(super) fn read(db: &Connection, schema: &Schema, like: &Like<'_>) -> Result<Edges, rusqlite::Error> {
        let mut edges = Edges::default();
        let dictionary = Dictionary::read(db, schema)?;
        let names = infer::Names::of(schema);
        for (child, table) in schema.tables.iter().enumerate() {
            for key in table.foreign_keys.iter().filter(|k| !k.parent_columns.is_empty()) {
                let Some(parent) = index(schema, &key.parent) else { continue };
                edges.push(schema, child, key.columns.clone(), parent, (key.cascade, false));
            }
            let by_name = infer::by_column(db, schema, table)?;
            let in_text = infer::in_text(db, schema, table, &dictionary)?;
            let others = infer::undeclared(db, schema, table, &dictionary, &names)?.into_iter().chain(by_name);
            let others = others.filter(|t| in_text.iter().all(|i| i.column != t.column)).collect::<Vec<_>>();
            let found = others.into_iter().chain(in_text).collect();
            for told in like.references(schema, table, found) {
                for parent in told.models.iter().filter_map(|(_, t)| index(schema, t)) {
                    edges.push(schema, child, vec![told.column.clone()], parent, (false, true));
                }
                if let (true, true, false, Some(parent)) = (told.models.is_empty(), told.on, told.by_column, index(schema, &told.target)) {
                    edges.push(schema, child, vec![told.column.clone()], parent, (false, true));
                }
                edges.told.push((child, told));
            }
        }
        edges.dictionary = dictionary;
        Ok(edges)
    }

    fn push(&mut self, schema: &Schema, child: usize, columns: Vec<String>, parent: usize, (cascade, told): (bool, bool)) {
        let not_null = schema.tables[child].not_null(&columns);
        let stamp = is_stamp(&columns, &schema.tables[parent].name);
        self.by_child.entry(child).or_default().push(self.all.len());
        self.all.push(Edge { child, columns, parent, not_null, cascade, told, stamp });
    }

    /// The references of a table.
    pub(super) fn of(&self, child: usize) -> impl Iterator<Item = &Edge> {
        self.by_child.get(&child).into_iter().flatten().filter_map(|n| self.all.get(*n))
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
    let uid = columns.iter().any(|c| matches!(words(c).as_slice(), [what, id] if id == "uid" && ["create", "write", "update", "modify"].contains(&what.as_str())));
    by || user || uid
}

/// The end of a name in the singular, roughly: `visits` and `visit` are one.
pub(super) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    word.strip_suffix('s').filter(|w| w.len() > 2 && !w.ends_with('s')).unwrap_or(word).to_owned()
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
