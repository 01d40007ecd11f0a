//! The engine: look, take, settle, give, count. One synchronization from lock to report.

mod agree;
mod ahead;
mod commit;
mod diff;
mod dry;
pub mod env;
mod error;
mod finish;
mod fresh;
mod gather;
mod give;
mod heir;
mod hush;
mod identity;
mod keep;
mod large;
mod last;
mod look;
pub mod lookup;
mod loose;
mod matches;
mod moves;
pub mod orders;
mod pipeline;
mod provide;
mod queue;
mod renamed;
mod room;
mod same;
mod scan;
mod settle;
mod swap;
mod take;
pub(crate) mod tell;
mod through;
mod timer;
mod token;
mod unite;
mod vanished;
mod walk;
mod whole;
mod withdraw;
mod work;

pub use agree::differs;
pub use dry::dry_run;
pub use env::{Env, Now};
pub use error::Error;
pub use fresh::{had, hear};
pub use orders::Order;
pub(crate) use token::check_account;
pub use token::{Keeper, NoKeeper};

use crate::folder::{self, Folder};
use crate::host::capture;
use crate::host::mapping::Mapping;
use crate::host::quiet::loud;
use crate::id::{RecordId, SiteId, Uuid};
use crate::manifest::{self, Manifest};
use crate::report::Report;
use crate::stamp::{Clock, Stamp, Time};
use crate::state::{self, Peer, State};
use lookup::Lookup;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use timer::At;
use work::Works;

/// What a person set for the synchronization.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The site's name.
    pub site_name: String,
    /// Whether this site writes a change log.
    pub use_logs: bool,
    /// Whether conflict files are deleted once merged.
    pub delete_conflicts: bool,
}

/// What this synchronization shall do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Look at every file.
    pub full: bool,
    /// Read every row of the host, too: for changes that no trigger noted.
    pub scan: bool,
    /// A person's yes to a plan that was shown.
    pub confirm: Option<String>,
    /// A person's yes to writing a folder anew that is lost for good.
    pub rebuild: bool,
    /// Say where the time went.
    pub timings: bool,
    /// What people decided, by record.
    pub orders: Vec<(RecordId, Order)>,
}

/// Progress, for a bar: what is being done, how far, of how many.
pub type Progress<'p> = &'p mut dyn FnMut(&'static str, u64, u64);

pub(crate) struct Engine<'a> {
    conn: &'a Connection,
    state: State<'a>,
    folder: &'a dyn Folder,
    mapping: &'a Mapping,
    settings: &'a Settings,
    options: &'a Options,
    env: &'a mut Env,
    started_ms: u64,
    keeper: &'a dyn Keeper,
    manifest: Manifest,
    site: SiteId,
    site_name: String,
    clock: Clock,
    ticked: bool,
    /// A stamp of ours was met that we never gave: a copy writes under our name.
    fork: bool,
    token_renewed: bool,
    settled: BTreeSet<RecordId>,
    incoming: BTreeSet<RecordId>,
    bulk: bool,
    undelivered: bool,
    refused: bool,
    report: Report,
    timer: timer::Timer,
    run: Option<i64>,
    lookup: Lookup<'a>,
    notes: look::Notes,
    roots: identity::NewRoots,
    doubts: BTreeMap<(usize, Vec<u8>), RecordId>,
    due: Vec<(RecordId, String, Vec<u8>)>,
    again: BTreeSet<RecordId>,
    /// Deleted records that live rows must point to.
    back: BTreeSet<RecordId>,
    revived: BTreeSet<RecordId>,
    /// Records whose root row is gone while its key names another row now.
    severed: BTreeSet<RecordId>,
    refile: BTreeSet<RecordId>,
    conflicts: Vec<(String, RecordId, folder::Stat, String)>,
    /// Records found under other records' names.
    stray_sources: BTreeMap<RecordId, Vec<crate::record::Record>>,
    /// Records whose file's place another record's bytes had: written once those are taken in.
    written_over: BTreeSet<RecordId>,
    dirs: BTreeMap<String, i64>,
    new_dirs: BTreeMap<String, i64>,
    peers: BTreeMap<SiteId, Peer>,
    requests_done: Vec<i64>,
    fresh: diff::Fresh,
    /// Record files as last seen, once a walk needs them.
    file_stats: Option<BTreeMap<RecordId, Option<(u64, i64)>>>,
    /// What was found out about files, to be written under the next lock.
    marks: Vec<walk::Mark>,
    /// What records' rows look like that were found as they were stored.
    prints: Vec<(i64, state::RowsPrint)>,
    /// Draws records up as bytes.
    easel: pipeline::Easel,
    /// No record of the type being settled has anything to match.
    unmatched: bool,
    /// Record files read ahead.
    ahead: Option<pipeline::Ahead>,
    /// Rows read ahead.
    rows_ahead: Option<ahead::RowsAhead>,
    /// Another thread draws up what this one prepares.
    aside: bool,
    /// What is left of records that were stored, for whoever draws up the next.
    left: Vec<(settle::Prepared, crate::state::Stored)>,
    /// Writes record files meanwhile.
    writer: Option<pipeline::Writer>,
    /// Grows whenever the host, or a trigger or cascade of it, was seen to touch what may be prepared.
    looks: u64,
    /// Room for the host.
    room: room::Room,
    hush: hush::Hush,
    /// Inside a transaction that only reads.
    reading: bool,
    /// How many rows were inserted into the host since the notes were last looked at.
    inserted: usize,
    /// Large values whose content may be needed here no more.
    spare: BTreeSet<crate::value::Hash>,
    /// What is under way about records that are one.
    same: same::Same,
    /// What is deleted once everything else is settled.
    last: last::Last,
    heir: heir::Heir,
    whole: whole::Whole,
}

/// Synchronizes a database with a folder, once.
pub fn sync(
    conn: &Connection,
    folder: &dyn Folder,
    mapping: &Mapping,
    settings: &Settings,
    options: &Options,
    env: &mut Env,
    keeper: &dyn Keeper,
    progress: Progress<'_>,
) -> Result<Report, Error> {
    if state::layout(conn)?.is_none() {
        return Err(Error::NotSetUp);
    }
    state::upgrade(conn)?;
    loud(conn)?;
    // A commit of ours must not wait for the disk while the host waits for the lock: what is
    // committed is made durable in one go, before anything that tells of it leaves this database
    // (decision 0008). In rollback-journal mode this setting still syncs what matters.
    //
    // A record's savepoint keeps every page it touches: in memory, not in a file of its own.
    // The pragma for foreign keys would have everything prepared anew each time.
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 4000")?;
    let wanted = State::new(conn, Uuid::nil()).meta_uuid("folder")?.ok_or(Error::NotSetUp)?;
    let manifest = read_manifest(folder)?;
    if manifest.folder != wanted && !crate::planted::bug("any-folder") {
        return Err(Error::OtherFolder { place: folder.place(), wanted, found: manifest.folder });
    }
    let state = State::new(conn, wanted);
    agree::agrees(&state, &manifest, mapping)?;
    let clock = Clock {
        last: Time { ms: state.meta::<i64>("clock_ms")?.unwrap_or(0).unsigned_abs(), counter: u32::try_from(state.meta::<i64>("clock_counter")?.unwrap_or(0)).unwrap_or(0) },
    };
    let mut e = Engine {
        conn,
        state,
        folder,
        mapping,
        settings,
        options,
        site: state.site()?,
        site_name: settings.site_name.clone(),
        clock,
        ticked: false,
        fork: false,
        token_renewed: false,
        settled: BTreeSet::new(),
        incoming: BTreeSet::new(),
        bulk: false,
        undelivered: false,
        refused: false,
        report: Report::default(),
        timer: timer::Timer::new(env.watch()),
        run: None,
        lookup: Lookup::new(conn, state, mapping),
        notes: look::Notes::default(),
        roots: identity::NewRoots::default(),
        doubts: BTreeMap::new(),
        due: Vec::new(),
        again: BTreeSet::new(),
        back: BTreeSet::new(),
        revived: BTreeSet::new(),
        severed: BTreeSet::new(),
        refile: BTreeSet::new(),
        conflicts: Vec::new(),
        stray_sources: BTreeMap::new(),
        written_over: BTreeSet::new(),
        dirs: state.dirs()?,
        new_dirs: BTreeMap::new(),
        peers: BTreeMap::new(),
        requests_done: Vec::new(),
        fresh: diff::Fresh::new(),
        file_stats: None,
        marks: Vec::new(),
        prints: Vec::new(),
        easel: pipeline::Easel::new(wanted, &state)?,
        unmatched: false,
        ahead: None,
        rows_ahead: None,
        aside: false,
        left: Vec::new(),
        writer: None,
        looks: 0,
        room: room::Room::default(),
        hush: hush::Hush::default(),
        reading: false,
        inserted: 0,
        spare: BTreeSet::new(),
        same: same::Same::default(),
        last: last::Last::new(mapping),
        heir: heir::Heir::default(),
        whole: whole::Whole::default(),
        manifest,
        started_ms: env.now.ms(),
        env,
        keeper,
    };
    // Without triggers in the host's schema, this connection alone hears what our own writes do.
    let done = if mapping.scan { capture::listen(conn, mapping).map_err(Error::from) } else { Ok(()) }.and_then(|()| e.run(progress));
    if done.is_err() {
        // The connection may be used again.
        e.rollback();
    }
    loud(conn)?;
    if mapping.scan {
        capture::hush(conn)?;
    }
    done?;
    e.report.seconds = e.seconds();
    if options.timings {
        e.report.timings = e.timings();
    }
    Ok(e.report)
}

/// Reads the folder's manifest.
pub fn read_manifest(folder: &dyn Folder) -> Result<Manifest, Error> {
    let bytes = folder.read(manifest::FILE_NAME, 1 << 20)?.ok_or_else(|| Error::NoFolder { place: folder.place() })?;
    Manifest::read(&bytes).map_err(|source| Error::Manifest { place: folder.place(), source })
}

impl Engine<'_> {
    fn run(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        // Who we are may depend on what the others say of us.
        self.read_sites()?;
        if self.ensure_identity()? {
            // The file of the site that this was is another's from now on.
            self.read_sites()?;
        }
        self.find_places()?;
        self.find_kept_whole()?;
        self.now_at(At::Look);
        let made = fresh::hear(&self.state, self.mapping)?;
        self.state.keep_prints(self.mapping.scan)?;
        let last_full: i64 = self.state.meta("full_ms")?.unwrap_or(-1);
        let day_over = self.now() - last_full > 86_400_000 || self.now() < last_full;
        let held = self.state.meta::<i64>("refused")?.unwrap_or(0) != 0;
        let full = self.options.full || !self.settings.use_logs || day_over || held;
        let upgraded = self.find_fresh()?;
        self.look()?;
        self.compare_all(progress)?;
        self.look_at_all(&upgraded)?;
        self.look_further(&made)?;
        self.now_at(At::Folder);
        let mut works = Works::default();
        self.discover(&mut works, full)?;
        if self.refused {
            self.finish(full)?;
            return Ok(());
        }
        for id in std::mem::take(&mut self.notes.dirty) {
            let known = works.has(&id);
            let work = works.touch(id);
            work.dirty = true;
            work.scanned |= !known && self.notes.scanned.contains(&id);
        }
        self.now_at(At::Decide);
        self.delete_requests(&mut works)?;
        let new_day = self.new_day()?;
        let kept = if new_day { self.retention()? } else { Vec::new() };
        for (id, order) in self.options.orders.iter().cloned().chain(kept) {
            let work = works.touch(id);
            work.dirty = true;
            work.orders.push(order);
        }
        self.bulk = (works.len() + self.roots.len()) as u64 > self.env.bulk.saturating_mul(4);
        self.settle_all(works, progress)?;
        self.now_at(At::Write);
        self.give_large()?;
        self.give_left_over()?;
        self.now_at(At::Log);
        self.put_back_segments(full)?;
        let withdrawn = self.find_withdrawn()?;
        self.seal()?;
        self.give_segments()?;
        self.clear_conflicts()?;
        self.now_at(At::Finish);
        self.finish(full)?;
        let range = if new_day { self.compact()? } else { None };
        self.give_site()?;
        self.remove_withdrawn(&withdrawn)?;
        self.remove_large(new_day)?;
        self.remove_segments(range)
    }

    fn lock(&mut self) -> Result<(), Error> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.lookup.new_transaction();
        self.still_quiet()
    }

    fn unlock(&mut self) -> Result<(), Error> {
        self.timed(At::Commit, Self::unlock_now)
    }

    fn unlock_now(&mut self) -> Result<(), Error> {
        if self.ticked {
            self.state.set_meta("clock_ms", self.clock.last.ms.cast_signed())?;
            self.state.set_meta("clock_counter", i64::from(self.clock.last.counter))?;
        }
        if let Err(e) = self.conn.prepare_cached("COMMIT").and_then(|mut q| q.execute([])) {
            self.rollback();
            return Err(e.into());
        }
        Ok(())
    }

    /// Makes everything committed so far durable. Called before anything is written to the folder.
    fn make_durable(&mut self) -> Result<(), Error> {
        self.conn.execute_batch(if crate::planted::bug("told-before-durable") { "PRAGMA synchronous = NORMAL" } else { "PRAGMA synchronous = FULL" })?;
        let done = self.lock().and_then(|()| {
            let n: i64 = self.state.meta("durable")?.unwrap_or(0);
            self.state.set_meta("durable", n.wrapping_add(1))?;
            self.unlock()
        });
        self.conn.execute_batch("PRAGMA synchronous = NORMAL")?;
        done
    }

    fn rollback(&self) {
        if !self.conn.is_autocommit() {
            // Nothing else can be done; SQLite rolls back by itself when the connection closes.
            let _closing_does_it = self.conn.execute_batch("ROLLBACK");
        }
    }

    /// Brings a deleted record back, once a sync.
    fn revive(&mut self, id: RecordId) {
        if self.revived.insert(id) {
            self.back.insert(id);
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.env.now.ms()).unwrap_or(i64::MAX)
    }

    fn tick(&mut self) -> Stamp {
        self.ticked = true;
        let now = self.env.now.ms();
        if now > self.clock.last.ms {
            // Two copies of one site that write in the same millisecond must not give one stamp.
            self.clock.last = Time { ms: now.min(crate::stamp::MAX_MS), counter: (self.env.random.bits() % 9000) as u32 };
        }
        self.clock.tick(now, self.site)
    }

    fn observe(&mut self, s: Stamp) {
        if s.time > self.clock.last {
            self.ticked = true;
        }
        self.clock.observe(s.time);
    }
}
