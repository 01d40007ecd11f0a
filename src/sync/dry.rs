//! A dry run: the whole synchronization on a copy of the database in memory, with a folder and a
//! keeper that write nothing.

use super::{Env, Error, Keeper, Options, Settings, sync};
use crate::folder::{self, Folder, Kind, Stat};
use crate::host::mapping::Mapping;
use crate::id::Uuid;
use crate::report::Report;
use crate::state::{ChangeRow, State};
use rusqlite::Connection;
use rusqlite::backup::Backup;
use std::time::Duration;

struct DryFolder<'f>(&'f dyn Folder);

impl Folder for DryFolder<'_> {
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, folder::Error> {
        self.0.read(path, limit_bytes)
    }

    fn digest(&self, path: &str, limit_bytes: usize) -> Result<Option<(u64, [u8; 32])>, folder::Error> {
        self.0.digest(path, limit_bytes)
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, folder::Error> {
        self.0.stat(path)
    }

    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, folder::Error> {
        self.0.list(dir)
    }

    fn write(&self, files: &[(String, Vec<u8>)], _temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, folder::Error>> {
        files.iter().map(|(_, b)| Ok(Stat { kind: Kind::File, size_bytes: b.len() as u64, mtime_ns: 0 })).collect()
    }

    fn remove(&self, _path: &str) -> Result<(), folder::Error> {
        Ok(())
    }

    fn make_dirs(&self, _dirs: &[String]) -> Result<(), folder::Error> {
        Ok(())
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

struct DryKeeper<'k>(&'k dyn Keeper);

impl Keeper for DryKeeper<'_> {
    fn read(&self, database: &str) -> Result<Vec<String>, Error> {
        self.0.read(database)
    }

    fn write(&self, _database: &str, _tokens: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

/// Says what a synchronization would do, record by record, and changes nothing. The database is
/// copied into memory page by page, so the host can write meanwhile.
pub fn dry_run(
    conn: &Connection,
    folder: &dyn Folder,
    mapping: &Mapping,
    settings: &Settings,
    options: &Options,
    env: &mut Env,
    keeper: &dyn Keeper,
) -> Result<(Report, Vec<ChangeRow>), Error> {
    let mut copy = Connection::open_in_memory()?;
    Backup::new(conn, &mut copy)?.run_to_completion(1000, Duration::from_millis(1), None)?;
    let report = sync(&copy, &DryFolder(folder), mapping, settings, options, env, &DryKeeper(keeper), &mut |_, _, _| {})?;
    let state = State::new(&copy, Uuid::nil());
    let changes = if report.run == 0 { Vec::new() } else { state.changes(Some(report.run), None)? };
    Ok((report, changes.into_iter().map(|(_, c)| c).collect()))
}
