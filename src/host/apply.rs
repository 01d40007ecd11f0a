//! Apply: makes the host hold what is known of a record, parents before children.

mod remove;
mod write;

use crate::host::Error;
use crate::host::image::{Image, ImageRow};
use crate::host::key::HostKey;
use crate::host::local::{Away, Local, LocalRow, print};
use crate::host::mapping::{Mapping, ReferenceMap, Role, Table, Target};
use crate::id::RecordId;
use crate::merge::Life;
use crate::record::{FieldKey, Record, Row, RowKey, SortedMap};
use crate::shared::Name;
use crate::value::{Large, Reference, Value};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Where a reference to another record leads in this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// To a row with these values in the columns asked for.
    Values(Vec<Value>),
    /// To the row that this one became when its record was found to be the same as another.
    Instead(Vec<Value>),
    /// Nowhere, as long as this record is not here.
    NotHere(RecordId),
}

/// Where the content of a large value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Not here yet.
    Awaited,
    /// At hand.
    Here,
    /// At hand since it was last waited for.
    Came,
}

/// Finds rows of other records by their identity, and the content of large values.
pub trait Targets {
    /// Where the content of a large value is.
    fn content_of(&mut self, large: Large) -> Result<Content, Error>;
    /// Has foreign keys checked when the transaction ends, or at once. Gives how it was.
    fn defer(&mut self, on: bool) -> Result<bool, Error>;
    /// That content.
    fn content(&mut self, large: Large) -> Result<Option<Vec<u8>>, Error>;
    /// The values of columns of the row that a reference leads to.
    fn values_of(&mut self, table: usize, to: &Reference, columns: &[Name]) -> Result<Found, Error>;
    /// The highest number in use in a local column, as this sync knows it.
    fn highest(&mut self, sql: &str) -> Result<i64, Error>;
    /// Inserts a row into a table by a statement that is made once for each set of columns. Gives how many rows that made.
    fn insert(&mut self, table: usize, row: &SortedMap<Name, Value>, make: &dyn Fn() -> String) -> Result<usize, Error>;
    /// Remembers a number as used; `None` forgets what is known.
    fn used(&mut self, sql: &str, number: Option<i64>);
}

/// What the host holds and what it shall hold.
#[derive(Debug)]
pub struct Job<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// The record type.
    pub kind: usize,
    /// What is known.
    pub known: &'a Record,
    /// Which of its rows are there.
    pub lives: &'a BTreeMap<RowKey, Life>,
    /// What was applied before.
    pub before: &'a Record,
    /// The host as it stands.
    pub image: &'a Image,
    /// This site, then those it took over from: their numbers are given back to rows that come (back).
    pub places: &'a [crate::id::SiteId],
}

/// One value that applying changed in the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The row.
    pub row: RowKey,
    /// The field; `None` for a row that was inserted or deleted.
    pub field: Option<Name>,
    /// The host's value before.
    pub old: Option<Value>,
    /// The value after.
    pub new: Option<Value>,
}

/// What applying did.
#[derive(Debug, Default)]
pub struct Done {
    /// Under which keys the host now holds the rows.
    pub local: Local,
    /// Records that rows wait for.
    pub waits: BTreeSet<RecordId>,
    /// What changed.
    pub changes: Vec<FieldChange>,
    /// Whether triggers of the host may have run.
    pub fired: bool,
    /// How many rows were inserted that our triggers noted.
    pub noted: usize,
    /// How many numbers of this place were in use by others.
    pub taken: usize,
    /// What was written, where triggers of the host may have changed it: table, key and columns.
    pub written: Vec<(usize, HostKey, SortedMap<Name, Value>)>,
}

/// Applies a record. The caller holds the write lock and a savepoint; nothing is rolled back here.
pub fn apply(conn: &Connection, job: &Job<'_>, local: &Local, targets: &mut dyn Targets) -> Result<Done, Error> {
    let keys = job.image.rows.iter().map(|(k, r)| (k.clone(), r.host.key.clone())).collect();
    let remember = job.mapping.types.get(job.kind).is_some_and(|k| k.tables.iter().any(|t| job.mapping.tables.get(*t).is_some_and(|t| t.triggers.any())));
    let mut a = Applier { conn, job, local, targets, keys, remember, done: Done::default() };
    let tables = job.mapping.types.get(job.kind).map(|k| k.tables.clone()).unwrap_or_default();
    let mut again: Vec<(usize, RowKey)> = Vec::new();
    for table in &tables {
        a.table(*table, &mut again)?;
    }
    for (table, key) in again {
        a.settle(table, &key, true)?;
    }
    a.delete(&tables)?;
    Ok(a.done)
}

struct Applier<'a> {
    conn: &'a Connection,
    job: &'a Job<'a>,
    local: &'a Local,
    targets: &'a mut dyn Targets,
    keys: BTreeMap<RowKey, HostKey>,
    /// Whether triggers of the host may change what is written.
    remember: bool,
    done: Done,
}

/// What a row's columns shall hold.
#[derive(Default)]
struct Wish {
    set: SortedMap<Name, Value>,
    /// Fields whose host value is not what is known.
    differs: BTreeSet<Name>,
    /// A reference to a row of this record that is still to be inserted.
    later: bool,
    /// A NOT NULL reference cannot be met: the row waits.
    away: bool,
    /// The reference just looked at leads to what its target became.
    instead: bool,
    /// Fields that changed: old and new, in our terms.
    changed: Vec<(Name, Value)>,
}

impl Applier<'_> {
    fn table(&mut self, table: usize, again: &mut Vec<(usize, RowKey)>) -> Result<(), Error> {
        let Some(t) = self.job.mapping.tables.get(table) else { return Ok(()) };
        let job = self.job;
        // Rows stand by table, then by identity.
        let of_table = job.known.rows.range(RowKey { table: t.name.clone(), id: Default::default() }..).map(|(k, _)| k).take_while(|k| k.table == t.name);
        let mut rows: Vec<&RowKey> = of_table.filter(|k| job.lives.get(*k) == Some(&Life::Live)).collect();
        // Rows that point to rows of their own table come after those.
        loop {
            let mut left = Vec::new();
            let before = rows.len();
            for key in rows {
                if !self.settle(table, key, false)? {
                    left.push(key);
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            if left.len() == before {
                // A circle, or a pointer to a table that comes later: insert first, point afterwards.
                for key in left {
                    self.settle(table, key, true)?;
                    again.push((table, key.clone()));
                }
                return Ok(());
            }
            rows = left;
        }
    }

    /// Makes one row be as it is known. Gives `false` where it points to a row of this record that
    /// is not there yet, unless `force`.
    fn settle(&mut self, table: usize, key: &RowKey, force: bool) -> Result<bool, Error> {
        let job = self.job;
        let (Some(t), Some(row)) = (job.mapping.tables.get(table), job.known.rows.get(key)) else { return Ok(true) };
        let there = self.keys.get(key).cloned();
        let image = job.image.rows.get(key);
        let was = self.local.rows.get(key);
        let wish = self.wish(t, key, row, image, was)?.allowed(t, there.is_some());
        if wish.later && !force {
            return Ok(false);
        }
        if let Some(Away::Deleted) = was.and_then(|w| w.away)
            && there.is_none()
        {
            self.done.local.rows.insert(key.clone(), was.cloned().unwrap_or_default());
            return Ok(true);
        }
        if wish.away && there.is_none() {
            self.done.local.rows.insert(key.clone(), LocalRow { away: Some(Away::Waiting), ..LocalRow::default() });
            return Ok(true);
        }
        // Only one that had to be inserted before what it points to comes a second time.
        let first = if force { self.done.local.rows.remove(key) } else { None };
        let mut entry = first.or_else(|| was.filter(|w| w.away.is_none()).cloned()).unwrap_or_default();
        let mut wrote = false;
        let mut holds: SortedMap<Name, Value> = SortedMap::default();
        entry.key = match (&there, image) {
            (Some(at), image) => {
                if let Some(i) = image {
                    holds = t.holds(&i.host);
                }
                let mut set = wish.set.clone();
                set.retain(|c, v| holds.get(c) != Some(v));
                for (field, old) in &wish.changed {
                    if image.is_some() {
                        entry.prior.insert(field.clone(), print(&raw(t, field, &holds)));
                    }
                    let rule = t.column(field).map(|c| c.rule).unwrap_or_default();
                    let new = row.fields.get(&FieldKey::shared(field.clone())).and_then(|f| crate::merge::shown(f, rule)).map(std::borrow::Cow::into_owned);
                    self.done.changes.push(FieldChange { row: key.clone(), field: Some(field.clone()), old: Some(old.clone()), new });
                }
                let at = if set.is_empty() {
                    at.clone()
                } else {
                    let at = self.update(t, at, &set)?;
                    // Keys that cascade may fire those of other tables.
                    self.done.fired |= self.remember;
                    wrote = true;
                    at
                };
                holds.extend(wish.set);
                at
            }
            (None, _) => {
                let mut set = wish.set;
                self.as_before(t, row, was, &mut set)?;
                let made = if self.done.fired && t.made_by_triggers { self.made_by_trigger(t, &set)? } else { None };
                let (at, all) = match made {
                    Some(at) => {
                        // All of it is the incoming row's: what the trigger filled in says nothing of that.
                        for c in t.columns.iter().filter(|c| !c.not_null && !c.has_default && matches!(c.role, Role::Data | Role::Reference)) {
                            if set.get(&c.name).is_none() {
                                set.insert(c.name.clone(), Value::Null);
                            }
                        }
                        (self.update(t, &at, &set)?, set)
                    }
                    None => self.insert(table, t, set)?,
                };
                self.done.fired |= t.triggers.insert;
                // With the numbers it got here, which are not always those it asked for.
                holds = all;
                wrote = true;
                self.done.changes.push(FieldChange { row: key.clone(), field: None, old: None, new: None });
                at
            }
        };
        entry.away = None;
        entry.differs.clear();
        for f in &wish.differs {
            entry.differs.insert(f.clone(), print(&raw(t, f, &holds)));
        }
        let (mut known, mut held) = (0, 0);
        for c in t.columns_by_name() {
            // What the host filled in by itself, or numbered anew, is its own until somebody edits it.
            if matches!(c.role, Role::Data | Role::Local { keep_if_free: true, .. }) {
                let field = row.fields.seek(&mut known, &FieldKey::shared(c.name.clone()));
                // An empty column of which nothing is known says nothing.
                let held = holds.seek(&mut held, &c.name).filter(|v| field.is_some() || !v.is_null());
                if field.and_then(|f| crate::merge::shown(f, c.rule)).as_deref() != held {
                    entry.differs.insert(c.name.clone(), print(&raw(t, &c.name, &holds)));
                }
            }
        }
        if wrote && self.remember {
            self.done.written.push((table, entry.key.clone(), holds));
        }
        self.keys.insert(key.clone(), entry.key.clone());
        self.done.local.rows.insert(key.clone(), entry);
        Ok(true)
    }

    fn wish(&mut self, t: &Table, key: &RowKey, row: &Row, image: Option<&ImageRow>, was: Option<&LocalRow>) -> Result<Wish, Error> {
        let mut w = Wish::default();
        let job = self.job;
        let before = job.before.rows.get(key);
        let mut at = 0;
        // What changes is told in the table's order; a new row is one change.
        let place = |n: &usize| if image.is_some() { Some(*n) } else { t.by_name.get(*n).copied() };
        for c in (0..t.columns.len()).filter_map(|n| t.columns.get(place(&n)?)) {
            match &c.role {
                Role::Data | Role::Local { keep_if_free: true, .. } => {
                    let field = FieldKey::shared(c.name.clone());
                    let Some(shown) = row.fields.seek(&mut at, &field).and_then(|f| crate::merge::shown(f, c.rule)) else { continue };
                    let value = &*shown;
                    let held = image.and_then(|i| i.fields.get(&field));
                    if held == Some(value) || held.is_some_and(|h| c.affinity.makes(value, h)) {
                        continue;
                    }
                    let content = value.stored().map(|l| self.targets.content_of(l)).transpose()?;
                    if content == Some(Content::Awaited) {
                        // The field waits, not the chart: the host keeps what it shows.
                        w.differs.insert(c.name.clone());
                        if image.is_none() && c.not_null {
                            w.away = true;
                        } else if image.is_none() {
                            w.set.insert(c.name.clone(), Value::Null);
                        }
                        continue;
                    }
                    if let Some(held) = held {
                        let ours = was.is_some_and(|w| w.differs.contains_key(&c.name));
                        let same = before.and_then(|b| b.fields.get(&field)).and_then(|f| crate::merge::shown(f, c.rule)).as_deref() == Some(value);
                        if ours && same && content != Some(Content::Came) {
                            w.differs.insert(c.name.clone());
                            continue;
                        }
                        w.changed.push((c.name.clone(), held.clone()));
                    }
                    w.set.insert(c.name.clone(), value.clone());
                }
                Role::Local { keep_if_free: false, .. } | Role::Surrogate | Role::Reference => {}
            }
        }
        for r in &t.references {
            let field = FieldKey::shared(r.field.clone());
            let Some(value) = row.current(&field) else {
                // It led nowhere where it came from, and must lead somewhere here.
                w.away |= image.is_none() && r.columns.iter().any(|c| t.column(c).is_some_and(|c| c.not_null && !c.has_default) && !t.shares(r, c));
                continue;
            };
            let held = image.and_then(|i| i.fields.get(&field));
            let dangling = image.is_some_and(|i| i.dangling.contains(&r.field));
            if held == Some(value) && !dangling && !self.goes(value) && !write::respelled(r, row, image) {
                continue;
            }
            if dangling && value.is_null() {
                // The host's own pointer to nothing is its own.
                w.differs.insert(r.field.clone());
                continue;
            }
            w.instead = false;
            let values = match value {
                Value::Ref(to) => self.target(r, to, row, &mut w)?.map(|(table, key)| self.spell(r, row, table, key)).transpose()?,
                // What led nowhere where it came from, and stands as it is.
                value if r.columns.len() == 1 && (r.stands(value) || matches!(r.target, Target::ByColumn(_))) => Some(vec![value.clone()]),
                _ => None,
            };
            let points = image.is_some_and(|i| values.as_ref() == Some(&raw(t, &r.field, &t.holds(&i.host))));
            if w.instead {
                // The host points to what the target became: no edit, and none to send back.
                w.differs.insert(r.field.clone());
            }
            let changed = held.is_some_and(|h| h != value) && values.is_some() && !(w.instead && points);
            if changed {
                w.changed.push((r.field.clone(), held.cloned().unwrap_or(Value::Null)));
            }
            match values {
                Some(values) => w.set.extend(r.columns.iter().cloned().zip(values)),
                None => {
                    if matches!(value, Value::Ref(_)) {
                        w.differs.insert(r.field.clone());
                    } else if held.is_some_and(|h| !h.is_null()) {
                        w.changed.push((r.field.clone(), held.cloned().unwrap_or(Value::Null)));
                    }
                    let required = r.columns.iter().any(|c| t.column(c).is_some_and(|c| c.not_null));
                    // Where it came from it may have led nowhere all along.
                    if required && (matches!(value, Value::Ref(_)) || image.is_none()) {
                        w.away = true;
                    }
                    for c in &r.columns {
                        if !t.shares(r, c) && !required {
                            w.set.insert(c.clone(), Value::Null);
                        }
                    }
                }
            }
        }
        Ok(w)
    }

    /// The table that a reference leads to and the values there; `None` while its target is not here.
    fn target(&mut self, r: &ReferenceMap, to: &Reference, row: &Row, w: &mut Wish) -> Result<Option<(usize, Vec<Value>)>, Error> {
        let job = self.job;
        let (table, columns) = match &r.target {
            Target::Table { table, columns } => (*table, columns.as_slice()),
            Target::ByColumn(by) => {
                let named = row.get(by).and_then(|v| if let Value::Text(b) = v { std::str::from_utf8(b).ok().map(str::to_owned) } else { None });
                let Some(table) = named.and_then(|n| job.mapping.table(&n)) else { return Ok(None) };
                (table, job.mapping.tables.get(table).map(Table::key_columns).unwrap_or_default())
            }
            Target::InText(_) => {
                let Some(table) = job.mapping.table(&to.table) else { return Ok(None) };
                (table, job.mapping.tables.get(table).map(Table::key_columns).unwrap_or_default())
            }
        };
        let Some(target) = job.mapping.tables.get(table) else { return Ok(None) };
        let at = RowKey::new(target.name.clone(), to.row);
        if to.record.is_none_or(|rec| rec == job.known.id)
            && let Some(there) = job.known.rows.get(&at)
        {
            match job.lives.get(&at) {
                Some(Life::Live) => {
                    let Some(key) = self.keys.get(&at).cloned() else {
                        w.later = self.done.local.rows.get(&at).is_none_or(|l| l.away.is_none());
                        return Ok(None);
                    };
                    return Ok(self.columns_of(target, &key, columns)?.map(|key| (table, key)));
                }
                _ => {
                    if let Some((record, row)) = there.tombstone.as_ref().and_then(|t| t.moved_to) {
                        let moved = Reference { row, record: Some(record), ..to.clone() };
                        return self.elsewhere(table, &moved, columns, w);
                    }
                    return Ok(None);
                }
            }
        }
        self.elsewhere(table, to, columns, w)
    }

    fn elsewhere(&mut self, table: usize, to: &Reference, columns: &[Name], w: &mut Wish) -> Result<Option<(usize, Vec<Value>)>, Error> {
        match self.targets.values_of(table, to, columns)? {
            Found::Values(v) => Ok(Some((table, v))),
            Found::Instead(v) => {
                w.instead = true;
                Ok(Some((table, v)))
            }
            Found::NotHere(record) => {
                self.done.waits.insert(record);
                Ok(None)
            }
        }
    }
}

/// The host values of a field's columns.
pub(crate) fn raw(t: &Table, field: &str, holds: &SortedMap<Name, Value>) -> Vec<Value> {
    let columns = t.references.iter().find(|r| r.field == field).map_or_else(|| vec![Name::of(field)], |r| r.columns.clone());
    columns.iter().map(|c| holds.get(c).cloned().unwrap_or(Value::Null)).collect()
}
