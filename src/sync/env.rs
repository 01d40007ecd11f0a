//! The clock and the dice, which come in as arguments.

use crate::id::Random;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What time it is.
#[derive(Debug, Clone)]
pub enum Now {
    /// By the machine's clock.
    System,
    /// As told, in milliseconds since 1970.
    Told(Rc<Cell<u64>>),
}

impl Now {
    /// Milliseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn ms(&self) -> u64 {
        match self {
            Now::System => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            Now::Told(t) => t.get(),
        }
    }
}

/// Measures how long something takes.
#[derive(Debug)]
pub enum Watch {
    /// By the machine's clock.
    Real(Instant),
    /// Where the clock is told, every look at it takes as long: a story goes the same way twice.
    Told(Cell<u32>),
}

/// How long a look at a told watch takes.
const LOOK: Duration = Duration::from_millis(6);

impl Watch {
    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        match self {
            Watch::Real(start) => start.elapsed(),
            Watch::Told(looks) => {
                looks.set(looks.get().saturating_add(1));
                LOOK * looks.get()
            }
        }
    }
}

/// Clock, dice, and how the machine is used.
#[derive(Debug, Clone)]
pub struct Env {
    /// The clock.
    pub now: Now,
    /// The dice.
    pub random: Random,
    /// From how many records on other threads help.
    pub many: usize,
    /// From how many changed records on a sync names them instead of sending their deltas.
    pub bulk: u64,
}

/// Below this, starting threads costs more than they bring.
const MANY: usize = 128;
/// Deltas of more records than these are more to read than the files they are about.
const BULK: u64 = 500;

impl Env {
    /// A told clock and seeded dice.
    pub fn told(now: Now, random: Random) -> Self {
        Env { now, random, many: MANY, bulk: BULK }
    }

    /// A watch that starts now.
    pub fn watch(&self) -> Watch {
        match self.now {
            Now::System => Watch::Real(Instant::now()),
            Now::Told(_) => Watch::Told(Cell::new(0)),
        }
    }

    /// The machine's own.
    pub fn system() -> Self {
        Env { now: Now::System, random: Random::system(), many: MANY, bulk: BULK }
    }
}
