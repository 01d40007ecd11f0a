//! What goes here with a deletion whose content was stripped elsewhere: kept until this synchronization ends, since only then is it
//! known that nothing here needs the record (a link typed a moment before, which the host's CASCADE takes with it).

use super::settle::Prepared;
use super::{Engine, Error};
use crate::id::RecordId;
use crate::merge::{self, strips};
use crate::record::{Record, RowKey};
use crate::state::pack;
use crate::value::Hash;
use crate::xml;
use std::collections::{BTreeMap, BTreeSet};

/// What was whole when this synchronization began.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// States, packed.
    states: BTreeMap<RecordId, Vec<u8>>,
    /// The large values of these: their content is among ours meanwhile.
    pub(super) large: BTreeSet<Hash>,
}

impl Engine<'_> {
    /// Keeps what a record loses where it is stored without the content that it had. The caller holds the lock, and the host's
    /// rows are as they were.
    pub(super) fn keep_whole(&mut self, p: &Prepared) -> Result<(), Error> {
        let id = p.work.id;
        if p.known.erased.is_some() && self.whole.states.remove(&id).is_some() {
            self.state.forget_whole(&id)?;
        }
        if self.whole.states.contains_key(&id) || !strips(&p.stored.known, &p.known) {
            return Ok(());
        }
        for large in p.stored.known.large().into_keys() {
            if self.keep_from_host(large)? {
                self.whole.large.insert(large.0);
            }
        }
        let packed = pack(&xml::write_record(&p.stored.known, &self.manifest.folder), None)?;
        // In the transaction that stores it without content: whatever ends this synchronization, the next one has it.
        self.state.keep_whole(&id, &packed)?;
        self.whole.states.insert(id, packed);
        Ok(())
    }

    /// Takes over what a synchronization kept that did not end.
    pub(super) fn find_kept_whole(&mut self) -> Result<(), Error> {
        self.whole.states = self.state.kept_whole()?;
        for id in self.whole.states.keys().copied().collect::<Vec<_>>() {
            let Some(kept) = self.kept_whole(&id)? else { continue };
            self.whole.large.extend(kept.large().into_keys().map(|(hash, _)| hash));
            // It may be needed: who points to it is looked at once more.
            self.again.insert(id);
            self.again.extend(self.state.waiting_for(&id)?);
        }
        Ok(())
    }

    /// All is settled, and the caller holds the lock.
    pub(super) fn forget_whole(&mut self) -> Result<(), Error> {
        Ok(std::mem::take(&mut self.whole.states).keys().try_for_each(|id| self.state.forget_whole(id))?)
    }

    /// Whether anything is kept.
    pub(super) fn keeps_whole(&self) -> bool {
        !self.whole.states.is_empty()
    }

    /// What was stripped elsewhere while it was edited or in use here comes back from who has it whole. Gives the rows.
    pub(super) fn bring_back(&mut self, p: &mut Prepared, sources: &[Record]) -> Result<Vec<RowKey>, Error> {
        let kept = self.kept_whole(&p.work.id)?;
        let mut all: Vec<&Record> = vec![&p.stored.known];
        all.extend(sources.iter().chain(&kept));
        let mut clock = self.clock;
        let (now, site) = (self.env.now.ms(), self.site);
        let mut next = || clock.tick(now, site);
        let mut rescued = Vec::new();
        if !merge::partial_rows(&p.known, &all).is_empty() {
            rescued = merge::rescue(&mut p.known, &all, Some(&p.applied), &mut next);
            self.report.revived += rescued.len() as u64;
        }
        let shown = merge::rescue_shown(&mut p.known, &p.stored.known, &mut next);
        if !rescued.is_empty() || !shown.is_empty() {
            self.clock = clock;
            self.ticked = true;
        }
        Ok(rescued)
    }

    /// What was kept of a record.
    pub(super) fn kept_whole(&self, id: &RecordId) -> Result<Option<Record>, Error> {
        let Some(packed) = self.whole.states.get(id) else { return Ok(None) };
        Ok(xml::read_record(&self.state.unpack(packed)?, &self.manifest.folder).ok())
    }
}
