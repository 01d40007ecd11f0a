//! What belongs to the record, what its rows point to, and what stays outside.

use super::edges::{Edge, Edges};
use super::like::Like;
use super::{LeftOut, Owner, installed};
use crate::host::events::inserts_into;
use crate::host::looks::words;
use crate::host::schema::{HostTable, Schema, same};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A table of a record.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) table: usize,
    /// The root table of its record.
    pub(super) root: usize,
    pub(super) depth: usize,
    pub(super) owner: Option<Owner>,
}

/// The record's tables, the shared ones and the rest.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The root first, each table after its parent; then those of further kinds of records.
    pub(super) members: Vec<Member>,
    /// Shared tables with the reason, targets before those that point to them where possible.
    pub(super) shared: Vec<(usize, String)>,
    /// Tables whose rows stay, and whose keys mean the same everywhere.
    pub(super) installed: Vec<usize>,
    /// Tables with rows that nothing but their place outside the record leaves out.
    pub(super) alone: Vec<usize>,
    /// Everything else.
    pub(super) left_out: Vec<LeftOut>,
}

impl Tree {
    pub(super) fn grow(db: &Connection, schema: &Schema, edges: &Edges, (root, person): (usize, usize), further: &[usize], like: &Like<'_>) -> Result<Tree, rusqlite::Error> {
        let mut aside: BTreeMap<usize, String> = BTreeMap::new();
        for (i, table) in schema.tables.iter().enumerate() {
            if let Some(reason) = set_aside(schema, edges, i, table).filter(|_| i != root && i != person && !further.contains(&i)) {
                aside.insert(i, reason);
            }
        }
        let mut tree = Tree::default();
        let outside = |t: usize| aside.contains_key(&t) || further.contains(&t) || (t != root && like.is_type(&schema.tables[t].name));
        let own = owners(schema, edges, (root, person), &outside);
        tree.members = members(schema, root, &own);
        for top in further {
            // What the record has or points to stays its own.
            let taken: Vec<usize> = tree.members.iter().map(|m| m.table).chain(shared(schema, edges, &tree.members, &aside).into_iter().map(|s| s.0)).collect();
            let below = owners(schema, edges, (*top, *top), &|t| outside(t) || taken.contains(&t));
            tree.members.extend(members(schema, *top, &below));
        }
        let own: Vec<usize> = tree.members.iter().map(|m| m.table).collect();
        for table in (0..schema.tables.len()).filter(|t| !own.contains(t)) {
            if like.synchronizes(&schema.tables[table].name) {
                continue;
            }
            if let (false, Some(why)) = (aside.contains_key(&table), installed::why(db, schema, edges, table, root)?) {
                aside.insert(table, why);
                tree.installed.push(table);
            }
        }
        tree.shared = shared(schema, edges, &tree.members, &aside);
        let inside = |t: usize| tree.members.iter().any(|m| m.table == t) || tree.shared.iter().any(|s| s.0 == t);
        let alone = |t: &usize| !inside(*t) && !aside.contains_key(t) && schema.tables[*t].rows > 0 && !like.knows(&schema.tables[*t].name);
        tree.alone = (0..schema.tables.len()).filter(alone).collect();
        for (i, table) in schema.tables.iter().enumerate().filter(|(i, _)| !inside(*i)) {
            let reason = aside.remove(&i).unwrap_or_else(|| {
                let shared = edges.of(i).find(|e| inside(e.parent)).map(|e| &schema.tables[e.parent].name);
                match shared {
                    Some(parent) => format!("hangs off {parent}, whose rows are shared, not off a record"),
                    None if edges.all.iter().any(|e| e.parent == i && e.child != i) => "only tables that are left out point to it".to_owned(),
                    None => "has no foreign key to the record, and the record has none to it".to_owned(),
                }
            });
            tree.left_out.push(LeftOut { name: table.name.clone(), reason });
        }
        let others = [(&schema.views, "a view: computed from other tables"), (&schema.virtual_tables, "a virtual table: the host rebuilds it from other tables")];
        for (names, reason) in others {
            tree.left_out.extend(names.iter().map(|n| LeftOut { name: n.clone(), reason: reason.to_owned() }));
        }
        Ok(tree)
    }

    /// Shared tables, then the record's.
    pub(super) fn all(&self) -> Vec<Member> {
        let shared = self.shared.iter().map(|(t, _)| Member { table: *t, root: *t, depth: 0, owner: None });
        shared.chain(self.members.iter().cloned()).collect()
    }
}

/// Why a table is no part of anyone's record, by its name and who writes it.
fn set_aside(schema: &Schema, edges: &Edges, index: usize, table: &HostTable) -> Option<String> {
    if table.rowid_name.is_none() && table.key_columns().is_empty() {
        return Some("has no key, and its columns hide the rowid: its rows cannot be named".to_owned());
    }
    if edges.dictionary.tables.iter().any(|t| same(t, &table.name)) {
        return Some("describes the application's own tables".to_owned());
    }
    let name = words(&table.name);
    let has = |list: &[&str]| name.iter().any(|w| list.contains(&w.as_str()));
    let last = |list: &[&str]| name.last().is_some_and(|w| list.contains(&w.as_str()));
    let trigger = schema.triggers.iter().find(|t| inserts_into(&t.sql, &table.name));
    let attached = edges.of(index).any(|e| e.parent != index && !e.stamp);
    if has(&["audit"]) || (last(&["log", "logs", "history", "journal", "changes"]) && !clinical(schema, &name, attached)) {
        let by = trigger.map(|t| format!(" (trigger {})", t.name)).unwrap_or_default();
        return Some(format!("a log of what was done here{by}; every site keeps its own"));
    }
    if let Some(trigger) = trigger.filter(|_| !attached && edges.all.iter().all(|e| e.parent != index)) {
        return Some(format!("written by trigger {}; every site makes its own", trigger.name));
    }
    if name.last().is_some_and(|w| w.ends_with("access")) {
        return Some("a record of who looked at what here; every site keeps its own".to_owned());
    }
    if last(&["queue", "outbox", "spool"]) || (!attached && last(&["inbox", "job", "jobs"])) {
        return Some("a queue of this place's own work".to_owned());
    }
    if has(&["cache", "backup", "bak"]) || (!attached && has(&["tmp", "temp"])) {
        return Some("temporary or a copy, by its name".to_owned());
    }
    if !attached && (last(&["counter", "counters", "sequence", "sequences"]) || name.last().is_some_and(|w| w == "numbering")) {
        return Some("counters: every site counts for itself".to_owned());
    }
    if !attached
        && last(&[
            "setting",
            "settings",
            "config",
            "configuration",
            "preference",
            "preferences",
            "option",
            "options",
            "parameter",
            "parameters",
            "migration",
            "migrations",
            "version",
        ])
    {
        return Some("settings of this place's own application".to_owned());
    }
    if has(&["loggedin"]) || (has(&["logged", "login"]) && has(&["in", "entry", "attempt", "attempts"])) {
        return Some("who is logged in here".to_owned());
    }
    if last(&["session", "sessions", "token", "tokens"]) && !attached {
        return Some("sessions of this place's own users".to_owned());
    }
    None
}

/// `family_history` is a chapter of a chart, `patient_history` a log of the table `patient`.
fn clinical(schema: &Schema, name: &[String], attached: bool) -> bool {
    let before = &name[..name.len() - 1];
    // A table that is called no more than `changes` is one of everything; `history` may be a patient's.
    let bare = before.is_empty() && name.iter().any(|w| w != "history");
    attached && !bare && !schema.tables.iter().any(|t| words(&t.name) == before)
}

/// For each table of the record, the reference that makes its rows belong: NOT NULL before
/// nullable, cascading before not, straight to the root before roundabout, then the first column.
fn owners<'a>(schema: &Schema, edges: &'a Edges, (root, person): (usize, usize), outside: &dyn Fn(usize) -> bool) -> BTreeMap<usize, &'a Edge> {
    let mut owners: BTreeMap<usize, &Edge> = BTreeMap::new();
    let inside = |owners: &BTreeMap<usize, &Edge>, t: usize| t == root || owners.contains_key(&t);
    loop {
        let mut more: Vec<&Edge> = Vec::new();
        for required in [true, false] {
            for child in (0..schema.tables.len()).filter(|c| !inside(&owners, *c) && !outside(*c)) {
                let first = edges.of(child).filter(|e| e.parent != child && inside(&owners, e.parent) && (e.not_null || !required)).min_by_key(|e| e.stamp);
                more.extend(first.filter(|e| required || e.cascade || !pointed_at(schema, edges, e, &owners, root)));
            }
            if !more.is_empty() {
                break;
            }
        }
        if more.is_empty() {
            break;
        }
        owners.extend(more.into_iter().map(|e| (e.child, e)));
    }
    // Which reference is best can depend on a table that was reached later.
    for child in owners.keys().copied().collect::<Vec<_>>() {
        // A text that may name anything, or nothing, says least: an invoice's line has its invoice.
        let text = |e: &Edge| edges.told_of(child).any(|t| !t.models.is_empty() && e.columns.contains(&t.column));
        let rank = |e: &Edge| (e.stamp, !e.not_null, text(e), !e.cascade, e.parent != root && e.parent != person);
        let best = edges.of(child).filter(|e| inside(&owners, e.parent) && !leads_to(&owners, e.parent, child)).min_by_key(|e| rank(e));
        if let Some(best) = best {
            owners.insert(child, best);
        }
    }
    owners
}

/// Whether a table that only may point into the record is one that the record points to: a doctor
/// who may also be a patient is still a doctor.
fn pointed_at(schema: &Schema, edges: &Edges, edge: &Edge, owners: &BTreeMap<usize, &Edge>, root: usize) -> bool {
    let others = edges.all.iter().any(|e| e.parent == edge.child && e.child != edge.child && (e.child == root || owners.contains_key(&e.child)));
    let own_name = schema.tables[edge.child].unique.iter().any(|u| u.plain() && !u.columns.iter().any(|c| edge.columns.contains(c)));
    others && own_name
}

fn leads_to(owners: &BTreeMap<usize, &Edge>, from: usize, to: usize) -> bool {
    let mut at = from;
    for _ in 0..=owners.len() {
        if at == to {
            return true;
        }
        match owners.get(&at) {
            Some(e) => at = e.parent,
            None => return false,
        }
    }
    true
}

fn members(schema: &Schema, root: usize, owners: &BTreeMap<usize, &Edge>) -> Vec<Member> {
    let mut members = vec![Member { table: root, root, depth: 0, owner: None }];
    let mut depth = 1;
    loop {
        let above: Vec<usize> = members.iter().filter(|m| m.depth + 1 == depth).map(|m| m.table).collect();
        let next: Vec<Member> = owners
            .iter()
            .filter(|(_, e)| above.contains(&e.parent))
            .map(|(child, e)| Member {
                table: *child,
                root,
                depth,
                owner: Some(Owner { columns: e.columns.clone(), parent: schema.tables[e.parent].name.clone(), why: why(e, e.parent == root) }),
            })
            .collect();
        if next.is_empty() {
            return members;
        }
        members.extend(next);
        depth += 1;
    }
}

fn why(e: &Edge, direct: bool) -> String {
    let mut said = vec![if e.not_null { "NOT NULL" } else { "may be NULL" }];
    if e.cascade {
        said.push("ON DELETE CASCADE");
    }
    if direct {
        said.push("straight to the root");
    }
    said.join(", ")
}

/// Tables that the record's rows point to, and those that these point to.
fn shared(schema: &Schema, edges: &Edges, members: &[Member], aside: &BTreeMap<usize, String>) -> Vec<(usize, String)> {
    let inside = |t: usize| members.iter().any(|m| m.table == t);
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open: Vec<usize> = members.iter().map(|m| m.table).collect();
    while let Some(from) = open.pop() {
        for e in edges.of(from).filter(|e| !inside(e.parent) && !aside.contains_key(&e.parent)) {
            if found.iter().all(|(t, _)| *t != e.parent) {
                open.push(e.parent);
                found.push((e.parent, String::new()));
            }
        }
    }
    for (table, why) in &mut found {
        let mut from: Vec<String> = edges
            .all
            .iter()
            .filter(|e| e.parent == *table && e.child != *table && (inside(e.child)))
            .map(|e| format!("{}.{}", schema.tables[e.child].name, e.columns.join("+")))
            .collect();
        if from.is_empty() {
            from = edges.all.iter().filter(|e| e.parent == *table && e.child != *table).map(|e| format!("{}.{}", schema.tables[e.child].name, e.columns.join("+"))).collect();
        }
        let more = from.len().saturating_sub(2);
        from.truncate(2);
        *why = format!("{}{} point{} to it", from.join(" and "), if more > 0 { format!(" and {more} more") } else { String::new() }, if from.len() + more == 1 { "s" } else { "" });
    }
    // A shared row is applied after those that it points to.
    let mut sorted: Vec<(usize, String)> = Vec::new();
    found.sort_by_key(|(t, _)| *t);
    while !found.is_empty() {
        let ready = found.iter().position(|(t, _)| edges.of(*t).all(|e| e.parent == *t || found.iter().all(|(o, _)| *o != e.parent)));
        sorted.push(found.remove(ready.unwrap_or(0)));
    }
    sorted
}
