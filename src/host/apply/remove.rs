//! Deleting rows: whoever points to another row of the record goes before it.

use super::{Applier, FieldChange};
use crate::host::Error;
use crate::host::image::ImageRow;
use crate::host::local::LocalRow;
use crate::host::quiet::loud;
use crate::host::rows::{Param, quote};
use crate::merge::Life;
use crate::record::RowKey;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Applier<'_> {
    /// Whether a reference leads to a row of this record that is about to be deleted: what stays must let
    /// go of it, or the host refuses.
    pub(super) fn goes(&self, value: &Value) -> bool {
        let job = self.job;
        let Value::Ref(to) = value else { return false };
        let at = RowKey::new(to.table.clone(), to.row);
        let moved = || job.known.rows.get(&at).and_then(|r| r.tombstone.as_ref()).is_some_and(|t| t.moved_to.is_some());
        to.record.is_none_or(|r| r == job.known.id) && job.lives.get(&at) == Some(&Life::Deleted) && job.image.rows.contains_key(&at) && !moved()
    }

    /// Deletes what is deleted, and keeps what the host has of rows that are still there.
    pub(super) fn delete(&mut self, tables: &[usize]) -> Result<(), Error> {
        let job = self.job;
        let mut doomed: Vec<(&RowKey, &ImageRow)> = Vec::new();
        for table in tables.iter().rev() {
            for (key, row) in job.image.rows.iter().filter(|(_, r)| r.table == *table) {
                if job.lives.get(key) == Some(&Life::Deleted) {
                    doomed.push((key, row));
                } else if !self.done.local.rows.contains_key(key) {
                    // Still there, and not applied: partial rows keep what the host has.
                    self.done.local.rows.insert(key.clone(), LocalRow { key: row.host.key.clone(), ..LocalRow::default() });
                }
            }
        }
        for (key, row) in in_order(&doomed) {
            let Some(t) = job.mapping.tables.get(row.table) else { continue };
            if let Some(why) = &t.no_delete {
                return Err(Error::Refused(format!("rows of {} can be deleted by the application itself only ({why}): delete it there as well", t.name)));
            }
            let sql = format!("DELETE FROM {} WHERE {}", quote(&t.name), t.key_is(1));
            // Whoever still points to the row must refuse now, for this record, and not at COMMIT for all.
            let was = self.targets.defer(false)?;
            loud(self.conn)?;
            let deleted = self.conn.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(row.host.key.iter().map(Param)));
            self.targets.defer(was)?;
            deleted?;
            self.done.fired |= self.remember;
            self.done.changes.push(FieldChange { row: key.clone(), field: None, old: Some(Value::Null), new: None });
        }
        Ok(())
    }
}

/// Rows so that each stands before those it points to, whatever their tables: a diagnosis before its
/// visit, a visit before the one it follows. Rows that point at each other in a circle come last.
fn in_order<'r>(rows: &[(&'r RowKey, &'r ImageRow)]) -> Vec<(&'r RowKey, &'r ImageRow)> {
    let at: BTreeMap<&RowKey, usize> = rows.iter().enumerate().map(|(n, (k, _))| (*k, n)).collect();
    let points_to = |n: usize| -> BTreeSet<usize> {
        let fields = rows.get(n).into_iter().flat_map(|(_, r)| r.fields.values());
        let targets = fields.filter_map(|v| if let Value::Ref(r) = v { at.get(&RowKey::new(r.table.clone(), r.row)).copied() } else { None });
        targets.filter(|t| *t != n).collect()
    };
    let mut pointers = vec![0usize; rows.len()];
    for target in (0..rows.len()).flat_map(points_to) {
        pointers.iter_mut().skip(target).take(1).for_each(|p| *p += 1);
    }
    // In the order given, where references leave it open.
    let mut free: BTreeSet<usize> = pointers.iter().enumerate().filter(|(_, p)| **p == 0).map(|(n, _)| n).collect();
    let mut left: BTreeSet<usize> = (0..rows.len()).collect();
    let mut order = Vec::with_capacity(rows.len());
    while let Some(n) = free.pop_first() {
        left.remove(&n);
        order.push(n);
        for target in points_to(n) {
            if let Some(p) = pointers.get_mut(target) {
                *p = p.saturating_sub(1);
                if *p == 0 {
                    free.insert(target);
                }
            }
        }
    }
    order.into_iter().chain(left).filter_map(|n| rows.get(n).copied()).collect()
}
