//! Versions: per site, the newest stamp that has been seen.

use crate::id::SiteId;
use crate::planted;
use crate::stamp::{Stamp, Time};
use std::collections::BTreeMap;

/// A version vector over stamps. Covering a stamp means having seen everything that its site wrote
/// to this record up to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Version(pub BTreeMap<SiteId, Time>);

impl Version {
    /// Whether the stamp has been seen.
    pub fn covers(&self, s: &Stamp) -> bool {
        self.0.get(&s.site).is_some_and(|t| *t >= s.time && !(planted::bug("newest-unseen") && *t == s.time))
    }

    /// Whether everything that `other` has seen has been seen here.
    pub fn includes(&self, other: &Version) -> bool {
        other.0.iter().all(|(site, time)| self.0.get(site).is_some_and(|t| t >= time))
    }

    /// Adds one stamp.
    pub fn add(&mut self, s: Stamp) {
        let t = self.0.entry(s.site).or_default();
        *t = (*t).max(s.time);
    }

    /// Joins by maximum.
    pub fn join(&mut self, other: &Version) {
        for (site, time) in &other.0 {
            self.add(Stamp { time: *time, site: *site });
        }
    }

    /// The newest stamp of all.
    pub fn newest(&self) -> Option<Stamp> {
        self.0.iter().map(|(site, time)| Stamp { time: *time, site: *site }).max()
    }
}

impl FromIterator<Stamp> for Version {
    fn from_iter<I: IntoIterator<Item = Stamp>>(iter: I) -> Self {
        let mut v = Version::default();
        iter.into_iter().for_each(|s| v.add(s));
        v
    }
}
