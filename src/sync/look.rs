//! Look: what the host did since the last time, from the triggers' notes.

use super::scan::{From, Move};
use super::work::Works;
use super::{Engine, Error};
use crate::host::capture::{self, Note};
use crate::host::key::{HostKey, encode};
use crate::host::mapping::Table;
use crate::host::rows::{self, climb};
use crate::id::RecordId;
use crate::planted;
use crate::shared::{HashMap, Name};
use crate::sync::orders::Order;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// So many notes are forgotten at a time.
pub(super) const NOTES: i64 = 4000;

/// What the notes say.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The newest note read.
    pub(super) upto: i64,
    /// The newest note when this sync began: what the host wrote since is for the next one.
    pub(super) first: Option<i64>,
    /// Whether the host wrote while we synchronized.
    pub(super) foreign: bool,
    /// Keys whose row was deleted and that are in use again.
    pub(super) recycled: BTreeSet<(usize, HostKey)>,
    /// When rows were deleted, by table and key.
    pub(super) deleted: HashMap<(usize, Vec<u8>), i64>,
    /// When rows were inserted.
    pub(super) inserted: HashMap<(usize, Vec<u8>), i64>,
    /// Records that rows left, and the records they went to.
    pub(super) moves: BTreeMap<RecordId, BTreeSet<RecordId>>,
    /// Records that must be looked at.
    pub(super) dirty: BTreeSet<RecordId>,
    /// Records in which this sync stamped what the host did.
    pub(super) stamped: BTreeSet<RecordId>,
    /// Those of `dirty` that nothing is said about.
    pub(super) scanned: BTreeSet<RecordId>,
    /// Up to where notes are still to be forgotten.
    pub(super) stale: Option<i64>,
    /// How many notes a comparison made; what deleted rows hung from, by the numbers of those; and how often others
    /// had written when it was made.
    pub(super) made: i64,
    pub(super) hung: HashMap<i64, HostKey>,
    pub(super) version: i64,
    /// Whether others have written since, and not all was compared again.
    pub(super) unread: bool,
    /// Rows that hang from nothing.
    pub(super) loose: super::loose::Loose,
}

impl Engine<'_> {
    /// Reads the notes and finds the records they are about; new root rows are noted as such.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        let seen: i64 = self.state.meta("notes_seen")?.unwrap_or(0);
        if self.notes.first.is_none() {
            self.state.name_kinds()?;
        }
        // Read once in a sync: later looks go on from there.
        let after = if self.notes.first.is_some() { self.notes.upto } else { seen };
        let notes = capture::notes(self.conn, self.mapping, after)?;
        // What comes while we are at it is read once more by the next sync, whoever looks now.
        self.notes.foreign |= self.notes.first.is_some() && !notes.is_empty();
        self.notes.upto = notes.last().map_or(after, |n| n.n);
        self.notes.first.get_or_insert(self.notes.upto);
        self.looks += u64::from(!notes.is_empty());
        self.digest(&notes)?;
        let mut touched: Vec<(usize, HostKey)> = Vec::new();
        let mut moves: Vec<Move> = Vec::new();
        for n in &notes {
            let (old, new) = self.roots_of(n)?;
            let kind = self.mapping.tables.get(n.table).map_or(0, |t| t.kind);
            if let (Some(a), Some(b)) = (&old, &new)
                && a != b
                && self.mapping.tables.get(n.table).is_some_and(|t| t.owner.is_some())
            {
                moves.push((From::Root(a.clone()), b.clone(), kind));
            }
            self.look_at_loose(n, kind, &old, &new, &mut moves)?;
            touched.extend(old.into_iter().chain(new).map(|k| (kind, k)));
        }
        self.follow(touched, moves)
    }

    /// Follows notes to records: those whose rows they are about, and those between which rows moved.
    pub(super) fn follow(&mut self, mut touched: Vec<(usize, HostKey)>, moves: Vec<Move>) -> Result<(), Error> {
        touched.sort_by_key(|a| (a.0, encode(&a.1)));
        touched.dedup();
        self.sever()?;
        for (kind, root) in touched {
            self.touch(kind, root)?;
        }
        for (from, to, kind) in moves {
            let from = match from {
                From::Root(key) => self.lookup.record_of_root(kind, &key)?,
                From::Record(id) => Some(id),
            };
            let Some((from, to)) = from.zip(self.lookup.record_of_root(kind, &to)?).filter(|(from, to)| from != to) else { continue };
            self.notes.moves.entry(from).or_default().insert(to);
            self.lookup.moved_from.entry(to).or_default().insert(from);
        }
        Ok(())
    }

    /// Root keys that were deleted and are in use again: the row there is another person, unless what
    /// it is matched on, or all of it, says that it is the same.
    fn sever(&mut self) -> Result<(), Error> {
        for (table, key) in self.notes.recycled.clone() {
            let Some(t) = self.mapping.tables.get(table).filter(|t| t.owner.is_none()) else { continue };
            let Some(id) = self.lookup.record_of_root(t.kind, &key)? else { continue };
            let Some(stored) = self.state.load(&id)? else { continue };
            if !self.same_root(t.kind, &key, &stored.known)? {
                self.lookup.sever(t.kind, &key);
                self.severed.insert(id);
                self.notes.dirty.insert(id);
            }
        }
        Ok(())
    }

    /// Looks at every root row: the first time, or after the host rebuilt a table.
    pub(super) fn look_at_all(&mut self, kinds: &[usize]) -> Result<(), Error> {
        for kind in kinds {
            let Some(k) = self.mapping.types.get(*kind) else { continue };
            let all = self.state.all(Some(&k.name))?;
            rows::roots(self.conn, self.mapping, *kind, &mut |key, values| {
                let known = if all.is_empty() { None } else { self.lookup.record_of_root(*kind, &key)? };
                match known {
                    Some(id) => {
                        self.notes.dirty.insert(id);
                    }
                    None => self.add_root(*kind, &key, values)?,
                }
                Ok::<_, Error>(())
            })?;
            // Those whose root row is gone, too.
            self.notes.dirty.extend(all);
        }
        Ok(())
    }

    /// Looks at every root row the first time, if a person asks for it, and where triggers had to be made.
    pub(super) fn look_further(&mut self, made: &[String]) -> Result<(), Error> {
        let all: Vec<usize> = (0..self.mapping.types.len()).collect();
        let first = self.state.meta::<i64>("scanned")?.is_none();
        if first || self.options.scan && !made.is_empty() {
            return self.look_at_all(&all);
        }
        if self.options.scan {
            let noted = std::mem::take(&mut self.notes.dirty);
            self.look_at_all(&all)?;
            self.notes.scanned = self.notes.dirty.difference(&noted).copied().collect();
            self.notes.dirty.extend(noted);
            return Ok(());
        }
        let kinds: BTreeSet<usize> = made.iter().filter_map(|t| self.mapping.table(t)).filter_map(|t| self.mapping.tables.get(t)).map(|t| t.kind).collect();
        self.look_at_all(&kinds.into_iter().collect::<Vec<_>>())
    }

    /// Forgets what is left of the notes that were seen, leaving the host room in between.
    pub(super) fn forget_stale(&mut self) -> Result<(), Error> {
        while let Some(upto) = self.notes.stale {
            self.lock()?;
            let start = self.env.watch();
            self.lock_time()?;
            self.notes.stale = capture::forget(self.conn, upto, NOTES)?.then_some(upto);
            self.unlock()?;
            self.make_room(start.elapsed());
        }
        Ok(())
    }

    fn touch(&mut self, kind: usize, root: HostKey) -> Result<(), Error> {
        if let Some(id) = self.lookup.record_of_root(kind, &root)? {
            self.notes.dirty.insert(id);
            return Ok(());
        }
        let Some(t) = self.mapping.root(kind) else { return Ok(()) };
        if let Some(found) = rows::look_up(self.conn, t, t.key_columns(), t.key_columns(), &root)? {
            let values = rows::root_values(self.conn, self.mapping, kind, &found)?.unwrap_or_default();
            if self.in_filter(kind, &found)? {
                self.add_root(kind, &found, values)?;
            }
        }
        Ok(())
    }

    fn in_filter(&self, kind: usize, key: &HostKey) -> Result<bool, Error> {
        let (Some(k), Some(t)) = (self.mapping.types.get(kind), self.mapping.root(kind)) else { return Ok(false) };
        let Some(filter) = &k.filter else { return Ok(true) };
        let sql = format!("SELECT 1 FROM {} WHERE {} AND ({filter})", rows::quote(&t.name), t.key_is(1));
        Ok(self.conn.prepare_cached(&sql)?.exists(rusqlite::params_from_iter(key.iter().map(rows::Param)))?)
    }

    pub(super) fn digest(&mut self, notes: &[Note]) -> Result<(), Error> {
        for n in notes {
            let old = || (n.table, encode(&n.old_key));
            match n.op {
                'D' => {
                    self.notes.deleted.insert(old(), n.n);
                    // VACUUM gives the number to another row, and no trigger tells.
                    if self.mapping.tables.get(n.table).is_some_and(Table::renumbered) {
                        self.notes.recycled.insert((n.table, n.old_key.clone()));
                    }
                }
                'I' => {
                    let key = (n.table, encode(&n.new_key));
                    if self.notes.deleted.contains_key(&key) && !planted::bug("number-is-identity") {
                        self.notes.recycled.insert((n.table, n.new_key.clone()));
                    }
                    self.notes.inserted.insert(key, n.n);
                }
                // A row that an insert replaced under its key is that row, changed.
                _ => {}
            }
        }
        self.lookup.recycled.clone_from(&self.notes.recycled);
        Ok(())
    }

    /// The root keys of the records that a note's row was in and is in.
    pub(super) fn roots_of(&self, n: &Note) -> Result<(Option<HostKey>, Option<HostKey>), Error> {
        let Some(t) = self.mapping.tables.get(n.table) else { return Ok((None, None)) };
        let Some(owner) = t.owner_ref() else {
            let some = |k: &HostKey| (!k.is_empty() && !k.iter().all(Value::is_null)).then(|| k.clone());
            return Ok((some(&n.old_key), some(&n.new_key)));
        };
        let up = |values: &HostKey| -> Result<Option<HostKey>, Error> {
            if values.is_empty() || values.iter().any(Value::is_null) {
                return Ok(None);
            }
            let Some((parent, columns, values)) = owner.leads(self.mapping, values) else { return Ok(None) };
            Ok(climb(self.conn, self.mapping, parent, columns, &values, &|table, by, v| self.gone(table, by, v))?)
        };
        Ok((up(&n.old_owner)?, up(&n.new_owner)?))
    }

    /// What a row that is gone hung from, by the notes of its deletion.
    fn gone(&self, table: usize, by: &[Name], values: &[Value]) -> Option<Vec<Value>> {
        let t = self.mapping.tables.get(table)?;
        if !t.is_key(by) {
            return None;
        }
        let n = self.notes.deleted.get(&(table, encode(values)))?;
        if self.mapping.scan {
            return self.notes.hung.get(n).cloned();
        }
        capture::notes(self.conn, self.mapping, n - 1).ok()?.into_iter().next().map(|n| n.old_owner).filter(|o| !o.is_empty())
    }

    /// Rows that the host asked to delete, as orders by record. Gives how many were read.
    pub(super) fn delete_requests(&mut self, works: &mut Works) -> Result<(), Error> {
        let mut q = self.conn.prepare("SELECT rowid, table_name, key, reason FROM cfs_delete ORDER BY rowid")?;
        let found: Vec<(i64, String, Value, Option<String>)> =
            q.query_map([], |r| Ok((r.get(0)?, r.get::<_, Option<String>>(1)?.unwrap_or_default(), rows::value_of(r.get_ref(2)?), r.get(3)?)))?.collect::<Result<_, _>>()?;
        for (rowid, name, key, reason) in found {
            let Some(table) = self.mapping.table(&name) else {
                self.report.notices.push(format!("cfs_delete names the table \"{name}\", which is not synchronized; the request was left in place"));
                continue;
            };
            let Some((id, row)) = self.find_row(table, &key)? else {
                let there = self.mapping.tables.get(table).map(|t| (t.key_columns(), t)).filter(|(k, _)| k.len() == 1);
                if there.map(|(k, t)| rows::look_up(self.conn, t, k, k, std::slice::from_ref(&key))).transpose()?.flatten().is_some() {
                    // Not sent yet: it has no identity that a tombstone could name. Next time it has.
                    continue;
                }
                self.report.notices.push(format!("cfs_delete asks to delete a row of \"{name}\" that is not known here; the request was dropped"));
                self.conn.execute("DELETE FROM cfs_delete WHERE rowid = ?1", [rowid])?;
                continue;
            };
            let kind = self.mapping.tables.get(table).map(|t| t.kind);
            let work = works.touch(id);
            work.kind = work.kind.or(kind);
            work.dirty = true;
            work.orders.push(Order::Delete { row, why: reason.unwrap_or_default(), by: None, request: Some(rowid) });
        }
        Ok(())
    }

    /// The record and row that the host knows under a key, even if the host has deleted it.
    pub(super) fn find_row(&self, table: usize, key: &Value) -> Result<Option<(RecordId, crate::record::RowKey)>, Error> {
        let Some(t) = self.mapping.tables.get(table) else { return Ok(None) };
        let mut keys: Vec<HostKey> = vec![vec![key.clone()]];
        // A number may have been given as text, and the other way round.
        match key {
            Value::Text(b) => keys.extend(std::str::from_utf8(b).ok().and_then(|s| s.parse().ok()).map(|i| vec![Value::Integer(i)])),
            Value::Integer(i) => keys.push(vec![Value::text(i.to_string())]),
            _ => {}
        }
        for key in keys {
            if t.owner.is_none() {
                if let Some(id) = self.lookup.record_of_root(t.kind, &key)? {
                    return Ok(Some((id, crate::record::RowKey::new(t.name.clone(), id))));
                }
                continue;
            }
            let root = climb(self.conn, self.mapping, table, t.key_columns(), &key, &|table, by, v| self.gone(table, by, v))?;
            let Some(root) = root else { continue };
            let Some(id) = self.lookup.record_of_root(t.kind, &root)? else { continue };
            if let Some(row) = self.state.local(&id)?.and_then(|l| l.find(&t.name, &key).cloned()) {
                return Ok(Some((id, row)));
            }
        }
        Ok(None)
    }
}
