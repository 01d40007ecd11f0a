//! The sync folder on disk.
#![expect(clippy::disallowed_methods, reason = "this is the one place that writes and renames files")]

use super::{Error, Folder, Kind, Stat};
use crate::planted;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// From this many files on, one flush of the file system is cheaper than one for each file.
const BATCH_SYNC_FILES: usize = 32;
/// How long a rename that another program blocks is retried.
const RENAME_RETRY: Duration = Duration::from_secs(2);

/// A directory that a cloud client keeps in step.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The folder at a path. Nothing is opened yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Disk { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn put(&self, path: &str, bytes: &[u8], token: &str, sync: bool) -> Result<PathBuf, Error> {
        let target = self.path(path);
        let stem = target.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        if planted::bug("in-place-write") {
            return fs::write(&target, bytes).map(|()| target).map_err(io("write", path));
        }
        let temporary = target.with_file_name(format!("~${stem}.{token}.part"));
        let write = || -> std::io::Result<()> {
            let mut f = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
            f.write_all(bytes)?;
            if sync && !planted::bug("no-sync-before-rename") {
                f.sync_all()?;
            }
            Ok(())
        };
        let first = write();
        let result = match first {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                // A person or a client removed the directory.
                if let Some(dir) = target.parent() {
                    fs::create_dir_all(dir).map_err(io("make a directory for", path))?;
                }
                write()
            }
            r => r,
        };
        if let Err(e) = result {
            // Half a file must not stay; if it cannot be removed either it is swept later.
            let _swept_later = fs::remove_file(&temporary);
            return Err(io("write", path)(e));
        }
        Ok(temporary)
    }

    fn rename(&self, temporary: &Path, path: &str) -> Result<(), Error> {
        let target = self.path(path);
        let start = Instant::now();
        loop {
            match fs::rename(temporary, &target) {
                Ok(()) => return Ok(()),
                // Windows refuses while another program has the file open (errors 5 and 32).
                Err(e) if cfg!(windows) && start.elapsed() < RENAME_RETRY && matches!(e.raw_os_error(), Some(5 | 32)) => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(e) => {
                    let _swept_later = fs::remove_file(temporary);
                    return Err(io("rename", path)(e));
                }
            }
        }
    }

    /// Flushes everything written to the file system that holds the folder.
    fn flush(&self) -> Result<(), Error> {
        #[cfg(target_os = "linux")]
        {
            let dir = File::open(&self.root).map_err(io("open", ""))?;
            rustix::fs::syncfs(&dir).map_err(|e| io("flush", "")(e.into()))
        }
        #[cfg(not(target_os = "linux"))]
        Ok(())
    }

    /// Opens a regular file of at most so many bytes. Gives its length as well.
    fn open(&self, path: &str, limit_bytes: usize) -> Result<Option<(File, u64)>, Error> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // No link is followed, and a pipe does not block.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
        }
        let f = match options.open(self.path(path)) {
            Ok(f) => f,
            Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::NotADirectory => return Ok(None),
            // ELOOP: a link stands there.
            #[cfg(unix)]
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Err(Error::NotAFile(path.to_owned())),
            Err(e) => return Err(io("read", path)(e)),
        };
        let m = f.metadata().map_err(io("look at", path))?;
        if !m.is_file() {
            return Err(Error::NotAFile(path.to_owned()));
        }
        if m.len() > limit_bytes as u64 {
            return Err(Error::TooLarge { path: path.to_owned(), size_bytes: m.len() });
        }
        Ok(Some((f, m.len())))
    }

    fn sync_dir(dir: &Path) -> std::io::Result<()> {
        if cfg!(unix) && !planted::bug("rename-not-synced") { File::open(dir)?.sync_all() } else { Ok(()) }
    }
}

fn io(doing: &'static str, path: &str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

fn stat_of(m: &fs::Metadata) -> Stat {
    let t = m.file_type();
    let kind = if t.is_file() {
        Kind::File
    } else if t.is_dir() {
        Kind::Dir
    } else {
        Kind::Other
    };
    let ns = m.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    Stat { kind, size_bytes: m.len(), mtime_ns: ns }
}

impl Folder for Disk {
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some((f, len)) = self.open(path, limit_bytes)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        (&f).take(limit_bytes as u64 + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
        Ok(Some(bytes))
    }

    fn digest(&self, path: &str, limit_bytes: usize) -> Result<Option<(u64, [u8; 32])>, Error> {
        let Some((mut f, _)) = self.open(path, limit_bytes)? else { return Ok(None) };
        let (mut hash, mut total, mut piece) = (Sha256::new(), 0u64, vec![0u8; 1 << 18]);
        loop {
            let n = f.read(&mut piece).map_err(io("read", path))?;
            if n == 0 {
                return Ok(Some((total, hash.finalize().into())));
            }
            hash.update(piece.get(..n).unwrap_or_default());
            total += n as u64;
        }
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        match fs::symlink_metadata(self.path(path)) {
            Ok(m) => Ok(Some(stat_of(&m))),
            Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::NotADirectory => Ok(None),
            Err(e) => Err(io("look at", path)(e)),
        }
    }

    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, Error> {
        match self.stat(dir)? {
            Some(Stat { kind: Kind::Dir, .. }) => {}
            _ => return Ok(None),
        }
        let entries = match fs::read_dir(self.path(dir)) {
            Ok(e) => e,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io("list", dir)(e)),
        };
        let mut out = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io("list", dir))?;
            // A name that is not Unicode cannot be one that we or a client gave a record.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(m) => out.push((name, stat_of(&m))),
                // Gone again while we listed.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(io("look at", dir)(e)),
            }
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Some(out))
    }

    fn write(&self, files: &[(String, Vec<u8>)], temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, Error>> {
        let batch = cfg!(target_os = "linux") && files.len() >= BATCH_SYNC_FILES;
        let mut parts: Vec<Result<PathBuf, Error>> = files.iter().map(|(path, bytes)| self.put(path, bytes, &temporary(), !batch)).collect();
        if batch && let Err(e) = self.flush() {
            // Nothing is known to be on disk: nothing may become visible.
            let why = e.to_string();
            for p in &mut parts {
                if let Ok(t) = p {
                    let _swept_later = fs::remove_file(&t);
                    *p = Err(Error::Io { doing: "flush", path: String::new(), source: std::io::Error::other(why.clone()) });
                }
            }
        }
        let mut out: Vec<Result<Stat, Error>> = Vec::with_capacity(files.len());
        let mut dirs = std::collections::BTreeSet::new();
        for ((path, _), part) in files.iter().zip(parts) {
            let target = self.path(path);
            out.push(part.and_then(|t| self.rename(&t, path)).and_then(|()| self.stat(path)?.ok_or_else(|| Error::NotAFile(path.clone()))));
            dirs.extend(target.parent().map(Path::to_path_buf));
        }
        // The rename itself must be on disk before anything refers to the file.
        let synced = if batch { self.flush() } else { dirs.iter().try_for_each(|d| Self::sync_dir(d)).map_err(io("flush", "")) };
        if let Err(e) = synced {
            let why = e.to_string();
            return out.iter().map(|_| Err(Error::Io { doing: "flush", path: String::new(), source: std::io::Error::other(why.clone()) })).collect();
        }
        out
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        match fs::remove_file(self.path(path)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(io("remove", path)(e)),
            _ => Ok(()),
        }
    }

    fn make_dirs(&self, dirs: &[String]) -> Result<(), Error> {
        for d in dirs {
            fs::create_dir_all(self.path(d)).map_err(io("make the directory", d))?;
        }
        Ok(())
    }

    fn shared(&self) -> Option<&(dyn Folder + Sync)> {
        Some(self)
    }

    fn place(&self) -> String {
        crate::config::real(&self.root).display().to_string()
    }
}
