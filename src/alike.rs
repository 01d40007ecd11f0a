//! How many people of a database look like people of a folder, before anything is matched.

use crate::folder::Folder;
use crate::host::propose::Proposal;
use crate::host::rows::{quote, value_of};
use crate::names;
use crate::sync::Error;
use crate::value::Value;
use crate::xml::{MAX_FILE_BYTES, read_record};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Counts the root rows of the database whose values in `columns` stand in a record of the folder.
pub fn count(conn: &Connection, folder: &dyn Folder, proposal: &Proposal, columns: &str) -> Result<usize, Error> {
    let columns: Vec<&str> = columns.split(',').collect();
    let manifest = crate::sync::read_manifest(folder)?;
    // `demographics.number` is asked of that table: for a count it does not matter whose row it is.
    let elsewhere: Option<Vec<_>> = columns.iter().map(|c| proposal.tables.iter().find_map(|t| Some((t, c.strip_prefix(&t.name)?.strip_prefix('.')?)))).collect();
    let (from, names) = match elsewhere.as_deref() {
        Some([(t, _), ..]) => (t.name.clone(), elsewhere.iter().flatten().map(|(_, c)| *c).collect()),
        _ => (proposal.root.clone(), columns.clone()),
    };
    let list = names.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
    let mut here: BTreeSet<Vec<Value>> = BTreeSet::new();
    let mut q = conn.prepare(&format!("SELECT {list} FROM {}", quote(&from)))?;
    let mut rows = q.query([])?;
    while let Some(r) = rows.next()? {
        let values: Vec<Value> = (0..columns.len()).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<_>>()?;
        if !values.iter().any(Value::is_null) {
            here.insert(values);
        }
    }
    let dir = format!("{}/{}", names::RECORDS, names::type_name(&proposal.root));
    let mut n = 0;
    for (shard, _) in folder.list(&dir)?.unwrap_or_default() {
        for (name, _) in folder.list(&format!("{dir}/{shard}"))?.unwrap_or_default() {
            let Ok(Some(bytes)) = folder.read(&format!("{dir}/{shard}/{name}"), MAX_FILE_BYTES) else { continue };
            let Ok(record) = read_record(&bytes, &manifest.folder) else { continue };
            let values: Option<Vec<Value>> = {
                let mut rows = record.rows.iter().filter(|(k, _)| k.table == from.as_str());
                rows.next().and_then(|(_, row)| names.iter().map(|c| row.get(c).cloned()).collect())
            };
            n += usize::from(values.is_some_and(|v| here.contains(&v)));
        }
    }
    Ok(n)
}
