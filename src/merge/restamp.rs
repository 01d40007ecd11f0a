//! Stamping again what was written under a name that two copies used.

use crate::id::SiteId;
use crate::record::{Entries, Entry, Record};
use crate::stamp::Stamp;

/// Whether a record says that it has seen all that `site` stamped up to some time, and lacks a row
/// or a value of it that nothing can have taken away: rows leave a tombstone, and what is written
/// over something is later. Then somebody else stamps under that name as well. `ours` is the record
/// as `site` itself knows it.
pub fn denies(r: &Record, ours: &Record, site: SiteId) -> bool {
    // A match that is taken back removes what it brought, and leaves what was there before.
    let matched = !r.same_as.is_empty() || !ours.same_as.is_empty();
    if matched || r.erased.is_some() || ours.erased.is_some() || !r.version.0.contains_key(&site) {
        return false;
    }
    ours.rows.iter().filter(|(_, row)| row.tombstone.is_none()).any(|(key, row)| {
        let Some(there) = r.rows.get(key) else { return row.stamp.site == site && r.version.covers(&row.stamp) };
        let none = Entries::default();
        let denied = |f: &Entries, theirs: &Entries| {
            f.iter().filter(|mine| mine.stamp.site == site && r.version.covers(&mine.stamp)).any(|mine| {
                let gone = theirs.iter().all(|e| e.stamp < mine.stamp && e.value != mine.value);
                // Had this site written that over its own, it would no longer have its own.
                let forged = |e: &Entry| e.stamp.site == site && e.stamp > mine.stamp && f.iter().all(|o| o.stamp != e.stamp);
                gone || theirs.iter().all(|e| e.stamp != mine.stamp) && theirs.iter().any(forged)
            })
        };
        there.tombstone.is_none() && row.fields.iter().any(|(name, f)| denied(&f.0, there.fields.get(name).map_or(&none, |t| &t.0)))
    })
}

/// Gives every value, row, tombstone and fact that `old` stamped the name `new`, and forgets that
/// anything of `old` was seen: what another copy wrote under that name is then news, and equal
/// values are no conflict. Times stay, so that an old value does not win against a newer edit of
/// the other copy. `new` must never have stamped anything before.
pub fn restamp(r: &mut Record, old: &SiteId, new: SiteId) {
    let mut stamps: Vec<Stamp> = r.stamps().filter(|s| s.site == *old).collect();
    stamps.sort();
    stamps.dedup();
    let map: std::collections::BTreeMap<Stamp, Stamp> = stamps.into_iter().map(|s| (s, Stamp { site: new, ..s })).collect();
    let change = |s: &mut Stamp| {
        if let Some(n) = map.get(s) {
            *s = *n;
        }
    };
    for row in r.rows.values_mut() {
        change(&mut row.stamp);
        for field in row.fields.values_mut() {
            if field.0.iter().any(|e| e.stamp.site == *old) {
                let entries: Entries = std::mem::take(&mut field.0)
                    .into_iter()
                    .map(|mut e: Entry| {
                        change(&mut e.stamp);
                        e
                    })
                    .collect();
                field.0 = entries;
            }
        }
        if let Some(t) = &mut row.tombstone {
            change(&mut t.stamp);
            // What its author saw of the old name's writes, it sees under the new one.
            if let Some(upto) = t.seen.0.remove(old) {
                map.iter().filter(|(o, _)| o.time <= upto).for_each(|(_, n)| t.seen.add(*n));
            }
        }
        row.extras.values_mut().filter_map(|e| e.stamp.as_mut()).for_each(change);
    }
    r.same_as.values_mut().for_each(|(s, _)| change(s));
    if let Some(e) = &mut r.erased {
        change(&mut e.stamp);
    }
    r.extras.values_mut().filter_map(|e| e.stamp.as_mut()).for_each(change);
    r.version.0.remove(old);
    map.values().for_each(|n| r.version.add(*n));
}
