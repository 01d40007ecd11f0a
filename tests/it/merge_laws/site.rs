//! One site of the storm: what it knows, what its host holds, and what can happen there.

use super::oracle::{Ids, Oracle, Slot};
use cloud_folder_sync::id::{Random, SiteId, Uuid};
use cloud_folder_sync::merge::{self, Change, Life, Seen, life};
use cloud_folder_sync::record::{Delta, Extra, FieldKey, Record, Row, RowKey, SameAs, Tombstone};
use cloud_folder_sync::stamp::{Clock, Stamp};
use cloud_folder_sync::value::{Reference, Value};

pub(super) const ROOT: Uuid = Uuid::from_u128(0xD1);
/// Rows are `r`, so that any may hang from any; the root is `p`.
pub(super) fn root() -> RowKey {
    RowKey::new("p", ROOT)
}

pub(super) fn below(n: usize, rng: &mut Random) -> usize {
    usize::try_from(rng.bits() % (n as u64)).unwrap()
}

fn pick<T: Clone>(from: &[T], rng: &mut Random) -> Option<T> {
    if from.is_empty() { None } else { Some(from[below(from.len(), rng)].clone()) }
}

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) id: SiteId,
    pub(super) clock: Clock,
    /// How wrong the machine's clock is.
    pub(super) skew_ms: u64,
    pub(super) known: Record,
    pub(super) applied: Record,
    pub(super) has: Ids,
    pub(super) shown: Ids,
    /// Deltas that wait for what they were written on.
    pub(super) waiting: Vec<usize>,
    /// Not counted when others strip; comes back at the end.
    pub(super) retired: bool,
}

/// A delta as sent, with what its writer had seen before and what is new in it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) delta: Delta,
    pub(super) before: Ids,
    pub(super) new: Ids,
}

pub(super) fn owner_of(key: &RowKey) -> Value {
    Value::Ref(Reference { table: key.table.clone(), row: key.id, record: None, owner: true })
}

impl Site {
    pub(super) fn new(n: usize, skew_ms: u64) -> Site {
        let known = Record::new("p", ROOT);
        Site {
            id: Uuid::from_u128(0xA0 + n as u128),
            clock: Clock::default(),
            skew_ms,
            applied: known.clone(),
            known,
            has: Ids::default(),
            shown: Ids::default(),
            waiting: Vec::new(),
            retired: false,
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64) -> Stamp {
        self.clock.tick(now_ms + self.skew_ms, self.id)
    }

    /// The host accepts all that is known.
    pub(super) fn apply(&mut self) {
        self.applied = self.known.clone();
        self.shown = self.has;
    }

    fn rows(&self, r: &Record, l: Life) -> Vec<RowKey> {
        life(r).into_iter().filter(|(_, x)| *x == l).map(|(k, _)| k).collect()
    }

    pub(super) fn insert(&mut self, key: &RowKey, owner: Option<&RowKey>, o: &mut Oracle, now: u64, rng: &mut Random) {
        let stamp = self.tick(now);
        let value = Value::Integer((rng.bits() % 5) as i64);
        let mut row = Row::new(stamp);
        let mut fields = vec![("a", value.clone()), ("b", value)];
        fields.extend(owner.map(|w| ("owner", owner_of(w))));
        let mut new = Ids::one(o.add(key, Slot::Insert, stamp, Value::Null, Ids::default()));
        for (name, value) in fields {
            row.fields.insert(FieldKey::shared(name), cloud_folder_sync::record::Field::of(stamp, value.clone()));
            new.add(o.add(key, Slot::Field(name.into()), stamp, value, Ids::default()));
        }
        for r in [&mut self.known, &mut self.applied] {
            r.rows.insert(key.clone(), row.clone());
            r.version.add(stamp);
        }
        self.has.join(&new);
        self.shown.join(&new);
    }

    /// Writes one field; `decide` is a person at the list of superseded values, who sees what is
    /// known, not what the host holds.
    fn write(&mut self, key: &RowKey, name: &str, value: Value, seen: Seen, decide: bool, o: &mut Oracle, now: u64) {
        let stamp = self.tick(now);
        let (base, ids) = if decide { (&self.known, self.has) } else { (&self.applied, self.shown) };
        let entries = base.rows.get(key).and_then(|r| r.fields.get(&FieldKey::shared(name))).cloned().unwrap_or_default();
        let here: Vec<usize> = o.live(&ids).iter().filter(|i| o.events[*i].row == *key && o.events[*i].slot == Slot::Field(name.into())).collect();
        let here: Vec<usize> = here.into_iter().filter(|i| entries.0.iter().any(|e| e.stamp == o.events[*i].stamp)).collect();
        let current = here.iter().max_by_key(|i| o.events[**i].stamp).map(|i| o.events[*i].value.clone());
        let mut replaces = Ids::default();
        here.into_iter().filter(|i| seen == Seen::All || (seen == Seen::Current && Some(&o.events[*i].value) == current.as_ref())).for_each(|i| replaces.add(i));
        let new = o.add(key, Slot::Field(name.into()), stamp, value.clone(), replaces);
        let change = Change { row: key.clone(), field: FieldKey::shared(name), value, seen, back: None };
        if decide {
            merge::write_field(&mut self.known, None, &change, stamp);
        } else {
            merge::write_field(&mut self.known, Some(&self.applied), &change, stamp);
            merge::write_field(&mut self.applied, None, &change, stamp);
            self.shown.add(new);
        }
        self.has.add(new);
    }

    /// Runs `step` on the known state and books what it wrote into `rows`: each new entry replaces
    /// what the row held here, and the entries of `from` with its value.
    fn rewrite(&mut self, rows: &[RowKey], from: &[&Record], o: &mut Oracle, step: impl FnOnce(&mut Record)) {
        let before = self.known.clone();
        step(&mut self.known);
        for key in rows {
            let after = &self.known.rows[key];
            let old = before.rows.get(key).cloned().unwrap_or_default();
            if after.stamp != old.stamp {
                self.has.add(o.add(key, Slot::Insert, after.stamp, Value::Null, Ids::default()));
            }
            for (name, field) in &after.fields {
                let mut gone = Ids::default();
                old.fields.get(name).into_iter().flat_map(|f| &f.0).for_each(|e| gone.add(o.find(key, &name.name, e.stamp)));
                for e in &field.0 {
                    let twins = from.iter().filter_map(|s| s.rows.get(key)?.fields.get(name)).flat_map(|f| &f.0).filter(|x| x.value == e.value);
                    let mut replaces = gone;
                    twins.for_each(|x| replaces.add(o.find(key, &name.name, x.stamp)));
                    self.has.add(o.add(key, Slot::Field(name.name.to_string()), e.stamp, e.value.clone(), replaces));
                }
                for e in old.fields.get(name).into_iter().flat_map(|f| &f.0) {
                    assert!(field.0.iter().any(|n| n.value == e.value), "L1: a row written again lost a value");
                }
            }
        }
    }

    /// One thing that a host or a person does. Gives the delta.
    pub(super) fn act(&mut self, what: usize, next_row: &mut u128, o: &mut Oracle, now: u64, rng: &mut Random) -> Option<Sent> {
        if self.known.erased.is_some() || self.applied.rows.is_empty() {
            return None;
        }
        let (before, had) = (self.known.clone(), self.has);
        let live = self.rows(&self.applied, Life::Live);
        let small = Value::Integer((rng.bits() % 5) as i64);
        match what {
            0..=14 if *next_row < 8 => {
                let owner = pick(&live, rng)?;
                *next_row += 1;
                let key = RowKey::new("r", Uuid::from_u128(*next_row));
                self.insert(&key, Some(&owner), o, now, rng);
            }
            0..=44 => {
                let seen = [Seen::Current, Seen::Current, Seen::Current, Seen::Nothing, Seen::All][below(5, rng)];
                self.write(&pick(&live, rng)?, ["a", "b"][below(2, rng)], small, seen, false, o, now);
            }
            45..=54 => {
                let (row, to) = (pick(&live, rng)?, pick(&live, rng)?);
                if row == root() || row == to {
                    return None;
                }
                self.write(&row, "owner", owner_of(&to), Seen::Current, false, o, now);
            }
            55..=72 => {
                let key = pick(&live, rng).filter(|k| *k != root() || rng.bits().is_multiple_of(3))?;
                let seen = merge::seen_by_host(&self.known, &self.applied, self.id);
                o.cautious |= seen != self.applied.version;
                let stamp = self.tick(now);
                let t = Tombstone { stamp, by: "x".into(), why: String::new(), moved_to: None, seen, bare: false, unknown: Default::default() };
                o.tombstones.push((key.clone(), self.shown));
                merge::tombstone(&mut self.known, &key, t.clone());
                merge::tombstone(&mut self.applied, &key, t);
                let new = o.add(&key, Slot::Tombstone, stamp, Value::Null, Ids::default());
                self.has.add(new);
                self.shown.add(new);
            }
            73..=80 => {
                // From the trash; or, where that is stripped, by typing it again.
                let known = self.known.clone();
                let gone = self.rows(&known, Life::Deleted);
                let key = pick(&gone, rng)?;
                let mut row = known.rows[&key].clone();
                if row.tombstone.as_ref().is_some_and(|t| t.bare) || rng.bits().is_multiple_of(3) {
                    row.fields.insert(FieldKey::shared("a"), cloud_folder_sync::record::Field::of(Stamp::default(), small));
                }
                let (mut clock, id, ms) = (self.clock, self.id, now + self.skew_ms);
                self.rewrite(std::slice::from_ref(&key), &[], o, |k| merge::reinsert(k, &key, &row, &mut || clock.tick(ms, id)));
                self.clock = clock;
            }
            81..=86 => {
                // A person keeps one of a field's values.
                let known = self.known.clone();
                let fields = known.rows.iter().flat_map(|(k, r)| r.fields.iter().map(move |(n, f)| (k, n, f)));
                let fields: Vec<_> = fields.filter(|(_, n, f)| f.0.len() > 1 && n.name != "owner").collect();
                let (key, name, field) = pick(&fields, rng)?;
                let keep = pick(&field.0.iter().collect::<Vec<_>>(), rng)?.value.clone();
                self.write(key, &name.name, keep, Seen::All, true, o, now);
            }
            87..=90 => {
                let stamp = self.tick(now);
                let extra = Extra { stamp: Some(stamp), xml: format!("<x xmlns=\"urn:later\" key=\"k\">{}</x>", rng.bits() % 3).into_bytes() };
                let k = ("urn:later".to_owned(), "x".to_owned(), "k".to_owned());
                let key = pick(&live, rng)?;
                let record = rng.bits().is_multiple_of(3);
                for r in [&mut self.known, &mut self.applied] {
                    let extras = if record { &mut r.extras } else { &mut r.rows.get_mut(&key)?.extras };
                    extras.insert(k.clone(), extra.clone());
                    r.version.add(stamp);
                }
                let slot = if record { Slot::RecordExtra } else { Slot::Extra };
                let new = o.add(&if record { root() } else { key }, slot, stamp, Value::Null, Ids::default());
                self.has.add(new);
                self.shown.add(new);
            }
            91..=92 => {
                let stamp = self.tick(now);
                let fact = [SameAs::Same, SameAs::Undone, SameAs::Not][below(3, rng)];
                self.known.same_as.insert(Uuid::from_u128(0xFF), (stamp, fact));
                self.known.version.add(stamp);
                self.has.add(o.add(&root(), Slot::Fact, stamp, Value::Null, Ids::default()));
            }
            _ => return None,
        }
        // A host that still held what was stripped here brings it back.
        let applied = self.applied.clone();
        self.rescue(&[], &applied, o, now);
        self.sent(&before, had)
    }

    fn sent(&self, before: &Record, had: Ids) -> Option<Sent> {
        let mut new = Ids::default();
        self.has.iter().filter(|i| !had.has(*i)).for_each(|i| new.add(i));
        Some(Sent { delta: merge::delta_between(before, &self.known)?, before: had, new })
    }

    fn rescue(&mut self, states: &[&Record], host: &Record, o: &mut Oracle, now: u64) {
        let (mut clock, id, ms) = (self.clock, self.id, now + self.skew_ms);
        let sources: Vec<&Record> = states.iter().copied().chain([host]).collect();
        let rows: Vec<RowKey> = merge::partial_rows(&self.known, &sources).into_iter().map(|(k, _)| k).collect();
        if rows.is_empty() {
            return;
        }
        self.rewrite(&rows, &sources, o, |k| {
            let done = merge::rescue(k, states, Some(host), &mut || clock.tick(ms, id));
            assert_eq!(done, rows);
        });
        self.clock = clock;
        let lives = life(&self.known);
        rows.iter().for_each(|k| assert_eq!(lives[k], Life::Live, "rescued rows are there"));
        for key in &rows {
            let newest = sources.iter().filter_map(|s| s.rows.get(key)).map(|r| r.stamp).max();
            let whole = sources.iter().filter_map(|s| s.rows.get(key)).filter(|r| Some(r.stamp) == newest && !r.tombstone.as_ref().is_some_and(|t| t.bare));
            for (name, e) in whole.flat_map(|r| r.fields.iter().flat_map(|(n, f)| f.0.iter().map(move |e| (n, e)))) {
                let written = o.find(key, &name.name, e.stamp);
                let kept = self.known.rows[key].fields.get(name).is_some_and(|f| f.0.iter().any(|x| x.value == e.value));
                assert!(kept || !o.live(&self.has).has(written), "L1: a rescued row lacks {}", name.name);
            }
        }
    }

    /// Takes a whole state in; gives the delta of what it had to write again.
    pub(super) fn take_file(&mut self, file: &Record, ids: &Ids, o: &mut Oracle, now: u64) -> Option<Sent> {
        let before = self.known.clone();
        self.known = merge::join(&self.known, file);
        self.has.join(ids);
        self.settle(&[&before, file], o, now)
    }

    /// Takes a delta in, if what it was written on is here.
    pub(super) fn take_delta(&mut self, sent: &Sent, o: &mut Oracle, now: u64) -> Result<Option<Sent>, ()> {
        let before = self.known.clone();
        if !merge::take_delta(&mut self.known, &sent.delta) {
            return Err(());
        }
        assert!(self.has.includes(&sent.before), "a version covers what has not been seen");
        self.has.join(&sent.new);
        Ok(self.settle(&[&before], o, now))
    }

    fn settle(&mut self, states: &[&Record], o: &mut Oracle, now: u64) -> Option<Sent> {
        self.known.version.0.values().for_each(|t| self.clock.observe(*t));
        let (merged, had) = (self.known.clone(), self.has);
        let host = self.applied.clone();
        self.rescue(states, &host, o, now);
        if merged == self.known { None } else { self.sent(&merged, had) }
    }

    /// Strips what every site in use has seen deleted. Gives the delta of it, which says nothing.
    pub(super) fn strip(&mut self, all_seen: impl Fn(&Stamp) -> bool, o: &mut Oracle) -> Option<Sent> {
        let before = self.known.clone();
        let lives = life(&before);
        merge::strip(&mut self.known, |t| all_seen(&t.stamp));
        for (key, row) in &before.rows {
            for (name, e) in row.fields.iter().flat_map(|(n, f)| f.0.iter().map(move |e| (n, e))) {
                if !self.known.rows[key].fields.get(name).is_some_and(|f| f.0.contains(e)) {
                    assert_eq!(lives[key], Life::Deleted);
                    o.stripped.add(o.find(key, &name.name, e.stamp));
                }
            }
        }
        assert_eq!(lives, life(&self.known), "stripping changes nobody's life");
        let again = self.known.clone();
        assert_eq!(merge::strip(&mut self.known, |t| all_seen(&t.stamp)), 0);
        assert_eq!(again, self.known);
        self.sent(&before, self.has)
    }
}
