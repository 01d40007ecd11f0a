//! A proposal as a page that a person can judge before anything is synchronized.

use super::data::identifies;
use super::edges::{Edge, Edges, count, index, thousands};
use super::infer::key_marked;
use super::tree::Tree;
use super::{Proposal, ProposedTable, ProposedType, Told};
use crate::config::ColumnRule;
use crate::host::looks::words;
use crate::host::mapping::Affinity;
use crate::host::schema::{COUNT_LIMIT, Schema, quoted, same};
use rusqlite::Connection;
use std::fmt::Write;

const WIDTH: usize = 96;
/// More references than this are listed by what they point to.
const MANY: usize = 20;

impl Proposal {
    /// The report, folded for a terminal of 100 columns.
    pub fn report(&self) -> String {
        let mut out = String::new();
        let own: Vec<&ProposedTable> = self.tables.iter().filter(|t| t.kind == self.root).collect();
        let _ = writeln!(out, "RECORD  {}", self.root);
        indented(&mut out, 8, &self.root_why);
        if let Some(t) = self.types.iter().find(|t| t.table == self.root) {
            matched(&mut out, t);
        }
        let _ = writeln!(out, "\nTABLES OF A RECORD  ({})", own.len());
        self.tree(&mut out, &own, &self.root);
        for t in self.types.iter().filter(|t| t.further) {
            let _ = writeln!(out, "\nFURTHER RECORDS  {}", t.table);
            indented(&mut out, 8, &t.why);
            matched(&mut out, t);
            let own: Vec<&ProposedTable> = self.tables.iter().filter(|o| o.kind == t.table).collect();
            self.tree(&mut out, &own, &t.table);
        }
        let shared: Vec<_> = self.types.iter().filter(|t| t.shared && !t.further).collect();
        if !shared.is_empty() {
            let _ = writeln!(out, "\nSHARED ROWS  ({}: the record points to them, so they travel as records of their own)", shared.len());
            for t in shared {
                let on: Vec<String> = t.match_on.iter().map(|s| s.join(" + ")).collect();
                let matched = if on.is_empty() { format!("not matched: {}", t.match_why) } else { format!("one if {} is equal", on.join(", or ")) };
                entry(&mut out, &t.table, &format!("{matched}; {}", t.why));
            }
        }
        let locals: Vec<_> = self.tables.iter().flat_map(|t| t.locals.iter().map(move |l| (t, l))).collect();
        if !locals.is_empty() {
            let _ = writeln!(out, "\nLOCAL COLUMNS  ({}: each site counts for itself, an imported row gets a number of ours)", locals.len());
            for (t, l) in locals {
                entry(&mut out, &format!("{}.{}", t.name, l.column), &l.why);
                if let Some(sql) = &l.assign {
                    indented(&mut out, 6, sql);
                }
                if let Some(sql) = &l.count {
                    indented(&mut out, 6, &format!("where :next is one more than: {sql}"));
                }
            }
        }
        let told: Vec<_> = self.tables.iter().flat_map(|t| t.told.iter().map(move |r| (t, r))).collect();
        if !told.is_empty() {
            out.push_str("\nREFERENCES THAT THE SCHEMA DOES NOT DECLARE\n");
            let (on, off): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, r)| r.on);
            let shown = if on.len() > MANY { by_target(&mut out, &on) } else { on };
            for (t, r) in shown.into_iter().chain(off) {
                let several = r.models.len().saturating_sub(1);
                let how = if several > 0 {
                    format!("to {} and {several} other{}", r.target, if several == 1 { "" } else { "s" })
                } else if r.by_column {
                    format!("to the table that {} names", r.target)
                } else {
                    format!("to {}", r.target)
                };
                let on = if r.on { "on" } else { "OFF until you say so" };
                entry(&mut out, &format!("{}.{}", t.name, r.column), &format!("{how} ({on}): {}", r.evidence));
            }
        }
        let rules: Vec<_> = self.tables.iter().flat_map(|t| t.rules.iter().map(move |r| (t, r))).collect();
        let review: Vec<_> = self.tables.iter().flat_map(|t| t.review.iter().map(move |c| format!("{}.{c}", t.name))).collect();
        if !rules.is_empty() || !review.is_empty() {
            out.push_str("\nRULES\n");
            for (t, r) in rules {
                entry(&mut out, &format!("{}.{}", t.name, r.column), &format!("{}; {}", shows(r.rule), r.why));
            }
            if !review.is_empty() {
                entry(&mut out, &review.join(", "), "conflicts stand out until a person decides");
            }
        }
        let kept: Vec<_> = self.tables.iter().flat_map(|t| t.ignore.iter().map(move |k| (t, k))).collect();
        if !kept.is_empty() {
            let _ = writeln!(out, "\nCOLUMNS THAT STAY HERE  ({}: neither sent nor overwritten)", kept.len());
            for (t, k) in kept {
                let fill = k.fill.as_ref().map(|sql| format!("; an imported row gets {sql}")).unwrap_or_default();
                entry(&mut out, &format!("{}.{}", t.name, k.column), &format!("{}{fill}", k.why));
            }
        }
        let refused: Vec<_> = self.tables.iter().filter_map(|t| Some((t, t.refused.as_ref()?))).collect();
        if !refused.is_empty() {
            let _ = writeln!(out, "\nWRITES THAT THE APPLICATION KEEPS TO ITSELF  ({})", refused.len());
            for (t, why) in refused {
                entry(&mut out, &t.name, why);
            }
        }
        let _ = writeln!(out, "\nLEFT OUT  ({})", self.left_out.len());
        for l in &self.left_out {
            entry(&mut out, &l.name, &l.reason);
        }
        if !self.notes.is_empty() {
            out.push_str("\nPLEASE LOOK AT\n");
            for n in &self.notes {
                for (i, line) in fold(n, WIDTH - 4).iter().enumerate() {
                    let _ = writeln!(out, "{}{line}", if i == 0 { "  - " } else { "    " });
                }
            }
        }
        out
    }

    /// The tables of a kind of records.
    fn tree(&self, out: &mut String, own: &[&ProposedTable], root: &str) {
        if let Some(root) = own.iter().find(|t| t.owner.is_none()) {
            let _ = writeln!(out, "  {:<40}{:>8} rows", one_line(&root.name), rows(root));
        }
        self.below(out, own, root, 1);
    }

    /// The tables below one, indented.
    fn below(&self, out: &mut String, own: &[&ProposedTable], parent: &str, depth: usize) {
        for t in own {
            let Some(owner) = t.owner.as_ref().filter(|o| o.parent == parent) else { continue };
            let name = format!("{}{}", "  ".repeat(depth + 1), one_line(&t.name));
            let line = format!("{name:<42}{:>8} rows  by {}", rows(t), one_line(&owner.columns.join(" + ")));
            let why = format!(" ({})", short(&owner.why));
            let fits = line.chars().count() + why.chars().count() <= WIDTH;
            let _ = writeln!(out, "{line}{}", if fits { why.as_str() } else { "" });
            if depth < 40 {
                self.below(out, own, &t.name, depth + 1);
            }
        }
    }
}

/// By what records of two sites are one.
fn matched(out: &mut String, t: &ProposedType) {
    let on: Vec<String> = t.match_on.iter().map(|s| s.join(" + ")).collect();
    let _ = writeln!(out, "        matched on {}", if on.is_empty() { "nothing".to_owned() } else { on.join(", or ") });
    indented(out, 10, &t.match_why);
    if !t.match_check.is_empty() {
        let _ = writeln!(out, "        and only if {} agree", t.match_check.join(" and "));
    }
}

/// References by what they point to, one line for each: `cfs.toml` has them all.
fn by_target<'a>(out: &mut String, told: &[(&'a ProposedTable, &'a Told)]) -> Vec<(&'a ProposedTable, &'a Told)> {
    let mut left = told.to_vec();
    while let Some((t, r)) = left.first().copied() {
        let mut same: Vec<String> = Vec::new();
        left.retain(|(o, x)| {
            let like = x.target == r.target && x.by_column == r.by_column;
            same.extend(like.then(|| format!("{}.{}", o.name, x.column)));
            !like
        });
        let more = same.len() - 1;
        let columns = if more == 0 { String::new() } else { format!(", and {more} other column{} like it", if more == 1 { "" } else { "s" }) };
        entry(out, &format!("to {}", r.target), &format!("{}.{} (on): {}{columns}", t.name, r.column, r.evidence));
    }
    left
}

/// What a rule does.
pub(super) fn shows(rule: ColumnRule) -> &'static str {
    match rule {
        ColumnRule::Latest => "the newest is shown",
        ColumnRule::Max => "the larger of two is shown",
        ColumnRule::Min => "the smaller of two is shown",
        ColumnRule::Text => "both texts are merged line by line",
        ColumnRule::Union(_) => "all items of both lists are shown",
    }
}

fn short(by: &str) -> String {
    by.replace("NOT NULL, ON DELETE CASCADE, straight to the root", "required, cascades")
        .replace(", straight to the root", "")
        .replace("NOT NULL", "required")
        .replace("may be NULL", "optional")
        .replace("ON DELETE CASCADE", "cascades")
}

fn rows(t: &ProposedTable) -> String {
    if t.rows > COUNT_LIMIT { format!(">{}", thousands(COUNT_LIMIT)) } else { thousands(t.rows) }
}

/// What a person should look at.
pub(super) fn notes(db: &Connection, schema: &Schema, edges: &Edges, p: &Proposal, tree: &Tree) -> Result<Vec<String>, rusqlite::Error> {
    let mut notes = Vec::new();
    if let Some(t) = p.types.iter().find(|t| t.table == p.root && t.match_on.is_empty()) {
        notes.push(format!("People who are at two sites stay two records of {}: {}.", t.table, t.match_why));
    }
    for t in p.types.iter().filter(|t| t.shared && t.match_on.is_empty()) {
        notes.push(format!("Rows of {} that mean the same at two sites stay two rows; name columns in match_on of [type.{}] to change that.", t.table, t.table));
    }
    for (t, l) in p.tables.iter().flat_map(|t| t.locals.iter().map(move |l| (t, l))) {
        if l.why.contains("CHECK") || l.why.contains("see that it does not") {
            notes.push(format!("{}.{}: {}.", t.name, l.column, l.why));
        }
    }
    let alone: Vec<String> = tree.alone.iter().map(|i| &schema.tables[*i]).map(|t| format!("{} ({})", t.name, thousands(t.rows))).collect();
    if !alone.is_empty() {
        notes.push(format!(
            "{} {} rows and belong{} to no record: what people write there stays here. To synchronize such tables, name the ones at their top as records of their own: --root {}, then --root again for each.",
            listed(&alone),
            if alone.len() == 1 { "has" } else { "have" },
            if alone.len() == 1 { "s" } else { "" },
            p.root
        ));
    }
    let off: Vec<String> = p.tables.iter().flat_map(|t| t.told.iter().filter(|r| !r.on).map(move |r| format!("{}.{}", t.name, r.column))).collect();
    if !off.is_empty() {
        notes.push(format!(
            "{} may be references and are OFF: if they are, switch them on in cfs.toml before the first sync, or their numbers mean other rows elsewhere.",
            off.join(", ")
        ));
    }
    notes.extend(numbers(db, schema, edges, p)?);
    for member in tree.all() {
        let table = &schema.tables[member.table];
        if let Some(owner) = member.owner.as_ref().filter(|o| !table.not_null(&o.columns)) {
            let null: Vec<String> = owner.columns.iter().map(|c| format!("{} IS NULL", quoted(c))).collect();
            let n: u64 = db.query_row(&format!("SELECT count(*) FROM main.{} WHERE {}", quoted(&table.name), null.join(" OR ")), [], |r| count(r, 0))?;
            if n > 0 {
                notes.push(format!(
                    "{} of {} rows of {} have no {}: they belong to nobody's record and stay here.",
                    thousands(n),
                    thousands(table.rows),
                    table.name,
                    owner.columns.join("+")
                ));
            }
        }
        let left_out = |e: &&Edge| tree.all().iter().all(|m| m.table != e.parent) && !tree.installed.contains(&e.parent);
        for e in edges.of(member.table).filter(left_out) {
            let unique_anywhere = schema.tables[e.parent].single_key().and_then(|k| schema.tables[e.parent].column(k)).is_some_and(|k| k.affinity == Affinity::Text);
            if unique_anywhere {
                continue;
            }
            notes.push(format!(
                "{}.{} points to {}, which is left out: the number travels as it stands and may mean another row elsewhere.",
                table.name,
                e.columns.join("+"),
                schema.tables[e.parent].name
            ));
        }
    }
    Ok(notes)
}

/// Numbers that are named like references and lead nowhere that could be found: another row elsewhere, if they are some.
fn numbers(db: &Connection, schema: &Schema, edges: &Edges, p: &Proposal) -> Result<Option<String>, rusqlite::Error> {
    let mut found = Vec::new();
    // An application that describes its data has said which of its numbers are references.
    for t in p.tables.iter().filter(|_| edges.dictionary.tables.is_empty()) {
        let Some(index) = index(schema, &t.name) else { continue };
        let table = &schema.tables[index];
        for c in table.columns.iter().filter(|c| !c.generated && c.affinity == Affinity::Integer) {
            let named = key_marked(&c.name) || words(&c.name).len() > 1 && words(&c.name).last().is_some_and(|w| w == "by");
            let told = edges.refers(index, &c.name) || edges.told_of(index).any(|r| same(&r.column, &c.name));
            let own = table.key_columns().iter().chain(table.unique.iter().flat_map(|u| &u.columns)).any(|k| same(k, &c.name));
            let said = t.locals.iter().any(|l| same(&l.column, &c.name)) || t.ignore.iter().any(|k| same(&k.column, &c.name));
            let matched = p.types.iter().any(|m| m.match_on.iter().flatten().any(|m| same(m, &c.name)));
            if !named || told || own || said || matched || identifies(&c.name) {
                continue;
            }
            let any = format!("SELECT EXISTS (SELECT 1 FROM main.{} WHERE typeof({}) = 'integer')", quoted(&table.name), quoted(&c.name));
            if db.query_row(&any, [], |r| r.get(0))? {
                found.push(format!("{}.{}", table.name, c.name));
            }
        }
    }
    Ok((!found.is_empty()).then(|| {
        format!(
            "{}: numbers, named like references, that lead to no table that could be found. They travel as they stand; if they mean rows of this database, say which in cfs.toml (references) before the first sync.",
            listed(&found)
        )
    }))
}

/// The first of many.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(6).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(6) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A name and what there is to say of it, folded beside or below the name.
fn entry(out: &mut String, name: &str, said: &str) {
    let name = one_line(name);
    let column = 28;
    if name.chars().count() + 3 > column {
        let _ = writeln!(out, "  {name}");
        indented(out, column, said);
        return;
    }
    for (i, line) in fold(said, WIDTH - column).iter().enumerate() {
        let _ = writeln!(out, "{:<column$}{line}", if i == 0 { format!("  {name}") } else { String::new() });
    }
}

fn indented(out: &mut String, by: usize, said: &str) {
    for line in fold(said, WIDTH - by) {
        let _ = writeln!(out, "{:by$}{line}", "");
    }
}

/// Names may hold line ends and control characters; a report must not.
pub(super) fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A text in lines of at most so many characters.
pub(super) fn fold(said: &str, width: usize) -> Vec<String> {
    let said = one_line(said);
    let mut lines = vec![String::new()];
    for word in said.split_whitespace() {
        let Some(last) = lines.last_mut() else { break };
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}
