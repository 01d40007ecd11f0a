//! As the others do it: who joins a folder proposes what the place that set it up decided, also where
//! its own data would have said otherwise. An empty database shows little, and two places that
//! understand a column differently lose what is in it.

use super::dictionary::table_of;
use super::edges::{Edges, index};
use super::tree::Tree;
use super::{InitOptions, Kept, LeftOut, LocalColumn, Owner, Proposal, ProposedTable, Ruled, Told, root};
use crate::config::{Config, TableConfig};
use crate::host::schema::{HostTable, Schema, same, split_target};

const WHY: &str = "as at the place that set the folder up";

/// The other place's mapping, if there is one.
pub(super) struct Like<'a>(Option<&'a Config>);

impl<'a> Like<'a> {
    pub(super) fn new(config: Option<&'a Config>) -> Self {
        Like(config)
    }

    /// The root table, if this database has it.
    pub(super) fn root(&self, schema: &Schema, edges: &Edges) -> Option<(usize, String)> {
        let roots = self.0?.types.iter().filter(|(_, t)| !t.shared);
        let here = roots.filter_map(|(name, _)| index(schema, name));
        // Where several kinds of people are synchronized, the one with most tables, or the one whose name tells.
        let at = here.min_by_key(|t| (std::cmp::Reverse(self.below(schema, edges, *t)), root::rank(&schema.tables[*t].name).unwrap_or(u8::MAX)))?;
        Some((at, format!("it is the record {WHY}")))
    }

    /// How many tables the other place has right below a root.
    fn below(&self, schema: &Schema, edges: &Edges, top: usize) -> usize {
        let owned = |e: &&super::edges::Edge| {
            let child = &schema.tables[e.child].name;
            let owner = self.table(child).filter(|_| !self.is_type(child) && self.synchronizes(child)).map(|t| &t.owner.0);
            e.parent == top && owner.is_some_and(|o| o.len() == e.columns.len() && o.iter().zip(&e.columns).all(|(a, b)| same(a, b)))
        };
        edges.all.iter().filter(owned).count()
    }

    /// Whether rows of a table are records of their own at the other place.
    pub(super) fn is_type(&self, name: &str) -> bool {
        self.0.is_some_and(|c| c.types.keys().any(|t| same(t, name)))
    }

    /// The root tables of the other place's further kinds of records: those with tables of their own, and people.
    pub(super) fn further(&self, schema: &Schema, edges: &Edges, root: usize) -> Vec<usize> {
        let Some(config) = self.0 else { return Vec::new() };
        let types = config.types.iter().filter(|(n, _)| !config.left_out(n)).filter_map(|(n, said)| Some((index(schema, n)?, said.shared)));
        types.filter(|(t, shared)| *t != root && (!shared || self.below(schema, edges, *t) > 0)).map(|(t, _)| t).collect()
    }

    /// The other place's record types that a tree does not reach here.
    pub(super) fn missing(&self, schema: &Schema, tree: &Tree) -> Vec<usize> {
        let Some(config) = self.0 else { return Vec::new() };
        let here = config.types.keys().filter(|n| !config.left_out(n)).filter_map(|n| index(schema, n));
        here.filter(|t| tree.all().iter().all(|m| m.table != *t)).collect()
    }

    /// What the other place says of a table that it has as well.
    fn table(&self, name: &str) -> Option<&'a TableConfig> {
        self.0?.table(name)
    }

    /// Whether the other place sends the rows of a table.
    pub(super) fn synchronizes(&self, name: &str) -> bool {
        self.knows(name) && self.0.is_some_and(|c| !c.left_out(name))
    }

    /// Whether the other place says anything of a table.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.is_some_and(|c| c.table(name).is_some() || c.left_out(name)) || self.is_type(name)
    }

    /// The undeclared references of a table: those of the other place, on, and no others.
    pub(super) fn references(&self, schema: &Schema, table: &HostTable, found: Vec<Told>) -> Vec<Told> {
        if !self.knows(&table.name) {
            return found;
        }
        let said = self.table(&table.name);
        let there = |column: &str| said.is_some_and(|t| t.references.keys().chain(t.references_by.keys()).chain(t.references_in_text.keys()).any(|c| same(c, column)));
        let mut out: Vec<Told> = found.into_iter().filter(|t| !there(&t.column)).map(|t| Told { on: false, ..t }).collect();
        let Some(said) = said else { return out };
        for (column, to) in said.references.iter().filter(|(c, _)| table.column(c).is_some()) {
            let (target, target_column) = split_target(|t| schema.table(t).is_some(), to);
            let target_column = target_column.map(str::to_owned);
            if let Some(target) = schema.table(target) {
                out.push(Told { column: column.clone(), target: target.name.clone(), target_column, by_column: false, models: Vec::new(), evidence: WHY.to_owned(), on: true });
            }
        }
        for (column, models) in said.references_in_text.iter().filter(|(c, _)| table.column(c).is_some()) {
            let models: Vec<(String, String)> = models.0.iter().filter_map(|m| Some((m.clone(), table_of(schema, m)?.name.clone()))).collect();
            if let Some((_, target)) = models.first().cloned() {
                out.push(Told { column: column.clone(), target, target_column: None, by_column: false, models, evidence: WHY.to_owned(), on: true });
            }
        }
        for (column, by) in said.references_by.iter().filter(|(c, b)| table.column(c).is_some() && table.column(b).is_some()) {
            out.push(Told { column: column.clone(), target: by.clone(), target_column: None, by_column: true, models: Vec::new(), evidence: WHY.to_owned(), on: true });
        }
        out
    }

    /// Makes the rest of a proposal as the other place has it.
    pub(super) fn follow(&self, schema: &Schema, p: &mut Proposal, options: &InitOptions) {
        let Some(config) = self.0 else { return };
        let out: Vec<String> = p.tables.iter().filter(|t| config.left_out(&t.name)).map(|t| t.name.clone()).collect();
        p.tables.retain(|t| !out.contains(&t.name));
        p.types.retain(|t| !out.contains(&t.table));
        p.left_out.extend(out.into_iter().map(|name| LeftOut { name, reason: format!("left out {WHY}") }));
        for t in &mut p.types {
            let own = t.table == p.root && (options.match_on.is_some() || options.no_match);
            let Some((_, said)) = config.types.iter().find(|(n, _)| same(n, &t.table)) else { continue };
            let has = |c: &String| {
                let there = |table: &str, column: &str| schema.table(table).is_some_and(|s| s.column(column).is_some());
                there(&t.table, c) || c.rsplit_once('.').is_some_and(|(table, column)| there(table, column))
            };
            if !own {
                t.match_on = said.match_on.0.iter().filter(|set| set.iter().all(has)).cloned().collect();
                t.match_why = WHY.to_owned();
            }
            t.shared = said.shared;
            t.match_check = said.match_check.0.iter().filter(|c| has(c)).cloned().collect();
        }
        for t in &mut p.tables {
            match (self.table(&t.name), schema.table(&t.name)) {
                (Some(said), Some(host)) => table(said, host, t),
                _ if self.knows(&t.name) => (t.locals, t.rules, t.review, t.ignore) = Default::default(),
                _ => p.notes.push(format!("{} is not synchronized at the place that set the folder up: others keep its rows, but do not show them.", t.name)),
            }
        }
    }
}

fn table(said: &TableConfig, host: &HostTable, t: &mut ProposedTable) {
    let exact = |c: &String| host.column(c).map(|c| c.name.clone());
    let columns: Vec<String> = said.owner.0.iter().filter_map(exact).collect();
    if let Some(owner) = t.owner.as_mut().filter(|o| !columns.is_empty() && o.columns != columns) {
        let declared = host.foreign_keys.iter().find(|k| k.columns == columns).map(|k| k.parent.clone());
        let told = || t.told.iter().find(|r| columns.len() == 1 && columns.contains(&r.column)).map(|r| r.target.clone());
        if let Some(parent) = declared.or_else(told) {
            *owner = Owner { columns, parent, why: WHY.to_owned() };
        }
    }
    let own = std::mem::take(&mut t.locals);
    for (column, local) in said.local.0.iter().filter_map(|(c, l)| Some((exact(c)?, l))) {
        // How the numbers are made here, this database's own rows show best.
        let made = own.iter().find(|l| l.column == column && !l.why.contains("CHECK")).cloned();
        t.locals.push(made.unwrap_or_else(|| LocalColumn {
            column,
            assign: local.assign.clone(),
            count: local.count.clone(),
            keep_if_free: local.keep_if_free,
            why: WHY.to_owned(),
        }));
    }
    t.single = said.single.then(|| WHY.to_owned());
    t.rules = said.rules.iter().filter_map(|(c, rule)| Some(Ruled { column: exact(c)?, rule: *rule, why: WHY.to_owned() })).collect();
    t.review = said.review.0.iter().filter_map(exact).collect();
    let fill = |c: &str| said.fill.iter().find(|(f, _)| same(f, c)).map(|(_, sql)| sql.clone());
    t.ignore = said.ignore.0.iter().filter_map(exact).map(|column| Kept { fill: fill(&column), column, why: WHY.to_owned() }).collect();
}
