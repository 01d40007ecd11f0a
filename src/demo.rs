//! Two clinics on invented data, end to end: what `cfs demo` runs and tells.

mod story;

use crate::config::Config;
use crate::host::propose::{InitOptions, Settings, propose, render};
use crate::host::schema::Schema;
use crate::id::RecordId;
use crate::report::Report;
use crate::sync::{Options, Order};
use crate::synchronizer::{Error, Synchronizer, open_database};
use rusqlite::Connection;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const SCHEMA: &str = include_str!("../fixtures/clinic/schema.sql");
const NORTH: &str = include_str!("../fixtures/clinic/north.sql");
const SOUTH: &str = include_str!("../fixtures/clinic/south.sql");

/// One step of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is about.
    pub title: String,
    /// What happened, a sentence or two each.
    pub told: Vec<String>,
}

/// Something to look at afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// What one sees.
    pub what: String,
    /// A command that works when it is copied.
    pub command: String,
}

/// The whole story.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// Where everything is.
    pub dir: String,
    /// How long it took.
    pub seconds: f64,
    /// What happened.
    pub steps: Vec<Step>,
    /// What to look at next.
    pub next: Vec<Next>,
}

/// Runs the demo in a directory that is empty or not there. `tell` is given each step as it ends.
pub fn run(dir: &Path, tell: &mut dyn FnMut(&Step)) -> Result<Told, Error> {
    let start = Instant::now();
    let refuse = |why: &str| Error::Usage(format!("{}: {why}", dir.display()));
    if dir.exists() {
        let mut entries = std::fs::read_dir(dir).map_err(|_| refuse("is not a directory that can be read; name another"))?;
        if entries.next().is_some() {
            return Err(refuse("is not empty; the demo wants a directory of its own, for example: cfs demo ./cfs-demo-2"));
        }
    }
    for sub in ["north", "south", "folder", "state"] {
        std::fs::create_dir_all(dir.join(sub)).map_err(|e| refuse(&format!("cannot be made: {e}")))?;
    }
    let dir = dunce::canonicalize(dir).map_err(|e| refuse(&e.to_string()))?;
    let north = Place::set_up(&dir, "North", NORTH)?;
    let mut demo = Demo { steps: Vec::new(), tell };
    let next = story::tell(&mut demo, &dir, north)?;
    Ok(Told { dir: dir.display().to_string(), seconds: start.elapsed().as_secs_f64(), steps: demo.steps, next })
}

/// Collects the story.
struct Demo<'t> {
    steps: Vec<Step>,
    tell: &'t mut dyn FnMut(&Step),
}

impl Demo<'_> {
    fn step(&mut self, title: &str, told: Vec<String>) {
        let step = Step { title: title.to_owned(), told };
        (self.tell)(&step);
        self.steps.push(step);
    }
}

/// One of the clinics.
struct Place {
    s: Synchronizer,
    /// The clinic's own application, so to say.
    app: Connection,
    config: PathBuf,
}

impl Place {
    /// A clinic with its data, set up for the folder.
    fn set_up(dir: &Path, name: &str, data: &str) -> Result<Place, Error> {
        let home = dir.join(name.to_lowercase());
        let database = home.join("clinic.db");
        let app = Connection::open(&database)?;
        app.execute_batch("PRAGMA journal_mode = WAL")?;
        app.execute_batch(SCHEMA)?;
        app.execute_batch(data)?;
        let conn = open_database(&database)?;
        let options = InitOptions { match_on: Some(vec!["national_id".to_owned()]), ..InitOptions::default() };
        let mut proposal = propose(&conn, &Schema::read(&conn)?, &options).map_err(|e| Error::Usage(e.to_string()))?;
        proposal.settings = Settings { database: "clinic.db".to_owned(), folder: "../folder".to_owned(), site: name.to_owned(), ..Default::default() };
        let config = home.join("cfs.toml");
        let text = format!("# Kept in the demo's own directory, so that nothing is left elsewhere.\nstate_dir = \"../state\"\n\n{}", render(&proposal));
        let written = std::fs::File::create(&config).and_then(|mut f| f.write_all(text.as_bytes()));
        written.map_err(|e| Error::Usage(format!("{}: {e}", config.display())))?;
        let s = Synchronizer::open(Config::load(&config)?)?;
        s.set_up()?;
        Ok(Place { s, app, config })
    }

    fn sync(&self) -> Result<Report, Error> {
        self.s.sync_now(&Options::default(), &mut |_, _, _| {})
    }

    fn order(&self, orders: Vec<(RecordId, Order)>) -> Result<Report, Error> {
        self.s.sync_now(&Options { orders, ..Options::default() }, &mut |_, _, _| {})
    }

    /// What the clinic's application does.
    fn app(&self, sql: &str) -> Result<(), Error> {
        Ok(self.app.execute_batch(sql)?)
    }

    /// What the clinic's application shows.
    fn see(&self, sql: &str) -> Result<String, Error> {
        Ok(self.app.query_row(sql, [], |r| r.get::<_, Option<String>>(0))?.unwrap_or_else(|| "(empty)".to_owned()))
    }

    /// A command of the command line for this clinic.
    fn command(&self, rest: &str) -> String {
        format!("cfs --config {} {rest}", quoted(&self.config))
    }
}

/// A path that a shell takes as one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c) || cfg!(windows) && c == '\\');
    if plain {
        text
    } else if cfg!(windows) {
        // No path there can have this mark in it.
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
