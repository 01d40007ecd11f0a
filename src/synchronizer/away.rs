//! The sync folder, while it is away: on a drive that is not mounted, with a client that is not signed in. Whatever
//! stands in the database can be asked for all the same.

use super::{Error, Synchronizer};
use crate::folder::Folder;
use crate::manifest::{FILE_NAME, Manifest};

impl Synchronizer {
    /// Refuses what cannot be done without the folder, while it is not there.
    pub(crate) fn needs_folder(&self) -> Result<(), Error> {
        let fail = |why: String| Err(Error::Folder { path: crate::config::real(&self.config.folder), why: format!("{why} Nothing was changed") });
        self.missing().map_or(Ok(()), fail)
    }

    fn missing(&self) -> Option<String> {
        match self.config.folder.try_exists() {
            Err(e) => Some(format!("cannot be looked at: {e}.")),
            Ok(_) if self.config.folder.is_dir() => None,
            Ok(_) => Some("there is no such folder. Is the drive mounted, the cloud client signed in?".to_owned()),
        }
    }

    /// Why nothing can be read in the folder at the moment, if so: it is not there, or what is there in its place is
    /// empty, as where a drive is to be mounted.
    pub fn folder_away(&self) -> Option<String> {
        if let Some(why) = self.missing() {
            return Some(format!("{}: {why}", crate::config::real(&self.config.folder).display()));
        }
        match self.folder.stat(FILE_NAME) {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!("{}: no {FILE_NAME} is in it. Is the drive mounted, the cloud client signed in?", self.folder.place())),
            Err(e) => Some(e.to_string()),
        }
    }

    /// The folder's manifest; while it is away, as the database remembers it.
    pub(super) fn manifest(&self) -> Result<Manifest, Error> {
        let gone = match crate::sync::read_manifest(&self.folder) {
            Ok(m) => return Ok(m),
            Err(e) => e,
        };
        let kept = self.state()?.meta::<Vec<u8>>("manifest")?.and_then(|b| Manifest::read(&b).ok());
        kept.ok_or_else(|| gone.into())
    }
}
