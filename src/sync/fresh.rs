//! Columns that a host's upgrade brought.

use super::{Engine, Error};
use crate::host::capture;
use crate::host::mapping::Mapping;
use crate::host::rows;
use crate::host::upgraded::Had;
use crate::record::Record;
use crate::state::State;
use std::collections::BTreeSet;

/// Reads what stands in our table about the columns that are synchronized.
pub fn had(text: &str) -> Had {
    text.lines().filter_map(|l| serde_json::from_str::<(String, Vec<String>)>(l).ok()).collect()
}

/// Makes the triggers that are missing. Gives the tables that must be looked at as a whole: they are remembered before
/// the triggers are there, and until a synchronization has come to its end.
pub fn hear(state: &State<'_>, m: &Mapping) -> Result<Vec<String>, Error> {
    let misfits = capture::misfits(state.conn, m)?;
    let mut due: BTreeSet<String> = state.meta::<String>(UNHEARD)?.unwrap_or_default().lines().map(str::to_owned).collect();
    if misfits.unheard().any(|t| !due.contains(t)) {
        due.extend(misfits.unheard().map(str::to_owned));
        state.set_meta(UNHEARD, due.iter().cloned().collect::<Vec<_>>().join("\n"))?;
    }
    misfits.mend(state.conn)?;
    Ok(due.into_iter().collect())
}

/// Under this name stands which tables nobody has heard of for some time, one on each line.
pub(super) const UNHEARD: &str = "unheard";

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

    /// Those, and all that were synchronized at any time before.
    pub(super) fn columns_ever(&self) -> Result<String, Error> {
        let mut ever = had(&self.state.meta::<String>("columns_ever")?.unwrap_or_default());
        for (table, columns) in had(&self.columns()) {
            let all = ever.entry(table).or_default();
            all.extend(columns);
            all.sort_unstable();
            all.dedup();
        }
        Ok(ever.iter().map(|(t, c)| serde_json::json!([t, c]).to_string()).collect::<Vec<_>>().join("\n"))
    }

    /// What was applied, without the columns that an upgrade has just brought: the host never held what is known of them. A
    /// record that is held meanwhile would else seem to have been emptied by the host, once the columns are no news.
    pub(super) fn shown_so_far(&self, mut applied: Record) -> Record {
        if !self.fresh.is_empty() {
            for (key, row) in &mut applied.rows {
                row.fields.retain(|f, _| !self.fresh.contains_key(&(key.table.clone(), f.name.clone())));
            }
        }
        applied
    }

    /// Finds columns that the host has only since the last sync, and the types they belong to.
    pub(super) fn find_fresh(&mut self) -> Result<Vec<usize>, Error> {
        let Some(before) = self.state.meta::<String>("columns")? else { return Ok(Vec::new()) };
        let now = self.columns();
        if before == now {
            return Ok(Vec::new());
        }
        let had = had(&before);
        let mut kinds = BTreeSet::new();
        for t in &self.mapping.tables {
            let Some(old) = had.get(&*t.name) else { continue };
            for c in t.columns.iter().filter(|c| !old.iter().any(|o| *o == c.name)) {
                let default: Option<String> =
                    self.conn.query_row("SELECT dflt_value FROM pragma_table_info(?1) WHERE name = ?2", [&t.name, c.host.as_ref().unwrap_or(&c.name)], |r| r.get(0))?;
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
