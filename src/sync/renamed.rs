//! Log segments that a client gave other names (rclone bisync, after it was killed: both copies of the
//! same bytes are "new in both paths"). What a segment holds says which one it is. They are read
//! under any name, and put back by the site whose log it is: by one, or the client meets two new files again.

use super::work::Works;
use super::{Engine, Error};
use crate::folder::Kind;
use crate::id::SiteId;
use crate::log::Segment;
use crate::names::{self, FileName};
use crate::stamp::Time;

impl Engine<'_> {
    /// Reads a segment that is announced and not there, from a copy of it.
    pub(super) fn read_renamed(&mut self, site: &SiteId, seq: u64, works: &mut Works, heard: &mut Option<Time>) -> Result<bool, Error> {
        for path in self.copies_of_segments(site)? {
            if is_copy(&path, seq) && self.read_segment(path, site, seq, works, heard)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts this site's own segments back in their places, at a full look or where a record was erased:
    /// what is in a copy would not be withdrawn. Copies that say nothing more are removed.
    pub(super) fn put_back_segments(&mut self, full: bool) -> Result<(), Error> {
        if !full && self.unwithdrawn()?.is_empty() {
            return Ok(());
        }
        let newest = self.state.meta::<i64>("seq")?.unwrap_or(0).unsigned_abs();
        let oldest = self.state.meta::<i64>("oldest")?.unwrap_or(1).unsigned_abs();
        let withdrawn = self.withdrawn()?;
        for copy in self.copies_of_segments(&self.site.clone())? {
            let Some(bytes) = self.fetch(&copy)? else { continue };
            let Ok((s, _)) = Segment::read(&bytes, &self.manifest.folder) else { continue };
            if s.site != self.site || s.seq > newest || !is_copy(&copy, s.seq) {
                continue;
            }
            let path = names::log_path(&self.site, s.seq);
            let gone_for_good = s.seq < oldest || withdrawn.contains(&s.seq);
            if !gone_for_good && self.folder.stat(&path)?.is_none() {
                self.write_one(path.clone(), bytes.clone())?;
            }
            if gone_for_good || self.settings.delete_conflicts && self.fetch(&path)?.is_some_and(|own| own == bytes) {
                self.folder.remove(&copy)?;
            }
        }
        Ok(())
    }

    /// What lies beside a site's segments and is none by its name.
    fn copies_of_segments(&self, site: &SiteId) -> Result<Vec<String>, Error> {
        let dir = format!("{}/{site}", names::LOGS);
        let all = self.folder.list(&dir)?.unwrap_or_default();
        Ok(all.into_iter().filter(|(name, stat)| stat.kind == Kind::File && Segment::number(name).is_none()).map(|(name, _)| format!("{dir}/{name}")).collect())
    }
}

/// Whether a path's name is what a client makes of a segment's name.
fn is_copy(path: &str, seq: u64) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let own = Segment::file_name(seq);
    matches!(names::classify_copy(own.strip_suffix(".xml").unwrap_or(&own), name), Some(FileName::Conflict { .. }))
}
