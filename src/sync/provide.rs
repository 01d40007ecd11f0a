//! Large values on their way out: in the folder before anything that names them, written again
//! where they are not whole, and taken away when nobody refers to them any more.

use super::{Engine, Error};
use crate::folder::Kind;
use crate::names;
use crate::report::BadFile;
use crate::safety::{self, Verdict};
use crate::state::Place;
use crate::value::{Hash, MAX_VALUE_BYTES};
use crate::xml::hex;

/// A record file to be written: the record, its path, its bytes.
type Due = (crate::id::RecordId, String, Vec<u8>);

impl Engine<'_> {
    /// Writes the large values that are due, and counts those that are not here yet.
    pub(super) fn give_large(&mut self) -> Result<(), Error> {
        // All is settled: what was kept for a return is not needed any more.
        self.spare.append(&mut self.whole.large);
        self.drop_spare()?;
        self.count_awaited()?;
        for hash in self.state.large_due()? {
            if !self.provide(&hash)? {
                self.undelivered = true;
            }
        }
        Ok(())
    }

    /// Of record files to be written, those whose large values are in the folder. The others stay
    /// due: a file must not name what nobody can read.
    pub(super) fn with_large(&mut self, batch: Vec<Due>) -> Result<Vec<Due>, Error> {
        if !self.state.any_large()? {
            return Ok(batch);
        }
        let mut out = Vec::with_capacity(batch.len());
        for due in batch {
            let uses = self.state.number(&due.0)?.map(|n| self.state.uses(n)).transpose()?.unwrap_or_default();
            let mut all = true;
            // What is awaited here was named before us, by somebody who has it.
            for u in uses.iter().filter(|u| u.place != Place::Awaited) {
                all &= self.provide(&u.large.0)?;
            }
            if all {
                out.push(due);
            } else {
                self.undelivered = true;
            }
        }
        Ok(out)
    }

    /// Sees to it that a content is in the folder, whole. `false` where that cannot be.
    fn provide(&mut self, hash: &Hash) -> Result<bool, Error> {
        let path = names::blob_path(hash);
        let stat = self.folder.stat(&path)?.filter(|s| s.kind == Kind::File);
        if let Some(s) = &stat {
            if self.state.whole(hash)? == Some((s.size_bytes, s.mtime_ns)) {
                return Ok(true);
            }
            // Another site wrote it, or a client touched it. What stands there is not trusted.
            if matches!(self.folder.digest(&path, MAX_VALUE_BYTES), Ok(Some((_, found))) if found == *hash) {
                self.state.set_whole(hash, (s.size_bytes, s.mtime_ns))?;
                return Ok(true);
            }
        }
        let Some(bytes) = self.lookup.content(hash)? else {
            // The host wrote over it since its record was settled: the next sync has that.
            self.state.look_again_at_users(hash)?;
            return Ok(false);
        };
        match self.write_one(path.clone(), bytes) {
            Ok(stat) => {
                self.state.set_whole(hash, (stat.size_bytes, stat.mtime_ns))?;
                Ok(true)
            }
            Err(Error::Folder(e)) => {
                self.note_full(&e, None);
                self.report.bad_files.push(BadFile { path, reason: e.to_string() });
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// A full look: files that are gone, or not as they were last seen whole, are due again.
    pub(super) fn look_at_large(&mut self) -> Result<(), Error> {
        let (mut doubted, mut gone, mut total) = (Vec::new(), Vec::new(), 0u64);
        for hash in self.state.large_here()? {
            let whole = self.state.whole(&hash)?;
            total += u64::from(whole.is_some());
            match self.folder.stat(&names::blob_path(&hash))? {
                Some(s) if whole == Some((s.size_bytes, s.mtime_ns)) => {}
                Some(_) => doubted.push(hash),
                None if whole.is_some() => gone.push(hash),
                None => doubted.push(hash),
            }
        }
        let token = token_of(&gone);
        if safety::missing(gone.len() as u64, total) == Verdict::Hold && !self.options.rebuild && self.options.confirm.as_deref() != Some(&token) {
            self.report.notices.push(format!(
                "{} of {total} large values are gone from {}/{}. They were not written again yet. Is the folder complete, is the cloud client signed in and finished? To write them again: cfs sync --full --yes={token}",
                gone.len(),
                self.folder.place(),
                names::BLOBS,
            ));
            gone.clear();
        }
        doubted.iter().chain(&gone).try_for_each(|h| self.state.doubt(h))?;
        self.sweep_parts()
    }

    /// Removes what a crash left of a file being written; another program's may still be at work.
    fn sweep_parts(&mut self) -> Result<(), Error> {
        let old = |ns: i64| self.now() - ns / 1_000_000 > super::take::DAY_MS;
        for (shard, stat) in self.folder.list(names::BLOBS)?.unwrap_or_default() {
            if stat.kind != Kind::Dir {
                continue;
            }
            let dir = format!("{}/{shard}", names::BLOBS);
            for (name, stat) in self.folder.list(&dir)?.unwrap_or_default() {
                if stat.kind == Kind::File && name.starts_with("~$") && name.ends_with(".part") && old(stat.mtime_ns) {
                    self.folder.remove(&format!("{dir}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    /// Takes away the files that no known record refers to: at once what was erased or stripped,
    /// the rest once a day after the retention time.
    pub(super) fn remove_large(&mut self, new_day: bool) -> Result<(), Error> {
        if self.undelivered {
            // Files that still name them may be in the folder.
            return Ok(());
        }
        let keep_ms = i64::try_from(self.manifest.retention_days).unwrap_or(i64::MAX).saturating_mul(super::take::DAY_MS);
        let until = if new_day { self.now().saturating_sub(keep_ms).max(0) } else { 0 };
        for hash in self.state.unused(until)? {
            self.folder.remove(&names::blob_path(&hash))?;
            for copy in self.copies_of(&hash)? {
                self.folder.remove(&copy)?;
            }
            // A synchronization that was cut off may have kept it for a return.
            self.state.drop_spare_bytes(&hash)?;
            self.state.forget_large(&hash)?;
        }
        Ok(())
    }
}

/// Binds a person's yes to exactly what was shown.
fn token_of(gone: &[Hash]) -> String {
    hex(&crate::value::hash(&gone.concat()))[..8].to_owned()
}
