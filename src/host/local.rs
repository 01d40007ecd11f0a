//! Under which keys the host holds a record's rows, and where it holds something else than what is
//! known: one blob for each record.

use crate::host::key::{HostKey, decode, encode, take_bytes, unvarint, varint};
use crate::id::{RowId, Uuid};
use crate::record::RowKey;
use crate::shared::Name;
use crate::value::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A fingerprint of what the host holds in a field.
pub type Print = [u8; 8];

/// Fingerprints values.
pub fn print(values: &[Value]) -> Print {
    let mut h = Sha256::new();
    for v in values {
        let b = v.bytes();
        h.update((b.len() as u64).to_le_bytes());
        h.update(b);
    }
    let d = h.finalize();
    let mut p = [0; 8];
    p.copy_from_slice(&d[..8]);
    p
}

/// Why a known, live row is not in the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// A row it must point to is not here (yet, or any more).
    Waiting,
    /// The host deleted it; a person is to confirm or take it back.
    Deleted,
}

/// One row as the host holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalRow {
    /// Its key here; empty while it is away.
    pub key: HostKey,
    /// Set while it is not in the host.
    pub away: Option<Away>,
    /// Fields where the host holds something else than what is known, by our own doing or a
    /// trigger's: a local number, a reference whose target is not here, a rewritten column.
    pub differs: BTreeMap<Name, Print>,
    /// What fields held before our last apply changed them: a host that puts exactly that back has
    /// saved a stale form.
    pub prior: BTreeMap<Name, Print>,
}

/// All rows of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Local {
    /// By row.
    pub rows: BTreeMap<RowKey, LocalRow>,
}

impl Local {
    /// The row that the host holds under a key.
    pub fn find(&self, table: &str, key: &HostKey) -> Option<&RowKey> {
        self.rows.iter().find(|(k, r)| k.table == table && r.away.is_none() && r.key == *key).map(|(k, _)| k)
    }

    /// As bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![1u8];
        let mut names: Vec<&str> = Vec::new();
        let mut body = Vec::new();
        let mut last = "";
        for (k, r) in &self.rows {
            // Rows come by table: the name is said once.
            if k.table != last || names.is_empty() {
                names.push(&k.table);
                last = &k.table;
            }
            varint(&mut body, names.len() as u64 - 1);
            body.extend(k.id.as_bytes());
            let extra = !r.differs.is_empty() || !r.prior.is_empty();
            body.push(
                match r.away {
                    None => 0,
                    Some(Away::Waiting) => 1,
                    Some(Away::Deleted) => 2,
                } | if extra { 4 } else { 0 },
            );
            let key = encode(&r.key);
            varint(&mut body, key.len() as u64);
            body.extend(key);
            if extra {
                for map in [&r.differs, &r.prior] {
                    varint(&mut body, map.len() as u64);
                    for (name, p) in map {
                        varint(&mut body, name.len() as u64);
                        body.extend(name.as_bytes());
                        body.extend(p);
                    }
                }
            }
        }
        varint(&mut out, names.len() as u64);
        for n in names {
            varint(&mut out, n.len() as u64);
            out.extend(n.as_bytes());
        }
        varint(&mut out, self.rows.len() as u64);
        out.extend(body);
        out
    }

    /// Reads what [`Local::write`] wrote.
    pub fn read(mut b: &[u8]) -> Option<Local> {
        let b = &mut b;
        let (version, rest) = b.split_first()?;
        *b = rest;
        if *version != 1 {
            return None;
        }
        let text = |b: &mut &[u8]| Some(std::str::from_utf8(take_bytes(b)?).ok()?.to_owned());
        let mut names: Vec<Name> = Vec::new();
        for _ in 0..unvarint(b)? {
            names.push(text(b)?.into());
        }
        let mut rows = BTreeMap::new();
        for _ in 0..unvarint(b)? {
            let table = names.get(usize::try_from(unvarint(b)?).ok()?)?.clone();
            let (id, rest) = b.split_first_chunk::<16>()?;
            let (bits, rest) = rest.split_first()?;
            *b = rest;
            let id: RowId = Uuid::from_bytes(*id);
            let away = match bits & 3 {
                0 => None,
                1 => Some(Away::Waiting),
                _ => Some(Away::Deleted),
            };
            let mut row = LocalRow { key: decode(take_bytes(b)?)?, away, ..LocalRow::default() };
            if bits & 4 != 0 {
                for map in [&mut row.differs, &mut row.prior] {
                    for _ in 0..unvarint(b)? {
                        let name = text(b)?;
                        let (p, rest) = b.split_first_chunk::<8>()?;
                        *b = rest;
                        map.insert(Name::of(&name), *p);
                    }
                }
            }
            rows.insert(RowKey { table, id }, row);
        }
        b.is_empty().then_some(Local { rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_state_round_trips() {
        let mut l = Local::default();
        assert_eq!(Local::read(&l.write()), Some(l.clone()));
        for i in 0..3u128 {
            let mut r = LocalRow { key: vec![Value::Integer(i as i64), Value::text("x")], ..LocalRow::default() };
            if i == 1 {
                r.away = Some(Away::Waiting);
                r.differs.insert("file_no".into(), print(&[Value::Integer(4)]));
                r.prior.insert("phone".into(), print(&[Value::Null]));
            }
            l.rows.insert(RowKey::new(if i == 2 { "b" } else { "a" }, Uuid::from_u128(i)), r);
        }
        assert_eq!(Local::read(&l.write()), Some(l.clone()));
        let bytes = l.write();
        (0..bytes.len()).for_each(|n| assert_eq!(Local::read(&bytes[..n]), None));
    }
}
