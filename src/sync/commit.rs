//! Commit: applies a prepared record to the host and stores it, under one lock.

use super::pipeline::Drawn;
use super::settle::{Prepared, type_path};
use super::timer::At;
use super::{Engine, Error};
use crate::host::apply::{self, Done, Job};
use crate::host::image::{self, Image};
use crate::host::key::encode;
use crate::host::local::{Away, Local, LocalRow, print};
use crate::host::mapping::Mapping;
use crate::host::rows::{self, HostRecord};
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::planted;
use crate::record::{Field, FieldKey, Record, Row, RowKey, SortedMap};
use crate::shared::{HashMap, Name};
use crate::state::{self, Stored};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Engine<'_> {
    /// Applies and stores a prepared record. The caller holds the write lock.
    pub(super) fn commit(&mut self, mut p: Prepared) -> Result<(), Error> {
        p.take_own_rows(self.mapping);
        let Some(mut p) = self.before_commit(p)? else { return Ok(()) };
        self.keep_large(&p)?;
        self.keep_large_of_others(&p)?;
        self.note_seen(&p);
        if p.own {
            let local = |(k, r): (&RowKey, &image::ImageRow)| (k.clone(), LocalRow { key: r.host.key.clone(), ..LocalRow::default() });
            let local = Local { rows: p.image.rows.iter().map(local).collect() };
            self.lookup.forget(&p.work.id);
            self.settled.insert(p.work.id);
            return self.store(p, 0, None, BTreeSet::new(), None, local);
        }
        let before_local = p.stored.local.clone();
        for key in &p.asked {
            if let Some(l) = p.stored.local.rows.get_mut(key) {
                l.away = Some(Away::Deleted);
            }
        }
        let mut flags = 0;
        let mut reason = None;
        let mut waits = BTreeSet::new();
        let mut applied = None;
        let mut local = p.stored.local.clone();
        if let Some(why) = self.held_by_us(&p)? {
            flags |= state::HELD;
            reason = Some(why.to_owned());
            local = held_local(&p, before_local);
            applied = Some(p.applied_so_far());
        } else if let (Some(kind), true) = (p.work.kind, p.known.erased.is_none() || p.stored.root_key.is_some()) {
            self.hush(&p)?;
            self.conn.prepare_cached("SAVEPOINT cfs_record")?.execute([])?;
            let changes = self.conn.total_changes();
            let mut tried = self.apply(kind, &p);
            if tried.as_ref().is_err_and(|e| e.refusal().is_some()) && self.lookup.forget_numbers() {
                // The host may have counted on meanwhile: once more, with the numbers asked for anew.
                self.conn.execute_batch("ROLLBACK TO cfs_record")?;
                tried = self.apply(kind, &p);
            }
            if tried.as_ref().is_err_and(|e| e.refusal().is_some_and(|why| why.contains("FOREIGN KEY"))) {
                self.conn.execute_batch("ROLLBACK TO cfs_record")?;
                tried = self.apply_deferred(kind, &p);
            }
            match tried {
                Ok(done) => {
                    self.conn.prepare_cached("RELEASE cfs_record")?.execute([])?;
                    self.inserted += done.noted;
                    // What we wrote ourselves is not what the rows looked like.
                    p.image.print = p.image.print.filter(|_| self.conn.total_changes() == changes);
                    self.log_applied(&mut p, &done);
                    waits = done.waits;
                    local = done.local;
                }
                Err(e) => {
                    self.conn.execute_batch(if planted::bug("chart-in-part") { "RELEASE cfs_record" } else { "ROLLBACK TO cfs_record; RELEASE cfs_record" })?;
                    let Some(why) = e.refusal() else { return Err(e.into()) };
                    if why.contains("FOREIGN KEY") && p.lives.get(&p.known.root_key()) == Some(&Life::Deleted) && p.known.erased.is_none() {
                        self.revive(p.work.id);
                    }
                    flags |= state::HELD;
                    reason = Some(why);
                    local = held_local(&p, before_local);
                    applied = (!planted::bug("held-taken-for-applied")).then(|| p.applied_so_far());
                }
            }
        } else if p.work.kind.is_none() {
            // A type that this host does not have: kept, and passed on.
            applied = Some(p.applied_so_far());
        }
        self.lookup.forget(&p.work.id);
        self.settled.insert(p.work.id);
        self.store(p, flags, reason, waits, applied, local)
    }

    /// Why a record is not even tried: what was typed here would go with it, and nobody else knows that.
    fn held_by_us(&self, p: &Prepared) -> Result<Option<&'static str>, Error> {
        if p.unseen {
            return Ok(Some("the record was erased elsewhere, but edited here since: `cfs erase` removes it here as well"));
        }
        let goes = p.stored.root_key.is_some() && p.lives.get(&p.known.root_key()) == Some(&Life::Deleted);
        if !goes {
            return Ok(None);
        }
        // By the host's CASCADE: what a held record has stands in the host alone.
        for id in self.pointing_to(&p.work.id)? {
            if self.state.root_of(&id)?.is_some_and(|(_, _, flags)| flags & state::HELD != 0) && self.state.load(&id)?.is_some_and(|s| s.known.erased.is_some()) {
                return Ok(Some("rows of a record that was edited here and erased elsewhere point to it: it goes when that is decided"));
            }
        }
        Ok(None)
    }

    /// Applies rows that point to each other, or whose keys change: what counts is how it ends. That is
    /// looked at here, or every record of the transaction would fail with it.
    fn apply_deferred(&mut self, kind: usize, p: &Prepared) -> Result<Done, crate::host::Error> {
        let broken = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |r| r.get::<_, i64>(0));
        // A host may have had broken references all along.
        let before = broken(self.conn)?;
        let was = self.lookup.defer(true)?;
        let done = self.apply(kind, p);
        // For this record alone, whatever became of it.
        self.lookup.defer(was)?;
        let done = done?;
        if broken(self.conn)? > before {
            return Err(crate::host::Error::Refused("FOREIGN KEY constraint failed".to_owned()));
        }
        Ok(done)
    }

    pub(super) fn apply(&mut self, kind: usize, p: &Prepared) -> Result<Done, crate::host::Error> {
        self.timed(At::Apply, |e| e.apply_now(kind, p))
    }

    fn apply_now(&mut self, kind: usize, p: &Prepared) -> Result<Done, crate::host::Error> {
        let before = p.stored.applied.as_ref().unwrap_or(&p.stored.known);
        let job = Job { mapping: self.mapping, kind, known: &p.known, lives: &p.lives, before, image: &p.image, places: &self.heir.places };
        let mut done = apply::apply(self.conn, &job, &p.stored.local, &mut self.lookup.of(p.work.id))?;
        self.heir.taken += done.taken;
        if done.fired {
            self.read_back(kind, p, &mut done)?;
        }
        Ok(done)
    }

    /// Reads back what was applied: the host's triggers may have changed it. A field that differs is
    /// written a second time; what is rewritten even then is how this host holds it.
    pub(super) fn read_back(&mut self, kind: usize, p: &Prepared, done: &mut Done) -> Result<(), crate::host::Error> {
        let root = p.known.root_key();
        for round in 0..2 {
            let Some(key) = done.local.rows.get(&root).filter(|l| l.away.is_none()).map(|l| l.key.clone()) else { return Ok(()) };
            let host = rows::of_one(self.conn, self.mapping, kind, &key)?;
            if round == 0 && as_written(self.mapping, &host, done) {
                return Ok(());
            }
            let none = BTreeSet::new();
            let context = image::Context {
                mapping: self.mapping,
                kind,
                id: p.work.id,
                site: self.site,
                folder_key: &self.manifest.key,
                local: &done.local,
                known: &p.known,
                before: &p.known,
                lives: &p.lives,
                recycled: &none,
            };
            let image = image::build(&context, host, &mut self.lookup.of(p.work.id), &mut self.env.random)?;
            let missing = done.local.rows.iter().find(|(k, l)| l.away.is_none() && !image.rows.contains_key(*k));
            if let Some((k, _)) = missing {
                return Err(crate::host::Error::Refused(format!("a row written to {} is not there afterwards: a trigger of the host removed it", k.table)));
            }
            if round == 0 {
                let job = Job { mapping: self.mapping, kind, known: &p.known, lives: &p.lives, before: &p.known, image: &image, places: &self.heir.places };
                let second = apply::apply(self.conn, &job, &done.local, &mut self.lookup.of(p.work.id))?;
                let nothing = second.changes.is_empty();
                let prior: BTreeMap<RowKey, _> = std::mem::take(&mut done.local.rows).into_iter().map(|(k, l)| (k, l.prior)).collect();
                done.local = second.local;
                for (k, l) in &mut done.local.rows {
                    l.prior = prior.get(k).cloned().unwrap_or_default();
                }
                if nothing {
                    self.own_rows(&image, p, done);
                    return Ok(());
                }
                continue;
            }
            for (k, row) in &image.rows {
                let (Some(t), Some(l), Some(known)) = (self.mapping.tables.get(row.table), done.local.rows.get_mut(k), p.known.rows.get(k)) else { continue };
                let holds = t.holds(&row.host);
                for (f, v) in row.fields.iter().filter(|(f, _)| f.place.is_none()) {
                    let rule = t.column(&f.name).map_or_else(Default::default, |c| c.rule);
                    if known.fields.get(f).and_then(|x| merge::shown(x, rule)).as_deref() != Some(v) {
                        l.differs.insert(f.name.clone(), print(&apply::raw(t, &f.name, &holds)));
                    }
                }
            }
            self.own_rows(&image, p, done);
        }
        Ok(())
    }

    /// Rows that the host's triggers made while we applied are the host's own until edited.
    pub(super) fn own_rows(&self, image: &Image, p: &Prepared, done: &mut Done) {
        for (k, row) in image.rows.iter().filter(|(k, _)| !p.known.rows.contains_key(*k)) {
            let Some(t) = self.mapping.tables.get(row.table) else { continue };
            let holds = t.holds(&row.host);
            let differs = row.fields.keys().map(|f| (f.name.clone(), print(&apply::raw(t, &f.name, &holds)))).collect();
            done.local.rows.insert(k.clone(), LocalRow { key: row.host.key.clone(), differs, ..LocalRow::default() });
        }
    }

    pub(super) fn store(&mut self, p: Prepared, flags: i64, reason: Option<String>, waits: BTreeSet<RecordId>, applied: Option<Record>, local: Local) -> Result<(), Error> {
        self.timed(At::Store, |e| e.store_now(p, flags, reason, waits, applied, local))
    }

    fn store_now(&mut self, mut p: Prepared, mut flags: i64, reason: Option<String>, waits: BTreeSet<RecordId>, applied: Option<Record>, local: Local) -> Result<(), Error> {
        let id = p.work.id;
        self.log_held(&mut p, flags, reason.as_deref());
        self.report.decided += p.orders.iter().filter(|o| o.is_decision()).count() as u64;
        let root = p.known.root_key();
        let alive = p.lives.get(&root) == Some(&Life::Live);
        let mark = |on: bool, flag: i64| if on { flag } else { 0 };
        flags |= mark(!waits.is_empty(), state::WAITING);
        let superseded = if p.has().several { self.superseded(&p.known, &p.lives) } else { 0 };
        if superseded > 0 {
            self.log_superseded(&mut p);
        }
        flags |= mark(superseded > 0, state::SUPERSEDED);
        if p.stored.flags & state::SUPERSEDED != 0 {
            self.log_decided_elsewhere(&mut p);
        }
        let had = if p.stored.flags & state::SUPERSEDED != 0 { self.superseded(&p.stored.known, &merge::life(&p.stored.known)) } else { 0 };
        self.report.superseded += superseded.saturating_sub(had);
        flags |= mark(local.rows.values().any(|l| l.away == Some(Away::Deleted)), state::ASKED);
        flags |= mark(!alive, state::DELETED);
        let deleted = p.lives.values().any(|l| *l == Life::Deleted);
        flags |= mark(deleted && p.known.rows.iter().any(|(k, r)| p.lives.get(k) == Some(&Life::Deleted) && !r.is_bare()), state::TRASH);
        if !p.known.same_as.is_empty() {
            // Its own facts, and those in whose files it is named.
            self.same.told.extend(p.known.same_as.keys().copied().filter(|o| *o > id).chain([id]));
        }
        flags |= mark(!p.known.same_as.is_empty() && merge::unsettled(&p.known, &p.lives, local.rows.values().any(|l| l.away.is_none())), state::SAME);
        let dangling = p.image.rows.values().any(|r| !r.dangling.is_empty());
        // What a reference leads to may get its name, or come back, later in this sync.
        flags |= mark(dangling && p.stored.flags & state::AGAIN == 0 && (p.new || p.delta.is_some()), state::AGAIN);
        flags |= mark(self.has_loose(&p.known, &local), state::LOOSE);
        if (flags | p.stored.flags) & state::LOOSE != 0 {
            self.forget_loose();
        }
        let uses = self.uses_of(&p, &local, flags)?;
        p.draw(&self.easel, self.mapping)?;
        let Some(Drawn { bytes, hash, packed, .. }) = p.drawn.take() else { return Ok(()) };
        debug_assert!(bytes == crate::xml::write_record(&p.known, &self.manifest.folder), "what was drawn up is what is known");
        let stale = p.file_hash.as_deref() != Some(hash.as_str()) && !(planted::bug("no-read-repair") && p.delta.is_none() && !p.refile);
        // What only others' logs brought, their own files will bring as well: wait one round.
        // But a conflict file goes in this sync: what it holds must be in the record's file by then.
        let copied = self.conflicts.iter().any(|(_, record, ..)| *record == id);
        let own = p.delta.is_some() || p.stored.flags & state::BEHIND != 0 || p.work.items.is_empty() || p.refile || copied;
        // Nor does a file that an earlier sync left due: what is sent now tells of it.
        let behind = stale && !own && self.settings.use_logs && !self.state.file_due(p.stored.n)?;
        flags |= mark(behind, state::BEHIND);
        let stored = Stored {
            n: p.stored.n,
            root_key: local.rows.get(&root).filter(|l| l.away.is_none()).map(|l| l.key.clone()).or_else(|| p.stored.root_key.clone().filter(|_| flags & state::HELD != 0)),
            flags,
            reason,
            known: std::mem::take(&mut p.known),
            applied,
            local,
            file_hash: p.file_hash.clone(),
        };
        // Of what is new here nothing was ever sent.
        if stored.known.erased.is_some() && p.stored.known.erased.is_none() && !p.new {
            self.note_erased(id)?;
        }
        let now = i64::try_from(self.env.now.ms()).unwrap_or(i64::MAX);
        let was_here = p.stored.root_key.is_some() && p.stored.flags & state::DELETED == 0 && !p.new;
        let n = self.state.save(&id, &stored, packed, now)?;
        self.lookup.forget_rows(&id);
        if self.mapping.scan {
            self.state.set_print(n, p.image.print)?;
        }
        self.note_uses(n, &p.stored.known, &stored.known, &uses)?;
        // Announced, and its file is still torn: an empty record must not be written over that.
        let nothing = stored.known.version.0.is_empty();
        let due = stale && !behind && !p.keep_off && !nothing;
        let hash_now = if due || behind { p.file_hash.clone() } else { Some(p.file_hash.clone().unwrap_or_else(|| hash.clone())) };
        if due || p.new || p.file_hash != p.stored.file_hash || p.file_stat.is_some() {
            self.state.set_file(n, hash_now.as_deref(), p.file_stat, due)?;
        }
        if due {
            self.due.push((id, type_path(&stored.known.kind, &id), bytes));
        }
        let hashes = p.work.kind.map(|k| self.match_hashes(k, &stored.known)).transpose()?.unwrap_or_default();
        self.state.set_matches(n, &stored.known.kind, &hashes, p.new)?;
        let waits: Vec<RecordId> = waits.into_iter().collect();
        let away = stored.local.rows.values().any(|l| l.away == Some(Away::Waiting));
        for target in waits.iter().filter(|_| away) {
            // A deletion never leaves an orphan: what a live row must point to comes back.
            if self.state.root_of(target)?.is_some_and(|(_, _, flags)| flags & state::DELETED != 0) {
                self.revive(*target);
            }
        }
        let with = if deleted { self.gone_with(&stored.known, &p.lives) } else { Vec::new() };
        let with: Vec<RecordId> = with.into_iter().flat_map(|(_, r)| r).collect();
        if !waits.is_empty() || !with.is_empty() || p.stored.flags & state::WAITING != 0 {
            let all: Vec<RecordId> = waits.iter().chain(&with).copied().collect();
            self.state.set_waits(n, &all, p.new)?;
        }
        // Stripping and its like change a file and say nothing new.
        if let Some(d) = p.delta.as_ref().filter(|d| !d.part.version.0.is_empty()) {
            self.send(&id, d, &stored, &hash)?;
            self.report.exported += 1;
        }
        if p.came && !p.stored.known.version.0.is_empty() && p.delta.is_some() {
            self.report.merged += 1;
        }
        if p.came {
            self.report.imported += 1;
        }
        // Settled before in this sync: what became of it now counts.
        self.report.held.retain(|h| h.record != id.to_string());
        if stored.flags & state::HELD != 0 {
            let reason = stored.reason.clone().unwrap_or_default();
            self.report.held.push(crate::report::Held { record: id.to_string(), kind: stored.known.kind.to_string(), reason });
        }
        if !p.new {
            self.state.drop_pending(&id)?;
        }
        for (site, seq, item) in p.waiting.iter().filter(|_| !planted::bug("pending-dropped")) {
            self.keep_pending(*site, *seq, item)?;
        }
        if stored.root_key.is_some() != was_here || (flags & state::DELETED) != (p.stored.flags & state::DELETED) {
            self.again.extend(self.state.waiting_for(&id)?);
        }
        if flags & state::AGAIN != 0 {
            self.again.insert(id);
        }
        self.log_all(&p.log)?;
        if self.aside {
            self.left.push((p, stored));
        }
        Ok(())
    }

    /// How many superseded values of a record a person should see.
    fn superseded(&self, known: &Record, lives: &BTreeMap<RowKey, Life>) -> u64 {
        self.undecided(known, lives).map(|(_, _, v)| v.superseded().len() as u64).sum()
    }

    /// The fields in which values lost and wait for a person.
    pub(super) fn undecided<'r>(&self, known: &'r Record, lives: &BTreeMap<RowKey, Life>) -> impl Iterator<Item = (&'r RowKey, &'r FieldKey, &'r Field)> {
        let several = |(key, row): &(&RowKey, &Row)| row.fields.values().any(|v| v.0.len() > 1) && lives.get(*key) == Some(&Life::Live);
        known.rows.iter().filter(several).flat_map(|(key, row)| {
            let t = self.mapping.table(&key.table).and_then(|t| self.mapping.tables.get(t));
            let rule = move |f: &FieldKey| t.and_then(|t| t.column(&f.name)).map(|c| c.rule).unwrap_or_default();
            row.fields.iter().filter(move |(f, v)| v.0.len() > 1 && !merge::settles(v, rule(f))).map(move |(f, v)| (key, f, v))
        })
    }
}

/// Whether the host holds exactly the rows that it held and that were written, value by value.
fn as_written(m: &Mapping, host: &HostRecord, done: &Done) -> bool {
    // A row that was written twice is as it was written last.
    let last: HashMap<(usize, Vec<u8>), &SortedMap<Name, Value>> = done.written.iter().map(|(t, key, set)| ((*t, encode(key)), set)).collect();
    let rows = done.local.rows.values().filter(|l| l.away.is_none()).count();
    let mut written = 0;
    for (table, list) in host {
        let columns = m.tables.get(*table).map_or(&[][..], |t| &t.columns);
        for row in list {
            let Some(set) = last.get(&(*table, encode(&row.key))) else { continue };
            written += 1;
            if columns.iter().zip(&row.values).any(|(c, has)| set.get(&c.name).is_some_and(|want| want != has)) {
                return false;
            }
        }
    }
    written == last.len() && host.values().map(Vec::len).sum::<usize>() == rows
}

/// While a record is held, the host's rows are as the image has them.
pub(super) fn held_local(p: &Prepared, mut local: Local) -> Local {
    local.rows.retain(|k, l| l.away.is_some() || p.image.rows.contains_key(k));
    for (k, row) in &p.image.rows {
        let entry = local.rows.entry(k.clone()).or_default();
        entry.key.clone_from(&row.host.key);
        entry.away = None;
    }
    local
}
