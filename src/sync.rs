//! The engine: look, take, settle, give, count. One synchronization from lock to report.

mod diff;
mod dry;
pub mod env;
mod give;
mod identity;
mod keep;
mod look;
pub mod lookup;
pub mod orders;
mod settle;
mod swap;
pub(crate) mod tell;
mod take;
mod token;
mod withdraw;

pub use dry::dry_run;
pub use env::{Env, Now};
pub use orders::Order;
pub use token::{Keeper, NoKeeper};

use crate::folder::{self, Folder};
use crate::host::capture;
use crate::host::mapping::Mapping;
use crate::host::rows::{self, Span};
use crate::id::{RecordId, SiteId, Uuid};
use crate::manifest::{self, Manifest};
use crate::report::Report;
use crate::stamp::{Clock, Stamp, Time};
use crate::state::{self, ChangeRow, Peer, State};
use lookup::Lookup;
use rusqlite::Connection;
use settle::{Prepared, Work};
use std::collections::{BTreeMap, BTreeSet};

/// Why a synchronization did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host database refused.
    #[error("the host database: {0}")]
    Host(#[from] crate::host::Error),
    /// Our tables in it.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The sync folder.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// SQLite.
    #[error("the host database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// There is no manifest where the folder should be.
    #[error("{place} is not this clinic's sync folder: it has no {}. Is the drive mounted, the cloud client signed in? Nothing was read as missing and nothing was written", manifest::FILE_NAME)]
    NoFolder {
        /// Where it was looked for.
        place: String,
    },
    /// Another folder stands there.
    #[error("{place} is another sync folder ({found}, not {wanted}). Nothing was written. Point `folder` in cfs.toml to the right one")]
    OtherFolder {
        /// Where it was looked for.
        place: String,
        /// The folder the database belongs to.
        wanted: Uuid,
        /// The folder found.
        found: Uuid,
    },
    /// The manifest does not read.
    #[error("the file {} in {place} cannot be read ({source}); it is left alone", manifest::FILE_NAME)]
    Manifest {
        /// Where.
        place: String,
        /// Why.
        source: crate::xml::Error,
    },
    /// The database was not set up.
    #[error("this database was not set up for synchronization; run `cfs init`")]
    NotSetUp,
    /// The small file outside the database.
    #[error("the state file {path}: {source}")]
    Keeper {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

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
    /// A person's yes to a plan that was shown.
    pub confirm: Option<String>,
    /// What people decided, by record.
    pub orders: Vec<(RecordId, Order)>,
}

/// Progress, for a bar: what is being done, how far, of how many.
pub type Progress<'p> = &'p mut dyn FnMut(&'static str, u64, u64);

/// A write transaction of ours stops at this, so that the host waits no longer.
const LOCK_MS: u128 = 25;
/// How many records are prepared before the lock is taken.
const CHUNK: usize = 64;

pub(crate) struct Engine<'a> {
    conn: &'a Connection,
    state: State<'a>,
    folder: &'a dyn Folder,
    mapping: &'a Mapping,
    settings: &'a Settings,
    options: &'a Options,
    env: &'a mut Env,
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
    matched: u64,
    report: Report,
    run: Option<i64>,
    lookup: Lookup<'a>,
    notes: look::Notes,
    roots: identity::NewRoots,
    doubts: BTreeMap<(usize, Vec<u8>), RecordId>,
    pairs: BTreeMap<(RecordId, RecordId), String>,
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
    twin_site: Option<u64>,
    fresh: diff::Fresh,
    /// Records that this sync learned are erased.
    erased: BTreeSet<RecordId>,
}

/// Synchronizes a database with a folder, once.
#[expect(clippy::too_many_arguments, reason = "these are the doors and the settings; each has one use")]
pub fn sync(conn: &Connection, folder: &dyn Folder, mapping: &Mapping, settings: &Settings, options: &Options, env: &mut Env, keeper: &dyn Keeper, progress: Progress<'_>) -> Result<Report, Error> {
    let started = env.now.ms();
    if state::layout(conn)?.is_none() {
        return Err(Error::NotSetUp);
    }
    conn.execute_batch("PRAGMA foreign_keys = ON")?;
    let wanted = State::new(conn, Uuid::nil()).meta_uuid("folder")?.ok_or(Error::NotSetUp)?;
    let manifest = read_manifest(folder)?;
    if manifest.folder != wanted {
        return Err(Error::OtherFolder { place: folder.place(), wanted, found: manifest.folder });
    }
    let state = State::new(conn, wanted);
    let clock = Clock { last: Time { ms: state.meta::<i64>("clock_ms")?.unwrap_or(0).unsigned_abs(), counter: u32::try_from(state.meta::<i64>("clock_counter")?.unwrap_or(0)).unwrap_or(0) } };
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
        matched: 0,
        report: Report::default(),
        run: None,
        lookup: Lookup::new(conn, state, mapping),
        notes: look::Notes::default(),
        roots: identity::NewRoots::default(),
        doubts: BTreeMap::new(),
        pairs: BTreeMap::new(),
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
        twin_site: None,
        fresh: diff::Fresh::new(),
        erased: BTreeSet::new(),
        manifest,
        env,
        keeper,
    };
    e.run(progress)?;
    e.report.seconds = e.env.now.ms().saturating_sub(started) as f64 / 1000.0;
    Ok(e.report)
}

/// Reads the folder's manifest.
pub fn read_manifest(folder: &dyn Folder) -> Result<Manifest, Error> {
    let bytes = folder.read(manifest::FILE_NAME, 1 << 20)?.ok_or_else(|| Error::NoFolder { place: folder.place() })?;
    Manifest::read(&bytes).map_err(|source| Error::Manifest { place: folder.place(), source })
}

impl Engine<'_> {
    fn run(&mut self, progress: Progress<'_>) -> Result<(), Error> {
        self.ensure_identity()?;
        let made = capture::install(self.conn, self.mapping)?;
        let last_full: i64 = self.state.meta("full_ms")?.unwrap_or(-1);
        let day_over = self.now() - last_full > 86_400_000 || self.now() < last_full;
        let first = self.state.meta::<i64>("scanned")?.is_none();
        let held = self.state.meta::<i64>("refused")?.unwrap_or(0) != 0;
        let full = self.options.full || !self.settings.use_logs || day_over || held;
        let upgraded = self.find_fresh()?;
        self.look()?;
        if !upgraded.is_empty() {
            self.look_at_all(&upgraded)?;
        }
        if first || self.options.full {
            let all: Vec<usize> = (0..self.mapping.types.len()).collect();
            self.look_at_all(&all)?;
        } else if !made.is_empty() {
            let kinds: BTreeSet<usize> = made.iter().filter_map(|t| self.mapping.table(t)).filter_map(|t| self.mapping.tables.get(t)).map(|t| t.kind).collect();
            self.look_at_all(&kinds.into_iter().collect::<Vec<_>>())?;
        }
        let mut works = take::Works::new();
        self.discover(&mut works, full)?;
        if self.refused {
            self.finish(full)?;
            return Ok(());
        }
        for id in std::mem::take(&mut self.notes.dirty) {
            works.entry(id).or_insert_with(|| Work { id, ..Work::default() }).dirty = true;
        }
        self.delete_requests(&mut works)?;
        let new_day = self.new_day()?;
        let kept = if new_day { self.retention()? } else { Vec::new() };
        for (id, order) in self.options.orders.iter().cloned().chain(kept) {
            let work = works.entry(id).or_insert_with(|| Work { id, ..Work::default() });
            work.dirty = true;
            work.orders.push(order);
        }
        self.bulk = works.len() + self.roots.len() > 2000;
        self.settle_all(works, progress)?;
        self.give_left_over()?;
        let withdrawn = self.find_withdrawn()?;
        self.seal()?;
        self.give_segments()?;
        self.clear_conflicts()?;
        self.finish(full)?;
        let range = if new_day { self.compact()? } else { None };
        self.give_site()?;
        self.remove_withdrawn(&withdrawn)?;
        self.remove_segments(range)
    }

    /// The columns that are synchronized, as text: a line for each table.
    fn columns(&self) -> String {
        let line = |t: &crate::host::mapping::Table| {
            let mut names: Vec<&str> = t.columns.iter().map(|c| c.name.as_str()).chain(t.references.iter().map(|r| r.field.as_str())).collect();
            names.sort_unstable();
            names.dedup();
            serde_json::json!([t.name, names]).to_string()
        };
        self.mapping.tables.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Finds columns that the host has only since the last sync, and the types they belong to.
    fn find_fresh(&mut self) -> Result<Vec<usize>, Error> {
        let Some(before) = self.state.meta::<String>("columns")? else { return Ok(Vec::new()) };
        let now = self.columns();
        if before == now {
            return Ok(Vec::new());
        }
        let had: BTreeMap<String, Vec<String>> = before.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let mut kinds = BTreeSet::new();
        for t in &self.mapping.tables {
            let Some(old) = had.get(&t.name) else { continue };
            for c in t.columns.iter().filter(|c| !old.contains(&c.name)) {
                let default: Option<String> = self.conn.query_row("SELECT dflt_value FROM pragma_table_info(?1) WHERE name = ?2", [&t.name, &c.name], |r| r.get(0))?;
                let value = match default {
                    Some(sql) => self.conn.query_row(&format!("SELECT {sql}"), [], |r| Ok(rows::value_of(r.get_ref(0)?))).unwrap_or(crate::value::Value::Null),
                    None => crate::value::Value::Null,
                };
                self.fresh.insert((t.name.clone(), c.name.clone()), value);
                kinds.insert(t.kind);
            }
        }
        Ok(kinds.into_iter().collect())
    }

    /// Settles everything: shared types before those that point to them, what came before what is
    /// new here, and again whatever waited for something that is here now.
    fn settle_all(&mut self, works: take::Works, progress: Progress<'_>) -> Result<(), Error> {
        let total = works.len() as u64 + self.roots.len() as u64;
        let mut done = 0;
        let mut by_kind: BTreeMap<usize, Vec<Work>> = BTreeMap::new();
        for (id, mut w) in works {
            let stored = self.state.root_of(&id)?.map(|(k, _, _)| k);
            let from_items = w.items.first().map(|(_, _, i)| match i {
                crate::log::Item::Delta(d) => d.part.kind.clone(),
                crate::log::Item::Named { kind, .. } => kind.clone(),
            });
            let from_path = || {
                let dir = w.files.first().and_then(|f| f.split('/').nth(1))?.to_owned();
                self.mapping.types.iter().position(|k| crate::names::type_name(&k.name) == dir)
            };
            w.kind = w.kind.or_else(|| stored.or(from_items).and_then(|k| self.mapping.kind(&k))).or_else(from_path);
            by_kind.entry(w.kind.unwrap_or(usize::MAX)).or_default().push(w);
        }
        let mut kinds: BTreeSet<usize> = by_kind.keys().copied().collect();
        kinds.extend(0..self.mapping.types.len());
        for kind in kinds {
            let mut list = by_kind.remove(&kind).unwrap_or_default();
            // Identities first, so that rows of this type can point to each other, and so that a
            // link between two of them is known for the same link.
            self.meet_all(&mut list)?;
            let mut new: Vec<(crate::host::key::HostKey, RecordId)> = Vec::new();
            for key in self.roots.of(kind) {
                let id = self.identify(kind, &key)?;
                new.push((key, id));
            }
            for chunk in chunks(list) {
                done += chunk.len() as u64;
                self.settle_chunk(chunk)?;
                progress("settling records", done, total);
            }
            for chunk in new.chunks(CHUNK * 4) {
                done += chunk.len() as u64;
                let works = self.read_ahead(kind, chunk)?;
                for chunk in chunks(works) {
                    self.settle_chunk(chunk)?;
                }
                progress("sending records", done, total);
            }
        }
        self.take_strays()?;
        // What waited for a record that is here now, and what pointed to one that had no name yet.
        for _ in 0..8 {
            let mut again = std::mem::take(&mut self.again);
            let back = std::mem::take(&mut self.back);
            again.extend(&back);
            if again.is_empty() {
                break;
            }
            let mut list: Vec<Work> = again.into_iter().map(|id| Work { id, dirty: true, ..Work::default() }).collect();
            for work in list.iter_mut().filter(|w| back.contains(&w.id)) {
                if let Some((kind, _, _)) = self.state.root_of(&work.id)? {
                    self.report.notices.push(format!("a deleted {kind} is back: rows that must point to it are still there ({})", work.id));
                    work.orders.push(Order::Restore { row: crate::record::RowKey::new(kind, work.id) });
                }
            }
            for chunk in chunks(list) {
                self.settle_chunk(chunk)?;
            }
        }
        self.swap_held()
    }

    /// Finds out which new records are root rows that the host has had all along.
    fn meet_all(&mut self, list: &mut [Work]) -> Result<(), Error> {
        self.incoming = list.iter().map(|w| w.id).collect();
        if self.roots.len() == 0 {
            return Ok(());
        }
        for work in list.iter_mut().filter(|w| w.root.is_none()) {
            if self.state.number(&work.id)?.is_some() {
                continue;
            }
            let known = self.peek(work)?;
            self.meet(work, &known)?;
        }
        Ok(())
    }

    /// Takes in records that stood under other records' names, before those are written again.
    fn take_strays(&mut self) -> Result<(), Error> {
        let strays: Vec<RecordId> = self.stray_sources.keys().copied().collect();
        let list = strays.into_iter().map(|id| Work { id, ..Work::default() }).collect();
        for chunk in chunks(list) {
            self.settle_chunk(chunk)?;
        }
        self.written_over.clear();
        self.give_files(false)
    }

    /// Reads the rows of many records of one type at once.
    fn read_ahead(&mut self, kind: usize, chunk: &[(crate::host::key::HostKey, RecordId)]) -> Result<Vec<Work>, Error> {
        let mut rows = match (chunk.first(), chunk.last()) {
            (Some((a, _)), Some((b, _))) if a.len() == 1 && chunk.len() > 8 && dense(a, b, chunk.len()) => {
                let (Some(a), Some(b)) = (a.first(), b.first()) else { return Ok(Vec::new()) };
                rows::read(self.conn, self.mapping, kind, Span::Range(a, b))?
            }
            _ => BTreeMap::new(),
        };
        Ok(chunk.iter().map(|(key, id)| Work { kind: Some(kind), id: *id, root: Some(key.clone()), dirty: true, rows: rows.remove(&crate::host::key::encode(key)), ..Work::default() }).collect())
    }

    /// Prepares records without a lock, then applies them in transactions as short as the host needs.
    fn settle_chunk(&mut self, chunk: Vec<Work>) -> Result<(), Error> {
        let mut prepared: Vec<Prepared> = Vec::new();
        for work in chunk {
            if let Some(p) = self.prepare(work)? {
                prepared.push(p);
            }
        }
        self.renew_token()?;
        let mut queue = prepared.into_iter();
        let mut next = queue.next();
        while next.is_some() {
            self.lock()?;
            let start = std::time::Instant::now();
            if capture::newest(self.conn)? != self.notes.upto {
                // The host wrote meanwhile: what it touched is looked at again, on its own.
                self.unlock()?;
                self.notes.foreign = true;
                self.ticked = true;
                self.renew_token()?;
                let rest: Vec<Work> = next.into_iter().chain(queue).map(Prepared::again).collect();
                return self.one_by_one(rest);
            }
            while let Some(p) = next.take() {
                self.commit(p)?;
                next = queue.next();
                if start.elapsed().as_millis() > LOCK_MS {
                    break;
                }
            }
            self.drop_own_notes()?;
            self.unlock()?;
        }
        self.give_files(false)
    }

    /// The same under the lock for each record, while the host is writing all the time.
    fn one_by_one(&mut self, rest: Vec<Work>) -> Result<(), Error> {
        for work in rest {
            self.lock()?;
            self.look()?;
            let p = self.prepare(work);
            let r = match p {
                Ok(Some(p)) => self.commit(p),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            if let Err(e) = r {
                self.rollback();
                return Err(e);
            }
            self.drop_own_notes()?;
            self.unlock()?;
        }
        Ok(())
    }

    /// Forgets the notes that our own writes made; the rows they are about were read back.
    fn drop_own_notes(&mut self) -> Result<(), Error> {
        let newest = capture::newest(self.conn)?;
        if newest > self.notes.upto {
            for n in capture::notes(self.conn, self.mapping, self.notes.upto)? {
                self.keep_foreign(&n)?;
            }
            self.notes.upto = newest;
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<(), Error> {
        self.conn.execute_batch("BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON")?;
        Ok(())
    }

    fn unlock(&mut self) -> Result<(), Error> {
        if self.ticked {
            self.state.set_meta("clock_ms", self.clock.last.ms.cast_signed())?;
            self.state.set_meta("clock_counter", i64::from(self.clock.last.counter))?;
        }
        if let Err(e) = self.conn.execute_batch("COMMIT") {
            self.rollback();
            return Err(e.into());
        }
        Ok(())
    }

    fn rollback(&self) {
        if !self.conn.is_autocommit() {
            // Nothing else can be done; SQLite rolls back by itself when the connection closes.
            let _closing_does_it = self.conn.execute_batch("ROLLBACK");
        }
    }

    /// Ends the sync: cursors move only now, when everything they pass is applied or kept.
    fn finish(&mut self, full: bool) -> Result<(), Error> {
        self.report.site = self.site.to_string();
        self.report.records = self.state.count()?;
        let now = self.now();
        let refused = self.refused;
        let was_refused = self.state.meta::<i64>("refused")?.is_some_and(|r| r != 0);
        let seen: i64 = self.state.meta("notes_seen")?.unwrap_or(0);
        let nothing = self.run.is_none() && self.peers.is_empty() && self.new_dirs.is_empty() && self.pairs.is_empty() && self.requests_done.is_empty() && seen == self.notes.upto && !self.ticked && !full && self.report.notices.is_empty();
        if nothing {
            return Ok(());
        }
        self.lock()?;
        if refused != was_refused {
            // Said again at every sync, until a person answers.
            self.state.set_meta("refused", i64::from(refused))?;
        }
        if !refused {
            for (site, p) in std::mem::take(&mut self.peers) {
                self.state.save_peer(&site, &p)?;
            }
            for (dir, mtime) in std::mem::take(&mut self.new_dirs) {
                self.state.set_dir(&dir, mtime)?;
            }
            let upto = if self.notes.foreign { self.notes.first.unwrap_or(self.notes.upto) } else { self.notes.upto };
            capture::forget(self.conn, upto)?;
            self.state.set_meta("notes_seen", upto)?;
            self.state.set_meta("scanned", 1)?;
            if self.state.meta::<String>("columns")? != Some(self.columns()) {
                self.state.set_meta("columns", self.columns())?;
            }
            if self.fork {
                self.state.set_meta("fork", 1)?;
            }
            if full {
                self.state.set_meta("full_ms", now)?;
            }
        }
        for rowid in std::mem::take(&mut self.requests_done) {
            self.conn.execute("DELETE FROM cfs_delete WHERE rowid = ?1", [rowid])?;
        }
        for ((a, b), reason) in std::mem::take(&mut self.pairs) {
            self.conn.execute("DELETE FROM cfs_pair WHERE a = ?1 AND b = ?2", rusqlite::params![a.as_bytes(), b.as_bytes()])?;
            self.conn.execute("INSERT INTO cfs_pair (a, b, reason) VALUES (?1, ?2, ?3)", rusqlite::params![a.as_bytes(), b.as_bytes(), reason])?;
        }
        let busy = self.run.is_some() || self.report.exported + self.report.imported > 0 || !self.report.notices.is_empty();
        if busy {
            let run = self.run_number()?;
            self.report.run = run;
            let text = serde_json::to_string(&self.report).unwrap_or_default();
            self.state.end_run(run, &text)?;
            self.state.forget_runs(now - 365 * 86_400_000)?;
        }
        self.unlock()?;
        self.settle_token()
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

    fn change(&self, id: RecordId, kind: &str, row: Option<&crate::record::RowKey>, field: Option<String>, what: &str, site: Option<SiteId>) -> ChangeRow {
        ChangeRow { id, kind: kind.to_owned(), row: row.map(|r| (r.table.clone(), r.id)), field, old: None, new: None, site, what: what.to_owned() }
    }
}

fn chunks(list: Vec<Work>) -> Vec<Vec<Work>> {
    let mut out: Vec<Vec<Work>> = Vec::new();
    for w in list {
        match out.last_mut() {
            Some(c) if c.len() < CHUNK => c.push(w),
            _ => out.push(vec![w]),
        }
    }
    out
}

/// Whether a range of keys is filled well enough to be read at once.
fn dense(a: &[crate::value::Value], b: &[crate::value::Value], n: usize) -> bool {
    match (a.first(), b.first()) {
        (Some(crate::value::Value::Integer(a)), Some(crate::value::Value::Integer(b))) => b.saturating_sub(*a).unsigned_abs() < 8 * n as u64,
        // Text keys come in order, and nothing lies between them that is not ours.
        (Some(crate::value::Value::Text(_)), Some(crate::value::Value::Text(_))) => true,
        _ => false,
    }
}
