//! Records: one root row and its child rows, each field with everything that is known of it.

mod entries;
mod large;
mod sorted;

pub use entries::Entries;
pub use large::Place;
pub use sorted::SortedMap;

use crate::id::{RecordId, RowId, SiteId};
use crate::shared::Name;
use crate::stamp::Stamp;
use crate::value::Value;
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Attributes that a later format put on an element we know; carried, never interpreted.
pub type Unknown = BTreeMap<String, String>;

/// How many of them an element keeps. Part of the format: a file with more is refused, and a join of two keeps those
/// with the smallest names.
pub const MAX_UNKNOWN: usize = 32;

/// Identifies a row within a record. Rows are ordered by it in files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowKey {
    /// The table's name at the site that made the row.
    pub table: Name,
    /// The row.
    pub id: RowId,
}

impl RowKey {
    /// Names a row.
    pub fn new(table: impl Into<Name>, id: RowId) -> Self {
        RowKey { table: table.into(), id }
    }
}

/// A field's name and, for a local column, the place whose own number it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldKey {
    /// The column's name; several names joined by `+` for a composite foreign key.
    pub name: Name,
    /// The site that this value is local to.
    pub place: Option<SiteId>,
}

impl FieldKey {
    /// A field that all sites share.
    pub fn shared(name: impl Into<Name>) -> Self {
        FieldKey { name: name.into(), place: None }
    }

    /// A local column's value at one site.
    pub fn local(name: impl Into<Name>, site: SiteId) -> Self {
        FieldKey { name: name.into(), place: Some(site) }
    }
}

/// One value that somebody wrote, and when and where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// When and where it was written.
    pub stamp: Stamp,
    /// What was written.
    pub value: Value,
    /// Attributes of a later format.
    pub unknown: Unknown,
}

/// A field: the set of values that no later write has replaced having seen them. The largest is
/// current, the others are superseded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Field(pub Entries);

impl Field {
    /// A field with one value.
    pub fn of(stamp: Stamp, value: Value) -> Self {
        Field(Entries::from([Entry { stamp, value, unknown: Unknown::new() }]))
    }

    /// The current value: largest stamp, then largest value.
    pub fn current(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// Superseded values worth showing: those that differ from the current one and each other.
    pub fn superseded(&self) -> Vec<&Entry> {
        if self.0.len() < 2 {
            return Vec::new();
        }
        let mut seen: BTreeSet<&Value> = self.current().map(|e| &e.value).into_iter().collect();
        let mut out: Vec<&Entry> = self.0.iter().rev().skip(1).filter(|e| seen.insert(&e.value)).collect();
        out.reverse();
        out
    }
}

/// Which of several values a field shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// The one with the largest stamp.
    #[default]
    Latest,
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
    /// All items of all values, which are lists with this sign between the items, or with the usual ones.
    Union(Option<char>),
    /// Both texts' lines, merged three ways.
    Text,
}

/// An explicit, attributable statement that a row and all below it are deleted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tombstone {
    /// When and where it was made.
    pub stamp: Stamp,
    /// Who made it.
    pub by: String,
    /// Why.
    pub why: String,
    /// Where the row moved to, if it was moved to another record.
    pub moved_to: Option<(RecordId, RowId)>,
    /// What its author had seen of the record.
    pub seen: Version,
    /// Whether the content it removed has been stripped after retention.
    pub bare: bool,
    /// Attributes of a later format.
    pub unknown: Unknown,
}

/// An element of a later format: merged like a field, written as it was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Extra {
    /// Its stamp, if it has one.
    pub stamp: Option<Stamp>,
    /// The element, from `<` to `>`, without the stamp's attributes.
    pub xml: Vec<u8>,
}

/// Namespace, local name and `key` attribute of an [`Extra`].
pub type ExtraKey = (String, String, String);

/// A row: its own stamp from its insert, its fields, and its tombstone if it has one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// When and where the row was (last) inserted.
    pub stamp: Stamp,
    /// Its fields by name.
    pub fields: SortedMap<FieldKey, Field>,
    /// Its tombstone, whether or not it holds.
    pub tombstone: Option<Tombstone>,
    /// Elements of a later format.
    pub extras: BTreeMap<ExtraKey, Extra>,
    /// Attributes of a later format.
    pub unknown: Unknown,
}

impl Row {
    /// A row without fields.
    pub fn new(stamp: Stamp) -> Self {
        Row { stamp, ..Row::default() }
    }

    /// What a field shows.
    pub fn current(&self, field: &FieldKey) -> Option<&Value> {
        Some(&self.fields.get(field)?.current()?.value)
    }

    /// The current value of a shared field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.current(&FieldKey::shared(name))
    }

    /// Whether its content was stripped: only its tombstone is left.
    pub fn is_bare(&self) -> bool {
        self.tombstone.as_ref().is_some_and(|t| t.bare)
    }

    /// The reference that this row hangs from, by the current value of its owner field.
    pub fn owner(&self) -> Option<&crate::value::Reference> {
        self.fields.values().filter_map(|f| f.current()?.value.owner()).max()
    }
}

/// What is said about two records being one person, or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum SameAs {
    /// They are two.
    Not,
    /// A match was taken back.
    Undone,
    /// They are one.
    Same,
}

/// A person's right to erasure: the record's content is gone for good.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Erasure {
    /// When and where.
    pub stamp: Stamp,
    /// Who asked for it.
    pub by: String,
}

/// A record's state, or (in a log) a part of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// Its record type: the root table's name.
    pub kind: Name,
    /// Its UUID, which is also its root row's.
    pub id: RecordId,
    /// What has been seen of it.
    pub version: Version,
    /// Its rows.
    pub rows: BTreeMap<RowKey, Row>,
    /// Facts about which other records are the same person.
    pub same_as: BTreeMap<RecordId, (Stamp, SameAs)>,
    /// Set when the record was erased: then there are no rows.
    pub erased: Option<Erasure>,
    /// Elements of a later format.
    pub extras: BTreeMap<ExtraKey, Extra>,
    /// Attributes of a later format.
    pub unknown: Unknown,
}

/// What one write changed: whole rows' parts, and the version it was written on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delta {
    /// The version the writer had when it wrote. Whoever covers it can take the delta in.
    pub before: Version,
    /// The changed parts; its version holds the writer's new stamps only.
    pub part: Record,
}

impl Record {
    /// An empty record.
    pub fn new(kind: impl Into<Name>, id: RecordId) -> Self {
        Record { kind: kind.into(), id, ..Record::default() }
    }

    /// The key of the root row.
    pub fn root_key(&self) -> RowKey {
        RowKey::new(self.kind.clone(), self.id)
    }

    /// The root row.
    pub fn root(&self) -> Option<&Row> {
        self.rows.get(&self.root_key())
    }

    /// Every stamp in the record's content, in no particular order.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> + '_ {
        let rows = self.rows.values().flat_map(|r| {
            std::iter::once(r.stamp)
                .chain(r.fields.values().flat_map(|f| f.0.iter().map(|e| e.stamp)))
                .chain(r.tombstone.iter().map(|t| t.stamp))
                .chain(r.extras.values().filter_map(|e| e.stamp))
        });
        rows.chain(self.same_as.values().map(|(s, _)| *s)).chain(self.erased.iter().map(|e| e.stamp)).chain(self.extras.values().filter_map(|e| e.stamp))
    }
}
