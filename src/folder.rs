//! The door to the sync folder: a directory on disk, or its twin in memory.
//!
//! The folder is hostile: any byte in it may be torn, stale, duplicated, renamed or malicious.
//! What an implementation promises: a write is whole or not visible at all, and durable when the
//! call returns; a read gives the bytes that some program put there at some time, or nothing.

pub mod disk;
pub mod memory;

use sha2::{Digest as _, Sha256};

/// Paths are relative to the sync folder, with `/` between names.
pub trait Folder {
    /// Reads a regular file; `None` if there is none. Never follows links, never blocks.
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error>;
    /// Length and SHA-256 of a regular file; `None` if there is none.
    fn digest(&self, path: &str, limit_bytes: usize) -> Result<Option<(u64, [u8; 32])>, Error> {
        Ok(self.read(path, limit_bytes)?.map(|b| (b.len() as u64, Sha256::digest(&b).into())))
    }
    /// Looks at a regular file or directory without opening it.
    fn stat(&self, path: &str) -> Result<Option<Stat>, Error>;
    /// Lists a directory; `None` if there is none.
    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, Error>;
    /// Writes files whole: beside the target, synced, renamed over it. Gives for each what it is
    /// now, or why it was not written.
    fn write(&self, files: &[(String, Vec<u8>)], temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, Error>>;
    /// Removes a file; no error if there is none.
    fn remove(&self, path: &str) -> Result<(), Error>;
    /// Makes directories, with those above them.
    fn make_dirs(&self, dirs: &[String]) -> Result<(), Error>;
    /// Where the folder is, for messages.
    fn place(&self) -> String;
    /// The same for other threads, where it can be used by several at once.
    fn shared(&self) -> Option<&(dyn Folder + Sync)> {
        None
    }
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A link, device, pipe or socket: never opened.
    Other,
}

/// A file as it is seen without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Time of last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// What a folder could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing} `{path}` in the sync folder: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path, relative to the folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a regular file.
    #[error("`{0}` in the sync folder is not a regular file; it was left alone")]
    NotAFile(String),
    /// Larger than what is read.
    #[error("`{path}` in the sync folder is {size_bytes} bytes, too large to read")]
    TooLarge {
        /// The path, relative to the folder.
        path: String,
        /// Its length.
        size_bytes: u64,
    },
}

impl Error {
    /// Whether the device or quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
    }
}
