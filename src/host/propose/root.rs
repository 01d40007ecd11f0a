//! Which table is the record. The rule, in one sentence: the table from which most others hang by
//! foreign keys that make rows belong (ON DELETE CASCADE, else NOT NULL), where a name such as
//! `patient` decides between tables of which one has no less than half as many as the other.

use super::ProposeError;
use super::edges::{Edge, Edges, index, singular};
use crate::config::nearest;
use crate::host::looks::words;
use crate::host::schema::Schema;
use std::collections::BTreeSet;

/// Names that say whose record it is, the likeliest first.
const NAMES: [(&str, u8); 9] =
    [("patient", 0), ("person", 1), ("people", 1), ("client", 1), ("resident", 1), ("customer", 2), ("member", 2), ("subject", 2), ("animal", 2)];

/// The root table's index and why it is the root.
pub(super) fn choose(schema: &Schema, edges: &Edges, said: Option<&str>) -> Result<(usize, String), ProposeError> {
    if let Some(name) = said {
        let near = || nearest(name, schema.tables.iter().map(|t| t.name.as_str()));
        let found = index(schema, name).ok_or_else(|| ProposeError::NoSuchTable { name: name.to_owned(), near: near() })?;
        return Ok((found, "named with --root".to_owned()));
    }
    for strict in [true, false] {
        let belongs = |child: usize| belonging(edges, child, strict);
        let mut scores: Vec<(usize, usize)> = Vec::new();
        for table in 0..schema.tables.len() {
            let below = below(schema.tables.len(), table, &belongs);
            let named = rank(&schema.tables[table].name).is_some();
            if below > 0 && (named || belongs(table).is_empty()) {
                scores.push((table, below));
            }
        }
        scores.sort_by_key(|(t, below)| (std::cmp::Reverse(*below), *t));
        let Some((_, most)) = scores.first().copied() else { continue };
        let near: Vec<(usize, usize)> = scores.iter().copied().filter(|(_, below)| below * 2 >= most).collect();
        let best = near.iter().filter_map(|(t, _)| rank(&schema.tables[*t].name)).min();
        let chosen: Vec<(usize, usize)> = match best {
            Some(rank_wanted) => near.into_iter().filter(|(t, _)| rank(&schema.tables[*t].name) == Some(rank_wanted)).collect(),
            None => near,
        };
        return match chosen.as_slice() {
            [(table, below)] => Ok((*table, why(schema, edges, *table, *below, strict, best.is_some()))),
            several => Err(ProposeError::TwoRoots { candidates: several.iter().map(|(t, b)| (schema.tables[*t].name.clone(), *b)).collect() }),
        };
    }
    let named: Vec<usize> = (0..schema.tables.len()).filter(|t| rank(&schema.tables[*t].name) == Some(0)).collect();
    match named.as_slice() {
        [one] => Ok((*one, "its name; no other table points to it".to_owned())),
        _ => Err(ProposeError::NoRoot { tables: schema.tables.len() }),
    }
}

fn why(schema: &Schema, edges: &Edges, table: usize, below: usize, strict: bool, named: bool) -> String {
    let direct: BTreeSet<usize> = edges.all.iter().filter(|e| e.parent == table && e.child != table && !e.stamp).map(|e| e.child).collect();
    let how = if strict { "ON DELETE CASCADE or NOT NULL" } else { "nullable ones, for want of others" };
    let name = if named { format!(", and by its name `{}`", schema.tables[table].name) } else { String::new() };
    format!("{below} of {} tables hang off it by foreign keys ({how}), {} of them directly{name}", schema.tables.len(), direct.len())
}

/// How much a name says: its last word, in the singular.
fn rank(name: &str) -> Option<u8> {
    let last = singular(words(name).last()?);
    NAMES.iter().find(|(n, _)| *n == last).map(|(_, r)| *r)
}

/// The references that make rows of a table belong to another: cascading ones, else NOT NULL ones;
/// where nothing in the schema is that clear, any.
fn belonging(edges: &Edges, child: usize, strict: bool) -> Vec<&Edge> {
    let candidates: Vec<&Edge> = edges.of(child).filter(|e| e.parent != child && !e.stamp).collect();
    let cascading: Vec<&Edge> = candidates.iter().copied().filter(|e| e.cascade).collect();
    if !cascading.is_empty() {
        return cascading;
    }
    let required: Vec<&Edge> = candidates.iter().copied().filter(|e| e.not_null).collect();
    if strict || !required.is_empty() { required } else { candidates }
}

/// How many tables hang off one, at any distance.
fn below<'a>(tables: usize, top: usize, belongs: &dyn Fn(usize) -> Vec<&'a Edge>) -> usize {
    let mut reached: BTreeSet<usize> = BTreeSet::from([top]);
    loop {
        let more: Vec<usize> = (0..tables).filter(|t| !reached.contains(t) && belongs(*t).iter().any(|e| reached.contains(&e.parent))).collect();
        if more.is_empty() {
            return reached.len() - 1;
        }
        reached.extend(more);
    }
}
