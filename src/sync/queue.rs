//! The queue: what is settled in which order, and in transactions as short as the host needs.

use super::ahead::Root;
use super::orders::Order;
use super::pipeline::{Chunk, Feed};
use super::settle::Prepared;
use super::work::{Place, Work, Works};
use super::{Engine, Error, Progress};
use crate::host::capture;
use crate::host::rows::{self, HostRecord, Span};
use crate::id::RecordId;
use crate::shared::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A transaction that only reads stops at this.
const READ_TIME: Duration = Duration::from_millis(25);
/// How many records are prepared before the lock is taken.
const CHUNK: usize = 32;

/// So many rows are read at a time, or one record's.
const ROWS: usize = 6000;

/// A list of records in blocks of about so many rows, however many each has.
#[derive(Debug)]
pub(super) struct Blocks<'l, T> {
    left: &'l [T],
    records: usize,
    last: usize,
}

impl<'l, T> Blocks<'l, T> {
    pub(super) fn new(list: &'l [T]) -> Self {
        Blocks { left: list, records: CHUNK, last: 0 }
    }

    /// The records to read next.
    pub(super) fn next(&mut self) -> Option<&'l [T]> {
        Some(self.take(self.records)).filter(|block| !block.is_empty())
    }

    /// So many of them, which somebody has read.
    pub(super) fn take(&mut self, n: usize) -> &'l [T] {
        let (block, left) = self.left.split_at(n.min(self.left.len()));
        (self.left, self.last) = (left, block.len());
        block
    }

    /// What was read for them: it says how many the next may be.
    pub(super) fn read<'r>(&mut self, records: impl Iterator<Item = &'r HostRecord>) {
        let rows: usize = records.flat_map(HostRecord::values).map(Vec::len).sum();
        self.records = (ROWS * self.last / rows.max(1)).clamp(1, CHUNK * 8);
    }
}

impl Engine<'_> {
    /// Settles everything: shared types before those that point to them, what came before what is
    /// new here, and again whatever waited for something that is here now.
    pub(super) fn settle_all(&mut self, works: Works, progress: Progress<'_>) -> Result<(), Error> {
        let total = works.len() as u64 + self.roots.len() as u64;
        let mut done = 0;
        self.last.typed = works.iter().filter(|w| w.dirty).count() + self.roots.len();
        self.last.asked = works.iter().any(Work::deletes);
        let mut works = works.into_list();
        for w in &mut works {
            let stored = self.state.root_of(&w.id)?.map(|(k, _, _)| Name::from(k));
            let name = stored.or_else(|| w.kind_by_items(self.mapping));
            w.kind = w.kind.or_else(|| name.and_then(|k| self.mapping.kind(&k))).or_else(|| w.kind_by_file(self.mapping));
        }
        // As others wrote them: rows get their keys here in the order in which they got them there. Of the types, those that
        // this host does not have come last.
        works.sort_unstable_by_key(|w| (w.kind.unwrap_or(usize::MAX), w.order, w.id));
        for kind in (0..self.mapping.types.len()).chain([usize::MAX]) {
            let later = works.split_off(works.partition_point(|w| w.kind.unwrap_or(usize::MAX) <= kind));
            let mut list = std::mem::replace(&mut works, later);
            // Identities first, so that rows of this type can point to each other, and so that a
            // link between two of them is known for the same link.
            self.meet_all(&mut list)?;
            let name = self.mapping.types.get(kind).map(|k| k.name.clone()).unwrap_or_default();
            self.unmatched = !self.state.any_match(&name)?;
            let new: Vec<Root> = self.identify_all(kind, &mut list)?;
            self.roots.settle();
            let files: Vec<Place> = list.iter().flat_map(Work::places).collect();
            let n = list.len();
            let mut list = chunks(list);
            self.heir.put_off();
            self.settle_many(n, Feed::Files(files), &mut |_| {
                let chunk = list.next();
                done += chunk.as_ref().map_or(0, Vec::len) as u64;
                progress("settling records", done, total);
                Ok(chunk)
            })?;
            for chunk in chunks(self.heir.late()) {
                self.settle_chunk(chunk)?;
            }
            let mut read: std::vec::IntoIter<Vec<Work>> = Vec::new().into_iter();
            let mut blocks = Blocks::new(&new);
            self.settle_many(new.len(), Feed::Rows(kind, &new), &mut |engine| loop {
                if let Some(chunk) = read.next() {
                    done += chunk.len() as u64;
                    progress("sending records", done, total);
                    return Ok(Some(chunk));
                }
                let Some(works) = engine.next_block(kind, &mut blocks)? else { return Ok(None) };
                read = chunks(works).collect::<Vec<_>>().into_iter();
            })?;
        }
        self.take_strays()?;
        self.settle_same()?;
        self.delete_now()?;
        // What waited for a record that is here now, and what pointed to one that had no name yet.
        for _ in 0..8 {
            let mut again = std::mem::take(&mut self.again);
            let back = std::mem::take(&mut self.back);
            again.extend(&back);
            if again.is_empty() {
                break;
            }
            let mut list: Vec<Work> = again.into_iter().map(|id| Work::of(id).dirty()).collect();
            for work in list.iter_mut().filter(|w| back.contains(&w.id)) {
                if let Some((kind, _, _)) = self.state.root_of(&work.id)? {
                    self.report.notices.push(format!("the {kind} {} cannot be deleted while rows that point to it are in use: it is back", work.id));
                    let row = crate::record::RowKey::new(kind, work.id);
                    work.orders.push(Order::Restore { row });
                }
            }
            for chunk in chunks(list) {
                self.settle_chunk(chunk)?;
            }
            self.settle_same()?;
        }
        self.tell_taken();
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
        let list = strays.into_iter().map(Work::of).collect();
        for chunk in chunks(list) {
            self.settle_chunk(chunk)?;
        }
        self.written_over.clear();
        self.give_files(false)
    }

    /// Prepares records without a lock, then applies them in transactions as short as the host needs.
    pub(super) fn settle_chunk(&mut self, chunk: Vec<Work>) -> Result<(), Error> {
        let chunk = self.prepare_chunk(chunk)?;
        self.commit_chunk(chunk)?;
        self.drop_spare()
    }

    /// Prepares records without a lock.
    pub(super) fn prepare_chunk(&mut self, chunk: Vec<Work>) -> Result<Chunk, Error> {
        let looks = self.looks;
        let chunk = self.read_together(chunk)?;
        let prepared = self.prepare_all(chunk);
        self.stop_reading()?;
        Ok(Chunk { prepared: prepared?, looks, left: Vec::new() })
    }

    /// Reads the rows of records that are known, where each on its own would read whole tables.
    fn read_together(&mut self, mut chunk: Vec<Work>) -> Result<Vec<Work>, Error> {
        let kinds: BTreeSet<usize> = chunk.iter().filter_map(|w| w.kind).filter(|k| self.mapping.unindexed(*k)).collect();
        for kind in kinds {
            let mut keys: Vec<crate::host::key::HostKey> = Vec::new();
            let mut at: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            for (n, work) in chunk.iter().enumerate().filter(|(_, w)| w.kind == Some(kind) && w.rows.is_none()) {
                let root = match &work.root {
                    Some(key) => Some(key.clone()),
                    None => self.state.root_of(&work.id)?.and_then(|(_, key, _)| key),
                };
                if let Some(key) = root.filter(|k| k.len() == 1) {
                    at.insert(crate::host::key::encode(&key), n);
                    keys.push(key);
                }
            }
            if keys.len() < 2 {
                continue;
            }
            let mut rows = rows::read(self.conn, self.mapping, kind, Span::Many(&keys))?;
            for (key, n) in at {
                if let Some(work) = chunk.get_mut(n) {
                    work.rows = rows.remove(&key);
                }
            }
        }
        Ok(chunk)
    }

    /// Applies prepared records in transactions as short as the host needs.
    pub(super) fn commit_chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        self.renew_token()?;
        let looks = chunk.looks;
        let mut queue = chunk.prepared.into_iter();
        let mut next = queue.next();
        while next.is_some() {
            self.lock()?;
            let start = self.env.watch();
            let most = self.lock_time()?;
            if looks != self.looks || self.host_wrote()? {
                // The host wrote meanwhile: what it touched is looked at again, on its own.
                self.unlock()?;
                self.notes.foreign = true;
                self.ticked = true;
                self.renew_token()?;
                let rest: Vec<Work> = next.into_iter().chain(queue).map(Prepared::again).collect();
                self.one_by_one(rest)?;
                return self.drop_spare();
            }
            while let Some(p) = next.take() {
                self.commit(p)?;
                next = queue.next();
                if start.elapsed() > most {
                    break;
                }
            }
            self.put_marks()?;
            self.drop_own_notes()?;
            self.unlock()?;
            self.make_room(start.elapsed());
        }
        self.put_marks()?;
        self.put_prints()?;
        self.give_files(false)
    }

    /// Prepares records in transactions that only read: each query on its own would lock and unlock
    /// the file. They end in time for a host that keeps a rollback journal and waits for readers.
    fn prepare_all(&mut self, chunk: Vec<Work>) -> Result<Vec<Prepared>, Error> {
        let mut prepared: Vec<Prepared> = Vec::new();
        let mut start = self.env.watch();
        for work in chunk {
            if start.elapsed() > READ_TIME {
                self.stop_reading()?;
            }
            if !self.reading {
                self.start_reading()?;
                start = self.env.watch();
            }
            prepared.extend(self.prepare(work)?);
        }
        Ok(prepared)
    }

    pub(super) fn start_reading(&mut self) -> Result<(), Error> {
        self.conn.prepare_cached("BEGIN")?.execute([])?;
        self.reading = true;
        Ok(())
    }

    pub(super) fn stop_reading(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.reading) {
            self.conn.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(())
    }

    /// The same under the lock for each record, while the host is writing all the time.
    pub(super) fn one_by_one(&mut self, rest: Vec<Work>) -> Result<(), Error> {
        // What was found before may not be so any more.
        self.prints.clear();
        let mut rest = rest.into_iter().peekable();
        while rest.peek().is_some() {
            if self.last.is_now() {
                self.compare_late()?;
            }
            self.lock()?;
            let start = self.env.watch();
            let most = self.lock_time()?;
            self.look()?;
            self.compare_under_lock()?;
            self.settle_typed()?;
            // One in any case: what the host does all the time must not keep us from ever getting on.
            let mut first = true;
            while let Some(work) = rest.next_if(|_| std::mem::take(&mut first) || start.elapsed() < most) {
                self.compare_again(&work.id)?;
                if let Some(p) = self.prepare(work)? {
                    self.commit(p)?;
                }
            }
            self.put_marks()?;
            self.drop_own_notes()?;
            self.unlock()?;
            self.make_room(start.elapsed());
        }
        Ok(())
    }

    /// Forgets the notes that our own writes made; the rows they are about were read back.
    pub(super) fn drop_own_notes(&mut self) -> Result<(), Error> {
        let newest = capture::newest(self.conn)?;
        if newest > self.notes.upto {
            // As many as we made: then none is a host trigger's, and each need not be followed.
            let ours = capture::inserts(self.conn, self.notes.upto)? == self.inserted;
            let notes = if ours { capture::changes(self.conn, self.mapping, self.notes.upto)? } else { capture::notes(self.conn, self.mapping, self.notes.upto)? };
            let waiting = self.again.len();
            let plain = ours && notes.is_empty();
            for n in notes {
                self.keep_foreign(&n)?;
            }
            self.looks += u64::from(self.again.len() > waiting);
            if plain {
                // Rows that we inserted and nothing else: stored in this same transaction. Gone at once, they cost least.
                capture::drop_between(self.conn, self.notes.upto, newest)?;
            }
            self.notes.upto = newest;
        }
        self.inserted = 0;
        Ok(())
    }
}

pub(super) fn chunks(list: Vec<Work>) -> impl Iterator<Item = Vec<Work>> {
    let mut list = list.into_iter();
    std::iter::from_fn(move || Some(list.by_ref().take(CHUNK).collect::<Vec<Work>>()).filter(|c| !c.is_empty()))
}
