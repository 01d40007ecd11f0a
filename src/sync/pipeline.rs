//! The pipeline of large syncs: files are read and made out on one thread, records written as XML,
//! hashed and packed on another, while this one reads and writes the database. The order of
//! everything that matters is this thread's, and the same every time.

use super::ahead::Root;
use super::settle::Prepared;
use super::work::{Place, Work};
use super::{Engine, Error};
use crate::folder::{self, Folder, Stat};
use crate::id::{RecordId, Uuid};
use crate::record::{Entry, Record, Unknown};
use crate::shared::Name;
use crate::state::{self, Dictionary, Stored, pack};
use crate::value::Value;
use crate::xml::{self, MAX_FILE_BYTES};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, RwLock};

/// How many files are read ahead.
const AHEAD: usize = 64;

/// A record as its file's bytes, and as the database keeps it.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) bytes: Vec<u8>,
    pub(super) hash: String,
    pub(super) packed: Vec<u8>,
    pub(super) has: Has,
}

/// What few records have. Whoever made a record out on its own thread looks for it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Has {
    /// It refers to large values.
    pub(super) large: bool,
    /// A field of it has several values.
    pub(super) several: bool,
}

impl Has {
    pub(super) fn of(r: &Record) -> Has {
        let mut fields = r.rows.values().flat_map(|r| r.fields.values());
        Has { large: r.has_large(), several: fields.any(|f| f.0.len() > 1) }
    }
}

/// What drawing up needs to know, on any thread.
#[derive(Debug, Clone)]
pub(super) struct Easel {
    folder: Uuid,
    dictionaries: Arc<RwLock<BTreeMap<Name, Dictionary>>>,
}

impl Easel {
    pub(super) fn new(folder: Uuid, state: &state::State<'_>) -> Result<Self, state::Error> {
        Ok(Easel { folder, dictionaries: Arc::new(RwLock::new(state.dictionaries()?)) })
    }

    /// Draws a record up.
    pub(super) fn draw(&self, r: &Record) -> Result<Drawn, state::Error> {
        let bytes = xml::write_record(r, &self.folder);
        Ok(Drawn { hash: xml::seal_of(&bytes), packed: self.pack(&r.kind, &bytes)?, bytes, has: Has::of(r) })
    }

    fn pack(&self, kind: &str, bytes: &[u8]) -> Result<Vec<u8>, state::Error> {
        let dictionary = self.dictionaries.read().ok().and_then(|d| d.get(kind).cloned());
        pack(bytes, dictionary.as_ref())
    }

    fn has(&self, kind: &str) -> bool {
        self.dictionaries.read().is_ok_and(|d| d.contains_key(kind))
    }
}

/// A record without what anybody typed: a sample outlives the records it was taken from, and one
/// of them may be erased.
fn hollow(r: &Record) -> Record {
    let mut r = r.clone();
    for row in r.rows.values_mut() {
        for field in row.fields.values_mut() {
            let entries = std::mem::take(&mut field.0).into_iter().map(|e| {
                let value = match e.value {
                    Value::Text(_) | Value::Stored { .. } => Value::text(""),
                    Value::Blob(_) => Value::Blob(Vec::new().into()),
                    Value::Integer(_) => Value::Integer(0),
                    Value::Real(_) => Value::Real(0.0),
                    v @ (Value::Null | Value::Ref(_)) => v,
                };
                Entry { value, unknown: Unknown::new(), ..e }
            });
            field.0 = entries.collect();
        }
        row.tombstone = None;
        row.extras.clear();
        row.unknown.clear();
    }
    r.extras.clear();
    r.unknown.clear();
    r
}

/// A file as it was found.
#[derive(Debug)]
pub(super) struct Found {
    path: String,
    /// `None`: there is no such file.
    pub(super) stat: Option<Stat>,
    pub(super) content: Result<Option<Content>, folder::Error>,
}

/// What stands in a file.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) size_bytes: usize,
    pub(super) hash: String,
    pub(super) record: Result<Record, xml::Error>,
    /// Whether large content stands in it, not under `blobs/`.
    pub(super) inlined: bool,
    /// Given where the file is exactly what we would write, and was read ahead.
    pub(super) drawn: Option<Drawn>,
}

/// Reads a record file.
pub(super) fn find(folder: &(impl Folder + ?Sized), easel: &Easel, path: String, ahead: bool) -> Result<Found, folder::Error> {
    let stat = folder.stat(&path)?;
    if stat.is_none() {
        return Ok(Found { path, stat, content: Ok(None) });
    }
    let content = match folder.read(&path, MAX_FILE_BYTES) {
        Ok(Some(bytes)) => {
            let read = xml::read_hand(&bytes, &easel.folder);
            let hash = xml::seal_of(&bytes);
            let size_bytes = bytes.len();
            let same = |(r, own): &(Record, bool)| (ahead && (*own || xml::write_record(r, &easel.folder) == bytes)).then(|| easel.pack(&r.kind, &bytes).ok()).flatten();
            let packed = read.as_ref().ok().and_then(same);
            let record = read.map(|(r, _)| r);
            let inlined = record.as_ref().is_ok_and(Record::has_inlined);
            let drawn = packed.zip(record.as_ref().ok()).map(|(packed, r)| Drawn { hash: hash.clone(), packed, bytes, has: Has::of(r) });
            Ok(Some(Content { size_bytes, hash, record, inlined, drawn }))
        }
        Ok(None) => Ok(None),
        Err(e) => Err(e),
    };
    Ok(Found { path, stat, content })
}

/// Records prepared together, and what the host had done by then.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) prepared: Vec<Prepared>,
    pub(super) looks: u64,
    /// What is left of records that were stored: to take it apart costs as much as many a step that made it.
    pub(super) left: Vec<(Prepared, Stored)>,
}

/// Files read ahead, in the order in which they will be asked for.
#[derive(Debug)]
pub(super) struct Ahead {
    files: Receiver<Result<Found, folder::Error>>,
    /// One that came before it was asked for.
    held: Option<Found>,
}

/// Files to be written together: whose, the files, and the names they have until they are whole.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ids: Vec<RecordId>,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) names: Vec<String>,
}

/// For each file of a batch, what it is now.
pub(super) type Written = Vec<Result<Stat, folder::Error>>;

/// A thread that writes files.
#[derive(Debug)]
pub(super) struct Writer {
    send: SyncSender<Batch>,
    receive: Receiver<(Batch, Written)>,
    under_way: usize,
}

/// What a thread reads ahead of records being settled.
#[derive(Debug)]
pub(super) enum Feed<'l> {
    /// These files.
    Files(Vec<Place>),
    /// The host's rows of these records of a type.
    Rows(usize, &'l [Root]),
}

/// An engine that others work for. However that ends, by an error or a panic, whoever is still at work then finds nobody
/// listening, and ends as well: the scope of the threads waits for them.
struct Helped<'e, 'a>(&'e mut Engine<'a>);

impl Drop for Helped<'_, '_> {
    fn drop(&mut self) {
        self.0.ahead = None;
        self.0.rows_ahead = None;
        self.0.writer = None;
        self.0.aside = false;
        self.0.left.clear();
    }
}

impl Engine<'_> {
    /// Writes a batch of files, or has it written. What it holds must be durable.
    pub(super) fn write_batch(&mut self, batch: Batch) -> Result<(), Error> {
        if self.writer.is_some() {
            self.await_writer(1)?;
        }
        match &mut self.writer {
            Some(w) => {
                w.under_way += 1;
                // It listens until it is dropped.
                let _sent = w.send.send(batch);
                Ok(())
            }
            None => {
                let mut names = batch.names.iter().cloned();
                let results = self.folder.write(&batch.files, &mut || names.next().unwrap_or_default());
                self.batch_written(batch, results)
            }
        }
    }

    /// Takes the dictionary of a record type from the first records of a large sync.
    fn take_sample(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let Some(kind) = chunk.prepared.first().map(|p| p.known.kind.clone()).filter(|k| !self.easel.has(k)) else { return Ok(()) };
        let dictionary = Dictionary::of_charts(chunk.prepared.iter().map(|p| xml::write_record(&hollow(&p.known), &self.easel.folder)));
        self.state.add_dictionary(&kind, &dictionary)?;
        if let Ok(mut d) = self.easel.dictionaries.write() {
            d.insert(kind, dictionary);
        }
        Ok(())
    }

    /// Waits until no more than so many batches are under way.
    fn await_writer(&mut self, left: usize) -> Result<(), Error> {
        while let Some(w) = self.writer.as_mut().filter(|w| w.under_way > left) {
            let Ok((batch, results)) = w.receive.recv() else { return Ok(()) };
            w.under_way -= 1;
            self.batch_written(batch, results)?;
        }
        Ok(())
    }

    /// A record file: as it was read ahead, or as it is now.
    pub(super) fn find(&mut self, path: &str) -> Result<Found, Error> {
        if let Some(ahead) = &mut self.ahead {
            if ahead.held.is_none() {
                ahead.held = ahead.files.recv().ok().transpose()?;
            }
            if let Some(found) = ahead.held.take_if(|f| f.path == path) {
                return Ok(found);
            }
        }
        Ok(find(self.folder, &self.easel, path.to_owned(), false)?)
    }

    /// Settles chunks of records, many of them on several threads. `next` gives a chunk's records.
    pub(super) fn settle_many(&mut self, total: usize, feed: Feed<'_>, next: &mut dyn FnMut(&mut Self) -> Result<Option<Vec<Work>>, Error>) -> Result<(), Error> {
        if total < self.env.many {
            while let Some(chunk) = next(self)? {
                self.settle_chunk(chunk)?;
            }
            return Ok(());
        }
        self.hush_allowed(true)?;
        let disk = self.folder.shared();
        let (easel, mapping) = (&self.easel.clone(), self.mapping);
        // Where readers stop writers, who else reads makes our own commits wait.
        let database = if self.state.readers_block()? { None } else { self.conn.path().filter(|p| !p.is_empty()).map(str::to_owned) };
        let done = std::thread::scope(|s| {
            let helped = Helped(self);
            let engine = &mut *helped.0;
            match (feed, disk, database) {
                (Feed::Files(files), Some(disk), _) if !files.is_empty() => {
                    let (send, receive) = sync_channel(AHEAD);
                    // Ends with its list, or when nobody listens any more.
                    s.spawn(move || {
                        for place in files {
                            if send.send(find(disk, easel, place.path(mapping), true)).is_err() {
                                break;
                            }
                        }
                    });
                    engine.ahead = Some(Ahead { files: receive, held: None });
                }
                (Feed::Rows(kind, list), _, Some(path)) => {
                    let (send, receive) = sync_channel(1);
                    s.spawn(move || super::ahead::run(&path, mapping, kind, list, &send));
                    engine.rows_ahead = Some(receive);
                }
                _ => {}
            }
            if let Some(disk) = disk {
                let (send, batches) = sync_channel::<Batch>(1);
                let (written, receive) = channel();
                s.spawn(move || {
                    batches.into_iter().try_for_each(|mut b| {
                        let mut names = std::mem::take(&mut b.names).into_iter();
                        let results = disk.write(&b.files, &mut || names.next().unwrap_or_default());
                        written.send((b, results))
                    })
                });
                engine.writer = Some(Writer { send, receive, under_way: 0 });
            }
            let (to_draw, drawing) = sync_channel::<Chunk>(1);
            let (from_draw, drawn) = sync_channel::<Result<Chunk, crate::state::Error>>(1);
            s.spawn(move || {
                drawing.into_iter().try_for_each(|mut chunk| {
                    chunk.left.clear();
                    let all = chunk.prepared.iter_mut().try_for_each(|p| p.draw(easel, mapping));
                    from_draw.send(all.map(|()| chunk))
                })
            });
            let mut under_way = 0usize;
            engine.aside = true;
            let mut more = true;
            while more {
                let works = next(engine)?;
                more = works.is_some();
                if let Some(works) = works {
                    let left = std::mem::take(&mut engine.left);
                    let chunk = Chunk { left, ..engine.prepare_chunk(works)? };
                    under_way += usize::from(to_draw.send(chunk).is_ok());
                }
                // One is drawn up while the next is prepared; after the last, all are awaited.
                while under_way > usize::from(more)
                    && let Ok(chunk) = drawn.recv()
                {
                    under_way -= 1;
                    let chunk = chunk?;
                    engine.take_sample(&chunk)?;
                    engine.commit_chunk(chunk)?;
                }
            }
            // Only now is nothing prepared that counts on it.
            engine.drop_spare()?;
            engine.await_writer(0)
        });
        done.and_then(|()| self.hush_allowed(false))
    }
}
