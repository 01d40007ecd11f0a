//! What tombstones delete: a pure function of a record's state.

use crate::id::RowId;
use crate::planted;
use crate::record::{Field, Record, Row, RowKey, Tombstone};
use crate::version::Version;
use std::collections::BTreeMap;

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
    let forest = Forest::of(r);
    let by = forest.deleted_by();
    let lives = forest.rows.iter().zip(by).map(|((key, row), by)| {
        let life = match (by, &row.tombstone) {
            (Some(_), _) => Life::Deleted,
            (None, Some(t)) if t.bare => Life::Partial,
            (None, _) => Life::Live,
        };
        ((*key).clone(), life)
    });
    lives.collect()
}

/// A record's rows, and for each the one it hangs from. Rows go by their place in key order.
struct Forest<'a> {
    record: &'a Record,
    rows: Vec<(&'a RowKey, &'a Row)>,
    above: Vec<Option<usize>>,
    /// All rows, each after the one it hangs from.
    top_down: Vec<usize>,
}

impl<'a> Forest<'a> {
    /// A row whose owner is not in this record hangs from the root, and so does the first row (in
    /// key order) of a circle that concurrent moves made.
    fn of(record: &'a Record) -> Self {
        let rows: Vec<(&RowKey, &Row)> = record.rows.iter().collect();
        let place = |table: &str, id: &RowId| rows.binary_search_by(|(k, _)| (k.table.as_str(), &k.id).cmp(&(table, id))).ok();
        let root = place(&record.kind, &record.id);
        let up = |i: usize, row: &Row| match row.owner() {
            _ if Some(i) == root => None,
            Some(o) => place(&o.table, &o.row).filter(|o| *o != i).or(root),
            None => root,
        };
        let mut above: Vec<Option<usize>> = rows.iter().enumerate().map(|(i, (_, row))| up(i, row)).collect();
        let mut done = vec![false; rows.len()];
        for start in 0..rows.len() {
            let (way, met) = walk(&above, &mut done, start);
            let circle = way.iter().skip_while(|w| Some(**w) != met);
            if let Some(first) = circle.min().and_then(|least| above.get_mut(*least)) {
                *first = root;
            }
        }
        let mut done = vec![false; rows.len()];
        let top_down = (0..rows.len()).flat_map(|start| walk(&above, &mut done, start).0.into_iter().rev()).collect();
        Forest { record, rows, above, top_down }
    }

    fn above(&self, i: usize) -> Option<usize> {
        self.above.get(i).copied().flatten()
    }

    fn tombstone(&self, i: usize) -> Option<&'a Tombstone> {
        self.rows.get(i).and_then(|(_, row)| row.tombstone.as_ref())
    }

    /// For each row, the row whose tombstone deletes it: the nearest at or above it that holds.
    fn deleted_by(&self) -> Vec<Option<usize>> {
        let mut needs: Vec<Version> = vec![Version::default(); self.rows.len()];
        let mut holds = vec![false; self.rows.len()];
        for &i in self.top_down.iter().rev() {
            let Some((_, row)) = self.rows.get(i) else { continue };
            let Some(mut need) = needs.get_mut(i).map(std::mem::take) else { continue };
            let fields = row.fields.values().flat_map(|f| f.0.iter().map(|e| e.stamp));
            let extras = row.extras.values().filter_map(|e| e.stamp);
            std::iter::once(row.stamp).chain(fields).chain(extras).for_each(|s| need.add(s));
            let up = self.above(i);
            if up.is_none() {
                // What a later format keeps beside the rows goes with the root.
                self.record.extras.values().filter_map(|e| e.stamp).for_each(|s| need.add(s));
            }
            if let Some(t) = &row.tombstone {
                if let Some(h) = holds.get_mut(i) {
                    *h = t.seen.includes(&need) || planted::bug("tombstone-ignores-unseen");
                }
                need.join(&t.seen);
            }
            if let Some(n) = up.and_then(|u| needs.get_mut(u)) {
                n.join(&need);
            }
        }
        let mut by = vec![None; self.rows.len()];
        for &i in &self.top_down {
            let own = holds.get(i).copied().unwrap_or(false) && !self.is_copy(i);
            let deleted = if own { Some(i) } else { self.above(i).and_then(|u| by.get(u).copied().flatten()) };
            if let Some(b) = by.get_mut(i) {
                *b = deleted;
            }
        }
        by
    }

    /// Whether the row's tombstone is the one of a row above, left here by [`strip`]. It says that
    /// the content went; whether the row is deleted is for the tombstone above to say, so that an
    /// edit which brings that tree back brings this row back with it.
    fn is_copy(&self, i: usize) -> bool {
        let Some(own) = self.tombstone(i) else { return false };
        std::iter::successors(self.above(i), |u| self.above(*u)).any(|u| self.tombstone(u).is_some_and(|t| t.stamp == own.stamp))
    }
}

/// Walks up from a row over rows not met before, and gives them with the row met in the end.
fn walk(above: &[Option<usize>], done: &mut [bool], start: usize) -> (Vec<usize>, Option<usize>) {
    let mut way = Vec::new();
    let mut next = Some(start);
    while let Some((i, fresh)) = next.and_then(|i| Some((i, done.get_mut(i).filter(|d| !**d)?))) {
        *fresh = true;
        way.push(i);
        next = above.get(i).copied().flatten();
    }
    (way, next)
}

/// Strips the content of deleted rows, leaving bare tombstones: every row of the tree gets the
/// tombstone that deleted it, and keeps only the reference that says where it hung. Gives the
/// number of rows stripped.
///
/// `may_strip` is to allow only what every site in use has seen.
pub fn strip(r: &mut Record, may_strip: impl Fn(&Tombstone) -> bool) -> usize {
    let forest = Forest::of(r);
    let mut stripped = Vec::new();
    for (by, (key, row)) in forest.deleted_by().into_iter().zip(&forest.rows) {
        // The nearest tombstone that holds: where one further up fails later, this row stays away.
        let Some(t) = by.and_then(|i| forest.tombstone(i)).filter(|t| may_strip(t)) else { continue };
        let done = row.is_bare() && row.fields.values().all(says_where);
        if !done {
            stripped.push(((*key).clone(), t.clone()));
        }
    }
    for (key, t) in &stripped {
        if let Some(row) = r.rows.get_mut(key) {
            row.tombstone = super::join_tombstones(row.tombstone.take(), Some(t));
            row.tombstone.iter_mut().for_each(|t| t.bare = true);
            row.fields.retain(|_, f| says_where(f));
        }
    }
    stripped.len()
}

fn says_where(f: &Field) -> bool {
    f.current().is_some_and(|e| e.value.owner().is_some())
}
