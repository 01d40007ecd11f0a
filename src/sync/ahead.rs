//! Rows of people whom no record is of yet, read on a thread and a connection of their own while those before them are settled.
//!
//! What the host writes meanwhile is noticed as it is of anything that was prepared: before each chunk is committed.

use super::queue::Blocks;
use super::timer::At;
use super::work::Work;
use super::{Engine, Error};
use crate::host::key::decode;
use crate::host::mapping::Mapping;
use crate::host::rows::{self, HostRecord};
use crate::id::RecordId;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};

/// A root row that the host has, by the bytes of its key, and the record that it becomes.
pub(super) type Root = (Box<[u8]>, RecordId);

/// Rows by the bytes of their root keys.
type Rows = BTreeMap<Vec<u8>, HostRecord>;

/// The rows of so many records, in the order of their list.
pub(super) type Block = (usize, Rows);

/// Rows that a thread reads.
pub(super) type RowsAhead = Receiver<Block>;

/// Reads the rows of many records of one type at once, where their keys lie close enough.
fn read(conn: &Connection, m: &Mapping, kind: usize, block: &[Root]) -> rusqlite::Result<Rows> {
    let ends = block.first().zip(block.last()).and_then(|((a, _), (b, _))| decode(a).zip(decode(b)));
    let span = ends.as_ref().and_then(|(a, b)| rows::close(a, b, block.len()));
    span.map_or_else(|| Ok(Rows::new()), |s| rows::read(conn, m, kind, s))
}

/// What the thread does, until its list ends or nobody listens. Where it cannot go on, whoever listened reads for himself.
pub(super) fn run(path: &str, m: &Mapping, kind: usize, list: &[Root], send: &SyncSender<Block>) -> rusqlite::Result<()> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(256);
    let mut blocks = Blocks::new(list);
    while let Some(block) = blocks.next() {
        // Short, so that the log of a database in WAL mode can be begun anew.
        conn.execute_batch("BEGIN")?;
        let rows = read(&conn, m, kind, block)?;
        conn.execute_batch("COMMIT")?;
        blocks.read(rows.values());
        if send.send((block.len(), rows)).is_err() {
            break;
        }
    }
    Ok(())
}

impl Engine<'_> {
    /// The next of a list of new records, with their rows.
    pub(super) fn next_block(&mut self, kind: usize, blocks: &mut Blocks<'_, Root>) -> Result<Option<Vec<Work>>, Error> {
        let ahead = self.timed(At::Rows, |e| e.rows_ahead.as_ref().and_then(|r| r.recv().ok()));
        let (block, mut rows) = match ahead {
            Some((n, rows)) => (blocks.take(n), rows),
            None => {
                self.rows_ahead = None;
                let Some(block) = blocks.next() else { return Ok(None) };
                let rows = self.timed(At::Rows, |e| read(e.conn, e.mapping, kind, block))?;
                blocks.read(rows.values());
                (block, rows)
            }
        };
        let work = |root: &Root| Work::new_root(kind, root).with(|w| w.rows = rows.remove(&*root.0));
        Ok(Some(block.iter().map(work).collect()))
    }
}
