//! A folder during one of whose calls the host's user types something, through a connection of the host's own.

use cloud_folder_sync::folder::memory::Memory;
use cloud_folder_sync::folder::{Error, Folder, Stat};
use std::cell::Cell;

pub(crate) struct Meanwhile<'a> {
    inner: Memory,
    /// At which call: what is called, with which path, and how many calls were before it.
    when: &'a dyn Fn(&str, &str, usize) -> bool,
    types: &'a dyn Fn(),
    calls: Cell<usize>,
    done: Cell<bool>,
}

impl<'a> Meanwhile<'a> {
    pub(crate) fn new(inner: Memory, when: &'a dyn Fn(&str, &str, usize) -> bool, types: &'a dyn Fn()) -> Self {
        Meanwhile { inner, when, types, calls: Cell::new(0), done: Cell::new(false) }
    }

    /// Whether anything was typed.
    pub(crate) fn done(&self) -> bool {
        self.done.get()
    }

    fn call(&self, what: &str, path: &str) {
        let n = self.calls.replace(self.calls.get() + 1);
        if !self.done.get() && (self.when)(what, path, n) {
            self.done.set(true);
            (self.types)();
        }
    }
}

impl Folder for Meanwhile<'_> {
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        self.call("read", path);
        self.inner.read(path, limit_bytes)
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.call("stat", path);
        self.inner.stat(path)
    }

    fn list(&self, dir: &str) -> Result<Option<Vec<(String, Stat)>>, Error> {
        self.call("list", dir);
        self.inner.list(dir)
    }

    fn write(&self, files: &[(String, Vec<u8>)], temporary: &mut dyn FnMut() -> String) -> Vec<Result<Stat, Error>> {
        self.call("write", "");
        self.inner.write(files, temporary)
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.call("remove", path);
        self.inner.remove(path)
    }

    fn make_dirs(&self, dirs: &[String]) -> Result<(), Error> {
        self.inner.make_dirs(dirs)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}
