//! The law: how two states become one, what a write does, and what a tombstone deletes.
//!
//! Everything here is a pure function of its arguments. [`join`] is commutative, associative and
//! idempotent on states that histories reach; `tests/it/merge_laws.rs` holds it to that.

mod deletion;
mod write;

pub use deletion::{Life, life, partial_rows, strip};
pub use write::{Change, Seen, delta_between, erase, reinsert, tombstone, write_field};

use crate::record::{Delta, Entry, Extra, ExtraKey, Field, Record, Row, Tombstone, Unknown};
use crate::stamp::Stamp;
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Joins two whole states of one record.
///
/// Records of different identity are the caller's mistake and give `a` unchanged.
pub fn join(a: &Record, b: &Record) -> Record {
    if a.id != b.id {
        return a.clone();
    }
    let mut out = a.clone();
    absorb(&mut out, b, &b.version, true);
    out.version.join(&b.version);
    out.kind = std::mem::take(&mut out.kind).max(b.kind.clone());
    settle_erasure(&mut out);
    out
}

/// Takes a delta in. Gives `false`, and changes nothing, where the state's version does not cover
/// what the delta was written on.
pub fn take_delta(state: &mut Record, delta: &Delta) -> bool {
    if state.id != delta.part.id || !state.version.includes(&delta.before) {
        return false;
    }
    let mut context = delta.before.clone();
    context.join(&delta.part.version);
    absorb(state, &delta.part, &context, false);
    state.version.join(&delta.part.version);
    settle_erasure(state);
    true
}

/// Merges `b`'s content, known under `b_seen`, into `a`'s. Only a `whole` state's version speaks
/// about fields that it does not mention: a delta says nothing of them.
fn absorb(a: &mut Record, b: &Record, b_seen: &Version, whole: bool) {
    let a_seen = a.version.clone();
    for (key, theirs) in &b.rows {
        match a.rows.get_mut(key) {
            Some(ours) => join_row(ours, &a_seen, theirs, b_seen, whole),
            None => {
                let mut row = Row { fields: BTreeMap::new(), ..theirs.clone() };
                for (name, field) in &theirs.fields {
                    let kept = join_field(&Field::default(), &a_seen, field, b_seen);
                    if !kept.0.is_empty() {
                        row.fields.insert(name.clone(), kept);
                    }
                }
                a.rows.insert(key.clone(), row);
            }
        }
    }
    for (other, fact) in &b.same_as {
        let ours = a.same_as.entry(*other).or_insert(*fact);
        *ours = (*ours).max(*fact);
    }
    a.erased = a.erased.clone().max(b.erased.clone());
    join_extras(&mut a.extras, &b.extras);
    join_unknown(&mut a.unknown, &b.unknown);
}

fn join_row(ours: &mut Row, our_seen: &Version, theirs: &Row, their_seen: &Version, whole: bool) {
    let mut names: BTreeSet<_> = theirs.fields.keys().cloned().collect();
    if whole {
        names.extend(ours.fields.keys().cloned());
    }
    let none = Field::default();
    for name in names {
        let a = ours.fields.get(&name).unwrap_or(&none);
        let b = theirs.fields.get(&name).unwrap_or(&none);
        let joined = join_field(a, our_seen, b, their_seen);
        if joined.0.is_empty() {
            ours.fields.remove(&name);
        } else {
            ours.fields.insert(name, joined);
        }
    }
    match ours.stamp.cmp(&theirs.stamp) {
        std::cmp::Ordering::Less => ours.unknown = theirs.unknown.clone(),
        std::cmp::Ordering::Equal => join_unknown(&mut ours.unknown, &theirs.unknown),
        std::cmp::Ordering::Greater => {}
    }
    ours.stamp = ours.stamp.max(theirs.stamp);
    ours.tombstone = join_tombstones(ours.tombstone.take(), theirs.tombstone.clone());
    join_extras(&mut ours.extras, &theirs.extras);
}

/// The heart of the merge: a value stays if both sides have its stamp, or if one has it and the
/// other has not seen it. Covered and absent means overwritten or discarded there.
///
/// Presence is by stamp and not by value, so that two values under one stamp (which only a clone
/// can make) are both kept.
fn join_field(a: &Field, a_seen: &Version, b: &Field, b_seen: &Version) -> Field {
    if a == b {
        return a.clone();
    }
    let stamps = |f: &Field| f.0.iter().map(|e| e.stamp).collect::<BTreeSet<Stamp>>();
    let (in_a, in_b) = (stamps(a), stamps(b));
    let keep = |e: &&Entry, elsewhere: &BTreeSet<Stamp>, seen: &Version| elsewhere.contains(&e.stamp) || !seen.covers(&e.stamp);
    let from_a = a.0.iter().filter(|e| keep(e, &in_b, b_seen));
    let from_b = b.0.iter().filter(|e| keep(e, &in_a, a_seen));
    let mut out: BTreeSet<Entry> = BTreeSet::new();
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
    Field(out)
}

/// Tombstones of one row join: what was seen by maximum, the larger stamp shown, bare wins.
fn join_tombstones(a: Option<Tombstone>, b: Option<Tombstone>) -> Option<Tombstone> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (x, None) | (None, x) => return x,
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
}

/// An erased record has no content, whatever else arrives for it.
fn settle_erasure(r: &mut Record) {
    if r.erased.is_some() {
        r.rows.clear();
        r.extras.clear();
    }
}

/// The value of a field that a host is shown, by its column's rule: a pure function of the set.
pub fn shown(f: &Field, rule: crate::record::Rule) -> Option<&crate::value::Value> {
    use crate::record::Rule;
    match rule {
        Rule::Latest => f.current().map(|e| &e.value),
        Rule::Max => f.0.iter().map(|e| &e.value).max(),
        Rule::Min => f.0.iter().map(|e| &e.value).min(),
    }
}
