//! The clock and the dice, which come in as arguments.

use crate::id::Random;
use std::cell::Cell;
use std::rc::Rc;

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

/// Clock, dice, and how the machine is used.
#[derive(Debug, Clone)]
pub struct Env {
    /// The clock.
    pub now: Now,
    /// The dice.
    pub random: Random,
    /// From how many records on other threads help.
    pub many: usize,
}

/// Below this, starting threads costs more than they bring.
const MANY: usize = 128;

impl Env {
    /// A told clock and seeded dice.
    pub fn told(now: Now, random: Random) -> Self {
        Env { now, random, many: MANY }
    }

    /// The machine's own.
    pub fn system() -> Self {
        Env { now: Now::System, random: Random::system(), many: MANY }
    }
}
