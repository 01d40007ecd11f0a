//! The queue: what is settled in which order, and in transactions as short as the host needs.

use super::orders::Order;
use super::settle::{Prepared, Work};
use super::{Engine, Error, Progress, take};
use crate::host::capture;
use crate::host::rows::{self, Span};
use crate::id::RecordId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A write transaction of ours stops at this, so that the host waits no longer.
const LOCK_MS: u128 = 25;
/// While the host is writing: how long the lock is held in all before it is left alone.
const HOLD_BUSY: Duration = Duration::from_millis(4);
/// How long it is left alone then. SQLite's own waiting asks again after 1, 2, 5, 10, 15 … ms.
const YIELD_BUSY: Duration = Duration::from_millis(8);
/// How many records are prepared before the lock is taken.
const CHUNK: usize = 64;

impl Engine<'_> {
    /// Settles everything: shared types before those that point to them, what came before what is
    /// new here, and again whatever waited for something that is here now.
    pub(super) fn settle_all(&mut self, works: take::Works, progress: Progress<'_>) -> Result<(), Error> {
        let total = works.len() as u64 + self.roots.len() as u64;
        let mut done = 0;
        let mut by_kind: BTreeMap<usize, Vec<Work>> = BTreeMap::new();
        for (id, mut w) in works {
            let stored = self.state.root_of(&id)?.map(|(k, _, _)| k);
            let from_items = w.items.first().map(|(_, _, i)| match i {
                crate::log::Item::Delta(d) => d.part.kind.clone(),
                crate::log::Item::Named { kind, .. } => kind.clone(),
            });
            let from_path = || {
                let dir = w.files.first().and_then(|f| f.split('/').nth(1))?.to_owned();
                self.mapping.types.iter().position(|k| crate::names::type_name(&k.name) == dir)
            };
            w.kind = w.kind.or_else(|| stored.or(from_items).and_then(|k| self.mapping.kind(&k))).or_else(from_path);
            by_kind.entry(w.kind.unwrap_or(usize::MAX)).or_default().push(w);
        }
        let mut kinds: BTreeSet<usize> = by_kind.keys().copied().collect();
        kinds.extend(0..self.mapping.types.len());
        for kind in kinds {
            let mut list = by_kind.remove(&kind).unwrap_or_default();
            // Identities first, so that rows of this type can point to each other, and so that a
            // link between two of them is known for the same link.
            self.meet_all(&mut list)?;
            let mut new: Vec<(crate::host::key::HostKey, RecordId)> = Vec::new();
            for key in self.roots.of(kind) {
                let id = self.identify(kind, &key)?;
                new.push((key, id));
            }
            for chunk in chunks(list) {
                done += chunk.len() as u64;
                self.settle_chunk(chunk)?;
                progress("settling records", done, total);
            }
            for chunk in new.chunks(CHUNK * 4) {
                done += chunk.len() as u64;
                let works = self.read_ahead(kind, chunk)?;
                for chunk in chunks(works) {
                    self.settle_chunk(chunk)?;
                }
                progress("sending records", done, total);
            }
        }
        self.take_strays()?;
        self.settle_same()?;
        // What waited for a record that is here now, and what pointed to one that had no name yet.
        for _ in 0..8 {
            let mut again = std::mem::take(&mut self.again);
            let back = std::mem::take(&mut self.back);
            again.extend(&back);
            if again.is_empty() {
                break;
            }
            let mut list: Vec<Work> = again.into_iter().map(|id| Work { id, dirty: true, ..Work::default() }).collect();
            for work in list.iter_mut().filter(|w| back.contains(&w.id)) {
                if let Some((kind, _, _)) = self.state.root_of(&work.id)? {
                    self.report.notices.push(format!("a deleted {kind} is back: rows that must point to it are still there ({})", work.id));
                    work.orders.push(Order::Restore { row: crate::record::RowKey::new(kind, work.id) });
                }
            }
            for chunk in chunks(list) {
                self.settle_chunk(chunk)?;
            }
            self.settle_same()?;
        }
        self.swap_held()
    }

    /// Finds out which new records are root rows that the host has had all along.
    pub(super) fn meet_all(&mut self, list: &mut [Work]) -> Result<(), Error> {
        self.incoming = list.iter().map(|w| w.id).collect();
        if self.roots.len() == 0 {
            return Ok(());
        }
        for work in list.iter_mut().filter(|w| w.root.is_none()) {
            if self.state.number(&work.id)?.is_some() {
                continue;
            }
            let known = self.peek(work)?;
            self.meet(work, &known)?;
        }
        Ok(())
    }

    /// Takes in records that stood under other records' names, before those are written again.
    pub(super) fn take_strays(&mut self) -> Result<(), Error> {
        let strays: Vec<RecordId> = self.stray_sources.keys().copied().collect();
        let list = strays.into_iter().map(|id| Work { id, ..Work::default() }).collect();
        for chunk in chunks(list) {
            self.settle_chunk(chunk)?;
        }
        self.written_over.clear();
        self.give_files(false)
    }

    /// Reads the rows of many records of one type at once.
    pub(super) fn read_ahead(&mut self, kind: usize, chunk: &[(crate::host::key::HostKey, RecordId)]) -> Result<Vec<Work>, Error> {
        let mut rows = match (chunk.first(), chunk.last()) {
            (Some((a, _)), Some((b, _))) if a.len() == 1 && chunk.len() > 8 && dense(a, b, chunk.len()) => {
                let (Some(a), Some(b)) = (a.first(), b.first()) else { return Ok(Vec::new()) };
                rows::read(self.conn, self.mapping, kind, Span::Range(a, b))?
            }
            _ => BTreeMap::new(),
        };
        Ok(chunk
            .iter()
            .map(|(key, id)| Work { kind: Some(kind), id: *id, root: Some(key.clone()), dirty: true, rows: rows.remove(&crate::host::key::encode(key)), ..Work::default() })
            .collect())
    }

    /// Prepares records without a lock, then applies them in transactions as short as the host needs.
    pub(super) fn settle_chunk(&mut self, chunk: Vec<Work>) -> Result<(), Error> {
        let mut prepared: Vec<Prepared> = Vec::new();
        for work in chunk {
            if let Some(p) = self.prepare(work)? {
                prepared.push(p);
            }
        }
        self.renew_token()?;
        let mut queue = prepared.into_iter();
        let mut next = queue.next();
        while next.is_some() {
            self.lock()?;
            let start = Instant::now();
            if capture::newest(self.conn)? != self.notes.upto {
                // The host wrote meanwhile: what it touched is looked at again, on its own.
                self.unlock()?;
                self.notes.foreign = true;
                self.ticked = true;
                self.renew_token()?;
                let rest: Vec<Work> = next.into_iter().chain(queue).map(Prepared::again).collect();
                return self.one_by_one(rest);
            }
            while let Some(p) = next.take() {
                self.commit(p)?;
                next = queue.next();
                if start.elapsed().as_millis() > LOCK_MS {
                    break;
                }
            }
            self.drop_own_notes()?;
            self.unlock()?;
        }
        self.give_files(false)
    }

    /// The same under the lock for each record, while the host is writing all the time.
    pub(super) fn one_by_one(&mut self, rest: Vec<Work>) -> Result<(), Error> {
        let mut held = Duration::ZERO;
        for work in rest {
            self.lock()?;
            let start = Instant::now();
            self.look()?;
            let p = self.prepare(work);
            let r = match p {
                Ok(Some(p)) => self.commit(p),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            if let Err(e) = r {
                self.rollback();
                return Err(e);
            }
            self.drop_own_notes()?;
            self.unlock()?;
            held += start.elapsed();
            if held > HOLD_BUSY {
                // A host that waits asks again after a few milliseconds: let it find the lock free.
                std::thread::sleep(YIELD_BUSY);
                held = Duration::ZERO;
            }
        }
        Ok(())
    }

    /// Forgets the notes that our own writes made; the rows they are about were read back.
    pub(super) fn drop_own_notes(&mut self) -> Result<(), Error> {
        let newest = capture::newest(self.conn)?;
        if newest > self.notes.upto {
            for n in capture::notes(self.conn, self.mapping, self.notes.upto)? {
                self.keep_foreign(&n)?;
            }
            self.notes.upto = newest;
        }
        Ok(())
    }
}

fn chunks(list: Vec<Work>) -> Vec<Vec<Work>> {
    let mut out: Vec<Vec<Work>> = Vec::new();
    for w in list {
        match out.last_mut() {
            Some(c) if c.len() < CHUNK => c.push(w),
            _ => out.push(vec![w]),
        }
    }
    out
}

/// Whether a range of keys is filled well enough to be read at once.
fn dense(a: &[crate::value::Value], b: &[crate::value::Value], n: usize) -> bool {
    match (a.first(), b.first()) {
        (Some(crate::value::Value::Integer(a)), Some(crate::value::Value::Integer(b))) => b.saturating_sub(*a).unsigned_abs() < 8 * n as u64,
        // Text keys come in order, and nothing lies between them that is not ours.
        (Some(crate::value::Value::Text(_)), Some(crate::value::Value::Text(_))) => true,
        _ => false,
    }
}
