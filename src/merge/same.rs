//! Two records that are one: what is written when they are matched, and when that is taken back
//! (decision 0009).
//!
//! Whether two records are one is said by the facts in the file of the larger UUID alone, the
//! largest stamp among those about one other record. Everything here follows from them.

use super::{Life, life, reinsert, tombstone, tree};
use crate::id::{RecordId, RowId, SiteId};
use crate::record::{Entry, Field, Record, Row, RowKey, SameAs, Tombstone, Unknown};
use crate::stamp::{Stamp, Time};
use crate::value::{Reference, Value};
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// The attribute that names the record which a match brought a row or a value from.
const FROM: &str = "from";

/// What only the mapping knows of rows.
pub trait Shape {
    /// The identity that a row's own content gives it (decision 0004), if it does.
    fn derived(&self, table: &str, row: &Row) -> Option<RowId>;
    /// What makes two rows of a table equal; `None` where they never are.
    fn content(&self, table: &str, row: &Row) -> Option<Vec<u8>>;
    /// Whether a field is part of what the host calls the row: it is not changed by a match.
    fn is_key(&self, table: &str, field: &str) -> bool;
}

/// The stamp of what nobody said: the weakest of all, so that any person's word counts more.
pub fn by_itself(site: SiteId) -> Stamp {
    Stamp { time: Time::default(), site }
}

/// What was last said about a record and another with a smaller UUID.
pub fn said(r: &Record, other: &RecordId) -> Option<SameAs> {
    r.same_as.get(other).filter(|_| *other < r.id).map(|(_, s)| *s)
}

/// The record that a record was said to be the same as: of several, the one with the smallest UUID.
pub fn same_target(r: &Record) -> Option<RecordId> {
    r.same_as.iter().find(|(other, (_, s))| **other < r.id && *s == SameAs::Same).map(|(other, _)| *other)
}

/// Where a record's content went when it was last matched.
pub fn folded_to(r: &Record) -> Option<RecordId> {
    r.root()?.tombstone.as_ref()?.moved_to.map(|(record, _)| record)
}

/// Whether facts and content of a record do not fit together yet: it is the same as another and
/// still stands (in the host, or as a record), or is another's no more and does not stand yet.
pub fn unsettled(r: &Record, lives: &BTreeMap<RowKey, Life>, in_host: bool) -> bool {
    let dead = lives.get(&r.root_key()) == Some(&Life::Deleted);
    let bare = r.root().is_some_and(Row::is_bare);
    match (r.erased.is_some(), same_target(r)) {
        (true, _) => false,
        (_, Some(_)) => !r.rows.is_empty() && (in_host || !dead),
        (_, None) => dead && !bare && folded_to(r).is_some(),
    }
}

/// Whether what a record's last match copied has arrived in the record it went to: the receipt
/// there is stamped after the tombstones here, in the same write as the copies.
pub fn has_arrived(from: &Record, to: &Record) -> bool {
    let moved = from.root().and_then(|r| r.tombstone.as_ref()).filter(|t| t.moved_to.is_some());
    to.same_as.get(&from.id).is_some_and(|(receipt, s)| *s == SameAs::Same && moved.is_none_or(|t| t.stamp < *receipt))
}

/// How references change when rows go from one record to another.
struct Way<'a> {
    from: RecordId,
    to: RecordId,
    /// The record whose rows are read.
    of: &'a Record,
    /// What the rows that go are called there.
    ids: &'a BTreeMap<RowKey, RowId>,
}

impl Way<'_> {
    fn row(&self, row: &Row) -> Row {
        let mut row = row.clone();
        for field in row.fields.values_mut().filter(|f| f.0.iter().any(|e| matches!(e.value, Value::Ref(_)))) {
            let entries = std::mem::take(&mut field.0);
            let turn = |mut e: Entry| {
                if let Value::Ref(r) = &e.value {
                    e.value = Value::Ref(self.reference(r));
                }
                e
            };
            field.0 = entries.into_iter().map(turn).collect();
        }
        row
    }

    fn reference(&self, r: &Reference) -> Reference {
        let key = RowKey::new(r.table.clone(), r.row);
        let inside = r.record.is_none() && self.of.id == self.from && self.of.rows.contains_key(&key);
        let (row, record) = if r.row == self.from {
            (self.to, None)
        } else if r.record == Some(self.to) {
            (r.row, None)
        } else if inside || r.record == Some(self.from) {
            // What stays behind is pointed to where it is.
            self.ids.get(&key).map_or((r.row, Some(self.from)), |id| (*id, None))
        } else {
            (r.row, r.record)
        };
        Reference { row, record, ..r.clone() }
    }
}

fn tag(unknown: &mut Unknown, from: RecordId) {
    unknown.insert(FROM.to_owned(), from.to_string());
}

/// Whether a match brought a value, so that nobody wrote it where it is.
pub fn brought(e: &Entry) -> bool {
    e.unknown.contains_key(FROM)
}

fn is_from(unknown: &Unknown, from: RecordId) -> bool {
    unknown.get(FROM).is_some_and(|f| *f == from.to_string())
}

/// Copies what stands of `b` into `a`, with stamps of whoever writes it, and leaves tombstones in
/// `b` that say where each row went. Rows that are the same in both become one. Where values
/// differ, the newer is current and the other superseded, as in every merge. `next` gives stamps,
/// each later than the one before.
///
/// Gives `false`, and changes nothing, while content of `b` is still to come back whole.
pub fn fold(a: &mut Record, b: &mut Record, shape: &dyn Shape, by: &str, next: &mut dyn FnMut() -> Stamp) -> bool {
    let lives = life(b);
    let root = b.root_key();
    if a.erased.is_some() || b.erased.is_some() || a.kind != b.kind || lives.get(&root) != Some(&Life::Live) || lives.values().any(|l| *l == Life::Partial) {
        return false;
    }
    let there = life(a);
    let rows: Vec<RowKey> = tree(b, &root).into_iter().filter(|k| lives.get(k) == Some(&Life::Live)).collect();
    let ids = counterparts(a, b, &rows, &there, shape);
    let seen = b.version.clone();
    for key in &rows {
        let Some(to) = ids.get(key) else { continue };
        let stamp = next();
        let why = format!("the same as {}", a.id);
        tombstone(b, key, Tombstone { stamp, by: by.to_owned(), why, moved_to: Some((a.id, *to)), seen: seen.clone(), bare: false, unknown: Unknown::new() });
    }
    for key in &rows {
        let (Some(to), Some(row)) = (ids.get(key), b.rows.get(key)) else { continue };
        let mut row = Way { from: b.id, to: a.id, of: b, ids: &ids }.row(row);
        row.tombstone = None;
        for field in row.fields.values_mut() {
            let entries = std::mem::take(&mut field.0);
            field.0 = entries
                .into_iter()
                .map(|mut e| {
                    tag(&mut e.unknown, b.id);
                    e
                })
                .collect();
        }
        let to = RowKey::new(key.table.clone(), *to);
        if there.get(&to) == Some(&Life::Live) {
            join_values(a, &to, row, shape, next);
        } else {
            tag(&mut row.unknown, b.id);
            let ours = a.rows.get_mut(&to).filter(|r| r.tombstone.as_ref().and_then(|t| t.moved_to).is_some_and(|(record, _)| record == b.id));
            // It had gone back and comes again: what it was meanwhile is what it is.
            if let Some(r) = ours {
                r.fields.clear();
            }
            reinsert(a, &to, &row, next);
        }
    }
    super::join_extras(&mut a.extras, &b.extras);
    let receipt = next();
    a.same_as.insert(b.id, (receipt, SameAs::Same));
    a.version.add(receipt);
    true
}

/// Which row of `a` each of `b`'s becomes. A row keeps its identity, so that any order of matches
/// makes the same rows; one that its content names gets the identity that it has in `a`; one that
/// `a` has already is that one.
fn counterparts(a: &Record, b: &Record, rows: &[RowKey], there: &BTreeMap<RowKey, Life>, shape: &dyn Shape) -> BTreeMap<RowKey, RowId> {
    let mut ids = BTreeMap::from([(b.root_key(), a.id)]);
    let root = a.root_key();
    let own = BTreeMap::new();
    let mut named: BTreeMap<(crate::shared::Name, RowId), RowId> = BTreeMap::new();
    let mut equal: BTreeMap<(crate::shared::Name, Vec<u8>), Vec<RowId>> = BTreeMap::new();
    for (key, row) in a.rows.iter().rev().filter(|(k, _)| **k != root && there.get(*k) == Some(&Life::Live)) {
        // What pointed to the other record points to this one now.
        let row = Way { from: b.id, to: a.id, of: a, ids: &own }.row(row);
        if let Some(id) = shape.derived(&key.table, &row) {
            named.insert((key.table.clone(), id), key.id);
        } else if let Some(content) = shape.content(&key.table, &row).filter(|_| !b.rows.contains_key(key)) {
            equal.entry((key.table.clone(), content)).or_default().push(key.id);
        }
    }
    for key in rows.iter().filter(|k| **k != b.root_key()) {
        let Some(row) = b.rows.get(key) else { continue };
        let before = row.tombstone.as_ref().and_then(|t| t.moved_to).map(|(_, row)| row).filter(|id| a.rows.contains_key(&RowKey::new(key.table.clone(), *id)));
        let mapped = Way { from: b.id, to: a.id, of: b, ids: &ids }.row(row);
        let id = before.or_else(|| shape.derived(&key.table, &mapped).map(|d| named.get(&(key.table.clone(), d)).copied().unwrap_or(d)));
        let mut same = || equal.get_mut(&(key.table.clone(), shape.content(&key.table, &mapped)?))?.pop();
        let id = match id {
            Some(id) => id,
            None if a.rows.contains_key(key) => key.id,
            None => same().unwrap_or(key.id),
        };
        ids.insert(key.clone(), id);
    }
    ids
}

/// Adds the values of another row to a row that is there.
fn join_values(a: &mut Record, key: &RowKey, from: Row, shape: &dyn Shape, next: &mut dyn FnMut() -> Stamp) {
    let Some(row) = a.rows.get_mut(key) else { return };
    let mut stamps = Vec::new();
    for (name, theirs) in from.fields {
        let ours = row.fields.get_or_default(name.clone());
        let stay = ours.current().cloned().filter(|e| !e.value.is_null());
        let new: Vec<Entry> = theirs.0.into_iter().filter(|e| !e.value.is_null() && !ours.0.iter().any(|o| o.value == e.value)).collect();
        // A number of one place, and what the host calls the row, stay what they are.
        let fixed = name.place.is_some() || shape.is_key(&key.table, &name.name);
        let newer = |s: &Entry| new.last().is_none_or(|n| n.stamp < s.stamp) || fixed;
        let last = stay.filter(newer);
        if new.is_empty() {
            if ours.0.is_empty() {
                row.fields.remove(&name);
            }
            continue;
        }
        // Emptiness was not typed.
        ours.0.retain(|e| !e.value.is_null());
        for e in new {
            let stamp = next();
            stamps.push(stamp);
            ours.0.insert(Entry { stamp, ..e });
        }
        if let Some(e) = last {
            let stamp = next();
            stamps.push(stamp);
            ours.0.remove(&e);
            ours.0.insert(Entry { stamp, ..e });
        }
    }
    super::join_extras(&mut row.extras, &from.extras);
    stamps.into_iter().for_each(|s| a.version.add(s));
}

/// Takes a match back: what `b` held stands again, with what was written since to the rows that
/// came from it; what it brought to `a` goes from there. Where its own is stripped, nothing happens.
/// `a` is where it stands now; `None` where nothing of that is left, or `a` is not known.
pub fn unfold(a: Option<&mut Record>, b: &mut Record, shape: &dyn Shape, by: &str, next: &mut dyn FnMut() -> Stamp) {
    let lives = life(b);
    let moved = |row: &Row| row.tombstone.as_ref().filter(|t| !t.bare).and_then(|t| t.moved_to);
    let root = b.root_key();
    if lives.get(&root) == Some(&Life::Deleted) && b.root().is_some_and(|r| moved(r).is_none()) {
        // Stripped, or deleted by a person since: what it brought to `a` is all there is.
        return;
    }
    let rows: Vec<(RowKey, RowId)> =
        tree(b, &root).into_iter().filter(|k| lives.get(k) == Some(&Life::Deleted)).filter_map(|k| Some((k.clone(), moved(b.rows.get(&k)?)?.1))).collect();
    let mut ids: BTreeMap<RowKey, RowId> = BTreeMap::new();
    let mut back: Vec<RowKey> = Vec::new();
    let mut content: BTreeMap<RowKey, Row> = BTreeMap::new();
    let mut gone: BTreeSet<RowKey> = BTreeSet::new();
    if let Some(a) = a.as_deref() {
        let there = life(a);
        ids.insert(a.root_key(), b.id);
        for (key, to) in rows.iter().filter(|(k, _)| *k != root) {
            let at = RowKey::new(key.table.clone(), *to);
            ids.insert(at.clone(), key.id);
            let brought = a.rows.get(&at).is_some_and(|r| *to == key.id || is_from(&r.unknown, b.id));
            match there.get(&at) {
                // It goes back, with what was put below it since.
                Some(Life::Live) if brought => back.extend(tree(a, &at).into_iter().filter(|k| there.get(k) == Some(&Life::Live))),
                // Deleted by a person since, or moved on.
                Some(Life::Deleted) if brought => {
                    gone.insert(key.clone());
                }
                _ => {}
            }
        }
        // What it brought under names of its own.
        let named: Vec<RowKey> =
            a.rows.iter().filter(|(k, r)| is_from(&r.unknown, b.id) && there.get(*k) == Some(&Life::Live) && !back.contains(k)).map(|(k, _)| k.clone()).collect();
        back.extend(named);
        back.iter().for_each(|k| {
            ids.entry(k.clone()).or_insert(k.id);
        });
        for k in &back {
            if let (Some(row), Some(id)) = (a.rows.get(k), ids.get(k)) {
                content.insert(RowKey::new(k.table.clone(), *id), clean(Way { from: a.id, to: b.id, of: a, ids: &ids }.row(row)));
            }
        }
    }
    let seen = a.as_deref().map(|a| a.version.clone()).unwrap_or_default();
    for (key, _) in rows.iter().filter(|(k, _)| !gone.contains(k)) {
        let since = content.remove(key);
        // What it was meanwhile is what it is.
        if let (Some(_), Some(r)) = (&since, b.rows.get_mut(key)) {
            r.fields.clear();
        }
        if let Some(row) = since.or_else(|| b.rows.get(key).cloned()) {
            reinsert(b, key, &row, next);
        }
    }
    // What was put below them since.
    for (key, row) in content {
        if lives.get(&key) == Some(&Life::Live) {
            join_values(b, &key, row, shape, next);
        } else {
            reinsert(b, &key, &row, next);
        }
    }
    if let Some(a) = a {
        give_back(a, b.id, &back, &ids, &seen, by, next);
    }
}

/// Takes out of `a` what a match had brought from `b`.
fn give_back(a: &mut Record, b: RecordId, back: &[RowKey], ids: &BTreeMap<RowKey, RowId>, seen: &Version, by: &str, next: &mut dyn FnMut() -> Stamp) {
    let there = life(a);
    let mut done = BTreeSet::new();
    for k in back.iter().filter(|k| done.insert((*k).clone())) {
        let (stamp, to) = (next(), ids.get(k).copied().unwrap_or(k.id));
        let why = format!("not the same as {b} after all");
        tombstone(a, k, Tombstone { stamp, by: by.to_owned(), why, moved_to: Some((b, to)), seen: seen.clone(), bare: false, unknown: Unknown::new() });
    }
    // What is in the trash stays as it was.
    let stays: Vec<RowKey> = a.rows.keys().filter(|k| !done.contains(*k) && there.get(*k) == Some(&Life::Live)).cloned().collect();
    for k in stays {
        let Some(row) = a.rows.get_mut(&k) else { continue };
        let mut empty = Vec::new();
        for (name, field) in row.fields.iter_mut().filter(|(_, f)| f.0.iter().any(|e| is_from(&e.unknown, b))) {
            if name.place.is_some() && field.0.iter().all(|e| is_from(&e.unknown, b)) {
                // Nobody but that place knows its number, and it will say so.
                continue;
            }
            field.0.retain(|e| !is_from(&e.unknown, b));
            if field.0.is_empty() {
                // It was empty before, and a host is to empty it again.
                let stamp = next();
                *field = Field::of(stamp, Value::Null);
                empty.push(stamp);
            }
        }
        empty.into_iter().for_each(|s| a.version.add(s));
    }
    let receipt = next();
    a.same_as.insert(b, (receipt, SameAs::Undone));
    a.version.add(receipt);
}

fn clean(mut row: Row) -> Row {
    row.tombstone = None;
    row.unknown.remove(FROM);
    for field in row.fields.values_mut() {
        let entries = std::mem::take(&mut field.0);
        field.0 = entries
            .into_iter()
            .map(|mut e| {
                e.unknown.remove(FROM);
                e
            })
            .collect();
    }
    row
}
