//! The small file outside the database, and the lock: one synchronization at a time on a database.

use crate::config::real;
use crate::sync::{Error, Keeper};
use fs4::{FileExt, TryLockError};
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Keeps tokens in a directory, one file for each database.
#[derive(Debug, Clone)]
pub struct DirKeeper {
    dir: PathBuf,
    /// Whether it is the platform's place for the state of one account, and nobody named another.
    account: bool,
}

/// Held while a synchronization runs.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DirKeeper {
    /// In a directory that a person named, or in the platform's own place for state.
    pub fn new(named: Option<&Path>) -> Result<Self, Error> {
        let dir = match named {
            Some(d) => d.to_owned(),
            None => platform_dir()
                .ok_or_else(|| Error::Keeper { path: "state_dir".into(), source: std::io::Error::other("no home directory is known; set `state_dir` in cfs.toml") })?,
        };
        Ok(DirKeeper { dir, account: named.is_none() })
    }

    fn path(&self, database: &str, ending: &str) -> PathBuf {
        self.dir.join(format!("{database}.{ending}"))
    }

    fn open(&self, path: &Path) -> Result<File, Error> {
        let io = |source| Error::Keeper { path: path.display().to_string(), source };
        std::fs::create_dir_all(&self.dir).map_err(io)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        options.open(path).map_err(io)
    }

    /// Where it keeps them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes the lock of a database. Gives the process that has it, if another does.
    pub fn lock(&self, database: &str) -> Result<Result<Lock, u32>, Error> {
        self.lock_for(database, "lock")
    }

    /// Takes a lock of a database for a purpose of its own.
    pub fn lock_for(&self, database: &str, purpose: &str) -> Result<Result<Lock, u32>, Error> {
        let path = self.path(database, purpose);
        let io = |source| Error::Keeper { path: path.display().to_string(), source };
        let f = self.open(&path)?;
        // On Windows nobody else may read what is locked: who has it stands in a file beside it.
        let beside = cfg!(windows).then(|| self.open(&self.path(database, &format!("{purpose}-pid")))).transpose()?;
        let mut who = beside.as_ref().unwrap_or(&f);
        match FileExt::try_lock(&f) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                who.read_to_string(&mut pid).map_err(io)?;
                return Ok(Err(pid.trim().parse().unwrap_or(0)));
            }
            // Nobody has it: the system cannot lock here.
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        who.set_len(0).map_err(io)?;
        who.rewind().map_err(io)?;
        writeln!(who, "{}", std::process::id()).map_err(io)?;
        Ok(Ok(Lock { _file: f }))
    }
}

fn platform_dir() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy().ok()?;
    // Windows has no place for state, and `data_dir` there is `AppData\Roaming`, which follows its user to other
    // computers: what is kept must not, or a copied database would meet its own witness there. `cache_dir` is
    // `AppData\Local`, where programs keep such things; nothing empties it.
    let state = if cfg!(windows) { base.cache_dir() } else { base.state_dir().unwrap_or_else(|| base.data_dir()) };
    Some(state.join("cloud-folder-sync"))
}

/// What tells this computer from others, for this program alone: the number itself is nobody's business (machine-id(5)).
fn computer() -> Option<String> {
    let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(|p| std::fs::read_to_string(p).ok());
    let id = id.map(|i| i.trim().to_owned()).or_else(|| std::env::var("COMPUTERNAME").ok()).filter(|i| !i.is_empty())?;
    Some(crate::xml::hex(&Sha256::digest(format!("cloud-folder-sync {id}")))[..32].to_owned())
}

/// A place that is noted: the computer, the database's file, the directory.
type Noted = [String; 3];

impl Keeper for DirKeeper {
    fn place(&self, file: &str) -> Option<String> {
        let noted: Noted = [computer().filter(|_| self.account)?, real(Path::new(file)).display().to_string(), real(&self.dir).display().to_string()];
        serde_json::to_string(&noted).ok()
    }

    fn elsewhere(&self, database: &str, file: &str, noted: &str) -> Option<String> {
        let here: Noted = serde_json::from_str(&self.place(file)?).ok()?;
        let there: Noted = serde_json::from_str(noted).ok()?;
        // What is gone from there was lost, or the account with it; what may not be looked at is there.
        let gone = || std::fs::metadata(Path::new(&there[2]).join(format!("{database}.token"))).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        (here[..2] == there[..2] && here[2] != there[2] && !gone()).then(|| there[2].clone())
    }

    fn read(&self, database: &str) -> Result<Vec<String>, Error> {
        let path = self.path(database, "token");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(Error::Keeper { path: path.display().to_string(), source }),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the token file is no file of the sync folder; it is replaced whole")]
    fn write(&self, database: &str, tokens: &[String]) -> Result<(), Error> {
        let path = self.path(database, "token");
        let io = |source| Error::Keeper { path: path.display().to_string(), source };
        let temporary = self.path(database, "token.part");
        let mut f = self.open(&temporary)?;
        f.set_len(0).map_err(io)?;
        writeln!(f, "{}", tokens.join("\n")).map_err(io)?;
        f.sync_all().map_err(io)?;
        std::fs::rename(&temporary, &path).map_err(io)?;
        if cfg!(unix) {
            File::open(&self.dir).and_then(|d| d.sync_all()).map_err(io)?;
        }
        Ok(())
    }
}
