//! The settings that a person changes in the page: checked, then written to `cfs.toml`.

use super::{Error, Synchronizer};
use crate::config::edit::{Setting, changed};
use crate::config::{Config, Deletes, real};
use crate::folder::disk::Disk;
use crate::id::Uuid;
use crate::state::State;
use crate::sync::Env;
use sha2::{Digest as _, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The sync folder.
    pub folder: PathBuf,
    /// Whether this site writes a change log.
    pub use_logs: bool,
    /// Whether conflict files are deleted once they are merged.
    pub delete_conflicts: bool,
    /// Minutes between two synchronizations; 0 for never.
    pub auto_sync_minutes: u32,
    /// What happens to rows that the host deletes.
    pub local_deletes: Deletes,
}

impl Settings {
    /// What a configuration says.
    pub fn of(c: &Config) -> Self {
        Settings { folder: c.folder.clone(), use_logs: c.use_logs, delete_conflicts: c.delete_conflicts, auto_sync_minutes: c.auto_sync_minutes, local_deletes: c.local_deletes }
    }

    /// The lines of the file that differ from another's.
    fn against(&self, old: &Settings) -> Vec<Setting> {
        let deletes = match self.local_deletes {
            Deletes::Restore => "restore",
            Deletes::Ask => "ask",
        };
        let all: [(bool, Setting); 5] = [
            (real(&self.folder) != real(&old.folder), ("folder", self.folder.display().to_string().into())),
            (self.use_logs != old.use_logs, ("use_logs", self.use_logs.into())),
            (self.delete_conflicts != old.delete_conflicts, ("delete_conflicts", self.delete_conflicts.into())),
            (self.auto_sync_minutes != old.auto_sync_minutes, ("auto_sync_minutes", i64::from(self.auto_sync_minutes).into())),
            (self.local_deletes != old.local_deletes, ("local_deletes", deletes.into())),
        ];
        all.into_iter().filter(|(differs, _)| *differs).map(|(_, s)| s).collect()
    }
}

/// A mark of a file's text, by which a form knows whether somebody changed it meanwhile.
pub fn mark(config: &Config) -> String {
    crate::xml::hex(&Sha256::digest(config.source.text.as_bytes()))
}

/// Days that deleted content is kept, at every site: those that the person saw, and those that are wanted.
pub type Retention = (u64, u64);

/// Writes settings to the file, after everything that can be wrong with them was looked at, and what holds for all sites
/// to the folder. `seen` is the mark of the file that the person saw.
pub fn save(file: &Path, seen: &str, settings: &Settings, retention: Option<Retention>) -> Result<(), Error> {
    save_own(file, seen, settings)?;
    let Some((seen, days)) = retention.filter(|(seen, days)| seen != days) else { return Ok(()) };
    let s = Synchronizer::open(Config::load(file)?)?;
    s.needs_folder()?;
    if crate::setup::set_retention(&Disk::new(s.config().folder.clone()), seen, days, &mut Env::system())? {
        return Ok(());
    }
    Err(Error::Usage("another site changed meanwhile how long deleted content is kept; look at it again, then change it".into()))
}

/// What is this site's own.
fn save_own(file: &Path, seen: &str, settings: &Settings) -> Result<(), Error> {
    let config = Config::load(file)?;
    if mark(&config) != seen {
        return Err(Error::Usage("the configuration was changed meanwhile, here or by hand; look at it again, then change it".into()));
    }
    let lines = settings.against(&Settings::of(&config));
    if lines.is_empty() {
        return Ok(());
    }
    let text = changed(&config.source.text, file, &lines)?;
    let new = Config::parse(&text, file)?;
    let same_folder = real(&new.folder) == real(&config.folder);
    let s = Synchronizer::open(new)?;
    s.needs_folder()?;
    if !same_folder {
        let there = crate::sync::read_manifest(&Disk::new(s.config().folder.clone()))?.folder;
        let ours = State::new(s.connection(), Uuid::nil()).meta_uuid("folder")?;
        if ours != Some(there) {
            return Err(Error::Usage(
                "that is another sync folder than this database belongs to; nothing was changed. To move the folder, copy all of it first; to join another one, run `cfs detach`, then `cfs init`".into(),
            ));
        }
    }
    replace(file, &text).map_err(|e| Error::Usage(format!("{} cannot be written: {e}", file.display())))
}

/// Replaces a file whole, with its permissions. What a link leads to is replaced, not the link.
#[expect(clippy::disallowed_methods, reason = "cfs.toml is no file of the sync folder")]
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let file = dunce::canonicalize(file)?;
    let part = file.with_extension("toml.part");
    let mut f = std::fs::File::create(&part)?;
    f.set_permissions(std::fs::metadata(&file)?.permissions())?;
    f.write_all(text.as_bytes())?;
    f.sync_all()?;
    drop(f);
    std::fs::rename(&part, &file)
}
