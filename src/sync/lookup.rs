//! Finding rows of other records: by what the host calls them, and by their identity.

use crate::host::apply::{Content, Found, Targets};
use crate::host::image::Others;
use crate::host::key::{HostKey, encode};
use crate::host::local::Local;
use crate::host::mapping::Mapping;
use crate::host::{self, rows};
use crate::id::{RecordId, RowId, derive};
use crate::merge;
use crate::record::{RowKey, SortedMap};
use crate::shared::{HashMap, HashSet, Name};
use crate::state::{self, Place, State};
use crate::value::{Hash, Large, Reference, Value, hash};
use rusqlite::{Connection, OptionalExtension, Statement};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Looks rows up in the host and in our state. Remembers what cannot change during a sync.
#[derive(Debug)]
pub struct Lookup<'a> {
    /// The host.
    pub conn: &'a Connection,
    /// Our tables.
    pub state: State<'a>,
    /// The mapping.
    pub mapping: &'a Mapping,
    /// Root rows that got an identity in this sync and are not stored yet.
    assigned: RefCell<BTreeMap<usize, HashMap<Box<[u8]>, RecordId>>>,
    taken: RefCell<HashSet<RecordId>>,
    deferred: Cell<bool>,
    /// For a record: records that rows of it came from, by a move in the host.
    pub moved_from: BTreeMap<RecordId, BTreeSet<RecordId>>,
    /// Keys whose row was deleted and that are in use again: what moved under them is not that row.
    pub recycled: BTreeSet<(usize, HostKey)>,
    found: RefCell<HashMap<(usize, Vec<u8>), (RowId, RecordId)>>,
    /// The records in `found` and the rows in `keys`.
    led_to: RefCell<HashSet<RecordId>>,
    keys: RefCell<HashMap<(usize, RowId), HostKey>>,
    numbers: RefCell<HashMap<String, i64>>,
    /// INSERTs by table, each with its columns: to look one up among all statements costs as much as to bind it.
    inserts: RefCell<HashMap<usize, Vec<(Vec<Name>, Statement<'a>)>>>,
    severed: RefCell<BTreeSet<(usize, Vec<u8>)>>,
    /// What the rows are matched on that others are matched on by a reference.
    meant: RefCell<HashMap<(usize, Vec<u8>), Value>>,
    /// Where the rows of other records stand: reading that means reading the whole record.
    locals: RefCell<HashMap<RecordId, Option<Rc<Local>>>>,
}

/// So many records' rows are remembered at a time.
const REMEMBERED: usize = 64;

fn wrap(e: state::Error) -> host::Error {
    host::Error::State(Box::new(e))
}

impl<'a> Lookup<'a> {
    /// A look-up that remembers nothing yet.
    pub fn new(conn: &'a Connection, state: State<'a>, mapping: &'a Mapping) -> Self {
        Lookup {
            conn,
            state,
            mapping,
            assigned: RefCell::default(),
            taken: RefCell::default(),
            deferred: Cell::new(false),
            moved_from: BTreeMap::new(),
            recycled: BTreeSet::new(),
            found: RefCell::default(),
            led_to: RefCell::default(),
            keys: RefCell::default(),
            numbers: RefCell::default(),
            inserts: RefCell::default(),
            severed: RefCell::default(),
            meant: RefCell::default(),
            locals: RefCell::default(),
        }
    }

    /// A transaction began: SQLite checks foreign keys at once until it is told otherwise.
    pub fn new_transaction(&self) {
        self.locals.borrow_mut().clear();
        self.meant.borrow_mut().clear();
        self.deferred.set(false);
    }

    /// What a row of a type's root table with these bytes in its key is matched on, if that was asked before.
    pub(super) fn means(&self, sign: &(usize, Vec<u8>)) -> Option<Value> {
        self.meant.borrow().get(sign).cloned()
    }

    /// Remembers that.
    pub(super) fn meant(&self, sign: (usize, Vec<u8>), value: &Value) {
        let mut all = self.meant.borrow_mut();
        if all.len() >= REMEMBERED * REMEMBERED {
            all.clear();
        }
        all.insert(sign, value.clone());
    }

    /// Has foreign keys checked when the transaction ends, or at once. Gives how it was. Only where it
    /// is needed: SQLite plans every query anew afterwards.
    pub fn defer(&self, on: bool) -> rusqlite::Result<bool> {
        let was = self.deferred.replace(on);
        if was != on {
            self.conn.execute_batch(if on { "PRAGMA defer_foreign_keys = ON" } else { "PRAGMA defer_foreign_keys = OFF" })?;
        }
        Ok(was)
    }

    /// Gives a root row an identity.
    pub fn assign(&self, kind: usize, key: Box<[u8]>, id: RecordId) {
        self.assigned.borrow_mut().entry(kind).or_default().insert(key, id);
        self.taken.borrow_mut().insert(id);
    }

    /// Whether a root row got that identity.
    pub fn is_assigned(&self, id: &RecordId) -> bool {
        self.taken.borrow().contains(id)
    }

    /// The record whose root the host holds under a key.
    pub fn record_of_root(&self, kind: usize, key: &HostKey) -> Result<Option<RecordId>, state::Error> {
        let bytes = encode(key);
        if let Some(id) = self.assigned.borrow().get(&kind).and_then(|a| a.get(bytes.as_slice())) {
            return Ok(Some(*id));
        }
        if self.severed.borrow().contains(&(kind, bytes)) {
            return Ok(None);
        }
        let Some(k) = self.mapping.types.get(kind) else { return Ok(None) };
        self.state.by_root_key(&k.name, key)
    }

    /// The row under this root key is no longer the record it was.
    pub fn sever(&self, kind: usize, key: &HostKey) {
        self.severed.borrow_mut().insert((kind, encode(key)));
        self.found.borrow_mut().clear();
    }

    /// Forgets where a record's rows were found: they may have moved.
    pub fn forget(&self, id: &RecordId) {
        self.forget_rows(id);
        // Most records are none that others were led to: both maps are looked through for those alone.
        if self.led_to.borrow_mut().remove(id) {
            self.found.borrow_mut().retain(|_, (_, r)| r != id);
            self.keys.borrow_mut().retain(|(_, row), _| row != id);
        }
    }

    /// Forgets under which keys the host holds a record's rows: they were stored anew.
    pub fn forget_rows(&self, id: &RecordId) {
        self.locals.borrow_mut().remove(id);
    }

    /// Under which keys the host holds a record's rows.
    fn local(&self, id: &RecordId) -> Result<Option<Rc<Local>>, state::Error> {
        if let Some(known) = self.locals.borrow().get(id) {
            return Ok(known.clone());
        }
        let read = self.state.local(id)?.map(Rc::new);
        let mut locals = self.locals.borrow_mut();
        if locals.len() >= REMEMBERED {
            locals.clear();
        }
        locals.insert(*id, read.clone());
        Ok(read)
    }

    /// Forgets where any row was found.
    pub fn forget_all(&self) {
        self.locals.borrow_mut().clear();
        self.found.borrow_mut().clear();
        self.keys.borrow_mut().clear();
    }

    /// Where a row stands now that its record is the same as another; `None` if it is where it was.
    pub fn follow(&self, record: RecordId, row: &RowKey) -> Result<Option<(RecordId, RowKey)>, state::Error> {
        let (mut at, mut key) = (record, row.clone());
        // Each step leads to a smaller UUID, or back: a few are enough.
        for _ in 0..8 {
            let Some((_, _, flags)) = self.state.root_of(&at)? else { break };
            if flags & state::DELETED == 0 {
                break;
            }
            let Some(stored) = self.state.load(&at)? else { break };
            let moved = stored.known.rows.get(&key).and_then(|r| r.tombstone.as_ref()).and_then(|t| t.moved_to);
            let root = merge::same_target(&stored.known).filter(|_| key == stored.known.root_key()).map(|to| (to, to));
            let Some((to, id)) = root.or(moved) else { break };
            at = to;
            key.id = id;
        }
        Ok((at != record).then_some((at, key)))
    }

    /// Forgets the numbers given so far. Whether there were any.
    pub fn forget_numbers(&self) -> bool {
        let mut numbers = self.numbers.borrow_mut();
        let any = !numbers.is_empty();
        numbers.clear();
        any
    }

    /// The content of a large value, from our own table or a row of the host.
    pub fn content(&self, hash: &Hash) -> Result<Option<Vec<u8>>, state::Error> {
        let kept = self.conn.prepare_cached("SELECT bytes FROM cfs_bytes WHERE sha256 = ?1")?.query_row([hash], |r| r.get(0)).optional()?;
        if kept.is_some() {
            return Ok(kept);
        }
        self.in_host(hash)
    }

    /// The content of a large value from a row of the host.
    pub fn host_content(&self, (hash, size_bytes): Large) -> Result<Option<Vec<u8>>, state::Error> {
        Ok(self.in_host(&hash)?.filter(|b| b.len() as u64 == size_bytes))
    }

    fn in_host(&self, wanted: &Hash) -> Result<Option<Vec<u8>>, state::Error> {
        for (id, _) in self.state.users(wanted)?.into_iter().filter(|(_, p)| *p == Place::Host) {
            let Some(stored) = self.state.load(&id)? else { continue };
            for (row, field) in stored.known.large().into_iter().filter(|((h, _), _)| h == wanted).flat_map(|(_, places)| places) {
                let Some(t) = self.mapping.table(&row.table).and_then(|t| self.mapping.tables.get(t)).filter(|t| t.column(&field.name).is_some()) else { continue };
                let Some(at) = stored.local.rows.get(row).filter(|l| l.away.is_none()) else { continue };
                if let Some(b) = rows::content(self.conn, t, &field.name, &at.key)?.filter(|b| hash(b) == *wanted) {
                    return Ok(Some(b));
                }
            }
            if let Some(b) = self.in_moved_rows(wanted, &stored)? {
                return Ok(Some(b));
            }
        }
        Ok(None)
    }

    /// VACUUM numbers the rows of tables without a key anew, and no trigger tells: the record's rows
    /// are looked through.
    fn in_moved_rows(&self, wanted: &Hash, stored: &state::Stored) -> Result<Option<Vec<u8>>, state::Error> {
        let (Some(kind), Some(root)) = (self.mapping.kind(&stored.known.kind), &stored.root_key) else { return Ok(None) };
        if !self.mapping.tables.iter().any(|t| t.kind == kind && t.renumbered()) {
            return Ok(None);
        }
        for (table, rows) in rows::of_one(self.conn, self.mapping, kind, root)? {
            let Some(t) = self.mapping.tables.get(table).filter(|t| t.renumbered()) else { continue };
            for row in rows {
                let at = row.values.iter().position(|v| v.stored().is_some_and(|(h, _)| h == *wanted));
                if let Some(c) = at.and_then(|i| t.columns.get(i)) {
                    return Ok(rows::content(self.conn, t, &c.name, &row.key)?.filter(|b| hash(b) == *wanted));
                }
            }
        }
        Ok(None)
    }

    /// For one record's image.
    pub fn of(&self, id: RecordId) -> Of<'_, 'a> {
        Of { lookup: self, id }
    }

    fn is_key(&self, table: usize, columns: &[Name]) -> bool {
        self.mapping.tables.get(table).is_some_and(|t| t.is_key(columns))
    }
}

/// Look-ups on behalf of one record.
#[derive(Debug)]
pub struct Of<'l, 'a> {
    lookup: &'l Lookup<'a>,
    id: RecordId,
}

impl Others for Of<'_, '_> {
    fn spelled(&mut self, table: usize, columns: &[Name], values: &[Value]) -> Result<Option<Vec<Value>>, host::Error> {
        let l = self.lookup;
        let Some(t) = l.mapping.tables.get(table) else { return Ok(None) };
        Ok(rows::look_up(l.conn, t, columns, columns, values)?)
    }

    fn row_of(&mut self, table: usize, columns: &[Name], values: &[Value]) -> Result<Option<(RowId, RecordId)>, host::Error> {
        let l = self.lookup;
        let mut sign = encode(values);
        if !l.is_key(table, columns) {
            columns.iter().for_each(|c| sign.extend(c.to_ascii_lowercase().bytes()));
        }
        if let Some(hit) = l.found.borrow().get(&(table, sign.clone())) {
            return Ok(Some(*hit));
        }
        let Some(t) = l.mapping.tables.get(table) else { return Ok(None) };
        let key = if l.is_key(table, columns) {
            values.to_vec()
        } else {
            match rows::look_up(l.conn, t, t.key_columns(), columns, values)? {
                Some(k) => k,
                None => return Ok(None),
            }
        };
        let Some(root) = rows::climb(l.conn, l.mapping, table, t.key_columns(), &key, &|_, _, _| None)? else { return Ok(None) };
        let Some(record) = l.record_of_root(t.kind, &root).map_err(wrap)? else { return Ok(None) };
        let row = if t.owner.is_none() { Some(record) } else { l.local(&record).map_err(wrap)?.and_then(|loc| loc.find(&t.name, &key).map(|k| k.id)) };
        let row = match row {
            // It moved there in this sync, and that record may not be stored yet.
            None => l.of(record).moved_here(table, &key)?,
            found => found,
        };
        let Some(row) = row else { return Ok(None) };
        l.found.borrow_mut().insert((table, sign), (row, record));
        l.led_to.borrow_mut().insert(record);
        Ok(Some((row, record)))
    }

    fn moved_here(&mut self, table: usize, key: &HostKey) -> Result<Option<RowId>, host::Error> {
        let l = self.lookup;
        let Some(from) = l.moved_from.get(&self.id) else { return Ok(None) };
        let Some(t) = l.mapping.tables.get(table).filter(|_| !l.recycled.contains(&(table, key.clone()))) else { return Ok(None) };
        for from in from {
            let old = l.local(from).map_err(wrap)?.and_then(|loc| loc.find(&t.name, key).map(|k| k.id));
            if let Some(old) = old {
                return Ok(Some(moved_id(&old, &self.id)));
            }
        }
        Ok(None)
    }
}

/// The identity of a row that moved: derived from the old one and the new record, so that two sites
/// that make the same move make the same row.
pub fn moved_id(old: &RowId, to: &RecordId) -> RowId {
    derive(b"moved", &[old.as_bytes(), to.as_bytes()])
}

impl Of<'_, '_> {
    /// The host's key of a row of another record.
    fn key_of(&self, t: &crate::host::mapping::Table, table: usize, record: RecordId, row: RowId) -> Result<Option<HostKey>, host::Error> {
        let l = self.lookup;
        let hit = l.keys.borrow().get(&(table, row)).cloned();
        let key = match hit {
            Some(k) => Some(k),
            None if t.owner.is_none() => l.state.root_of(&row).map_err(wrap)?.and_then(|(_, key, flags)| key.filter(|_| flags & state::DELETED == 0)),
            None => l.local(&record).map_err(wrap)?.and_then(|loc| loc.rows.get(&RowKey::new(t.name.clone(), row)).filter(|r| r.away.is_none()).map(|r| r.key.clone())),
        };
        if let Some(key) = key.as_ref().filter(|_| l.mapping.types.get(t.kind).is_some_and(|k| k.shared)) {
            l.keys.borrow_mut().insert((table, row), key.clone());
            l.led_to.borrow_mut().insert(row);
        }
        Ok(key)
    }
}

impl Targets for Of<'_, '_> {
    fn values_of(&mut self, table: usize, to: &Reference, columns: &[Name]) -> Result<Found, host::Error> {
        let l = self.lookup;
        let record = to.record.unwrap_or(to.row);
        let Some(t) = l.mapping.tables.get(table) else { return Ok(Found::NotHere(record)) };
        let (mut at, mut instead) = (record, false);
        let mut key = self.key_of(t, table, record, to.row)?;
        if key.is_none()
            && let Some((there, row)) = l.follow(record, &RowKey::new(t.name.clone(), to.row)).map_err(wrap)?
        {
            (at, instead) = (there, true);
            key = self.key_of(t, table, there, row.id)?;
        }
        let Some(key) = key else { return Ok(Found::NotHere(at)) };
        let values = if l.is_key(table, columns) { Some(key) } else { rows::look_up(l.conn, t, columns, t.key_columns(), &key)? };
        Ok(match values {
            None => Found::NotHere(at),
            Some(v) if instead => Found::Instead(v),
            Some(v) => Found::Values(v),
        })
    }

    fn content_of(&mut self, large: Large) -> Result<Content, host::Error> {
        let state = self.lookup.state;
        if !state.has_bytes(large).map_err(wrap)? {
            return Ok(Content::Awaited);
        }
        let waited = state.place_of(&self.id, large).map_err(wrap)? == Some(Place::Awaited);
        Ok(if waited { Content::Came } else { Content::Here })
    }

    fn defer(&mut self, on: bool) -> Result<bool, host::Error> {
        Ok(self.lookup.defer(on)?)
    }

    fn content(&mut self, large: Large) -> Result<Option<Vec<u8>>, host::Error> {
        self.lookup.state.bytes(large).map_err(wrap)
    }

    fn highest(&mut self, sql: &str) -> Result<i64, host::Error> {
        if let Some(n) = self.lookup.numbers.borrow().get(sql) {
            return Ok(*n);
        }
        Ok(self.lookup.conn.prepare_cached(sql)?.query_row([], |r| r.get::<_, Option<i64>>(0))?.unwrap_or(0))
    }

    fn insert(&mut self, table: usize, row: &SortedMap<Name, Value>, make: &dyn Fn() -> String) -> Result<usize, host::Error> {
        let mut all = self.lookup.inserts.borrow_mut();
        let of_table = all.entry(table).or_default();
        let at = match of_table.iter().position(|(names, _)| names.iter().eq(row.keys())) {
            Some(at) => at,
            None => {
                // Rows of a table have one set of columns, or a few.
                if of_table.len() >= REMEMBERED {
                    of_table.clear();
                }
                of_table.push((row.keys().cloned().collect(), self.lookup.conn.prepare(&make())?));
                of_table.len() - 1
            }
        };
        let Some((_, statement)) = of_table.get_mut(at) else { return Ok(0) };
        Ok(statement.execute(rusqlite::params_from_iter(row.values().map(rows::Param)))?)
    }

    fn used(&mut self, sql: &str, number: Option<i64>) {
        let mut numbers = self.lookup.numbers.borrow_mut();
        match number {
            Some(n) => numbers.insert(sql.to_owned(), n),
            None => numbers.remove(sql),
        };
    }
}
