//! Who is who: which record a root row of the host is.

use super::settle::Work;
use super::{Engine, Error};
use crate::host::image::looks_like_uuid;
use crate::host::key::{HostKey, encode};
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

/// Root rows of the host that are no record yet.
#[derive(Debug, Default)]
pub(super) struct NewRoots {
    /// By type and the bytes of their key.
    keys: BTreeMap<(usize, Vec<u8>), NewRoot>,
    /// By what they match on.
    hashes: HashMap<(usize, [u8; 16]), Vec<Vec<u8>>>,
    /// By the identity that their key gives them.
    by_key: HashMap<RecordId, (usize, HostKey)>,
}

/// A root row of the host that is no record yet.
#[derive(Debug, Clone)]
pub(super) struct NewRoot {
    /// Its key.
    pub(super) key: HostKey,
    /// The values of the columns of each matching set, then those of the columns that must agree.
    pub(super) values: Vec<Value>,
}

impl NewRoots {
    /// Takes one out.
    fn remove(&mut self, kind: usize, bytes: &[u8]) -> Option<HostKey> {
        self.keys.remove(&(kind, bytes.to_vec())).map(|r| r.key)
    }

    /// Those of a type, in the order in which the host keeps them, so that many can be read at once.
    pub(super) fn of(&self, kind: usize) -> Vec<HostKey> {
        let mut keys: Vec<HostKey> = self.keys.range((kind, Vec::new())..(kind.saturating_add(1), Vec::new())).map(|(_, r)| r.key.clone()).collect();
        keys.sort_by(|a, b| match (a.as_slice(), b.as_slice()) {
            ([Value::Integer(x)], [Value::Integer(y)]) => x.cmp(y),
            ([Value::Text(x)], [Value::Text(y)]) => x.cmp(y),
            _ => encode(a).cmp(&encode(b)),
        });
        keys
    }

    /// Lets go of what only those need that are no record yet, once there are none.
    pub(super) fn settle(&mut self) {
        if self.keys.is_empty() {
            *self = NewRoots::default();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
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

/// The values of the columns that must agree.
fn checks<'v>(k: &RecordType, values: &'v [Value]) -> &'v [Value] {
    values.get(k.match_on.iter().map(Vec::len).sum()..).unwrap_or_default()
}

fn hash16(kind: &str, set: usize, values: &[Value]) -> [u8; 16] {
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
    pub(super) fn add_root(&mut self, kind: usize, mut new: NewRoot) {
        new.values = new.values.into_iter().map(Value::known).collect();
        let Some(k) = self.mapping.types.get(kind) else { return };
        let bytes = encode(&new.key);
        for (set, values) in sets(k, &new.values).enumerate() {
            if let Some(v) = values {
                self.roots.hashes.entry((kind, hash16(&k.name, set, v))).or_default().push(bytes.clone());
            }
        }
        if let Some(id) = self.derived_by_key(kind, &new.key) {
            self.roots.by_key.insert(id, (kind, new.key.clone()));
        }
        self.roots.keys.insert((kind, bytes), new);
    }

    /// What a host root row is matched on.
    fn root_values(&self, kind: usize, key: &HostKey) -> Result<Vec<Value>, Error> {
        if let Some(r) = self.roots.keys.get(&(kind, encode(key))) {
            return Ok(r.values.clone());
        }
        let values = rows::root_values(self.conn, self.mapping, kind, key)?.unwrap_or_default();
        Ok(values.into_iter().map(Value::known).collect())
    }

    /// The matching hashes of a known record.
    pub(super) fn match_hashes(&self, kind: usize, known: &Record) -> Vec<[u8; 16]> {
        let Some(k) = self.mapping.types.get(kind) else { return Vec::new() };
        let values = |set: &Vec<Name>| set.iter().map(|c| k.matched(known, c).cloned().filter(|v| !v.is_null())).collect::<Option<Vec<Value>>>();
        k.match_on.iter().enumerate().filter_map(|(n, set)| Some(hash16(&k.name, n, &values(set)?))).collect()
    }

    /// Whether the columns that must agree do agree between a host root row and a known record.
    fn agrees(&self, kind: usize, key: &HostKey, known: &Record) -> Result<bool, Error> {
        let (Some(k), true) = (self.mapping.types.get(kind), known.root().is_some()) else { return Ok(false) };
        let values = self.root_values(kind, key)?;
        Ok(k.match_check.iter().zip(checks(k, &values)).all(|(c, v)| k.matched(known, c).is_none_or(|there| same_enough(there, v))))
    }

    /// Whether the row under a root key that was deleted in between is the same person: equal in what
    /// it is matched on, or in everything.
    pub(super) fn same_root(&self, kind: usize, key: &HostKey, known: &Record) -> Result<bool, Error> {
        let (Some(k), Some(root), Some(row)) = (self.mapping.types.get(kind), self.mapping.root(kind), known.root()) else { return Ok(false) };
        let found = self.root_values(kind, key)?;
        for (set, values) in k.match_on.iter().zip(sets(k, &found)) {
            let Some(values) = values else { continue };
            if set.iter().zip(values).all(|(c, v)| k.matched(known, c) == Some(v)) {
                return self.agrees(kind, key, known);
            }
            if set.iter().zip(values).any(|(c, v)| k.matched(known, c).is_some_and(|w| !w.is_null() && w != v)) {
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
        for h in self.match_hashes(kind, known) {
            for bytes in self.roots.hashes.get(&(kind, h)).cloned().unwrap_or_default() {
                if let Some(r) = self.roots.keys.get(&(kind, bytes))
                    && !candidates.contains(&r.key)
                {
                    candidates.push(r.key.clone());
                }
            }
        }
        if candidates.is_empty() {
            // A key that is a UUID says by itself who the row is.
            let found = self.roots.by_key.get(&work.id).filter(|(k, key)| *k == kind && self.roots.keys.contains_key(&(kind, encode(key))));
            candidates.extend(found.map(|(_, key)| key.clone()));
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
        self.lookup.assign(kind, bytes, work.id);
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
    pub(super) fn identify(&mut self, kind: usize, key: &HostKey) -> Result<RecordId, Error> {
        let bytes = encode(key);
        let name = self.mapping.types.get(kind).map_or_else(Name::default, |k| k.name.clone());
        if let Some(id) = self.derived_by_key(kind, key)
            && self.state.root_of(&id)?.is_none_or(|(_, at, flags)| at.is_none() && flags & state::DELETED == 0)
        {
            return Ok(self.assign(kind, bytes, id));
        }
        let values = self.root_values(kind, key)?;
        let Some(k) = self.mapping.types.get(kind) else { return Ok(self.env.random.uuid()) };
        let doubt = self.doubts.get(&(kind, bytes.clone())).copied();
        let mut derived = None;
        for (n, set) in sets(k, &values).enumerate() {
            let Some(set) = set else { continue };
            let known = if self.unmatched { Vec::new() } else { self.state.matching(&name, &hash16(&name, n, set))? };
            for id in known {
                let Some(there) = self.state.load(&id)? else { continue };
                if there.flags & state::DELETED != 0 {
                    continue;
                }
                if there.root_key.is_some() && there.flags & state::HELD == 0 {
                    continue;
                }
                if self.agrees(kind, key, &there.known)? {
                    return Ok(self.assign(kind, bytes, id));
                }
                derived = Some(None);
            }
            if derived.is_none() {
                derived = Some(Some(self.derived_by_match(&name, n, set, checks(k, &values))));
            }
        }
        if doubt.is_some() {
            derived = None;
        }
        if let Some(Some(id)) = derived {
            let taken = self.state.number(&id)?.is_some() || self.incoming.contains(&id) || self.lookup.is_assigned(&id);
            if !taken || planted::bug("identity-given-twice") {
                return Ok(self.assign(kind, bytes, id));
            }
        }
        let id = self.env.random.uuid();
        Ok(self.assign(kind, bytes, id))
    }

    fn assign(&mut self, kind: usize, bytes: Vec<u8>, id: RecordId) -> RecordId {
        self.roots.remove(kind, &bytes);
        self.lookup.assign(kind, bytes, id);
        id
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
