//! What goes wrong besides late and torn files. Each seed draws which of it may happen at all, and
//! how often: a swarm of stories, each with faults of its own.

use super::acts::TYPED;
use super::oracle::words;
use super::{Dice, Storm};
use crate::dsl::cloud::Copies;
use crate::dsl::faulty::Faulty;
use crate::dsl::meanwhile::Meanwhile;
use crate::dsl::{DAY_MS, Site, schema};
use cloud_folder_sync::folder::memory::{Bytes, Memory};
use cloud_folder_sync::host::local::Away;
use cloud_folder_sync::host::mapping::{LocalDeletes, Mapping};
use cloud_folder_sync::id::{Random, RecordId};
use cloud_folder_sync::record::{Entry, Row, RowKey};
use cloud_folder_sync::state;
use cloud_folder_sync::sync::{Options, Order};
use cloud_folder_sync::value::Value;
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many sites there may be.
const MOST_SITES: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A file is empty for a while.
    Empty,
    /// A file's older version is seen once more before the new one.
    Twice,
    /// All record files go back to older versions.
    AllBack,
    /// A person deletes a file from the folder.
    Removed,
    /// Most record files are gone, and are back later.
    Vanished,
    /// A client makes a second directory of the same name, and puts files there.
    DirTwin,
    /// The program ends in the middle of a sync.
    Crash,
    /// The disk is full in the middle of a sync.
    Full,
    /// The database goes back to how it was.
    Snapshot,
    /// Another computer goes on with a copy of the database.
    Clone,
    /// The same with a copy of the whole machine: nothing at hand tells the two apart.
    Machine,
    /// The clock is years off.
    Clock,
    /// The host is upgraded: a column more.
    Upgrade,
    /// The site does nothing for months.
    Sleep,
    /// A site more.
    Join,
    /// A site is retired.
    Retire,
    /// What is kept beside the database is lost.
    Keeper,
    /// A record is erased.
    Erase,
    /// What was deleted is stripped at once.
    Purge,
    /// A table asks before a local DELETE comes back.
    Ask,
    /// Somebody answers that.
    Answer,
    /// Change logs are turned on or off.
    Logs,
    /// The host builds a table anew.
    Rebuild,
    /// Bytes that mean nothing, and files of others.
    Foreign,
    /// A form that was opened before a sync is saved as it was.
    Form,
    /// The host writes in the middle of a sync.
    Meanwhile,
    /// A letter in a file is another for a while.
    Flip,
    /// Another folder stands in the place of ours, or none.
    Elsewhere,
    /// The folder is there, and the record files are not yet.
    HalfLoaded,
}

const ALL: [Fault; 24] = [
    Fault::Empty,
    Fault::Twice,
    Fault::AllBack,
    Fault::Removed,
    Fault::Vanished,
    Fault::DirTwin,
    Fault::Crash,
    Fault::Full,
    Fault::Snapshot,
    Fault::Clone,
    Fault::Machine,
    Fault::Clock,
    Fault::Upgrade,
    Fault::Sleep,
    Fault::Join,
    Fault::Retire,
    Fault::Keeper,
    Fault::Erase,
    Fault::Purge,
    Fault::Ask,
    Fault::Answer,
    Fault::Logs,
    Fault::Rebuild,
    Fault::Foreign,
];

/// Drawn by dice of their own: a story without them is the one it was before there were any.
const LATER: [Fault; 5] = [Fault::Form, Fault::Meanwhile, Fault::Flip, Fault::Elsewhere, Fault::HalfLoaded];

/// What may happen in a story, and what did.
#[derive(Default)]
pub(crate) struct Swarm {
    /// Each with how often, of ten thousand steps.
    rates: Vec<(Fault, usize)>,
    snapshots: BTreeMap<usize, (Connection, tempfile::TempDir)>,
    /// Record files that are gone from the server for a while.
    vanished: Vec<(String, Bytes)>,
    /// Records that somebody erased.
    pub(crate) erased: BTreeSet<RecordId>,
    /// Whether what was deleted may have been stripped by now.
    pub(crate) stripped: bool,
    /// Whether a site was without logs for a while: who has heard of what it deleted then, nobody can tell.
    pub(crate) unlogged: bool,
    /// The host as upgraded sites have it.
    upgraded: BTreeSet<usize>,
    /// How many sites stamp under a name that was another's, before they notice.
    pub(crate) copies: usize,
    /// Whether two machines shared everything.
    machines: bool,
    /// Trash is kept for a day only.
    pub(crate) short: bool,
    /// Something happened after which the logs alone do not tell it all.
    pub(crate) partial_logs: bool,
}

impl Swarm {
    /// Draws what may happen in a story.
    pub(crate) fn draw(dice: &mut Dice, seed: u64) -> Swarm {
        let few = 1 + dice.below(3);
        let rates = ALL.iter().filter(|_| dice.below(3) < few).copied().collect::<Vec<_>>();
        let mut rates: Vec<(Fault, usize)> = rates.into_iter().map(|f| (f, 5 + dice.below(60))).collect();
        let mut own = Dice(Random::seeded(seed.wrapping_mul(31)));
        let few = 1 + own.below(3);
        rates.extend(LATER.iter().filter(|_| own.below(3) < few).copied().collect::<Vec<_>>().into_iter().map(|f| (f, 5 + own.below(60))));
        // To find out which fault it is that breaks a law. `Machine` is known to break L1 and L3, and so
        // is left out unless STORM_WITHOUT is set: docs/RELIABILITY.md.
        let without = std::env::var("STORM_WITHOUT").unwrap_or_else(|_| "Machine".to_owned());
        rates.retain(|(f, _)| !without.split(',').any(|w| w == format!("{f:?}")));
        Swarm { rates, ..Swarm::default() }
    }

    /// Trash is kept for a day only: what was deleted goes, and so do the logs that told of it.
    pub(crate) fn short_days(&mut self, short: bool) {
        self.short = short;
        self.stripped |= short;
        self.partial_logs |= short;
    }

    /// For people: what may happen.
    pub(crate) fn show(&self) -> String {
        self.rates.iter().map(|(f, n)| format!(" {f:?}:{n}")).collect()
    }

    /// Whether a site may have reason to take another name.
    pub(crate) fn doubles(&self) -> bool {
        self.rates.iter().any(|(f, _)| matches!(f, Fault::Clone | Fault::Machine | Fault::Snapshot | Fault::Keeper | Fault::Retire | Fault::Crash))
    }

    /// Whether people may strip at once what was deleted.
    pub(crate) fn purges(&self) -> bool {
        self.rates.iter().any(|(f, _)| *f == Fault::Purge)
    }

    /// Whether anything beyond the usual may happen.
    pub(crate) fn any(&self) -> bool {
        !self.rates.is_empty()
    }
}

impl Storm {
    /// Something goes wrong at a site, or in the cloud. `false` if nothing does this time.
    pub(crate) fn fault(&mut self, i: usize) -> bool {
        let roll = self.dice.below(10_000);
        let mut upto = 0;
        let Some(fault) = self.swarm.rates.iter().find(|(_, n)| {
            upto += n;
            roll < upto
        }) else {
            return false;
        };
        let fault = fault.0;
        let name = self.sites[i].name.clone();
        self.say(format_args!("{name}: fault {fault:?}"));
        match fault {
            Fault::Empty | Fault::Twice => self.old_bytes(i, fault),
            Fault::AllBack => {
                for path in self.records() {
                    let current = self.cloud.newest(&path);
                    self.cloud.roll_back(&mut |old| old.first().cloned().or(current.clone()), &path);
                }
            }
            Fault::Removed => {
                if let Some(path) = self.pick_path() {
                    self.cloud.set(&path, None);
                }
            }
            Fault::Vanished => self.vanish(),
            Fault::DirTwin => self.dir_twin(),
            Fault::Crash => self.crash(i),
            Fault::Full => self.disk_full(i),
            Fault::Clone | Fault::Snapshot if self.swarm.machines => {}
            Fault::Snapshot => self.snapshot(i),
            Fault::Clone => self.copy_site(i, false),
            // Known: of three machines that share one name, not all that each wrote before they noticed is
            // kept (docs/RELIABILITY.md).
            Fault::Machine if self.swarm.copies == 0 => self.copy_site(i, true),
            Fault::Machine => {}
            Fault::Clock => {
                let years = self.dice.below(21) as i64 - 10;
                let now = self.sites[i].clock.get().cast_signed() + years * 365 * DAY_MS.cast_signed();
                self.sites[i].clock.set(now.max(0).cast_unsigned());
                self.swarm.stripped = true;
                self.swarm.partial_logs = true;
            }
            Fault::Upgrade => self.upgrade(i),
            Fault::Sleep => {
                self.sites[i].pass(DAY_MS * (10 + self.dice.below(200) as u64));
                self.swarm.stripped = true;
                self.swarm.partial_logs = true;
            }
            Fault::Join => self.join(),
            Fault::Retire => {
                let j = self.dice.below(self.sites.len());
                // Known: two machines that still share one name, both retired under it before either
                // notices, are not told apart any more (docs/RELIABILITY.md).
                if j != i && self.swarm.copies == 0 {
                    let (a, b) = (&self.sites[i], &self.sites[j]);
                    a.retire(b);
                    self.swarm.partial_logs = true;
                }
            }
            Fault::Keeper => self.sites[i].keeper.lose(),
            Fault::Erase => self.erase(i),
            Fault::Purge => {
                let trash = self.sites[i].state().flagged(state::TRASH).unwrap();
                if let Some(id) = trash.get(self.dice.below(trash.len())).copied() {
                    self.swarm.stripped = true;
                    self.swarm.partial_logs = true;
                    self.sites[i].order(id, Order::Purge);
                }
            }
            Fault::Ask => {
                let table = ["visit", "allergy", "patient", "invoice"][self.dice.below(4)];
                let n = self.sites[i].mapping.table(table).unwrap();
                self.sites[i].mapping.tables[n].local_deletes = LocalDeletes::Ask;
            }
            Fault::Answer => self.answer(i, None),
            Fault::Logs => {
                self.sites[i].settings.use_logs ^= true;
                self.swarm.unlogged = true;
            }
            Fault::Rebuild => {
                self.host(i, "CREATE TABLE memo_new (patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, words TEXT); INSERT INTO memo_new SELECT patient_id, words FROM memo; DROP TABLE memo; ALTER TABLE memo_new RENAME TO memo");
            }
            Fault::Form => self.stale_form(i),
            Fault::Meanwhile => self.meanwhile(i),
            Fault::Flip => self.flip(i),
            Fault::Elsewhere => self.elsewhere(i),
            Fault::HalfLoaded => self.half_loaded(i),
            Fault::Foreign => {
                let dirs = ["records/patient/00", "logs", "sites", "", "records"];
                let dir = dirs[self.dice.below(dirs.len())];
                let name = ["desktop.ini", "notes.xml", ".DS_Store", "x.tmp", "README.md"][self.dice.below(5)];
                let bytes = [&b"not ours"[..], b"", b"<x/>", &[0xff; 40]][self.dice.below(4)];
                self.sites[i].folder.put(format!("{dir}/{name}").trim_start_matches('/'), bytes.to_vec());
            }
        }
        true
    }

    fn records(&self) -> Vec<String> {
        self.cloud.paths().into_iter().filter(|p| p.starts_with("records/")).collect()
    }

    fn pick_path(&mut self) -> Option<String> {
        let paths = self.records();
        paths.get(self.dice.below(paths.len())).cloned()
    }

    /// A replica shows an empty or an older file for a while, where nothing was changed there.
    fn old_bytes(&mut self, i: usize, fault: Fault) {
        let Some(path) = self.pick_path() else { return };
        if self.sites[i].folder.get(&path) == self.cloud.newest(&path).map(|b| b.to_vec()) {
            let bytes = if fault == Fault::Empty { Some(Bytes::default()) } else { self.cloud.older(&path) };
            if let Some(b) = bytes {
                self.cloud.show_for_now(i, &path, b);
            }
        }
    }

    fn vanish(&mut self) {
        if !self.swarm.vanished.is_empty() {
            return self.put_back();
        }
        for path in self.records() {
            if self.dice.below(10) < 8 {
                let bytes = self.cloud.newest(&path).unwrap();
                self.cloud.set(&path, None);
                self.swarm.vanished.push((path, bytes));
            }
        }
    }

    fn put_back(&mut self) {
        for (path, bytes) in std::mem::take(&mut self.swarm.vanished) {
            if self.cloud.newest(&path).is_none() {
                self.cloud.set(&path, Some(bytes));
            }
        }
    }

    fn dir_twin(&mut self) {
        let Some(path) = self.pick_path() else { return };
        let bytes = self.cloud.newest(&path).unwrap();
        let twin = match self.dice.below(3) {
            0 => path.replacen("records/", "records (1)/", 1),
            1 => path.replacen("records/patient/", "records/patient (conflicted copy)/", 1),
            _ => path.replacen("/patient/", "/patient (1)/", 1),
        };
        self.cloud.set(&twin, Some(bytes));
    }

    /// The program ends at some call of the folder.
    fn crash(&mut self, i: usize) {
        let most = if self.dice.chance(500) { 40 } else { 600 };
        let at = self.dice.below(most);
        self.about_to_delete(i);
        let s = &mut self.sites[i];
        let orders = s.orders.clone();
        let crash = || resume_unwind(Box::new("crash"));
        let when = |_: &str, _: &str, n: usize| n == at;
        let folder = Meanwhile::new(s.folder.clone(), &when, &crash);
        let done = catch_unwind(AssertUnwindSafe(|| s.try_sync_on(&folder, Options::default())));
        if !s.conn.is_autocommit() {
            s.conn.execute_batch("ROLLBACK").unwrap();
        }
        match done {
            Ok(r) => drop(r.unwrap()),
            // What a person ordered is ordered again.
            Err(_) => s.orders = orders,
        }
        // What was stamped is known, what was not is still to be seen.
        self.say(format_args!("  at call {at}"));
        self.after_a_sync(i);
    }

    /// Somebody has a form open while a sync brings something, and saves all of it as it was: what the sync
    /// brought nobody has seen.
    fn stale_form(&mut self, i: usize) {
        let (table, key, columns) = TYPED[self.dice.below(4)];
        let Some(at) = self.any(i, table, key) else { return };
        self.carry_some(i);
        let row = |s: &Site| {
            let local = |id: RecordId| s.state().local(&id).unwrap()?.find(table, &vec![Value::Integer(at)]).cloned().map(|row| (id, row));
            s.state().all(None).unwrap().into_iter().find_map(local)
        };
        let read = |s: &Site| columns.iter().map(|c| s.get(&format!("SELECT quote({c}) FROM {table} WHERE {key} = {at}"))).collect::<Vec<_>>();
        let (opened, before) = (row(&self.sites[i]), read(&self.sites[i]));
        self.sync(i);
        // Under another's number the host would write over somebody else, and nobody could know.
        if opened.is_some() && row(&self.sites[i]) == opened && read(&self.sites[i])[0] != "(no row)" {
            let set: Vec<String> = columns.iter().zip(&before).map(|(c, v)| format!("{c} = {v}")).collect();
            self.host(i, &format!("UPDATE {table} SET {} WHERE {key} = {at}", set.join(", ")));
            // Known to fail: somebody types over what the form put back before the next synchronization (docs/RELIABILITY.md).
            self.sync(i);
        }
    }

    /// The host writes over a field while a sync is under way, wherever it finds the database unlocked.
    ///
    /// Not while a person has a chart erased there: what is typed into it in that very moment goes with it.
    fn meanwhile(&mut self, i: usize) {
        if self.sites[i].orders.iter().any(|(_, o)| matches!(o, Order::Erase { .. })) {
            return;
        }
        let (table, key, columns) = TYPED[self.dice.below(4)];
        let Some(row) = self.any(i, table, key) else { return };
        let (at, column) = (self.dice.below(80), columns[self.dice.below(columns.len())]);
        let word = self.oracle.word(i);
        self.about_to_delete(i);
        // A chart whose deletion was asked for before goes with all that is in it when it goes.
        let asked = self.sites[i].get("SELECT count(*) FROM cfs_delete") != "0";
        let shown = RefCell::new(None);
        let s = &mut self.sites[i];
        let path = {
            if s.conn.path().is_none_or(str::is_empty) {
                s.move_to_file();
                s.conn.set_prepared_statement_cache_capacity(512);
            }
            s.conn.path().unwrap().to_owned()
        };
        let types = || {
            let host = Connection::open(&path).unwrap();
            host.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF").unwrap();
            let old = host.query_row(&format!("SELECT {column} FROM {table} WHERE {key} = {row}"), [], |r| r.get::<_, Option<String>>(0));
            if let Ok(old) = old
                && host.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {key} = {row}"), [&word]).is_ok()
            {
                shown.replace(Some(old.unwrap_or_default()));
            }
        };
        let when = |_: &str, _: &str, n: usize| n == at;
        let folder = Meanwhile::new(s.folder.clone(), &when, &types);
        s.try_sync_on(&folder, Options::default()).unwrap();
        drop(folder);
        self.oracle.synced(i);
        match shown.take() {
            Some(old) => {
                self.oracle.replaced(&old);
                self.oracle.typed_since(i, &word);
                if asked {
                    self.oracle.ordered(&[word.clone()].into());
                }
                self.say(format_args!("  at call {at}: {table}.{column} = {word}"));
            }
            None => self.oracle.replaced(&word),
        }
        self.after_a_sync(i);
    }

    /// A replica shows a file with a letter more for a while: its hash says that it is not whole.
    fn flip(&mut self, i: usize) {
        let Some(path) = self.pick_path() else { return };
        let Some(bytes) = self.cloud.newest(&path).filter(|b| self.sites[i].folder.get(&path).as_ref() == Some(b)) else { return };
        let words: Vec<usize> = bytes.windows(3).enumerate().filter(|(_, w)| w.starts_with(b">w") && w[2].is_ascii_digit()).map(|(n, _)| n + 2).collect();
        let Some(at) = words.get(self.dice.below(words.len())) else { return };
        let flipped = [&bytes[..*at], b"z", &bytes[*at..]].concat();
        self.cloud.show_for_now(i, &path, flipped);
    }

    /// Another folder stands where ours was, or an empty directory: nothing may be read or written there.
    fn elsewhere(&mut self, i: usize) {
        let folder = Memory::new();
        if self.dice.chance(700) {
            Site::bare("stranger", folder.clone()).set_up();
        }
        let before = folder.all();
        let s = &mut self.sites[i];
        let orders = s.orders.clone();
        let done = s.try_sync_on(&folder, Options::default());
        s.orders = orders;
        if done.is_ok() || folder.all() != before {
            self.broken("L6 folder", "another folder was taken for ours");
        }
    }

    /// The client has not fetched the record files yet: they are many, and a person must say so first.
    fn half_loaded(&mut self, i: usize) {
        let filed = |s: &Site| s.state().file_stats().unwrap().values().flatten().count();
        if filed(&self.sites[i]) < 23 {
            (0..23).for_each(|_| self.new_patient(i));
            self.sync(i);
        }
        if filed(&self.sites[i]) < 23 {
            return;
        }
        let s = &mut self.sites[i];
        let files: Vec<(String, Vec<u8>)> = s.folder.all().into_iter().filter(|(p, _)| p.starts_with("records")).collect();
        files.iter().for_each(|(p, _)| drop(s.folder.take(p)));
        let orders = s.orders.clone();
        s.full();
        s.orders = orders;
        let refilled = s.folder.all().keys().any(|p| p.starts_with("records"));
        files.into_iter().for_each(|(p, b)| s.folder.put(&p, b));
        if refilled {
            self.broken("L6 brake", "record files that were not there yet were written again, and nobody had said so");
        }
    }

    fn disk_full(&mut self, i: usize) {
        self.about_to_delete(i);
        let left = self.dice.below(12) as u64;
        let s = &mut self.sites[i];
        let faulty = Faulty { inner: s.folder.clone(), left: Cell::new(left), crash: false, at: "" };
        let done = s.try_sync_on(&faulty, Options::default()).map(|r| r.exported).map_err(|e| e.to_string());
        // What was typed may be known here and not be in the folder yet.
        self.say(format_args!("  after {left} writes: {done:?}"));
        self.after_a_sync(i);
    }

    /// Makes a copy of the database, or puts the one made before in its place.
    ///
    /// Without logs, what the newer database knew stands in a record file alone, which may be put back as well: not there.
    fn snapshot(&mut self, i: usize) {
        if self.sites.iter().any(|s| !s.settings.use_logs) {
            return;
        }
        match self.swarm.snapshots.remove(&i) {
            None => {
                let copy = self.sites[i].backup();
                self.swarm.snapshots.insert(i, copy);
            }
            Some(copy) => {
                // What no sync had seen goes with the database that it was typed into.
                self.oracle.lost_with_database(i);
                let columns = |c: &Connection| c.query_row("SELECT count(*) FROM pragma_table_info('patient')", [], |r| r.get::<_, i64>(0)).unwrap();
                let s = &mut self.sites[i];
                let new = columns(&s.conn) != columns(&copy.0);
                s.put_back(copy);
                s.conn.set_prepared_statement_cache_capacity(512);
                if new {
                    self.swarm.upgraded.remove(&i);
                    self.sites[i].mapping = Mapping { scan: self.sites[i].mapping.scan, ..schema::mapping(&self.sites[i].conn, schema::TOML) };
                }
                self.swarm.copies += 1;
                self.swarm.partial_logs = true;
                self.say(format_args!("  the database is as it was"));
            }
        }
    }

    fn name(&self) -> String {
        ["north", "south", "east", "west", "hill", "lake", "mill"].get(self.sites.len()).map_or_else(|| format!("site{}", self.sites.len()), |n| (*n).to_owned())
    }

    fn copy_site(&mut self, i: usize, with_keeper: bool) {
        if self.sites.len() >= MOST_SITES {
            return;
        }
        let name = self.name();
        let folder = self.cloud.join();
        let mut s = self.sites[i].clone_to(&name, folder, with_keeper);
        s.conn.set_prepared_statement_cache_capacity(512);
        s.mapping = self.sites[i].mapping.clone();
        s.settings.use_logs = self.sites[i].settings.use_logs;
        s.clock.set(self.sites[i].clock.get() + 1 + self.dice.below(5000) as u64);
        if self.swarm.upgraded.contains(&i) {
            self.swarm.upgraded.insert(self.sites.len());
        }
        self.oracle.copied(i, self.sites.len());
        self.sites.push(s);
        self.swarm.copies += 1;
        self.swarm.machines |= with_keeper;
        self.swarm.partial_logs = true;
        self.say(format_args!("  {name}, keeper {with_keeper}"));
    }

    fn join(&mut self) {
        if self.sites.len() >= MOST_SITES {
            return;
        }
        let name = self.name();
        let mut s = Site::bare(&name, self.cloud.join());
        s.clock.set(self.sites[0].clock.get() + self.dice.below(10_000) as u64);
        s.settings.use_logs = self.sites[0].settings.use_logs;
        s.env.many = self.sites[0].env.many;
        s.set_up();
        self.sites.push(s);
        self.say(format_args!("  {name}"));
    }

    fn upgrade(&mut self, i: usize) {
        if self.swarm.upgraded.insert(i) {
            self.host(i, "ALTER TABLE patient ADD COLUMN email TEXT");
            self.sites[i].mapping = schema::mapping(&self.sites[i].conn, schema::TOML);
        }
    }

    /// A field that only upgraded hosts have.
    pub(crate) fn type_email(&mut self, i: usize) -> bool {
        let Some(p) = self.any(i, "patient", "patient_id").filter(|_| self.swarm.upgraded.contains(&i)) else { return false };
        self.write_over(i, "patient", "patient_id", p, "email");
        true
    }

    fn erase(&mut self, i: usize) {
        let all = self.sites[i].state().all(Some("patient")).unwrap();
        if let Some(id) = all.get(self.dice.below(all.len())).copied() {
            self.erase_one(i, id);
        }
    }

    /// A person has a record erased.
    pub(super) fn erase_one(&mut self, i: usize, id: RecordId) {
        self.say(format_args!("  {id}"));
        self.swarm.erased.insert(id);
        self.swarm.partial_logs = true;
        self.sites[i].order(id, Order::Erase { by: "the patient".into() });
        self.after_a_sync(i);
    }

    /// Whatever is known of an erased record anywhere may be gone.
    fn mark_erased(&mut self) {
        for id in self.swarm.erased.clone() {
            for i in 0..self.sites.len() {
                for w in self.known_words(i, &id) {
                    self.oracle.replaced(&w);
                }
            }
        }
    }

    /// What may be gone after a synchronization, whatever became of it.
    pub(crate) fn after_a_sync(&mut self, i: usize) {
        self.keep_fresh(i);
        self.mark_erased();
        self.mark_rewritten(i);
    }

    /// A value that lost goes with its row to the trash where somebody deletes or rewrites that row, and with the trash after its
    /// days: the oracle saw the host delete the row's current value only.
    fn mark_rewritten(&mut self, i: usize) {
        if !self.swarm.short && !self.swarm.purges() {
            return;
        }
        let site = &self.sites[i];
        let mut lost = Vec::new();
        for id in site.state().all(None).unwrap() {
            let known = site.known(&id);
            for (key, t) in known.rows.iter().filter_map(|(k, r)| Some((k, r.tombstone.as_ref()?))) {
                // Who deletes a row deletes what lost in it as well, and in the rows below it, as far as it had come.
                let seen = |e: &Entry| t.why == "rewritten" || t.moved_to.is_none() && t.seen.covers(&e.stamp);
                let with_it = known.rows.iter().filter(|(k, _)| *k == key || cloud_folder_sync::merge::below(&known, key, k));
                let entries = with_it.flat_map(|(_, row)| row.fields.values()).flat_map(|f| f.superseded());
                lost.extend(entries.filter(|e| seen(e)).map(|e| super::laws::shown(site, &e.value)));
            }
        }
        self.oracle.deleted.extend(lost);
    }

    fn known_words(&self, i: usize, id: &RecordId) -> BTreeSet<String> {
        words_of(&self.sites[i], self.sites[i].known(id).rows.values())
    }

    /// What `ask` asks is answered: the rows that the host deleted go, or come back; by chance, unless said.
    fn answer(&mut self, i: usize, yes: Option<bool>) {
        let asked: Vec<(RecordId, RowKey)> = {
            let st = self.sites[i].state();
            let deleted = |id: &RecordId| {
                st.local(id).unwrap().map(|l| l.rows).unwrap_or_default().into_iter().filter(|(_, l)| l.away == Some(Away::Deleted)).map(|(k, _)| k).collect::<Vec<_>>()
            };
            st.flagged(state::ASKED).unwrap().into_iter().flat_map(|id| deleted(&id).into_iter().map(move |k| (id, k))).collect()
        };
        for (id, row) in asked {
            if yes.unwrap_or_else(|| self.dice.chance(500)) {
                let known = self.sites[i].known(&id);
                let below = known.rows.iter().filter(|(k, _)| **k == row || cloud_folder_sync::merge::below(&known, &row, k)).map(|(_, r)| r);
                let gone = words_of(&self.sites[i], below);
                self.oracle.ordered(&gone);
                self.sites[i].order(id, Order::Delete { row, why: "asked".into(), by: None, request: None });
            } else {
                self.sites[i].order(id, Order::TakeBack { row });
            }
        }
    }

    /// Everything that can be put right by people is.
    pub(crate) fn put_right(&mut self) {
        self.put_back();
        self.cloud.carry();
        for i in 0..self.sites.len() {
            if self.swarm.any() && !self.swarm.upgraded.is_empty() {
                self.upgrade(i);
            }
            for t in &mut self.sites[i].mapping.tables {
                t.local_deletes = LocalDeletes::Restore;
            }
            self.answer(i, Some(false));
        }
        if self.sites.iter().any(|s| !s.settings.use_logs) && self.swarm.any() {
            self.swarm.partial_logs = true;
        }
    }

    /// Words that stand in hosts whose record is held, because it was erased elsewhere while they were typed.
    pub(crate) fn kept_by_hosts(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for s in &self.sites {
            let held = s.state().flagged(state::HELD).unwrap();
            if held.iter().any(|id| self.swarm.erased.contains(id)) {
                out.extend(words(s, "1"));
            }
        }
        out
    }

    /// What stands in charts that were erased elsewhere while they were typed is in the host alone: if the host
    /// deletes it, it is gone like what no sync has seen yet.
    fn keep_fresh(&mut self, i: usize) {
        let s = &self.sites[i];
        let held = s.state().flagged(state::HELD).unwrap();
        let keys = held.iter().filter(|id| s.known(id).erased.is_some()).filter_map(|id| s.state().root_of(id).unwrap()?.1);
        let shown: BTreeSet<String> = keys.flat_map(|k| if let [Value::Integer(p)] = k[..] { words(s, &format!("p.patient_id = {p}")) } else { BTreeSet::new() }).collect();
        shown.iter().for_each(|w| self.oracle.typed_since(i, w));
    }

    /// How many rounds everything may need to come to rest.
    pub(crate) fn rounds(&self) -> usize {
        3 + 2 * self.swarm.copies
    }
}

/// What rows say.
fn words_of<'r>(s: &Site, rows: impl Iterator<Item = &'r Row>) -> BTreeSet<String> {
    let fields = rows.flat_map(|r| r.fields.iter().filter(|(n, _)| n.place.is_none()));
    fields.flat_map(|(_, f)| f.0.iter()).map(|e| super::laws::shown(s, &e.value)).collect()
}

/// Ways of making copies that differ between clients.
pub(crate) const COPIES: [Copies; 6] = [Copies::Dropbox, Copies::Syncthing, Copies::LastWins, Copies::Nextcloud, Copies::Rclone, Copies::Google];
