//! Housekeeping, once a day: segments that everybody has read are dropped, and what was deleted is
//! stripped after the retention time.

use super::{Engine, Error, Order};
use crate::id::{RecordId, RowId, SiteId};
use crate::merge::{self, Life};
use crate::names;
use crate::planted;
use crate::record::RowKey;
use crate::site::Site;
use crate::stamp::Stamp;
use crate::state;
use rusqlite::{OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};

/// Own segments kept at most, whoever has read them: a site further behind does a full look.
const MAX_SEGMENTS: u64 = 1000;

impl Engine<'_> {
    /// Counts a day on which this site synchronized. A clock that jumps counts once.
    pub(super) fn new_day(&mut self) -> Result<bool, Error> {
        let today = self.now() / 86_400_000;
        if self.state.meta::<i64>("day")? == Some(today) {
            return Ok(false);
        }
        let days: i64 = self.state.meta("sync_days")?.unwrap_or(0);
        self.state.set_meta("day", today)?;
        self.state.set_meta("sync_days", days + 1)?;
        Ok(true)
    }

    /// The other sites that take part: registered, and not retired by anybody.
    fn registered(&self) -> Result<Vec<Site>, Error> {
        let all = self.sites()?;
        let mut gone = self.state.retired()?;
        all.iter().for_each(|s| gone.extend(&s.retired));
        // A site that found itself restored or copied goes on under another name.
        gone.extend(all.iter().filter_map(|s| s.before));
        gone.extend(self.state.meta_uuid("site_before")?);
        Ok(all.into_iter().filter(|s| !gone.contains(&s.id) && s.id != self.site).collect())
    }

    /// Finds the records whose deleted content has been kept long enough.
    pub(super) fn retention(&mut self) -> Result<Vec<(RecordId, Order)>, Error> {
        let sites = self.registered()?;
        let today: i64 = self.state.meta("sync_days")?.unwrap_or(0);
        let keep_days = i64::try_from(self.manifest.retention_days).unwrap_or(i64::MAX);
        let mut orders = Vec::new();
        for id in self.state.flagged(state::TRASH)? {
            let Some(stored) = self.state.load(&id)? else { continue };
            let lives = merge::life(&stored.known);
            let mut due: BTreeSet<Stamp> = BTreeSet::new();
            for (key, row) in &stored.known.rows {
                let Some(t) = row.tombstone.as_ref().filter(|t| !t.bare) else { continue };
                if lives.get(key) != Some(&Life::Deleted) {
                    continue;
                }
                let since = self.trash_day(stored.n, key, t.stamp, &sites, today)?;
                if since.is_some_and(|d| today - d >= keep_days) {
                    due.insert(t.stamp);
                }
            }
            if !due.is_empty() {
                orders.push((id, Order::Strip { tombstones: due, asked: false }));
            }
        }
        Ok(orders)
    }

    /// Since which day every registered site is known to have a tombstone.
    fn trash_day(&self, n: i64, key: &RowKey, stamp: Stamp, sites: &[Site], today: i64) -> Result<Option<i64>, Error> {
        let id: &RowId = &key.id;
        let row: Option<(i64, Option<i64>)> = self
            .conn
            .prepare_cached("SELECT need, since_day FROM cfs_trash WHERE n = ?1 AND row_id = ?2 AND site = ?3")?
            .query_row(params![n, id.as_bytes(), stamp.site.as_bytes()], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let (need, since) = match row {
            Some(r) => r,
            None => {
                // A record file may have brought it before the author's log does: then it is not known yet how far others must have read.
                if stamp.site != self.site && sites.iter().any(|s| s.id == stamp.site && s.logs) && self.state.heard(&stamp.site)? < Some(stamp.time) {
                    return Ok(None);
                }
                // The tombstone stands in the author's log no later than where we have read it.
                let need = if stamp.site == self.site { self.state.meta::<i64>("seq")?.unwrap_or(0) } else { self.state.peer(&stamp.site)?.upto.cast_signed() };
                self.conn.prepare_cached("INSERT INTO cfs_trash (n, row_id, site, need) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    n,
                    id.as_bytes(),
                    stamp.site.as_bytes(),
                    need
                ])?;
                (need, None)
            }
        };
        if since.is_some() {
            return Ok(since);
        }
        let has = |s: &Site| s.id == stamp.site || s.read.get(&stamp.site).is_some_and(|upto| *upto >= need.unsigned_abs());
        if !sites.iter().all(has) && !planted::bug("stripped-early") {
            return Ok(None);
        }
        self.conn.prepare_cached("UPDATE cfs_trash SET since_day = ?4 WHERE n = ?1 AND row_id = ?2 AND site = ?3")?.execute(params![
            n,
            id.as_bytes(),
            stamp.site.as_bytes(),
            today
        ])?;
        Ok(Some(today))
    }

    /// Drops own segments that every registered site has read. The record files have what is in
    /// them; the site file says from where on segments are kept before any is removed.
    pub(super) fn compact(&mut self) -> Result<Option<(u64, u64)>, Error> {
        let newest = self.state.meta::<i64>("seq")?.unwrap_or(0).unsigned_abs();
        let oldest = self.state.meta::<i64>("oldest")?.unwrap_or(1).unsigned_abs();
        if self.undelivered || newest == 0 || !self.state.files_due()?.is_empty() {
            return Ok(None);
        }
        let read: BTreeMap<SiteId, u64> = self.registered()?.into_iter().map(|s| (s.id, s.read.get(&self.site).copied().unwrap_or(0))).collect();
        if read.is_empty() {
            return Ok(None);
        }
        let everybody = read.values().copied().min().unwrap_or(0);
        let most = newest.saturating_sub(MAX_SEGMENTS);
        // The newest stays: it is how this site knows its own log.
        let upto = everybody.max(most).min(newest - 1);
        if upto < oldest {
            return Ok(None);
        }
        self.state.set_meta("oldest", (upto + 1).cast_signed())?;
        Ok(Some((oldest, upto)))
    }

    /// Removes the segments that [`Engine::compact`] gave up.
    pub(super) fn remove_segments(&mut self, range: Option<(u64, u64)>) -> Result<(), Error> {
        if let Some((from, upto)) = range {
            (from..=upto).try_for_each(|seq| self.folder.remove(&names::log_path(&self.site, seq)))?;
        }
        Ok(())
    }
}
