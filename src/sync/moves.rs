//! Rows that move to another record: the values that lost go with them, or they would lie in the trash of the old
//! record alone and go with that, though no person decided.

use super::lookup::moved_id;
use super::settle::Prepared;
use super::{Engine, Error};
use crate::id::RecordId;
use crate::record::{Entry, Field, FieldKey, RowKey, Unknown};
use crate::stamp::Stamp;
use crate::value::Value;

/// A value that lost, in a row that moved here.
pub(super) struct Lost {
    row: RowKey,
    field: FieldKey,
    value: Value,
    stamp: Stamp,
}

impl Engine<'_> {
    /// Values that lost, of new rows of a record that moved there. Each gets a stamp of its own: what this record has seen
    /// says nothing of the old ones, and a merge would take them for overwritten.
    pub(super) fn lost_elsewhere(&mut self, to: RecordId, new: &[RowKey]) -> Result<Vec<Lost>, Error> {
        let mut out = Vec::new();
        let Some(from) = self.lookup.moved_from.get(&to).cloned().filter(|_| !new.is_empty()) else { return Ok(out) };
        for id in from {
            let Some(old) = self.state.load(&id)? else { continue };
            for (key, row) in &old.known.rows {
                let here = RowKey::new(key.table.clone(), moved_id(&key.id, &to));
                if !new.contains(&here) {
                    continue;
                }
                for (field, entries) in row.fields.iter().filter(|(f, _)| f.place.is_none()) {
                    for lost in entries.superseded() {
                        let value = match lost.value.clone() {
                            // Whose row it is was decided by moving it.
                            Value::Ref(r) if r.owner => continue,
                            Value::Ref(r) => Value::Ref(crate::value::Reference { record: r.record.or(Some(id)), ..r }),
                            other => other,
                        };
                        out.push(Lost { row: here.clone(), field: field.clone(), value, stamp: self.tick() });
                    }
                }
            }
        }
        Ok(out)
    }
}

/// Puts values that lost into the rows that moved here. `stamp` is that of the rows, and later than theirs.
pub(super) fn keep_lost(p: &mut Prepared, lost: Vec<Lost>, stamp: Stamp) {
    for l in lost {
        let (known, applied, _, _) = p.parts();
        for record in [&mut *known, applied] {
            let Some(row) = record.rows.get_mut(&l.row) else { continue };
            let field = row.fields.get_or_default(l.field.clone());
            // An empty column of a new row is not said; beside a value that lost it must be, to be the current one.
            if field.current().is_none() {
                *field = Field::of(stamp, Value::Null);
            }
            if field.current().is_some_and(|e| e.value != l.value) {
                field.0.insert(Entry { stamp: l.stamp, value: l.value.clone(), unknown: Unknown::new() });
            }
        }
        known.version.add(l.stamp);
    }
}
