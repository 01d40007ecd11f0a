//! Rows that are gone from the host without a tombstone: moved, saved anew, gone with what they
//! pointed to, or to come back.

use super::settle::Prepared;
use super::{Engine, Error};
use crate::host::key::HostKey;
use crate::host::mapping::{ReferenceMap, Table};
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::planted;
use crate::record::{Record, Row, RowKey, Tombstone};
use crate::state;
use crate::value::Value;
use crate::version::Version;
use std::collections::BTreeMap;

/// Why a row went that had to point to what was deleted.
const WITH_TARGET: &str = "what it points to was deleted";

impl Engine<'_> {
    /// Whether a row went here with what it pointed to.
    fn went_with(&self, row: &Row) -> bool {
        row.tombstone.as_ref().is_some_and(|t| t.stamp.site == self.site && t.why == WITH_TARGET && !t.bare)
    }

    /// Rows that went here with what they pointed to, and the records that those are.
    pub(super) fn gone_with(&self, known: &Record, lives: &BTreeMap<RowKey, Life>) -> Vec<(RowKey, Vec<RecordId>)> {
        let mut out = Vec::new();
        for (key, row) in known.rows.iter().filter(|(k, r)| self.went_with(r) && lives.get(*k) == Some(&Life::Deleted)) {
            if let Some(t) = self.mapping.table(&key.table).and_then(|t| self.mapping.tables.get(t)) {
                out.push((key.clone(), required(t, row).into_iter().filter(|r| *r != known.id).collect()));
            }
        }
        out
    }

    /// Rows that went here with what they pointed to are back once that is.
    pub(super) fn back_with(&mut self, p: &mut Prepared) -> Result<(), Error> {
        if !p.known.rows.values().any(|r| self.went_with(r)) {
            return Ok(());
        }
        for (key, to) in self.gone_with(&p.known, &merge::life(&p.known)) {
            let mut all = true;
            for record in &to {
                all &= self.state.root_of(record)?.is_some_and(|(_, at, flags)| at.is_some() && flags & state::DELETED == 0);
            }
            if all {
                super::orders::restore(self, p, &key);
            }
        }
        Ok(())
    }

    /// Decides about rows that are gone from the host without a tombstone.
    pub(super) fn vanished(&mut self, p: &mut Prepared, gone: &[RowKey], lives: &BTreeMap<RowKey, Life>) -> Result<(), Error> {
        // The same for all: a row that had seen the tombstone of the one above it would count as written after it.
        let seen = if planted::bug("known-taken-for-seen") { p.known.version.clone() } else { p.seen_by_host(self.site) };
        for key in gone.iter().filter(|k| lives.get(*k) == Some(&Life::Live)) {
            let Some(table) = self.mapping.table(&key.table) else { continue };
            let Some(t) = self.mapping.tables.get(table) else { continue };
            let host_key = p.stored.local.rows.get(key).map(|l| l.key.clone()).unwrap_or_default();
            if let Some((record, row)) = self.moved_to(p.work.id, table, &host_key, key)? {
                self.bury(p, key, "moved to another record", Some((record, row)), seen.clone());
                continue;
            }
            if t.owner.is_some() && self.target_deleted(p, key, t)? {
                let seen = self.seen_before(p);
                self.bury(p, key, WITH_TARGET, None, seen);
                continue;
            }
            if planted::bug("delete-by-absence") || t.rewrites && t.owner.is_some() && self.rewritten(p, key, table, &host_key)? {
                self.bury(p, key, "rewritten", None, seen.clone());
                continue;
            }
            if t.local_deletes == crate::host::mapping::LocalDeletes::Ask {
                p.asked.insert(key.clone());
            }
        }
        // What hangs below a row that a person is asked about waits with it.
        let below: Vec<RowKey> = gone.iter().filter(|k| !p.asked.contains(*k)).filter(|k| p.asked.iter().any(|a| merge::below(&p.known, a, k))).cloned().collect();
        p.asked.extend(below);
        let back = gone.iter().filter(|k| lives.get(*k) == Some(&Life::Live) && !p.asked.contains(*k) && merge::life(&p.known).get(*k) == Some(&Life::Live)).count();
        self.report.restored += back as u64;
        Ok(())
    }

    /// Whether a row that is gone had to point to a record that was deleted: it went with it.
    fn target_deleted(&self, p: &Prepared, key: &RowKey, t: &Table) -> Result<bool, Error> {
        let Some(row) = p.known.rows.get(key) else { return Ok(false) };
        for record in required(t, row) {
            if record == p.work.id || self.state.root_of(&record)?.is_none_or(|(_, _, flags)| flags & state::DELETED == 0) {
                continue;
            }
            // Only the person who deleted it here saw what went with it.
            let by_us = self
                .state
                .load(&record)?
                .is_some_and(|s| s.known.root().and_then(|r| r.tombstone.as_ref()).is_some_and(|t| t.stamp.site == self.site) && merge::same_target(&s.known).is_none());
            if by_us {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the host's way of saving deleted a row: others of the same table and parent were
    /// inserted after its DELETE.
    fn rewritten(&self, p: &Prepared, key: &RowKey, table: usize, host_key: &HostKey) -> Result<bool, Error> {
        let Some(gone) = self.notes.deleted.get(&(table, crate::host::key::encode(host_key))) else { return Ok(false) };
        if self.went_with_target(p, key, table)? {
            return Ok(false);
        }
        let owner = p.known.rows.get(key).and_then(|r| r.owner().cloned());
        Ok(p.image.rows.iter().any(|(k, r)| {
            let new = !p.stored.local.rows.contains_key(k);
            let sibling = r.table == table && r.fields.values().filter_map(|v| v.owner()).next() == owner.as_ref();
            new && sibling && self.notes.inserted.get(&(table, crate::host::key::encode(&r.host.key))).is_some_and(|i| i > gone)
        }))
    }

    /// Whether the host deleted a record that a row had to point to, and so the row with it: nobody saved that row anew.
    fn went_with_target(&self, p: &Prepared, key: &RowKey, table: usize) -> Result<bool, Error> {
        let (Some(t), Some(row)) = (self.mapping.tables.get(table), p.known.rows.get(key)) else { return Ok(false) };
        for record in required(t, row).into_iter().filter(|r| *r != p.work.id) {
            let Some((kind, Some(at), _)) = self.state.root_of(&record)? else { continue };
            let Some(root) = self.mapping.kind(&kind).and_then(|k| self.mapping.types.get(k)).map(|k| k.root) else { continue };
            let at = (root, crate::host::key::encode(&at));
            if self.notes.deleted.get(&at).is_some_and(|gone| self.notes.inserted.get(&at).is_none_or(|back| back < gone)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts a tombstone on a row: what its author had seen is what was applied to the host.
    fn bury(&mut self, p: &mut Prepared, key: &RowKey, why: &str, moved_to: Option<(RecordId, crate::id::RowId)>, seen: Version) {
        let stamp = self.tick();
        let t = Tombstone { stamp, by: self.site_name.clone(), why: why.to_owned(), moved_to, seen, bare: false, unknown: BTreeMap::new() };
        merge::tombstone(&mut p.known, key, t.clone());
        merge::tombstone(&mut p.applied, key, t);
        self.report.tombstones.sent += 1;
        p.log.push(self.change(p.work.id, &p.known.kind, Some(key), None, "deleted", Some(self.site)));
        if let Some(l) = p.log.last_mut() {
            l.new = Some(why.to_owned());
        }
    }
}

/// The records that a row must point to.
fn required(t: &Table, row: &Row) -> Vec<RecordId> {
    let must = |r: &&ReferenceMap| r.columns.iter().any(|c| t.column(c).is_some_and(|c| c.not_null));
    let to = |r: &ReferenceMap| match row.get(&r.field) {
        Some(Value::Ref(to)) => Some(to.record.unwrap_or(to.row)),
        _ => None,
    };
    t.references.iter().filter(must).filter_map(to).collect()
}
