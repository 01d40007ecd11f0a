//! Give: writes the record files, then the segment that tells of them, then the site file.

use super::pipeline::{Batch, Written};
use super::settle::type_path;
use super::timer::At;
use super::{Engine, Error};
use crate::folder;
use crate::id::RecordId;
use crate::log::{Item, MAX_DELTA_BYTES, MAX_SEGMENT_BYTES, Segment};
use crate::names;
use crate::planted;
use crate::record::Delta;
use crate::report::BadFile;
use crate::site::Site;
use crate::stamp::{Stamp, Time};
use crate::state::Stored;
use crate::xml::MAX_FILE_BYTES;
use crate::xml::seal_of;
use std::collections::BTreeSet;

/// How many record files are written between two flushes of the disk, at most.
const BATCH_FILES: usize = 512;
/// How many bytes of them, unless one alone is larger. Three batches are in memory at a time.
const BATCH_BYTES: usize = 2 << 20;

impl Engine<'_> {
    /// Stores what is to be sent about a record. Called under the same lock as the record itself.
    pub(super) fn send(&mut self, id: &RecordId, delta: &Delta, stored: &Stored, hash: &str) -> Result<(), Error> {
        if !self.settings.use_logs {
            return Ok(());
        }
        let stamp = delta.part.version.0.get(&self.site).map(|t| Stamp { time: *t, site: self.site });
        let Some(stamp) = stamp else { return Ok(()) };
        let named = Item::Named { kind: stored.known.kind.clone(), id: *id, sha256: hash.to_owned(), stamp };
        // Rows of fifty bytes at least: no need to write what is surely too large.
        let large = delta.part.rows.len() * 50 > MAX_DELTA_BYTES;
        // A row that is there again and was stripped: a delta would say that it is empty.
        let awaited = delta.part.rows.values().any(|r| !delta.before.covers(&r.stamp) && r.is_bare());
        let name_it = awaited || self.report.exported >= self.env.bulk || self.bulk || large;
        let delta = (!name_it).then(|| Item::Delta(delta.clone().into()).alone(&self.manifest.folder));
        match delta.filter(|d| d.len() <= MAX_DELTA_BYTES) {
            Some(d) => self.state.push_out(id, &d)?,
            None => self.state.push_item(&named)?,
        }
        Ok(())
    }

    /// Writes the record files that are due. What cannot be written stays due.
    pub(super) fn give_files(&mut self, all: bool) -> Result<(), Error> {
        self.timed(At::Write, |e| e.give_files_now(all))
    }

    fn give_files_now(&mut self, all: bool) -> Result<(), Error> {
        if !self.written_over.is_empty() {
            return Ok(());
        }
        if planted::bug("log-before-data") {
            self.seal()?;
            self.give_segments()?;
        }
        while let Some(n) = self.batch(all) {
            let due: Vec<_> = self.due.drain(..n).collect();
            let due = self.with_large(due)?;
            if due.is_empty() {
                continue;
            }
            let (ids, files): (Vec<RecordId>, Vec<(String, Vec<u8>)>) = due.into_iter().map(|(id, path, bytes)| (id, (path, bytes))).unzip();
            let names = ids.iter().map(|_| self.env.random.hex()).collect();
            self.make_durable()?;
            self.write_batch(Batch { ids, files, names })?;
        }
        Ok(())
    }

    /// How many of the files that are due make a batch; none while it is not a full one.
    fn batch(&self, all: bool) -> Option<usize> {
        let (mut n, mut size_bytes) = (0, 0);
        for (_, _, bytes) in &self.due {
            n += 1;
            size_bytes += bytes.len();
            if n >= BATCH_FILES || size_bytes >= BATCH_BYTES {
                return Some(n);
            }
        }
        (all && n > 0).then_some(n)
    }

    /// Remembers what became of a batch of files.
    pub(super) fn batch_written(&mut self, batch: Batch, results: Written) -> Result<(), Error> {
        let mut done = Vec::new();
        for ((id, (path, bytes)), result) in batch.ids.iter().zip(&batch.files).zip(results) {
            match result {
                Ok(stat) => {
                    self.report.files_written += 1;
                    self.report.bytes_written += bytes.len() as u64;
                    done.push((*id, seal_of(bytes), stat));
                }
                Err(e) => {
                    self.undelivered = true;
                    self.note_full(&e, Some(batch.files.iter().map(|f| f.1.len()).sum()));
                    self.report.bad_files.push(BadFile { path: path.clone(), reason: e.to_string() });
                }
            }
        }
        // What was settled once more meanwhile is still to be written.
        let again: BTreeSet<RecordId> = self.due.iter().map(|(id, _, _)| *id).collect();
        self.lock()?;
        for (id, hash, stat) in done {
            if let Some(n) = self.state.number(&id)? {
                self.state.set_file(n, Some(&hash), Some((stat.size_bytes, stat.mtime_ns)), again.contains(&id))?;
            }
        }
        self.unlock()
    }

    /// Says once that the disk is full, if it is.
    pub(super) fn note_full(&mut self, e: &folder::Error, need_bytes: Option<usize>) {
        if e.is_full() && !self.report.notices.iter().any(|n| n.contains("is full")) {
            let need = need_bytes.map_or(String::new(), |n| format!(": {n} bytes are needed to send the next batch"));
            self.report.notices.push(format!("the disk of {} is full{need}; nothing is lost, it is tried again at the next sync", self.folder.place()));
        }
    }

    /// Writes records' files that an earlier sync left due.
    pub(super) fn give_left_over(&mut self) -> Result<(), Error> {
        for id in self.state.files_due()? {
            if self.due.iter().any(|(d, _, _)| *d == id) {
                continue;
            }
            if let Some(s) = self.state.load(&id)? {
                let bytes = crate::xml::write_record(&s.known, &self.manifest.folder);
                self.due.push((id, type_path(&s.known.kind, &id), bytes));
            }
            self.give_files(false)?;
        }
        self.give_files(true)
    }

    /// Decides the bytes of the next segments, so that a crash writes the same again.
    pub(super) fn seal(&mut self) -> Result<(), Error> {
        if self.state.out_count()? == 0 {
            return Ok(());
        }
        self.lock()?;
        let mut seq: i64 = self.state.meta("seq")?.unwrap_or(0);
        let mut previous: String = self.state.meta("seq_hash")?.unwrap_or_default();
        let mut q = self.conn.prepare("SELECT o, item, size, id FROM cfs_out ORDER BY o")?;
        let mut rows = q.query([])?;
        let mut items: Vec<Item> = Vec::new();
        let mut size = 0usize;
        let mut last = 0i64;
        loop {
            let row = rows.next()?;
            let next = match &row {
                Some(r) => Some((r.get::<_, i64>(0)?, self.state.out_item(&r.get::<_, Vec<u8>>(3)?, r.get_ref(1)?)?, r.get::<_, i64>(2)?)),
                None => None,
            };
            let full = next.as_ref().is_some_and(|(_, _, s)| size + s.unsigned_abs() as usize > MAX_SEGMENT_BYTES);
            if (next.is_none() || full) && !items.is_empty() {
                seq += 1;
                let s = Segment { site: self.site, seq: seq.unsigned_abs(), previous: previous.clone(), items: std::mem::take(&mut items) };
                let bytes = s.write(&self.manifest.folder);
                previous = seal_of(&bytes);
                self.conn.prepare_cached("INSERT INTO cfs_segment (seq, bytes) VALUES (?1, ?2)")?.execute(rusqlite::params![seq, bytes])?;
                size = 0;
            }
            let Some((o, item, bytes)) = next else { break };
            items.push(item);
            size += bytes.unsigned_abs() as usize;
            last = o;
        }
        drop(rows);
        drop(q);
        self.conn.execute("DELETE FROM cfs_out WHERE o <= ?1", [last])?;
        self.state.set_meta("seq", seq)?;
        self.state.set_meta("seq_hash", previous)?;
        self.unlock()
    }

    /// Writes segments whose bytes are decided, then the site file that announces them.
    pub(super) fn give_segments(&mut self) -> Result<(), Error> {
        if self.undelivered && !planted::bug("told-undelivered") {
            // A log must not name data that is neither in the folder nor in it.
            return Ok(());
        }
        let segments: Vec<(i64, Vec<u8>)> = {
            let mut q = self.conn.prepare("SELECT seq, bytes FROM cfs_segment ORDER BY seq")?;
            let rows = q.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        if planted::bug("announced-early") {
            self.give_site()?;
        }
        for (seq, bytes) in segments {
            let path = names::log_path(&self.site, seq.unsigned_abs());
            // A segment is written once: what stands there already is the same, or another's.
            if self.folder.read(&path, MAX_FILE_BYTES)?.as_deref() != Some(&bytes) {
                self.write_one(path, bytes)?;
            }
            self.state.drop_decided(seq.unsigned_abs())?;
        }
        Ok(())
    }

    pub(super) fn write_one(&mut self, path: String, bytes: Vec<u8>) -> Result<folder::Stat, Error> {
        let size = bytes.len() as u64;
        self.make_durable()?;
        let random = &mut self.env.random;
        let mut out = self.folder.write(&[(path, bytes)], &mut || random.hex());
        let stat = out.pop().unwrap_or(Err(folder::Error::NotAFile(String::new())))?;
        self.report.files_written += 1;
        self.report.bytes_written += size;
        Ok(stat)
    }

    /// Writes this site's file if it says something new, or is a day old.
    pub(super) fn give_site(&mut self) -> Result<(), Error> {
        let newest = if self.undelivered { self.state.meta::<i64>("announced")?.unwrap_or(0) } else { self.state.meta("seq")?.unwrap_or(0) };
        let mut read = std::collections::BTreeMap::new();
        for id in self.state.peers()? {
            let upto = self.state.peer(&id)?.upto;
            if upto > 0 {
                read.insert(id, upto);
            }
        }
        let now_ms = self.env.now.ms();
        let site = Site {
            id: self.site,
            name: self.site_name.clone(),
            written: Time { ms: now_ms.min(crate::stamp::MAX_MS), counter: 0 },
            program: env!("CARGO_PKG_VERSION").to_owned(),
            logs: self.settings.use_logs,
            newest: newest.unsigned_abs(),
            newest_sha256: if newest == 0 { String::new() } else { self.state.meta("seq_hash")?.unwrap_or_default() },
            oldest: self.state.meta::<i64>("oldest")?.unwrap_or(1).unsigned_abs(),
            read,
            withdrawn: self.withdrawn()?,
            retired: self.state.retired()?,
            columns: self.mapping.tables.iter().map(|t| t.columns.len() as u64).sum(),
            before: self.state.meta_uuid("site_before")?,
        };
        let old = self.state.meta::<Vec<u8>>("site_file")?;
        let same = old.as_ref().and_then(|b| Site::read(b, &self.manifest.folder).ok()).is_some_and(|o| {
            let idle_ms = now_ms.saturating_sub(o.written.ms);
            Site { written: o.written, ..site.clone() } == o && idle_ms < 86_400_000
        });
        let path = names::site_path(&self.site);
        if same && self.folder.stat(&path)?.is_some() {
            return Ok(());
        }
        let bytes = site.write(&self.manifest.folder);
        match self.write_one(path, bytes.clone()) {
            // Announced with the next synchronization that finds room.
            Err(Error::Folder(e)) if e.is_full() => {
                self.note_full(&e, None);
                return Ok(());
            }
            done => drop(done?),
        }
        self.state.set_meta("site_file", bytes)?;
        self.state.set_meta("announced", newest)?;
        Ok(())
    }

    /// Deletes the conflict files that are now wholly in their canonical files, or remembers them.
    pub(super) fn clear_conflicts(&mut self) -> Result<(), Error> {
        let now = self.now();
        if self.conflicts.is_empty() {
            return Ok(());
        }
        let due: BTreeSet<RecordId> = self.state.files_due()?.into_iter().collect();
        for (path, id, stat, explanation) in std::mem::take(&mut self.conflicts) {
            // As it was written: what a client renamed away, or has in part only, holds nothing of the copy.
            let Some((kind, _, _)) = self.state.root_of(&id)? else { continue };
            let written = self.state.number(&id)?.map(|n| self.state.file_stat(n)).transpose()?.flatten();
            let there = self.folder.stat(&type_path(&kind, &id))?.map(|s| (s.size_bytes, s.mtime_ns));
            if (written.is_none() || written != there || due.contains(&id)) && !planted::bug("copy-deleted-early") {
                continue;
            }
            if !explanation.is_empty() {
                self.report.conflict_files.merged += 1;
                let mut line = self.change(id, "", None, None, "conflict file", None);
                line.old = Some(path.clone());
                line.new = Some(explanation.clone());
                self.log_all(&[line])?;
                let unchanged = self.folder.stat(&path)?.is_some_and(|s| (s.size_bytes, s.mtime_ns) == (stat.size_bytes, stat.mtime_ns));
                if self.settings.delete_conflicts && unchanged {
                    self.folder.remove(&path)?;
                    self.report.conflict_files.deleted += 1;
                    self.state.drop_seen_file(&path)?;
                    continue;
                }
            }
            self.state.set_seen_file(&path, stat.size_bytes, stat.mtime_ns, "conflict: merged", now)?;
        }
        Ok(())
    }
}
