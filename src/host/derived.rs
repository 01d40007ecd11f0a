//! Identities that a row's own content gives it (decision 0004).

use super::image::looks_like_uuid;
use super::mapping::Table;
use crate::id::{RowId, SiteId, derive};
use crate::record::FieldKey;
use crate::shared::Name;
use crate::value::Value;
use std::collections::BTreeSet;

/// The identity that a row's key gives it, or else a set of UNIQUE columns, if that is made of
/// references, UUIDs and words only: then two sites that make the row make the same row.
///
/// `get` gives the row's fields; a field in `dangling` leads nowhere.
pub fn id(folder_key: &[u8], t: &Table, site: SiteId, get: &dyn Fn(&FieldKey) -> Option<Value>, dangling: &BTreeSet<Name>) -> Option<RowId> {
    let text = |v: &Value| matches!(v, Value::Text(t) if !t.is_empty());
    let part = |column: &Name, of_key: bool| match get(&t.field_of(column, site)?) {
        Some(Value::Ref(r)) if !dangling.contains(column) => Some(r.row.as_bytes().to_vec()),
        Some(ref v @ (Value::Text(ref b) | Value::Blob(ref b))) if looks_like_uuid(v) => Some(b.to_ascii_lowercase()),
        // Words, unlike numbers that are counted, mean the same everywhere.
        Some(ref v @ Value::Text(ref b)) if !of_key && text(v) => Some(b.to_vec()),
        _ => None,
    };
    let key = t.key_columns();
    for set in sets(t) {
        let Some(values) = set.iter().map(|c| part(c, *set == *key)).collect::<Option<Vec<_>>>() else { continue };
        let mut parts: Vec<&[u8]> = vec![t.name.as_bytes()];
        if *set != *key {
            parts.extend(set.iter().map(|c| c.as_bytes()));
        }
        parts.extend(values.iter().map(Vec::as_slice));
        return Some(derive(folder_key, &parts));
    }
    None
}

/// The sets of columns that may give a row of a table its identity.
pub fn sets(t: &Table) -> impl Iterator<Item = &[Name]> {
    let key = t.key_columns();
    let owner = t.owner_columns();
    // UNIQUE within the chart: two such rows can never both be in a host.
    let within = move |set: &&[Name]| **set != *key && !owner.is_empty() && owner.iter().all(|c| set.contains(c));
    t.derived.then_some(key).into_iter().chain(t.unique.iter().map(Vec::as_slice).filter(within))
}
