//! What is kept about the other sites, the folder's directories, and what waits for them.

use super::{Error, State};
use crate::id::{RecordId, SiteId, Uuid};
use crate::stamp::Time;
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeSet;

/// Another site, as far as its log was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The last segment of the unbroken row.
    pub upto: u64,
    /// Segments beyond a gap that were taken in.
    pub beyond: BTreeSet<u64>,
    /// Its site file as last read: size and modification time.
    pub stat: Option<(u64, i64)>,
    /// The bytes of its site file.
    pub file: Option<Vec<u8>>,
    /// Since when a segment is missing, in milliseconds.
    pub gap_since: Option<i64>,
    /// Its newest stamp in what was read now of the unbroken row; [`State::heard`] gives what was ever read.
    pub heard: Option<Time>,
}

/// Something announced that could not be taken in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Whose segment announced it.
    pub site: SiteId,
    /// Which segment.
    pub seq: u64,
    /// The record.
    pub id: RecordId,
    /// A segment with that one item, as bytes.
    pub item: Vec<u8>,
    /// Since when, in milliseconds.
    pub since: i64,
}

impl State<'_> {
    /// A peer as stored; an unknown one has read nothing.
    pub fn peer(&self, site: &SiteId) -> Result<Peer, Error> {
        let row = self
            .conn
            .prepare_cached("SELECT upto, beyond, size, mtime, file, gap_since FROM cfs_peer WHERE site = ?1")?
            .query_row([site.as_bytes()], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, r.get::<_, Option<i64>>(2)?, r.get::<_, Option<i64>>(3)?, r.get(4)?, r.get(5)?)))
            .optional()?;
        Ok(row.map_or_else(Peer::default, |(upto, beyond, size, mtime, file, gap_since)| Peer {
            upto: upto.unsigned_abs(),
            beyond: beyond.split(' ').filter_map(|n| n.parse().ok()).collect(),
            stat: size.zip(mtime).map(|(s, m)| (s.unsigned_abs(), m)),
            file,
            gap_since,
            heard: None,
        }))
    }

    /// The newest stamp that a site gave, of those in the unbroken row of its log that was read here: all that it stamped before
    /// stands there as well.
    pub fn heard(&self, site: &SiteId) -> Result<Option<Time>, Error> {
        Ok(self.meta::<String>(&format!("heard {site}"))?.and_then(|t| Time::parse(&t)))
    }

    /// Stores a peer.
    pub fn save_peer(&self, site: &SiteId, p: &Peer) -> Result<(), Error> {
        let beyond: Vec<String> = p.beyond.iter().map(u64::to_string).collect();
        let (size, mtime) = p.stat.map_or((None, None), |(s, m)| (Some(s.cast_signed()), Some(m)));
        self.conn.prepare_cached("INSERT OR REPLACE INTO cfs_peer (site, upto, beyond, size, mtime, file, gap_since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
            site.as_bytes(),
            p.upto.cast_signed(),
            beyond.join(" "),
            size,
            mtime,
            p.file,
            p.gap_since
        ])?;
        if let Some(heard) = p.heard
            && self.heard(site)? < Some(heard)
        {
            self.set_meta(&format!("heard {site}"), heard.text())?;
        }
        Ok(())
    }

    /// All peers ever met.
    pub fn peers(&self) -> Result<Vec<SiteId>, Error> {
        let mut q = self.conn.prepare_cached("SELECT site FROM cfs_peer ORDER BY site")?;
        let rows = q.query_map([], |r| r.get::<_, Vec<u8>>(0))?;
        rows.map(|b| Uuid::from_slice(&b?).map_err(|_| Error::Damaged("site"))).collect()
    }

    /// Sites that a person here retired.
    pub fn retired(&self) -> Result<BTreeSet<SiteId>, Error> {
        let text: String = self.meta("retired")?.unwrap_or_default();
        Ok(text.split(' ').filter_map(|s| Uuid::parse_str(s).ok()).collect())
    }

    /// Remembers which sites a person here retired.
    pub fn set_retired(&self, sites: &BTreeSet<SiteId>) -> Result<(), Error> {
        let text: Vec<String> = sites.iter().map(Uuid::to_string).collect();
        self.set_meta("retired", text.join(" "))
    }

    /// Keeps something that cannot be taken in yet.
    pub fn add_pending(&self, p: &Pending) -> Result<(), Error> {
        self.conn.prepare_cached("INSERT INTO cfs_pending (site, seq, id, item, since) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            p.site.as_bytes(),
            p.seq.cast_signed(),
            p.id.as_bytes(),
            super::pack(&p.item, None)?,
            p.since
        ])?;
        Ok(())
    }

    /// Everything that waits, for one record or all.
    pub fn pending(&self, id: Option<&RecordId>) -> Result<Vec<Pending>, Error> {
        let mut q = self.conn.prepare_cached("SELECT site, seq, id, item, since FROM cfs_pending WHERE ?1 IS NULL OR id = ?1 ORDER BY rowid")?;
        let rows =
            q.query_map([id.map(|i| i.as_bytes().to_vec())], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, i64>(1)?, r.get::<_, Vec<u8>>(2)?, r.get::<_, Vec<u8>>(3)?, r.get(4)?)))?;
        let uuid = |b: &[u8]| Uuid::from_slice(b).map_err(|_| Error::Damaged("pending"));
        rows.map(|r| {
            let (site, seq, id, item, since) = r?;
            Ok(Pending { site: uuid(&site)?, seq: seq.unsigned_abs(), id: uuid(&id)?, item: self.unpack(&item)?, since })
        })
        .collect()
    }

    /// Forgets what waited for a record.
    pub fn drop_pending(&self, id: &RecordId) -> Result<(), Error> {
        self.conn.prepare_cached("DELETE FROM cfs_pending WHERE id = ?1")?.execute([id.as_bytes()])?;
        Ok(())
    }

    /// A directory's modification time when it was last listed and had settled.
    pub fn dir(&self, path: &str) -> Result<Option<i64>, Error> {
        Ok(self.conn.prepare_cached("SELECT mtime FROM cfs_dir WHERE path = ?1")?.query_row([path], |r| r.get(0)).optional()?)
    }

    /// All directories as last listed.
    pub fn dirs(&self) -> Result<std::collections::BTreeMap<String, i64>, Error> {
        let mut q = self.conn.prepare_cached("SELECT path, mtime FROM cfs_dir")?;
        let rows = q.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Remembers a directory as listed.
    pub fn set_dir(&self, path: &str, mtime: i64) -> Result<(), Error> {
        self.conn.prepare_cached("INSERT OR REPLACE INTO cfs_dir (path, mtime) VALUES (?1, ?2)")?.execute(params![path, mtime])?;
        Ok(())
    }

    /// A file that is not a record's canonical one, as last read: size, time, outcome, since when.
    pub fn seen_file(&self, path: &str) -> Result<Option<(u64, i64, String, i64)>, Error> {
        let row = self
            .conn
            .prepare_cached("SELECT size, mtime, outcome, since FROM cfs_seen_file WHERE path = ?1")?
            .query_row([path], |r| Ok((r.get::<_, i64>(0)?.unsigned_abs(), r.get(1)?, r.get(2)?, r.get(3)?)))
            .optional()?;
        Ok(row)
    }

    /// Remembers such a file.
    pub fn set_seen_file(&self, path: &str, size: u64, mtime: i64, outcome: &str, now_ms: i64) -> Result<(), Error> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO cfs_seen_file (path, size, mtime, outcome, since) VALUES (?1, ?2, ?3, ?4, coalesce((SELECT since FROM cfs_seen_file WHERE path = ?1), ?5))",
            )?
            .execute(params![path, size.cast_signed(), mtime, outcome, now_ms])?;
        Ok(())
    }

    /// Forgets such a file.
    pub fn drop_seen_file(&self, path: &str) -> Result<(), Error> {
        self.conn.prepare_cached("DELETE FROM cfs_seen_file WHERE path = ?1")?.execute([path])?;
        Ok(())
    }

    /// All such files whose outcome starts with `prefix`.
    pub fn seen_files(&self, prefix: &str) -> Result<Vec<(String, String, i64)>, Error> {
        let mut q = self.conn.prepare_cached("SELECT path, outcome, since FROM cfs_seen_file WHERE substr(outcome, 1, length(?1)) = ?1 ORDER BY path")?;
        let rows = q.query_map([prefix], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
