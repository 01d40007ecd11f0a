//! Reads everything on both sides and says every difference.

mod records;

use super::{Error, Synchronizer};
use crate::folder::{Folder, Kind};
use crate::host::key::encode;
use crate::host::rows;
use crate::id::{RecordId, Uuid};
use crate::log::Segment;
use crate::merge;
use crate::names::{self, DirName, FileName, Level};
use crate::report::Report;
use crate::site::Site;
use crate::sync::{Options, Progress};
use crate::xml::{self, MAX_FILE_BYTES};
use serde::Serialize;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `database`, `state`, `record`, `file`, `log` or `site`.
    pub about: &'static str,
    /// The record, if it is about one.
    pub record: Option<String>,
    /// The path in the folder, if it is about a file.
    pub path: Option<String>,
    /// What is not the same, in words.
    pub words: String,
}

/// What was read, and what is not the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Record files read.
    pub files: u64,
    /// Large values read.
    pub blobs: u64,
    /// Log segments read.
    pub segments: u64,
    /// Site files read.
    pub sites: u64,
    /// What is not the same.
    pub differences: Vec<Difference>,
    /// What is as it should be, though not the same everywhere: held, waiting, kept by a setting.
    pub notes: Vec<Difference>,
    /// The synchronization that repaired what could be repaired.
    pub repair: Option<Report>,
}

impl Verified {
    pub(super) fn differs(&mut self, about: &'static str, record: Option<&RecordId>, path: Option<&str>, words: impl Into<String>) {
        self.differences.push(Difference { about, record: record.map(Uuid::to_string), path: path.map(str::to_owned), words: words.into() });
    }

    fn note(&mut self, about: &'static str, record: Option<&RecordId>, path: Option<&str>, words: impl Into<String>) {
        self.notes.push(Difference { about, record: record.map(Uuid::to_string), path: path.map(str::to_owned), words: words.into() });
    }
}

impl Synchronizer {
    /// Reads everything on both sides. Nothing is changed.
    pub fn verify(&self, progress: Progress<'_>) -> Result<Verified, Error> {
        let database = self.config.database.clone();
        // SQLite's own check reads all of the file, and needs nothing of ours.
        let check = std::thread::spawn(move || verify_database(&super::open_database(&database)?));
        let mut v = Verified::default();
        self.verify_records(&mut v, progress)?;
        self.verify_roots(&mut v)?;
        self.verify_files(&mut v, progress)?;
        self.verify_logs(&mut v)?;
        self.verify_sites(&mut v)?;
        let found = check.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        v.differences.splice(0..0, found.differences);
        v.notes.splice(0..0, found.notes);
        Ok(v)
    }

    /// The same after a full synchronization that writes everything that differs.
    pub fn repair(&self, progress: Progress<'_>) -> Result<Verified, Error> {
        self.look_again()?;
        let report = self.sync_now(&Options { full: true, scan: true, ..Options::default() }, progress)?;
        let mut v = self.verify(progress)?;
        v.repair = Some(report);
        Ok(v)
    }

    /// Forgets how files that are not as known were last seen, so that the next full look reads
    /// them, and has torn ones written again.
    fn look_again(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        let state = self.state()?;
        for id in state.all(None)? {
            let Ok(Some(stored)) = state.load(&id) else { continue };
            let file = self.file_view(&stored.known)?;
            if matches!(file.state, "differs" | "torn") {
                state.set_file(stored.n, None, Some((0, 0)), file.state == "torn")?;
            }
        }
        self.doubt_large(&state)
    }

    /// Root rows of the host that no synchronization has seen.
    fn verify_roots(&self, v: &mut Verified) -> Result<(), Error> {
        let state = self.state()?;
        for (n, kind) in self.mapping.types.iter().enumerate() {
            let mut new = 0u64;
            rows::roots(&self.conn, &self.mapping, n, &mut |key, _| {
                new += u64::from(!encode(&key).is_empty() && state.by_root_key(&kind.name, &key)?.is_none());
                Ok::<_, Error>(())
            })?;
            if new > 0 {
                v.differs("record", None, None, format!("rows of {} in the database only: {new}; the next synchronization sends them", kind.name));
            }
        }
        Ok(())
    }

    /// Files that are not a known record's own.
    fn verify_files(&self, v: &mut Verified, progress: Progress<'_>) -> Result<(), Error> {
        let state = self.state()?;
        let mut queue: Vec<(String, Level)> = vec![(String::new(), Level::Top)];
        while let Some((dir, level)) = queue.pop() {
            let mut parts = dir.split('/');
            let shard = match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(names::RECORDS), Some(_), Some(s), None) if s.len() == 2 => Some(s),
                _ => None,
            };
            for (name, entry) in self.folder.list(&dir)?.unwrap_or_default() {
                let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
                if entry.kind == Kind::Dir {
                    match names::classify_dir(level, &name) {
                        DirName::Internal(_) => {}
                        _ if level == Level::Top && !is_records(&name) => {}
                        _ => queue.push((path, if level == Level::Top { Level::Type } else { Level::Shard })),
                    }
                    continue;
                }
                if level == Level::Top {
                    continue;
                }
                match names::classify_file(shard, &name) {
                    FileName::Canonical(id) => {
                        v.files += 1;
                        progress("reading files", v.files, 0);
                        if state.number(&id)?.is_none() {
                            match self.read_record(&path)? {
                                Ok(r) if r.id == id => v.differs("file", Some(&id), Some(&path), "a record that is not known here; the next full synchronization takes it in"),
                                Ok(_) => v.differs("file", None, Some(&path), "another record is in it"),
                                Err(why) => v.differs("file", None, Some(&path), why),
                            }
                        }
                    }
                    FileName::Conflict { client, explanation } => match self.read_record(&path)? {
                        Ok(r) => {
                            let merged = state.load(&r.id)?.is_some_and(|s| merge::join(&s.known, &r) == s.known);
                            let words = format!("a conflict file ({client}: {explanation})");
                            match merged {
                                true if self.config.delete_conflicts => v.differs("file", Some(&r.id), Some(&path), format!("{words}; all in it is known, it can go")),
                                true => v.note("file", Some(&r.id), Some(&path), format!("{words}; all in it is known, it is kept because delete_conflicts is off")),
                                false => v.differs("file", Some(&r.id), Some(&path), format!("{words} with something that is not known here yet")),
                            }
                        }
                        Err(why) => v.note("file", None, Some(&path), format!("no record of this folder ({why}); left alone")),
                    },
                    FileName::Placeholder(client) => v.differs(
                        "file",
                        None,
                        Some(&path),
                        format!("a placeholder of {client}: its content is not on this computer; tell {client} to keep the folder on this device"),
                    ),
                    FileName::InFlight(client) => v.note("file", None, Some(&path), format!("still on its way ({client})")),
                    FileName::Ours(_) => v.note("file", None, Some(&path), "a temporary file that a crash left; it is swept when it is old"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn read_record(&self, path: &str) -> Result<Result<crate::record::Record, String>, Error> {
        let folder = self.state()?.folder;
        Ok(match self.folder.read(path, MAX_FILE_BYTES) {
            Ok(Some(b)) => xml::read_record(&b, &folder).map_err(|e| e.to_string()),
            Ok(None) => Err("it is gone again".to_owned()),
            Err(e) => Err(e.to_string()),
        })
    }

    fn verify_logs(&self, v: &mut Verified) -> Result<(), Error> {
        let folder = self.state()?.folder;
        for (site, entry) in self.folder.list(names::LOGS)?.unwrap_or_default() {
            let (Kind::Dir, Ok(id)) = (entry.kind, Uuid::parse_str(&site)) else { continue };
            let mut last: Option<(u64, String)> = None;
            // What an erasure took away is no gap.
            let site_file = self.folder.read(&names::site_path(&id), MAX_FILE_BYTES).ok().flatten();
            let withdrawn = site_file.and_then(|b| Site::read(&b, &folder).ok()).map(|s| s.withdrawn).unwrap_or_default();
            let dir = format!("{}/{site}", names::LOGS);
            let mut numbers: Vec<u64> = self.folder.list(&dir)?.unwrap_or_default().iter().filter_map(|(n, _)| Segment::number(n)).collect();
            numbers.sort_unstable();
            for n in numbers {
                let path = names::log_path(&id, n);
                let bytes = match self.folder.read(&path, MAX_FILE_BYTES) {
                    Ok(Some(b)) => b,
                    Ok(None) => continue,
                    Err(e) => {
                        v.differs("log", None, Some(&path), e.to_string());
                        continue;
                    }
                };
                v.segments += 1;
                match Segment::read(&bytes, &folder) {
                    Ok((s, _)) if s.site != id || s.seq != n => v.differs("log", None, Some(&path), "holds another site's or another number's segment"),
                    Ok((s, hash)) => {
                        let (before, follows) = last.as_ref().map_or((n.saturating_sub(1), true), |(m, hash)| (*m, *hash == s.previous));
                        if (before + 1..n).any(|m| !withdrawn.contains(&m)) {
                            v.differs("log", None, Some(&path), format!("segments {} to {} before it are missing", before + 1, n - 1));
                        } else if before + 1 == n && !follows {
                            v.differs("log", None, Some(&path), "does not follow the segment before it");
                        }
                        last = Some((n, hash));
                    }
                    Err(e) => v.differs("log", None, Some(&path), e.to_string()),
                }
            }
        }
        Ok(())
    }

    fn verify_sites(&self, v: &mut Verified) -> Result<(), Error> {
        let state = self.state()?;
        for (name, entry) in self.folder.list(names::SITES)?.unwrap_or_default() {
            if entry.kind != Kind::File || !name.ends_with(".xml") {
                continue;
            }
            let path = format!("{}/{name}", names::SITES);
            let read = self.folder.read(&path, MAX_FILE_BYTES);
            let Ok(Some(bytes)) = read else { continue };
            v.sites += 1;
            match Site::read(&bytes, &state.folder) {
                Err(e) => v.differs("site", None, Some(&path), e.to_string()),
                Ok(s) => {
                    let announced = names::log_path(&s.id, s.newest);
                    if s.newest > 0 && s.logs && !s.withdrawn.contains(&s.newest) && self.folder.stat(&announced)?.is_none() {
                        v.differs("site", None, Some(&path), format!("\"{}\" announces segment {}, which has not come", s.name, s.newest));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What SQLite says of the file, and of references that lead nowhere.
fn verify_database(conn: &rusqlite::Connection) -> Result<Verified, Error> {
    let mut v = Verified::default();
    let mut q = conn.prepare("PRAGMA integrity_check(20)")?;
    let found: Vec<String> = q.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    for line in found.into_iter().filter(|l| l != "ok") {
        v.differs(
            "database",
            None,
            None,
            format!("SQLite finds the file damaged: {line}. Restore it from a backup; what the folder knows comes back with the next synchronization"),
        );
    }
    let mut q = conn.prepare("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2")?;
    let broken: Vec<(String, String, i64)> = q.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<Result<_, _>>()?;
    for (table, parent, n) in broken {
        v.note("database", None, None, format!("rows of {table} that point to rows of {parent} that do not exist: {n}; the host's own data, left as it is"));
    }
    Ok(v)
}

fn is_records(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with(names::RECORDS)
}
