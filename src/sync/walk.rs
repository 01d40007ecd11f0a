//! Walk: conflict files where directories changed, and at a full look every file.

use super::settle::type_path;
use super::take::{DAY_MS, canonical_shard};
use super::work::Works;
use super::{Engine, Error};
use crate::folder::{Kind, Stat};
use crate::id::RecordId;
use crate::names::{self, DirName, FileName, Level};
use crate::planted;
use crate::report::BadFile;
use crate::xml;
use std::collections::{BTreeMap, BTreeSet};

/// A directory that was modified this recently may be modified again within its clock's grain.
const SETTLED_NS: i64 = 2_000_000_000;

/// A file, and what it was found to be; `None` forgets.
pub(super) type Mark = (String, Option<(Stat, String)>);

impl Engine<'_> {
    /// Looks for conflict files where directories changed, and at every file if `full`.
    pub(super) fn walk(&mut self, works: &mut Works, full: bool) -> Result<(), Error> {
        let mut queue: Vec<(String, Level)> = vec![(String::new(), Level::Top)];
        let known: Vec<(String, Level)> =
            self.dirs.keys().filter(|d| !d.is_empty() && *d != names::LOGS).map(|d| (d.clone(), if d.contains('/') { Level::Shard } else { Level::Type })).collect();
        queue.extend(known);
        let mut met: BTreeSet<String> = BTreeSet::new();
        let mut present: BTreeSet<RecordId> = BTreeSet::new();
        while let Some((dir, level)) = queue.pop() {
            if !met.insert(dir.clone()) {
                continue;
            }
            let Some(stat) = self.folder.stat(&dir)?.filter(|s| s.kind == Kind::Dir) else { continue };
            if !full && self.dirs.get(&dir) == Some(&stat.mtime_ns) {
                continue;
            }
            let Some(entries) = self.folder.list(&dir)? else { continue };
            let shard = canonical_shard(&dir);
            for (name, entry) in entries {
                let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
                match entry.kind {
                    Kind::Dir => {
                        let below = match level {
                            Level::Top => Level::Type,
                            _ => Level::Shard,
                        };
                        match names::classify_dir(level, &name) {
                            DirName::Own if level == Level::Top && name != names::RECORDS => {}
                            DirName::Internal(_) => {}
                            DirName::Other if level == Level::Top => {}
                            DirName::Own | DirName::Twin { .. } | DirName::Other => queue.push((path, below)),
                        }
                    }
                    Kind::File if level != Level::Top => self.meet_file(works, shard, &name, path, entry, full, &mut present)?,
                    Kind::File => {}
                    Kind::Other => self.bad(&path, "not a regular file; it was left alone", entry)?,
                }
            }
            self.remember_dir(&dir, stat)?;
        }
        if full {
            self.missing_files(works, &present)?;
            self.look_at_large()?;
        }
        Ok(())
    }

    pub(super) fn meet_file(
        &mut self,
        works: &mut Works,
        shard: Option<&str>,
        name: &str,
        path: String,
        stat: Stat,
        full: bool,
        present: &mut BTreeSet<RecordId>,
    ) -> Result<(), Error> {
        match names::classify_file(shard, name) {
            FileName::Canonical(id) => {
                present.insert(id);
                let seen = if full { self.file_stats()?.get(&id).copied() } else { self.state.number(&id)?.map(|_| None) };
                let news = seen.is_none_or(|seen| full && seen != Some((stat.size_bytes, stat.mtime_ns)));
                if news {
                    works.want(id).add_file(self.mapping, path);
                }
            }
            FileName::Conflict { explanation, .. } => {
                if self.state.seen_file(&path)?.is_some_and(|(s, m, o, _)| (s, m) == (stat.size_bytes, stat.mtime_ns) && !o.starts_with("incomplete")) {
                    return Ok(());
                }
                self.take_conflict(works, path, stat, &explanation)?;
            }
            FileName::Ours(_) => {
                // Left by a sync that was cut off; another program's may still be at work.
                let age = self.now() - stat.mtime_ns / 1_000_000;
                if age > DAY_MS {
                    self.folder.remove(&path)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// All records and how their files were last seen: one look-up for each of ten thousand files would
    /// read the whole table.
    fn file_stats(&mut self) -> Result<&BTreeMap<RecordId, Option<(u64, i64)>>, Error> {
        if self.file_stats.is_none() {
            self.file_stats = Some(self.state.file_stats()?);
        }
        Ok(self.file_stats.get_or_insert_default())
    }

    /// Opens what may be a copy of a record, whatever its name.
    pub(super) fn take_conflict(&mut self, works: &mut Works, path: String, stat: Stat, explanation: &str) -> Result<(), Error> {
        let bytes = match self.fetch(&path) {
            Ok(Some(b)) => b,
            Ok(None) => return Ok(()),
            Err(e) => return self.bad(&path, &e.to_string(), stat),
        };
        match xml::read_record(&bytes, &self.manifest.folder) {
            Ok(r) => {
                self.report.conflict_files.found += 1;
                self.conflicts.push((path.clone(), r.id, stat, explanation.to_owned()));
                let canonical = type_path(&r.kind, &r.id);
                if self.folder.stat(&canonical)?.is_none() {
                    // A client that renames both sides leaves none.
                    self.refile.insert(r.id);
                }
                let work = works.want(r.id);
                work.add_file(self.mapping, path);
                work.add_file(self.mapping, canonical);
                Ok(())
            }
            Err(xml::Error::Incomplete(why)) => Ok(self.state.set_seen_file(&path, stat.size_bytes, stat.mtime_ns, &format!("incomplete: {why}"), self.now())?),
            Err(e) => self.bad(&path, &e.to_string(), stat),
        }
    }

    /// Looks again at a file that was incomplete.
    pub(super) fn recheck(&mut self, works: &mut Works, path: &str, outcome: &str, since: i64) -> Result<(), Error> {
        let Some(stat) = self.folder.stat(path)? else {
            return Ok(self.state.drop_seen_file(path)?);
        };
        if self.now() - since > DAY_MS {
            self.report.bad_files.push(BadFile { path: path.to_owned(), reason: outcome.to_owned() });
        } else {
            self.report.pending += 1;
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        match names::classify_file(canonical_shard(dir), name) {
            FileName::Canonical(id) => {
                works.want(id).add_file(self.mapping, path.to_owned());
                Ok(())
            }
            _ => self.take_conflict(works, path.to_owned(), stat, "a copy that was incomplete before"),
        }
    }

    pub(super) fn bad(&mut self, path: &str, reason: &str, stat: Stat) -> Result<(), Error> {
        self.report.bad_files.push(BadFile { path: path.to_owned(), reason: reason.to_owned() });
        self.mark(path, Some((stat, format!("bad: {reason}"))))
    }

    /// Remembers what a file was found to be, or forgets it: at once, or while nothing may be written
    /// under the next lock. What a crash forgets is found again.
    pub(super) fn mark(&mut self, path: &str, outcome: Option<(Stat, String)>) -> Result<(), Error> {
        self.marks.push((path.to_owned(), outcome));
        if self.reading { Ok(()) } else { self.put_marks() }
    }

    /// Writes what was found out about files.
    pub(super) fn put_marks(&mut self) -> Result<(), Error> {
        for (path, outcome) in std::mem::take(&mut self.marks) {
            match outcome {
                Some((stat, outcome)) => self.state.set_seen_file(&path, stat.size_bytes, stat.mtime_ns, &outcome, self.now())?,
                None => self.state.drop_seen_file(&path)?,
            }
        }
        Ok(())
    }

    /// Remembers a directory's time, unless it is so fresh that a later change may not move it.
    pub(super) fn remember_dir(&mut self, dir: &str, stat: Stat) -> Result<(), Error> {
        let now_ns = self.now().saturating_mul(1_000_000);
        let settled = now_ns.saturating_sub(stat.mtime_ns) > SETTLED_NS;
        let value = if settled { stat.mtime_ns } else { -1 };
        if self.dirs.get(dir) != Some(&value) {
            self.dirs.insert(dir.to_owned(), value);
            self.new_dirs.insert(dir.to_owned(), value);
        }
        Ok(())
    }

    /// Record files that are gone: nothing is deleted; they are written again, unless so many are
    /// gone that a person must say so first.
    pub(super) fn missing_files(&mut self, works: &mut Works, present: &BTreeSet<RecordId>) -> Result<(), Error> {
        let mut gone = Vec::new();
        let mut total = 0u64;
        let seen: Vec<RecordId> = self.file_stats()?.iter().filter(|(_, seen)| seen.is_some()).map(|(id, _)| *id).collect();
        self.file_stats = None;
        // A client that renamed both versions left no file, but all that was in it.
        let renamed: BTreeSet<RecordId> = self.conflicts.iter().map(|(_, id, ..)| *id).collect();
        for id in seen {
            total += 1;
            if !present.contains(&id) && !renamed.contains(&id) {
                let Some(n) = self.state.number(&id)? else { continue };
                gone.push((id, n));
            }
        }
        let verdict = crate::safety::missing(gone.len() as u64, total);
        if verdict == crate::safety::Verdict::Hold && !self.options.rebuild && self.options.confirm.as_deref() != Some(&plan_token(&gone)) {
            self.report.notices.push(format!(
                "{} of {total} record files are gone from {}. Nothing was deleted, and nothing was written. Is the folder complete, is the cloud client signed in and finished? To write them again: cfs sync --full --yes={}",
                gone.len(),
                self.folder.place(),
                plan_token(&gone)
            ));
            self.refused = true;
            return Ok(());
        }
        self.report.rewritten += gone.len() as u64;
        for (id, n) in gone {
            self.state.set_file(n, None, None, true)?;
            let work = works.want(id);
            if planted::bug("missing-file-deletes") {
                work.orders.push(super::Order::Delete { row: crate::record::RowKey::new("patient", id), why: String::new(), by: None, request: None });
            }
            self.refile.insert(id);
        }
        Ok(())
    }
}

/// Binds a person's yes to exactly what was shown.
fn plan_token(gone: &[(RecordId, i64)]) -> String {
    let mut all = Vec::new();
    gone.iter().for_each(|(id, _)| all.extend(id.as_bytes()));
    xml::sha256_hex(&all)[..8].to_owned()
}
