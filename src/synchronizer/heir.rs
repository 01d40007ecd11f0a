//! A place that takes over from one whose computer is lost.

use super::{Error, Synchronizer};
use crate::folder::disk::Disk;
use crate::id::SiteId;
use crate::site::Site;
use std::collections::BTreeSet;

/// The site of a name or id that is to be taken over from: of several with one name, the one in use.
pub fn find_lost(folder: &Disk, name: &str) -> Result<Site, Error> {
    let manifest = crate::sync::read_manifest(folder)?;
    let sites: Vec<Site> = super::status::newest_sites(Some(folder), &manifest.folder, Vec::new())?.into_values().collect();
    let went_on: BTreeSet<SiteId> = sites.iter().filter_map(|s| s.before).collect();
    let hex = name.to_ascii_lowercase();
    let is_meant = |s: &Site| s.name == name || (hex.len() >= 4 && s.id.to_string().starts_with(&hex));
    let meant: Vec<&Site> = sites.iter().filter(|s| is_meant(s) && !went_on.contains(&s.id)).collect();
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let all: BTreeSet<String> = sites.iter().filter(|s| !went_on.contains(&s.id)).map(|s| format!("\"{}\"", s.name)).collect();
            let there = if all.is_empty() { "it has none yet".to_owned() } else { format!("it has {}", Vec::from_iter(all).join(", ")) };
            Err(Error::Usage(format!("the folder knows no site \"{name}\" that this one could succeed; {there}")))
        }
        _ => Err(Error::Usage(format!("several sites are called \"{name}\"; say the id of the one that is lost, as `cfs sites --json` lists it at another place"))),
    }
}

impl Synchronizer {
    /// Refuses what was set up before: numbers are given back when records come for the first time.
    pub fn refuse_to_succeed(&self) -> Result<(), Error> {
        if crate::state::layout(&self.conn)?.is_none() || self.state()?.meta::<i64>("scanned")?.is_none() {
            return Ok(());
        }
        Err(Error::Usage("--succeeds is for a database that was never synchronized; this one is a site already".into()))
    }

    /// Takes over from a lost site: its own numbers are this one's, and nobody waits for it any more.
    pub fn succeed(&self, lost: &Site) -> Result<(), Error> {
        let state = self.state()?;
        let mut retired = state.retired()?;
        retired.insert(lost.id);
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let id = lost.id.as_bytes().to_vec();
        let done = state.set_meta("site_before", id.clone()).and_then(|()| state.set_meta("succeeds", id)).and_then(|()| state.set_retired(&retired));
        self.conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        Ok(done?)
    }
}
