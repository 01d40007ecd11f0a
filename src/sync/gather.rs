//! Gather: reads what came for one record, and merges it into what is known.

use super::pipeline::Drawn;
use super::settle::type_path;
use super::take::canonical_path;
use super::work::Work;
use super::{Engine, Error};
use crate::id::SiteId;
use crate::log::Item;
use crate::merge;
use crate::record::Record;
use crate::state::{Pending, Stored};
use crate::xml::{self, MAX_FILE_BYTES};

/// What came for one record.
pub(super) struct Came {
    pub(super) known: Record,
    /// The states that it was joined from. One that said all that is known stands there once another comes.
    pub(super) sources: Vec<Record>,
    /// What is known is exactly one state that came.
    one: bool,
    pub(super) waiting: Vec<(SiteId, u64, Item)>,
    pub(super) file_hash: Option<String>,
    pub(super) file_stat: Option<(u64, i64)>,
    /// The canonical file must be written again, whatever its hash was.
    pub(super) refile: bool,
    /// The canonical file was looked for and is not there.
    gone: bool,
    /// The canonical file is not ours to write: another folder's, or a later format's.
    pub(super) keep_off: bool,
    /// What is known, as bytes, if it is exactly what one file says.
    pub(super) drawn: Option<Drawn>,
    /// This site's newest stamp on the record before anything came.
    own: Option<crate::stamp::Time>,
}

impl Came {
    /// How many states came.
    fn states(&self) -> usize {
        self.sources.len() + usize::from(self.one)
    }

    /// Whether nothing is known and nothing else came.
    fn knows_nothing(&self) -> bool {
        let known = &self.known;
        known.version.0.is_empty() && known.rows.is_empty() && known.same_as.is_empty() && known.erased.is_none() && self.states() == 0
    }

    /// Joins a state. Of a record that is new here the first is taken as it is: a large sync has one of each.
    fn take(&mut self, r: Record) {
        if self.knows_nothing() && r.erased.is_none() && self.known.id == r.id {
            let kind = std::mem::take(&mut self.known.kind).max(r.kind.clone());
            debug_assert!(Record { kind: r.kind.clone(), ..merge::join(&self.known, &r) } == r, "a state joined to nothing is that state");
            self.known = Record { kind, ..r };
            self.one = true;
            return;
        }
        self.keep_one();
        merge::join_into(&mut self.known, &r);
        self.sources.push(r);
    }

    /// The one state that said it all becomes one of several.
    fn keep_one(&mut self) {
        if std::mem::take(&mut self.one) {
            self.sources.push(self.known.clone());
        }
    }
}

impl Engine<'_> {
    /// Reads what came for one record and merges it into what is known.
    pub(super) fn gather(&mut self, work: &mut Work, stored: &Stored) -> Result<Came, Error> {
        let mut came = Came {
            known: stored.known.clone(),
            sources: Vec::new(),
            one: false,
            waiting: Vec::new(),
            file_hash: stored.file_hash.clone(),
            file_stat: None,
            refile: false,
            gone: false,
            keep_off: false,
            drawn: None,
            own: stored.known.version.0.get(&self.site).copied(),
        };
        if self.refile.contains(&work.id) {
            came.file_hash = None;
            came.refile = true;
        }
        let before = came.known.version.clone();
        self.look_before_writing(work, stored)?;
        for path in std::mem::take(&mut work.files) {
            self.gather_file(&path, work, &mut came)?;
        }
        if came.gone && came.states() > 0 {
            // A client made copies of both versions and left no file: the copies go once it is there again.
            came.file_hash = None;
            came.refile = true;
        }
        for r in std::mem::take(&mut work.strays) {
            came.known.kind = std::mem::take(&mut came.known.kind).max(r.kind.clone());
            came.take(r);
        }
        let mut items = std::mem::take(&mut work.items);
        let filed = came.known.version.clone();
        for (_, _, item) in &mut items {
            if let Item::Delta(d) = item {
                self.by_hash(&mut d.part)?;
            }
        }
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
                        came.known.version.includes(&d.part.version) && came.known.version.includes(&d.before) || {
                            came.keep_one();
                            merge::take_delta(&mut came.known, d)
                        }
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
        if came.states() != 1 || came.known.version != filed {
            came.drawn = None;
        }
        self.report.pending += came.waiting.len() as u64;
        Ok(came)
    }

    /// What files and deltas say of a record that is not known yet; nothing is taken in.
    pub(super) fn peek(&mut self, work: &Work) -> Result<Record, Error> {
        let mut known = Record::new(String::new(), work.id);
        for place in work.places() {
            if let Ok(Some(bytes)) = self.folder.read(&place.path(self.mapping), MAX_FILE_BYTES)
                && let Ok(r) = xml::read_record(&bytes, &self.manifest.folder)
            {
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
    pub(super) fn look_before_writing(&mut self, work: &mut Work, stored: &Stored) -> Result<(), Error> {
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

    pub(super) fn gather_file(&mut self, path: &str, work: &Work, came: &mut Came) -> Result<(), Error> {
        let found = self.find(path)?;
        let canonical = canonical_path(path) == Some(work.id);
        let Some(stat) = found.stat else {
            came.gone |= canonical;
            return Ok(());
        };
        let content = match found.content {
            Ok(Some(c)) => c,
            Ok(None) => return Ok(()),
            Err(e) => return self.bad(path, &e.to_string(), stat),
        };
        self.report.files_read += 1;
        self.report.bytes_read += content.size_bytes as u64;
        match content.record {
            Ok(r) if r.id == work.id && (self.is_forged(&r.version, &came.own) || merge::denies(&r, &came.known, self.site)) => {
                self.fork = true;
                self.again.insert(r.id);
                // Not taken in yet: a copy stays until it is.
                self.conflicts.retain(|(copy, ..)| copy != path);
            }
            Ok(mut r) if r.id == work.id => {
                let inlined = content.inlined && self.by_hash(&mut r)?;
                if canonical {
                    came.file_hash = Some(content.hash);
                    came.file_stat = Some((stat.size_bytes, stat.mtime_ns));
                    self.mark(path, None)?;
                    if came.known.version.includes(&r.version)
                        && r.version != came.known.version
                        && !r.version.0.is_empty()
                        && came.known.version.0.iter().any(|(s, t)| *s != self.site && r.version.0.get(s).is_none_or(|x| x < t))
                    {
                        self.report.rolled_back += 1;
                    }
                }
                // Nothing else was known, and nothing else came: the file says it all.
                came.drawn = content.drawn.filter(|_| came.knows_nothing() && !inlined);
                came.take(r);
            }
            Ok(mut r) => {
                self.by_hash(&mut r)?;
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
                self.mark(path, Some((stat, format!("incomplete: {why}"))))?;
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
    pub(super) fn newer_programs(&self) -> Result<String, Error> {
        let ours = env!("CARGO_PKG_VERSION");
        let names: Vec<String> = self.sites()?.into_iter().filter(|s| s.program != ours).map(|s| format!("\"{}\" (cfs {})", s.name, s.program)).collect();
        Ok(if names.is_empty() { String::new() } else { format!("; sites with another version: {}", names.join(", ")) })
    }

    /// Whether a version knows a stamp under this site's name that this site never gave: nobody can
    /// have seen more of what a site wrote to a record than the site itself.
    pub(super) fn is_forged(&self, v: &crate::version::Version, own: &Option<crate::stamp::Time>) -> bool {
        v.0.get(&self.site) > own.as_ref()
    }

    /// Keeps an item for a later try.
    pub(super) fn keep_pending(&mut self, site: SiteId, seq: u64, item: &Item) -> Result<(), Error> {
        Ok(self.state.add_pending(&Pending { site, seq, id: item.record(), item: item.alone(&self.manifest.folder), since: self.now() })?)
    }
}
