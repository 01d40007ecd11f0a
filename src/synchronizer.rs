//! What a program uses: open a configured site, synchronize it, ask about it.

pub mod account;
mod away;
pub mod check;
pub mod client;
pub mod conflicts;
pub mod deletions;
pub mod doctor;
pub mod duplicates;
pub mod find;
pub mod heir;
pub mod history;
mod host_side;
pub mod large;
pub mod matching;
pub mod people;
pub mod refused;
pub mod settings;
pub mod show;
pub mod status;
pub mod verify;

use crate::config::{Config, ConfigError, real};
use crate::folder::disk::Disk;
use crate::host::mapping::Mapping;
use crate::host::resolve::resolve;
use crate::host::schema::{Schema, SchemaError};
use crate::host::upgraded::{Gone, Had, without_what_is_gone};
use crate::id::Uuid;
use crate::keeper::{DirKeeper, Lock};
use crate::report::Report;
use crate::state::{self, State};
use crate::sync::{self, Env, Options, Progress, Settings};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a lock of the host is waited for before a statement of ours gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What can go wrong with a configured site.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `cfs.toml`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The host's schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The synchronization.
    #[error(transparent)]
    Sync(#[from] sync::Error),
    /// Our tables.
    #[error(transparent)]
    State(#[from] state::Error),
    /// SQLite.
    #[error("the host database: {}", crate::host::in_words(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// The database cannot be opened.
    #[error("{}: {why}", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// The sync folder cannot be used.
    #[error("{}: {why}", path.display())]
    Folder {
        /// Which directory.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// Another process synchronizes this database.
    #[error("another synchronization of this database is running{}; try again when it is done", process(*.pid))]
    Busy {
        /// Its process id; 0 if it is not known.
        pid: u32,
    },
    /// A service has this database.
    #[error("a service keeps this database in step already{}; `cfs open` shows its page, `cfs sync` asks it to synchronize", process(*.pid))]
    Serving {
        /// Its process id; 0 if it is not known.
        pid: u32,
    },
    /// The service ended while it was asked something.
    #[error("the service ended before it answered. Nothing is half-done; run the command again")]
    Ended,
    /// The service cannot be asked.
    #[error("the service of this database cannot be asked: {source}")]
    Service {
        /// What the system said.
        source: std::io::Error,
    },
    /// Refused until a person says so.
    #[error("{0}")]
    Refused(String),
    /// What was asked for does not exist, or cannot be meant.
    #[error("{0}")]
    Usage(String),
}

fn process(pid: u32) -> String {
    if pid == 0 { String::new() } else { format!(" (process {pid})") }
}

impl Error {
    /// The exit code of `cfs`: 1 failed, 2 usage or configuration, 3 busy, 4 refused until `--yes`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Config(e) => e.exit_code(),
            Error::Database { .. } | Error::Folder { .. } | Error::Usage(_) => 2,
            Error::Sync(
                sync::Error::NotSetUp | sync::Error::OtherFolder { .. } | sync::Error::NoFolder { .. } | sync::Error::OtherRecords { .. } | sync::Error::OtherAccount { .. },
            ) => 2,
            Error::Busy { .. } | Error::Serving { .. } => 3,
            Error::Refused(_) => 4,
            _ => 1,
        }
    }
}

/// A configured site: its database, its folder, its mapping.
#[derive(Debug)]
pub struct Synchronizer {
    config: Config,
    conn: Connection,
    folder: Disk,
    mapping: Mapping,
    keeper: DirKeeper,
    gone: Vec<Gone>,
}

/// Does something again and again while another synchronization is running, for so long at most.
pub fn patiently<T>(longest: Duration, mut work: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let start = std::time::Instant::now();
    loop {
        match work() {
            Err(Error::Busy { .. }) if start.elapsed() < longest => std::thread::sleep(Duration::from_millis(100)),
            other => return other,
        }
    }
}

/// The tables and columns that were synchronized here at any time.
pub(crate) fn had(conn: &Connection) -> Result<Had, Error> {
    if state::layout(conn)?.is_none() {
        return Ok(Had::default());
    }
    Ok(sync::had(&State::new(conn, Uuid::nil()).meta::<String>("columns_ever")?.unwrap_or_default()))
}

impl Synchronizer {
    /// Opens a site by its configuration, whether or not the folder is there. Nothing is changed.
    pub fn open(config: Config) -> Result<Self, Error> {
        refuse_cloud_folder(&config.database, &config.folder)?;
        let conn = open_database(&config.database)?;
        let folder = Disk::new(config.folder.clone());
        let schema = Schema::read(&conn)?;
        let mut config = config;
        let gone = without_what_is_gone(&mut config, &schema, &had(&conn)?);
        let mapping = resolve(&config, &schema, &conn)?;
        let keeper = DirKeeper::new(config.state_dir.as_deref())?;
        Ok(Synchronizer { config, conn, folder, mapping, keeper, gone })
    }

    /// Makes the folder and the database a pair: tables, triggers, manifest, directories.
    pub fn set_up(&self) -> Result<crate::setup::Done, Error> {
        self.needs_folder()?;
        let new = crate::setup::NewFolder { retention_days: u64::from(self.config.retention_days), mapping: self.config.shared_text() };
        Ok(crate::setup::set_up(&self.conn, &self.folder, &self.mapping, &new, &mut Env::system())?)
    }

    /// Synchronizes once. A second synchronization at the same time is refused.
    pub fn sync_now(&self, options: &Options, progress: Progress<'_>) -> Result<Report, Error> {
        self.needs_folder()?;
        let _lock = self.lock()?;
        crate::setup::say_first(&self.folder, &self.state()?, &self.mapping, &|| self.config.shared_text(), &mut Env::system())?;
        let settings = Settings { site_name: self.config.site.clone(), use_logs: self.config.use_logs, delete_conflicts: self.config.delete_conflicts };
        let mut report = sync::sync(&self.conn, &self.folder, &self.mapping, &settings, options, &mut Env::system(), &self.keeper, progress)?;
        // Said each time, and no event of this synchronization.
        report.notices.extend(self.gone.iter().filter(|g| g.named).map(|g| g.what.clone()));
        Ok(report)
    }

    /// Makes a folder that is lost for good again, as the same one. The next full synchronization writes what was
    /// in it.
    pub fn rebuild_folder(&self) -> Result<(), Error> {
        self.needs_folder()?;
        let _lock = self.lock()?;
        match crate::setup::rebuild(&self.conn, &self.folder, &self.mapping, &mut Env::system())? {
            Some(_) => Ok(()),
            None => Err(Error::Usage(
                "this database has not synchronized since this version was installed, and does not know the folder's manifest; run --rebuild at another site".into(),
            )),
        }
    }

    /// Says what a synchronization would do, and changes nothing.
    pub fn dry_run(&self, options: &Options) -> Result<(Report, Vec<state::ChangeRow>), Error> {
        self.needs_folder()?;
        let settings = Settings { site_name: self.config.site.clone(), use_logs: self.config.use_logs, delete_conflicts: self.config.delete_conflicts };
        Ok(sync::dry_run(&self.conn, &self.folder, &self.mapping, &settings, options, &mut Env::system(), &self.keeper)?)
    }

    fn lock(&self) -> Result<Lock, Error> {
        let id = self.state()?.meta::<Vec<u8>>("database")?.ok_or(sync::Error::NotSetUp)?;
        self.keeper.lock(&crate::xml::hex(&id))?.map_err(|pid| Error::Busy { pid })
    }

    /// Our tables, for reports.
    pub fn state(&self) -> Result<State<'_>, Error> {
        if state::layout(&self.conn)?.is_none() {
            return Err(sync::Error::NotSetUp.into());
        }
        state::upgrade(&self.conn)?;
        let folder = State::new(&self.conn, Uuid::nil()).meta_uuid("folder")?.ok_or(sync::Error::NotSetUp)?;
        Ok(State::new(&self.conn, folder))
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What `cfs.toml` names and the database no longer has, since an upgrade of the host.
    pub fn gone(&self) -> &[Gone] {
        &self.gone
    }

    /// What of the host's schema is synchronized.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The host database.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// The sync folder.
    pub fn folder(&self) -> &Disk {
        &self.folder
    }

    /// Removes every trace of ours from the database.
    pub fn detach(&self) -> Result<(), Error> {
        self.needs_folder()?;
        let _lock = self.lock()?;
        Ok(crate::setup::detach(&self.conn)?)
    }
}

/// Opens a host database as it is: no setting of it is changed.
pub fn open_database(path: &Path) -> Result<Connection, Error> {
    let fail = |why: &str| Error::Database { path: path.to_owned(), why: why.to_owned() };
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(fail("there is no such file; the clinic's database is named with --database of `cfs init`, then by `database` in cfs.toml")),
        Err(e) => return Err(fail(&format!("cannot be looked at: {e}"))),
    }
    if path.is_dir() {
        return Err(fail("is a directory; name the database file in it"));
    }
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(512);
    // One plan for each query, whatever is bound to it: with ANALYZE run by the host, SQLite would plan
    // anew for every value.
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, NotADatabase, ReadOnly};
    let check = conn.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get::<_, i64>(0));
    match check {
        Ok(_) => Ok(conn),
        Err(rusqlite::Error::SqliteFailure(e, m)) => Err(match e.code {
            NotADatabase => fail("is not an SQLite database, or it is encrypted; cfs needs a plain SQLite file"),
            DatabaseBusy | DatabaseLocked => fail("another program has it locked for itself alone (locking_mode=EXCLUSIVE, or a long write); close it or change that setting"),
            CannotOpen | ReadOnly => fail("cannot be opened for writing; check the permissions of the file and of its directory"),
            _ => fail(&m.unwrap_or_else(|| e.to_string())),
        }),
        Err(e) => Err(e.into()),
    }
}

/// Refuses a database inside the sync folder, or below a directory that a cloud client keeps: its
/// files would be swapped while SQLite has them open.
pub fn refuse_cloud_folder(database: &Path, folder: &Path) -> Result<(), Error> {
    let (db, folder) = (real(database), real(folder));
    let fail = |why: String| Err(Error::Database { path: database.to_owned(), why });
    if db.starts_with(&folder) {
        return fail(
            "lies inside the sync folder; a cloud client would swap the file while it is in use. Move the database elsewhere, for example to a local data directory".into(),
        );
    }
    if let Some((dir, client)) = db.parent().and_then(client::cloud_client) {
        return fail(format!(
            "lies in {}, which {client} keeps in step; it would swap the file while SQLite has it open. Move the database out of it and run this again",
            dir.display()
        ));
    }
    Ok(())
}

impl From<crate::folder::Error> for Error {
    fn from(e: crate::folder::Error) -> Self {
        Error::Sync(e.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_kept_out_by_another_program_hears_what_to_do_wherever_that_happened() {
        let busy = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None);
        let said = [
            Error::from(busy()).to_string(),
            Error::from(sync::Error::from(busy())).to_string(),
            Error::from(sync::Error::from(crate::host::Error::from(busy()))).to_string(),
            Error::from(state::Error::from(busy())).to_string(),
        ];
        assert!(said.iter().all(|s| s.contains("another program") && s.contains("try again")), "{said:?}");
    }
}
