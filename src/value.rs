//! A field's value, exactly as SQLite holds it.

use crate::id::{RecordId, RowId};
use crate::shared::{Name, Octets};
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::fmt;

/// The largest text or blob that stands in a record file itself, in bytes. A larger one is known by
/// its hash and lies under `blobs/` (decision 0010). Part of the format: it decides by size alone
/// how a value is written, so that two sites write the same bytes. What is larger than a delta may
/// be does not stand in the record file either.
pub const MAX_INLINE_BYTES: usize = 16 << 10;

/// The largest value there is, in bytes: SQLite's own limit.
pub const MAX_VALUE_BYTES: usize = 1_000_000_000;

/// SHA-256 of a large value's content: its name.
pub type Hash = [u8; 32];

/// What a record says of a large content: its hash and its size in bytes. Both must be right.
pub type Large = (Hash, u64);

/// The hash of a content.
pub fn hash(content: &[u8]) -> Hash {
    Sha256::digest(content).into()
}

/// Points to a row of this or another record, whatever key that row has at each site.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reference {
    /// The target's table.
    pub table: Name,
    /// The target row.
    pub row: RowId,
    /// The record the target row is in; `None` for the record that holds the reference.
    pub record: Option<RecordId>,
    /// Whether this reference is what makes the row belong to its record: the row hangs below the
    /// target row, and a tombstone on the target stands for this row as well.
    pub owner: bool,
}

/// One SQLite value. Text is kept as bytes because SQLite does not promise that it is UTF-8.
#[derive(Clone)]
pub enum Value {
    /// `NULL`.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A double, compared and kept by its bits.
    Real(f64),
    /// Text, as the bytes SQLite has for it in UTF-8.
    Text(Octets),
    /// A blob.
    Blob(Octets),
    /// A large text or blob kept as `blobs/<xx>/<sha256>`.
    Stored {
        /// Whether it is text.
        text: bool,
        /// SHA-256 of the content.
        sha256: Hash,
        /// Length in bytes.
        size_bytes: u64,
    },
    /// A foreign key.
    Ref(Reference),
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Integer(_) => 1,
            Value::Real(_) => 2,
            Value::Text(_) => 3,
            Value::Blob(_) => 4,
            Value::Stored { text: false, .. } => 5,
            Value::Ref(_) => 6,
            Value::Stored { text: true, .. } => 7,
        }
    }

    /// The name of the value's SQLite type in record files.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Integer(_) => "integer",
            Value::Real(_) => "real",
            Value::Text(_) | Value::Stored { text: true, .. } => "text",
            Value::Blob(_) | Value::Stored { text: false, .. } => "blob",
            Value::Ref(_) => "ref",
        }
    }

    /// Text from a string.
    pub fn text(s: impl Into<String>) -> Value {
        Value::Text(s.into().into())
    }

    /// Text or a blob as it is known: by its hash if it is large.
    pub fn of_content(text: bool, content: &[u8]) -> Value {
        if content.len() > MAX_INLINE_BYTES {
            return Value::Stored { text, sha256: hash(content), size_bytes: content.len() as u64 };
        }
        if text { Value::Text(content.into()) } else { Value::Blob(content.into()) }
    }

    /// The same value as it is known: large content by its hash.
    pub fn known(self) -> Value {
        match &self {
            Value::Text(b) if b.len() > MAX_INLINE_BYTES => Value::of_content(true, b),
            Value::Blob(b) if b.len() > MAX_INLINE_BYTES => Value::of_content(false, b),
            _ => self,
        }
    }

    /// Hash and size of a value that is known by its hash.
    pub fn stored(&self) -> Option<Large> {
        match self {
            Value::Stored { sha256, size_bytes, .. } => Some((*sha256, *size_bytes)),
            _ => None,
        }
    }

    /// Whether this is `NULL`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The row this value makes its row hang below, if it is an owner reference.
    pub fn owner(&self) -> Option<&Reference> {
        match self {
            Value::Ref(r) if r.owner => Some(r),
            _ => None,
        }
    }

    /// Bytes that differ whenever values differ; used to derive identities and to compare rows.
    pub fn bytes(&self) -> Vec<u8> {
        let mut b = vec![self.rank()];
        match self {
            Value::Null => {}
            Value::Integer(i) => b.extend(i.to_be_bytes()),
            Value::Real(r) => b.extend(r.to_bits().to_be_bytes()),
            Value::Text(t) | Value::Blob(t) => b.extend(t.iter()),
            Value::Stored { sha256, size_bytes, .. } => {
                b.extend(sha256);
                b.extend(size_bytes.to_be_bytes());
            }
            Value::Ref(r) => {
                b.extend(r.row.as_bytes());
                b.extend(r.table.as_bytes());
            }
        }
        b
    }
}

/// The total order that decides between equal stamps: type, then content. Reals order by bits.
impl Ord for Value {
    fn cmp(&self, o: &Self) -> Ordering {
        match (self, o) {
            (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
            (Value::Real(a), Value::Real(b)) => a.to_bits().cmp(&b.to_bits()),
            (Value::Text(a), Value::Text(b)) | (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
            (Value::Stored { text: s, sha256: a, size_bytes: n }, Value::Stored { text: t, sha256: b, size_bytes: m }) if s == t => (a, n).cmp(&(b, m)),
            (Value::Ref(a), Value::Ref(b)) => a.cmp(b),
            _ => self.rank().cmp(&o.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

impl PartialEq for Value {
    fn eq(&self, o: &Self) -> bool {
        self.cmp(o) == Ordering::Equal
    }
}

impl Eq for Value {}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.bytes().hash(h);
    }
}

/// Never prints content: patient data must not reach logs or panics.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(t) | Value::Blob(t) => write!(f, "{}[{} bytes]", self.type_name(), t.len()),
            Value::Ref(r) => write!(f, "ref[{}]", r.table),
            _ => f.write_str(self.type_name()),
        }
    }
}
