//! A folder whose disk is full, or whose computer loses power, from the nth write on.

use cloud_folder_sync::folder::memory::Memory;
use cloud_folder_sync::folder::{Error, Folder, Stat};
use std::cell::Cell;

pub(crate) struct Faulty {
    pub(crate) inner: Memory,
    /// Writes that still succeed.
    pub(crate) left: Cell<u64>,
    /// Whether the program ends at the first that does not, or is told that the disk is full.
    pub(crate) crash: bool,
    /// Only files whose path begins so: others are written as ever.
    pub(crate) at: &'static str,
}

impl Folder for Faulty {
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        self.inner.read(path, limit_bytes)
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.inner.stat(path)
    }

    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, Error> {
        self.inner.list(dir)
    }

    fn write(&self, files: &[(String, Vec<u8>)], temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, Error>> {
        let mut out = Vec::new();
        for file in files {
            let met = file.0.starts_with(self.at);
            if met && self.left.get() == 0 {
                assert!(!self.crash, "power cut");
                let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
                out.push(Err(Error::Io { doing: "write", path: file.0.clone(), source }));
                continue;
            }
            self.left.set(self.left.get() - u64::from(met));
            out.extend(self.inner.write(std::slice::from_ref(file), temporary));
        }
        out
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        assert!(!self.crash || self.left.get() > 0, "power cut");
        self.inner.remove(path)
    }

    fn make_dirs(&self, dirs: &[String]) -> Result<(), Error> {
        self.inner.make_dirs(dirs)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}
