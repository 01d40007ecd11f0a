//! How stripped content comes back when an edit that nobody had seen undoes its deletion.

use crate::merge::{Life, join_into, life, reinsert};
use crate::record::{Entry, FieldKey, Record, Row, RowKey, SortedMap};
use crate::stamp::Stamp;

/// Whether the state has the row with its content.
fn whole(s: &Record, key: &RowKey) -> bool {
    s.rows.get(key).is_some_and(|row| !row.is_bare())
}

/// Whether rows that were whole in one state are without their content in the next.
pub fn strips(before: &Record, after: &Record) -> bool {
    after.rows.iter().any(|(key, row)| row.is_bare() && whole(before, key))
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

/// Writes rows again that a merge left without their content, from the `states` that have them
/// whole (those that were merged) and from what the `host` holds. Edits that only the merged
/// state has stay the current ones. Gives the rows; `next` gives stamps, each later than the one
/// before.
pub fn rescue(merged: &mut Record, states: &[&Record], host: Option<&Record>, next: &mut dyn FnMut() -> Stamp) -> Vec<RowKey> {
    let all: Vec<&Record> = states.iter().copied().chain(host).collect();
    let found = partial_rows(merged, &all);
    for (key, best) in &found {
        let Some(row) = all.get(*best).and_then(|s| s.rows.get(key)) else { continue };
        let equal = |s: &&Record| whole(s, key) && s.rows.get(key).is_some_and(|r| r.stamp == row.stamp);
        let mut content = Record::new(merged.kind.clone(), merged.id);
        for s in states.iter().filter(|s| equal(s)) {
            let rows = s.rows.get(key).map(|r| (key.clone(), r.clone())).into_iter().collect();
            join_into(&mut content, &Record { kind: s.kind.clone(), id: s.id, version: s.version.clone(), rows, ..Record::default() });
        }
        // The host's version may cover what it does not hold (its site stamped it meanwhile): it
        // adds what the states have not seen, and takes nothing away.
        if let Some(s) = host.filter(equal).and_then(|s| s.rows.get(key)) {
            let to = content.rows.entry(key.clone()).or_insert_with(|| Row { fields: SortedMap::default(), ..s.clone() });
            for (name, field) in &s.fields {
                let unseen = field.0.iter().filter(|e| !content.version.covers(&e.stamp)).cloned();
                to.fields.get_or_default(name.clone()).0.extend(unseen);
            }
        }
        let Some(mut row) = content.rows.remove(key) else { continue };
        if let Some(left) = merged.rows.get(key) {
            for (name, field) in &left.fields {
                row.fields.get_or_default(name.clone()).0.extend(field.0.iter().cloned());
            }
        }
        reinsert(merged, key, &row, next);
    }
    found.into_iter().map(|(key, _)| key).collect()
}

/// Writes values again that a merge left nothing of, though the row was there before with them and is there now. Who emptied
/// the trash had stripped the row and then heard of somebody who had entered it too, under the same derived identity: that row
/// is whole, and says nothing of what was stripped. A chart in use loses nothing by that. Gives the fields.
pub fn rescue_shown(merged: &mut Record, before: &Record, next: &mut dyn FnMut() -> Stamp) -> Vec<(RowKey, FieldKey)> {
    if merged.erased.is_some() || merged.rows.values().all(|r| r.tombstone.is_none()) {
        return Vec::new();
    }
    let (was, is) = (life(before), life(merged));
    let there = |key: &RowKey| was.get(key) == Some(&Life::Live) && is.get(key) == Some(&Life::Live);
    let mut found: Vec<(RowKey, FieldKey, Entry)> = Vec::new();
    for (key, row) in merged.rows.iter().filter(|(k, r)| r.tombstone.is_some() && there(k)) {
        let fields = before.rows.get(key).into_iter().flat_map(|r| r.fields.iter());
        // A place's own numbers are that place's to say.
        let gone = fields.filter(|(name, _)| name.place.is_none() && !row.fields.contains_key(*name));
        found.extend(gone.filter_map(|(name, f)| Some((key.clone(), name.clone(), f.current().filter(|e| !e.value.is_null())?.clone()))));
    }
    if found.is_empty() {
        return Vec::new();
    }
    let stamp = next();
    for (key, name, e) in &found {
        if let Some(row) = merged.rows.get_mut(key) {
            row.fields.get_or_default(name.clone()).0.insert(Entry { stamp, ..e.clone() });
        }
    }
    merged.version.add(stamp);
    found.into_iter().map(|(key, name, _)| (key, name)).collect()
}
