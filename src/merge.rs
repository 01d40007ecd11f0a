//! The law: how two states become one, what a write does, and what a tombstone deletes.
//!
//! Everything here is a pure function of its arguments. [`join`] is commutative, associative and
//! idempotent on states that histories reach; `tests/it/merge_laws.rs` holds it to that.

mod deletion;
mod rescue;
mod restamp;
mod same;
mod shown;
pub mod text;
mod tree;
mod write;

pub use deletion::{Life, life, strip};
pub use rescue::{partial_rows, rescue, rescue_shown, strips};
pub use restamp::{denies, restamp};
pub use same::{Shape, brought, by_itself, fold, folded_to, has_arrived, said, same_target, unfold, unsettled};
pub use shown::{adds_nothing, settles, shown, shows_all};
pub use tree::{above, below, tree};
pub use write::{Change, Seen, delta_between, erase, reinsert, seen_by_host, tombstone, unsee, wake, write_field};

use crate::planted;
use crate::record::{Delta, Entries, Extra, ExtraKey, Field, Record, Row, Tombstone, Unknown};
use crate::stamp::Stamp;
use crate::version::Version;
use std::collections::BTreeMap;

/// Joins two whole states of one record.
///
/// Records of different identity are the caller's mistake and give `a` unchanged.
pub fn join(a: &Record, b: &Record) -> Record {
    let mut out = a.clone();
    join_into(&mut out, b);
    out
}

/// Joins a whole state into another, touching only what differs.
pub fn join_into(a: &mut Record, b: &Record) {
    if a.id != b.id {
        return;
    }
    absorb(a, b, &b.version, None);
    a.version.join(&b.version);
    settle_erasure(a);
}

/// Takes a delta in. Gives `false`, and changes nothing, where the state's version does not cover
/// what the delta was written on.
pub fn take_delta(state: &mut Record, delta: &Delta) -> bool {
    if state.id != delta.part.id || !state.version.includes(&delta.before) && !planted::bug("delta-before-its-time") {
        return false;
    }
    let mut context = delta.before.clone();
    context.join(&delta.part.version);
    absorb(state, &delta.part, &context, Some(&delta.before));
    state.version.join(&delta.part.version);
    settle_erasure(state);
    true
}

/// Merges `b`'s content, known under `b_seen`, into `a`'s. Only a whole row speaks about fields
/// that it does not mention: all rows of a state are whole; of a delta, written on `before`, those
/// that it inserts.
fn absorb(a: &mut Record, b: &Record, b_seen: &Version, before: Option<&Version>) {
    let Record { version: a_seen, rows, .. } = a;
    for (key, theirs) in &b.rows {
        match rows.get_mut(key) {
            Some(ours) if ours == theirs => {}
            Some(ours) => {
                let whole = before.is_none_or(|v| !v.covers(&theirs.stamp));
                join_row(ours, a_seen, theirs, b_seen, whole, before.is_none());
            }
            // Rows never go, so nobody has seen this one and dropped it: it is taken as it is.
            None => {
                let mut row = theirs.clone();
                if let (Some(t), Some(_)) = (&mut row.tombstone, before) {
                    t.bare = false;
                }
                rows.insert(key.clone(), row);
            }
        }
    }
    for (other, fact) in &b.same_as {
        let ours = a.same_as.entry(*other).or_insert(*fact);
        *ours = (*ours).max(*fact);
    }
    if a.erased < b.erased {
        a.erased.clone_from(&b.erased);
    }
    if a.kind < b.kind {
        a.kind.clone_from(&b.kind);
    }
    join_extras(&mut a.extras, &b.extras);
    join_unknown(&mut a.unknown, &b.unknown);
}

fn join_row(ours: &mut Row, our_seen: &Version, theirs: &Row, their_seen: &Version, whole: bool, state: bool) {
    if whole {
        ours.fields.retain(|name, field| {
            if !theirs.fields.contains_key(name) {
                field.0.retain(|e| !their_seen.covers(&e.stamp));
            }
            !field.0.is_empty()
        });
    }
    for (name, field) in &theirs.fields {
        match ours.fields.get_mut(name) {
            Some(f) if f == field => {}
            Some(f) => {
                *f = join_field(f, our_seen, field, their_seen);
                if f.0.is_empty() {
                    ours.fields.remove(name);
                }
            }
            None => {
                let joined = join_field(&Field::default(), our_seen, field, their_seen);
                if !joined.0.is_empty() {
                    ours.fields.insert(name.clone(), joined);
                }
            }
        }
    }
    match ours.stamp.cmp(&theirs.stamp) {
        std::cmp::Ordering::Less => ours.unknown.clone_from(&theirs.unknown),
        std::cmp::Ordering::Equal => join_unknown(&mut ours.unknown, &theirs.unknown),
        std::cmp::Ordering::Greater => {}
    }
    // Bare wins, but only about the insert that was stripped: a row inserted again is whole. And a
    // delta cannot say it, since it does not list what went.
    let stamp = ours.stamp.max(theirs.stamp);
    let bare = |r: &Row| r.stamp == stamp && r.is_bare();
    let bare = bare(ours) || (state && bare(theirs));
    ours.stamp = stamp;
    ours.tombstone = join_tombstones(ours.tombstone.take(), theirs.tombstone.as_ref());
    if let Some(t) = &mut ours.tombstone {
        t.bare = bare;
    }
    join_extras(&mut ours.extras, &theirs.extras);
}

/// The heart of the merge: a value stays if both sides have its stamp, or if one has it and the
/// other has not seen it. Covered and absent means overwritten or discarded there.
///
/// Presence is by stamp and not by value, so that two values under one stamp (which only a clone
/// can make) are both kept.
fn join_field(a: &Field, a_seen: &Version, b: &Field, b_seen: &Version) -> Field {
    let has = |f: &Field, s: &Stamp| f.0.iter().any(|e| e.stamp == *s);
    let from_a = a.0.iter().filter(|e| !b_seen.covers(&e.stamp) || has(b, &e.stamp));
    let from_b = b.0.iter().filter(|e| !a_seen.covers(&e.stamp) || has(a, &e.stamp));
    let mut out = Entries::default();
    for e in from_a.chain(from_b) {
        // Equal but for attributes of a later format: those join.
        let twin = out.iter().find(|o| o.stamp == e.stamp && o.value == e.value).cloned();
        let mut entry = e.clone();
        if let Some(t) = twin {
            join_unknown(&mut entry.unknown, &t.unknown);
            out.remove(&t);
        }
        out.insert(entry);
    }
    if planted::bug("last-writer-wins") {
        return Field(out.into_iter().max().into_iter().collect());
    }
    Field(out)
}

/// Tombstones of one row join: what was seen by maximum, the larger stamp shown. Whether the
/// result is bare depends on the row and is the caller's to say.
fn join_tombstones(a: Option<Tombstone>, b: Option<&Tombstone>) -> Option<Tombstone> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b.clone()),
        (a, b) => return a.or_else(|| b.cloned()),
    };
    let face = |t: &Tombstone| (t.stamp, t.moved_to, t.by.clone(), t.why.clone());
    let (mut shown, other) = if face(&a) >= face(&b) { (a, b) } else { (b, a) };
    shown.seen.join(&other.seen);
    shown.bare |= other.bare;
    join_unknown(&mut shown.unknown, &other.unknown);
    Some(shown)
}

fn join_extras(a: &mut BTreeMap<ExtraKey, Extra>, b: &BTreeMap<ExtraKey, Extra>) {
    for (k, theirs) in b {
        let ours = a.entry(k.clone()).or_insert_with(|| theirs.clone());
        if *theirs > *ours {
            *ours = theirs.clone();
        }
    }
}

fn join_unknown(a: &mut Unknown, b: &Unknown) {
    for (k, v) in b {
        let ours = a.entry(k.clone()).or_insert_with(|| v.clone());
        if v > ours {
            ours.clone_from(v);
        }
    }
    // What is written can be read: whoever joins the same in another order keeps the same.
    while a.len() > crate::record::MAX_UNKNOWN {
        a.pop_last();
    }
}

/// An erased record has no content, whatever else arrives for it.
fn settle_erasure(r: &mut Record) {
    if r.erased.is_some() && !planted::bug("erased-stays") {
        r.rows.clear();
        r.extras.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_keeps_no_more_attributes_of_a_later_format_than_can_be_read() {
        let of = |names: std::ops::Range<u32>, value: &str| -> Unknown { names.map(|n| (format!("later:a{n:03}"), value.to_owned())).collect() };
        let join = |parts: &[&Unknown]| {
            parts.iter().fold(Unknown::new(), |mut all, part| {
                join_unknown(&mut all, part);
                all
            })
        };
        let (a, b, c) = (of(10..42, "x"), of(30..62, "y"), of(0..20, "z"));
        let all = join(&[&a, &b, &c]);
        assert_eq!((all.len(), all.keys().next().map(String::as_str)), (crate::record::MAX_UNKNOWN, Some("later:a000")));
        for order in [[&a, &c, &b], [&b, &a, &c], [&b, &c, &a], [&c, &a, &b], [&c, &b, &a]] {
            assert_eq!(join(&order), all);
        }
        assert_eq!(join(&[&all, &all, &b]), all);
    }
}
