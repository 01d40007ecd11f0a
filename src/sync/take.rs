//! Take: what others wrote. Site files, the next segments of every log, the record files they
//! name, conflict files, and at a full look every file.

use super::settle::type_path;
use super::work::Works;
use super::{Engine, Error};
use crate::folder::Kind;
use crate::id::{RecordId, SiteId};
use crate::log::Segment;
use crate::names::{self, FileName};
use crate::planted;
use crate::report::BadFile;
use crate::site::Site;
use crate::stamp::Time;
use crate::state::{self};
use crate::xml::{self, MAX_FILE_BYTES};
use std::collections::BTreeSet;
use std::sync::Arc;

/// After this long a file that is still incomplete, or a gap in a log, is reported and closed.
pub(super) const DAY_MS: i64 = 86_400_000;

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
        let behind = self.read_logs(works)?;
        for p in self.state.pending(None)? {
            let id = p.id;
            if let Ok((s, _)) = Segment::read(&p.item, &self.manifest.folder) {
                works.want(id).items.extend(s.items.into_iter().map(|i| (p.site, p.seq, i)));
            }
        }
        for (path, outcome, since) in self.state.seen_files("incomplete")? {
            self.recheck(works, &path, &outcome, since)?;
        }
        let full = full || behind;
        self.report.full = full;
        self.look_for_large(works)?;
        self.walk(works, full)?;
        // The canonical file of everything that items are about.
        for work in works.iter_mut() {
            work.add_own_file(self.mapping);
        }
        for id in self.state.flagged(state::BEHIND)? {
            if let Some((kind, _, _)) = self.state.root_of(&id)? {
                let path = type_path(&kind, &id);
                works.want(id).add_file(self.mapping, path);
            }
        }
        for id in self.state.flagged(state::HELD | state::WAITING | state::AGAIN)? {
            works.want(id);
        }
        Ok(())
    }

    /// Reads site files that changed.
    pub(super) fn read_sites(&mut self) -> Result<(), Error> {
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
                    if name != Site::file_name(&site.id) && self.settings.delete_conflicts {
                        if self.is_outdated(&site, &bytes)? {
                            self.folder.remove(&path)?;
                            self.state.drop_seen_file(&key)?;
                            continue;
                        }
                    } else {
                        self.state.set_seen_file(&key, stat.size_bytes, stat.mtime_ns, "site", self.now())?;
                    }
                    if site.id == self.site {
                        // A copy of our own says nothing about others; that somebody writes under our
                        // name shows in the log and in the records.
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

    /// Whether what a client's copy of a site file says stands in the site's own file, or something newer.
    fn is_outdated(&self, copy: &Site, bytes: &[u8]) -> Result<bool, Error> {
        let own = self.folder.read(&names::site_path(&copy.id), MAX_FILE_BYTES)?;
        let newer = |own: &[u8]| Site::read(own, &self.manifest.folder).is_ok_and(|s| s.id == copy.id && s.written > copy.written);
        Ok(own.is_some_and(|own| own == bytes || newer(&own)))
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
        let newest = file.as_ref().map_or(0, |f| f.newest);
        loop {
            let withdrawn = file.as_ref().is_some_and(|f| f.withdrawn.contains(&seq));
            let known = peer.beyond.contains(&seq) || withdrawn;
            let mut heard = None;
            if known || self.read_segment(names::log_path(site, seq), site, seq, works, &mut heard)? || seq <= newest && self.read_renamed(site, seq, works, &mut heard)? {
                if !missing || planted::bug("cursor-passes-a-gap") {
                    peer.upto = seq;
                    peer.heard = peer.heard.max(heard);
                } else {
                    peer.beyond.insert(seq);
                }
            } else {
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
            self.report.notices.push(format!(
                "segment {} of the log of {} did not come within a day; every record file was looked at instead",
                peer.upto + 1,
                self.site_label(site)
            ));
            // The cursor stays before the gap: what is missing may still come.
            peer.gap_since = Some(self.now());
            behind = true;
        }
        if peer != before {
            self.peers.insert(*site, peer);
        }
        Ok(behind)
    }

    /// Reads one segment if it is there and whole, and finds the newest stamp of its author in it.
    pub(super) fn read_segment(&mut self, path: String, site: &SiteId, seq: u64, works: &mut Works, heard: &mut Option<Time>) -> Result<bool, Error> {
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
                let from = Arc::new((*site, seq));
                for item in s.items {
                    *heard = (*heard).max(item.newest(site));
                    works.want(item.record()).add_item(self.mapping, &from, item);
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
}

/// `records/<type>/<xx>` gives `xx`; any other directory `None`.
pub(super) fn canonical_shard(dir: &str) -> Option<&str> {
    let mut parts = dir.split('/');
    let (records, kind, shard, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    // `patient (1)` is a client's second `patient`: what is in it is a copy.
    let own = names::classify_dir(names::Level::Type, kind) == names::DirName::Own;
    (records == names::RECORDS && own && rest.is_none() && shard.len() == 2).then_some(shard)
}

/// The record whose canonical file a path is.
pub(super) fn canonical_path(path: &str) -> Option<RecordId> {
    let (dir, name) = path.rsplit_once('/')?;
    match names::classify_file(canonical_shard(dir), name) {
        FileName::Canonical(id) => Some(id),
        _ => None,
    }
}
