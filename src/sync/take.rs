//! Take: what others wrote. Site files, the next segments of every log, the record files they
//! name, conflict files, and at a full look every file.

use super::settle::{Work, type_path};
use super::{Engine, Error};
use crate::folder::{Kind, Stat};
use crate::id::{RecordId, SiteId};
use crate::log::{Item, Segment};
use crate::merge;
use crate::names::{self, DirName, FileName, Level};
use crate::record::Record;
use crate::report::BadFile;
use crate::site::Site;
use crate::state::{self, Pending, Stored};
use crate::xml::{self, MAX_FILE_BYTES};
use std::collections::{BTreeMap, BTreeSet};

/// A directory that was modified this recently may be modified again within its clock's grain.
const SETTLED_NS: i64 = 2_000_000_000;
/// After this long a file that is still incomplete, or a gap in a log, is reported and closed.
const DAY_MS: i64 = 86_400_000;

/// What came for one record.
pub(super) struct Came {
    pub(super) known: Record,
    pub(super) sources: Vec<Record>,
    pub(super) waiting: Vec<(SiteId, u64, Item)>,
    pub(super) file_hash: Option<String>,
    pub(super) file_stat: Option<(u64, i64)>,
    /// The canonical file must be written again, whatever its hash was.
    pub(super) refile: bool,
    /// The canonical file is not ours to write: another folder's, or a later format's.
    pub(super) keep_off: bool,
    /// This site's newest stamp on the record before anything came.
    own: Option<crate::stamp::Time>,
}

pub(super) type Works = BTreeMap<RecordId, Work>;

fn want(works: &mut Works, id: RecordId) -> &mut Work {
    works.entry(id).or_insert_with(|| Work { id, ..Work::default() })
}

impl Engine<'_> {
    /// Reads a file of the folder, and counts it.
    pub(super) fn fetch(&mut self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let bytes = self.folder.read(path, MAX_FILE_BYTES)?;
        if let Some(b) = &bytes {
            self.report.files_read += 1;
            self.report.bytes_read += b.len() as u64;
        }
        Ok(bytes)
    }

    /// Finds everything that others wrote since the last time.
    pub(super) fn discover(&mut self, works: &mut Works, full: bool) -> Result<(), Error> {
        self.read_sites()?;
        let behind = self.read_logs(works)?;
        for p in self.state.pending(None)? {
            let id = p.id;
            if let Ok((s, _)) = Segment::read(&p.item, &self.manifest.folder) {
                want(works, id).items.extend(s.items.into_iter().map(|i| (p.site, p.seq, i)));
            }
        }
        for (path, outcome, since) in self.state.seen_files("incomplete")? {
            self.recheck(works, &path, &outcome, since)?;
        }
        let full = full || behind;
        self.report.full = full;
        self.walk(works, full)?;
        // The canonical file of everything that items are about.
        for (id, work) in works.iter_mut() {
            let kind = work.items.first().map(|(_, _, i)| match i {
                Item::Delta(d) => d.part.kind.clone(),
                Item::Named { kind, .. } => kind.clone(),
            });
            if let Some(kind) = kind {
                let path = type_path(&kind, id);
                if !work.files.contains(&path) {
                    work.files.push(path);
                }
            }
        }
        for id in self.state.flagged(state::BEHIND)? {
            if let Some((kind, _, _)) = self.state.root_of(&id)? {
                let path = type_path(&kind, &id);
                let work = want(works, id);
                if !work.files.contains(&path) {
                    work.files.push(path);
                }
            }
        }
        for id in self.state.flagged(state::HELD | state::WAITING | state::AGAIN)? {
            want(works, id);
        }
        Ok(())
    }

    /// Reads site files that changed.
    fn read_sites(&mut self) -> Result<(), Error> {
        for (name, stat) in self.folder.list(names::SITES)?.unwrap_or_default() {
            if stat.kind != Kind::File || name == Site::file_name(&self.site) || !name.to_ascii_lowercase().contains(".xml") || name.starts_with("~$") || name.starts_with('.') {
                continue;
            }
            let path = format!("{}/{name}", names::SITES);
            let key = format!("site:{path}");
            if self.state.seen_file(&key)?.is_some_and(|(s, m, _, _)| (s, m) == (stat.size_bytes, stat.mtime_ns)) {
                continue;
            }
            let Some(bytes) = self.fetch(&path)? else { continue };
            match Site::read(&bytes, &self.manifest.folder) {
                Ok(site) => {
                    self.state.set_seen_file(&key, stat.size_bytes, stat.mtime_ns, "site", self.now())?;
                    if site.id == self.site {
                        // A conflict copy of our own: somebody else writes under our name.
                        self.twin_site = self.twin_site.or(Some(site.newest)).max(Some(site.newest));
                        continue;
                    }
                    let mut peer = self.state.peer(&site.id)?;
                    let known = peer.file.as_ref().and_then(|b| Site::read(b, &self.manifest.folder).ok());
                    if known.is_none_or(|k| k.written <= site.written) {
                        peer.file = Some(bytes);
                        peer.stat = Some((stat.size_bytes, stat.mtime_ns));
                        self.state.save_peer(&site.id, &peer)?;
                        if site.written.ms > self.env.now.ms() + 3_600_000 {
                            let hours = (site.written.ms - self.env.now.ms()) / 3_600_000;
                            self.report.notices.push(format!("the clock of site \"{}\" is {hours} hours ahead of this one; its changes are followed, but set it right", site.name));
                        }
                    }
                }
                // A newer or damaged site file says nothing; its log still does.
                Err(e) => self.bad(&path, &e.to_string(), stat)?,
            }
        }
        Ok(())
    }

    /// The other sites by their files.
    pub(super) fn sites(&self) -> Result<Vec<Site>, Error> {
        let mut out = Vec::new();
        for id in self.state.peers()? {
            if let Some(s) = self.state.peer(&id)?.file.and_then(|b| Site::read(&b, &self.manifest.folder).ok()) {
                out.push(s);
            }
        }
        Ok(out)
    }

    /// Reads the next segments of every log. Gives whether a full look must make up for a gap.
    fn read_logs(&mut self, works: &mut Works) -> Result<bool, Error> {
        let mut behind = false;
        let mut logs: BTreeSet<SiteId> = self.state.peers()?.into_iter().collect();
        // Logs may come before the site file that announces them.
        let top = self.folder.stat(names::LOGS)?;
        if top.is_some_and(|t| self.dirs.get(names::LOGS) != Some(&t.mtime_ns)) {
            for (name, stat) in self.folder.list(names::LOGS)?.unwrap_or_default() {
                if let (Kind::Dir, Ok(id)) = (stat.kind, uuid::Uuid::parse_str(&name)) {
                    if self.state.peer(&id)? == state::Peer::default() {
                        self.state.save_peer(&id, &state::Peer::default())?;
                    }
                    logs.insert(id);
                }
            }
            if let Some(t) = top {
                self.remember_dir(names::LOGS, t)?;
            }
        }
        logs.remove(&self.site);
        for site in logs {
            behind |= self.read_log(&site, works)?;
        }
        Ok(behind)
    }

    fn read_log(&mut self, site: &SiteId, works: &mut Works) -> Result<bool, Error> {
        let mut peer = self.state.peer(site)?;
        let before = peer.clone();
        let file = peer.file.as_ref().and_then(|b| Site::read(b, &self.manifest.folder).ok());
        let mut behind = false;
        if let Some(f) = &file {
            if f.oldest > peer.upto + 1 {
                // Compacted before we read it: the record files cover it.
                behind = peer.upto > 0 || f.oldest > 1;
                peer.upto = f.oldest - 1;
            }
            behind |= !f.logs;
        }
        let mut missing = false;
        let mut seq = peer.upto + 1;
        loop {
            let withdrawn = file.as_ref().is_some_and(|f| f.withdrawn.contains(&seq));
            if peer.beyond.contains(&seq) || withdrawn || self.read_segment(site, seq, works)? {
                if !missing {
                    peer.upto = seq;
                } else {
                    peer.beyond.insert(seq);
                }
            } else {
                let newest = file.as_ref().map_or(0, |f| f.newest);
                if seq > newest {
                    break;
                }
                missing = true;
            }
            seq += 1;
        }
        peer.beyond.retain(|s| *s > peer.upto);
        peer.gap_since = missing.then(|| peer.gap_since.unwrap_or(self.now()));
        if missing {
            self.report.pending += 1;
        }
        if peer.gap_since.is_some_and(|t| self.now() - t > DAY_MS) {
            self.report.notices.push(format!("segment {} of the log of {} did not come within a day; every record file was looked at instead", peer.upto + 1, self.site_label(site)));
            // The cursor stays before the gap: what is missing may still come.
            peer.gap_since = Some(self.now());
            behind = true;
        }
        if peer != before {
            self.peers.insert(*site, peer);
        }
        Ok(behind)
    }

    /// Reads one segment if it is there and whole.
    fn read_segment(&mut self, site: &SiteId, seq: u64, works: &mut Works) -> Result<bool, Error> {
        let path = names::log_path(site, seq);
        let bytes = match self.fetch(&path) {
            Ok(Some(b)) => b,
            Ok(None) => return Ok(false),
            Err(e) => {
                self.report.bad_files.push(BadFile { path, reason: e.to_string() });
                return Ok(false);
            }
        };
        match Segment::read(&bytes, &self.manifest.folder) {
            Ok((s, _)) if s.site == *site && s.seq == seq => {
                for item in s.items {
                    want(works, item.record()).items.push((*site, seq, item));
                }
                Ok(true)
            }
            Ok(_) => {
                self.report.bad_files.push(BadFile { path, reason: "holds another site's or another number's segment".into() });
                Ok(false)
            }
            Err(e) => {
                if !matches!(e, xml::Error::Incomplete(_)) {
                    self.report.bad_files.push(BadFile { path, reason: e.to_string() });
                }
                Ok(false)
            }
        }
    }

    /// Looks for conflict files where directories changed, and at every file if `full`.
    fn walk(&mut self, works: &mut Works, full: bool) -> Result<(), Error> {
        let mut queue: Vec<(String, Level)> = vec![(String::new(), Level::Top)];
        let known: Vec<(String, Level)> = self.dirs.keys().filter(|d| !d.is_empty() && *d != names::LOGS).map(|d| (d.clone(), if d.contains('/') { Level::Shard } else { Level::Type })).collect();
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
        }
        Ok(())
    }

    fn meet_file(&mut self, works: &mut Works, shard: Option<&str>, name: &str, path: String, stat: Stat, full: bool, present: &mut BTreeSet<RecordId>) -> Result<(), Error> {
        match names::classify_file(shard, name) {
            FileName::Canonical(id) => {
                present.insert(id);
                let n = self.state.number(&id)?;
                let seen = n.map(|n| self.state.file_stat(n)).transpose()?.flatten();
                let news = match n {
                    None => true,
                    Some(_) => full && seen != Some((stat.size_bytes, stat.mtime_ns)),
                };
                if news {
                    want(works, id).files.push(path);
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

    /// Opens what may be a copy of a record, whatever its name.
    fn take_conflict(&mut self, works: &mut Works, path: String, stat: Stat, explanation: &str) -> Result<(), Error> {
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
                let work = want(works, r.id);
                work.files.push(path);
                if !work.files.contains(&canonical) {
                    work.files.push(canonical);
                }
                Ok(())
            }
            Err(xml::Error::Incomplete(why)) => Ok(self.state.set_seen_file(&path, stat.size_bytes, stat.mtime_ns, &format!("incomplete: {why}"), self.now())?),
            Err(e) => self.bad(&path, &e.to_string(), stat),
        }
    }

    /// Looks again at a file that was incomplete.
    fn recheck(&mut self, works: &mut Works, path: &str, outcome: &str, since: i64) -> Result<(), Error> {
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
                let work = want(works, id);
                if !work.files.iter().any(|f| f == path) {
                    work.files.push(path.to_owned());
                }
                Ok(())
            }
            _ => self.take_conflict(works, path.to_owned(), stat, "a copy that was incomplete before"),
        }
    }

    fn bad(&mut self, path: &str, reason: &str, stat: Stat) -> Result<(), Error> {
        self.report.bad_files.push(BadFile { path: path.to_owned(), reason: reason.to_owned() });
        Ok(self.state.set_seen_file(path, stat.size_bytes, stat.mtime_ns, &format!("bad: {reason}"), self.now())?)
    }

    /// Remembers a directory's time, unless it is so fresh that a later change may not move it.
    fn remember_dir(&mut self, dir: &str, stat: Stat) -> Result<(), Error> {
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
    fn missing_files(&mut self, works: &mut Works, present: &BTreeSet<RecordId>) -> Result<(), Error> {
        let mut gone = Vec::new();
        let mut total = 0u64;
        for id in self.state.all(None)? {
            let Some(n) = self.state.number(&id)? else { continue };
            if self.state.file_stat(n)?.is_none() {
                continue;
            }
            total += 1;
            if !present.contains(&id) {
                gone.push((id, n));
            }
        }
        let verdict = crate::safety::missing(gone.len() as u64, total);
        if verdict == crate::safety::Verdict::Hold && self.options.confirm.as_deref() != Some(&plan_token(&gone)) {
            self.report.notices.push(format!(
                "{} of {total} record files are gone from {}. Nothing was deleted, and nothing was written. Is the folder complete, is the cloud client signed in and finished? To write them again: cfs sync --full --yes={}",
                gone.len(),
                self.folder.place(),
                plan_token(&gone)
            ));
            self.refused = true;
            return Ok(());
        }
        for (id, n) in gone {
            self.state.set_file(n, None, None, true)?;
            want(works, id);
            self.refile.insert(id);
        }
        Ok(())
    }

    /// Reads what came for one record and merges it into what is known.
    pub(super) fn gather(&mut self, work: &mut Work, stored: &Stored) -> Result<Came, Error> {
        let mut came = Came { known: stored.known.clone(), sources: Vec::new(), waiting: Vec::new(), file_hash: stored.file_hash.clone(), file_stat: None, refile: false, keep_off: false, own: stored.known.version.0.get(&self.site).copied() };
        if self.refile.contains(&work.id) {
            came.file_hash = None;
            came.refile = true;
        }
        let before = came.known.version.clone();
        self.look_before_writing(work, stored)?;
        for path in std::mem::take(&mut work.files) {
            self.gather_file(&path, work, &mut came)?;
        }
        for r in self.stray_sources.remove(&work.id).unwrap_or_default() {
            came.known.kind = std::mem::take(&mut came.known.kind).max(r.kind.clone());
            merge::join_into(&mut came.known, &r);
            came.sources.push(r);
        }
        let mut items = std::mem::take(&mut work.items);
        // One delta may make way for the next.
        loop {
            let mut left = Vec::new();
            let n = items.len();
            for (site, seq, item) in items {
                let met = match &item {
                    Item::Delta(d) if self.is_forged(&d.part.version, &came.own) || self.is_forged(&d.before, &came.own) => {
                        self.fork = true;
                        false
                    }
                    Item::Delta(d) => {
                        came.known.kind = std::mem::take(&mut came.known.kind).max(d.part.kind.clone());
                        came.known.version.includes(&d.part.version) && came.known.version.includes(&d.before) || merge::take_delta(&mut came.known, d)
                    }
                    Item::Named { stamp, .. } => came.known.version.covers(stamp),
                };
                if !met {
                    left.push((site, seq, item));
                } else if !before.includes(&came.known.version) {
                    work.items.push((site, seq, item));
                }
            }
            if left.len() == n || left.is_empty() {
                came.waiting = left;
                break;
            }
            items = left;
        }
        self.report.pending += came.waiting.len() as u64;
        Ok(came)
    }

    /// What files and deltas say of a record that is not known yet; nothing is taken in.
    pub(super) fn peek(&mut self, work: &Work) -> Result<Record, Error> {
        let mut known = Record::new(String::new(), work.id);
        for path in &work.files {
            if let Ok(Some(bytes)) = self.folder.read(path, MAX_FILE_BYTES)
                && let Ok(r) = xml::read_record(&bytes, &self.manifest.folder) {
                    merge::join_into(&mut known, &r);
                }
        }
        for (_, _, item) in &work.items {
            if let Item::Delta(d) = item {
                known.kind = std::mem::take(&mut known.kind).max(d.part.kind.clone());
                merge::take_delta(&mut known, d);
            }
        }
        Ok(known)
    }

    /// A file that is not as it was last seen is read before it is written over: it may hold what no
    /// log has brought yet.
    fn look_before_writing(&mut self, work: &mut Work, stored: &Stored) -> Result<(), Error> {
        if !work.files.is_empty() || stored.n == 0 {
            return Ok(());
        }
        let path = type_path(&stored.known.kind, &work.id);
        let seen = self.state.file_stat(stored.n)?;
        let now = self.folder.stat(&path)?.map(|s| (s.size_bytes, s.mtime_ns));
        if now.is_some() && now != seen {
            work.files.push(path);
        }
        Ok(())
    }

    fn gather_file(&mut self, path: &str, work: &Work, came: &mut Came) -> Result<(), Error> {
        let Some(stat) = self.folder.stat(path)? else { return Ok(()) };
        let canonical = canonical_path(path) == Some(work.id);
        let bytes = match self.fetch(path) {
            Ok(Some(b)) => b,
            Ok(None) => return Ok(()),
            Err(e) => return self.bad(path, &e.to_string(), stat),
        };
        match xml::read_record(&bytes, &self.manifest.folder) {
            Ok(r) if r.id == work.id && self.is_forged(&r.version, &came.own) => {
                self.fork = true;
                self.again.insert(r.id);
            }
            Ok(r) if r.id == work.id => {
                if canonical {
                    came.file_hash = Some(super::settle::seal_hash(&bytes));
                    came.file_stat = Some((stat.size_bytes, stat.mtime_ns));
                    self.state.drop_seen_file(path)?;
                    if came.known.version.includes(&r.version) && r.version != came.known.version && !r.version.0.is_empty() && came.known.version.0.iter().any(|(s, t)| *s != self.site && r.version.0.get(s).is_none_or(|x| x < t)) {
                        self.report.rolled_back += 1;
                    }
                }
                merge::join_into(&mut came.known, &r);
                came.sources.push(r);
            }
            Ok(r) => {
                // Under another record's name: it is a conflict file of the record inside, and may
                // be the only copy of it. It is taken in as such, later in this sync, before the
                // record whose name it has is written over it.
                self.conflicts.push((path.to_owned(), r.id, stat, "a record under another record's name".to_owned()));
                self.report.conflict_files.found += 1;
                self.stray_sources.entry(r.id).or_default().push(r);
                if canonical {
                    self.written_over.insert(work.id);
                    came.file_hash = None;
                    came.refile = true;
                }
            }
            Err(xml::Error::Incomplete(why)) => {
                let seen = self.state.seen_file(path)?;
                // The same torn bytes as last time: nobody is still writing them.
                if canonical && seen.is_some_and(|(s, m, o, _)| (s, m) == (stat.size_bytes, stat.mtime_ns) && o.starts_with("incomplete")) {
                    came.file_hash = None;
                    came.refile = true;
                }
                self.state.set_seen_file(path, stat.size_bytes, stat.mtime_ns, &format!("incomplete: {why}"), self.now())?;
            }
            Err(e) => {
                if canonical && matches!(e, xml::Error::TooNew(_) | xml::Error::OtherFolder(_)) {
                    // Not ours to replace: what we know stays in the database and in the log.
                    came.keep_off = true;
                    let wrote = self.newer_programs()?;
                    self.bad(path, &format!("{e}{wrote}"), stat)?;
                } else {
                    self.bad(path, &e.to_string(), stat)?;
                }
            }
        }
        Ok(())
    }

    /// The sites that run a newer program than this one, for messages.
    fn newer_programs(&self) -> Result<String, Error> {
        let ours = env!("CARGO_PKG_VERSION");
        let names: Vec<String> = self.sites()?.into_iter().filter(|s| s.program != ours).map(|s| format!("\"{}\" (cfs {})", s.name, s.program)).collect();
        Ok(if names.is_empty() { String::new() } else { format!("; sites with another version: {}", names.join(", ")) })
    }

    /// Whether a version knows a stamp under this site's name that this site never gave: nobody can
    /// have seen more of what a site wrote to a record than the site itself.
    fn is_forged(&self, v: &crate::version::Version, own: &Option<crate::stamp::Time>) -> bool {
        v.0.get(&self.site) > own.as_ref()
    }

    /// Keeps an item for a later try.
    pub(super) fn keep_pending(&mut self, site: SiteId, seq: u64, item: &Item) -> Result<(), Error> {
        let bytes = Segment { site, seq, previous: String::new(), items: vec![item.clone()] }.write(&self.manifest.folder);
        Ok(self.state.add_pending(&Pending { site, seq, id: item.record(), item: bytes, since: self.now() })?)
    }
}

/// `records/<type>/<xx>` gives `xx`; any other directory `None`.
fn canonical_shard(dir: &str) -> Option<&str> {
    let mut parts = dir.split('/');
    let (records, _, shard, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    (records == names::RECORDS && rest.is_none() && shard.len() == 2).then_some(shard)
}

/// The record whose canonical file a path is.
fn canonical_path(path: &str) -> Option<RecordId> {
    let (dir, name) = path.rsplit_once('/')?;
    match names::classify_file(canonical_shard(dir), name) {
        FileName::Canonical(id) => Some(id),
        _ => None,
    }
}

/// Binds a person's yes to exactly what was shown.
fn plan_token(gone: &[(RecordId, i64)]) -> String {
    let mut all = Vec::new();
    gone.iter().for_each(|(id, _)| all.extend(id.as_bytes()));
    xml::sha256_hex(&all)[..8].to_owned()
}
