//! What a record is matched on where that is a reference: what the row that it leads to is matched on (decision 0031).

use super::identity::{first_set, hash16};
use super::{Engine, Error};
use crate::host::key::encode;
use crate::host::mapping::{Leads, RecordType};
use crate::host::rows;
use crate::id::RecordId;
use crate::merge;
use crate::record::Record;
use crate::shared::Name;
use crate::value::Value;

/// References that lead from one type to the next: more than anybody has.
const DEEP: usize = 8;

impl Engine<'_> {
    /// What a root row of the host is matched on, as it means the same everywhere; `raw` is as it was read.
    pub(super) fn deepened(&self, kind: usize, raw: Vec<Value>) -> Result<Vec<Value>, Error> {
        self.deep(kind, raw, DEEP)
    }

    fn deep(&self, kind: usize, raw: Vec<Value>, left: usize) -> Result<Vec<Value>, Error> {
        let raw: Vec<Value> = raw.into_iter().map(Value::known).collect();
        let Some(k) = self.mapping.types.get(kind).filter(|k| !k.match_through.is_empty()) else { return Ok(raw) };
        let mut values = raw.clone();
        for (at, name) in k.match_columns().iter().enumerate() {
            let Some(t) = k.match_through.iter().find(|t| t.name == *name) else { continue };
            let means = match &t.to {
                Some(leads) => self.means(leads, &raw, left)?,
                None => Value::Null,
            };
            if let Some(v) = values.get_mut(at) {
                *v = means;
            }
        }
        Ok(values)
    }

    /// What a reference of the host means everywhere; NULL if it leads nowhere, or to what is matched on nothing.
    fn means(&self, leads: &Leads, raw: &[Value], left: usize) -> Result<Value, Error> {
        let held: Option<Vec<Value>> = leads.values.iter().map(|i| raw.get(*i).filter(|v| !v.is_null()).cloned()).collect();
        let (Some(held), Some(target), Some(k)) = (held.filter(|_| left > 0), self.mapping.root(leads.kind), self.mapping.types.get(leads.kind)) else { return Ok(Value::Null) };
        if !leads.first {
            return Ok(Value::Integer(0));
        }
        let sign = (leads.kind, encode(&held));
        if let Some(known) = self.lookup.means(&sign) {
            return Ok(known);
        }
        let key = if target.is_key(&leads.columns) { Some(held) } else { rows::look_up(self.conn, target, target.key_columns(), &leads.columns, &held)? };
        let found = key.map(|key| rows::root_values(self.conn, self.mapping, leads.kind, &key)).transpose()?.flatten();
        let values = self.deep(leads.kind, found.unwrap_or_default(), left - 1)?;
        let means = first_set(k, &values).map_or(Value::Null, |(n, set)| named(k, n, set));
        self.lookup.meant(sign, &means);
        Ok(means)
    }

    /// What a known record has in a column that it is matched on, as it means the same everywhere.
    pub(super) fn known_match(&self, k: &RecordType, known: &Record, column: &Name) -> Result<Option<Value>, Error> {
        self.known_deep(k, known, column, DEEP)
    }

    fn known_deep(&self, k: &RecordType, known: &Record, column: &Name, left: usize) -> Result<Option<Value>, Error> {
        let Some(t) = k.match_through.iter().find(|t| t.name == *column) else { return Ok(k.matched(known, column).cloned()) };
        let Some(leads) = t.to.as_ref().filter(|_| left > 0) else { return Ok(None) };
        let Some(Value::Ref(r)) = known.root().and_then(|row| row.get(&t.field)) else { return Ok(None) };
        let root = self.mapping.root(leads.kind).filter(|root| root.name == r.table);
        match root {
            Some(_) if !leads.first => Ok(Some(Value::Integer(0))),
            Some(_) => self.record_means(leads.kind, r.record.unwrap_or(r.row), left - 1),
            None => Ok(None),
        }
    }

    /// What a record is told apart by everywhere.
    fn record_means(&self, kind: usize, id: RecordId, left: usize) -> Result<Option<Value>, Error> {
        let Some(k) = self.mapping.types.get(kind) else { return Ok(None) };
        let mut at = id;
        for _ in 0..DEEP {
            let Some(stored) = self.state.load(&at)? else { return Ok(None) };
            if let Some(to) = merge::same_target(&stored.known) {
                at = to;
                continue;
            }
            for (n, set) in k.match_on.iter().enumerate() {
                let values: Option<Vec<Value>> = set.iter().map(|c| Ok(self.known_deep(k, &stored.known, c, left)?.filter(|v| !v.is_null()))).collect::<Result<_, Error>>()?;
                if let Some(values) = values {
                    return Ok(Some(named(k, n, &values)));
                }
            }
            break;
        }
        Ok(None)
    }
}

/// The row that is this one everywhere, in one value.
fn named(k: &RecordType, set: usize, values: &[Value]) -> Value {
    Value::Blob(hash16(&k.name, set, values).to_vec().into())
}
