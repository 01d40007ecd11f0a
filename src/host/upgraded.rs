//! After an upgrade of the host: what `cfs.toml` names and the schema no longer has is left out of account, and
//! said, as long as the schema had it when we last looked. A slip of the pen is still an error.

use super::schema::{HostTable, Schema, same};
use crate::config::{Config, TableConfig};
use std::collections::BTreeMap;

/// Tables with their columns, as they were synchronized at any time.
pub type Had = BTreeMap<String, Vec<String>>;

/// Something that the schema had and has no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// A sentence that says it.
    pub what: String,
    /// Whether `cfs.toml` names it.
    pub named: bool,
}

/// Takes out of a configuration what the schema no longer has.
pub fn without_what_is_gone(config: &mut Config, schema: &Schema, had: &Had) -> Vec<Gone> {
    let mut gone = Vec::new();
    let was = |table: &str| had.iter().find(|(t, _)| same(t, table));
    let lost = |table: &str| schema.table(table).is_none() && was(table).is_some();
    let mut tables: Vec<String> = config.tables.keys().chain(config.types.keys()).filter(|t| lost(t) && !config.left_out(t)).cloned().collect();
    tables.sort();
    tables.dedup();
    for table in tables {
        if was(&table).is_some_and(|(_, columns)| moved(schema, had, columns)) {
            continue;
        }
        // Without its root nothing of a record can be synchronized: that is an error, and says so.
        if config.types.iter().any(|(t, said)| same(t, &table) && !said.shared) {
            continue;
        }
        config.tables.retain(|t, _| !same(t, &table));
        config.types.retain(|t, _| !same(t, &table));
        for t in config.tables.values_mut() {
            t.references.retain(|_, to| !same(to, &table));
        }
        let what = format!("the table {table} is no longer in the database: the others keep its rows, and nothing is deleted; `cfs init --check` says what to do");
        gone.push(Gone { what, named: true });
    }
    let mut names: Vec<String> = config.tables.keys().chain(config.types.keys()).cloned().collect();
    names.sort();
    names.dedup();
    for name in names {
        let (Some(host), Some((_, columns))) = (schema.table(&name), was(&name)) else { continue };
        let mut none = TableConfig::default();
        let said = config.tables.get_mut(&name).unwrap_or(&mut none);
        let lost = |c: &str| host.column(c).is_none() && columns.iter().any(|h| same(h, c));
        let mut out: Vec<String> = columns.iter().filter(|c| lost(c) && !c.contains('+') && !c.ends_with(" (as written)")).cloned().collect();
        out.retain(|c| !renamed(said, host, c));
        let mut pruned = said.clone();
        prune(&mut pruned, &lost);
        let named = *said != pruned;
        // What is said of a column (a number of this place, a secret, a reference) must not be forgotten because it
        // has another name now: then the error stands until a person decides.
        if !host.columns.iter().any(|c| !c.generated && !columns.iter().any(|h| same(h, &c.name))) {
            *said = pruned;
        }
        gone.extend(out.into_iter().map(|c| Gone { what: format!("{name}.{c} is no longer in the database: what is known of it stays in the records"), named }));
    }
    for (name, said) in &mut config.types {
        let Some(host) = schema.table(name) else { continue };
        let lost = |c: &str| host.column(c).is_none() && was(name).is_some_and(|(_, columns)| columns.iter().any(|h| same(h, c)));
        said.match_on.0.retain(|set| !set.iter().any(|c| lost(c)));
        said.match_check.0.retain(|c| !lost(c));
    }
    gone
}

/// Whether a table that is new has most of the columns of one that is gone.
fn moved(schema: &Schema, had: &Had, columns: &[String]) -> bool {
    let new = schema.tables.iter().filter(|t| !had.keys().any(|h| same(h, &t.name)));
    new.into_iter().any(|t| columns.iter().filter(|c| t.column(c).is_some()).count() * 2 > columns.len())
}

fn renamed(said: &TableConfig, host: &HostTable, column: &str) -> bool {
    said.renamed.iter().any(|(new, old)| same(old, column) && host.column(new).is_some())
}

fn prune(said: &mut TableConfig, lost: &dyn Fn(&str) -> bool) {
    said.local.0.retain(|c, _| !lost(c));
    said.references.retain(|c, _| !lost(c));
    said.references_by.retain(|c, by| !lost(c) && !lost(by));
    said.references_in_text.retain(|c, _| !lost(c));
    said.ignore.0.retain(|c| !lost(c));
    said.fill.retain(|c, _| !lost(c));
    said.review.0.retain(|c| !lost(c));
    said.rules.retain(|c, _| !lost(c));
    said.renamed.retain(|new, _| !lost(new));
}
