//! Where the time of a synchronization goes, for `cfs sync --timings`: on the thread that decides, each moment counts for
//! one piece of the work.

use super::Engine;
use super::env::Watch;
use crate::report::Timing;
use std::collections::BTreeMap;
use std::time::Duration;

/// A piece of the work, in the order in which a synchronization comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
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

impl At {
    /// What a report calls it.
    fn name(self) -> &'static str {
        match self {
            At::Sites => "sites",
            At::Look => "look",
            At::Folder => "folder",
            At::Rows => "read rows",
            At::Read => "read files",
            At::Decide => "decide",
            At::Apply => "apply",
            At::Store => "store",
            At::Commit => "commit",
            At::Room => "leave room",
            At::Write => "write files",
            At::Log => "log",
            At::Finish => "finish",
        }
    }
}

/// Counts the time.
#[derive(Debug)]
pub(super) struct Timer {
    now: At,
    since: Watch,
    spent: BTreeMap<At, (Duration, u64)>,
}

impl Timer {
    pub(super) fn new(watch: Watch) -> Self {
        Timer { now: At::Sites, since: watch, spent: BTreeMap::new() }
    }

    fn enter(&mut self, next: At, watch: Watch) -> At {
        let passed = std::mem::replace(&mut self.since, watch).elapsed();
        let (time, times) = self.spent.entry(self.now).or_default();
        *time += passed;
        *times += 1;
        std::mem::replace(&mut self.now, next)
    }
}

impl Engine<'_> {
    /// From now on the time counts for this. Gives what it counted for.
    pub(super) fn now_at(&mut self, at: At) -> At {
        let watch = self.env.watch();
        self.timer.enter(at, watch)
    }

    /// Does something whose time counts for this.
    pub(super) fn timed<R>(&mut self, at: At, work: impl FnOnce(&mut Self) -> R) -> R {
        let was = self.now_at(at);
        let done = work(self);
        self.now_at(was);
        done
    }

    /// What was counted, without what took no time.
    pub(super) fn timings(&mut self) -> Vec<Timing> {
        self.now_at(self.timer.now);
        let counted = self.timer.spent.iter().filter(|(_, (time, _))| !time.is_zero());
        counted.map(|(at, (time, times))| Timing { work: at.name().to_owned(), seconds: time.as_secs_f64(), times: *times }).collect()
    }
}
