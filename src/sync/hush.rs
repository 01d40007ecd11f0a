//! Many new records at once: their rows are inserted without triggers where nobody else hears of it (decision 0026).

use super::settle::Prepared;
use super::{Engine, Error};
use crate::host::quiet::{is_quiet, loud, nobody_listens, quiet, schema_version};

/// How often triggers are turned off in one synchronization: each time, statements are prepared anew.
const TURNS: u32 = 64;

/// Whether triggers may be off.
#[derive(Debug, Default)]
pub(super) struct Hush {
    allowed: bool,
    turns: u32,
    /// Of the schema in which nobody listens.
    version: i64,
}

impl Engine<'_> {
    /// From now on records are settled in large numbers, or no longer.
    pub(super) fn hush_allowed(&mut self, many: bool) -> Result<(), Error> {
        self.hush.allowed = many && !self.mapping.scan;
        if !many {
            loud(self.conn)?;
        }
        Ok(())
    }

    /// Under the lock: turns triggers off for a record that is new here, and on for any other.
    pub(super) fn hush(&mut self, p: &Prepared) -> Result<(), Error> {
        if !self.hush.allowed {
            return Ok(());
        }
        if p.stored.root_key.is_some() || !p.stored.local.rows.is_empty() || !p.image.rows.is_empty() {
            return Ok(loud(self.conn)?);
        }
        if !is_quiet(self.conn)? {
            self.hush.turns += 1;
            self.hush.allowed = self.hush.turns <= TURNS && nobody_listens(self.conn, self.mapping)?;
            if self.hush.allowed {
                self.hush.version = schema_version(self.conn)?;
                quiet(self.conn)?;
            }
        }
        Ok(())
    }

    /// Under a new lock: the host may have made a trigger since.
    pub(super) fn still_quiet(&self) -> Result<(), Error> {
        if is_quiet(self.conn)? && schema_version(self.conn)? != self.hush.version {
            loud(self.conn)?;
        }
        Ok(())
    }
}
