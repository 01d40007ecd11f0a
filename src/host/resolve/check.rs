//! Every name in the configuration is in the schema.

use crate::config::{Config, ConfigError, TableConfig, nearest};
use crate::host::schema::{HostTable, Schema, quoted, same, split_target};
use rusqlite::Connection;

/// Finds the first table or column that the schema does not have.
pub(super) fn names(config: &Config, schema: &Schema) -> Result<(), ConfigError> {
    if !config.types.values().any(|t| !t.shared) {
        let at = config.source.place(&["type"], None);
        let what = "no record type: say [type.patient], with the name of the table that everything else belongs to".into();
        return Err(ConfigError::Value { at, what });
    }
    for (name, said) in &config.types {
        if config.left_out(name) {
            let at = config.source.place(&["type", name], None);
            return Err(ConfigError::Value { at, what: format!("`{name}` is a record type and in [leave_out] as well; decide for one") });
        }
        if config.types.keys().filter(|n| same(n, name)).count() > 1 {
            let at = config.source.place(&["type", name], None);
            return Err(ConfigError::Value { at, what: format!("`{name}` has two [type] sections that differ in case only; make them one") });
        }
        let table = table(config, schema, "type", name)?;
        let lists = [("match_on", said.match_on.0.iter().flatten().collect::<Vec<_>>()), ("match_check", said.match_check.0.iter().collect())];
        for (key, column) in lists.iter().flat_map(|(key, l)| l.iter().map(move |c| (*key, *c))) {
            match split_target(|n| schema.table(n).is_some(), column) {
                (other, Some(there)) if table.column(column).is_none() => has(config, self::table(config, schema, "table", other)?, &["type", name, key], there)?,
                _ => has(config, table, &["type", name, key], column)?,
            }
        }
    }
    for (name, said) in &config.tables {
        // What is left out may have gone from the schema without anyone missing it.
        if !config.left_out(name) {
            columns(config, schema, table(config, schema, "table", name)?, name, said)?;
        }
    }
    Ok(())
}

/// Whether a type's `where` is something SQLite understands.
pub(super) fn filter(config: &Config, db: &Connection, table: &str, filter: &str) -> Result<(), ConfigError> {
    let sql = format!("SELECT 1 FROM main.{} WHERE ({filter}\n)", quoted(table));
    match db.prepare(&sql) {
        Ok(_) => Ok(()),
        Err(e) => Err(ConfigError::Value {
            at: config.source.place(&["type", table, "where"], None),
            what: format!("`where` of `{table}` is not a condition that SQLite understands: {}", said(&e)),
        }),
    }
}

/// SQLite's own words, without the statement that they are about.
pub(super) fn said(e: &rusqlite::Error) -> String {
    match e {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(msg)) => msg.clone(),
        other => other.to_string(),
    }
}

fn columns(config: &Config, schema: &Schema, host: &HostTable, name: &str, t: &TableConfig) -> Result<(), ConfigError> {
    let lists = [("owner", &t.owner.0), ("ignore", &t.ignore.0), ("review", &t.review.0)];
    for (key, column) in lists.iter().flat_map(|(k, l)| l.iter().map(move |c| (*k, c))) {
        has(config, host, &["table", name, key], column)?;
    }
    for column in t.local.0.keys() {
        has(config, host, &["table", name, "local"], column)?;
    }
    for column in t.fill.keys() {
        has(config, host, &["table", name, "fill"], column)?;
        if !t.ignore.0.iter().any(|c| same(c, column)) {
            let at = config.source.place(&["table", name, "fill"], Some(column));
            return Err(ConfigError::Value {
                at,
                what: format!("`fill` of `{column}` says what an imported row gets in a column that is ignored; add it to `ignore`, or use `local`"),
            });
        }
    }
    for (column, old) in &t.renamed {
        has(config, host, &["table", name, "renamed"], column)?;
        if host.column(old).is_some() {
            let at = config.source.place(&["table", name, "renamed"], Some(column));
            return Err(ConfigError::Value { at, what: format!("`{column}` of `{name}` cannot travel as `{old}`: the table has a column of that name") });
        }
    }
    for column in t.rules.keys() {
        has(config, host, &["table", name, "rules"], column)?;
    }
    for (column, by) in &t.references_by {
        has(config, host, &["table", name, "references_by"], column)?;
        has(config, host, &["table", name, "references_by"], by)?;
    }
    for column in t.references_in_text.keys() {
        has(config, host, &["table", name, "references_in_text"], column)?;
    }
    for (columns, target) in &t.references {
        for column in split(host, columns) {
            has(config, host, &["table", name, "references"], &column)?;
        }
        let (to, _) = split_target(|n| schema.table(n).is_some(), target);
        if schema.table(to).is_none() {
            return Err(unknown_table(config, schema, &["table", name, "references"], target));
        }
    }
    let twice = config.tables.keys().filter(|n| same(n, name)).count() > 1;
    if twice {
        let at = config.source.place(&["table", name], None);
        return Err(ConfigError::Value { at, what: format!("`{name}` has two sections that differ in case only; make them one") });
    }
    Ok(())
}

/// The columns of a key of `references`: one, or several joined by `+`.
pub(super) fn split(host: &HostTable, columns: &str) -> Vec<String> {
    match host.column(columns) {
        Some(c) => vec![c.name.clone()],
        None => columns.split('+').map(|c| c.trim().to_owned()).collect(),
    }
}

fn table<'a>(config: &Config, schema: &'a Schema, section: &str, name: &str) -> Result<&'a HostTable, ConfigError> {
    schema.table(name).ok_or_else(|| unknown_table(config, schema, &[section, name], name))
}

fn unknown_table(config: &Config, schema: &Schema, path: &[&str], name: &str) -> ConfigError {
    ConfigError::UnknownTable { at: config.source.place(path, Some(name)), name: name.to_owned(), near: nearest(name, schema.tables.iter().map(|t| t.name.as_str())) }
}

fn has(config: &Config, host: &HostTable, path: &[&str], name: &str) -> Result<(), ConfigError> {
    if host.column(name).is_some() {
        return Ok(());
    }
    Err(ConfigError::UnknownColumn {
        at: config.source.place(path, Some(name)),
        table: host.name.clone(),
        name: name.to_owned(),
        near: nearest(name, host.columns.iter().map(|c| c.name.as_str())),
    })
}
