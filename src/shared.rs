//! Names and bytes that many hold at once: copying one costs a count, not an allocation.
//!
//! A chart of twenty rows names its tables and columns hundreds of times, and its values pass
//! through host, state, merge and file; as plain strings they were most of what a sync cost.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The name of a table, column or record type.
#[derive(Clone, Eq)]
pub struct Name(Arc<str>);

/// How many names are remembered for sharing; a schema has fewer.
const REMEMBERED: usize = 4096;

thread_local! {
    static KNOWN: RefCell<HashSet<Name>> = RefCell::new(HashSet::new());
}

impl Name {
    /// The one copy of a name.
    pub fn of(s: &str) -> Name {
        KNOWN.with_borrow_mut(|known| {
            if let Some(n) = known.get(s) {
                return n.clone();
            }
            if known.len() >= REMEMBERED {
                // Names come from files as well: a hostile one must not grow this for ever.
                known.clear();
            }
            let n = Name(Arc::from(s));
            known.insert(n.clone());
            n
        })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
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

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
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
        n.0.as_ref().to_owned()
    }
}

impl PartialEq for Name {
    fn eq(&self, o: &Self) -> bool {
        Arc::ptr_eq(&self.0, &o.0) || self.0 == o.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, o: &str) -> bool {
        &*self.0 == o
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, o: &&str) -> bool {
        &*self.0 == *o
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, o: &String) -> bool {
        *self.0 == **o
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, o: &Name) -> bool {
        **self == *o.0
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, o: &Name) -> bool {
        **self == *o.0
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, o: &Name) -> bool {
        self == &*o.0
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

impl Ord for Name {
    fn cmp(&self, o: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &o.0) { Ordering::Equal } else { self.0.cmp(&o.0) }
    }
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.0.hash(h);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self)
    }
}

impl rusqlite::ToSql for Name {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.as_ref().to_sql()
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
        assert!(Arc::ptr_eq(&a.0, &b.0));
        for i in 0..REMEMBERED + 10 {
            Name::of(&i.to_string());
        }
        let c = Name::of("patient");
        assert_eq!(a, c);
        assert_eq!(a.cmp(&c), Ordering::Equal);
        assert_eq!(a.cmp(&Name::of("phone")), Ordering::Less);
        assert!(KNOWN.with_borrow(HashSet::len) <= REMEMBERED);
    }
}
