//! A sync folder in memory, for tests and simulations: the same laws, no disk.

use super::{Error, Folder, Kind, Stat};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

#[derive(Debug, Default)]
struct Inner {
    files: RefCell<BTreeMap<String, (Vec<u8>, i64)>>,
    dirs: RefCell<BTreeMap<String, i64>>,
    ticks: Cell<i64>,
    writes: Cell<u64>,
    bytes: Cell<u64>,
}

/// A replica of the folder. Clones share content, as two programs on one machine do.
#[derive(Debug, Clone, Default)]
pub struct Memory(Rc<Inner>);

impl Memory {
    /// An empty folder.
    pub fn new() -> Self {
        let m = Memory::default();
        m.0.dirs.borrow_mut().insert(String::new(), 0);
        m
    }

    fn tick(&self) -> i64 {
        // A real clock does not stand still between two writes that are looked at.
        self.0.ticks.set(self.0.ticks.get() + 1_000_000);
        self.0.ticks.get()
    }

    fn touch_dir(&self, path: &str, t: i64) {
        let dir = path.rsplit_once('/').map_or("", |(d, _)| d);
        self.make(dir);
        self.0.dirs.borrow_mut().insert(dir.to_owned(), t);
    }

    fn make(&self, dir: &str) {
        let mut at = String::new();
        for part in dir.split('/') {
            if !at.is_empty() {
                at.push('/');
            }
            at.push_str(part);
            if !self.0.dirs.borrow().contains_key(&at) {
                let t = self.tick();
                // A new directory moves the time of the one it is in.
                let above = at.rsplit_once('/').map_or("", |(d, _)| d).to_owned();
                self.0.dirs.borrow_mut().extend([(at.clone(), t), (above, t)]);
            }
        }
    }

    /// Puts a file there as a cloud client does: no rename, no promise.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        let t = self.tick();
        let existed = self.0.files.borrow_mut().insert(path.to_owned(), (bytes, t)).is_some();
        if !existed {
            self.touch_dir(path, t);
        }
    }

    /// A file's bytes.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.0.files.borrow().get(path).map(|(b, _)| b.clone())
    }

    /// Takes a file away.
    pub fn take(&self, path: &str) -> Option<Vec<u8>> {
        let t = self.tick();
        let gone = self.0.files.borrow_mut().remove(path).map(|(b, _)| b);
        if gone.is_some() {
            self.touch_dir(path, t);
        }
        gone
    }

    /// All paths with their content.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.files.borrow().iter().map(|(p, (b, _))| (p.clone(), b.clone())).collect()
    }

    /// How many files, and how many bytes, were written by [`Folder::write`] so far.
    pub fn written(&self) -> (u64, u64) {
        (self.0.writes.get(), self.0.bytes.get())
    }
}

impl Folder for Memory {
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let files = self.0.files.borrow();
        match files.get(path) {
            Some((b, _)) if b.len() > limit_bytes => Err(Error::TooLarge { path: path.to_owned(), size_bytes: b.len() as u64 }),
            f => Ok(f.map(|(b, _)| b.clone())),
        }
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        if let Some((b, t)) = self.0.files.borrow().get(path) {
            return Ok(Some(Stat { kind: Kind::File, size_bytes: b.len() as u64, mtime_ns: *t }));
        }
        Ok(self.0.dirs.borrow().get(path).map(|t| Stat { kind: Kind::Dir, size_bytes: 0, mtime_ns: *t }))
    }

    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, Error> {
        if !self.0.dirs.borrow().contains_key(dir) {
            return Ok(None);
        }
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut out: BTreeMap<String, Stat> = BTreeMap::new();
        let child = |p: &str| p.strip_prefix(&prefix).filter(|r| !r.is_empty() && !r.contains('/')).map(str::to_owned);
        for (p, (b, t)) in self.0.files.borrow().iter() {
            if let Some(name) = child(p) {
                out.insert(name, Stat { kind: Kind::File, size_bytes: b.len() as u64, mtime_ns: *t });
            }
        }
        for (p, t) in self.0.dirs.borrow().iter() {
            if let Some(name) = child(p) {
                out.insert(name, Stat { kind: Kind::Dir, size_bytes: 0, mtime_ns: *t });
            }
        }
        Ok(Some(out.into_iter().collect()))
    }

    fn write(&self, files: &[(String, Vec<u8>)], _temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, Error>> {
        let mut out = Vec::new();
        for (path, bytes) in files {
            let t = self.tick();
            self.0.files.borrow_mut().insert(path.clone(), (bytes.clone(), t));
            // A rename moves the directory's time as well.
            self.touch_dir(path, t);
            self.0.writes.set(self.0.writes.get() + 1);
            self.0.bytes.set(self.0.bytes.get() + bytes.len() as u64);
            out.push(Ok(Stat { kind: Kind::File, size_bytes: bytes.len() as u64, mtime_ns: t }));
        }
        out
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.take(path);
        Ok(())
    }

    fn make_dirs(&self, dirs: &[String]) -> Result<(), Error> {
        let distinct: BTreeSet<&String> = dirs.iter().collect();
        distinct.into_iter().for_each(|d| self.make(d));
        Ok(())
    }

    fn place(&self) -> String {
        "(memory)".to_owned()
    }
}
