//! Records that are one person: what waits for a person's word, and the word itself.

use super::find::{RecordName, Written, named};
use super::{Error, Synchronizer};
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::SameAs;
use crate::stamp::Stamp;
use crate::state::{self, Stored};
use crate::sync::Order;
use serde::Serialize;

/// Two records that look like one, and why nobody matched them yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairView {
    /// The one that would stay.
    pub a: RecordName,
    /// The other.
    pub b: RecordName,
    /// Why it is for a person to decide.
    pub reason: String,
}

/// Two records that are one, which can be taken apart again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatchView {
    /// The one that stands.
    pub a: RecordName,
    /// The other, as it was.
    pub b: RecordName,
    /// When and where; nothing where the records matched by themselves.
    pub written: Option<Written>,
}

/// What was said about a record and another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SameView {
    /// The other record.
    pub record: String,
    /// `same`, `not` or `undone`.
    pub says: &'static str,
    /// When and where; nothing where the records matched by themselves.
    pub written: Option<Written>,
}

impl Synchronizer {
    /// Pairs of records that wait for a person's word.
    pub fn pairs(&self) -> Result<Vec<PairView>, Error> {
        let pairs = self.state()?.pairs()?;
        pairs.into_iter().map(|p| Ok(PairView { a: self.name_of(&p.a)?, b: self.name_of(&p.b)?, reason: p.reason })).collect()
    }

    /// Pairs that were matched and can be taken apart, the last word first: so many, and how many there are.
    pub fn matched(&self, most: usize) -> Result<(Vec<MatchView>, usize), Error> {
        let (state, names) = (self.state()?, self.site_names()?);
        let mut found = Vec::new();
        for id in state.flagged(state::DELETED)? {
            let Some(s) = state.load(&id)? else { continue };
            let fact = merge::same_target(&s.known).and_then(|to| Some((to, s.known.same_as.get(&to)?.0)));
            found.extend(fact.filter(|_| refuse_stripped(&s).is_ok()).map(|(to, stamp)| (stamp, to, named(&s))));
        }
        found.sort_by(|x, y| y.0.cmp(&x.0).then_with(|| x.2.record.cmp(&y.2.record)));
        let all = found.len();
        found.truncate(most);
        let view = |(stamp, to, b): (Stamp, RecordId, RecordName)| Ok(MatchView { a: self.name_of(&to)?, b, written: (stamp.time.ms > 0).then(|| names.written(&stamp)) });
        Ok((found.into_iter().map(view).collect::<Result<_, Error>>()?, all))
    }

    /// The order that says that two records are one, that they are not, or that a match is taken back.
    pub fn say_same(&self, one: RecordId, other: RecordId, says: SameAs) -> Result<Vec<(RecordId, Order)>, Error> {
        let usage = |m: &str| Err(Error::Usage(m.to_owned()));
        let (a, b) = (one.min(other), one.max(other));
        if a == b {
            return usage("that is one record already; name two");
        }
        let (x, y) = (self.stored(&a)?, self.stored(&b)?);
        if x.known.kind != y.known.kind {
            return usage("the two records are of different types");
        }
        let said = merge::said(&y.known, &a);
        let dead = |s: &Stored| merge::life(&s.known).get(&s.known.root_key()) != Some(&Life::Live);
        match says {
            SameAs::Same => {
                if x.known.erased.is_some() || y.known.erased.is_some() {
                    return usage("one of them was erased; nothing of it is left to be matched");
                }
                if said == Some(SameAs::Same) {
                    return usage("they are matched already; `cfs match A B --undo` takes that back");
                }
                for s in [&x, &y] {
                    if let Some(to) = merge::same_target(&s.known) {
                        return Err(Error::Usage(format!("one of them is the same as {to} already; match that one")));
                    }
                    if dead(s) {
                        return usage("one of them is deleted; `cfs trash restore` brings it back, then they can be matched");
                    }
                }
            }
            SameAs::Not => {
                if said == Some(SameAs::Not) {
                    return usage("that was said already");
                }
                refuse_stripped(&y)?;
            }
            SameAs::Undone => {
                if said != Some(SameAs::Same) {
                    return usage("these two are not matched; `cfs match A B --not` says that they never are");
                }
                refuse_stripped(&y)?;
            }
        }
        Ok(vec![(b, Order::Say { other: a, says, by_itself: false })])
    }

    /// All records that are the same as one, itself included.
    pub fn same_records(&self, id: RecordId) -> Result<Vec<RecordId>, Error> {
        let state = self.state()?;
        let mut all = vec![id];
        let mut at = 0;
        while let Some(next) = all.get(at).copied() {
            at += 1;
            let Some(s) = state.load(&next)? else { continue };
            for (other, (_, says)) in &s.known.same_as {
                // The word stands in the file of the larger UUID; in the other there is a receipt.
                let says = if *other < next { Some(*says) } else { state.load(other)?.and_then(|o| merge::said(&o.known, &next)) };
                if says == Some(SameAs::Same) && !all.contains(other) {
                    all.push(*other);
                }
            }
        }
        Ok(all)
    }

    /// The orders that erase a record, with all that were matched with it.
    pub fn erase(&self, id: RecordId, by: &str) -> Result<Vec<(RecordId, Order)>, Error> {
        Ok(self.same_records(id)?.into_iter().map(|id| (id, Order::Erase { by: by.to_owned() })).collect())
    }

    /// What was said about a record and others.
    pub(super) fn same_views(&self, s: &Stored) -> Result<Vec<SameView>, Error> {
        let names = self.site_names()?;
        let state = self.state()?;
        let mut out = Vec::new();
        for (other, fact) in &s.known.same_as {
            let theirs = if *other < s.known.id { None } else { state.load(other)? };
            let fact = theirs.as_ref().and_then(|o| o.known.same_as.get(&s.known.id)).unwrap_or(fact);
            let says = match fact.1 {
                SameAs::Same => "same",
                SameAs::Not => "not",
                SameAs::Undone => "undone",
            };
            let written = (fact.0.time.ms > 0).then(|| names.written(&fact.0));
            out.push(SameView { record: other.to_string(), says, written });
        }
        Ok(out)
    }

    /// Refuses to restore from the trash what is there because of a match.
    pub(super) fn refuse_matched(&self, s: &Stored) -> Result<(), Error> {
        match merge::same_target(&s.known) {
            Some(to) if dead_root(s) => {
                let name = named(s).record;
                Err(Error::Usage(format!("that record is the same as {to} and stands there; `cfs match {name} {to} --undo` takes that back")))
            }
            _ => Ok(()),
        }
    }
}

fn dead_root(s: &Stored) -> bool {
    merge::life(&s.known).get(&s.known.root_key()) == Some(&Life::Deleted)
}

fn refuse_stripped(s: &Stored) -> Result<(), Error> {
    let stripped = s.known.root().and_then(|r| r.tombstone.as_ref()).is_some_and(|t| t.bare && t.moved_to.is_some());
    if stripped && dead_root(s) {
        return Err(Error::Usage("the time for taking that match back is over: what the record held before is no longer in the trash".to_owned()));
    }
    Ok(())
}
