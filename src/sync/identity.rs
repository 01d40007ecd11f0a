//! Who is who: which record a root row of the host is.

use super::ahead::Root;
use super::work::Work;
use super::{Engine, Error};
use crate::host::image::looks_like_uuid;
use crate::host::key::{self, HostKey, encode};
use crate::host::mapping::{RecordType, Table};
use crate::host::rows;
use crate::id::{RecordId, RowId, derive};
use crate::planted;
use crate::record::{Record, RowKey};
use crate::shared::{HashMap, Name};
use crate::state;
use crate::value::Value;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Root rows of the host that are no record yet, by the bytes of their keys. Before a first synchronization that is every
/// patient there is: what their columns say is read again when it is asked for.
#[derive(Debug, Default)]
pub(super) struct NewRoots {
    kinds: BTreeMap<usize, OfKind>,
}

#[derive(Debug, Default)]
struct OfKind {
    /// With the identity that the first set of columns gives them in which nothing is missing.
    keys: HashMap<Box<[u8]>, Option<RecordId>>,
    /// By what they match on.
    hashes: HashMap<[u8; 16], Keys>,
    /// By the identity that their key gives them.
    by_key: HashMap<RecordId, Box<[u8]>>,
}

/// Nearly always one: the second to match on the same is somebody entered twice.
#[derive(Debug)]
enum Keys {
    One(Box<[u8]>),
    Many(Vec<Box<[u8]>>),
}

impl Keys {
    fn all(&self) -> &[Box<[u8]>] {
        match self {
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Many(keys) => keys,
        }
    }

    fn add(&mut self, key: &[u8]) {
        if !self.all().iter().any(|k| **k == *key) {
            let all = self.all().iter().cloned().chain([key.into()]);
            *self = Keys::Many(all.collect());
        }
    }
}

impl NewRoots {
    /// Takes one out.
    fn remove(&mut self, kind: usize, bytes: &[u8]) {
        if let Some(of) = self.kinds.get_mut(&kind) {
            of.keys.remove(bytes);
        }
    }

    fn get(&self, kind: usize, bytes: &[u8]) -> Option<&Option<RecordId>> {
        self.kinds.get(&kind)?.keys.get(bytes)
    }

    /// Those of a type, in the order in which the host keeps them, so that many can be read at once.
    pub(super) fn of(&self, kind: usize) -> Vec<Box<[u8]>> {
        let mut keys: Vec<(Option<i64>, Box<[u8]>)> = Vec::new();
        if let Some(of) = self.kinds.get(&kind) {
            keys.extend(of.keys.keys().map(|k| (key::integer(k), k.clone())));
        }
        keys.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| key::text(x).cmp(&key::text(y))).then_with(|| x.cmp(y)));
        keys.into_iter().map(|(_, k)| k).collect()
    }

    /// Lets go of what only those need that are no record yet, once there are none.
    pub(super) fn settle(&mut self) {
        if self.len() == 0 {
            *self = NewRoots::default();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kinds.values().map(|of| of.keys.len()).sum()
    }
}

/// The values of each matching set; `None` for a set with a NULL in it.
fn sets<'v>(k: &RecordType, mut values: &'v [Value]) -> impl Iterator<Item = Option<&'v [Value]>> {
    k.match_on.iter().map(move |set| {
        let (these, rest) = values.split_at_checked(set.len())?;
        values = rest;
        (!these.iter().any(Value::is_null)).then_some(these)
    })
}

/// The first matching set without a NULL in it, and its number.
pub(super) fn first_set<'v>(k: &RecordType, values: &'v [Value]) -> Option<(usize, &'v [Value])> {
    sets(k, values).enumerate().find_map(|(n, set)| Some((n, set?)))
}

/// The values of the columns that must agree.
fn checks<'v>(k: &RecordType, values: &'v [Value]) -> &'v [Value] {
    values.get(k.match_on.iter().map(Vec::len).sum()..).unwrap_or_default()
}

pub(super) fn hash16(kind: &str, set: usize, values: &[Value]) -> [u8; 16] {
    let parts: Vec<Vec<u8>> = values.iter().map(Value::bytes).collect();
    let n = set.to_string();
    let mut all: Vec<&[u8]> = vec![kind.as_bytes(), n.as_bytes()];
    all.extend(parts.iter().map(Vec::as_slice));
    *derive(b"match", &all).as_bytes()
}

/// Values of a root row as they are known, to be compared with a record's.
fn look_up_known(conn: &Connection, root: &Table, want: &[Name], by: &[Name], key: &[Value]) -> rusqlite::Result<Option<Vec<Value>>> {
    Ok(rows::look_up(conn, root, want, by, key)?.map(|v| v.into_iter().map(Value::known).collect()))
}

impl Engine<'_> {
    /// Notes a root row of the host that is no record yet.
    pub(super) fn add_root(&mut self, kind: usize, key: &HostKey, values: Vec<Value>) -> Result<(), Error> {
        let values = self.deepened(kind, values)?;
        let Some(k) = self.mapping.types.get(kind) else { return Ok(()) };
        let bytes = encode(key).into_boxed_slice();
        let by_key = self.derived_by_key(kind, key);
        let derived = first_set(k, &values).map(|(n, set)| self.derived_by_match(&k.name, n, set, checks(k, &values)));
        let of = self.roots.kinds.entry(kind).or_default();
        for (set, values) in sets(k, &values).enumerate() {
            if let Some(v) = values {
                of.hashes.entry(hash16(&k.name, set, v)).and_modify(|all| all.add(&bytes)).or_insert_with(|| Keys::One(bytes.clone()));
            }
        }
        if let Some(id) = by_key {
            of.by_key.insert(id, bytes.clone());
        }
        of.keys.insert(bytes, derived);
        Ok(())
    }

    /// What a host root row is matched on.
    fn root_values(&self, kind: usize, key: &HostKey) -> Result<Vec<Value>, Error> {
        self.deepened(kind, rows::root_values(self.conn, self.mapping, kind, key)?.unwrap_or_default())
    }

    /// The matching hashes of a known record.
    pub(super) fn match_hashes(&self, kind: usize, known: &Record) -> Result<Vec<[u8; 16]>, Error> {
        let Some(k) = self.mapping.types.get(kind) else { return Ok(Vec::new()) };
        let mut out = Vec::with_capacity(k.match_on.len());
        for (n, set) in k.match_on.iter().enumerate() {
            let values = set.iter().map(|c| Ok(self.known_match(k, known, c)?.filter(|v| !v.is_null()))).collect::<Result<Option<Vec<Value>>, Error>>()?;
            out.extend(values.map(|v| hash16(&k.name, n, &v)));
        }
        Ok(out)
    }

    /// Whether the columns that must agree do agree between a host root row and a known record.
    fn agrees(&self, kind: usize, key: &HostKey, known: &Record) -> Result<bool, Error> {
        let (Some(k), true) = (self.mapping.types.get(kind), known.root().is_some()) else { return Ok(false) };
        let values = self.root_values(kind, key)?;
        for (c, v) in k.match_check.iter().zip(checks(k, &values)) {
            if self.known_match(k, known, c)?.is_some_and(|there| !same_enough(&there, v)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the row under a root key that was deleted in between is the same person: equal in what
    /// it is matched on, or in everything.
    pub(super) fn same_root(&self, kind: usize, key: &HostKey, known: &Record) -> Result<bool, Error> {
        let (Some(k), Some(root), Some(row)) = (self.mapping.types.get(kind), self.mapping.root(kind), known.root()) else { return Ok(false) };
        let found = self.root_values(kind, key)?;
        for (set, values) in k.match_on.iter().zip(sets(k, &found)) {
            let Some(values) = values else { continue };
            let had = set.iter().map(|c| self.known_match(k, known, c)).collect::<Result<Vec<_>, _>>()?;
            if had.iter().zip(values).all(|(had, v)| had.as_ref() == Some(v)) {
                return self.agrees(kind, key, known);
            }
            if had.iter().zip(values).any(|(had, v)| had.as_ref().is_some_and(|w| !w.is_null() && w != v)) {
                // Somebody else, whatever the rest says.
                return Ok(false);
            }
        }
        let columns: Vec<Name> = root.columns.iter().filter(|c| c.role == crate::host::mapping::Role::Data && c.rule == Default::default()).map(|c| c.name.clone()).collect();
        let here = look_up_known(self.conn, root, &columns, root.key_columns(), key)?.unwrap_or_default();
        // A row that says nothing is nobody in particular.
        Ok(here.iter().any(|v| !v.is_null()) && columns.iter().zip(&here).all(|(c, v)| row.get(c).unwrap_or(&Value::Null) == v))
    }

    /// A record that came from elsewhere for the first time: the host may have had that person or
    /// doctor all along.
    pub(super) fn meet(&mut self, work: &mut Work, known: &Record) -> Result<(), Error> {
        let Some(kind) = work.kind else { return Ok(()) };
        if work.root.is_some() || known.root().is_none_or(|r| r.tombstone.is_some()) {
            return Ok(());
        }
        let mut candidates: Vec<HostKey> = Vec::new();
        for h in self.match_hashes(kind, known)? {
            let new = self.roots.kinds.get(&kind).and_then(|of| Some((of, of.hashes.get(&h)?)));
            let keys = new.into_iter().flat_map(|(of, keys)| keys.all().iter().filter(|k| of.keys.contains_key(*k)));
            for key in keys.filter_map(|k| key::decode(k)) {
                if !candidates.contains(&key) {
                    candidates.push(key);
                }
            }
        }
        if candidates.is_empty() {
            // A key that is a UUID says by itself who the row is.
            let of = self.roots.kinds.get(&kind);
            let found = of.and_then(|of| of.by_key.get(&work.id).filter(|k| of.keys.contains_key(*k)));
            candidates.extend(found.and_then(|k| key::decode(k)));
        }
        let [key] = candidates.as_slice() else {
            return Ok(());
        };
        let key = key.clone();
        if !self.agrees(kind, &key, known)? {
            self.doubts.insert((kind, encode(&key)), work.id);
            return Ok(());
        }
        self.bind(work, kind, key);
        Ok(())
    }

    fn bind(&mut self, work: &mut Work, kind: usize, key: HostKey) {
        let bytes = encode(&key);
        self.roots.remove(kind, &bytes);
        self.lookup.assign(kind, bytes.into(), work.id);
        work.root = Some(key);
        work.dirty = true;
    }

    fn derived_by_key(&self, kind: usize, key: &HostKey) -> Option<RecordId> {
        let root = self.mapping.root(kind)?;
        if !root.derived || root.surrogate || key.is_empty() || !key.iter().all(looks_like_uuid) {
            return None;
        }
        let mut parts: Vec<Vec<u8>> = vec![root.name.as_bytes().to_vec()];
        parts.extend(key.iter().map(|v| if let Value::Text(b) | Value::Blob(b) = v { b.to_ascii_lowercase() } else { Vec::new() }));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Some(derive(&self.manifest.key, &parts))
    }

    /// Gives a host root row that nothing that came turned out to be its identity: a known record
    /// that this host does not hold yet, a derived one, or a random one.
    fn identify(&mut self, kind: usize, bytes: &[u8]) -> Result<RecordId, Error> {
        let (Some(k), Some(key)) = (self.mapping.types.get(kind), key::decode(bytes)) else { return Ok(self.env.random.uuid()) };
        let id = match self.identity(kind, k, &key, bytes)? {
            Some(id) => id,
            None => self.env.random.uuid(),
        };
        self.roots.remove(kind, bytes);
        self.lookup.assign(kind, bytes.into(), id);
        Ok(id)
    }

    /// The identity of a host root row; `None` for one that nobody else can give it.
    fn identity(&mut self, kind: usize, k: &RecordType, key: &HostKey, bytes: &[u8]) -> Result<Option<RecordId>, Error> {
        if let Some(id) = self.derived_by_key(kind, key)
            && self.state.root_of(&id)?.is_none_or(|(_, at, flags)| at.is_none() && flags & state::DELETED == 0)
        {
            return Ok(Some(id));
        }
        let free = |e: &Self, id: RecordId| -> Result<Option<RecordId>, Error> {
            let taken = e.state.number(&id)?.is_some() || e.incoming.contains(&id) || e.lookup.is_assigned(&id);
            Ok((!taken || planted::bug("identity-given-twice")).then_some(id))
        };
        let doubt = self.doubts.contains_key(&(kind, bytes.to_vec()));
        if let Some(derived) = self.roots.get(kind, bytes).copied().filter(|_| self.unmatched && !doubt) {
            return derived.map_or(Ok(None), |id| free(self, id));
        }
        let values = self.root_values(kind, key)?;
        let mut derived = None;
        for (n, set) in sets(k, &values).enumerate() {
            let Some(set) = set else { continue };
            for id in if self.unmatched { Vec::new() } else { self.state.matching(&k.name, &hash16(&k.name, n, set))? } {
                let Some(there) = self.state.load(&id)? else { continue };
                if there.flags & state::DELETED != 0 {
                    continue;
                }
                let held = there.root_key.as_ref().filter(|_| there.flags & state::HELD == 0);
                if let Some(at) = held
                    && !self.is_gone(kind, at)?
                {
                    continue;
                }
                if self.agrees(kind, key, &there.known)? {
                    if let Some(at) = held {
                        // Deleted, and entered anew under another number.
                        self.lookup.sever(kind, at);
                        self.severed.insert(id);
                    }
                    return Ok(Some(id));
                }
                derived = Some(None);
            }
            if derived.is_none() {
                derived = Some(Some(self.derived_by_match(&k.name, n, set, checks(k, &values))));
            }
        }
        match derived.flatten().filter(|_| !doubt) {
            Some(id) => free(self, id),
            None => Ok(None),
        }
    }

    /// Whether the host no longer has a root row.
    fn is_gone(&self, kind: usize, key: &HostKey) -> Result<bool, Error> {
        let Some(t) = self.mapping.root(kind) else { return Ok(false) };
        Ok(rows::look_up(self.conn, t, t.key_columns(), t.key_columns(), key)?.is_none())
    }

    /// Gives new root rows their identities. A row that is one of these records, entered anew, is that record's from now on.
    pub(super) fn identify_all(&mut self, kind: usize, list: &mut [Work]) -> Result<Vec<Root>, Error> {
        let mut new = Vec::new();
        for key in self.roots.of(kind) {
            let id = self.identify(kind, &key)?;
            let anew = if self.severed.contains(&id) { list.iter_mut().find(|w| w.id == id) } else { None };
            match anew {
                Some(work) => (work.root, work.dirty) = (key::decode(&key), true),
                None => new.push((key, id)),
            }
        }
        Ok(new)
    }

    /// The identity that what a row matches on gives it, together with what must agree: two sites
    /// that export the same doctor at the same time give the same UUID (decision 0004).
    fn derived_by_match(&self, name: &str, set: usize, values: &[Value], check: &[Value]) -> RecordId {
        let mut parts: Vec<Vec<u8>> = vec![name.as_bytes().to_vec(), set.to_string().into_bytes()];
        parts.extend(values.iter().map(Value::bytes));
        parts.extend(check.iter().map(folded));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        derive(&self.manifest.key, &parts)
    }

    /// Where a vanished row of a record stands now: the other record it moved to.
    pub(super) fn moved_to(&mut self, from: RecordId, table: usize, key: &HostKey, row: &RowKey) -> Result<Option<(RecordId, RowId)>, Error> {
        let Some(to) = self.notes.moves.get(&from).cloned() else { return Ok(None) };
        if self.notes.recycled.contains(&(table, key.clone())) {
            // What moved is the row that has its number now.
            return Ok(None);
        }
        let Some(t) = self.mapping.tables.get(table) else { return Ok(None) };
        let Some(root) = crate::host::rows::climb(self.conn, self.mapping, table, t.key_columns(), key, &|_, _, _| None)? else { return Ok(None) };
        let Some(record) = self.lookup.record_of_root(t.kind, &root)? else { return Ok(None) };
        Ok((record != from && to.contains(&record)).then(|| (record, super::lookup::moved_id(&row.id, &record))))
    }
}

/// Names and dates agree whatever their letters' case and blanks around them.
pub(super) fn same_enough(a: &Value, b: &Value) -> bool {
    folded(a) == folded(b)
}

fn folded(v: &Value) -> Vec<u8> {
    match v {
        Value::Text(t) => String::from_utf8_lossy(t).trim().to_lowercase().into_bytes(),
        v => v.bytes(),
    }
}
