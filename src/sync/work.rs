//! Work: the records that something happened to, and what led to each. A first synchronization has one for each record that
//! there is, so what nearly all of them have is kept small: a file, and the segment that told of it.

use super::ahead::Root;
use super::orders::Order;
use crate::host::key::{HostKey, decode};
use crate::host::mapping::Mapping;
use crate::host::rows::HostRecord;
use crate::id::{RecordId, SiteId};
use crate::log::Item;
use crate::names;
use crate::record::Record;
use crate::shared::{HashMap, Name};
use crate::stamp::{Stamp, Time};
use crate::xml;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A segment: whose, and which.
pub(super) type Source = (SiteId, u64);

/// One record that something happened to.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Its type, an index into the mapping; `None` for a type that this host does not have.
    pub(super) kind: Option<usize>,
    /// The record.
    pub(super) id: RecordId,
    /// Its place in the order in which it was heard of.
    pub(super) order: u32,
    /// Whether the host may have changed it.
    pub(super) dirty: bool,
    /// Whether only a look at everything led to it.
    pub(super) scanned: bool,
    /// Its own file is to be read, which stands under this type.
    file: Option<u16>,
    /// A segment says that its file changed.
    told: Option<Box<Told>>,
    more: Option<Box<More>>,
}

/// [`Item::Named`] by the author of its segment, about a record of a type that the host has.
#[derive(Debug)]
struct Told {
    from: Arc<Source>,
    time: Time,
    sha256: [u8; 32],
    kind: u16,
}

/// What few records have, or many only while they are being settled.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The key of the host's root row, for a record that is new or newly met.
    pub(super) root: Option<HostKey>,
    /// Its rows, if they were read already.
    pub(super) rows: Option<HostRecord>,
    /// Files to read: the canonical one, once the work is [unfolded](Work::unfold), and others that hold it.
    pub(super) files: Vec<String>,
    /// Items of segments; all of them once the work is unfolded.
    pub(super) items: Vec<(SiteId, u64, Item)>,
    /// What people asked for.
    pub(super) orders: Vec<Order>,
    /// What stood under other records' names.
    pub(super) strays: Vec<Record>,
}

static NOTHING: More = More { root: None, rows: None, files: Vec::new(), items: Vec::new(), orders: Vec::new(), strays: Vec::new() };

impl Deref for Work {
    type Target = More;

    fn deref(&self) -> &More {
        self.more.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

/// A file of a record: its own, by its type and itself, or another.
#[derive(Debug)]
pub(super) enum Place {
    Own(u16, RecordId),
    At(Box<str>),
}

impl Place {
    /// The file's path.
    pub(super) fn path(self, m: &Mapping) -> String {
        match self {
            Place::Own(kind, id) => own_path(m, kind, &id),
            Place::At(path) => path.into(),
        }
    }
}

fn own_path(m: &Mapping, kind: u16, id: &RecordId) -> String {
    names::record_path(m.types.get(usize::from(kind)).map_or("", |k| &k.name), id)
}

/// The type whose directory a path lies in.
pub(super) fn kind_of_path(m: &Mapping, path: &str) -> Option<usize> {
    let dir = path.split('/').nth(1)?;
    m.types.iter().position(|k| names::type_name(&k.name) == dir)
}

impl Work {
    /// A record.
    pub(super) fn of(id: RecordId) -> Work {
        Work { id, ..Work::default() }
    }

    /// The host may have changed it.
    pub(super) fn dirty(self) -> Work {
        Work { dirty: true, ..self }
    }

    /// A record that people asked something for.
    pub(super) fn ordered(id: RecordId, orders: Vec<Order>) -> Work {
        Work::of(id).dirty().with(|w| w.orders = orders)
    }

    /// A root row that the host has and that becomes a record.
    pub(super) fn new_root(kind: usize, (key, id): &Root) -> Work {
        Work { kind: Some(kind), dirty: true, ..Work::of(*id) }.with(|w| w.root = decode(key))
    }

    /// With more to it.
    pub(super) fn with(mut self, more: impl FnOnce(&mut More)) -> Work {
        more(&mut self);
        self
    }

    /// Has a file read, once.
    pub(super) fn add_file(&mut self, m: &Mapping, path: String) {
        let own = |kind: &u16| own_path(m, *kind, &self.id) == path;
        if self.file.as_ref().is_some_and(own) || self.files.contains(&path) {
            return;
        }
        match kind_of_path(m, &path).and_then(|k| u16::try_from(k).ok()).filter(|k| self.file.is_none() && own(k)) {
            Some(kind) => self.file = Some(kind),
            None => self.files.push(path),
        }
    }

    /// Has the file read that a segment told of.
    pub(super) fn add_own_file(&mut self, m: &Mapping) {
        match (&self.told, self.items.first()) {
            (Some(told), _) if self.file.is_none_or(|f| f == told.kind) => self.file = Some(told.kind),
            (Some(told), _) => self.add_file(m, own_path(m, told.kind, &self.id)),
            (None, Some((_, _, item))) => self.add_file(m, names::record_path(item.kind(), &self.id)),
            (None, None) => {}
        }
    }

    /// Adds an item of a segment.
    pub(super) fn add_item(&mut self, m: &Mapping, from: &Arc<Source>, item: Item) {
        if let Item::Named { kind, stamp, sha256, .. } = &item
            && self.told.is_none()
            && self.items.is_empty()
            && stamp.site == from.0
            && let Some(kind) = m.kind(kind).and_then(|k| u16::try_from(k).ok())
            && let Some(sha256) = xml::unhex(sha256).and_then(|b| b.try_into().ok())
        {
            self.told = Some(Box::new(Told { from: Arc::clone(from), time: stamp.time, sha256, kind }));
            return;
        }
        self.items.push((from.0, from.1, item));
    }

    /// The type by the first item of a segment.
    pub(super) fn kind_by_items(&self, m: &Mapping) -> Option<Name> {
        match &self.told {
            Some(told) => m.types.get(usize::from(told.kind)).map(|k| k.name.clone()),
            None => self.items.first().map(|(_, _, i)| i.kind().clone()),
        }
    }

    /// The type whose directory the first file lies in.
    pub(super) fn kind_by_file(&self, m: &Mapping) -> Option<usize> {
        self.file.map(usize::from).or_else(|| kind_of_path(m, self.files.first()?))
    }

    /// The files to read, in the order in which they will be asked for.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let own = self.file.map(|kind| Place::Own(kind, self.id));
        own.into_iter().chain(self.files.iter().map(|f| Place::At(f.as_str().into())))
    }

    /// Makes what was kept small what it says, for the one who reads it.
    pub(super) fn unfold(&mut self, m: &Mapping) {
        if let Some(kind) = self.file.take() {
            let path = own_path(m, kind, &self.id);
            self.files.insert(0, path);
        }
        if let Some(told) = self.told.take() {
            let Told { from, time, sha256, kind } = *told;
            let kind = m.types.get(usize::from(kind)).map_or_else(Name::default, |k| k.name.clone());
            let item = Item::Named { kind, id: self.id, sha256: xml::hex(&sha256), stamp: Stamp { time, site: from.0 } };
            self.items.insert(0, (from.0, from.1, item));
        }
    }
}

/// The records that something happened to, each once.
#[derive(Debug, Default)]
pub(super) struct Works {
    list: Vec<Work>,
    at: HashMap<RecordId, u32>,
}

impl Works {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether something happened to a record.
    pub(super) fn has(&self, id: &RecordId) -> bool {
        self.at.contains_key(id)
    }

    /// A record that was heard of, in this order.
    pub(super) fn want(&mut self, id: RecordId) -> &mut Work {
        let order = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.get(Work { order, ..Work::of(id) })
    }

    /// A record that something was done to here; before all that was heard of.
    pub(super) fn touch(&mut self, id: RecordId) -> &mut Work {
        self.get(Work::of(id))
    }

    /// The one that there is, or this.
    #[expect(clippy::indexing_slicing, reason = "an index is noted when its work is added, and none is removed")]
    fn get(&mut self, new: Work) -> &mut Work {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let n = *self.at.entry(new.id).or_insert(next);
        if n == next {
            self.list.push(new);
        }
        &mut self.list[n as usize]
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Work> {
        self.list.iter()
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Work> {
        self.list.iter_mut()
    }

    /// As a list.
    pub(super) fn into_list(self) -> Vec<Work> {
        self.list
    }
}
