//! Names and bytes that many hold at once: copying one costs a count, not an allocation.
//!
//! A chart of twenty rows names its tables and columns hundreds of times, and its values pass
//! through host, state, merge and file; as plain strings they were most of what a sync cost.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, RwLock};

/// A map for what is asked for once a row and more often: keys are short, and hashing them was a tenth of a sync. Seeded by the
/// program's start: nothing may depend on its order.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
/// A set of the same kind.
pub(crate) type HashSet<K> = std::collections::HashSet<K, foldhash::fast::RandomState>;

/// The name of a table, column or record type.
#[derive(Clone, Eq)]
pub struct Name(Text);

/// A schema's names stay for as long as the program runs: a count that two threads change at once
/// makes each wait for the other, at every copy. Only what is beyond any schema is counted.
#[derive(Clone, PartialEq, Eq)]
enum Text {
    Kept(&'static str),
    Counted(Arc<Box<str>>),
}

/// How many names are kept; a schema has fewer.
const KEPT: usize = 16 << 10;
/// How long a kept name is at most, in bytes.
const KEPT_BYTES: usize = 128;

static ALL: RwLock<BTreeSet<&'static str>> = RwLock::new(BTreeSet::new());

thread_local! {
    // What this thread has met: no lock, and no other thread's memory.
    static MET: RefCell<HashSet<&'static str>> = RefCell::new(HashSet::default());
}

/// The kept copy of a name. Names come from files as well: a hostile one must not fill the memory.
fn kept(s: &str) -> Option<&'static str> {
    if s.len() > KEPT_BYTES {
        return None;
    }
    if let Some(n) = ALL.read().ok()?.get(s) {
        return Some(n);
    }
    let mut all = ALL.write().ok()?;
    if let Some(n) = all.get(s) {
        return Some(n);
    }
    if all.len() >= KEPT {
        return None;
    }
    let n: &'static str = Box::leak(Box::from(s));
    all.insert(n);
    Some(n)
}

impl Name {
    /// The one copy of a name.
    pub fn of(s: &str) -> Name {
        MET.with_borrow_mut(|met| {
            if let Some(n) = met.get(s) {
                return Name(Text::Kept(n));
            }
            match kept(s) {
                Some(n) => {
                    met.insert(n);
                    Name(Text::Kept(n))
                }
                None => Name(Text::Counted(Arc::new(Box::from(s)))),
            }
        })
    }

    /// As text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Kept(s) => s,
            Text::Counted(s) => s,
        }
    }
}

/// Names from a list of strings.
pub fn names<S: AsRef<str>>(list: &[S]) -> Vec<Name> {
    list.iter().map(|s| Name::of(s.as_ref())).collect()
}

impl Default for Name {
    fn default() -> Self {
        Name::of("")
    }
}

impl Deref for Name {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    #[inline]
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    #[inline]
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Name {
    fn from(s: &str) -> Self {
        Name::of(s)
    }
}

impl From<String> for Name {
    fn from(s: String) -> Self {
        Name::of(&s)
    }
}

impl From<&String> for Name {
    fn from(s: &String) -> Self {
        Name::of(s)
    }
}

impl From<&Name> for Name {
    fn from(n: &Name) -> Self {
        n.clone()
    }
}

impl From<Name> for String {
    fn from(n: Name) -> Self {
        n.as_str().to_owned()
    }
}

impl PartialEq for Name {
    #[inline]
    fn eq(&self, o: &Self) -> bool {
        match (&self.0, &o.0) {
            // There is one copy of each.
            (Text::Kept(a), Text::Kept(b)) => std::ptr::eq(*a, *b),
            _ => self.as_str() == o.as_str(),
        }
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, o: &str) -> bool {
        self.as_str() == o
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, o: &&str) -> bool {
        self.as_str() == *o
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, o: &String) -> bool {
        self.as_str() == *o
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, o: &Name) -> bool {
        **self == *o.as_str()
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, o: &Name) -> bool {
        **self == *o.as_str()
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, o: &Name) -> bool {
        self == o.as_str()
    }
}

impl PartialOrd for Name {
    #[inline]
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

impl Ord for Name {
    #[inline]
    fn cmp(&self, o: &Self) -> Ordering {
        if self == o { Ordering::Equal } else { self.as_str().cmp(o.as_str()) }
    }
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.as_str().hash(h);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self)
    }
}

impl rusqlite::ToSql for Name {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.as_str().to_sql()
    }
}

/// The bytes of a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets(Arc<[u8]>);

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Octets {
    fn from(b: &[u8]) -> Self {
        Octets(Arc::from(b))
    }
}

impl From<Vec<u8>> for Octets {
    fn from(b: Vec<u8>) -> Self {
        Octets(Arc::from(b))
    }
}

impl From<String> for Octets {
    fn from(s: String) -> Self {
        Octets(Arc::from(s.into_bytes()))
    }
}

/// Never prints content: patient data must not reach logs or panics.
impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one() {
        let (a, b) = (Name::of("patient"), Name::from("patient".to_owned()));
        assert!(matches!((&a.0, &b.0), (Text::Kept(a), Text::Kept(b)) if std::ptr::eq(*a, *b)));
        assert_eq!(std::thread::spawn(|| Name::of("patient")).join().unwrap(), a);
        assert_eq!(a.cmp(&Name::of("phone")), Ordering::Less);
        // As small as a string slice.
        assert_eq!(size_of::<Name>(), size_of::<&str>());
    }

    #[test]
    fn no_flood_of_names_is_kept() {
        let before = Name::of("patient");
        for i in 0..KEPT + 10 {
            Name::of(&format!("flood {i}"));
        }
        let long = "x".repeat(KEPT_BYTES + 1);
        for s in ["patient", "after the flood", &long] {
            let (a, b) = (Name::of(s), Name::of(s));
            assert!(a == b && a.cmp(&b) == Ordering::Equal && a.as_str() == s, "{s}");
        }
        assert_eq!(Name::of("patient"), before);
        assert!(ALL.read().unwrap().len() <= KEPT);
    }
}
