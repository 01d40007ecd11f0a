//! What tombstones delete: a pure function of a record's state.

use crate::record::{Record, RowKey, Tombstone};
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a row is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// The row is there.
    Live,
    /// A tombstone of its own or of a row above holds.
    Deleted,
    /// A tombstone whose content was stripped no longer holds, and the content has not come back
    /// yet from a source that has it whole.
    Partial,
}

/// Says of every row whether it is there.
///
/// A tombstone stands for its row and all rows below it. It holds exactly if what its author had
/// seen covers every stamp in that tree, and what the tombstones below it had seen.
pub fn life(r: &Record) -> BTreeMap<RowKey, Life> {
    if r.rows.values().all(|row| row.tombstone.is_none()) {
        return r.rows.keys().map(|k| (k.clone(), Life::Live)).collect();
    }
    let parents = parents(r);
    // What must have been seen to delete each row's tree: bottom-up over paths to the root.
    let mut needs: BTreeMap<&RowKey, Version> = BTreeMap::new();
    for (key, row) in &r.rows {
        let mut own: Version = std::iter::once(row.stamp)
            .chain(row.fields.values().flat_map(|f| f.0.iter().map(|e| e.stamp)))
            .chain(row.extras.values().filter_map(|e| e.stamp))
            .collect();
        needs.entry(key).or_default().join(&own);
        if let Some(t) = &row.tombstone {
            own.join(&t.seen);
        }
        for above in path(&parents, key).skip(1) {
            needs.entry(above).or_default().join(&own);
        }
    }
    let holds: BTreeSet<&RowKey> = r
        .rows
        .iter()
        .filter(|(k, row)| row.tombstone.as_ref().is_some_and(|t| t.seen.includes(&needs[k])))
        .map(|(k, _)| k)
        .collect();
    r.rows
        .iter()
        .map(|(key, row)| {
            let life = if path(&parents, key).any(|k| holds.contains(k)) {
                Life::Deleted
            } else if row.tombstone.as_ref().is_some_and(|t| t.bare && t.seen.covers(&row.stamp)) {
                Life::Partial
            } else {
                Life::Live
            };
            (key.clone(), life)
        })
        .collect()
}

/// The row each row hangs from. A row whose owner is not in this record hangs from the root.
fn parents(r: &Record) -> BTreeMap<RowKey, RowKey> {
    let root = r.root_key();
    r.rows
        .iter()
        .filter(|(k, _)| **k != root)
        .map(|(k, row)| {
            let owner = row.owner().map(|o| RowKey::new(o.table.clone(), o.row)).filter(|o| r.rows.contains_key(o) && o != k);
            (k.clone(), owner.unwrap_or_else(|| root.clone()))
        })
        .collect()
}

/// The row itself and the rows above it. Ends where concurrent moves made a circle.
fn path<'a>(parents: &'a BTreeMap<RowKey, RowKey>, from: &'a RowKey) -> impl Iterator<Item = &'a RowKey> {
    let mut visited = BTreeSet::new();
    std::iter::successors(Some(from), move |k| parents.get(*k)).take_while(move |k| visited.insert(*k))
}

/// The rows below `top` and `top` itself, deepest last is not promised.
pub(crate) fn tree(r: &Record, top: &RowKey) -> Vec<RowKey> {
    let parents = parents(r);
    r.rows.keys().filter(|k| path(&parents, k).any(|p| p == top)).cloned().collect()
}

/// Strips the content of deleted rows, leaving bare tombstones: every row of the tree gets the
/// tombstone that deleted it, and keeps only the reference that says where it hung.
pub fn strip(r: &mut Record, may_strip: impl Fn(&Tombstone) -> bool) -> usize {
    let parents = parents(r);
    let lives = life(r);
    let mut stripped = Vec::new();
    for (key, row) in &r.rows {
        if lives.get(key) != Some(&Life::Deleted) || row.tombstone.as_ref().is_some_and(|t| t.bare) {
            continue;
        }
        // The topmost holding tombstone above the row stands for it.
        let above: Vec<&RowKey> = path(&parents, key).collect();
        let tombstone = above.iter().rev().find_map(|k| r.rows.get(*k)?.tombstone.as_ref().filter(|t| may_strip(t)));
        if let Some(t) = tombstone {
            stripped.push((key.clone(), Tombstone { bare: true, ..t.clone() }));
        }
    }
    for (key, t) in &stripped {
        if let Some(row) = r.rows.get_mut(key) {
            row.tombstone = super::join_tombstones(row.tombstone.take(), Some(t.clone()));
            row.fields.retain(|_, f| f.current().is_some_and(|e| e.value.owner().is_some()));
        }
    }
    stripped.len()
}

/// Rows that a merge left without their content although one of `sources` has them whole: each
/// with the source's index. Whoever merges writes them again.
pub fn partial_rows(merged: &Record, sources: &[&Record]) -> Vec<(RowKey, usize)> {
    let whole = |s: &&Record, key: &RowKey| s.rows.get(key).is_some_and(|row| !row.tombstone.as_ref().is_some_and(|t| t.bare && t.seen.covers(&row.stamp)));
    life(merged)
        .into_iter()
        .filter(|(_, l)| *l == Life::Partial)
        .filter_map(|(key, _)| {
            let source = sources.iter().position(|s| whole(s, &key))?;
            Some((key, source))
        })
        .collect()
}
