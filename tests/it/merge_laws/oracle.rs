//! What must be true, told by explicit sets of events and nothing of the code under test: no
//! version vectors, no joins. Every write knows which writes its author had seen and replaced.

use cloud_folder_sync::merge::{Life, life};
use cloud_folder_sync::record::{Record, RowKey};
use cloud_folder_sync::stamp::Stamp;
use cloud_folder_sync::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A set of events.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Ids([u64; 5]);

impl Ids {
    pub(super) const LIMIT: usize = 5 * 64;
    pub(super) fn one(i: usize) -> Ids {
        let mut s = Ids::default();
        s.add(i);
        s
    }
    pub(super) fn add(&mut self, i: usize) {
        self.0[i / 64] |= 1 << (i % 64);
    }
    pub(super) fn has(&self, i: usize) -> bool {
        self.0[i / 64] & (1 << (i % 64)) != 0
    }
    pub(super) fn join(&mut self, o: &Ids) {
        self.0.iter_mut().zip(o.0).for_each(|(a, b)| *a |= b);
    }
    pub(super) fn includes(&self, o: &Ids) -> bool {
        self.0.iter().zip(o.0).all(|(a, b)| b & !a == 0)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..Ids::LIMIT).filter(|i| self.has(*i))
    }
}

/// What an event is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Slot {
    Insert,
    Field(String),
    Extra,
    RecordExtra,
    Fact,
    Tombstone,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) row: RowKey,
    pub(super) slot: Slot,
    pub(super) stamp: Stamp,
    pub(super) value: Value,
    pub(super) replaces: Ids,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Oracle {
    pub(super) events: Vec<Event>,
    /// Row, and what the author of its tombstone had seen.
    pub(super) tombstones: Vec<(RowKey, Ids)>,
    /// Writes that some site stripped.
    pub(super) stripped: Ids,
    /// A version could not say exactly what somebody had seen, and said less.
    pub(super) cautious: bool,
    pub(super) erased: bool,
}

impl Oracle {
    pub(super) fn add(&mut self, row: &RowKey, slot: Slot, stamp: Stamp, value: Value, replaces: Ids) -> usize {
        self.events.push(Event { row: row.clone(), slot, stamp, value, replaces });
        self.events.len() - 1
    }

    /// The write that put an entry there.
    pub(super) fn find(&self, row: &RowKey, field: &str, stamp: Stamp) -> usize {
        let is = |e: &Event| e.stamp == stamp && e.row == *row && matches!(&e.slot, Slot::Field(f) if f == field);
        self.events.iter().position(is).unwrap_or_else(|| panic!("L2: nobody wrote {field} at {stamp:?}"))
    }

    /// The writes among `has` that nobody among `has` replaced.
    pub(super) fn live(&self, has: &Ids) -> Ids {
        let mut gone = Ids::default();
        has.iter().for_each(|i| gone.join(&self.events[i].replaces));
        let mut live = Ids::default();
        let mut single: BTreeMap<(&RowKey, &Slot), (Stamp, usize)> = BTreeMap::new();
        for i in has.iter() {
            let e = &self.events[i];
            match e.slot {
                Slot::Field(_) if !gone.has(i) => live.add(i),
                Slot::Insert | Slot::Extra | Slot::RecordExtra => {
                    let s = single.entry((&e.row, &e.slot)).or_insert((e.stamp, i));
                    *s = (*s).max((e.stamp, i));
                }
                _ => {}
            }
        }
        single.values().for_each(|(_, i)| live.add(*i));
        live
    }

    /// L1 and L2: a state that has seen `has` holds exactly the writes that none of them replaced
    /// (but for what a site stripped).
    pub(super) fn check_content(&self, r: &Record, has: &Ids) {
        if r.erased.is_some() {
            assert!(r.rows.is_empty(), "an erased record has no content");
            return;
        }
        let live = self.live(has);
        let mut found = Ids::default();
        for (key, row) in &r.rows {
            for (name, field) in &row.fields {
                assert!(!field.0.is_empty(), "an empty field says nothing and has no spelling");
                for e in &field.0 {
                    let i = self.find(key, &name.name, e.stamp);
                    assert!(live.has(i), "L2: {} came back", name.name);
                    assert_eq!(self.events[i].value, e.value);
                    assert!(r.version.covers(&e.stamp));
                    found.add(i);
                }
            }
        }
        for i in live.iter().filter(|i| matches!(self.events[*i].slot, Slot::Field(_))) {
            let e = &self.events[i];
            assert!(found.has(i) || self.stripped.has(i), "L1: lost {:?} of {:?} at {:?}", e.slot, e.row, e.stamp);
        }
    }

    /// L5: a row is deleted if and only if a tombstone at or above it says so whose authors had
    /// seen every write in its tree, and what the tombstones below it had seen.
    pub(super) fn check_life(&self, r: &Record, has: &Ids) {
        if r.erased.is_some() {
            return;
        }
        let live = self.live(has);
        let trees = self.trees(r, &live);
        let mut seen: BTreeMap<&RowKey, Ids> = BTreeMap::new();
        self.tombstones.iter().for_each(|(k, s)| seen.entry(k).or_default().join(s));
        let mut may = BTreeSet::new();
        let mut must = BTreeSet::new();
        for (top, s) in &seen {
            let Some(tree) = trees.get(*top) else { continue };
            let root = top.table == r.kind;
            let writes = live.iter().filter(|i| tree.contains(&self.events[*i].row) && (root || self.events[*i].slot != Slot::RecordExtra));
            if writes.into_iter().all(|i| s.has(i)) {
                may.extend(tree.iter().cloned());
                if tree.iter().filter(|k| k != top).filter_map(|k| seen.get(k)).all(|below| s.includes(below)) {
                    must.extend(tree.iter().cloned());
                }
            }
        }
        for (key, l) in life(r) {
            assert!(l != Life::Deleted || may.contains(&key), "L5: {key:?} deleted by nobody who had seen it all");
            assert!(self.cautious || l == Life::Deleted || !must.contains(&key), "{key:?} is {l:?} though its tombstone holds");
            assert!(l != Life::Partial || self.stripped != Ids::default());
        }
    }

    /// For each row, the rows at and below it.
    fn trees(&self, r: &Record, live: &Ids) -> BTreeMap<RowKey, BTreeSet<RowKey>> {
        let root = r.root_key();
        let mut owner: BTreeMap<RowKey, (Stamp, RowKey)> = BTreeMap::new();
        for i in live.iter() {
            let e = &self.events[i];
            if let Value::Ref(o) = &e.value {
                let to = (e.stamp, RowKey::new(o.table.clone(), o.row));
                let at = owner.entry(e.row.clone()).or_insert_with(|| to.clone());
                *at = at.clone().max(to);
            }
        }
        let mut up: BTreeMap<RowKey, RowKey> = BTreeMap::new();
        for key in r.rows.keys().filter(|k| **k != root) {
            let to = owner.get(key).map(|(_, o)| o.clone()).filter(|o| r.rows.contains_key(o) && o != key);
            up.insert(key.clone(), to.unwrap_or_else(|| root.clone()));
        }
        for key in r.rows.keys() {
            // A circle hangs from the root by its first row.
            let mut members = vec![key.clone()];
            while let Some(next) = members.last().and_then(|k| up.get(k)).filter(|k| !members.contains(k)) {
                members.push(next.clone());
            }
            let closes = members.last().and_then(|k| up.get(k)) == Some(key);
            if let (true, Some(least)) = (closes, members.iter().min()) {
                up.insert(least.clone(), root.clone());
            }
        }
        let mut trees: BTreeMap<RowKey, BTreeSet<RowKey>> = BTreeMap::new();
        for key in r.rows.keys() {
            for above in std::iter::successors(Some(key), |k| up.get(*k)) {
                trees.entry(above.clone()).or_default().insert(key.clone());
            }
        }
        trees
    }
}
