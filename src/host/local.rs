//! Under which keys the host holds a record's rows, and where it holds something else than what is
//! known: one blob for each record.

use crate::host::key::{HostKey, decode, encode, take_bytes, unvarint, unzigzag, varint, zigzag};
use crate::id::RowId;
use crate::record::{Record, RowKey};
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

    /// As bytes. Rows of the record go by their order in it, which says their table and id; others,
    /// the host's own, follow by name.
    pub fn write(&self, known: &Record) -> Vec<u8> {
        let mut out = vec![VERSION];
        if self.rows.is_empty() {
            return out;
        }
        let mut last = Last::default();
        for k in known.rows.keys() {
            match self.rows.get(k) {
                Some(r) => write_row(&mut out, r, last.of(&k.table)),
                None => out.push(ABSENT),
            }
        }
        for (k, r) in self.rows.iter().filter(|(k, _)| !known.rows.contains_key(*k)) {
            varint(&mut out, k.table.len() as u64);
            out.extend(k.table.as_bytes());
            out.extend(k.id.as_bytes());
            write_row(&mut out, r, &mut Vec::new());
        }
        out
    }

    /// Reads what [`Local::write`] wrote about the same record.
    pub fn read(mut b: &[u8], known: &Record) -> Option<Local> {
        let b = &mut b;
        let (version, rest) = b.split_first()?;
        *b = rest;
        match *version {
            1 => return read_layout_1(b),
            // Layout 2 wrote each key whole.
            2 | VERSION => {}
            _ => return None,
        }
        let (mut rows, mut last) = (BTreeMap::new(), Last::default());
        if b.is_empty() {
            return Some(Local { rows });
        }
        for k in known.rows.keys() {
            if let Some(r) = read_row(b, last.of(&k.table))? {
                rows.insert(k.clone(), r);
            }
        }
        while !b.is_empty() {
            let (table, id) = (text(b)?, row_id(b)?);
            rows.insert(RowKey { table, id }, read_row(b, &mut Vec::new())??);
        }
        Some(Local { rows })
    }
}

/// The layout of these bytes.
const VERSION: u8 = 3;
/// Stands for a row of the record that the host does not hold.
const ABSENT: u8 = 0xff;
/// Set where a row has more to say than its key.
const MORE: u8 = 4;
/// Set where the key is of numbers, each written as how far it counts on from the row before.
const STEPS: u8 = 8;
/// Set where only the last of them is another, the next: rows that were made one after the other.
const NEXT: u8 = 16;

/// The numbers that the last row of a table had for a key, if its key was of numbers.
#[derive(Default)]
struct Last<'a> {
    table: &'a str,
    key: Vec<i64>,
}

impl<'a> Last<'a> {
    fn of(&mut self, table: &'a str) -> &mut Vec<i64> {
        if self.table != table {
            *self = Last { table, key: Vec::new() };
        }
        &mut self.key
    }
}

/// As state layout 1 had it: the tables' names first, then each row with its table's number and its id.
fn read_layout_1(b: &mut &[u8]) -> Option<Local> {
    let mut names = Vec::new();
    for _ in 0..unvarint(b)? {
        names.push(text(b)?);
    }
    let mut rows = BTreeMap::new();
    for _ in 0..unvarint(b)? {
        let table = names.get(usize::try_from(unvarint(b)?).ok()?)?.clone();
        let id = row_id(b)?;
        rows.insert(RowKey { table, id }, read_row(b, &mut Vec::new())??);
    }
    b.is_empty().then_some(Local { rows })
}

fn row_id(b: &mut &[u8]) -> Option<RowId> {
    let (id, rest) = b.split_first_chunk::<16>()?;
    *b = rest;
    Some(RowId::from_bytes(*id))
}

fn write_row(out: &mut Vec<u8>, r: &LocalRow, last: &mut Vec<i64>) {
    let more = !r.differs.is_empty() || !r.prior.is_empty();
    let away = match r.away {
        None => 0,
        Some(Away::Waiting) => 1,
        Some(Away::Deleted) => 2,
    };
    let bits = away | if more { MORE } else { 0 };
    let numbers = numbers_of(&r.key);
    if numbers.is_empty() || numbers.len() != last.len() {
        out.push(bits);
        let key = encode(&r.key);
        varint(out, key.len() as u64);
        out.extend(key);
    } else if is_next(last, &numbers) {
        out.push(bits | NEXT);
    } else {
        out.push(bits | STEPS);
        numbers.iter().zip(&*last).for_each(|(n, before)| varint(out, zigzag(n.wrapping_sub(*before))));
    }
    *last = numbers;
    for map in [&r.differs, &r.prior].into_iter().filter(|_| more) {
        varint(out, map.len() as u64);
        for (name, p) in map {
            varint(out, name.len() as u64);
            out.extend(name.as_bytes());
            out.extend(p);
        }
    }
}

/// A key's numbers; none if it is not of numbers alone.
fn numbers_of(key: &[Value]) -> Vec<i64> {
    let numbers = key.iter().map(|v| if let Value::Integer(n) = v { Some(*n) } else { None });
    numbers.collect::<Option<_>>().unwrap_or_default()
}

fn key_of(numbers: &[i64]) -> HostKey {
    numbers.iter().map(|n| Value::Integer(*n)).collect()
}

fn is_next(last: &[i64], numbers: &[i64]) -> bool {
    last.split_last().zip(numbers.split_last()).is_some_and(|((l, before), (n, same))| before == same && n.wrapping_sub(*l) == 1)
}

fn text(b: &mut &[u8]) -> Option<Name> {
    Some(Name::of(std::str::from_utf8(take_bytes(b)?).ok()?))
}

fn read_row(b: &mut &[u8], last: &mut Vec<i64>) -> Option<Option<LocalRow>> {
    let (bits, rest) = b.split_first()?;
    *b = rest;
    let away = match bits & !(MORE | STEPS | NEXT) {
        _ if *bits == ABSENT => return Some(None),
        0 => None,
        1 => Some(Away::Waiting),
        2 => Some(Away::Deleted),
        _ => return None,
    };
    let key = match bits & (STEPS | NEXT) {
        0 => {
            let key = decode(take_bytes(b)?)?;
            *last = numbers_of(&key);
            key
        }
        _ if last.is_empty() => return None,
        NEXT => {
            last.last_mut().map(|n| *n = n.wrapping_add(1))?;
            key_of(last)
        }
        STEPS => {
            for n in last.iter_mut() {
                *n = n.wrapping_add(unzigzag(unvarint(b)?));
            }
            key_of(last)
        }
        _ => return None,
    };
    let mut row = LocalRow { key, away, ..LocalRow::default() };
    for map in [&mut row.differs, &mut row.prior].into_iter().filter(|_| bits & MORE != 0) {
        for _ in 0..unvarint(b)? {
            let name = text(b)?;
            let (p, rest) = b.split_first_chunk::<8>()?;
            *b = rest;
            map.insert(name, *p);
        }
    }
    Some(Some(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Uuid;

    #[test]
    fn local_state_round_trips() {
        let mut known = Record::new("a", Uuid::from_u128(0));
        let mut l = Local::default();
        assert_eq!(Local::read(&l.write(&known), &known), Some(l.clone()));
        for i in 0..5u128 {
            let mut r = LocalRow { key: vec![Value::Integer(i as i64), Value::text("x")], ..LocalRow::default() };
            if i == 1 {
                r.away = Some(Away::Waiting);
                r.differs.insert("file_no".into(), print(&[Value::Integer(4)]));
                r.prior.insert("phone".into(), print(&[Value::Null]));
            }
            let key = RowKey::new(if i == 2 { "b" } else { "a" }, Uuid::from_u128(i));
            // One row of the host's own, and one that the host does not hold.
            if i != 3 {
                known.rows.insert(key.clone(), crate::record::Row::default());
            }
            if i != 4 {
                l.rows.insert(key, r);
            }
        }
        assert_eq!(Local::read(&l.write(&known), &known), Some(l.clone()));
        let bytes = l.write(&known);
        let host_own = bytes.len() - (1 + 1 + 16 + 1 + 1 + 5);
        (2..bytes.len()).filter(|n| *n != host_own).for_each(|n| assert_eq!(Local::read(&bytes[..n], &known), None, "{n} of {}", bytes.len()));
    }

    #[test]
    fn keys_that_count_up_take_a_byte() {
        let mut known = Record::new("a", Uuid::from_u128(0));
        let mut l = Local::default();
        let mut put = |table: &str, keys: &[&[i64]]| {
            for (i, key) in keys.iter().enumerate() {
                let row = RowKey::new(table, Uuid::from_u128(i as u128));
                known.rows.insert(row.clone(), crate::record::Row::default());
                l.rows.insert(row, LocalRow { key: key.iter().map(|n| Value::Integer(*n)).collect(), ..LocalRow::default() });
            }
        };
        put("a", &[&[7], &[8], &[9], &[5], &[i64::MAX], &[i64::MIN], &[i64::MIN + 1], &[], &[3]]);
        put("b", &[&[8, 1], &[8, 2], &[9, 1], &[1]]);
        let bytes = l.write(&known);
        assert_eq!(Local::read(&bytes, &known), Some(l.clone()));
        let far = [&[STEPS][..], &{
            let mut v = vec![];
            varint(&mut v, zigzag(i64::MAX - 5));
            v
        }]
        .concat();
        // The first whole, two in a row, back by four; far; and round to the least. None, and the one after it, whole; and so
        // are the first of another table, and what has not as many columns.
        let b = [0, 4, 1, 16, 1, 2, NEXT, STEPS, 2, 1, 0, 2, 1, 2];
        assert_eq!(bytes, [&[3, 0, 2, 1, 14, NEXT, NEXT, STEPS, 7][..], &far, &[NEXT, NEXT, 0, 0, 0, 2, 1, 6], &b].concat());
        (2..bytes.len()).for_each(|n| assert_eq!(Local::read(&bytes[..n], &known), None, "{n}"));
        // As layout 2 wrote them.
        let mut before = vec![2];
        for r in known.rows.keys().filter_map(|k| l.rows.get(k)) {
            write_row(&mut before, r, &mut Vec::new());
        }
        assert_eq!(Local::read(&before, &known), Some(l));
    }

    #[test]
    fn layout_1_is_read() {
        let mut row = LocalRow { key: vec![Value::Integer(7)], ..LocalRow::default() };
        row.differs.insert("file_no".into(), print(&[Value::Integer(4)]));
        let mut bytes = vec![1, 1, 5];
        bytes.extend(b"visit");
        bytes.extend([1, 0]);
        bytes.extend(Uuid::from_u128(9).as_bytes());
        write_row(&mut bytes, &row, &mut Vec::new());
        let l = Local { rows: [(RowKey::new("visit", Uuid::from_u128(9)), row)].into() };
        assert_eq!(Local::read(&bytes, &Record::default()), Some(l));
        (1..bytes.len()).for_each(|n| assert_eq!(Local::read(&bytes[..n], &Record::default()), None, "{n}"));
    }
}
