//! Setting up: the folder's manifest and directories, our tables and triggers in the database.

use crate::folder::Folder;
use crate::host::capture;
use crate::host::mapping::Mapping;
use crate::id::Uuid;
use crate::manifest::{self, Manifest};
use crate::names;
use crate::stamp::Time;
use crate::state::{self, State};
use crate::sync::{Env, Error, differs, hear, read_manifest};
use rusqlite::Connection;

/// What setting up found and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Whether the sync folder was made new.
    pub new_folder: bool,
    /// The folder's id.
    pub folder: Uuid,
    /// This site's id.
    pub site: Uuid,
}

/// What a folder says of itself that is set up anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewFolder {
    /// Days that what was deleted stays restorable.
    pub retention_days: u64,
    /// What is synchronized, as the tables of `cfs.toml`.
    pub mapping: String,
}

/// Makes the folder a sync folder, if it is none yet, and the database a site of it.
pub fn set_up(conn: &Connection, folder: &dyn Folder, mapping: &Mapping, new: &NewFolder, env: &mut Env) -> Result<Done, Error> {
    if let (None, Ok(manifest)) = (state::layout(conn)?, read_manifest(folder)) {
        differs(&manifest, mapping)?;
    }
    state::install(conn)?;
    let probe = State::new(conn, Uuid::nil());
    let belongs = probe.meta_uuid("folder")?;
    let (manifest, new_folder) = match read_manifest(folder) {
        Ok(m) => (m, false),
        Err(Error::NoFolder { place }) => {
            if belongs.is_some() {
                // The database knows a folder: an empty directory is not it.
                return Err(Error::NoFolder { place });
            }
            (make_folder(folder, mapping, new, env)?, true)
        }
        Err(e) => return Err(e),
    };
    if let Some(wanted) = belongs.filter(|b| *b != manifest.folder) {
        return Err(Error::OtherFolder { place: folder.place(), wanted, found: manifest.folder });
    }
    make_dirs(folder, mapping)?;
    let site = match belongs {
        Some(_) => probe.site()?,
        None => {
            let site = env.random.uuid();
            conn.execute_batch("BEGIN IMMEDIATE")?;
            probe.set_meta("site", site.as_bytes().to_vec())?;
            probe.set_meta("database", env.random.uuid().as_bytes().to_vec())?;
            probe.set_meta("folder", manifest.folder.as_bytes().to_vec())?;
            conn.execute_batch("COMMIT")?;
            site
        }
    };
    hear(&probe, mapping)?;
    Ok(Done { new_folder, folder: manifest.folder, site })
}

fn make_folder(folder: &dyn Folder, mapping: &Mapping, new: &NewFolder, env: &mut Env) -> Result<Manifest, Error> {
    let key: Vec<u8> = (0..4).flat_map(|_| env.random.bits().to_be_bytes()).collect();
    let created = Time { ms: env.now.ms().min(crate::stamp::MAX_MS), counter: 0 };
    let types = mapping.types.iter().map(|t| t.name.to_string()).collect();
    let m = Manifest { folder: env.random.uuid(), key, created, retention_days: new.retention_days, types, mapping: new.mapping.clone() };
    write_folder(folder, mapping, m.write(), env)?;
    Ok(m)
}

/// Before the first synchronization of all: what a person changed in `cfs.toml` since `cfs init` is what those who join
/// follow. From then on the folder's word stands.
pub fn say_first(folder: &dyn Folder, state: &State<'_>, mapping: &Mapping, wanted: &dyn Fn() -> String, env: &mut Env) -> Result<(), Error> {
    if state.any()? {
        return Ok(());
    }
    // What is wrong with the folder, the synchronization says.
    let Ok(mut manifest) = read_manifest(folder) else { return Ok(()) };
    let belongs = state.meta_uuid("folder")? == Some(manifest.folder);
    let wanted = wanted();
    if !belongs || manifest.mapping == wanted || folder.list(names::SITES)?.is_none_or(|s| !s.is_empty()) {
        return Ok(());
    }
    manifest.mapping = wanted;
    manifest.types = mapping.types.iter().map(|t| t.name.to_string()).collect();
    write_folder(folder, mapping, manifest.write(), env)
}

/// Says for all sites how many days deleted content is kept (decision 0030). Only where the folder says what was `seen`
/// before: gives whether it does.
pub fn set_retention(folder: &dyn Folder, seen: u64, days: u64, env: &mut Env) -> Result<bool, Error> {
    let mut manifest = read_manifest(folder)?;
    if manifest.retention_days != seen {
        return Ok(false);
    }
    manifest.retention_days = days;
    write_manifest(folder, manifest.write(), env).map(|()| true)
}

/// The directories, then the manifest: a folder without that is none yet.
fn write_folder(folder: &dyn Folder, mapping: &Mapping, manifest: Vec<u8>, env: &mut Env) -> Result<(), Error> {
    make_dirs(folder, mapping)?;
    write_manifest(folder, manifest, env)
}

fn write_manifest(folder: &dyn Folder, manifest: Vec<u8>, env: &mut Env) -> Result<(), Error> {
    let random = &mut env.random;
    Ok(folder.write(&[(manifest::FILE_NAME.to_owned(), manifest)], &mut || random.hex()).into_iter().try_for_each(|r| r.map(|_| ()))?)
}

/// Makes a folder that is lost for good again, as the same one: its manifest and its directories. What was in it
/// follows with the next full look of each site.
pub fn rebuild(conn: &Connection, folder: &dyn Folder, mapping: &Mapping, env: &mut Env) -> Result<Option<Uuid>, Error> {
    match read_manifest(folder) {
        Err(Error::NoFolder { .. }) => {}
        Ok(m) => return Ok(Some(m.folder)),
        Err(e) => return Err(e),
    }
    let Some(bytes) = State::new(conn, Uuid::nil()).meta::<Vec<u8>>("manifest")? else { return Ok(None) };
    let manifest = Manifest::read(&bytes).map_err(|source| Error::Manifest { place: folder.place(), source })?;
    write_folder(folder, mapping, bytes, env)?;
    Ok(Some(manifest.folder))
}

/// All directories at once: two clients that make one directory each would get twins.
fn make_dirs(folder: &dyn Folder, mapping: &Mapping) -> Result<(), Error> {
    let mut dirs: Vec<String> = [names::LOGS, names::SITES, names::BLOBS].iter().map(|s| (*s).to_owned()).collect();
    dirs.extend((0..=255u8).map(|x| format!("{}/{x:02x}", names::BLOBS)));
    for t in &mapping.types {
        let name = names::type_name(&t.name);
        dirs.extend((0..=255u8).map(|x| format!("{}/{name}/{x:02x}", names::RECORDS)));
    }
    Ok(folder.make_dirs(&dirs)?)
}

/// Removes every trace of ours from a database.
pub fn detach(conn: &Connection) -> Result<(), Error> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let done = capture::uninstall(conn).map_err(Error::from).and_then(|()| Ok(state::uninstall(conn)?));
    conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}
