//! How stripped content comes back when an edit that nobody had seen undoes its deletion.

use crate::merge::{Life, join_into, life, reinsert};
use crate::record::{Record, RowKey};
use crate::stamp::Stamp;

/// Whether the state has the row with its content.
fn whole(s: &Record, key: &RowKey) -> bool {
    s.rows.get(key).is_some_and(|row| !row.tombstone.as_ref().is_some_and(|t| t.bare))
}

/// Rows that a merge left without their content although one of `sources` has them whole: each
/// with the source's index (of several, one with the newest insert). Whoever merges writes them
/// again, best with [`rescue`].
pub fn partial_rows(merged: &Record, sources: &[&Record]) -> Vec<(RowKey, usize)> {
    let partial = life(merged).into_iter().filter(|(_, l)| *l == Life::Partial);
    let best = |key: &RowKey| {
        let have = sources.iter().enumerate().filter(|(_, s)| whole(s, key));
        have.max_by_key(|(_, s)| s.rows.get(key).map(|r| r.stamp)).map(|(i, _)| i)
    };
    partial.filter_map(|(key, _)| best(&key).map(|source| (key, source))).collect()
}

/// Writes rows again that a merge left without their content, from the `sources` that have them
/// whole: the states that were merged, and the one the host holds. Edits that only the merged
/// state has stay the current ones. Gives the rows; `next` gives stamps, each later than the one
/// before.
pub fn rescue(merged: &mut Record, sources: &[&Record], next: &mut dyn FnMut() -> Stamp) -> Vec<RowKey> {
    let rows: Vec<RowKey> = partial_rows(merged, sources).into_iter().map(|(key, _)| key).collect();
    for key in &rows {
        let newest = sources.iter().filter(|s| whole(s, key)).filter_map(|s| s.rows.get(key)).map(|r| r.stamp).max();
        let mut content = Record::new(merged.kind.clone(), merged.id);
        for s in sources.iter().filter(|s| whole(s, key)) {
            if let Some(row) = s.rows.get(key).filter(|r| Some(r.stamp) == newest) {
                let one = Record { kind: s.kind.clone(), id: s.id, version: s.version.clone(), rows: [(key.clone(), row.clone())].into(), ..Record::default() };
                join_into(&mut content, &one);
            }
        }
        let Some(mut row) = content.rows.remove(key) else { continue };
        if let Some(left) = merged.rows.get(key) {
            for (name, field) in &left.fields {
                row.fields.entry(name.clone()).or_default().0.extend(field.0.iter().cloned());
            }
        }
        reinsert(merged, key, &row, next);
    }
    rows
}
