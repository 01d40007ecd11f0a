//! A row's fields, and what its foreign keys point to.

use super::{Builder, Fields, Others};
use crate::host::key::encode;
use crate::host::mapping::{ReferenceMap, Role, Table, Target};
use crate::host::rows::HostRow;
use crate::record::{FieldKey, Row, SortedMap};
use crate::value::{Reference, Value};
use std::collections::BTreeSet;

impl Builder<'_> {
    /// A host row's fields, with its references as far as their targets are identified. `true` if
    /// none points to a row of this record that is still to be identified.
    pub(super) fn fields(&self, table: usize, row: &HostRow, others: &mut dyn Others) -> Result<(Fields, bool), crate::host::Error> {
        let mut dangling = BTreeSet::new();
        let mut whole = true;
        let Some(t) = self.c.mapping.tables.get(table) else { return Ok(((SortedMap::default(), dangling), whole)) };
        let mut out = SortedMap::with_capacity(t.columns.len());
        for (column, value) in t.by_name.iter().filter_map(|n| Some((t.columns.get(*n)?, row.values.get(*n)?))) {
            match column.role {
                Role::Data | Role::Local { keep_if_free: true, .. } => out.insert(FieldKey::shared(column.name.clone()), value.clone()),
                Role::Local { .. } => out.insert(FieldKey::local(column.name.clone(), self.c.site), value.clone()),
                Role::Surrogate | Role::Reference => None,
            };
        }
        for (n, r) in t.references.iter().enumerate() {
            let values: Vec<Value> = r.columns.iter().filter_map(|c| t.get(row, c).cloned()).collect();
            let field = FieldKey::shared(r.field.clone());
            if values.len() != r.columns.len() || values.iter().any(Value::is_null) {
                if values.iter().any(|v| !v.is_null()) {
                    dangling.insert(r.field.clone());
                }
                out.insert(field, Value::Null);
                continue;
            }
            if matches!(r.target, Target::InText(_)) && r.leads(self.c.mapping, &values).is_none() {
                // Names nothing that is synchronized: a text like any other.
                out.insert(field, values.into_iter().next().map_or(Value::Null, Value::known));
                continue;
            }
            let mut at = self.reference(t, row, r, &values, t.owner == Some(n), others)?;
            if let (At::Nowhere, Target::Table { table, columns }) = (&at, &r.target)
                && let Some(key) = others.spelled(*table, columns, &values)?.filter(|key| *key != values)
            {
                at = self.reference(t, row, r, &key, t.owner == Some(n), others)?;
                for (n, (v, k)) in values.iter().zip(&key).enumerate().filter(|(_, (v, k))| v != k) {
                    // What the column's own type makes of the key is no way of writing it.
                    let typed = r.columns.get(n).and_then(|c| t.column(c)).is_some_and(|c| c.affinity.makes(k, v));
                    if let Some(field) = r.written.get(n).filter(|_| !typed) {
                        out.insert(field.clone(), v.clone());
                    }
                }
            }
            match at {
                At::Row(target) => {
                    if let (Target::InText(_), Some((table, _, key)), [Value::Text(text)]) = (&r.target, r.leads(self.c.mapping, &values), values.as_slice())
                        && r.write(self.c.mapping, table, key, None) != values
                    {
                        // The model is spelled otherwise than it is listed.
                        let model = text.split(|b| *b == b',').next().unwrap_or_default();
                        r.written.iter().for_each(|f| drop(out.insert(f.clone(), Value::Text(model.into()))));
                    }
                    out.insert(field, Value::Ref(target))
                }
                At::Nowhere if self.stands(t, row, r, &values) => out.insert(field, values.into_iter().next().map_or(Value::Null, Value::known)),
                at => {
                    whole &= matches!(at, At::Nowhere);
                    dangling.insert(r.field.clone());
                    out.insert(field, Value::Null)
                }
            };
        }
        Ok(((out, dangling), whole))
    }

    fn reference(&self, t: &Table, row: &HostRow, r: &ReferenceMap, values: &[Value], owner: bool, others: &mut dyn Others) -> Result<At, crate::host::Error> {
        let m = self.c.mapping;
        let (table, columns, values) = match &r.target {
            Target::ByColumn(by) => {
                let Some(Value::Text(name)) = t.get(row, by) else { return Ok(At::Nowhere) };
                let Some(table) = std::str::from_utf8(name).ok().and_then(|n| m.table(n)) else { return Ok(At::Nowhere) };
                (table, m.tables.get(table).map(Table::key_columns).unwrap_or_default(), values.to_vec())
            }
            _ => match r.leads(m, values) {
                Some(found) => found,
                None => return Ok(At::Nowhere),
            },
        };
        let values = values.as_slice();
        let Some(to) = m.tables.get(table) else { return Ok(At::Nowhere) };
        if let Some(at) = self.find_index(table, columns).and_then(|i| i.rows.get(&encode(values))) {
            // Not identified yet: it will be, before the image is finished.
            let found = self.ids.get(&(table, *at)).map(|id| Reference { table: to.name.clone(), row: *id, record: None, owner });
            return Ok(found.map_or(At::Later, At::Row));
        }
        let Some((row, record)) = others.row_of(table, columns, values)? else { return Ok(At::Nowhere) };
        let record = (record != self.c.id && (to.owner.is_some() || row != record)).then_some(record);
        Ok(At::Row(Reference { table: to.name.clone(), row, record, owner }))
    }

    /// Whether a value that leads nowhere travels as it stands. A row that is not there is not named to others: their
    /// row of that number is another.
    fn stands(&self, t: &Table, row: &HostRow, r: &ReferenceMap, values: &[Value]) -> bool {
        let [value] = values else { return false };
        match &r.target {
            Target::Table { .. } => r.stands(value),
            Target::InText(_) => false,
            // A kind of which no rows are synchronized.
            Target::ByColumn(by) => match t.get(row, by) {
                Some(Value::Text(name)) => std::str::from_utf8(name).ok().is_none_or(|n| self.c.mapping.table(n).is_none()),
                _ => true,
            },
        }
    }

    /// Says of references that are written as their target's key again what was said of them otherwise.
    pub(super) fn unsay(t: &Table, known: Option<&Row>, (fields, dangling): &mut Fields) {
        let Some(known) = known else { return };
        for r in t.references.iter().filter(|r| !dangling.contains(&r.field)) {
            let leads = matches!(fields.get(&FieldKey::shared(r.field.clone())), Some(Value::Ref(_)));
            for written in r.written.iter().filter(|_| leads) {
                if fields.get(written).is_none() && known.current(written).is_some_and(|v| !v.is_null()) {
                    fields.insert(written.clone(), Value::Null);
                }
            }
        }
    }
}

/// Where a reference of the host leads.
enum At {
    Row(Reference),
    /// To a row of this record that has no identity yet.
    Later,
    /// To nothing that is synchronized.
    Nowhere,
}
