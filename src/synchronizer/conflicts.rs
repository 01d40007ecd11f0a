//! Superseded values: what lost against a concurrent edit, kept until a person decides.

use super::find::{RecordName, SiteNames, Values, key_text, named};
use super::show::ValueView;
use super::{Error, Synchronizer};
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::{Field, FieldKey, Rule};
use crate::stamp::Stamp;
use crate::state::{self, Stored};
use crate::sync::Order;
use crate::value::{MAX_INLINE_BYTES, Value};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether a person can type another value for it.
    #[serde(skip)]
    pub editable: bool,
    /// A mark of what is listed: another one, once something has changed.
    pub mark: String,
}

impl Conflict {
    /// Its column, as `TABLE.COLUMN`.
    fn column(&self) -> String {
        format!("{}.{}", self.table, self.field)
    }

    /// Whether it is of a column, `TABLE.COLUMN`.
    pub fn is_of(&self, column: &str) -> bool {
        self.column().eq_ignore_ascii_case(column)
    }
}

/// A mark of the values of a field, whole as they are and not as they are shown.
fn fingerprint(entries: &Field) -> String {
    let mut hash = Sha256::new();
    for e in &entries.0 {
        for part in [e.stamp.time.text().as_bytes(), e.stamp.site.as_bytes(), &e.value.bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    crate::xml::hex(&hash.finalize())
}

/// How many fields of one column wait for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfColumn {
    /// The column, as `TABLE.COLUMN`.
    pub column: String,
    /// How many fields.
    pub fields: usize,
    /// A mark of all that is listed of it: another one, once something has changed.
    pub mark: String,
}

/// From so many fields of one column on, a person is offered to decide them together.
const MANY: usize = 10;

impl OfColumn {
    /// Whether these are so many that a person is offered to decide them together.
    pub fn are_many(&self) -> bool {
        self.fields >= MANY
    }
}

/// How many fields wait in each column, the most first.
pub fn by_column(found: &[Conflict]) -> Vec<OfColumn> {
    let mut all: BTreeMap<String, (usize, Sha256)> = BTreeMap::new();
    for c in found {
        let (fields, hash) = all.entry(c.column()).or_default();
        *fields += 1;
        hash.update(format!("{}{}{}", c.name.record, c.row, c.mark));
    }
    let mut all: Vec<OfColumn> = all.into_iter().map(|(column, (fields, hash))| OfColumn { column, fields, mark: crate::xml::hex(&hash.finalize()) }).collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.fields));
    all
}

/// What a person decided about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A value that is listed: 0 for the current one, then the superseded ones.
    Listed(usize),
    /// Another value, as it was typed.
    Text(String),
}

/// A conflict with the values themselves.
struct Found {
    row: crate::record::RowKey,
    field: FieldKey,
    current: Value,
    superseded: Vec<Value>,
    shown: BTreeSet<Stamp>,
    view: Conflict,
}

impl Found {
    /// The order by which the current value stays and the others go.
    fn stands(self, id: RecordId) -> (RecordId, Order) {
        (id, Order::Decide { row: self.row, field: self.field, value: self.current, shown: Some(self.shown) })
    }
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
                let Some(current) = entries.current().filter(|_| !superseded.is_empty() && !merge::settles(entries, column.map_or(Rule::Latest, |c| c.rule))) else { continue };
                let view = |e: &crate::record::Entry| ValueView { value: values.text(&e.value, stored), null: e.value.is_null(), written: names.written(&e.stamp) };
                out.push(Found {
                    row: key.clone(),
                    field: field.clone(),
                    current: current.value.clone(),
                    superseded: superseded.iter().map(|e| e.value.clone()).collect(),
                    shown: entries.0.iter().map(|e| e.stamp).collect(),
                    view: Conflict {
                        mark: fingerprint(entries),
                        name: named(stored),
                        table: key.table.to_string(),
                        row: key.id.to_string(),
                        row_key: stored.local.rows.get(key).and_then(|l| key_text(&l.key)),
                        field: field.name.to_string(),
                        review: column.is_some_and(|c| c.review),
                        current: view(current),
                        superseded: superseded.into_iter().map(view).collect(),
                        editable: typed_like(entries).is_some(),
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
        Ok(vec![(id, Order::Decide { row: found.row, field: found.field, value, shown: Some(found.shown) })])
    }

    /// The order by which a person's choice becomes the field's value, if nothing has changed since it was made.
    pub fn decide(&self, id: RecordId, row: &str, field: &str, mark: &str, choice: Choice) -> Result<Vec<(RecordId, Order)>, Error> {
        let stored = self.stored(&id)?;
        let row = self.find_row(&stored, row)?;
        let found = self.in_record(&stored, &self.site_names()?, &Values::new(self)).into_iter().find(|f| f.row == row && *f.field.name == *field && f.view.mark == mark);
        let found = found.ok_or_else(changed)?;
        let value = match choice {
            Choice::Listed(0) => found.current,
            Choice::Listed(n) => found.superseded.get(n - 1).cloned().ok_or_else(no_conflict)?,
            // A box that was empty, and was left so, writes nothing where nothing is.
            Choice::Text(text) if text.is_empty() && found.current.is_null() => found.current,
            Choice::Text(text) => {
                let entries = stored.known.rows.get(&found.row).and_then(|r| r.fields.get(&found.field));
                parsed(entries.and_then(typed_like), &text)?
            }
        };
        Ok(vec![(id, Order::Decide { row: found.row, field: found.field, value, shown: Some(found.shown) })])
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
        let orders: Vec<(RecordId, Order)> = found.map(|f| f.stands(id)).collect();
        if orders.is_empty() { Err(no_conflict()) } else { Ok(orders) }
    }

    /// The same for one column of all records, `TABLE.COLUMN`; with a mark, only if nothing has changed since it was listed.
    pub fn discard_column(&self, column: &str, mark: Option<&str>) -> Result<Vec<(RecordId, Order)>, Error> {
        let (names, values) = (self.site_names()?, Values::new(self));
        let (mut orders, mut views) = (Vec::new(), Vec::new());
        for id in self.state()?.flagged(state::SUPERSEDED)? {
            for f in self.in_record(&self.stored(&id)?, &names, &values).into_iter().filter(|f| f.view.is_of(column)) {
                views.push(f.view.clone());
                orders.push(f.stands(id));
            }
        }
        match by_column(&views).first() {
            None => Err(no_conflict()),
            Some(now) if mark.is_some_and(|m| m != now.mark) => Err(changed()),
            Some(_) => Ok(orders),
        }
    }
}

/// The kind of value that can be typed for a field, by those it has; none where one of them is no plain value.
fn typed_like(entries: &Field) -> Option<&Value> {
    let plain = |v: &Value| match v {
        Value::Null | Value::Integer(_) | Value::Real(_) => true,
        // A browser knows one kind of line's end: where there are others, they would be lost.
        Value::Text(t) => std::str::from_utf8(t).is_ok_and(|t| !t.contains('\0') && lines_end_alike(t)),
        _ => false,
    };
    if !entries.0.iter().all(|e| plain(&e.value)) {
        return None;
    }
    entries.0.iter().rev().map(|e| &e.value).find(|v| !v.is_null())
}

/// Whether all lines end with a carriage return and a line feed, or all without the former.
fn lines_end_alike(t: &str) -> bool {
    let (returns, both) = (t.matches('\r').count(), t.matches("\r\n").count());
    returns == both && (both == 0 || both == t.matches('\n').count())
}

/// What a person typed, as a value of the kind that the field has.
fn parsed(like: Option<&Value>, text: &str) -> Result<Value, Error> {
    let usage = |m: &str| Error::Usage(m.to_owned());
    match like {
        Some(Value::Integer(_)) if text.trim().is_empty() => Ok(Value::Null),
        Some(Value::Integer(_)) => text.trim().parse().map(Value::Integer).map_err(|_| usage("a whole number is needed there; nothing was changed")),
        Some(Value::Real(_)) if text.trim().is_empty() => Ok(Value::Null),
        Some(Value::Real(_)) => text.trim().replace(',', ".").parse().map(Value::Real).map_err(|_| usage("a number is needed there; nothing was changed")),
        Some(Value::Text(_)) if text.len() > MAX_INLINE_BYTES => Err(usage("that is too long to be typed here; keep one of the values, and edit it in your application")),
        Some(Value::Text(t)) if t.contains(&b'\r') => Ok(Value::text(text.replace('\n', "\r\n"))),
        Some(Value::Text(_)) => Ok(Value::text(text)),
        _ => Err(usage("no value can be typed there; keep one of those that are listed")),
    }
}

fn changed() -> Error {
    Error::Usage("it was decided, or written anew, since you looked; look again".into())
}

fn no_conflict() -> Error {
    Error::Usage("there are no superseded values there; `cfs conflicts` lists those that wait for a decision".into())
}
