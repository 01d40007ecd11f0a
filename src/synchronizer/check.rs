//! Whether `cfs.toml`, the schema and the data still fit together after the host was upgraded, and what to write
//! where they don't.

use super::{Error, had};
use crate::config::Config;
use crate::host::propose::{InitOptions, Proposal, propose, section};
use crate::host::resolve::resolve;
use crate::host::schema::{HostTable, Schema, same};
use crate::host::upgraded::{Gone, Had, without_what_is_gone};
use rusqlite::Connection;
use serde::Serialize;

/// One thing that no longer fits, or is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether a person has to decide; else it is only said.
    pub decide: bool,
    /// What.
    pub what: String,
    /// What to do.
    pub fix: String,
    /// Lines for `cfs.toml`, if it takes some.
    pub toml: Option<String>,
}

/// Compares a configuration with the live schema and data. Nothing is changed.
pub fn check(config: &Config, conn: &Connection) -> Result<Vec<Finding>, Error> {
    let schema = Schema::read(conn)?;
    let had = had(conn)?;
    let mut out = Vec::new();
    let mut say = |decide: bool, what: String, fix: &str, toml: Option<String>| out.push(Finding { decide, what, fix: fix.to_owned(), toml });
    let mut fits = config.clone();
    for Gone { what, named } in without_what_is_gone(&mut fits, &schema, &had) {
        let renamed = what.split_once(" is no longer").and_then(|(name, _)| renamed(&schema, &had, name));
        match renamed {
            Some((new, old, table)) => {
                let line = format!("[table.\"{table}\"]\nrenamed.\"{new}\" = \"{old}\"");
                say(true, format!("{what}. `{new}` is new there"), "if it is the same column under a new name, say so, at each place as it is upgraded; else nothing", Some(line));
            }
            None if named => say(true, what, "if the application dropped it, take its name out of cfs.toml; nothing is lost either way", None),
            None => say(false, what, "if it is there under another name, say renamed.NEW = \"OLD\" in the table's section; else nothing", None),
        }
    }
    if let Err(e) = resolve(&fits, &schema, conn) {
        say(true, e.to_string(), "bring this line and the schema together: nothing is synchronized until then", None);
        return Ok(out);
    }
    for (name, columns) in &had {
        let said = fits.table(name);
        let known = |c: &str| columns.iter().any(|h| same(h, c)) || said.is_some_and(|t| t.renamed.keys().chain(&t.ignore.0).any(|x| same(x, c)));
        let new = |t: &HostTable| t.columns.iter().filter(|c| !c.generated && !known(&c.name)).map(|c| c.name.clone()).collect::<Vec<_>>();
        let new = schema.table(name).map(new).unwrap_or_default();
        if !new.is_empty() {
            say(false, format!("{name}: {} new and synchronized with the next run", new.join(", ")), "to keep one here, name it in `ignore`", None);
        }
    }
    let Ok(follows) = propose(conn, &schema, &InitOptions { no_match: true, like: Some(fits.clone()), ..InitOptions::default() }) else { return Ok(out) };
    let further = follows.types.iter().filter(|t| t.further).map(|t| t.table.clone());
    let roots = std::iter::once(follows.root.clone()).chain(further).collect();
    let Ok(fresh) = propose(conn, &schema, &InitOptions { roots, no_match: true, ..InitOptions::default() }) else { return Ok(out) };
    for t in &follows.tables {
        let in_file = fits.table(&t.name).is_some() || fits.types.keys().any(|n| same(n, &t.name));
        if !in_file && !fits.left_out(&t.name) {
            let fix = "to synchronize it, add these lines at each place that has the table; to leave it out, name it in [leave_out]";
            say(true, format!("the table {} is new in the database and not synchronized", t.name), fix, Some(section(&follows, t)));
        }
    }
    for l in follows.left_out.iter().filter(|l| !fits.left_out(&l.name) && schema.table(&l.name).is_some()) {
        say(false, format!("the table {} is new in the database and stays out: {}", l.name, l.reason), "nothing to do", None);
    }
    for what in doubtful(&fits, &fresh) {
        say(true, what, "look at the data: a number that is no reference must not be translated", None);
    }
    Ok(out)
}

/// Undeclared references that are on, and that the data no longer prove.
fn doubtful(config: &Config, fresh: &Proposal) -> Vec<String> {
    let mut out = Vec::new();
    for (name, said) in &config.tables {
        for column in said.references.keys() {
            let found = fresh.tables.iter().find(|t| same(&t.name, name)).map(|t| t.told.iter().find(|r| same(&r.column, column)));
            if let Some(Some(told)) = found.filter(|f| f.is_some_and(|t| !t.on)) {
                out.push(format!("{name}.{column} is said to point to {}, but {}", told.target, told.evidence));
            }
        }
    }
    out
}

/// The new column of the same type that a column which is gone may be now: its name, the old one, the table.
fn renamed(schema: &Schema, had: &Had, gone: &str) -> Option<(String, String, String)> {
    let (table, old) = had.keys().filter_map(|t| Some((t, gone.strip_prefix(t.as_str())?.strip_prefix('.')?))).max_by_key(|(t, _)| t.len())?;
    let columns = had.get(table)?;
    let host = schema.table(table)?;
    let mut new = host.columns.iter().filter(|c| !c.generated && !columns.iter().any(|h| same(h, &c.name)));
    let one = new.next()?;
    new.next().is_none().then(|| (one.name.clone(), old.to_owned(), table.clone()))
}
