//! Which rows hang from which.

use crate::record::{Record, RowKey};
use std::collections::BTreeSet;

/// The rows above a row, the nearest first, as far as the record has them.
pub fn above(r: &Record, key: &RowKey) -> Vec<RowKey> {
    let root = r.root_key();
    let mut seen = BTreeSet::from([key.clone()]);
    let mut out = Vec::new();
    let mut at = key.clone();
    while at != root {
        let owner = r.rows.get(&at).and_then(|row| row.owner()).map(|o| RowKey::new(o.table.clone(), o.row)).filter(|o| r.rows.contains_key(o));
        let next = owner.unwrap_or_else(|| root.clone());
        // Concurrent moves can make a circle.
        if !seen.insert(next.clone()) {
            break;
        }
        out.push(next.clone());
        at = next;
    }
    out
}

/// Whether a row hangs, however deep, from another.
pub fn below(r: &Record, top: &RowKey, key: &RowKey) -> bool {
    above(r, key).contains(top)
}

/// A row and all that hangs from it, parents before children.
pub fn tree(r: &Record, top: &RowKey) -> Vec<RowKey> {
    let mut rows: Vec<(usize, &RowKey)> =
        r.rows.keys().filter_map(|k| if k == top { Some((0, k)) } else { above(r, k).iter().position(|a| a == top).map(|depth| (depth + 1, k)) }).collect();
    rows.sort();
    rows.into_iter().map(|(_, k)| k.clone()).collect()
}
