//! Erasure reaches the logs: a site withdraws its own segments that hold an erased record's
//! content. Its site file names them, so that they are no gap to anybody, and what else was in them
//! is announced again.

use super::settle::type_path;
use super::{Engine, Error};
use crate::id::RecordId;
use crate::log::{Item, Segment};
use crate::names;
use crate::stamp::Stamp;
use crate::xml::MAX_FILE_BYTES;
use std::collections::BTreeSet;

impl Engine<'_> {
    /// Finds own segments that hold content of records erased in this sync, or in earlier ones that did
    /// not come to an end, and announces anew what else they say. Gives their numbers: the files go once the site file names them.
    pub(super) fn find_withdrawn(&mut self) -> Result<BTreeSet<u64>, Error> {
        let erased = self.unwithdrawn()?;
        let mut found = BTreeSet::new();
        if erased.is_empty() {
            return Ok(found);
        }
        let newest = self.state.meta::<i64>("seq")?.unwrap_or(0).unsigned_abs();
        let oldest = self.state.meta::<i64>("oldest")?.unwrap_or(1).unsigned_abs();
        let mut others: BTreeSet<RecordId> = BTreeSet::new();
        for seq in oldest..=newest {
            let written = self.folder.read(&names::log_path(&self.site, seq), MAX_FILE_BYTES)?;
            let Some(bytes) = written.map_or_else(|| self.state.decided(seq), |b| Ok(Some(b)))? else { continue };
            let Ok((s, _)) = Segment::read(&bytes, &self.manifest.folder) else { continue };
            let holds = |i: &Item| matches!(i, Item::Delta(d) if erased.contains(&d.part.id) && !d.part.rows.is_empty());
            if s.items.iter().any(holds) {
                found.insert(seq);
                others.extend(s.items.iter().map(Item::record).filter(|id| !erased.contains(id)));
            }
        }
        erased.iter().try_for_each(|id| self.state.drop_content(id))?;
        for id in others {
            let Some(stored) = self.state.load(&id)? else { continue };
            let Some(time) = stored.known.version.0.get(&self.site) else { continue };
            let bytes = crate::xml::write_record(&stored.known, &self.manifest.folder);
            let item = Item::Named { kind: stored.known.kind.clone(), id, sha256: crate::xml::seal_of(&bytes), stamp: Stamp { time: *time, site: self.site } };
            self.state.push_item(&item)?;
            // It was there when it was first told of. The folder may have lost it since.
            let path = type_path(&stored.known.kind, &id);
            if self.folder.stat(&path)?.is_none() {
                self.due.push((id, path, bytes));
            }
        }
        self.give_files(true)?;
        let mut all = self.withdrawn()?;
        all.extend(&found);
        let text: Vec<String> = all.iter().map(u64::to_string).collect();
        self.state.set_meta("withdrawn", text.join(" "))?;
        // What was decided and not delivered is never written at all.
        found.iter().try_for_each(|seq| self.state.drop_decided(*seq))?;
        Ok(found)
    }

    /// Own segments withdrawn so far, as far as the log still reaches.
    pub(super) fn withdrawn(&self) -> Result<BTreeSet<u64>, Error> {
        let oldest = self.state.meta::<i64>("oldest")?.unwrap_or(1).unsigned_abs();
        let text: String = self.state.meta("withdrawn")?.unwrap_or_default();
        Ok(text.split(' ').filter_map(|n| n.parse().ok()).filter(|n| *n >= oldest).collect())
    }

    /// Removes withdrawn segments.
    pub(super) fn remove_withdrawn(&mut self, found: &BTreeSet<u64>) -> Result<(), Error> {
        found.iter().try_for_each(|seq| self.folder.remove(&names::log_path(&self.site, *seq)))?;
        if !self.unwithdrawn()?.is_empty() {
            self.state.set_meta("unwithdrawn", "")?;
        }
        Ok(())
    }

    /// Records that were erased and whose content own segments may still hold.
    pub(super) fn unwithdrawn(&self) -> Result<BTreeSet<RecordId>, Error> {
        let text: String = self.state.meta("unwithdrawn")?.unwrap_or_default();
        Ok(text.split(' ').filter_map(|id| RecordId::parse_str(id).ok()).collect())
    }

    /// Notes that a record was erased, in the transaction in which it is.
    pub(super) fn note_erased(&mut self, id: RecordId) -> Result<(), Error> {
        let mut all = self.unwithdrawn()?;
        all.insert(id);
        let text: Vec<String> = all.iter().map(RecordId::to_string).collect();
        Ok(self.state.set_meta("unwithdrawn", text.join(" "))?)
    }
}
