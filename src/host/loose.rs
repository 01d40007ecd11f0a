//! Loose rows: rows of a record that the host took from it and gave to no other, because the reference to what they hung
//! from is empty now, or leads nowhere. They are in the host, and stay the record's (decision 0029).

use super::image::{self, Context, Image, Others};
use super::key::{HostKey, encode};
use super::local::Local;
use super::mapping::{Mapping, Table, Target};
use super::rows::{self, HostRecord, HostRow};
use crate::id::Random;
use crate::record::{FieldKey, RowKey};
use crate::shared::{HashSet, Name};
use crate::value::Value;
use rusqlite::Connection;
use std::collections::BTreeSet;

impl Table {
    /// The columns of a table that rows of this one name it by, where they hang from its rows.
    fn hangs_from(&self, table: usize) -> Option<&[Name]> {
        match &self.owner_ref()?.target {
            Target::Table { table: t, columns } if *t == table => Some(columns),
            _ => None,
        }
    }

    /// The field that says what a row hangs from.
    pub fn owner_field(&self) -> Option<FieldKey> {
        Some(FieldKey::shared(self.owner_ref()?.field.clone()))
    }
}

/// Builds the image of a record from the rows that hang from its root and those that hang from nothing.
pub fn build(conn: &Connection, c: &Context<'_>, mut host: HostRecord, others: &mut dyn Others, random: &mut Random) -> Result<Image, super::Error> {
    let unsaid = if c.local.rows.is_empty() { BTreeSet::new() } else { add(conn, c.mapping, c.local, c.recycled, &mut host)? };
    let mut image = image::build(c, host, others, random)?;
    for key in unsaid {
        let Some(row) = image.rows.get_mut(&key) else { continue };
        if let Some(field) = c.mapping.tables.get(row.table).and_then(Table::owner_field) {
            row.dangling.remove(&field.name);
            row.fields.remove(&field);
        }
    }
    Ok(image)
}

/// How many rows of each table hang from nobody who is synchronized: empty references, and texts that name no table of the mapping.
pub fn homeless(conn: &Connection, m: &Mapping) -> rusqlite::Result<Vec<(Name, u64)>> {
    let mut out = Vec::new();
    for t in &m.tables {
        let Some(owner) = t.owner_ref() else { continue };
        let empty = owner.columns.iter().map(|c| format!("{} IS NULL", rows::quote(c)));
        let unlisted = match (&owner.target, owner.columns.first()) {
            (Target::InText(models), Some(c)) => {
                let list: Vec<String> = models.iter().map(|(model, _)| rows::literal(model)).collect();
                Some(format!("substr({0}, 1, instr({0}, ',') - 1) NOT IN ({1})", rows::quote(c), list.join(", ")))
            }
            _ => None,
        };
        let sql = format!("SELECT count(*) FROM {} WHERE {}", rows::quote(&t.name), empty.chain(unlisted).collect::<Vec<_>>().join(" OR "));
        let n: i64 = conn.query_row(&sql, [], |r| r.get(0))?;
        if n > 0 {
            out.push((t.name.clone(), n.unsigned_abs()));
        }
    }
    Ok(out)
}

/// Adds the loose rows. Gives those of which the host does not say that they hang from nothing: what they hung from is gone,
/// and may come back.
fn add(conn: &Connection, m: &Mapping, local: &Local, recycled: &BTreeSet<(usize, HostKey)>, host: &mut HostRecord) -> rusqlite::Result<BTreeSet<RowKey>> {
    let mut unsaid = BTreeSet::new();
    let mut found: Vec<(usize, HostRow)> = Vec::new();
    let mut there: HashSet<(usize, Vec<u8>)> = host.iter().flat_map(|(t, rows)| rows.iter().map(|r| (*t, encode(&r.key)))).collect();
    let rootless = !host.keys().any(|t| m.tables.get(*t).is_some_and(|t| t.owner.is_none()));
    for (key, l) in local.rows.iter().filter(|(_, l)| l.away.is_none()) {
        let Some((table, t)) = m.table(&key.table).and_then(|n| Some((n, m.tables.get(n)?))) else { continue };
        // Of a number that VACUUM may have given away nobody knows.
        let Some(owner) = t.owner_ref().filter(|_| !t.renumbered()) else { continue };
        if there.contains(&(table, encode(&l.key))) || recycled.contains(&(table, l.key.clone())) {
            continue;
        }
        let Some(row) = rows::rows_by(conn, m, table, t.key_columns(), &l.key)?.pop() else { continue };
        if rows::climb(conn, m, table, t.key_columns(), &l.key, &|_, _, _| None)?.is_some() {
            continue;
        }
        let said = owner.columns.iter().any(|c| t.get(&row, c).is_some_and(Value::is_null));
        if rootless || !said {
            unsaid.insert(key.clone());
        }
        there.insert((table, encode(&row.key)));
        found.push((table, row));
    }
    // And what was hung below them since.
    while let Some((table, row)) = found.pop() {
        for (child, columns, to) in m.tables.iter().enumerate().filter_map(|(n, t)| Some((n, &t.owner_ref()?.columns, t.hangs_from(table)?))) {
            let Some(values) = m.tables.get(table).and_then(|t| to.iter().map(|c| t.get(&row, c).cloned()).collect::<Option<HostKey>>()).filter(|v| !v.iter().any(Value::is_null))
            else {
                continue;
            };
            let below = rows::rows_by(conn, m, child, columns, &values)?;
            found.extend(below.into_iter().filter(|r| there.insert((child, encode(&r.key)))).map(|r| (child, r)));
        }
        host.entry(table).or_default().push(row);
    }
    Ok(unsaid)
}
