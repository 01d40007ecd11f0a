//! What the service says of itself, to whoever listens or asks.

use super::timing::Why;
use crate::report::Report;
use crate::synchronizer::Error;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a synchronization failed: the exit code that `cfs sync` gives, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// 1 failed, 2 configuration, 3 busy, 4 refused.
    pub code: u8,
    /// What to do about it.
    pub message: String,
}

impl From<Error> for Failed {
    fn from(e: Error) -> Self {
        Failed { code: e.exit_code(), message: e.to_string() }
    }
}

/// How far a synchronization is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is being done.
    pub what: &'static str,
    /// How much of it.
    pub done: u64,
    /// Of how much.
    pub total: u64,
}

/// What those who listen are told.
#[derive(Debug, Clone)]
pub enum Event {
    /// A synchronization starts.
    Started(Why),
    /// It goes on.
    Progress(Step),
    /// It has ended.
    Done(Arc<Report>),
    /// It has failed.
    Failed(Failed),
}

/// How the last synchronization ended.
#[derive(Debug, Clone, Serialize)]
pub struct Ended {
    /// When, UTC.
    pub at: String,
    /// What it did.
    pub report: Option<Arc<Report>>,
    /// Why it failed.
    pub failed: Option<Failed>,
}

/// What the service is doing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Now {
    /// Its process.
    pub pid: u32,
    /// Since when it runs, UTC.
    pub since: String,
    /// Why a synchronization is running, if one is.
    pub running: Option<Why>,
    /// How far it is.
    pub step: Option<Step>,
    /// How the last one ended.
    pub last: Option<Ended>,
    /// How many in a row have failed.
    pub failures: u32,
    /// When the next one is due, UTC; `None` if it is only run when asked.
    pub next: Option<String>,
    /// Why the folder does not tell of changes and is looked at instead, if so.
    pub polling: Option<String>,
    /// How many synchronizations it has run.
    pub runs: u64,
    /// The directory of its own log, if it keeps one.
    pub log: Option<String>,
}

impl Now {
    pub(super) fn end(&mut self, ended: Ended) {
        self.running = None;
        self.step = None;
        self.last = Some(ended);
        self.runs += 1;
    }
}
