//! Matches: records that are one by what they match on. What is in doubt is noted for a person.

use super::{Engine, Error};
use crate::host::mapping::RecordType;
use crate::id::RecordId;
use crate::merge;
use crate::record::Record;
use crate::shared::Name;
use crate::state::{self, Pair};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// From so many records on, one question is asked about all of them.
const MANY: usize = 500;
/// What more records than this share is a placeholder, and names nobody.
const PLACEHOLDER: usize = 8;

impl Engine<'_> {
    /// Finds records that match others, among those settled. Gives the pairs that are one without
    /// doubt, the larger UUID first; the others are noted for a person.
    pub(super) fn find_same(&mut self) -> Result<Vec<(RecordId, RecordId)>, Error> {
        let mut settled: BTreeSet<RecordId> = self.settled.iter().filter(|id| !self.same.compared.contains(*id)).copied().collect();
        if settled.is_empty() {
            return Ok(Vec::new());
        }
        self.same.compared.extend(&settled);
        let noted: BTreeMap<(RecordId, RecordId), String> = self.state.pairs()?.into_iter().map(|p| ((p.a, p.b), p.reason)).collect();
        let touched = settled.clone();
        if settled.len() > MANY {
            let alike = self.state.all_alike()?;
            settled.retain(|id| alike.contains(id));
        }
        let mut sure = BTreeSet::new();
        let mut doubts: BTreeMap<(RecordId, RecordId), String> = BTreeMap::new();
        for id in settled {
            let alike = self.state.alike(&id)?;
            if alike.is_empty() {
                continue;
            }
            let others: BTreeSet<RecordId> = alike.iter().map(|(_, o)| *o).collect();
            let Some(mine) = self.state.load(&id)?.filter(|s| s.flags & state::DELETED == 0) else { continue };
            for other in others.iter().take(PLACEHOLDER) {
                let Some(theirs) = self.state.load(other)? else { continue };
                let (a, b) = if id < *other { (&mine.known, &theirs.known) } else { (&theirs.known, &mine.known) };
                if merge::said(b, &a.id).is_some() || merge::same_target(a).is_some() || merge::same_target(b).is_some() {
                    continue;
                }
                match self.doubt(a, b, others.len())? {
                    None => {
                        sure.insert((b.id, a.id));
                    }
                    Some(why) => {
                        doubts.insert((a.id, b.id), why);
                    }
                }
            }
        }
        // Two ways of matching that name different records name nobody.
        let several: Vec<(RecordId, RecordId)> = sure.iter().filter(|(b, a)| self.ambiguous(b).unwrap_or(true) || self.ambiguous(a).unwrap_or(true)).copied().collect();
        for (b, a) in several {
            sure.remove(&(b, a));
            doubts.insert((a, b), "two ways of matching name different records".to_owned());
        }
        let stale: Vec<(RecordId, RecordId)> =
            noted.iter().filter(|((a, b), why)| (touched.contains(a) || touched.contains(b)) && doubts.get(&(*a, *b)) != Some(why)).map(|(k, _)| *k).collect();
        let new: Vec<Pair> = doubts.into_iter().filter(|(k, why)| noted.get(k) != Some(why)).map(|((a, b), reason)| Pair { a, b, reason }).collect();
        if !stale.is_empty() || !new.is_empty() {
            self.lock()?;
            stale.iter().try_for_each(|(a, b)| self.state.drop_pair(a, b))?;
            new.iter().try_for_each(|p| self.state.add_pair(p))?;
            self.unlock()?;
        }
        Ok(sure.into_iter().collect())
    }

    /// Whether the ways in which a record matches name different records.
    fn ambiguous(&self, id: &RecordId) -> Result<bool, Error> {
        let mut ways: BTreeMap<[u8; 16], BTreeSet<RecordId>> = BTreeMap::new();
        for (hash, other) in self.state.alike(id)? {
            ways.entry(hash).or_default().insert(other);
        }
        Ok(ways.values().collect::<BTreeSet<_>>().len() > 1)
    }

    /// Why two records that match are for a person to decide; `None` if they are one.
    fn doubt(&self, a: &Record, b: &Record, alike: usize) -> Result<Option<String>, Error> {
        let kind = self.mapping.kind(&a.kind).and_then(|k| self.mapping.types.get(k));
        let (Some(k), Some(_), Some(_)) = (kind, a.root(), b.root()) else { return Ok(Some("their type is not synchronized here".to_owned())) };
        let mut said: BTreeMap<Name, (Value, Value)> = BTreeMap::new();
        for c in k.match_columns() {
            let filled = |r: &Record| Ok::<_, Error>(self.known_match(k, r, &c)?.filter(|v| !v.is_null()));
            if let Some(two) = filled(a)?.zip(filled(b)?) {
                said.insert(c, two);
            }
        }
        Ok(doubt_of(k, &said, alike))
    }
}

fn doubt_of(k: &RecordType, said: &BTreeMap<Name, (Value, Value)>, alike: usize) -> Option<String> {
    let both = |c: &Name| said.get(c);
    if k.match_on.iter().any(|set| set.iter().all(|c| both(c).is_some()) && set.iter().any(|c| both(c).is_some_and(|(v, w)| v != w))) {
        return Some("they match in one way and differ in another".to_owned());
    }
    let differ: Vec<&str> = k.match_check.iter().filter(|c| both(c).is_some_and(|(v, w)| !super::identity::same_enough(v, w))).map(Name::as_str).collect();
    if !differ.is_empty() {
        return Some(format!("they match, but differ in {}", differ.join(", ")));
    }
    if alike > PLACEHOLDER {
        return Some(format!("they match, and so do {} others", alike - 1));
    }
    if k.shared || !k.match_check.iter().any(|c| both(c).is_some()) {
        return Some("they match; nothing else says that they are one".to_owned());
    }
    None
}
