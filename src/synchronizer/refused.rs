//! Records that the database refuses, or that wait for another: which, and why in plain words.

use super::find::{RecordName, moment};
use super::{Error, Synchronizer};
use crate::host::mapping::Table;
use crate::host::rows::climb;
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::Row;
use crate::report::refusal::Refusal;
use crate::shared::Name;
use crate::state::{self, Stored};
use crate::value::Value;
use serde::Serialize;

/// A record that is held, or whose rows wait for another record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldRecord {
    /// Which.
    #[serde(flatten)]
    pub name: RecordName,
    /// `held` or `waiting`.
    pub state: &'static str,
    /// Why, in the host's words.
    pub reason: String,
    /// Why, and what to do, in plain words.
    pub words: String,
    /// The record here that is in the way, where it is known.
    pub other: Option<RecordName>,
    /// Since when.
    pub since: Option<String>,
}

impl Synchronizer {
    /// Records that are held, or wait for another.
    pub(super) fn held(&self) -> Result<Vec<HeldRecord>, Error> {
        let state = self.state()?;
        let one = |h: state::HeldRow| -> Result<HeldRecord, Error> {
            let held = h.flags & state::HELD != 0;
            let reason = h.reason.unwrap_or_else(|| "rows of it point to a record that is not in this database".to_owned());
            let (words, other) = if held { self.refusal(&h.id, &reason)? } else { (reason.clone(), None) };
            let since = h.since.map(|s| moment(s.unsigned_abs()));
            Ok(HeldRecord { name: self.name_of(&h.id)?, state: if held { "held" } else { "waiting" }, reason, words, other, since })
        };
        state.held()?.into_iter().map(one).collect()
    }

    /// Why a record is refused, in plain words, and the record that is in its way.
    pub(super) fn refusal(&self, id: &RecordId, raw: &str) -> Result<(String, Option<RecordName>), Error> {
        let refusal = Refusal::read(raw);
        let Some(stored) = self.state()?.load(id)? else { return Ok((refusal.in_words(None), None)) };
        let place = match &refusal {
            Refusal::Rule(rule) => self.ruled(rule)?,
            Refusal::Reference => self.dangling(&stored)?,
            _ => None,
        };
        let other = match &refusal {
            Refusal::Twice(table, columns) => self.in_the_way(&stored, table, columns)?,
            _ => None,
        };
        Ok((refusal.in_words(place.as_deref()), other))
    }

    fn table_of(&self, name: &str) -> Option<(usize, &Table)> {
        let at = self.mapping.table(name)?;
        Some((at, self.mapping.tables.get(at)?))
    }

    /// The record here that has the values of unique columns that a record would have.
    fn in_the_way(&self, stored: &Stored, table: &str, columns: &[String]) -> Result<Option<RecordName>, Error> {
        let Some((at, t)) = self.table_of(table) else { return Ok(None) };
        let by: Vec<Name> = columns.iter().filter_map(|c| Some(t.column(c)?.name.clone())).collect();
        let Some(kind) = self.mapping.types.get(t.kind).filter(|_| by.len() == columns.len()) else { return Ok(None) };
        for row in live(stored).filter(|(k, _)| k.eq_ignore_ascii_case(table)).map(|(_, r)| r) {
            let values: Option<Vec<Value>> = by.iter().map(|c| row.get(c).filter(|v| plain(v)).cloned()).collect();
            let Some(values) = values else { continue };
            let Some(root) = climb(&self.conn, &self.mapping, at, &by, &values, &|_, _, _| None)? else { continue };
            if let Some(id) = self.state()?.by_root_key(&kind.name, &root)?.filter(|id| *id != stored.known.id) {
                return Ok(Some(self.name_of(&id)?));
            }
        }
        Ok(None)
    }

    /// The table, and the column, whose declaration has a rule.
    fn ruled(&self, rule: &str) -> Result<Option<String>, Error> {
        let mut find = self.conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND instr(sql, ?1)")?;
        let names: Vec<String> = find.query_map([rule], |r| r.get(0))?.collect::<Result<_, _>>()?;
        let [name] = names.as_slice() else { return Ok(None) };
        let Some((_, t)) = self.table_of(name) else { return Ok(None) };
        let words: Vec<&str> = rule.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let column = t.columns.iter().find(|c| words.iter().any(|w| c.name.eq_ignore_ascii_case(w)));
        Ok(Some(column.map_or_else(|| t.name.to_string(), |c| format!("{}.{}", t.name, c.name))))
    }

    /// The first reference of a record to one that is not in the database.
    fn dangling(&self, stored: &Stored) -> Result<Option<String>, Error> {
        let state = self.state()?;
        for (table, row) in live(stored) {
            for (field, v) in &row.fields {
                let Some(Value::Ref(r)) = v.current().map(|e| &e.value) else { continue };
                if let Some(to) = r.record
                    && state.root_of(&to)?.is_none_or(|(_, key, _)| key.is_none())
                {
                    return Ok(Some(format!("{table}.{}", field.name)));
                }
            }
        }
        Ok(None)
    }
}

/// A record's rows that shall be in the database, with their tables.
fn live(stored: &Stored) -> impl Iterator<Item = (&Name, &Row)> {
    let lives = merge::life(&stored.known);
    stored.known.rows.iter().filter(move |(k, _)| lives.get(*k) == Some(&Life::Live)).map(|(k, r)| (&k.table, r))
}

/// Whether the database can be asked for a value.
fn plain(v: &Value) -> bool {
    matches!(v, Value::Integer(_) | Value::Real(_) | Value::Text(_))
}
