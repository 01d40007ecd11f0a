//! A sync folder in memory, for tests and simulations: the same laws, no disk.

use super::{Error, Folder, Kind, Stat};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A file's bytes, shared between replicas: most of them hold the same.
pub type Bytes = Rc<Vec<u8>>;

/// One directory: when it changed, and what is directly in it.
#[derive(Debug, Default)]
struct Dir {
    mtime_ns: i64,
    files: BTreeMap<String, (Bytes, i64)>,
    dirs: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Inner {
    dirs: RefCell<BTreeMap<String, Dir>>,
    ticks: Cell<i64>,
    writes: Cell<u64>,
    bytes: Cell<u64>,
}

/// A replica of the folder. Clones share content, as two programs on one machine do.
#[derive(Debug, Clone, Default)]
pub struct Memory(Rc<Inner>);

/// The directory of a path, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of a name in a directory.
fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

impl Memory {
    /// An empty folder.
    pub fn new() -> Self {
        let m = Memory::default();
        m.0.dirs.borrow_mut().insert(String::new(), Dir::default());
        m
    }

    fn tick(&self) -> i64 {
        // A real clock does not stand still between two writes that are looked at.
        self.0.ticks.set(self.0.ticks.get() + 1_000_000);
        self.0.ticks.get()
    }

    fn make(&self, dir: &str) {
        if self.0.dirs.borrow().contains_key(dir) {
            return;
        }
        let (above, name) = split(dir);
        self.make(above);
        let t = self.tick();
        let mut dirs = self.0.dirs.borrow_mut();
        dirs.insert(dir.to_owned(), Dir { mtime_ns: t, ..Dir::default() });
        // A new directory moves the time of the one it is in.
        let above = dirs.entry(above.to_owned()).or_default();
        above.mtime_ns = t;
        above.dirs.insert(name.to_owned());
    }

    /// Puts a file there. The directory's time moves if the file is `renamed` into its place, or new.
    fn set(&self, path: &str, bytes: Bytes, t: i64, renamed: bool) {
        let (dir, name) = split(path);
        self.make(dir);
        let mut dirs = self.0.dirs.borrow_mut();
        let d = dirs.entry(dir.to_owned()).or_default();
        let new = d.files.insert(name.to_owned(), (bytes, t)).is_none();
        if new || renamed {
            d.mtime_ns = t;
        }
    }

    /// Puts a file there as a cloud client does: no rename, no promise.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        self.set(path, bytes.into(), self.tick(), false);
    }

    /// A file's bytes.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let (dir, name) = split(path);
        self.0.dirs.borrow().get(dir)?.files.get(name).map(|(b, _)| b.to_vec())
    }

    /// Takes a file away.
    pub fn take(&self, path: &str) -> Option<Vec<u8>> {
        let t = self.tick();
        let (dir, name) = split(path);
        let mut dirs = self.0.dirs.borrow_mut();
        let d = dirs.get_mut(dir)?;
        let (gone, _) = d.files.remove(name)?;
        d.mtime_ns = t;
        Some(gone.to_vec())
    }

    /// All paths with their content.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.held().into_iter().map(|(p, b)| (p, b.to_vec())).collect()
    }

    /// All paths with their content, which is not copied.
    pub fn held(&self) -> BTreeMap<String, Bytes> {
        let dirs = self.0.dirs.borrow();
        dirs.iter().flat_map(|(dir, d)| d.files.iter().map(move |(name, (b, _))| (join(dir, name), Rc::clone(b)))).collect()
    }

    /// A number that is another one once anything has changed.
    pub fn moment(&self) -> i64 {
        self.0.ticks.get()
    }

    /// How many files, and how many bytes, were written by [`Folder::write`] so far.
    pub fn written(&self) -> (u64, u64) {
        (self.0.writes.get(), self.0.bytes.get())
    }
}

impl Folder for Memory {
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let (dir, name) = split(path);
        let dirs = self.0.dirs.borrow();
        match dirs.get(dir).and_then(|d| d.files.get(name)) {
            Some((b, _)) if b.len() > limit_bytes => Err(Error::TooLarge { path: path.to_owned(), size_bytes: b.len() as u64 }),
            f => Ok(f.map(|(b, _)| b.to_vec())),
        }
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        let (dir, name) = split(path);
        let dirs = self.0.dirs.borrow();
        if let Some((b, t)) = dirs.get(dir).and_then(|d| d.files.get(name)) {
            return Ok(Some(Stat { kind: Kind::File, size_bytes: b.len() as u64, mtime_ns: *t }));
        }
        Ok(dirs.get(path).map(|d| Stat { kind: Kind::Dir, size_bytes: 0, mtime_ns: d.mtime_ns }))
    }

    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, Error> {
        let dirs = self.0.dirs.borrow();
        let Some(d) = dirs.get(dir) else { return Ok(None) };
        let mut out: BTreeMap<String, Stat> = BTreeMap::new();
        for (name, (b, t)) in &d.files {
            out.insert(name.clone(), Stat { kind: Kind::File, size_bytes: b.len() as u64, mtime_ns: *t });
        }
        for name in &d.dirs {
            let mtime_ns = dirs.get(&join(dir, name)).map_or(0, |d| d.mtime_ns);
            out.insert(name.clone(), Stat { kind: Kind::Dir, size_bytes: 0, mtime_ns });
        }
        Ok(Some(out.into_iter().collect()))
    }

    fn write(&self, files: &[(String, Vec<u8>)], _temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, Error>> {
        let mut out = Vec::new();
        for (path, bytes) in files {
            let t = self.tick();
            // A rename moves the directory's time as well.
            self.set(path, Rc::new(bytes.clone()), t, true);
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
