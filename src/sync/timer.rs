//! Where the time of a synchronization goes, for `cfs sync --timings`: on the thread that decides, each moment counts for
//! one piece of the work.

use super::Engine;
use super::env::Watch;
use crate::report::Timing;
use std::time::Duration;

/// A piece of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Who we are, and who the others are.
    Sites,
    /// What the host changed.
    Look,
    /// What is new in the folder.
    Folder,
    /// Reading the host's rows of records.
    Rows,
    /// Reading record files, and waiting for those that are read ahead.
    Read,
    /// Merging, and deciding what changed.
    Decide,
    /// Writing rows into the host's tables.
    Apply,
    /// Storing what is known.
    Store,
    /// Making commits, and making them durable.
    Commit,
    /// Leaving the database to the host.
    Room,
    /// Writing record files and large values, and waiting for those that are written meanwhile.
    Write,
    /// Segments and the site file.
    Log,
    /// Cursors, and the account of the run.
    Finish,
}

const ALL: [(Work, &str); 13] = [
    (Work::Sites, "sites"),
    (Work::Look, "look"),
    (Work::Folder, "folder"),
    (Work::Rows, "read rows"),
    (Work::Read, "read files"),
    (Work::Decide, "decide"),
    (Work::Apply, "apply"),
    (Work::Store, "store"),
    (Work::Commit, "commit"),
    (Work::Room, "leave room"),
    (Work::Write, "write files"),
    (Work::Log, "log"),
    (Work::Finish, "finish"),
];

/// Counts the time.
#[derive(Debug)]
pub(super) struct Timer {
    now: Work,
    since: Watch,
    spent: [(Duration, u64); ALL.len()],
}

impl Timer {
    pub(super) fn new(watch: Watch) -> Self {
        Timer { now: Work::Sites, since: watch, spent: Default::default() }
    }

    fn enter(&mut self, next: Work, watch: Watch) -> Work {
        let passed = std::mem::replace(&mut self.since, watch).elapsed();
        if let Some((time, times)) = self.spent.get_mut(self.now as usize) {
            *time += passed;
            *times += 1;
        }
        std::mem::replace(&mut self.now, next)
    }
}

impl Engine<'_> {
    /// From now on the time counts for this. Gives what it counted for.
    pub(super) fn now_at(&mut self, work: Work) -> Work {
        let watch = self.env.watch();
        self.timer.enter(work, watch)
    }

    /// What was counted, without what took no time.
    pub(super) fn timings(&mut self) -> Vec<Timing> {
        let at = self.timer.now;
        self.now_at(at);
        let counted = ALL.iter().zip(&self.timer.spent).filter(|(_, (time, _))| !time.is_zero());
        counted.map(|((_, name), (time, times))| Timing { work: (*name).to_owned(), seconds: time.as_secs_f64(), times: *times }).collect()
    }
}
