//! What a write does to a record's state, and the delta between two states.

use crate::id::SiteId;
use crate::record::{Delta, Entry, Erasure, Field, FieldKey, Record, Row, RowKey, SortedMap, Tombstone};
use crate::stamp::Stamp;
use crate::value::Value;
use crate::version::Version;
use std::collections::BTreeSet;

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
    /// For a column whose rule is `text`: the way back to what the writer had seen ([`super::text`]).
    pub back: Option<String>,
}

/// Writes a field. `applied` is the record as the writer's host held it (`None`: all that is
/// known): the write replaces what had been seen there; everything else the field holds stays,
/// superseded, until a person decides.
///
/// An erased record takes nothing in: the value stays held where it was typed.
pub fn write_field(known: &mut Record, applied: Option<&Record>, change: &Change, stamp: Stamp) {
    if known.erased.is_some() {
        return;
    }
    let shown = applied.unwrap_or(known).rows.get(&change.row).and_then(|r| r.fields.get(&change.field)).cloned().unwrap_or_default();
    let current = shown.current().map(|e| e.value.clone());
    let row = known.rows.entry(change.row.clone()).or_insert_with(|| Row::new(stamp));
    let field = row.fields.get_or_default(change.field.clone());
    // Attributes of a later format may have joined since: stamp and value say which entry it is.
    let shows = |e: &Entry| shown.0.iter().any(|s| s.stamp == e.stamp && s.value == e.value);
    field.0.retain(|e| match change.seen {
        Seen::Nothing => true,
        // A value equal to the current one was seen with it.
        Seen::Current => !(Some(&e.value) == current.as_ref() && shows(e)),
        Seen::All => !shows(e),
    });
    let unknown = change.back.iter().map(|w| (super::text::BACK.to_owned(), w.clone())).collect();
    field.0.insert(Entry { stamp, value: change.value.clone(), unknown });
    known.version.add(stamp);
}

/// Writes a row again as a whole, with new stamps throughout: it is there whatever tombstones say,
/// and whatever is stripped elsewhere meanwhile. `content`'s current values become current; what
/// else it holds, or the row here holds, stays superseded. `next` gives stamps, each later than
/// the one before.
pub fn reinsert(known: &mut Record, key: &RowKey, content: &Row, next: &mut dyn FnMut() -> Stamp) {
    if known.erased.is_some() {
        return;
    }
    let row = known.rows.entry(key.clone()).or_default();
    let mut here = std::mem::take(&mut row.fields);
    for name in content.fields.keys() {
        here.get_or_default(name.clone());
    }
    // Each field's values, newest first.
    let mut lists: Vec<(FieldKey, Vec<Entry>)> = Vec::with_capacity(here.len());
    for (name, mut field) in here {
        let mut list: Vec<Entry> = Vec::new();
        if let Some(there) = content.fields.get(&name) {
            list.extend(there.current().cloned());
            field.0.extend(there.0.iter().cloned());
        }
        for e in field.0.into_iter().rev() {
            if !list.iter().any(|l| l.value == e.value) {
                list.push(e);
            }
        }
        lists.push((name, list));
    }
    // One stamp a value: a stamp that two values of a field share could not say which one went.
    let most = lists.iter().map(|(_, l)| l.len()).max().unwrap_or(0).max(1);
    let mut stamps: Vec<Stamp> = (0..most).map(|_| next()).collect();
    stamps.reverse();
    for (name, list) in lists {
        let entries = list.into_iter().zip(&stamps).map(|(e, stamp)| Entry { stamp: *stamp, ..e });
        let field = Field(entries.collect());
        if !field.0.is_empty() {
            row.fields.insert(name, field);
        }
    }
    super::join_extras(&mut row.extras, &content.extras);
    super::join_unknown(&mut row.unknown, &content.unknown);
    row.tombstone.iter_mut().for_each(|t| t.bare = false);
    for stamp in stamps {
        row.stamp = row.stamp.max(stamp);
        known.version.add(stamp);
    }
}

/// Undoes the deletion of a row whose content was stripped here: the row is there, and its content awaited from whoever has
/// it whole ([`Life::Partial`](super::Life::Partial)). To write it again would say that it is empty, and a merge would
/// empty it everywhere. A delta cannot tell of it for the same reason; a whole state can.
pub fn wake(known: &mut Record, key: &RowKey, stamp: Stamp) {
    if let Some(row) = known.rows.get_mut(key).filter(|_| known.erased.is_none()) {
        row.stamp = row.stamp.max(stamp);
        known.version.add(stamp);
    }
}

/// Puts a tombstone on a row. Its `seen` is what its author had seen, no more and no less:
/// [`seen_by_host`] for what a host's user deletes.
pub fn tombstone(known: &mut Record, key: &RowKey, mut t: Tombstone) {
    t.bare = false;
    let stamp = t.stamp;
    if let Some(row) = known.rows.get_mut(key) {
        row.tombstone = super::join_tombstones(row.tombstone.take(), Some(&t));
        known.version.add(stamp);
    }
}

/// What the user of a host had seen of a record: the version last applied, but of `site` itself
/// only what came before the first thing it stamped without its host having it (a decision or a
/// restored row that the host still refuses), since a version cannot leave out one stamp.
pub fn seen_by_host(known: &Record, applied: &Record, site: SiteId) -> Version {
    let mut seen = applied.version.clone();
    let own = |r: &Record| r.stamps().filter(|s| s.site == site).collect::<BTreeSet<Stamp>>();
    let held = own(applied);
    if let Some(first) = own(known).into_iter().find(|s| !held.contains(s)).filter(|s| seen.covers(s)) {
        match held.range(..first).next_back() {
            Some(last) => seen.0.insert(site, last.time),
            None => seen.0.remove(&site),
        };
    }
    seen
}

/// Takes back that something was seen. A version cannot leave out one stamp: it then says less
/// than is true, never more. `applied` is the record whose stamps it is about.
pub fn unsee(seen: &mut Version, applied: &Record, stamp: Stamp) {
    if !seen.covers(&stamp) {
        return;
    }
    match applied.stamps().filter(|s| s.site == stamp.site && *s < stamp).max() {
        Some(last) => seen.0.insert(stamp.site, last.time),
        None => seen.0.remove(&stamp.site),
    };
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
        let fields: SortedMap<FieldKey, Field> = fields.collect();
        part.rows.insert(key.clone(), Row { fields, ..row.clone() });
    }
    part.same_as = after.same_as.iter().filter(|(k, v)| before.same_as.get(*k) != Some(*v)).map(|(k, v)| (*k, *v)).collect();
    if before.erased != after.erased {
        part.erased = after.erased.clone();
    }
    part.extras = after.extras.iter().filter(|(k, v)| before.extras.get(*k) != Some(*v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if before.unknown != after.unknown {
        part.unknown = after.unknown.clone();
    }
    let changed = before != after;
    changed.then(|| Delta { before: before.version.clone(), part })
}
