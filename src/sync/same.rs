//! Same: records that are one person. What was said about two records is carried out here
//! (decision 0009).

use super::commit::held_local;
use super::orders::Order;
use super::settle::Prepared;
use super::work::Work;
use super::{Engine, Error};
use crate::host::mapping::Mapping;
use crate::host::{derived, signs};
use crate::id::{RecordId, RowId, SiteId};
use crate::merge::{self, Life, Shape};
use crate::record::{Record, Row, SameAs};
use crate::shared::Name;
use crate::state;
use std::collections::{BTreeMap, BTreeSet};

/// How often one record is tried in a sync.
const TRIES: u32 = 6;

/// What is under way about records that are one.
#[derive(Default)]
pub(super) struct Same {
    /// Two records are being settled together.
    pub(super) matching: bool,
    /// Records to be settled after those that they were matched with.
    pub(super) later: BTreeMap<RecordId, Work>,
    /// How often each record was tried.
    pub(super) united: BTreeMap<RecordId, u32>,
    /// Records that may no longer stand where it is said that they do.
    pub(super) told: BTreeSet<RecordId>,
    /// Records that were compared with those that match them.
    pub(super) compared: BTreeSet<RecordId>,
}

/// What the mapping knows of rows, for a match.
struct Rows<'a> {
    mapping: &'a Mapping,
    key: &'a [u8],
    site: SiteId,
}

impl Shape for Rows<'_> {
    fn derived(&self, table: &str, row: &Row) -> Option<RowId> {
        let t = self.mapping.tables.get(self.mapping.table(table)?)?;
        derived::id(self.key, t, self.site, &|f| row.current(f).cloned(), &BTreeSet::new())
    }

    fn content(&self, table: &str, row: &Row) -> Option<Vec<u8>> {
        let t = self.mapping.tables.get(self.mapping.table(table)?)?;
        Some(signs::content(t, false, |f| row.current(f).cloned()))
    }

    fn is_key(&self, table: &str, field: &str) -> bool {
        let Some(t) = self.mapping.table(table).and_then(|t| self.mapping.tables.get(t)) else { return false };
        let key = t.key_columns();
        let of = t.references.iter().find(|r| r.field == field).map_or_else(|| vec![Name::of(field)], |r| r.columns.clone());
        of.iter().any(|c| key.iter().any(|k| k.eq_ignore_ascii_case(c)))
    }
}

impl Engine<'_> {
    /// Finds records that match, and carries out what was said about records being one.
    pub(super) fn settle_same(&mut self) -> Result<(), Error> {
        let found = self.find_same()?;
        if !found.is_empty() {
            let say = |(b, a)| Work::ordered(b, vec![Order::Say { other: a, says: SameAs::Same, by_itself: true }]);
            self.settle_chunk(found.into_iter().map(say).collect())?;
        }
        // Each step can make another possible; a person's contradictions end here as well.
        for _ in 0..8 {
            let mut list: BTreeSet<RecordId> = self.state.flagged(state::SAME)?.into_iter().collect();
            list.append(&mut self.same.told);
            list.retain(|b| self.same.united.get(b).is_none_or(|n| *n < TRIES));
            if list.is_empty() {
                break;
            }
            for b in list {
                if self.plan(b)?.is_none() {
                    continue;
                }
                *self.same.united.entry(b).or_default() += 1;
                self.ticked = true;
                self.renew_token()?;
                self.locked(&mut |e| e.carry_out_same(b))?;
            }
        }
        while let Some((_, work)) = self.same.later.pop_first() {
            self.ticked = true;
            self.renew_token()?;
            let mut work = Some(work);
            self.locked(&mut |e| {
                let w = work.take().unwrap_or_default();
                e.look()?;
                e.settle_here(w)
            })?;
        }
        self.give_files(false)
    }

    /// Does something under the write lock, as a whole or not at all.
    fn locked(&mut self, f: &mut dyn FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.lock()?;
        // Rows change owners and keys, one after the other.
        self.lookup.defer(true)?;
        self.same.matching = true;
        let done = f(self);
        self.same.matching = false;
        done?;
        self.drop_own_notes()?;
        self.unlock()
    }

    /// Prepares and commits one record under a lock that is held.
    fn settle_here(&mut self, work: Work) -> Result<(), Error> {
        match self.prepare(work)? {
            Some(p) => self.commit(p),
            None => Ok(()),
        }
    }

    fn carry_out_same(&mut self, b: RecordId) -> Result<(), Error> {
        self.look()?;
        match self.plan(b)? {
            None => Ok(()),
            Some(Step::Say(other, least)) => {
                let orders = vec![Order::Say { other: least, says: SameAs::Same, by_itself: true }];
                self.settle_here(Work::ordered(other, orders))
            }
            Some(Step::Apart(place)) => self.take_apart(b, place),
            Some(Step::Match(a)) => self.match_up(a, b),
            Some(Step::Alone(facts)) => {
                // Who erased that one had not seen that this one is the same: a person must say so.
                let orders = facts.into_iter().map(|other| Order::Say { other, says: SameAs::Undone, by_itself: false }).collect();
                self.report.notices.push(format!("record {b} was the same as one that was erased elsewhere; it stands by itself again. To erase it as well: cfs erase"));
                self.settle_here(Work::ordered(b, orders))
            }
        }
    }

    /// What is to be done next, so that a record stands where the facts say.
    fn plan(&self, b: RecordId) -> Result<Option<Step>, Error> {
        let Some(s) = self.state.load(&b)?.filter(|s| s.known.erased.is_none() && s.known.same_as.range(..b).next().is_some()) else { return Ok(None) };
        let lives = merge::life(&s.known);
        let dead = lives.get(&s.known.root_key()) == Some(&Life::Deleted);
        let in_host = s.local.rows.values().any(|l| l.away.is_none());
        let target = merge::same_target(&s.known);
        let stands = self.stands_for(&s.known)?;
        if target.is_some() && stands.is_none() {
            // Until the other record has come, this one stays as it is.
            return Ok(None);
        }
        // If one is the same as two others, those two are the same, unless somebody said otherwise.
        let same: Vec<RecordId> = s.known.same_as.range(..b).filter(|(_, (_, says))| *says == SameAs::Same).map(|(o, _)| *o).collect();
        for other in same.iter().filter(|o| Some(**o) != target) {
            if let Some(least) = target
                && self.state.load(other)?.is_some_and(|o| merge::said(&o.known, &least).is_none())
            {
                return Ok(Some(Step::Say(*other, least)));
            }
        }
        if let Some(a) = stands
            && self.state.load(&a)?.is_some_and(|a| a.known.erased.is_some())
        {
            return Ok(Some(Step::Alone(same)));
        }
        if dead && s.known.root().and_then(|r| r.tombstone.as_ref()).is_none_or(|t| t.bare || t.moved_to.is_none()) {
            // Nothing is left that could stand by itself: what it brought elsewhere is all there is.
            return Ok(stands.filter(|_| in_host).map(Step::Match));
        }
        // What stands where it should not: with another than is said now.
        let place = if dead { self.place(&s.known)? } else { None };
        if let Some(at) = place.filter(|p| Some(*p) != stands && (target.is_some() || merge::unsettled(&s.known, &lives, in_host))) {
            return Ok(Some(Step::Apart(Some(at))));
        }
        for (other, _) in s.known.same_as.range(..b) {
            let Some(o) = self.state.load(other)?.filter(|o| o.flags & state::DELETED == 0 && o.known.erased.is_none()) else { continue };
            if Some(*other) != stands && o.known.same_as.get(&b).is_some_and(|(_, says)| *says == SameAs::Same) {
                return Ok(Some(Step::Apart(Some(*other))));
            }
        }
        if !merge::unsettled(&s.known, &lives, in_host) {
            return Ok(None);
        }
        Ok(Some(stands.map_or(Step::Apart(None), Step::Match)))
    }

    /// Where the content of a record that left went, in the end, if that stands.
    fn place(&self, known: &Record) -> Result<Option<RecordId>, Error> {
        let mut at = merge::folded_to(known);
        for _ in 0..8 {
            let Some(id) = at else { return Ok(None) };
            let Some(s) = self.state.load(&id)?.filter(|s| s.known.erased.is_none()) else { return Ok(None) };
            if s.flags & state::DELETED == 0 {
                return Ok(Some(id));
            }
            match merge::folded_to(&s.known) {
                Some(next) => at = Some(next),
                None => return Ok(Some(id)),
            }
        }
        Ok(None)
    }

    /// The record that one is the same as, in the end. `None` if one on the way is not known here.
    pub(super) fn stands_for(&self, known: &Record) -> Result<Option<RecordId>, Error> {
        let Some(mut at) = merge::same_target(known) else { return Ok(None) };
        // Each is smaller than the one before.
        loop {
            let Some(s) = self.state.load(&at)?.filter(|s| s.known.kind == known.kind) else { return Ok(None) };
            match merge::same_target(&s.known) {
                Some(next) => at = next,
                None => return Ok(Some(at)),
            }
        }
    }

    /// Brings what stands of `b` to `a`, in what is known and then in the host.
    fn match_up(&mut self, a: RecordId, b: RecordId) -> Result<(), Error> {
        let Some(mut pb) = self.prepare(Work::of(b).dirty())? else { return Ok(()) };
        let work = self.same.later.remove(&a).unwrap_or_else(|| Work::of(a));
        let Some(mut pa) = self.prepare(work.dirty())? else { return self.commit(pb) };
        if pa.work.kind.is_none() {
            self.commit(pb)?;
            return self.commit(pa);
        }
        let root = pb.known.root_key();
        if pb.lives.get(&root) == Some(&Life::Live) {
            let stamps = &mut self.stamps();
            let shape = Rows { mapping: self.mapping, key: &self.manifest.key, site: self.site };
            if merge::fold(&mut pa.known, &mut pb.known, &shape, &self.site_name, &mut || stamps.next()) {
                self.clock = stamps.clock;
                self.report.matched += 1;
                let kind = pb.known.kind.clone();
                let mut line = self.change(b, &kind, None, None, "matched", Some(self.site));
                line.new = Some(a.to_string());
                pb.log.push(line);
                pa.weigh();
                pb.weigh();
            }
        }
        let leaves = pb.lives.get(&root) == Some(&Life::Deleted) && !pb.image.rows.is_empty() && self.has_arrived(&pb.known, &pa.known)?;
        self.commit(pb)?;
        if !leaves {
            return self.commit(pa);
        }
        if self.commit_united(pa, b)? {
            self.report.held.retain(|h| h.record != b.to_string());
            self.settle_here(Work::of(b).dirty())?;
        }
        Ok(())
    }

    /// Whether what a match took from a record has arrived where it is now, on every step there.
    fn has_arrived(&self, b: &Record, a: &Record) -> Result<bool, Error> {
        let mut at = b.clone();
        for _ in 0..8 {
            let Some(to) = merge::folded_to(&at).or_else(|| merge::same_target(&at)) else { return Ok(false) };
            if to == a.id {
                return Ok(merge::has_arrived(&at, a));
            }
            let Some(next) = self.state.load(&to)?.filter(|n| merge::has_arrived(&at, &n.known)) else { return Ok(false) };
            at = next.known;
        }
        Ok(false)
    }

    /// Lets a record stand by itself again, with what of it stands at `place`.
    fn take_apart(&mut self, b: RecordId, place: Option<RecordId>) -> Result<(), Error> {
        let Some(mut pb) = self.prepare(Work::of(b).dirty())? else { return Ok(()) };
        let mut pa = None;
        if let Some(a) = place {
            let work = self.same.later.remove(&a).unwrap_or_else(|| Work::of(a));
            pa = self.prepare(work.dirty())?;
        }
        let stamps = &mut self.stamps();
        let shape = Rows { mapping: self.mapping, key: &self.manifest.key, site: self.site };
        let into = pa.as_mut().map(|p| &mut p.known).filter(|a| a.erased.is_none() && !a.rows.is_empty());
        merge::unfold(into, &mut pb.known, &shape, &self.site_name, &mut || stamps.next());
        self.clock = stamps.clock;
        let kind = pb.known.kind.clone();
        pb.log.push(self.change(b, &kind, None, None, "match taken back", Some(self.site)));
        pb.weigh();
        pa.iter_mut().for_each(Prepared::weigh);
        if let Some(pa) = pa {
            self.commit(pa)?;
        }
        self.commit(pb)
    }

    /// Stamps of this site, one after the other.
    fn stamps(&mut self) -> Stamps {
        self.tick();
        Stamps { clock: self.clock, now: self.env.now.ms(), site: self.site }
    }

    /// Puts a record off until the records that it was matched with have been settled: their rows in
    /// the host become its own, and are not inserted a second time.
    pub(super) fn waits_for_match(&self, known: &Record) -> Result<bool, Error> {
        for (other, (_, says)) in known.same_as.range(known.id..).filter(|(o, _)| **o != known.id) {
            if *says == SameAs::Same && self.state.root_of(other)?.is_some_and(|(_, key, _)| key.is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts a record off; what came for it is kept.
    pub(super) fn put_off(&mut self, mut work: Work) {
        let Some(kept) = self.same.later.get_mut(&work.id) else {
            self.same.later.insert(work.id, work);
            return;
        };
        let more = std::mem::take(&mut *work);
        kept.files.extend(more.files);
        kept.items.extend(more.items);
        kept.orders.extend(more.orders);
        kept.strays.extend(more.strays);
        kept.root = kept.root.take().or(more.root);
        kept.dirty = true;
    }

    /// What a match means for a record about to be committed: it gives `None` where the record stays
    /// in the host as it is, until the one that it is the same as has its rows.
    pub(super) fn before_commit(&mut self, p: Prepared) -> Result<Option<Prepared>, Error> {
        if p.known.same_as.is_empty() || p.known.erased.is_some() {
            return Ok(Some(p));
        }
        let live = p.lives.get(&p.known.root_key()) == Some(&Life::Live);
        if let Some(place) = merge::folded_to(&p.known).filter(|_| live && p.stored.flags & state::DELETED != 0) {
            // What was turned to the other record in this host turns back.
            let pointing = self.pointing_to(&place)?;
            self.again.extend(pointing.into_iter().filter(|r| *r != p.work.id));
        }
        if merge::same_target(&p.known).is_some() && !p.image.rows.is_empty() && (!live || self.stands_for(&p.known)?.is_some()) {
            self.hold(p, "it is the same as another record, which has not taken its rows over yet".to_owned())?;
            return Ok(None);
        }
        Ok(Some(p))
    }

    /// Stores a record without applying it.
    pub(super) fn hold(&mut self, p: Prepared, why: String) -> Result<(), Error> {
        let local = held_local(&p, p.stored.local.clone());
        let applied = Some(p.applied_so_far());
        self.lookup.forget(&p.work.id);
        self.settled.insert(p.work.id);
        self.store(p, state::HELD, Some(why), BTreeSet::new(), applied, local)
    }
}

/// What is to be done about a record that something was said about.
enum Step {
    /// Two others are the same as well.
    Say(RecordId, RecordId),
    /// It goes to another.
    Match(RecordId),
    /// What of it stands elsewhere comes back.
    Apart(Option<RecordId>),
    /// What was said of it holds no more: it is alone.
    Alone(Vec<RecordId>),
}

struct Stamps {
    clock: crate::stamp::Clock,
    now: u64,
    site: SiteId,
}

impl Stamps {
    fn next(&mut self) -> crate::stamp::Stamp {
        self.clock.tick(self.now, self.site)
    }
}

impl Prepared {
    /// After a match: what stands, and what is to be sent.
    fn weigh(&mut self) {
        self.lives = merge::life(&self.known);
        self.drawn = None;
        self.own = false;
        if let Some(before) = &self.before {
            self.delta = merge::delta_between(before, &self.known);
        }
    }
}
