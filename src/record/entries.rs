//! A small sorted set of entries. Nearly every field holds exactly one value, so that one stands
//! in place: no memory of its own.

use super::Entry;
use smallvec::SmallVec;

/// Entries in order of stamp, then value, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entries(SmallVec<[Entry; 1]>);

impl Entries {
    /// In order, the oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    /// The largest.
    pub fn last(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// The smallest.
    pub fn first(&self) -> Option<&Entry> {
        self.0.first()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an equal entry is there.
    pub fn contains(&self, e: &Entry) -> bool {
        self.0.binary_search(e).is_ok()
    }

    /// Adds an entry; `false` if an equal one is there.
    pub fn insert(&mut self, e: Entry) -> bool {
        match self.0.binary_search(&e) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, e);
                true
            }
        }
    }

    /// Removes an entry; `false` if it was not there.
    pub fn remove(&mut self, e: &Entry) -> bool {
        match self.0.binary_search(e) {
            Ok(at) => {
                self.0.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the smallest out.
    pub fn pop_first(&mut self) -> Option<Entry> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Keeps those for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        self.0.retain(|e| keep(e));
    }
}

impl Extend<Entry> for Entries {
    fn extend<I: IntoIterator<Item = Entry>>(&mut self, iter: I) {
        iter.into_iter().for_each(|e| {
            self.insert(e);
        });
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(iter: I) -> Self {
        let mut out = Entries::default();
        out.extend(iter);
        out
    }
}

impl<const N: usize> From<[Entry; N]> for Entries {
    fn from(entries: [Entry; N]) -> Self {
        entries.into_iter().collect()
    }
}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = smallvec::IntoIter<[Entry; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
