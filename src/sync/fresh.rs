//! Columns that a host's upgrade brought.

use super::{Engine, Error};
use crate::host::rows;
use std::collections::{BTreeMap, BTreeSet};

impl Engine<'_> {
    /// The columns that are synchronized, as text: a line for each table.
    pub(super) fn columns(&self) -> String {
        let line = |t: &crate::host::mapping::Table| {
            let mut names: Vec<&str> = t.columns.iter().map(|c| c.name.as_str()).chain(t.references.iter().map(|r| r.field.as_str())).collect();
            names.sort_unstable();
            names.dedup();
            serde_json::json!([t.name, names]).to_string()
        };
        self.mapping.tables.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Finds columns that the host has only since the last sync, and the types they belong to.
    pub(super) fn find_fresh(&mut self) -> Result<Vec<usize>, Error> {
        let Some(before) = self.state.meta::<String>("columns")? else { return Ok(Vec::new()) };
        let now = self.columns();
        if before == now {
            return Ok(Vec::new());
        }
        let had: BTreeMap<String, Vec<String>> = before.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let mut kinds = BTreeSet::new();
        for t in &self.mapping.tables {
            let Some(old) = had.get(&*t.name) else { continue };
            for c in t.columns.iter().filter(|c| !old.iter().any(|o| *o == c.name)) {
                let default: Option<String> = self.conn.query_row("SELECT dflt_value FROM pragma_table_info(?1) WHERE name = ?2", [&t.name, &c.name], |r| r.get(0))?;
                let value = match default {
                    Some(sql) => self.conn.query_row(&format!("SELECT {sql}"), [], |r| Ok(rows::value_of(r.get_ref(0)?))).unwrap_or(crate::value::Value::Null),
                    None => crate::value::Value::Null,
                };
                self.fresh.insert((t.name.clone(), c.name.clone()), value);
                kinds.insert(t.kind);
            }
        }
        Ok(kinds.into_iter().collect())
    }
}
