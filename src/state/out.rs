//! What waits to be sent with the next segment.

use super::{Error, State, id_of, pack};
use crate::id::RecordId;
use crate::log::{Item, Segment};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

/// What a named record's element has beside its line, in bytes: names of attributes, the record's id.
const NAMES_BYTES: usize = 120;

impl State<'_> {
    /// Adds an item.
    pub fn push_item(&self, item: &Item) -> Result<(), Error> {
        match item.line() {
            Some(line) => {
                let size = (line.len() + NAMES_BYTES) as i64;
                self.conn.prepare_cached(PUSH)?.execute(params![item.record().as_bytes(), line, size])?;
                Ok(())
            }
            None => self.push_out(&item.record(), &item.alone(&self.folder)),
        }
    }

    /// Adds an item that was written already, alone.
    pub fn push_out(&self, id: &RecordId, alone: &[u8]) -> Result<(), Error> {
        self.conn.prepare_cached(PUSH)?.execute(params![id.as_bytes(), pack(alone, None)?, alone.len() as i64])?;
        Ok(())
    }

    /// An item as it was added.
    pub fn out_item(&self, id: &[u8], item: ValueRef<'_>) -> Result<Item, Error> {
        let read = match item {
            ValueRef::Text(line) => std::str::from_utf8(line).ok().and_then(|l| Item::of_line(id_of(id).ok()?, l)),
            ValueRef::Blob(packed) => Segment::read(&self.unpack(packed)?, &self.folder).ok().and_then(|(mut s, _)| s.items.pop()),
            _ => None,
        };
        read.ok_or(Error::Damaged("item to be sent"))
    }

    /// The bytes of a segment that is decided and not delivered.
    pub fn decided(&self, seq: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.conn.query_row("SELECT bytes FROM cfs_segment WHERE seq = ?1", [seq.cast_signed()], |r| r.get(0)).optional()?)
    }

    /// Forgets a segment that is decided and not delivered, or that was delivered.
    pub fn drop_decided(&self, seq: u64) -> Result<(), Error> {
        self.conn.prepare_cached("DELETE FROM cfs_segment WHERE seq = ?1")?.execute([seq.cast_signed()])?;
        Ok(())
    }

    /// Forgets what waits to be sent of a record's content: it is erased.
    pub fn drop_content(&self, id: &RecordId) -> Result<(), Error> {
        let mut q = self.conn.prepare("SELECT o, item FROM cfs_out WHERE id = ?1")?;
        let items = q.query_map([id.as_bytes()], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, rusqlite::types::Value>(1)?)))?.collect::<Result<Vec<_>, _>>()?;
        for (o, item) in items {
            if matches!(self.out_item(id.as_bytes(), (&item).into())?, Item::Delta(d) if !d.part.rows.is_empty()) {
                self.conn.execute("DELETE FROM cfs_out WHERE o = ?1", [o])?;
            }
        }
        Ok(())
    }

    /// How many items wait.
    pub fn out_count(&self) -> Result<u64, Error> {
        Ok(self.conn.query_row("SELECT count(*) FROM cfs_out", [], |r| r.get::<_, i64>(0))?.unsigned_abs())
    }
}

const PUSH: &str = "INSERT INTO cfs_out (id, item, size) VALUES (?1, ?2, ?3)";
