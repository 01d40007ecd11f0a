//! What a write does to a record's state, and the delta between two states.

use crate::merge::deletion::tree;
use crate::record::{Delta, Entry, Erasure, Field, FieldKey, Record, Row, RowKey, Tombstone, Unknown};
use crate::stamp::Stamp;
use crate::value::Value;
use crate::version::Version;

/// What of a field's set a writer had seen, and so replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Nothing: a stale form, or a value that was there before the record was met.
    Nothing,
    /// The current value: the usual.
    Current,
    /// The whole set: a person's decision, or a column whose rule shows a function of the set.
    All,
}

/// What a host or a person changed in one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The row.
    pub row: RowKey,
    /// The field.
    pub field: FieldKey,
    /// The new value.
    pub value: Value,
    /// What the writer had seen.
    pub seen: Seen,
}

/// Writes a field. `applied` is the record as the writer's host held it (`None`: all that is
/// known): the write replaces what had been seen there; everything else the field holds stays,
/// superseded, until a person decides.
pub fn write_field(known: &mut Record, applied: Option<&Record>, change: &Change, stamp: Stamp) {
    let shown = applied.unwrap_or(known).rows.get(&change.row).and_then(|r| r.fields.get(&change.field)).cloned().unwrap_or_default();
    let current = shown.current().map(|e| e.value.clone());
    let row = known.rows.entry(change.row.clone()).or_insert_with(|| Row::new(stamp));
    let field = row.fields.entry(change.field.clone()).or_default();
    field.0.retain(|e| match change.seen {
        Seen::Nothing => true,
        // A value equal to the current one was seen with it.
        Seen::Current => !(shown.0.contains(e) && Some(&e.value) == current.as_ref()),
        Seen::All => !shown.0.contains(e),
    });
    field.0.insert(Entry { stamp, value: change.value.clone(), unknown: Unknown::new() });
    known.version.add(stamp);
}

/// Writes a row again as a whole, with new stamps throughout: it is there whatever tombstones say.
/// `next` gives stamps, each later than the one before.
pub fn reinsert(known: &mut Record, key: &RowKey, content: &Row, next: &mut dyn FnMut() -> Stamp) {
    // Superseded values come back as what they were: older than the current one.
    let (older, newer) = (next(), next());
    let row = known.rows.entry(key.clone()).or_default();
    for (name, field) in &content.fields {
        let Some(current) = field.current() else { continue };
        let to = row.fields.entry(name.clone()).or_default();
        for e in field.superseded() {
            if !to.0.iter().any(|o| o.value == e.value) {
                to.0.insert(Entry { stamp: older, ..e.clone() });
            }
        }
        to.0.retain(|e| e.value != current.value);
        to.0.insert(Entry { stamp: newer, ..current.clone() });
    }
    for (k, e) in &content.extras {
        row.extras.entry(k.clone()).or_insert_with(|| e.clone());
    }
    row.stamp = newer;
    known.version.add(newer);
}

/// Puts a tombstone on a row. `seen` is what its author had seen: the version applied to the host.
pub fn tombstone(known: &mut Record, key: &RowKey, mut t: Tombstone) {
    t.bare = false;
    let stamp = t.stamp;
    // Seeing the tombstone's tree includes the deletions below it.
    let below: Vec<Version> = tree(known, key).iter().filter(|k| *k != key).filter_map(|k| known.rows.get(k)?.tombstone.as_ref()).filter(|b| t.seen.covers(&b.stamp)).map(|b| b.seen.clone()).collect();
    below.iter().for_each(|v| t.seen.join(v));
    if let Some(row) = known.rows.get_mut(key) {
        row.tombstone = super::join_tombstones(row.tombstone.take(), Some(t));
        known.version.add(stamp);
    }
}

/// Erases a record: its content goes for good, seen or not.
pub fn erase(known: &mut Record, stamp: Stamp, by: &str) {
    known.erased = Some(Erasure { stamp, by: by.to_owned() }).max(known.erased.take());
    known.version.add(stamp);
    known.rows.clear();
    known.extras.clear();
}

/// What changed between two states of one record at one site, as that site's delta. `None` where
/// nothing changed.
pub fn delta_between(before: &Record, after: &Record) -> Option<Delta> {
    let mut part = Record::new(after.kind.clone(), after.id);
    for (site, time) in &after.version.0 {
        if before.version.0.get(site) != Some(time) {
            part.version.add(Stamp { time: *time, site: *site });
        }
    }
    for (key, row) in &after.rows {
        let Some(old) = before.rows.get(key) else {
            part.rows.insert(key.clone(), row.clone());
            continue;
        };
        if old == row {
            continue;
        }
        // A row inserted again is always sent whole, so that who stripped it has it back.
        let whole = old.stamp != row.stamp;
        let fields = row.fields.iter().filter(|(k, f)| whole || old.fields.get(*k) != Some(*f)).map(|(k, f)| (k.clone(), f.clone()));
        let fields: std::collections::BTreeMap<FieldKey, Field> = fields.collect();
        part.rows.insert(key.clone(), Row { fields, ..row.clone() });
    }
    part.same_as = after.same_as.iter().filter(|(k, v)| before.same_as.get(*k) != Some(*v)).map(|(k, v)| (*k, *v)).collect();
    if before.erased != after.erased {
        part.erased = after.erased.clone();
    }
    part.extras = after.extras.iter().filter(|(k, v)| before.extras.get(*k) != Some(*v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let changed = before != after;
    changed.then(|| Delta { before: before.version.clone(), part })
}
