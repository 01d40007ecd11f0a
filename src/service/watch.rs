//! What tells the service that something changed. It only shortens the wait: whatever is missed is
//! found by the next synchronization that time brings.

use notify::{EventKind, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;

/// Watches the sync folder while it lives.
#[derive(Debug)]
pub(super) struct FolderWatch {
    folder: PathBuf,
    /// The directory that is watched, which another can replace under the same name.
    root: Option<Root>,
    watcher: Option<notify::RecommendedWatcher>,
    /// Why there are no events, if there are none.
    pub(super) without: Option<String>,
    news: Arc<Notify>,
}

impl FolderWatch {
    pub(super) fn new(folder: &Path, news: Arc<Notify>) -> Self {
        let mut watch = FolderWatch { folder: folder.to_owned(), root: None, watcher: None, without: None, news };
        watch.renew(folder);
        watch
    }

    /// Watches anew if the directory is another one than was watched. Gives whether there is one, and it is another:
    /// a folder that was away is back, or a drive is mounted.
    pub(super) fn renew(&mut self, folder: &Path) -> bool {
        let root = root(folder);
        if root.is_some() && root == self.root && self.folder == folder {
            return false;
        }
        folder.clone_into(&mut self.folder);
        self.watcher = None;
        self.root = root;
        if root.is_none() {
            return false;
        }
        match self.start() {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.without = None;
            }
            Err(e) => self.without = Some(reason(&e)),
        }
        true
    }

    fn start(&self) -> Result<notify::RecommendedWatcher, notify::Error> {
        let news = self.news.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // What cannot be read is worth a look; looks of our own are not.
            if event.map_or(true, |e| !matches!(e.kind, EventKind::Access(_))) {
                news.notify_one();
            }
        })?;
        watcher.watch(&self.folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    }
}

fn reason(e: &notify::Error) -> String {
    match &e.kind {
        notify::ErrorKind::MaxFilesWatch => "the system watches as many directories already as it is set to (fs.inotify.max_user_watches)".to_owned(),
        notify::ErrorKind::Io(e) if matches!(e.raw_os_error(), Some(23 | 24)) && cfg!(unix) => "too many programs watch folders, or have files open, on this computer".to_owned(),
        notify::ErrorKind::Io(_) => "the system cannot watch it".to_owned(),
        _ => "the system does not tell of changes there".to_owned(),
    }
}

/// What tells one directory from another of the same name.
type Root = (u64, u64);

#[cfg(unix)]
fn root(folder: &Path) -> Option<Root> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir).map(|m| (m.dev(), m.ino()))
}

#[cfg(not(unix))]
fn root(folder: &Path) -> Option<Root> {
    let made = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?.created().ok()?;
    Some((0, made.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos().try_into().ok()?))
}

/// How a database's files look from outside: if it is the same, nobody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Looks([Option<(SystemTime, u64)>; 2]);

/// Looks at a database and its write-ahead log, without opening them.
pub(super) fn looks(database: &Path) -> Looks {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    let one = |p: &Path| std::fs::metadata(p).ok().and_then(|m| Some((m.modified().ok()?, m.len())));
    // An empty log and none are the same: whoever closes the database last removes it.
    Looks([one(database), one(Path::new(&wal)).filter(|(_, len)| *len > 0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn why_a_folder_is_not_watched_is_no_error_number() {
        let said = reason(&notify::Error::io(std::io::Error::from_raw_os_error(24)));
        assert!(!said.contains("os error") && said.contains("too many") || cfg!(not(unix)), "{said}");
        assert!(crate::service::polled(&said).contains("looked for every 10 seconds, because"));
    }

    #[test]
    fn a_write_changes_the_looks_of_a_database_and_a_read_does_not() {
        let dir = tempfile::tempdir().unwrap();
        for mode in ["wal", "delete"] {
            let path = dir.path().join(format!("{mode}.db"));
            let host = Connection::open(&path).unwrap();
            host.execute_batch(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (x)")).unwrap();
            let before = looks(&path);
            let n: i64 = Connection::open(&path).unwrap().query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
            assert_eq!((n, looks(&path)), (0, before), "{mode}");
            // Times of files are as coarse as the kernel's tick.
            std::thread::sleep(std::time::Duration::from_millis(20));
            host.execute("INSERT INTO t VALUES (1)", []).unwrap();
            assert_ne!(looks(&path), before, "{mode}");
        }
    }

    #[tokio::test]
    async fn a_new_file_in_a_new_directory_is_news() {
        let dir = tempfile::tempdir().unwrap();
        let news = Arc::new(Notify::new());
        let mut watch = FolderWatch::new(dir.path(), news.clone());
        assert_eq!(watch.without, None);
        let wait = async || tokio::time::timeout(std::time::Duration::from_secs(10), news.notified()).await;
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        wait().await.unwrap();
        // The folder goes away and another one comes under its name.
        let moved = dir.path().with_extension("away");
        #[expect(clippy::disallowed_methods, reason = "a test moves the folder away")]
        std::fs::rename(dir.path(), &moved).unwrap();
        std::fs::create_dir(dir.path()).unwrap();
        watch.renew(dir.path());
        while tokio::time::timeout(std::time::Duration::from_millis(200), news.notified()).await.is_ok() {}
        std::fs::create_dir(dir.path().join("sites")).unwrap();
        wait().await.unwrap();
        std::fs::remove_dir_all(&moved).unwrap();
    }
}
