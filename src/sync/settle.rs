//! Settle: one record, from what came and what the host did to what is known, what the host holds
//! and what is to be sent. Prepared without a lock; applied under one, as a whole or not at all.

use super::diff::{diff, new_row};
use super::orders::{self, Order};
use super::pipeline::{Drawn, Easel, Has};
use super::timer::At;
use super::work::{More, Work};
use super::{Engine, Error};
use crate::host::image::{self, Image};
use crate::host::local::Local;
use crate::host::loose;
use crate::host::mapping::Mapping;
use crate::host::rows;

use crate::id::RecordId;
use crate::log::Item;
use crate::merge::{self, Life};
use crate::record::{Delta, Record, RowKey};
use crate::stamp::Stamp;
use crate::state::{self, Stored};
use std::collections::{BTreeMap, BTreeSet};

/// A record ready to be applied.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) work: Work,
    pub(super) stored: Stored,
    pub(super) new: bool,
    /// What is known, with everything that came and everything that was done here.
    pub(super) known: Record,
    pub(super) lives: BTreeMap<RowKey, Life>,
    /// What was applied, with what the host did since.
    pub(super) applied: Record,
    pub(super) image: Image,
    pub(super) delta: Option<Delta>,
    pub(super) waiting: Vec<(crate::id::SiteId, u64, Item)>,
    /// Rows that vanished and stay away until a person decides.
    pub(super) asked: BTreeSet<RowKey>,
    /// The canonical file's hash as it stands now.
    pub(super) file_hash: Option<String>,
    pub(super) file_stat: Option<(u64, i64)>,
    pub(super) came: bool,
    /// The record is erased, and the host holds edits that who erased it had not seen.
    pub(super) unseen: bool,
    /// Large values that were not here when the host was last written: nobody here has seen them.
    pub(super) awaited: BTreeSet<crate::value::Large>,
    pub(super) refile: bool,
    pub(super) keep_off: bool,
    /// What is known, as bytes, once that is done.
    pub(super) drawn: Option<Drawn>,
    /// A record made here that nobody else knows: the host holds exactly what is known.
    pub(super) own: bool,
    /// The stamp under which the host's rows are still to become such a record's.
    own_rows: Option<Stamp>,
    pub(super) log: Vec<state::ChangeRow>,
    pub(super) read: Vec<String>,
    pub(super) items: Vec<(crate::id::SiteId, u64, Item)>,
    pub(super) orders: Vec<Order>,
    pub(super) strays: Vec<Record>,
    /// What was known before anything was stamped; only while records are being matched.
    pub(super) before: Option<Record>,
}

impl Engine<'_> {
    /// Prepares a record. `None` where there is nothing to do.
    pub(super) fn prepare(&mut self, mut work: Work) -> Result<Option<Prepared>, Error> {
        work.unfold(self.mapping);
        let mut stored = self.state.load(&work.id)?;
        if let Some(s) = &mut stored {
            self.by_hash(&mut s.known)?;
            if let Some(a) = &mut s.applied {
                self.by_hash(a)?;
            }
        }
        let new = stored.is_none();
        let mut stored = stored.unwrap_or_else(|| Stored {
            n: 0,
            root_key: None,
            flags: 0,
            reason: None,
            known: Record::new(String::new(), work.id),
            applied: Some(Record::new(String::new(), work.id)),
            local: Local::default(),
            file_hash: None,
        });
        if let Some(strays) = self.stray_sources.remove(&work.id) {
            work.strays.extend(strays);
        }
        let (read, items, orders, strays) = (work.files.clone(), work.items.clone(), work.orders.clone(), work.strays.clone());
        let counted = (self.report.pending, self.report.files_read, self.report.bytes_read);
        let mut came = self.timed(At::Read, |e| e.gather(&mut work, &stored))?;
        let matched = !self.same.matching && strays.is_empty() && !came.known.same_as.is_empty() && self.waits_for_match(&came.known)?;
        if matched || self.deletes_too_early(&work, &stored, &came.known) {
            // It is read once more then.
            (self.report.pending, self.report.files_read, self.report.bytes_read) = counted;
            work.dirty |= matched;
            let work = work.with(|w| (w.files, w.items, w.strays) = (read, items, strays));
            if matched {
                self.put_off(work);
            } else {
                self.delete_last(work);
            }
            return Ok(None);
        }
        if came.known.kind.is_empty()
            && let Some(k) = work.kind.and_then(|k| self.mapping.types.get(k))
        {
            came.known.kind.clone_from(&k.name);
        }
        work.kind = work.kind.or_else(|| self.mapping.kind(&came.known.kind));
        if new {
            self.meet(&mut work, &came.known)?;
        }
        if new && self.comes_late(&work, &came.known) {
            (self.report.pending, self.report.files_read, self.report.bytes_read) = counted;
            self.heir.add(work.with(|w| (w.files, w.items, w.strays) = (read, items, strays)));
            return Ok(None);
        }
        if self.severed.contains(&work.id) {
            stored.root_key = None;
        }
        if stored.root_key.is_none() {
            stored.root_key.clone_from(&work.root);
        }
        for a in stored.applied.iter_mut() {
            a.kind.clone_from(&came.known.kind);
        }
        stored.known.kind.clone_from(&came.known.kind);
        let changed = came.known != stored.known;
        let look = work.dirty || changed || !work.orders.is_empty() || stored.flags & (state::HELD | state::WAITING | state::AGAIN) != 0;
        let settled = came.waiting.is_empty() && came.file_hash == stored.file_hash && !came.refile && stored.flags & state::BEHIND == 0;
        if !look && settled {
            return Ok(None);
        }
        // What is stored is applied as well: the host is looked at, or its rows would be inserted twice.
        let image = match work.kind {
            Some(kind) => self.image(kind, &mut work, &stored, &came.known)?,
            _ => Image::default(),
        };
        let mut p = Prepared {
            lives: BTreeMap::new(),
            applied: self.shown_so_far(stored.applied.clone().unwrap_or_else(|| stored.known.clone())),
            known: came.known,
            delta: None,
            waiting: came.waiting,
            asked: BTreeSet::new(),
            file_hash: came.file_hash,
            file_stat: came.file_stat,
            came: changed,
            unseen: false,
            awaited: self.awaited_in(stored.n, &stored.known)?,
            refile: came.refile,
            keep_off: came.keep_off,
            drawn: came.drawn,
            own: false,
            own_rows: None,
            log: Vec::new(),
            read,
            items,
            orders,
            strays,
            before: None,
            image,
            new,
            stored,
            work,
        };
        self.stamp(&mut p, &came.sources)?;
        if settled && p.is_as_it_was() {
            self.prints.extend(p.image.print.map(|print| (p.stored.n, print)));
            return Ok(None);
        }
        if p.delta.is_some() {
            p.drawn = None;
        }
        self.fetch_large(&p)?;
        Ok(Some(p))
    }

    /// The host's rows of a record, in our terms.
    pub(super) fn image(&mut self, kind: usize, work: &mut Work, stored: &Stored, known: &Record) -> Result<Image, Error> {
        let Some(root) = stored.root_key.clone() else { return Ok(Image::default()) };
        let host = match work.rows.take() {
            Some(r) => r,
            None => self.timed(At::Rows, |e| rows::of_one(e.conn, e.mapping, kind, &root))?,
        };
        let lives = merge::life(known);
        let context = image::Context {
            mapping: self.mapping,
            kind,
            id: work.id,
            site: self.site,
            folder_key: &self.manifest.key,
            local: &stored.local,
            known,
            before: stored.applied.as_ref().unwrap_or(&stored.known),
            lives: &lives,
            recycled: &self.notes.recycled,
        };
        let print = self.mapping.scan.then(|| super::scan::print_of(&self.mapping.tables, &host));
        Ok(Image { print, ..loose::build(self.conn, &context, host, &mut self.lookup.of(work.id), &mut self.env.random)? })
    }

    /// Stamps what the host and people did, on top of what came.
    fn stamp(&mut self, p: &mut Prepared, sources: &[Record]) -> Result<(), Error> {
        if let Some(newest) = p.known.version.newest() {
            self.observe(newest);
        }
        if self.stamp_own(p) {
            return Ok(());
        }
        let lives = merge::life(&p.known);
        // A record whose root row is gone, its key in use for another, has lost all rows at once.
        let had_rows = p.stored.root_key.is_some() || p.stored.local.rows.values().any(|l| l.away.is_none());
        if !had_rows && p.new && !self.same.matching && p.work.orders.is_empty() && p.known.rows.values().all(|r| r.tombstone.is_none()) && p.known.erased.is_none() {
            // It came, and neither the host nor a person has anything to say.
            p.lives = lives;
            return Ok(());
        }
        let mut host = if had_rows { diff(self.mapping, &p.image, &p.stored.local, &p.applied, &p.known, &lives, &self.fresh) } else { super::diff::HostChanges::default() };
        p.mark_unseen(&mut host.changes);
        let before = p.known.clone();
        if p.known.erased.is_some() {
            // What was typed here and not seen by who erased stays in the host until a person decides.
            let waits = p.stored.flags & state::HELD != 0 && p.stored.known.erased.is_some();
            // It may have been stamped a moment ago, if the record was looked at before that came.
            let first = p.stored.known.erased.is_none() && !p.new && (!host.is_empty() || self.notes.stamped.contains(&p.work.id));
            // Or it is somebody whom this sync took for the one who was erased: that chart was never part of the record.
            let bound = p.work.root.is_some();
            p.unseen = p.stored.root_key.is_some() && (waits || first || bound);
            for order in std::mem::take(&mut p.work.orders) {
                // Erased here as well, by a person's word.
                p.unseen &= !matches!(order, Order::Erase { .. });
            }
            p.lives = p.image.rows.keys().map(|k| (k.clone(), Life::Deleted)).collect();
            return Ok(());
        }
        if !host.is_empty() {
            let lost = self.lost_elsewhere(p.work.id, &host.inserted)?;
            let stamp = self.tick();
            if !p.new {
                self.notes.stamped.insert(p.work.id);
            }
            self.log_host(p, &host);
            for key in &host.inserted {
                if let Some((t, row)) = p.image.rows.get(key).and_then(|r| Some((self.mapping.tables.get(r.table)?, r))) {
                    let row = new_row(t, row, stamp, false);
                    p.known.rows.insert(key.clone(), row.clone());
                    p.applied.rows.insert(key.clone(), row);
                }
            }
            super::moves::keep_lost(p, lost, stamp);
            for key in &host.again {
                if let Some((t, row)) = p.image.rows.get(key).and_then(|r| Some((self.mapping.tables.get(r.table)?, r))) {
                    let row = new_row(t, row, stamp, true);
                    let (now, site) = (self.env.now.ms(), self.site);
                    let mut clock = self.clock;
                    merge::reinsert(&mut p.known, key, &row, &mut || clock.tick(now, site));
                    self.clock = clock;
                    if let Some(r) = p.known.rows.get(key) {
                        p.applied.rows.insert(key.clone(), r.clone());
                    }
                }
            }
            for change in host.changes.iter().chain(&host.own) {
                merge::write_field(&mut p.known, Some(&p.applied), change, stamp);
                merge::write_field(&mut p.applied, None, change, stamp);
            }
            p.known.version.add(stamp);
            p.applied.version.add(stamp);
        }
        self.vanished(p, &host.vanished, &lives)?;
        orders::carry_out(self, p)?;
        self.back_with(p)?;
        let rescued = self.bring_back(p, sources)?;
        p.delta = merge::delta_between(&before, &p.known);
        p.before = self.same.matching.then_some(before);
        p.lives = merge::life(&p.known);
        if p.known.erased.is_some() {
            p.lives = p.image.rows.keys().map(|k| (k.clone(), Life::Deleted)).collect();
        }
        if p.came {
            let (was, now) = (merge::life(&p.stored.known), p.lives.clone());
            self.log_revived(p, &was, &now, &rescued);
        }
        Ok(())
    }

    /// Stamps a record that is new here and unknown elsewhere: the host's rows are all there is to
    /// say. Gives `false` where there is more to it.
    fn stamp_own(&mut self, p: &mut Prepared) -> bool {
        let unknown = p.new && !p.came && p.known.version.0.is_empty() && p.known.rows.is_empty() && p.known.erased.is_none() && p.waiting.is_empty();
        if !unknown || self.same.matching || p.image.rows.is_empty() || !p.work.orders.is_empty() || p.image.rows.values().any(|r| !r.dangling.is_empty()) {
            return false;
        }
        let stamp = self.tick();
        self.log_host(p, &super::diff::HostChanges::default());
        p.known.version.add(stamp);
        p.own_rows = Some(stamp);
        // Of many, whoever draws them up can do the rest; what has large values is looked at before.
        let large = || p.image.rows.values().any(|r| r.fields.values().any(|v| v.stored().is_some()));
        if !(self.aside && self.bulk) || large() {
            p.take_own_rows(self.mapping);
        }
        // Of many records only the names are sent.
        let part = if self.bulk { Record { version: p.known.version.clone(), ..Record::new(p.known.kind.clone(), p.known.id) } } else { p.known.clone() };
        p.delta = Some(Delta { before: Default::default(), part });
        p.own = true;
        true
    }
}

/// The path of a record's file.
pub(super) fn type_path(kind: &str, id: &RecordId) -> String {
    crate::names::record_path(kind, id)
}

impl Prepared {
    /// A look at everything found all as it was stored: to store it again would change nothing. Whatever
    /// waits for anything, or is not quite the same, is settled.
    fn is_as_it_was(&self) -> bool {
        let quiet = !self.new && !self.came && self.delta.is_none() && self.log.is_empty() && self.asked.is_empty() && !self.unseen && self.awaited.is_empty();
        let plain = self.work.scanned && self.work.orders.is_empty() && self.orders.is_empty() && self.strays.is_empty() && self.items.is_empty();
        let rows = &self.stored.local.rows;
        quiet
            && plain
            && self.stored.flags == 0
            && self.stored.applied.is_none()
            && self.known == self.stored.known
            && self.image.rows.len() == rows.len()
            && self.image.rows.iter().all(|(k, r)| r.dangling.is_empty() && rows.get(k).is_some_and(|l| l.away.is_none() && l.key == r.host.key))
    }

    /// Gives the work back, to be prepared anew because the host wrote meanwhile. What came with it
    /// has been merged; it is read once more from where it stands.
    pub(super) fn again(self) -> Work {
        let more = More { root: self.work.root.clone(), rows: None, files: self.read, items: self.items, orders: self.orders, strays: self.strays };
        self.work.dirty().with(|w| *w = more)
    }

    /// Takes over the host's rows of a record that nobody else knows.
    pub(super) fn take_own_rows(&mut self, m: &Mapping) {
        let Some(stamp) = self.own_rows.take() else { return };
        for (key, row) in &self.image.rows {
            if let Some(t) = m.tables.get(row.table) {
                self.known.rows.insert(key.clone(), new_row(t, row, stamp, false));
            }
        }
        self.lives = self.known.rows.keys().map(|k| (k.clone(), Life::Live)).collect();
    }

    /// Draws up what is known, unless the file it came in says the same.
    pub(super) fn draw(&mut self, easel: &Easel, m: &Mapping) -> Result<(), state::Error> {
        self.take_own_rows(m);
        if self.drawn.is_none() {
            self.drawn = Some(easel.draw(&self.known)?);
        }
        Ok(())
    }

    /// What few records have: as whoever drew it up found.
    pub(super) fn has(&self) -> Has {
        let drawn = self.drawn.as_ref().map(|d| d.has);
        debug_assert!(drawn.is_none_or(|has| has == Has::of(&self.known)), "what was drawn up is what is known");
        drawn.unwrap_or_else(|| Has::of(&self.known))
    }

    /// The record being settled.
    pub(super) fn parts(&mut self) -> (&mut Record, &mut Record, &mut Work, &mut Vec<state::ChangeRow>) {
        (&mut self.known, &mut self.applied, &mut self.work, &mut self.log)
    }

    /// The record.
    pub(super) fn id(&self) -> RecordId {
        self.work.id
    }

    /// Its type.
    pub(super) fn kind(&self) -> Option<usize> {
        self.work.kind
    }

    /// The host's rows of it.
    pub(super) fn image_rows(&self) -> &BTreeMap<RowKey, image::ImageRow> {
        &self.image.rows
    }

    /// What a field of it is to show.
    pub(super) fn shown(&self, key: &RowKey, field: &str) -> Option<&crate::value::Value> {
        self.known.rows.get(key)?.get(field)
    }

    /// What was stored before.
    pub(super) fn stored_mut(&mut self) -> &mut Stored {
        &mut self.stored
    }

    /// Whether the host had a row and deleted it, and nobody decided that it goes.
    pub(super) fn vanished(&self, key: &RowKey) -> bool {
        self.stored.local.rows.get(key).is_some_and(|l| l.away.is_none()) && !self.image.rows.contains_key(key)
    }

    /// The report of what came from elsewhere.
    pub(super) fn came_from_elsewhere(&self) -> bool {
        self.came
    }
}
