//! `cfs.toml` and the live schema together give the engine's [`Mapping`].
//!
//! What the configuration does not mention is left out; what it mentions and the schema does not
//! have is an error, so that a renamed column is never taken for an emptied one.

mod check;
mod tables;
mod through;

pub(super) use tables::refused;

use super::mapping::{Elsewhere, Mapping, RecordType, ReferenceMap, Table, Target, type_name};
use super::schema::{HostTable, Schema, same};
use crate::config::{Capture, Config, ConfigError, TypeConfig};
use crate::shared::Name;
use rusqlite::Connection;

/// Makes the mapping. Nothing is written: writing is only prepared, to see whether it could be.
pub fn resolve(config: &Config, schema: &Schema, db: &Connection) -> Result<Mapping, ConfigError> {
    check::names(config, schema)?;
    let mut chosen: Vec<Chosen<'_>> = Vec::new();
    for table in &schema.tables {
        let root = config.types.keys().any(|n| same(n, &table.name));
        let named = root || config.table(&table.name).is_some();
        if named && !config.left_out(&table.name) {
            chosen.push(Chosen { table, root, references: Vec::new(), owner: None });
        }
    }
    let included: Vec<&HostTable> = chosen.iter().map(|c| c.table).collect();
    for c in &mut chosen {
        c.references = tables::references(config, &included, c.table)?;
    }
    for i in 0..chosen.len() {
        if !chosen[i].root {
            chosen[i].owner = Some(owner(config, &chosen, i)?);
        }
    }
    let order = order(config, &chosen)?;
    build(config, schema, db, chosen, &order)
}

/// A table on its way into the mapping. Reference targets are indexes into the list of these until
/// the order is known.
struct Chosen<'a> {
    table: &'a HostTable,
    root: bool,
    references: Vec<ReferenceMap>,
    owner: Option<usize>,
}

impl Chosen<'_> {
    fn target(&self, reference: usize) -> Option<usize> {
        match self.references.get(reference)?.target {
            Target::Table { table, .. } => Some(table),
            Target::InText(ref models) => models.first().map(|(_, table)| *table),
            Target::ByColumn(_) => None,
        }
    }
}

/// The index of the owner reference among a table's references.
fn owner(config: &Config, chosen: &[Chosen<'_>], i: usize) -> Result<usize, ConfigError> {
    let c = &chosen[i];
    let name = &c.table.name;
    let wanted = config.table(name).map(|t| t.owner.0.as_slice()).unwrap_or_default();
    let candidates = || (0..c.references.len()).filter(|r| c.target(*r).is_some_and(|t| t != i));
    if wanted.is_empty() {
        let mut free = candidates();
        if let (Some(one), None) = (free.next(), free.next()) {
            return Ok(one);
        }
        let at = config.source.place(&["table", name], None);
        let choices: Vec<_> = candidates().filter_map(|r| c.references.get(r)).map(|r| format!("`{}`", r.field)).collect();
        let what = match choices.as_slice() {
            [] => format!("no column of `{name}` points to a table that is synchronized; add `owner`, or move it to [leave_out]"),
            _ => format!("`{name}` needs `owner`: the column by which a row belongs to its record, one of {}", choices.join(", ")),
        };
        return Err(ConfigError::Value { at, what });
    }
    let found = c.references.iter().position(|r| r.columns.len() == wanted.len() && r.columns.iter().zip(wanted).all(|(a, b)| same(a, b)));
    match found.filter(|r| c.target(*r).is_some_and(|t| t != i)) {
        Some(r) => Ok(r),
        None => Err(ConfigError::Value {
            at: config.source.place(&["table", name, "owner"], None),
            what: format!("`{}` of `{name}` does not point to another table that is synchronized; see `references`", wanted.join("+")),
        }),
    }
}

/// The order of the mapping: for each type (shared first, targets before who points to them) its
/// root, then its tables, each after its parent. Returns (root, members) as indexes into `chosen`.
fn order(config: &Config, chosen: &[Chosen<'_>]) -> Result<Vec<(usize, Vec<usize>)>, ConfigError> {
    let mut root_of: Vec<Option<usize>> = chosen.iter().enumerate().map(|(i, c)| c.root.then_some(i)).collect();
    let parent = |i: usize| chosen[i].owner.and_then(|r| chosen[i].target(r));
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    loop {
        let found: Vec<(usize, usize)> = (0..chosen.len()).filter(|i| root_of[*i].is_none()).filter_map(|i| Some((i, root_of[parent(i)?]?))).collect();
        if found.is_empty() {
            break;
        }
        rounds.push(found.iter().map(|(i, _)| *i).collect());
        for (i, root) in found {
            root_of[i] = Some(root);
        }
    }
    if let Some(lost) = (0..chosen.len()).find(|i| root_of[*i].is_none()) {
        let name = &chosen[lost].table.name;
        let at = config.source.place(&["table", name, "owner"], None);
        let what = format!("`{name}` belongs to no record: its owners lead in a circle and never to a root table");
        return Err(ConfigError::Value { at, what });
    }
    let shared = |i: &usize| config.types.iter().any(|(n, t)| t.shared && same(n, &chosen[*i].table.name));
    let mut left: Vec<usize> = (0..chosen.len()).filter(|i| chosen[*i].root).collect();
    left.sort_by_key(|i| !shared(i));
    let mut done: Vec<(usize, Vec<usize>)> = Vec::new();
    while let Some(first) = left.first().copied() {
        // The first type all of whose targets are done; in a circle, the first of all.
        let waits = |root: usize| {
            let members = (0..chosen.len()).filter(|i| root_of[*i] == Some(root));
            let mut targets = members.flat_map(|i| (0..chosen[i].references.len()).filter_map(move |r| chosen[i].target(r)));
            targets.any(|t| root_of[t].is_some_and(|to| to != root && left.contains(&to)))
        };
        let next = left.iter().copied().filter(|r| shared(r) == shared(&first)).find(|r| !waits(*r)).unwrap_or(first);
        left.retain(|r| *r != next);
        let mut members: Vec<usize> = rounds.iter().flatten().copied().filter(|i| root_of[*i] == Some(next)).collect();
        members.insert(0, next);
        done.push((next, members));
    }
    Ok(done)
}

fn build(config: &Config, schema: &Schema, db: &Connection, chosen: Vec<Chosen<'_>>, order: &[(usize, Vec<usize>)]) -> Result<Mapping, ConfigError> {
    let flat: Vec<usize> = order.iter().flat_map(|(_, members)| members.iter().copied()).collect();
    let place = |i: usize| flat.iter().position(|f| *f == i).unwrap_or_default();
    let mut mapping = Mapping { scan: config.capture == Capture::Scan, ..Mapping::default() };
    for (kind, (root, members)) in order.iter().enumerate() {
        let name = &chosen[*root].table.name;
        let found = config.types.iter().find(|(n, _)| same(n, name));
        let (_, said) = found.ok_or_else(|| ConfigError::Value { at: config.source.place(&["type"], None), what: format!("`{name}` is no root table") })?;
        let own = config.table(name).cloned().unwrap_or_default();
        let exact = |columns: &Vec<String>| columns.iter().map(|c| chosen[*root].table.column(c).map_or_else(|| Name::of(c), |c| tables::travelling(&own, &c.name))).collect();
        let first = mapping.tables.len();
        let record_type = RecordType {
            name: Name::of(name),
            root: first,
            tables: (first..first + members.len()).collect(),
            shared: said.shared,
            match_on: said.match_on.0.iter().map(exact).collect(),
            match_check: exact(&said.match_check.0),
            match_elsewhere: elsewhere(said, chosen[*root].table, &members.iter().map(|i| chosen[*i].table).collect::<Vec<_>>(), first),
            match_through: Vec::new(),
            filter: said.r#where.clone(),
        };
        let nowhere =
            |c: &&Name| chosen[*root].table.column(c).is_none() && record_type.match_elsewhere.iter().all(|e| e.name != **c) && !own.renamed.values().any(|old| same(old, c));
        if let Some(column) = record_type.match_columns().iter().find(nowhere) {
            let at = config.source.place(&["type", name, "match_on"], Some(column));
            return Err(ConfigError::Value { at, what: format!("`{column}`: records of `{name}` can be matched on columns of its own tables only") });
        }
        if let Some(filter) = &record_type.filter {
            check::filter(config, db, name, filter)?;
        }
        for i in members {
            let c = &chosen[*i];
            let mut references = c.references.clone();
            for r in &mut references {
                match &mut r.target {
                    Target::Table { table, .. } => *table = place(*table),
                    Target::InText(models) => models.iter_mut().for_each(|(_, table)| *table = place(*table)),
                    Target::ByColumn(_) => {}
                }
            }
            let derived = c.root && !record_type.match_on.is_empty() && record_type.shared;
            let mut table: Table = tables::table(config, schema, db, c.table, kind, c.owner, references, derived)?;
            let single = config.table(&c.table.name).is_some_and(|t| t.single);
            if single || record_type.match_elsewhere.iter().any(|e| e.table == mapping.tables.len()) {
                // Two rows of one person that two sites made are one row.
                let owner = table.owner_columns().to_vec();
                table.single = true;
                if !table.unique.contains(&owner) {
                    table.unique.push(owner);
                }
            }
            mapping.tables.push(table);
        }
        mapping.types.push(record_type);
    }
    for kind in 0..mapping.types.len() {
        let found = through::of(config, &mapping, kind);
        if let Some(t) = mapping.types.get_mut(kind) {
            t.match_through = found;
        }
    }
    let mut names: Vec<String> = mapping.types.iter().map(|t| type_name(&t.name)).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
        let what = format!("two record types would both be stored as `{}`; leave one of them out", twice[0]);
        return Err(ConfigError::Value { at: config.source.place(&["type"], None), what });
    }
    Ok(mapping)
}

/// Those columns of `match_on` and `match_check` that another table of the record has.
fn elsewhere(said: &TypeConfig, root: &HostTable, members: &[&HostTable], first: usize) -> Vec<Elsewhere> {
    let all = said.match_on.0.iter().flatten().chain(&said.match_check.0).filter(|c| root.column(c).is_none());
    let found = all.filter_map(|name| {
        let (table, column) = name.rsplit_once('.')?;
        let at = members.iter().position(|m| same(&m.name, table))?;
        let t = members.get(at)?;
        Some(Elsewhere { name: Name::of(name), table: first + at, table_name: Name::of(&t.name), column: Name::of(&t.column(column)?.name) })
    });
    found.collect()
}

#[cfg(test)]
mod tests;
