//! A folder that looks at the order of what is written to it: whatever names something comes after it.

use cloud_folder_sync::folder::memory::Memory;
use cloud_folder_sync::folder::{Error, Folder, Stat};
use cloud_folder_sync::id::Uuid;
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::merge::join;
use cloud_folder_sync::names::{log_path, record_path};
use cloud_folder_sync::record::Record;
use cloud_folder_sync::site::Site;
use cloud_folder_sync::xml::read_record;
use std::cell::RefCell;

pub(crate) struct Orderly {
    inner: Memory,
    id: Uuid,
    /// What first came too early.
    broken: RefCell<Option<String>>,
}

impl Orderly {
    pub(crate) fn new(inner: Memory, id: Uuid) -> Orderly {
        Orderly { inner, id, broken: RefCell::new(None) }
    }

    /// What came too early, if anything did.
    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn record(&self, path: &str) -> Option<Record> {
        read_record(&self.inner.get(path)?, &self.id).ok()
    }

    fn look(&self, path: &str, bytes: &[u8]) -> Option<String> {
        if path.starts_with("logs/") {
            let (segment, _) = Segment::read(bytes, &self.id).ok()?;
            // A file that is loaded in part says nothing of what was written before.
            let lacks = |r: &Record, i: &Item| matches!(i, Item::Named { stamp, .. } if !r.version.covers(stamp));
            let missing = |i: &Item| match i {
                Item::Named { kind, id, .. } => match self.inner.get(&record_path(kind, id)) {
                    None => Some(format!("{path} names {kind} {id}, which is not there")),
                    Some(bytes) => {
                        let old = read_record(&bytes, &self.id).ok().filter(|r| lacks(r, i) && !self.told_before(path, i));
                        old.map(|_| format!("{path} names {kind} {id}, whose file lacks it"))
                    }
                },
                Item::Delta(_) => None,
            };
            return segment.items.iter().find_map(missing);
        }
        if path.starts_with("sites/") {
            let site = Site::read(bytes, &self.id).ok()?;
            let there = site.newest == 0 || site.withdrawn.contains(&site.newest) || self.inner.get(&log_path(&site.id, site.newest)).is_some();
            return (!there).then(|| "a site file tells of a segment that is not there".to_owned());
        }
        None
    }

    /// Whether an earlier segment told of the same: it is told anew where that one is withdrawn, and a file may have been put
    /// back to an older version since.
    fn told_before(&self, path: &str, item: &Item) -> bool {
        let Item::Named { stamp, .. } = item else { return false };
        let dir = path.rsplit_once('/').map_or("", |(d, _)| d);
        let says = |i: &Item| match i {
            Item::Named { stamp: s, .. } => s.time >= stamp.time,
            Item::Delta(d) => d.part.version.covers(stamp),
        };
        self.inner
            .held()
            .iter()
            .filter(|(p, _)| p.starts_with(dir) && *p != path)
            .any(|(_, b)| Segment::read(b, &self.id).is_ok_and(|(s, _)| s.items.iter().any(|i| i.record() == item.record() && says(i))))
    }

    /// A copy of a record goes: the record's own file must hold all of it.
    fn goes(&self, path: &str) -> Option<String> {
        let copy = self.record(path).filter(|_| path.starts_with("records"))?;
        let own = self.record(&record_path(&copy.kind, &copy.id));
        let kept = own.as_ref().is_some_and(|own| join(own, &copy) == *own);
        (!kept).then(|| format!("a conflict file was removed before all of it was in the record's file: {path}: {:?}, {:?}", copy.version, own.map(|o| o.version)))
    }

    fn note(&self, why: Option<String>) {
        let mut broken = self.broken.borrow_mut();
        *broken = broken.take().or(why);
    }
}

impl Folder for Orderly {
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
        files.iter().for_each(|(path, bytes)| self.note(self.look(path, bytes)));
        self.inner.write(files, temporary)
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.note(self.goes(path));
        self.inner.remove(path)
    }

    fn make_dirs(&self, dirs: &[String]) -> Result<(), Error> {
        self.inner.make_dirs(dirs)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}
