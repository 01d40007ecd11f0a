//! Deletions that rows of other records may point to are applied last. The host's own CASCADE takes
//! such rows away with what they point to: what was typed into them must be stamped before.

use super::settle::Prepared;
use super::work::Work;
use super::{Engine, Error};
use crate::host::local::LocalRow;
use crate::host::mapping::{Mapping, Target};
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::{Record, RowKey};
use crate::shared::Name;
use crate::state::{Place, Stored};
use crate::sync::orders::Order;
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// What is deleted last.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// The tables that rows of other records may point to.
    pointed: BTreeSet<Name>,
    /// How many records the host may have touched since the last sync.
    pub(super) typed: usize,
    /// What waits.
    waiting: Vec<Work>,
    /// Everything else is settled.
    now: bool,
    /// Whether something is deleted here on a person's word.
    pub(super) asked: bool,
    /// What that person had seen of records that came before the deletion in this sync.
    seen: BTreeMap<RecordId, Version>,
}

impl Last {
    /// Nothing yet.
    pub(super) fn new(m: &Mapping) -> Self {
        let mut pointed = BTreeSet::new();
        for t in &m.tables {
            for (_, r) in t.references.iter().enumerate().filter(|(i, _)| t.owner != Some(*i)) {
                let targets: Vec<usize> = match &r.target {
                    Target::Table { table, .. } => vec![*table],
                    Target::InText(models) => models.iter().map(|(_, table)| *table).collect(),
                    Target::ByColumn(_) => Vec::new(),
                };
                pointed.extend(targets.into_iter().filter_map(|t| m.tables.get(t)).map(|t| t.name.clone()));
            }
        }
        Last { pointed, ..Last::default() }
    }

    /// Whether everything else is settled.
    pub(super) fn is_now(&self) -> bool {
        self.now
    }
}

impl Work {
    /// Whether a person asked to delete the record, or rows of it.
    pub(super) fn deletes(&self) -> bool {
        self.orders.iter().any(|o| matches!(o, Order::Delete { .. } | Order::Erase { .. }))
    }
}

impl Engine<'_> {
    /// Whether settling a record now would delete a row that another's, not yet settled, may point to.
    pub(super) fn deletes_too_early(&self, work: &Work, stored: &Stored, known: &Record) -> bool {
        let others = self.last.typed > usize::from(work.dirty);
        if self.last.now || !others || self.same.matching || self.severed.contains(&work.id) {
            return false;
        }
        let asked = work.deletes();
        if !asked && known.erased.is_none() && known.rows.values().all(|r| r.tombstone.is_none()) {
            return false;
        }
        let lives = merge::life(known);
        let mut here = stored.local.rows.iter().filter(|(k, l)| l.away.is_none() && self.last.pointed.contains(&k.table));
        here.any(|(k, _)| asked || known.erased.is_some() || lives.get(k) == Some(&Life::Deleted))
    }

    /// Notes what the host showed of a record before what came is applied: who deletes in this sync had
    /// seen no more than that.
    pub(super) fn note_seen(&mut self, p: &Prepared) {
        if self.last.asked && !self.last.now && p.came && !self.last.seen.contains_key(&p.work.id) {
            self.last.seen.insert(p.work.id, p.seen_by_host(self.site));
        }
    }

    /// What a person who deletes in this sync had seen of a record.
    pub(super) fn seen_before(&self, p: &Prepared) -> Version {
        self.last.seen.get(&p.work.id).cloned().unwrap_or_else(|| p.seen_by_host(self.site))
    }

    /// Puts a deletion off until everything else is settled.
    pub(super) fn delete_last(&mut self, work: Work) {
        self.last.waiting.push(work);
    }

    /// Deletes what was put off.
    pub(super) fn delete_now(&mut self) -> Result<(), Error> {
        if self.last.waiting.is_empty() {
            self.last.now = true;
            return Ok(());
        }
        self.compare_late()?;
        // What the host typed while this sync was at the records before.
        for chunk in super::queue::chunks(self.typed()?) {
            self.settle_chunk(chunk)?;
        }
        self.last.now = true;
        let mut waiting = std::mem::take(&mut self.last.waiting);
        // First those that the host touched: what is held for that must not go with what it points to.
        waiting.sort_by_key(|w| !w.dirty);
        for chunk in super::queue::chunks(waiting) {
            self.settle_chunk(chunk)?;
        }
        // What the rows that are gone now were in the way of.
        self.again.extend(self.report.held.iter().filter_map(|h| RecordId::parse_str(&h.record).ok()));
        Ok(())
    }

    /// Settles what the host typed since everything else was, before it is deleted with what it
    /// points to. The caller holds the lock and has looked.
    pub(super) fn settle_typed(&mut self) -> Result<(), Error> {
        if !self.last.now {
            if !self.notes.dirty.is_empty() || self.roots.len() > 0 {
                // Whatever is being settled, others may be waiting.
                self.last.typed = usize::MAX;
            }
            return Ok(());
        }
        for work in self.typed()? {
            if let Some(p) = self.prepare(work)? {
                self.commit(p)?;
            }
        }
        Ok(())
    }

    /// The records that the host was seen to touch since this sync began.
    fn typed(&mut self) -> Result<Vec<Work>, Error> {
        let mut typed: Vec<Work> = std::mem::take(&mut self.notes.dirty).into_iter().map(|id| Work::of(id).dirty()).collect();
        for kind in 0..self.mapping.types.len() {
            let new = self.identify_all(kind, &mut typed)?;
            typed.extend(new.iter().map(|root| Work::new_root(kind, root)));
        }
        Ok(typed)
    }

    /// Before rows are deleted from the host: copies out of it the large values of other records'
    /// rows, which its CASCADE may take as well. The caller holds the lock.
    pub(super) fn keep_large_of_others(&mut self, p: &Prepared) -> Result<(), Error> {
        let gone = |(k, l): (&RowKey, &LocalRow)| l.away.is_none() && self.last.pointed.contains(&k.table) && p.lives.get(k) == Some(&Life::Deleted);
        if !p.stored.local.rows.iter().any(gone) || !self.state.any_large()? {
            return Ok(());
        }
        for id in self.pointing_to(&p.work.id)? {
            let Some(n) = self.state.number(&id)? else { continue };
            for u in self.state.uses(n)?.into_iter().filter(|u| u.place == Place::Host) {
                self.keep_from_host(u.large)?;
            }
        }
        Ok(())
    }
}
