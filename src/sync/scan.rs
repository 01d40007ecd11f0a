//! Capture by comparing: where the host's schema must hold no triggers, all its rows are read and compared with what
//! was stored, and that gives the notes that triggers would have made (decision 0023).

use super::queue::Blocks;
use super::{Engine, Error, Progress};
use crate::host::capture::{self, Note};
use crate::host::key::{HostKey, decode, encode};
use crate::host::local::{LocalRow, print};
use crate::host::mapping::{Column, Mapping, RecordType, Role, Rule, Table, Target};
use crate::host::rows::{self, HostRecord, HostRow, Span, look_up};
use crate::id::RecordId;
use crate::record::{FieldKey, Record, Row, RowKey};
use crate::shared::{HashMap, Name};
use crate::state::{RowsPrint, Stored};
use crate::value::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How often all is read anew where somebody writes meanwhile and no snapshot can be had.
const TRIES: usize = 3;

/// Rows moved within a type: from what, and to what hangs from this root key.
pub(super) type Move = (From, HostKey, usize);

/// Where rows were: below a root key, or hanging from nothing.
#[derive(Debug)]
pub(super) enum From {
    Root(HostKey),
    Record(RecordId),
}

/// What a comparison found.
#[derive(Debug, Default)]
struct Seen {
    notes: Vec<Note>,
    /// Root rows that notes are about.
    touched: Vec<(usize, HostKey)>,
    moves: Vec<Move>,
}

/// A record as it is stored, for the comparison.
struct Was<'r> {
    kind: usize,
    root: &'r HostKey,
    stored: &'r Stored,
}

impl Seen {
    /// A row is gone from under its key.
    fn gone(&mut self, table: usize, key: &HostKey, owner: HostKey) {
        self.notes.push(Note { n: 0, op: 'D', table, old_key: key.clone(), new_key: HostKey::new(), old_owner: owner, new_owner: HostKey::new() });
    }

    /// A row came under a key.
    fn came(&mut self, table: usize, key: &HostKey, owner: HostKey) {
        self.notes.push(Note { n: 0, op: 'I', table, old_key: HostKey::new(), new_key: key.clone(), old_owner: HostKey::new(), new_owner: owner });
    }
}

impl Was<'_> {
    /// What the host was last given.
    fn before(&self) -> &Record {
        self.stored.applied.as_ref().unwrap_or(&self.stored.known)
    }

    /// The values by which a row hung from its owner, as far as that is the owner's key.
    fn hung_from(&self, m: &Mapping, t: &Table, key: &RowKey) -> HostKey {
        let owner = t.owner_ref().map(|r| &r.target).zip(self.before().rows.get(key).and_then(Row::owner));
        let Some((Target::Table { table, columns }, to)) = owner else { return HostKey::new() };
        let Some(parent) = m.tables.get(*table).filter(|p| p.is_key(columns)) else { return HostKey::new() };
        self.stored.local.rows.get(&RowKey::new(parent.name.clone(), to.row)).map(|l| l.key.clone()).unwrap_or_default()
    }
}

/// What a record's rows look like, in whatever order they were read.
pub(super) fn print_of(tables: &[Table], rows: &HostRecord) -> RowsPrint {
    let mut hash = Sha256::new();
    let mut put = |b: &[u8]| {
        hash.update((b.len() as u64).to_le_bytes());
        hash.update(b);
    };
    for (table, list) in rows {
        let Some(t) = tables.get(*table) else { continue };
        put(t.name.as_bytes());
        t.columns.iter().for_each(|c| put(c.name.as_bytes()));
        // Not `encode`: to that a large value, known by its hash, is like none.
        let mut list: Vec<Vec<Vec<u8>>> = list.iter().map(|r| r.key.iter().chain(&r.values).map(Value::bytes).collect()).collect();
        list.sort();
        put(&(list.len() as u64).to_le_bytes());
        list.iter().flatten().for_each(|v| put(v));
    }
    let mut print = RowsPrint::default();
    print.copy_from_slice(&hash.finalize()[..16]);
    print
}

/// How much of a row is not as it was, of the columns that both say something in and that we did not leave otherwise:
/// all that say anything, and those that say who it is.
#[derive(Debug, Default)]
struct Likeness {
    all: u32,
    other: u32,
    who: u32,
    other_who: u32,
}

fn likeness<'v>(t: &Table, now: impl Fn(usize) -> Option<&'v Value>, was: &Row, local: Option<&LocalRow>, says_who: &dyn Fn(&Name) -> bool) -> Likeness {
    let mut like = Likeness::default();
    for (i, c) in telling(t) {
        let Some(has) = now(i) else { continue };
        let had = was.current(&FieldKey::shared(c.name.clone())).unwrap_or(&Value::Null);
        if had.is_null() && has.is_null() || local.is_some_and(|l| l.differs.contains_key(&c.name)) {
            continue;
        }
        // A form that was opened before our last apply puts back what stood there: the row is still that row (storm 1003303).
        let stale = || local.and_then(|l| l.prior.get(&c.name)).is_some_and(|p| *p == print(std::slice::from_ref(has)));
        let differs = u32::from(had != has && !c.affinity.makes(had, has) && !stale());
        like.all += 1;
        like.other += differs;
        if says_who(&c.name) && !had.is_null() && !has.is_null() {
            like.who += 1;
            like.other_who += differs;
        }
    }
    like
}

/// Whether the root row under a key is somebody else than it was. Taken wrongly for another, the one who was there comes
/// back beside them; taken wrongly for the same, a stranger would be written over everywhere.
fn is_somebody_else(k: &RecordType, t: &Table, row: &HostRow, was: &Row, local: Option<&LocalRow>) -> bool {
    let matched = k.match_columns();
    let says_who = |c: &Name| matched.contains(c) || t.unique.iter().any(|set| set.contains(c));
    let like = likeness(t, |i| row.values.get(i), was, local, &says_who);
    let by_who = like.who >= 2 && like.other_who * 2 > like.who && like.other * 2 >= like.all;
    let by_all = like.all + like.who.min(1) >= 3 && like.other * 3 > like.all * 2;
    by_who || by_all
}

/// Whether a child row is not the one that stood under its number: it has nothing of it, and two columns at least say so.
fn is_another_row(t: &Table, row: &HostRow, was: Option<&Row>, local: Option<&LocalRow>) -> bool {
    let Some(was) = was else { return false };
    let like = likeness(t, |i| row.values.get(i).filter(|v| !v.is_null()), was, local, &|_| false);
    like.all >= 2 && like.other == like.all
}

/// The columns of a table that say what a row is.
fn telling(t: &Table) -> impl Iterator<Item = (usize, &Column)> {
    t.columns.iter().enumerate().filter(|(_, c)| c.role == Role::Data && c.rule == Rule::Latest)
}

impl Engine<'_> {
    /// Finds what the host did since each record was stored.
    pub(super) fn compare_all(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        if !self.mapping.scan {
            return Ok(());
        }
        if self.state.meta::<i64>("scanned")?.is_none() {
            // All is new.
            self.notes.version = self.state.data_version()?;
            return Ok(());
        }
        // Under the lock nobody else writes, and in a snapshot nobody is seen to.
        let free = self.conn.is_autocommit();
        let mut tries = if free && self.state.readers_block()? { TRIES } else { 1 };
        if free && tries == 1 {
            self.start_reading()?;
        }
        let seen = loop {
            self.notes.version = self.state.data_version()?;
            let seen = self.compare(progress)?;
            tries -= 1;
            if tries == 0 || self.state.data_version()? == self.notes.version {
                break seen;
            }
        };
        self.stop_reading()?;
        self.notes.unread = false;
        self.take_seen(seen)
    }

    /// Compares all once more, if anybody else has written since that was done.
    pub(super) fn compare_late(&mut self) -> Result<(), Error> {
        if self.notes.unread || self.host_wrote()? { self.compare_all(&mut |_, _, _| {}) } else { Ok(()) }
    }

    /// Whether anybody else has written since the notes were read, or the rows compared.
    pub(super) fn host_wrote(&self) -> Result<bool, Error> {
        Ok(capture::newest(self.conn)? != self.notes.upto || self.mapping.scan && self.state.data_version()? != self.notes.version)
    }

    /// Under the lock, where somebody wrote meanwhile: a record's rows are compared once more before it is prepared.
    pub(super) fn compare_again(&mut self, id: &RecordId) -> Result<(), Error> {
        if !self.mapping.scan {
            return Ok(());
        }
        self.drop_own_notes()?;
        let mut seen = Seen::default();
        if let Some(stored) = self.state.load(id)?
            && let (Some(kind), Some(root)) = (self.mapping.kind(&stored.known.kind), stored.root_key.clone())
        {
            let rows = rows::of_one(self.conn, self.mapping, kind, &root)?;
            self.compare_record(&Was { kind, root: &root, stored: &stored }, &rows, &mut seen)?;
        }
        self.take_seen(seen)
    }

    /// Under the lock, where somebody wrote meanwhile: what is deleted takes nothing with it that nobody has read.
    pub(super) fn compare_under_lock(&mut self) -> Result<(), Error> {
        if !self.mapping.scan {
            return Ok(());
        }
        if self.host_wrote()? {
            if self.last.is_now() {
                self.compare_all(&mut |_, _, _| {})?;
            } else {
                self.notes.unread = true;
            }
        }
        self.last.typed = usize::MAX;
        self.looks += 1;
        self.notes.version = self.state.data_version()?;
        Ok(())
    }

    fn take_seen(&mut self, mut seen: Seen) -> Result<(), Error> {
        for note in &mut seen.notes {
            self.notes.made += 1;
            note.n = self.notes.made;
        }
        self.digest(&seen.notes)?;
        self.notes.hung.extend(seen.notes.iter().filter(|n| n.op == 'D' && !n.old_owner.is_empty()).map(|n| (n.n, n.old_owner.clone())));
        self.follow(seen.touched, seen.moves)
    }

    fn compare(&mut self, progress: Progress<'_>) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        for kind in 0..self.mapping.types.len() {
            let Some(k) = self.mapping.types.get(kind) else { continue };
            let mut known = self.state.prints(&k.name)?;
            let loose: std::collections::BTreeSet<RecordId> = self.state.flagged(crate::state::LOOSE)?.into_iter().collect();
            let mut roots: Vec<HostKey> = Vec::new();
            rows::roots(self.conn, self.mapping, kind, &mut |key, _| {
                roots.push(key);
                Ok::<_, Error>(())
            })?;
            let (mut done, mut blocks) = (0, Blocks::new(&roots));
            while let Some(block) = blocks.next() {
                progress("comparing rows", done, roots.len() as u64);
                done += block.len() as u64;
                let span = block.first().zip(block.last()).and_then(|(a, b)| rows::close(a, b, block.len()));
                let mut read = match span {
                    Some(span) => rows::read(self.conn, self.mapping, kind, span)?,
                    None if block.iter().all(|k| k.len() == 1) => rows::read(self.conn, self.mapping, kind, Span::Many(block))?,
                    None => BTreeMap::new(),
                };
                blocks.read(read.values());
                for key in block {
                    let bytes = encode(key);
                    let Some((id, print)) = known.remove(&bytes) else {
                        seen.touched.push((kind, key.clone()));
                        continue;
                    };
                    let rows = match read.remove(&bytes) {
                        Some(r) => r,
                        None => rows::of_one(self.conn, self.mapping, kind, key)?,
                    };
                    if print == Some(print_of(&self.mapping.tables, &rows)) && !loose.contains(&id) {
                        continue;
                    }
                    self.compare_known(kind, key, id, &rows, &mut seen)?;
                }
            }
            // Those whose root row is gone, or no longer meets `where`.
            let mut gone: Vec<_> = known.into_iter().collect();
            gone.sort();
            for (bytes, (id, print)) in gone {
                let Some(key) = decode(&bytes) else { continue };
                let rows = rows::of_one(self.conn, self.mapping, kind, &key)?;
                if print != Some(print_of(&self.mapping.tables, &rows)) || loose.contains(&id) {
                    self.compare_known(kind, &key, id, &rows, &mut seen)?;
                }
            }
        }
        Ok(seen)
    }

    fn compare_known(&mut self, kind: usize, root: &HostKey, id: RecordId, rows: &HostRecord, seen: &mut Seen) -> Result<(), Error> {
        let Some(stored) = self.state.load(&id)? else { return Ok(()) };
        let before = (seen.notes.len(), seen.moves.len());
        self.compare_record(&Was { kind, root, stored: &stored }, rows, seen)?;
        if before == (seen.notes.len(), seen.moves.len()) && !self.notes.dirty.contains(&id) {
            self.notes.scanned.insert(id);
        }
        self.notes.dirty.insert(id);
        Ok(())
    }

    /// The notes that triggers would have made about one record.
    fn compare_record(&self, was: &Was<'_>, rows: &HostRecord, seen: &mut Seen) -> Result<(), Error> {
        let m = self.mapping;
        let Some(k) = m.types.get(was.kind) else { return Ok(()) };
        let (before, local) = (was.before(), &was.stored.local.rows);
        let root = before.root_key();
        let row = rows.get(&k.root).and_then(|r| r.first());
        if let (Some(t), Some(row), Some(had)) = (m.tables.get(k.root), row, before.rows.get(&root))
            && is_somebody_else(k, t, row, had, local.get(&root))
        {
            seen.gone(k.root, was.root, HostKey::new());
            seen.came(k.root, was.root, HostKey::new());
            seen.touched.push((was.kind, was.root.clone()));
            return Ok(());
        }
        let mut held: HashMap<(usize, Vec<u8>), &RowKey> =
            local.iter().filter(|(_, l)| l.away.is_none()).filter_map(|(key, l)| Some(((m.table(&key.table)?, encode(&l.key)), key))).collect();
        let mut came: Vec<(usize, &HostKey)> = Vec::new();
        for (table, list) in rows {
            let Some(t) = m.tables.get(*table) else { continue };
            for row in list {
                match held.remove(&(*table, encode(&row.key))) {
                    _ if *table == k.root => continue,
                    Some(key) if t.renumbered() || !is_another_row(t, row, before.rows.get(key), local.get(key)) => continue,
                    Some(key) => seen.gone(*table, &row.key, was.hung_from(m, t, key)),
                    None => {}
                }
                came.push((*table, &row.key));
            }
        }
        let mut gone: Vec<(usize, &RowKey)> = held.into_iter().map(|((table, _), key)| (table, key)).collect();
        gone.sort();
        for (table, key) in gone {
            self.compare_gone(was, table, key, seen)?;
        }
        // A form is saved by DELETE and INSERT, in this order.
        came.into_iter().for_each(|(table, key)| seen.came(table, key, HostKey::new()));
        Ok(())
    }

    /// The notes about a row that is not in its record any more: it is gone, or in another one, or its number is.
    fn compare_gone(&self, was: &Was<'_>, table: usize, key: &RowKey, seen: &mut Seen) -> Result<(), Error> {
        let m = self.mapping;
        let (Some(t), Some(local)) = (m.tables.get(table), was.stored.local.rows.get(key)) else { return Ok(()) };
        let at = &local.key;
        let owners = t.owner_columns().len();
        let want: Vec<Name> = t.owner_columns().iter().chain(telling(t).map(|(_, c)| &c.name)).chain(t.key_columns()).cloned().collect();
        let Some(mut there) = look_up(self.conn, t, &want, t.key_columns(), at)? else {
            seen.gone(table, at, was.hung_from(m, t, key));
            return Ok(());
        };
        let Some(to) = rows::climb(self.conn, m, table, t.key_columns(), at, &|_, _, _| None)?.filter(|to| to != was.root) else { return Ok(()) };
        let told: BTreeMap<usize, Value> = telling(t).map(|(i, _)| i).zip(there.split_off(owners).into_iter().map(Value::known)).collect();
        let like = was.before().rows.get(key).map(|had| likeness(t, |i| told.get(&i), had, Some(local), &|_| false)).unwrap_or_default();
        // Only what says exactly what it said has moved; of a rowid that VACUUM may have given away nobody knows.
        if like.all > 0 && like.other == 0 && !t.renumbered() {
            seen.moves.push((From::Root(was.root.clone()), to.clone(), was.kind));
        } else {
            seen.gone(table, at, was.hung_from(m, t, key));
            seen.came(table, at, there);
        }
        seen.touched.push((was.kind, to));
        Ok(())
    }

    /// Remembers what the rows of records look like that were found as they were stored.
    pub(super) fn put_prints(&mut self) -> Result<(), Error> {
        if self.prints.is_empty() {
            return Ok(());
        }
        self.lock()?;
        for (n, print) in std::mem::take(&mut self.prints) {
            self.state.set_print(n, Some(print))?;
        }
        self.unlock()
    }
}
