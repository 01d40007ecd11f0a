//! Finish: cursors move, and the account of the run is closed, when everything they pass is applied or kept.

use super::{Engine, Error, fresh, look};
use crate::host::capture;

impl Engine<'_> {
    /// Ends the sync: cursors move only now, when everything they pass is applied or kept.
    pub(super) fn finish(&mut self, full: bool) -> Result<(), Error> {
        self.report.site = self.site.to_string();
        self.report.records = self.state.count()?;
        let now = self.now();
        let refused = self.refused;
        let was_refused = self.state.meta::<i64>("refused")?.is_some_and(|r| r != 0);
        let seen: i64 = self.state.meta("notes_seen")?.unwrap_or(0);
        let unheard = self.state.meta::<String>(fresh::UNHEARD)?.is_some_and(|t| !t.is_empty());
        let nothing = self.run.is_none()
            && !unheard
            && self.peers.is_empty()
            && self.new_dirs.is_empty()
            && self.requests_done.is_empty()
            && !self.keeps_whole()
            && seen == self.notes.upto
            && !self.ticked
            && !full
            && self.report.notices.is_empty();
        if nothing {
            return Ok(());
        }
        self.lock()?;
        if refused != was_refused {
            // Said again at every sync, until a person answers.
            self.state.set_meta("refused", i64::from(refused))?;
        }
        if !refused {
            self.forget_whole()?;
            for (site, p) in std::mem::take(&mut self.peers) {
                self.state.save_peer(&site, &p)?;
            }
            std::mem::take(&mut self.new_dirs).iter().try_for_each(|(dir, mtime)| self.state.set_dir(dir, *mtime))?;
            let upto = if self.notes.foreign { self.notes.first.unwrap_or(self.notes.upto) } else { self.notes.upto };
            let upto = if crate::planted::bug("typed-meanwhile-forgotten") { capture::newest(self.conn)? } else { upto };
            self.notes.stale = capture::forget(self.conn, upto, look::NOTES)?.then_some(upto);
            self.state.set_meta("notes_seen", upto)?;
            self.state.set_meta("scanned", 1)?;
            if unheard {
                self.state.set_meta(fresh::UNHEARD, "")?;
            }
            if self.state.meta::<String>("columns")? != Some(self.columns()) {
                self.state.set_meta("columns", self.columns())?;
                self.state.set_meta("columns_ever", self.columns_ever()?)?;
            }
            let manifest = self.manifest.write();
            if self.state.meta::<Vec<u8>>("manifest")?.as_ref() != Some(&manifest) {
                // Should the folder ever be lost, it can be made again as the same one.
                self.state.set_meta("manifest", manifest)?;
            }
            if self.fork {
                self.state.set_meta("fork", 1)?;
            }
            if full {
                self.state.set_meta("full_ms", now)?;
            }
        }
        for rowid in std::mem::take(&mut self.requests_done) {
            self.conn.execute("DELETE FROM cfs_delete WHERE rowid = ?1", [rowid])?;
        }
        let busy = self.run.is_some() || self.report.exported + self.report.imported > 0 || !self.report.notices.is_empty();
        if busy {
            let run = self.run_number()?;
            (self.report.run, self.report.seconds) = (run, self.seconds());
            let text = serde_json::to_string(&self.report).unwrap_or_default();
            self.state.end_run(run, &text)?;
            self.state.forget_runs(now - 365 * 86_400_000)?;
        }
        self.unlock()?;
        self.forget_stale()?;
        self.settle_token()
    }
}
