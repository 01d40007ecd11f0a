//! Large values on their way in: known by their hash from wherever they come, fetched from the
//! folder where the host does not hold them, and kept before an apply writes over them.

use super::settle::Prepared;
use super::take::DAY_MS;
use super::work::Works;
use super::{Engine, Error};
use crate::folder::Kind;
use crate::host::local::{Away, Local};
use crate::host::mapping::Role;
use crate::id::SiteId;
use crate::merge::{self, Change, Life, Seen};
use crate::names::{self, DirName, Level};
use crate::record::{Entry, FieldKey, Place as At, Record, Row, RowKey};
use crate::report::BadFile;
use crate::state::{self, Place, Use};
use crate::value::{Hash, Large, MAX_VALUE_BYTES, Value, hash};
use crate::version::Version;
use std::collections::BTreeSet;

impl Prepared {
    /// Whether the host, as it was looked at, has a value in a field.
    fn holds(&self, (row, field): At<'_>, large: Large) -> bool {
        self.image.rows.get(row).and_then(|r| r.fields.get(field)).and_then(Value::stored) == Some(large)
    }

    /// The same, and applying what is known leaves it there.
    fn leaves(&self, m: &crate::host::mapping::Mapping, at: At<'_>, large: Large) -> bool {
        self.lives.get(at.0) == Some(&Life::Live) && self.holds(at, large) && shows(m, &self.known, at, large)
    }

    /// What the user of the host has seen of the record: not what had not come yet.
    pub(super) fn seen_by_host(&self, site: SiteId) -> Version {
        let mut seen = merge::seen_by_host(&self.known, &self.applied, site);
        if !self.awaited.is_empty() {
            let fields = self.known.rows.values().flat_map(|r| r.fields.values());
            let unseen = fields.flat_map(|f| f.0.iter()).filter(|e| e.value.stored().is_some_and(|l| self.awaited.contains(&l)));
            unseen.for_each(|e| merge::unsee(&mut seen, &self.applied, e.stamp));
        }
        seen
    }

    /// The same, of a row and what hangs from it: rows that others wrote and that wait for what they point to were
    /// never shown here either.
    pub(super) fn seen_below(&self, site: SiteId, top: &RowKey) -> Version {
        let mut seen = self.seen_by_host(site);
        let waiting = |k: &RowKey| self.stored.local.rows.get(k).is_some_and(|l| l.away == Some(Away::Waiting));
        for row in merge::tree(&self.known, top).iter().filter(|k| waiting(k)).filter_map(|k| self.known.rows.get(k)) {
            let stamps = row.fields.values().flat_map(|f| f.0.iter().map(|e| e.stamp));
            stamps.filter(|s| s.site != site).for_each(|s| merge::unsee(&mut seen, &self.applied, s));
        }
        seen
    }

    /// Whoever writes over a value that had not come has not seen it: it stays, superseded.
    pub(super) fn mark_unseen(&self, changes: &mut [Change]) {
        for c in changes.iter_mut().filter(|_| !self.awaited.is_empty()) {
            let was = self.applied.rows.get(&c.row).and_then(|r| r.fields.get(&c.field)).and_then(|f| f.current());
            if was.and_then(|e| e.value.stored()).is_some_and(|l| self.awaited.contains(&l)) {
                c.seen = Seen::Nothing;
            }
        }
    }

    /// What the host was last given, for a record that it does not take now. What had not come then
    /// was never shown, though its content may be here by now.
    pub(super) fn applied_so_far(&self) -> Record {
        self.without_awaited(&self.applied)
    }

    /// A record as somebody here may have seen it: what had not come is not in it.
    pub(super) fn without_awaited(&self, r: &Record) -> Record {
        let mut seen = r.clone();
        if !self.awaited.is_empty() {
            let awaited = |e: &Entry| e.value.stored().is_some_and(|l| self.awaited.contains(&l));
            for row in seen.rows.values_mut() {
                row.fields.retain(|_, f| {
                    f.0.retain(|e| !awaited(e));
                    !f.0.is_empty()
                });
            }
        }
        seen
    }

    /// A field of the host that has a value.
    fn held_at(&self, large: Large) -> Option<(RowKey, FieldKey)> {
        let mut fields = self.image.rows.iter().flat_map(|(k, r)| r.fields.iter().map(move |(f, v)| (k, f, v)));
        fields.find(|(_, _, v)| v.stored() == Some(large)).map(|(k, f, _)| (k.clone(), f.clone()))
    }
}

/// Whether a record shows a value in a field of a column that this host has.
fn shows(m: &crate::host::mapping::Mapping, known: &Record, (row, field): At<'_>, large: Large) -> bool {
    let column = m.table(&row.table).and_then(|t| m.tables.get(t)).and_then(|t| t.column(&field.name));
    let Some(column) = column.filter(|c| matches!(c.role, Role::Data | Role::Local { .. })) else { return false };
    known.rows.get(row).and_then(|r| r.fields.get(field)).and_then(|f| merge::shown(f, column.rule)).as_deref().and_then(Value::stored) == Some(large)
}

impl Engine<'_> {
    /// Turns large content that stands in a record itself into its hash. It is kept: whoever wrote
    /// the record so did not put it under `blobs/`.
    /// Gives whether there was any.
    pub(super) fn by_hash(&mut self, r: &mut Record) -> Result<bool, Error> {
        let inlined = r.take_inlined();
        if !inlined.is_empty() {
            // What only reads cannot write.
            self.stop_reading()?;
        }
        for (hash, bytes) in &inlined {
            self.state.keep_bytes(hash, bytes, self.now())?;
        }
        Ok(!inlined.is_empty())
    }

    /// Large values that were not here when a record was last stored.
    pub(super) fn awaited_in(&self, n: i64, known: &Record) -> Result<BTreeSet<Large>, Error> {
        if !known.has_large() {
            return Ok(BTreeSet::new());
        }
        Ok(self.state.uses(n)?.into_iter().filter(|u| u.place == Place::Awaited).map(|u| u.large).collect())
    }

    /// Fetches the content that a record needs beyond what the host holds where it belongs.
    pub(super) fn fetch_large(&mut self, p: &Prepared) -> Result<(), Error> {
        // Not while the host waits for the lock: the next sync looks for it before anything else.
        if !p.has().large {
            return Ok(());
        }
        self.stop_reading()?;
        if !self.conn.is_autocommit() {
            return Ok(());
        }
        for (large, places) in p.known.large() {
            let in_place = places.iter().all(|at| p.leaves(self.mapping, *at, large));
            if !in_place && p.held_at(large).is_none() {
                self.fetch_one(large)?;
            }
        }
        Ok(())
    }

    /// Makes content be among ours, if it can be had: from another record's row, or the folder.
    fn fetch_one(&mut self, large: Large) -> Result<bool, Error> {
        Ok(self.keep_from_host(large)? || self.read_large(large)?)
    }

    /// Makes content be among ours if a row of the host has it.
    pub(super) fn keep_from_host(&mut self, large: Large) -> Result<bool, Error> {
        if self.state.has_bytes(large)? {
            return Ok(true);
        }
        let bytes = self.lookup.host_content(large)?;
        if let Some(b) = &bytes {
            self.state.keep_bytes(&large.0, b, self.now())?;
        }
        Ok(bytes.is_some())
    }

    /// Keeps content from the folder, if it is there. Neither a name nor a size is trusted.
    fn read_large(&mut self, large: Large) -> Result<bool, Error> {
        for (path, mtime) in self.files_of(large)? {
            let bytes = match self.folder.read(&path, MAX_VALUE_BYTES) {
                Ok(Some(b)) => b,
                Ok(None) => continue,
                Err(e) => {
                    self.report.bad_files.push(BadFile { path, reason: e.to_string() });
                    continue;
                }
            };
            self.report.files_read += 1;
            self.report.bytes_read += bytes.len() as u64;
            if bytes.len() as u64 == large.1 && hash(&bytes) == large.0 {
                self.state.keep_bytes(&large.0, &bytes, self.now())?;
                if path == names::blob_path(&large.0) {
                    self.state.set_whole(&large.0, (large.1, mtime))?;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Files of the right size that may hold a content: its own, or copies of it that clients made.
    fn files_of(&self, (hash, size_bytes): Large) -> Result<Vec<(String, i64)>, Error> {
        let fits = |path: String| -> Result<Option<(String, i64)>, Error> {
            let stat = self.folder.stat(&path)?.filter(|s| s.kind == Kind::File && s.size_bytes == size_bytes);
            Ok(stat.map(|s| (path, s.mtime_ns)))
        };
        if size_bytes > MAX_VALUE_BYTES as u64 {
            return Ok(Vec::new());
        }
        let mut out: Vec<(String, i64)> = fits(names::blob_path(&hash))?.into_iter().collect();
        // Clients seldom copy what is the same everywhere: looked for with the daily full look.
        if out.is_empty() && self.report.full {
            for path in self.copies_of(&hash)? {
                out.extend(fits(path)?);
            }
        }
        Ok(out)
    }

    /// Every file whose name holds a content's hash, in its directory and in twins of that.
    pub(super) fn copies_of(&self, hash: &Hash) -> Result<Vec<String>, Error> {
        let own = names::blob_path(hash);
        let (Some((dir, name)), Some((_, shard))) = (own.rsplit_once('/'), own.rsplit_once('/').and_then(|(d, _)| d.split_once('/'))) else { return Ok(Vec::new()) };
        let twin = |n: &str| matches!(names::classify_dir(Level::Top, n), DirName::Twin { of, .. } if of == names::BLOBS);
        let mut dirs = vec![dir.to_owned()];
        for (top, stat) in self.folder.list("")?.unwrap_or_default() {
            if stat.kind == Kind::Dir && twin(&top) {
                dirs.push(format!("{top}/{shard}"));
            }
        }
        for (sub, stat) in self.folder.list(names::BLOBS)?.unwrap_or_default() {
            if stat.kind == Kind::Dir && sub != shard && sub.starts_with(shard) {
                dirs.push(format!("{}/{sub}", names::BLOBS));
            }
        }
        let mut out = Vec::new();
        for dir in dirs {
            let list = self.folder.list(&dir)?.unwrap_or_default();
            out.extend(list.into_iter().filter(|(n, s)| s.kind == Kind::File && n.contains(name)).map(|(n, _)| format!("{dir}/{n}")));
        }
        Ok(out)
    }

    /// Records that wait for content which may be here now are looked at again.
    pub(super) fn look_for_large(&mut self, works: &mut Works) -> Result<(), Error> {
        for a in self.state.awaited()? {
            let here = self.state.has_bytes(a.large)? || self.state.users(&a.large.0)?.iter().any(|(_, p)| *p != Place::Awaited);
            if here || !self.files_of(a.large)?.is_empty() {
                works.want(a.id).dirty = true;
            }
        }
        Ok(())
    }

    /// Counts what is still not here.
    pub(super) fn count_awaited(&mut self) -> Result<(), Error> {
        let mut late = BTreeSet::new();
        for a in self.state.awaited()? {
            self.report.pending += 1;
            if self.now() - a.since > DAY_MS && late.insert(a.large) {
                let path = names::blob_path(&a.large.0);
                let reason = match self.folder.stat(&path)? {
                    None => "a large value that a record refers to did not come within a day; any site that has it writes it with its daily full look",
                    Some(s) if s.size_bytes == a.large.1 => "a large value whose content does not match its name",
                    Some(_) => "a large value that is not whole",
                };
                self.report.bad_files.push(BadFile { path, reason: reason.to_owned() });
            }
        }
        Ok(())
    }

    /// Before a record is applied: copies out of the host what it will no longer hold where the
    /// record has it. The caller holds the lock.
    pub(super) fn keep_large(&mut self, p: &Prepared) -> Result<(), Error> {
        self.keep_whole(p)?;
        if !p.has().large {
            return Ok(());
        }
        for (large, places) in p.known.large() {
            if places.iter().all(|at| p.leaves(self.mapping, *at, large)) || self.state.has_bytes(large)? {
                continue;
            }
            let Some((row, field)) = p.held_at(large) else { continue };
            let host = p.image.rows.get(&row).map(|r| (r.table, r.host.key.clone()));
            let Some((t, key)) = host.and_then(|(t, key)| Some((self.mapping.tables.get(t)?, key))) else { continue };
            let bytes = crate::host::rows::content(self.conn, t, &field.name, &key)?;
            if let Some(b) = bytes.filter(|b| hash(b) == large.0) {
                self.state.keep_bytes(&large.0, &b, self.now())?;
            }
        }
        Ok(())
    }

    /// What a settled record refers to, and where the content of that is from now on.
    pub(super) fn uses_of(&self, p: &Prepared, local: &Local, flags: i64) -> Result<Vec<Use>, Error> {
        let mut out = Vec::new();
        if !p.has().large {
            return Ok(out);
        }
        let refused = flags & state::HELD != 0;
        for (large, places) in p.known.large() {
            let there = |at: &At<'_>| {
                if refused || at.1.place.is_some() {
                    return p.holds(*at, large);
                }
                let row = local.rows.get(at.0).filter(|l| l.away.is_none() && !l.differs.contains_key(&at.1.name));
                row.is_some() && p.lives.get(at.0) == Some(&Life::Live) && shows(self.mapping, &p.known, *at, large)
            };
            let place = if places.iter().all(there) {
                Place::Host
            } else if self.state.has_bytes(large)? {
                Place::Ours
            } else {
                Place::Awaited
            };
            out.push(Use { large, place });
        }
        Ok(out)
    }

    /// Stores what a record refers to. `before` is the record as it was stored, with its number.
    pub(super) fn note_uses(&mut self, n: i64, before: &Record, now: &Record, uses: &[Use]) -> Result<(), Error> {
        if uses.is_empty() && !before.has_large() && now.erased.is_none() {
            return Ok(());
        }
        let now_ms = self.now();
        self.state.set_uses(n, uses, now_ms)?;
        for (hash, places) in before.large().into_iter().map(|((h, _), p)| (h, p)) {
            if uses.iter().any(|u| u.large.0 == hash) {
                continue;
            }
            // Written over: the file may stay for a while. Erased or stripped: it must not.
            let bare = |(row, _): &At<'_>| now.rows.get(*row).is_some_and(Row::is_bare);
            self.state.left(n, &hash, now.erased.is_some() || places.iter().any(bare), now_ms)?;
            self.spare.insert(hash);
        }
        if now.erased.is_some() {
            self.state.left_erased(n)?;
        }
        self.spare.extend(uses.iter().map(|u| u.large.0));
        Ok(())
    }

    /// Drops content that is needed here no more, once no record is prepared that counts on it.
    pub(super) fn drop_spare(&mut self) -> Result<(), Error> {
        let spare = std::mem::take(&mut self.spare);
        Ok(spare.difference(&self.whole.large).try_for_each(|h| self.state.drop_spare_bytes(h))?)
    }
}
