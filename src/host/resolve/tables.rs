//! One table's part of the mapping.

use super::check;
use crate::config::{ColumnRule, Config, ConfigError, Deletes, Keys, TableConfig};
use crate::host::events::{Events, inserts_into};
use crate::host::looks::{is_uuid, model_table};
use crate::host::mapping::{Affinity, Column, Key, LocalDeletes, ReferenceMap, Role, Rule, Table, Target};
use crate::host::schema::{HostTable, Schema, quoted, quoted_list, same, split_target};
use crate::shared::{Name, names};
use rusqlite::Connection;

/// How many rows are looked at to see whether a key holds UUIDs.
const SAMPLE: u32 = 200;

fn among<S: AsRef<str>>(list: &[S], name: &str) -> bool {
    list.iter().any(|l| same(l.as_ref(), name))
}

/// A table's references: those told in the configuration, then the declared ones. A target is an
/// index into `included`; what points elsewhere is plain data.
pub(super) fn references(config: &Config, included: &[&HostTable], host: &HostTable) -> Result<Vec<ReferenceMap>, ConfigError> {
    let empty = TableConfig::default();
    let said = config.table(&host.name).unwrap_or(&empty);
    let index = |name: &str| included.iter().position(|t| same(&t.name, name));
    let mut found: Vec<ReferenceMap> = Vec::new();
    let mut add = |columns: Vec<String>, target: Target, declared: bool| {
        let known = found.iter().any(|r| r.columns.len() == columns.len() && columns.iter().all(|c| among(&r.columns, c)));
        let unused = columns.iter().any(|c| among(&said.ignore.0, c) || host.column(c).is_none_or(|c| c.generated));
        if !known && !unused {
            found.push(ReferenceMap::new(&columns, target, declared));
        }
    };
    for (told, target) in &said.references {
        let parts = check::split(host, told);
        let columns: Vec<String> = parts.iter().map(|n| host.column(n).map_or_else(|| n.clone(), |c| c.name.clone())).collect();
        let (to, by) = split_target(|name| index(name).is_some(), target);
        let Some((table, parent)) = index(to).and_then(|t| Some((t, included.get(t)?))) else {
            let at = config.source.place(&["table", &host.name, "references"], Some(told));
            let what = format!("`{told}` of `{}` points to `{target}`, which is not synchronized; give `{target}` a section, or take the reference out", host.name);
            return Err(ConfigError::Value { at, what });
        };
        let named = by.map(|c| parent.column(c).map(|c| c.name.clone()).ok_or(c)).transpose().map_err(|c| ConfigError::UnknownColumn {
            at: config.source.place(&["table", &host.name, "references"], Some(told)),
            table: parent.name.clone(),
            name: c.to_owned(),
            near: None,
        })?;
        let key = match named {
            Some(column) => vec![column],
            None if parent.primary_key.is_empty() => parent.key_columns(),
            None => parent.primary_key.clone(),
        };
        if key.len() != columns.len() {
            let at = config.source.place(&["table", &host.name, "references"], Some(told));
            let what = format!(
                "`{told}` of `{}` cannot point to `{target}`: its key is {}",
                host.name,
                if key.is_empty() { "not declared".to_owned() } else { format!("`{}`", key.join("+")) }
            );
            return Err(ConfigError::Value { at, what });
        }
        add(columns, Target::Table { table, columns: names(&key) }, false);
    }
    for (column, by) in &said.references_by {
        let exact = |n: &str| host.column(n).map_or_else(|| n.to_owned(), |c| c.name.clone());
        add(vec![exact(column)], Target::ByColumn(exact(by).into()), false);
    }
    for (column, models) in &said.references_in_text {
        let exact = host.column(column).map_or_else(|| column.clone(), |c| c.name.clone());
        // A model whose table is not synchronized is none of ours: what names it stays text.
        let models = models.0.iter().filter_map(|m| Some((Name::of(m), index(m).or_else(|| index(&model_table(m)))?)));
        add(vec![exact], Target::InText(models.collect()), false);
    }
    for key in &host.foreign_keys {
        if let Some(table) = index(&key.parent).filter(|_| !key.parent_columns.is_empty()) {
            add(key.columns.clone(), Target::Table { table, columns: names(&key.parent_columns) }, true);
        }
    }
    for r in &mut found {
        r.declared |= host.foreign_keys.iter().any(|k| !k.parent_columns.is_empty() && k.columns.len() == r.columns.len() && k.columns.iter().all(|c| among(&r.columns, c)));
    }
    let place = |r: &ReferenceMap| host.columns.iter().position(|c| r.columns.first().is_some_and(|n| same(n, &c.name)));
    found.sort_by_key(place);
    Ok(found)
}

/// The table as the engine sees it.
pub(super) fn table(
    config: &Config,
    schema: &Schema,
    db: &Connection,
    host: &HostTable,
    kind: usize,
    owner: Option<usize>,
    references: Vec<ReferenceMap>,
    shared_match: bool,
) -> Result<Table, ConfigError> {
    let empty = TableConfig::default();
    let said = config.table(&host.name).unwrap_or(&empty);
    let refers = |c: &str| references.iter().any(|r| among(&r.columns, c));
    let key_columns = host.key_columns();
    let surrogate = host.rowid_alias.as_deref().is_some_and(|a| !refers(a)) && said.keys != Some(Keys::Natural);
    if said.keys == Some(Keys::Surrogate) && (key_columns.len() != 1 || key_columns.iter().any(|c| refers(c))) {
        let at = config.source.place(&["table", &host.name, "keys"], None);
        let what = format!("the key of `{}` is not one column of its own, so it cannot be a surrogate", host.name);
        return Err(ConfigError::Value { at, what });
    }
    let key = key(config, db, host, &key_columns)?;
    let travels = said.keys != Some(Keys::Surrogate) && !surrogate && !key_columns.is_empty();
    let derived = shared_match || (travels && derivable(db, host, &key_columns, &refers, said)?);
    let mut columns = Vec::new();
    for c in host.columns.iter().filter(|c| !c.generated && !among(&said.ignore.0, &c.name)) {
        let local = said.local.0.iter().find(|(n, _)| same(n, &c.name)).map(|(_, l)| l);
        let own_key = said.keys == Some(Keys::Surrogate) && among(&key_columns, &c.name);
        let role = if surrogate && host.rowid_alias.as_deref().is_some_and(|a| same(a, &c.name)) {
            Role::Surrogate
        } else if refers(&c.name) {
            if local.is_some() {
                let at = config.source.place(&["table", &host.name, "local"], Some(&c.name));
                return Err(ConfigError::Value { at, what: format!("`{}` of `{}` is a reference; it cannot be local as well", c.name, host.name) });
            }
            Role::Reference
        } else if let Some(local) = local {
            let assign = match (&local.assign, local.keep_if_free) {
                (Some(sql), _) => {
                    if let Some(count) = &local.count {
                        checked(config, db, host, &c.name, count, false)?;
                    }
                    Some(checked(config, db, host, &c.name, sql, local.count.is_some())?)
                }
                (None, true) => None,
                (None, false) => Some(count_on(config, host, &c.name, c.affinity, c.not_null)?),
            };
            Role::Local { assign, count: local.count.clone(), keep_if_free: local.keep_if_free }
        } else if own_key {
            Role::Local { assign: Some(fresh_key(host, &c.name, c.affinity)), count: None, keep_if_free: false }
        } else {
            Role::Data
        };
        let rule = said.rules.iter().find(|(n, _)| same(n, &c.name)).map_or(Rule::Latest, |(_, r)| match r {
            ColumnRule::Latest => Rule::Latest,
            ColumnRule::Max => Rule::Max,
            ColumnRule::Min => Rule::Min,
            ColumnRule::Text => Rule::Text,
            ColumnRule::Union(sign) => Rule::Union(*sign),
        });
        let travels = said.renamed.iter().find(|(new, _)| same(new, &c.name)).map(|(_, old)| Name::of(old));
        if travels.is_some() && role != Role::Data {
            let at = config.source.place(&["table", &host.name, "renamed"], Some(&c.name));
            return Err(ConfigError::Value {
                at,
                what: format!("`{}` of `{}` is a key, a reference or a local column: only a column of values can be renamed", c.name, host.name),
            });
        }
        columns.push(Column {
            name: travels.clone().unwrap_or_else(|| Name::of(&c.name)),
            host: travels.map(|_| Name::of(&c.name)),
            role,
            rule,
            review: among(&said.review.0, &c.name),
            not_null: c.not_null,
            has_default: c.default.is_some(),
            affinity: c.affinity,
        });
    }
    let filled = |c: &str| said.fill.keys().any(|f| same(f, c));
    let needed = |c: &&String| host.column(c).is_some_and(|c| c.not_null && c.default.is_none() && !c.generated && !filled(&c.name));
    if let Some(column) = said.ignore.0.iter().find(needed) {
        let at = config.source.place(&["table", &host.name, "ignore"], Some(column));
        let what = format!(
            "`{column}` of `{}` cannot be ignored: it is NOT NULL without a default, so no row could be inserted; say what imported rows get in it, as fill.{column} = \"SQL expression\"",
            host.name
        );
        return Err(ConfigError::Value { at, what });
    }
    if let Some(missing) = key_columns.iter().find(|k| among(&said.ignore.0, k)) {
        let at = config.source.place(&["table", &host.name, "ignore"], Some(missing));
        return Err(ConfigError::Value { at, what: format!("`{missing}` is part of the key of `{}`; it cannot be ignored", host.name) });
    }
    let mut unique: Vec<Vec<String>> = Vec::new();
    if !host.primary_key.is_empty() && !surrogate {
        unique.push(host.primary_key.clone());
    }
    for u in host.unique.iter().filter(|u| u.plain()) {
        let surrogate_key = surrogate && u.columns == host.primary_key;
        let whole = u.columns.iter().all(|c| columns.iter().any(|k| same(k.host.as_ref().unwrap_or(&k.name), c)));
        if whole && !surrogate_key && !unique.contains(&u.columns) {
            unique.push(u.columns.clone());
        }
    }
    let indexed = owner.and_then(|o| references.get(o)?.columns.first()).is_none_or(|c| among(&host.leading, c));
    let refused = refused(db, &host.name, &columns.iter().map(|c| &**c.host.as_ref().unwrap_or(&c.name)).collect::<Vec<_>>());
    Ok(Table {
        name: Name::of(&host.name),
        kind,
        key,
        surrogate,
        derived,
        owner,
        references,
        no_insert: refused.insert,
        no_update: refused.update,
        no_delete: refused.delete,
        by_name: {
            let mut order: Vec<usize> = (0..columns.len()).collect();
            order.sort_by_key(|n| columns.get(*n).map(|c| c.name.clone()));
            order
        },
        columns,
        fill: fill(config, db, host, said)?,
        single: false,
        unique: unique.iter().map(|u| u.iter().map(|c| travelling(said, c)).collect()).collect(),
        rewrites: said.rewrites.unwrap_or(true),
        local_deletes: match said.local_deletes.unwrap_or(config.local_deletes) {
            Deletes::Restore => LocalDeletes::Restore,
            Deletes::Ask => LocalDeletes::Ask,
        },
        indexed,
        on_conflict: host.on_conflict,
        made_by_triggers: schema.triggers.iter().any(|t| inserts_into(&t.sql, &host.name)),
        triggers: schema.triggers_on(&host.name).fold(Events::default(), |all, t| all.or(Events::of(&t.sql))),
    })
}

/// The name under which a column travels.
pub(super) fn travelling(said: &TableConfig, column: &str) -> Name {
    said.renamed.iter().find(|(new, _)| same(new, column)).map_or_else(|| Name::of(column), |(_, old)| Name::of(old))
}

/// What inserted rows get in ignored columns.
fn fill(config: &Config, db: &Connection, host: &HostTable, said: &TableConfig) -> Result<Vec<(Name, String)>, ConfigError> {
    let exact = |c: &str| host.column(c).map_or_else(|| Name::of(c), |c| Name::of(&c.name));
    said.fill.iter().map(|(c, sql)| Ok((exact(c), checked(config, db, host, c, sql, false)?))).collect()
}

/// How the host names a row. A primary key that may be NULL, and is, names nothing.
fn key(config: &Config, db: &Connection, host: &HostTable, columns: &[String]) -> Result<Key, ConfigError> {
    if let Some(alias) = &host.rowid_alias {
        return Ok(Key::Rowid(Name::of(alias)));
    }
    let named = !columns.is_empty() && (host.not_null(columns) || !any_null(db, host, columns)?);
    match (&host.rowid_name, named) {
        (_, true) => Ok(Key::Columns(names(columns))),
        (Some(rowid), false) => Ok(Key::Rowid(Name::of(rowid))),
        (None, false) => Err(ConfigError::Value {
            at: config.source.place(&["table", &host.name], None),
            what: format!("`{}` has no key, and its columns hide the rowid: its rows cannot be named; move it to [leave_out]", host.name),
        }),
    }
}

fn any_null(db: &Connection, host: &HostTable, columns: &[String]) -> Result<bool, ConfigError> {
    let test = columns.iter().map(|c| format!("{} IS NULL", quoted(c))).collect::<Vec<_>>().join(" OR ");
    Ok(db.query_row(&format!("SELECT EXISTS (SELECT 1 FROM main.{} WHERE {test})", quoted(&host.name)), [], |r| r.get(0))?)
}

/// Whether rows can get their UUIDs from their keys: every key column is a reference or may hold
/// UUIDs. The engine decides row by row; here a table whose rows hold none is ruled out.
fn derivable(db: &Connection, host: &HostTable, key: &[String], refers: &dyn Fn(&str) -> bool, said: &TableConfig) -> Result<bool, ConfigError> {
    let own: Vec<String> = key.iter().filter(|c| !refers(c)).cloned().collect();
    let holds = |c: &String| {
        let kind = host.column(c).map(|c| c.affinity);
        matches!(kind, Some(Affinity::Text | Affinity::Blob)) && !said.local.0.keys().any(|l| same(l, c))
    };
    if !own.iter().all(holds) {
        return Ok(false);
    }
    if own.is_empty() {
        return Ok(true);
    }
    let sql = format!("SELECT {} FROM main.{} LIMIT {SAMPLE}", quoted_list(&own), quoted(&host.name));
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let (mut seen, mut uuids) = (0, 0);
    while let Some(r) = rows.next()? {
        let mut all = true;
        for i in 0..own.len() {
            all &= is_uuid(r.get_ref(i)?);
        }
        seen += 1;
        uuids += u32::from(all);
    }
    Ok(seen == 0 || uuids > 0)
}

/// Plain counting on, for a local column of which only the name is said.
fn count_on(config: &Config, host: &HostTable, column: &str, affinity: Affinity, not_null: bool) -> Result<String, ConfigError> {
    if matches!(affinity, Affinity::Integer | Affinity::Numeric) {
        return Ok(next_number(host, column));
    }
    if !not_null {
        return Ok("SELECT NULL".to_owned());
    }
    let what = format!("`{column}` of `{}` is text: say how an imported row gets its own, as local.{column} = \"SELECT …\"", host.name);
    Err(ConfigError::Value { at: config.source.place(&["table", &host.name, "local"], Some(column)), what })
}

fn next_number(host: &HostTable, column: &str) -> String {
    format!("SELECT 1 + coalesce(max({}), 0) FROM {}", quoted(column), quoted(&host.name))
}

fn fresh_key(host: &HostTable, column: &str, affinity: Affinity) -> String {
    match affinity {
        Affinity::Blob => "SELECT randomblob(16)".to_owned(),
        Affinity::Text => "SELECT lower(hex(randomblob(16)))".to_owned(),
        _ => next_number(host, column),
    }
}

/// The SQL of a local column, if SQLite understands it and it asks for no unknown column.
fn checked(config: &Config, db: &Connection, host: &HostTable, column: &str, sql: &str, next: bool) -> Result<String, ConfigError> {
    let broken = |what: String| ConfigError::Value { at: config.source.place(&["table", &host.name, "local"], Some(column)), what };
    // A bare expression is as good as a SELECT of it.
    let first = sql.split_whitespace().next().unwrap_or_default();
    let sql = if ["SELECT", "WITH", "VALUES"].iter().any(|w| same(w, first)) { sql.to_owned() } else { format!("SELECT {sql}") };
    let statement = db.prepare(&sql).map_err(|e| broken(format!("the SQL that gives `{column}` of `{}` is not understood: {}", host.name, check::said(&e))))?;
    if !statement.readonly() {
        return Err(broken(format!("the SQL that gives `{column}` of `{}` must not change anything", host.name)));
    }
    for i in 1..=statement.parameter_count() {
        let name = statement.parameter_name(i).and_then(|n| n.strip_prefix([':', '@', '$'])).unwrap_or("?");
        if host.column(name).is_none() && !(next && name == "next") {
            return Err(broken(format!("the SQL that gives `{column}` asks for `:{name}`, but `{}` has no such column", host.name)));
        }
    }
    Ok(sql)
}

/// Which writes the host refuses to anyone but itself, as when a trigger calls a function that only the host's
/// own process has, each with the reason in SQLite's words.
#[derive(Debug, Default)]
pub(in crate::host) struct Refused {
    pub(in crate::host) insert: Option<String>,
    pub(in crate::host) update: Option<String>,
    pub(in crate::host) delete: Option<String>,
}

/// Finds out which writes are refused.
pub(in crate::host) fn refused(db: &Connection, table: &str, columns: &[&str]) -> Refused {
    let table = quoted(table);
    let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
    let set: Vec<String> = (1..).zip(&names).map(|(i, n)| format!("{n} = ?{i}")).collect();
    let marks: Vec<String> = (1..=names.len()).map(|i| format!("?{i}")).collect();
    let why = |sql: String| db.prepare(&sql).err().map(|e| check::said(&e));
    let insert = format!("INSERT INTO main.{table} ({}) VALUES ({})", names.join(", "), marks.join(", "));
    let update = format!("UPDATE main.{table} SET {}", set.join(", "));
    Refused { insert: why(insert), update: why(update), delete: why(format!("DELETE FROM main.{table}")) }
}
