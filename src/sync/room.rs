//! Room for the host: how long the write lock is held, and how long it is left alone.
//!
//! A host that finds the lock taken asks again after 1, 2, 5, 10, 15, 20, 25 … ms (SQLite's busy
//! handler), so what matters to it is how much of the time the lock is free. While nobody else
//! writes, that is of no concern.

use super::env::Now;
use super::timer::At;
use super::{Engine, Error};
use std::time::{Duration, Instant};

/// A write transaction of ours stops at this while nobody else writes.
const QUIET: Duration = Duration::from_millis(20);
/// The same while somebody does.
const BUSY: Duration = Duration::from_millis(5);
/// How long somebody who wrote is taken to go on.
const LASTS: Duration = Duration::from_secs(3);
/// Of a hundred parts of the time, how many the lock is left free then. Five questions in 33 ms
/// meet a taken lock less than once in a hundred times.
const FREE_PERCENT: u32 = 60;

/// What is known of other writers.
#[derive(Debug, Default)]
pub(super) struct Room {
    version: Option<i64>,
    wrote: Option<Instant>,
    /// How long the lock was held that was not made up for yet.
    owed: Duration,
    freed: Option<Instant>,
}

impl Engine<'_> {
    /// How long the lock that was just taken may be held.
    pub(super) fn lock_time(&mut self) -> Result<Duration, Error> {
        // Changes only when another connection commits.
        let version = self.state.data_version()?;
        if self.room.version.replace(version).is_some_and(|v| v != version) {
            self.room.wrote = Some(Instant::now());
        }
        if let Some(freed) = self.room.freed.take() {
            // What passed between two locks was room as well.
            self.room.owed = self.room.owed.saturating_sub(freed.elapsed());
        }
        Ok(if self.host_writes() { BUSY } else { QUIET })
    }

    fn host_writes(&self) -> bool {
        self.room.wrote.is_some_and(|t| t.elapsed() < LASTS)
    }

    /// After the lock was held for a while: leaves it alone for as long as a writing host needs.
    pub(super) fn make_room(&mut self, held: Duration) {
        if !self.host_writes() {
            self.room.owed = Duration::ZERO;
            return;
        }
        self.room.owed += held * FREE_PERCENT / (100 - FREE_PERCENT);
        self.room.freed = Some(Instant::now());
        // Where the clock is told nobody waits.
        if self.room.owed > BUSY && matches!(self.env.now, Now::System) {
            self.timed(At::Room, |e| std::thread::sleep(e.room.owed));
        }
    }
}
