//! Heir: a place that takes over from a lost one gets that one's own numbers back (decision 0022).
//!
//! What the lost place never numbered gets a new number here, and that must not be one that another
//! record had there: such records are settled after the others.

use super::work::Work;
use super::{Engine, Error};
use crate::host::mapping::Role;
use crate::id::SiteId;
use crate::record::{FieldKey, Record};
use std::collections::BTreeMap;

/// What a place inherits.
#[derive(Debug, Default)]
pub(super) struct Heir {
    /// The ids whose numbers are this place's: its own, then that of the place it took over from, and those before that.
    pub(super) places: Vec<SiteId>,
    /// Whether this is the first synchronization after it took over.
    first: bool,
    /// Records put off; `None` while none is to be.
    late: Option<Vec<Work>>,
    /// Numbers that were not free here.
    pub(super) taken: usize,
}

impl Heir {
    /// From now on records without a number are put off.
    pub(super) fn put_off(&mut self) {
        self.late = (self.first && self.places.len() > 1).then(Vec::new);
    }

    /// The records put off, which are to be settled now.
    pub(super) fn late(&mut self) -> Vec<Work> {
        self.late.take().unwrap_or_default()
    }

    /// Puts a record off.
    pub(super) fn add(&mut self, work: Work) {
        self.late.get_or_insert_default().push(work);
    }
}

impl Engine<'_> {
    /// Finds out which places' numbers are this one's. A restored or copied database has an id before its own as
    /// well; but a copy's other half goes on numbering, and its numbers are for it alone.
    pub(super) fn find_places(&mut self) -> Result<(), Error> {
        let before: BTreeMap<SiteId, SiteId> = self.sites()?.iter().filter_map(|s| Some((s.id, s.before?))).collect();
        let mut places = vec![self.site];
        let mut next = self.state.meta_uuid("succeeds")?;
        while let Some(id) = next.filter(|id| !places.contains(id)) {
            places.push(id);
            next = before.get(&id).copied();
        }
        self.heir = Heir { places, first: self.state.meta::<i64>("scanned")?.is_none(), ..Heir::default() };
        Ok(())
    }

    /// Whether a record that is new here is to wait until all numbers of the lost place are given back.
    pub(super) fn comes_late(&self, work: &Work, known: &Record) -> bool {
        self.heir.late.is_some() && work.root.is_none() && work.orders.is_empty() && self.lacks_a_number(known)
    }

    /// Whether a row is to be numbered here that has none of this place's numbers.
    fn lacks_a_number(&self, known: &Record) -> bool {
        known.rows.iter().filter(|(_, row)| row.tombstone.is_none()).any(|(key, row)| {
            let table = self.mapping.table(&key.table).and_then(|t| self.mapping.tables.get(t));
            let columns = table.iter().flat_map(|t| &t.columns).filter(|c| matches!(c.role, Role::Local { keep_if_free: false, .. }));
            let has = |place: &SiteId, name| row.current(&FieldKey::local(name, *place)).is_some_and(|v| !v.is_null());
            columns.into_iter().any(|c| !self.heir.places.iter().any(|p| has(p, &c.name)))
        })
    }

    /// Says which numbers could not be given back.
    pub(super) fn tell_taken(&mut self) {
        if self.heir.first && self.heir.taken > 0 {
            let n = self.heir.taken;
            self.report.notices.push(format!("{n} of the numbers that the place before this one had given are in use here; those rows have new ones"));
        }
    }
}
