//! How things stand: what is to be sent and applied, what is held, and how the other sites are.

use super::find::{SiteName, moment};
use super::refused::HeldRecord;
use super::{Error, Synchronizer};
use crate::config::{Capture, real};
use crate::folder::Folder;
use crate::folder::disk::Disk;
use crate::id::{SiteId, Uuid};
use crate::names;
use crate::report::BadFile;
use crate::site::Site;
use crate::state::{self, State};
use crate::sync::Env;
use crate::xml::MAX_FILE_BYTES;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A site that was silent for this long stands out.
const SILENT_MS: u64 = 7 * 86_400_000;

/// What this site has for the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToSend {
    /// Rows touched in the database since the last synchronization.
    pub rows_touched: u64,
    /// Deletions asked for in `cfs_delete`.
    pub delete_requests: u64,
    /// Changes stamped and not yet in a segment.
    pub changes: u64,
    /// Segments not yet in the folder.
    pub segments: u64,
    /// Record files to be written.
    pub files: u64,
}

/// What the others have for this site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToApply {
    /// Segments announced by their sites and not read here.
    pub segments: u64,
    /// Records and large values announced and not here yet: pending.
    pub pending: u64,
    /// Since when the oldest of them waits.
    pub pending_since: Option<String>,
}

/// A site as seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteStatus {
    /// Which.
    #[serde(flatten)]
    pub site: SiteName,
    /// Whether it is this one.
    pub here: bool,
    /// When it last said something.
    pub last_heard: Option<String>,
    /// Days since then.
    pub days_silent: u64,
    /// Whether that is long enough to look into it.
    pub silent: bool,
    /// Its newest segment; 0 where it has none.
    pub newest: u64,
    /// Up to which of its segments it was read here.
    pub read_here: u64,
    /// Up to which segment it has read this site's log.
    pub has_read_ours: u64,
    /// Whether it writes a change log.
    pub logs: bool,
    /// Its version of cfs.
    pub program: String,
    /// How many columns it synchronizes; 0 where it does not say.
    pub columns: u64,
    /// Whether a person retired it, here or at another site.
    pub retired: bool,
    /// The id under which it goes on, where it came back, was restored or was copied.
    pub goes_on_as: Option<String>,
}

/// How things stand at this site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// This site.
    pub site: SiteName,
    /// The host database.
    pub database: String,
    /// The sync folder.
    pub folder: String,
    /// Why nothing can be read in it at the moment, if so; what the others wrote since is not counted then.
    pub folder_away: Option<String>,
    /// What `cfs.toml` names and the database no longer has.
    pub gone: Vec<String>,
    /// Records known.
    pub records: u64,
    /// The last synchronization that did something.
    pub last_run: Option<i64>,
    /// When it was.
    pub last_run_at: Option<String>,
    /// How what the host changed is found; by comparing, only the next synchronization does.
    pub capture: Capture,
    /// What this site has for the others.
    pub to_send: ToSend,
    /// What the others have for this site.
    pub to_apply: ToApply,
    /// Records held, or waiting for another.
    pub held: Vec<HeldRecord>,
    /// Records with superseded values that a person should look at.
    pub conflicts: u64,
    /// Records with rows that the host deleted and that wait for a person's word.
    pub deletions: u64,
    /// Records with something in the trash.
    pub trash: u64,
    /// Pairs of records that may be one person.
    pub pairs: u64,
    /// Files left alone.
    pub bad_files: Vec<BadFile>,
    /// The sites, this one first.
    pub sites: Vec<SiteStatus>,
}

impl Synchronizer {
    /// How things stand. Reads the site files in the folder, and no record.
    pub fn status(&self) -> Result<Status, Error> {
        let state = self.state()?;
        let brief = state.brief()?;
        let sites = self.sites()?;
        let pending = state.pending_rows()?;
        let awaited = state.awaited()?;
        let oldest = pending.iter().map(|p| p.since).chain(awaited.iter().map(|a| a.since)).min();
        let run = state.runs(1)?.into_iter().next();
        let me = state.site()?;
        Ok(Status {
            site: self.site_names()?.of(&me),
            database: real(&self.config.database).display().to_string(),
            folder: real(&self.config.folder).display().to_string(),
            folder_away: self.folder_away(),
            gone: self.gone.iter().map(|g| g.what.clone()).collect(),
            records: state.count()?,
            last_run: run.as_ref().map(|r| r.run),
            last_run_at: run.map(|r| moment(r.started.unsigned_abs())),
            capture: self.config.capture,
            to_send: ToSend { rows_touched: brief.touched, delete_requests: brief.delete_requests, changes: brief.unsent, segments: brief.segments, files: brief.files },
            to_apply: ToApply {
                segments: sites.iter().filter(|s| !s.here).map(|s| s.newest.saturating_sub(s.read_here)).sum(),
                pending: (pending.len() + awaited.len()) as u64,
                pending_since: oldest.map(|since| moment(since.unsigned_abs())),
            },
            held: self.held()?,
            conflicts: state.count_flagged(state::SUPERSEDED)?,
            deletions: state.count_flagged(state::ASKED)?,
            trash: state.count_flagged(state::TRASH)?,
            pairs: state.pair_count()?,
            bad_files: self.left_alone(&state)?,
            sites,
        })
    }

    fn left_alone(&self, state: &State<'_>) -> Result<Vec<BadFile>, Error> {
        let mut out = Vec::new();
        if self.folder_away().is_some() {
            return Ok(out);
        }
        for (path, outcome, _) in state.seen_files("")? {
            let fine = outcome == "site" || outcome.starts_with("conflict");
            if !fine && self.folder.stat(&path)?.is_some() {
                out.push(BadFile { path, reason: outcome });
            }
        }
        Ok(out)
    }

    /// Site files as they were last read and as they stand in the folder, the newer of each site.
    fn site_files(&self, state: &State<'_>) -> Result<BTreeMap<SiteId, Site>, Error> {
        let peers = state.peers()?.into_iter().map(|id| Ok(state.peer(&id)?.file)).collect::<Result<Vec<_>, state::Error>>()?;
        let there = Some(&self.folder).filter(|_| self.folder_away().is_none());
        newest_sites(there, &state.folder, peers.into_iter().flatten().collect())
    }

    /// The sites: this one first, then the others by name, those that are gone after those in use.
    pub fn sites(&self) -> Result<Vec<SiteStatus>, Error> {
        let state = self.state()?;
        let me = state.site()?;
        let now = Env::system().now.ms();
        let files = self.site_files(&state)?;
        let mut retired = state.retired()?;
        files.values().filter(|f| f.id != me).for_each(|f| retired.extend(&f.retired));
        let mut next: BTreeMap<SiteId, SiteId> = files.values().filter_map(|f| Some((f.before?, f.id))).collect();
        next.extend(state.meta_uuid("site_before")?.map(|b| (b, me)));
        let peers: BTreeMap<SiteId, u64> = state.peers()?.into_iter().map(|id| Ok((id, state.peer(&id)?.upto))).collect::<Result<_, state::Error>>()?;
        let own_newest: i64 = state.meta("seq")?.unwrap_or(0);
        let ids: BTreeSet<SiteId> = files.keys().chain(peers.keys()).copied().chain([me]).collect();
        let site_names = self.site_names()?;
        let mut out: Vec<SiteStatus> = Vec::new();
        for id in ids {
            let file = files.get(&id);
            let here = id == me;
            let days_silent = file.map_or(0, |f| now.saturating_sub(f.written.ms) / 86_400_000);
            let mut site = site_names.of(&id);
            if let Some(f) = file.filter(|_| !here) {
                site.name.clone_from(&f.name);
            }
            out.push(SiteStatus {
                site,
                here,
                last_heard: file.map(|f| moment(f.written.ms)),
                days_silent,
                silent: !here && !retired.contains(&id) && !next.contains_key(&id) && file.is_none_or(|f| now.saturating_sub(f.written.ms) > SILENT_MS),
                newest: if here { own_newest.unsigned_abs() } else { file.map_or(0, |f| f.newest) },
                read_here: if here { own_newest.unsigned_abs() } else { peers.get(&id).copied().unwrap_or(0) },
                has_read_ours: if here { own_newest.unsigned_abs() } else { file.and_then(|f| f.read.get(&me).copied()).unwrap_or(0) },
                logs: file.map_or(self.config.use_logs, |f| f.logs),
                program: file.map_or_else(String::new, |f| f.program.clone()),
                columns: if here { self.mapping.tables.iter().map(|t| t.columns.len() as u64).sum() } else { file.map_or(0, |f| f.columns) },
                retired: retired.contains(&id),
                goes_on_as: next.get(&id).map(Uuid::to_string),
            });
        }
        let gone = |s: &SiteStatus| s.retired || s.goes_on_as.is_some();
        out.sort_by(|a, b| b.here.cmp(&a.here).then_with(|| a.site.name.cmp(&b.site.name)).then_with(|| gone(a).cmp(&gone(b))));
        Ok(out)
    }

    /// Retires a site that is gone for good, or takes that back: the others no longer wait for it.
    /// Takes effect in the folder with the next synchronization.
    pub fn retire(&self, name: &str, back: bool) -> Result<SiteStatus, Error> {
        let _lock = self.lock()?;
        let state = self.state()?;
        let sites = self.sites()?;
        let hex = name.to_ascii_lowercase();
        let by_name: Vec<&SiteStatus> = sites.iter().filter(|s| s.site.name == name || s.site.id == hex || (hex.len() >= 4 && s.site.id.starts_with(&hex))).collect();
        // Of several with one name, the one that is meant is the one in use; where a retirement is
        // taken back, one that this site retired.
        let mut retired = state.retired()?;
        let ours = |s: &SiteStatus| Uuid::parse_str(&s.site.id).is_ok_and(|id| retired.contains(&id));
        let meant: Vec<&SiteStatus> = by_name.iter().copied().filter(|s| if back { ours(s) } else { !s.retired && s.goes_on_as.is_none() }).collect();
        let site = match (meant.as_slice(), by_name.as_slice()) {
            ([one], _) | ([], [one]) => *one,
            (_, []) => return Err(Error::Usage("there is no site of that name or id; `cfs sites` lists them".into())),
            _ => return Err(Error::Usage("several sites have that name; say its id, as `cfs sites --json` lists it".into())),
        };
        if site.here {
            return Err(Error::Usage("that is this site. Retire it from another one; here, `cfs detach` takes this database out".into()));
        }
        let id = Uuid::parse_str(&site.site.id).unwrap_or_default();
        if !back {
            retired.insert(id);
        } else if !retired.remove(&id) {
            let by: Vec<String> = self.site_files(&state)?.into_values().filter(|f| f.retired.contains(&id)).map(|f| format!("\"{}\"", f.name)).collect();
            return Err(Error::Usage(if by.is_empty() { "that site is not retired".into() } else { format!("that site was retired at {}: take it back there", by.join(" and ")) }));
        }
        state.set_retired(&retired)?;
        Ok(site.clone())
    }
}

/// The site files of a folder, if it is there, and those given, as last read: the newest of each site.
pub(super) fn newest_sites(folder: Option<&Disk>, id: &Uuid, mut files: Vec<Vec<u8>>) -> Result<BTreeMap<SiteId, Site>, Error> {
    if let Some(folder) = folder {
        for (name, _) in folder.list(names::SITES).map_err(crate::sync::Error::from)?.unwrap_or_default() {
            files.extend(folder.read(&format!("{}/{name}", names::SITES), MAX_FILE_BYTES).ok().flatten());
        }
    }
    let mut newest: BTreeMap<SiteId, Site> = BTreeMap::new();
    for site in files.iter().filter_map(|b| Site::read(b, id).ok()) {
        if newest.get(&site.id).is_none_or(|f| f.written < site.written) {
            newest.insert(site.id, site);
        }
    }
    Ok(newest)
}
