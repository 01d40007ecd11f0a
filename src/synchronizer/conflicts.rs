//! Superseded values: what lost against a concurrent edit, kept until a person decides.

use super::find::{RecordName, SiteNames, Values, key_text, named};
use super::show::ValueView;
use super::{Error, Synchronizer};
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::{FieldKey, Rule};
use crate::state::{self, Stored};
use crate::sync::Order;
use crate::value::Value;
use serde::Serialize;

/// A field with superseded values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The record.
    #[serde(flatten)]
    pub name: RecordName,
    /// The row's table.
    pub table: String,
    /// The row's UUID.
    pub row: String,
    /// The row's local primary key, if the database has it.
    pub row_key: Option<String>,
    /// The field.
    pub field: String,
    /// Whether the configuration says that it must be looked at (`review`).
    pub review: bool,
    /// The value that is in the database.
    pub current: ValueView,
    /// The values that lost; `cfs conflicts keep … --value N` counts them from 1.
    pub superseded: Vec<ValueView>,
}

/// A conflict with the values themselves.
struct Found {
    row: crate::record::RowKey,
    field: FieldKey,
    current: Value,
    superseded: Vec<Value>,
    view: Conflict,
}

impl Synchronizer {
    /// Fields with superseded values, of one record or of all.
    pub fn conflicts(&self, record: Option<RecordId>) -> Result<Vec<Conflict>, Error> {
        let state = self.state()?;
        let ids = match record {
            Some(id) => vec![id],
            None => state.flagged(state::SUPERSEDED)?,
        };
        let names = self.site_names()?;
        let values = Values::new(self);
        let mut out = Vec::new();
        for id in ids {
            let stored = self.stored(&id)?;
            out.extend(self.in_record(&stored, &names, &values).into_iter().map(|f| f.view));
        }
        Ok(out)
    }

    fn in_record(&self, stored: &Stored, names: &SiteNames, values: &Values<'_>) -> Vec<Found> {
        let lives = merge::life(&stored.known);
        let mut out = Vec::new();
        for (key, row) in stored.known.rows.iter().filter(|(k, _)| lives.get(*k) == Some(&Life::Live)) {
            let t = self.mapping.table(&key.table).and_then(|t| self.mapping.tables.get(t));
            for (field, entries) in &row.fields {
                let column = t.and_then(|t| t.column(&field.name));
                let superseded = entries.superseded();
                let Some(current) = entries.current().filter(|_| !superseded.is_empty() && column.is_none_or(|c| c.rule == Rule::Latest)) else { continue };
                let view = |e: &crate::record::Entry| ValueView { value: values.text(&e.value, stored), written: names.written(&e.stamp) };
                out.push(Found {
                    row: key.clone(),
                    field: field.clone(),
                    current: current.value.clone(),
                    superseded: superseded.iter().map(|e| e.value.clone()).collect(),
                    view: Conflict {
                        name: named(stored),
                        table: key.table.to_string(),
                        row: key.id.to_string(),
                        row_key: stored.local.rows.get(key).and_then(|l| key_text(&l.key)),
                        field: field.name.to_string(),
                        review: column.is_some_and(|c| c.review),
                        current: view(current),
                        superseded: superseded.into_iter().map(view).collect(),
                    },
                });
            }
        }
        out
    }

    /// The order by which a superseded value becomes current and the others go. `n` counts the
    /// superseded values from 1 and may be left out where there is one.
    pub fn keep(&self, id: RecordId, row: &str, field: &str, n: Option<usize>) -> Result<Vec<(RecordId, Order)>, Error> {
        let stored = self.stored(&id)?;
        let row = self.find_row(&stored, row)?;
        let found = self.in_record(&stored, &self.site_names()?, &Values::new(self)).into_iter().find(|f| f.row == row && f.field.name.eq_ignore_ascii_case(field));
        let found = found.ok_or_else(no_conflict)?;
        let at = match (n, found.superseded.len()) {
            (None, 1) => 1,
            (None, many) => return Err(Error::Usage(format!("{many} values of the field were superseded; say which one with --value N, as `cfs conflicts show` counts them"))),
            (Some(n), _) => n,
        };
        let value = at.checked_sub(1).and_then(|i| found.superseded.get(i)).cloned();
        let value = value.ok_or_else(|| Error::Usage(format!("the field has {} superseded values, counted from 1", found.superseded.len())))?;
        Ok(vec![(id, Order::Decide { row: found.row, field: found.field, value })])
    }

    /// The orders by which current values stay and the superseded ones go: of a field, of a row, or
    /// of the whole record.
    pub fn discard(&self, id: RecordId, row: Option<&str>, field: Option<&str>) -> Result<Vec<(RecordId, Order)>, Error> {
        let stored = self.stored(&id)?;
        let row = row.map(|r| self.find_row(&stored, r)).transpose()?;
        let found = self
            .in_record(&stored, &self.site_names()?, &Values::new(self))
            .into_iter()
            .filter(|f| row.as_ref().is_none_or(|r| f.row == *r) && field.is_none_or(|n| f.field.name.eq_ignore_ascii_case(n)));
        let orders: Vec<(RecordId, Order)> = found.map(|f| (id, Order::Decide { row: f.row, field: f.field, value: f.current })).collect();
        if orders.is_empty() { Err(no_conflict()) } else { Ok(orders) }
    }
}

fn no_conflict() -> Error {
    Error::Usage("there are no superseded values there; `cfs conflicts` lists those that wait for a decision".into())
}
