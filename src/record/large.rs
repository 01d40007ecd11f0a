//! Large values of a record: where it refers to content that lies under `blobs/`.

use super::{Entries, Entry, FieldKey, Record, RowKey};
use crate::shared::Octets;
use crate::value::{Hash, Large, MAX_INLINE_BYTES, Value};
use std::collections::BTreeMap;

/// Where a record has a large value.
pub type Place<'a> = (&'a RowKey, &'a FieldKey);

fn is_inlined(v: &Value) -> bool {
    matches!(v, Value::Text(b) | Value::Blob(b) if b.len() > MAX_INLINE_BYTES)
}

impl Record {
    /// Every large content that the record refers to, current or superseded, live or deleted, with
    /// the fields that have it.
    pub fn large(&self) -> BTreeMap<Large, Vec<Place<'_>>> {
        let mut out: BTreeMap<Large, Vec<Place<'_>>> = BTreeMap::new();
        for (key, row) in &self.rows {
            for (name, field) in &row.fields {
                for large in field.0.iter().filter_map(|e| e.value.stored()) {
                    let places = out.entry(large).or_default();
                    if places.last() != Some(&(key, name)) {
                        places.push((key, name));
                    }
                }
            }
        }
        out
    }

    /// Whether it refers to any.
    pub fn has_large(&self) -> bool {
        self.rows.values().flat_map(|r| r.fields.values()).any(|f| f.0.iter().any(|e| matches!(e.value, Value::Stored { .. })))
    }

    /// Whether large content stands in the record itself.
    pub fn has_inlined(&self) -> bool {
        self.rows.values().flat_map(|r| r.fields.values()).any(|f| f.0.iter().any(|e| is_inlined(&e.value)))
    }

    /// Replaces large content that stands in the record itself by its hash, and gives it.
    pub fn take_inlined(&mut self) -> BTreeMap<Hash, Octets> {
        let mut out = BTreeMap::new();
        for field in self.rows.values_mut().flat_map(|r| r.fields.values_mut()) {
            if !field.0.iter().any(|e| is_inlined(&e.value)) {
                continue;
            }
            let mut entries: Vec<Entry> = field.0.iter().cloned().collect();
            for e in entries.iter_mut().filter(|e| is_inlined(&e.value)) {
                let inlined = std::mem::replace(&mut e.value, Value::Null);
                e.value = inlined.clone().known();
                if let (Some((hash, _)), Value::Text(b) | Value::Blob(b)) = (e.value.stored(), inlined) {
                    out.insert(hash, b);
                }
            }
            field.0 = entries.into_iter().collect::<Entries>();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Field, Row};
    use super::*;
    use crate::id::Uuid;
    use crate::stamp::Stamp;

    #[test]
    fn only_what_is_too_large_is_taken_out_and_it_is_the_same_value_afterwards() {
        let mut r = Record::new("p", Uuid::nil());
        let mut row = Row::new(Stamp::default());
        let sizes = [MAX_INLINE_BYTES - 1, MAX_INLINE_BYTES, MAX_INLINE_BYTES + 1];
        for n in sizes {
            row.fields.insert(FieldKey::shared(format!("t{n}")), Field::of(Stamp::default(), Value::Text(vec![b'x'; n].into())));
            row.fields.insert(FieldKey::shared(format!("b{n}")), Field::of(Stamp::default(), Value::Blob(vec![b'x'; n].into())));
        }
        r.rows.insert(r.root_key(), row);
        assert!(r.has_inlined());
        let taken = r.take_inlined();
        assert_eq!(taken.values().map(|b| b.len()).collect::<Vec<_>>(), [MAX_INLINE_BYTES + 1], "text and blob share their content");
        assert_eq!(r.large().iter().map(|((_, n), places)| (*n, places.len())).collect::<Vec<_>>(), [(MAX_INLINE_BYTES as u64 + 1, 2)]);
        let root = r.root().cloned().unwrap_or_default();
        for n in sizes {
            for (name, text) in [(format!("t{n}"), true), (format!("b{n}"), false)] {
                assert_eq!(root.get(&name), Some(&Value::of_content(text, &vec![b'x'; n])));
            }
        }
        assert!(r.has_large() && !r.has_inlined() && r.take_inlined().is_empty());
    }
}
