//! A small language for several sites: a compact clinic, sites in memory, a cloud between them.
//!
//! `a.edit("p1", "phone", "555"); a.sync(); cloud.carry(); b.sync(); both_see(…)`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod check;
pub(crate) mod cloud;
pub(crate) mod faulty;
pub(crate) mod meanwhile;
pub(crate) mod orderly;
pub(crate) mod schema;

use cloud::Cloud;
use cloud_folder_sync::folder::Folder;
use cloud_folder_sync::folder::memory::Memory;
use cloud_folder_sync::host::key::HostKey;
use cloud_folder_sync::host::mapping::Mapping;
use cloud_folder_sync::id::{Random, RecordId, Uuid};
use cloud_folder_sync::record::{Record, RowKey};
use cloud_folder_sync::report::Report;
use cloud_folder_sync::setup::{NewFolder, set_up};
use cloud_folder_sync::state::State;
use cloud_folder_sync::sync::{Env, Error, Keeper, Now, Options, Order, Settings, sync};
use cloud_folder_sync::value::Value;
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// 2026-03-02, a working day.
pub(crate) const START_MS: u64 = 1_772_438_400_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// The small file outside the database, in memory. Clones share it, as one computer does.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryKeeper(Rc<RefCell<BTreeMap<String, Vec<String>>>>);

impl Keeper for MemoryKeeper {
    fn read(&self, database: &str) -> Result<Vec<String>, Error> {
        Ok(self.0.borrow().get(database).cloned().unwrap_or_default())
    }

    fn write(&self, database: &str, tokens: &[String]) -> Result<(), Error> {
        self.0.borrow_mut().insert(database.to_owned(), tokens.to_vec());
        Ok(())
    }
}

impl MemoryKeeper {
    pub(crate) fn lose(&self) {
        self.0.borrow_mut().clear();
    }
}

thread_local! {
    static COMPARING: Cell<bool> = const { Cell::new(false) };
}

/// Tells a story in which every site finds out by comparing what its host did.
pub(crate) fn comparing(story: impl FnOnce()) {
    COMPARING.set(true);
    story();
    COMPARING.set(false);
}

/// A place: its host database, its replica of the folder, its clock and dice.
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) conn: Connection,
    pub(crate) folder: Memory,
    pub(crate) mapping: Mapping,
    pub(crate) settings: Settings,
    pub(crate) env: Env,
    pub(crate) keeper: MemoryKeeper,
    pub(crate) clock: Rc<Cell<u64>>,
    pub(crate) orders: Vec<(RecordId, Order)>,
    /// A database copied from another lies in a file.
    pub(crate) dir: Option<tempfile::TempDir>,
}

impl Site {
    /// A site with an empty database of the clinic's schema; not set up yet.
    pub(crate) fn bare(name: &str, folder: Memory) -> Site {
        Site::with(name, folder, schema::open(schema::SQL), schema::TOML)
    }

    /// A site with a database and a mapping of its own.
    pub(crate) fn with(name: &str, folder: Memory, conn: Connection, toml: &str) -> Site {
        let mut mapping = schema::mapping(&conn, toml);
        mapping.scan |= COMPARING.get();
        let clock = Rc::new(Cell::new(START_MS));
        let seed = name.bytes().fold(7u64, |h, b| h.wrapping_mul(0x100_0000_01b3) ^ u64::from(b));
        Site {
            name: name.to_owned(),
            conn,
            folder,
            mapping,
            settings: Settings { site_name: name.to_owned(), use_logs: true, delete_conflicts: true },
            env: Env::told(Now::Told(clock.clone()), Random::seeded(seed)),
            keeper: MemoryKeeper::default(),
            clock,
            orders: Vec::new(),
            dir: None,
        }
    }

    pub(crate) fn set_up(&mut self) {
        self.set_up_keeping(30);
    }

    /// The same, where the trash of a folder made now is kept for so many days.
    pub(crate) fn set_up_keeping(&mut self, retention_days: u64) {
        let new = NewFolder { retention_days, mapping: String::new() };
        set_up(&self.conn, &self.folder, &self.mapping, &new, &mut self.env).unwrap();
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.clock.set(self.clock.get() + ms);
        self.conn.execute("UPDATE host_clock SET now = ?1", [self.clock.get().to_string()]).unwrap();
    }

    /// *Sync Now*, with the orders given since the last time.
    pub(crate) fn sync(&mut self) -> Report {
        self.sync_with(Options::default())
    }

    pub(crate) fn full(&mut self) -> Report {
        self.sync_with(Options { full: true, ..Options::default() })
    }

    pub(crate) fn sync_with(&mut self, options: Options) -> Report {
        match self.try_sync(options) {
            Ok(r) => r,
            Err(e) => panic!("{}: {e}", self.name),
        }
    }

    pub(crate) fn try_sync(&mut self, options: Options) -> Result<Report, Error> {
        let folder = self.folder.clone();
        self.try_sync_on(&folder, options)
    }

    /// The same with a folder that fails.
    pub(crate) fn try_sync_on(&mut self, folder: &dyn Folder, mut options: Options) -> Result<Report, Error> {
        self.pass(1000);
        options.orders = std::mem::take(&mut self.orders);
        let report = sync(&self.conn, folder, &self.mapping, &self.settings, &options, &mut self.env, &self.keeper, &mut |_, _, _| {});
        assert!(self.conn.is_autocommit(), "{}: a transaction was left open", self.name);
        report
    }

    /// The host's own SQL.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) {
        self.try_sql(sql).unwrap_or_else(|e| panic!("{}: {e} in {sql}", self.name));
    }

    pub(crate) fn try_sql(&self, sql: &str) -> rusqlite::Result<()> {
        self.pass(10);
        let r = self.conn.execute_batch(&format!("BEGIN; {sql}; COMMIT"));
        if r.is_err() && !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK").unwrap();
        }
        r
    }

    /// One value, as text.
    #[track_caller]
    pub(crate) fn get(&self, sql: &str) -> String {
        let found = self.conn.query_row(sql, [], |r| Ok(check::text(r.get_ref(0)?)));
        match found {
            Ok(v) => v,
            Err(rusqlite::Error::QueryReturnedNoRows) => "(no row)".to_owned(),
            Err(e) => panic!("{}: {e} in {sql}", self.name),
        }
    }

    /// A new patient, known by national id.
    pub(crate) fn add(&self, nid: &str) {
        self.sql(&format!("INSERT INTO patient (file_no, national_id, last_name) SELECT coalesce(max(file_no), 0) + 1, '{nid}', 'Name {nid}' FROM patient"));
    }

    #[track_caller]
    pub(crate) fn edit(&self, nid: &str, column: &str, value: &str) {
        self.sql(&format!("UPDATE patient SET {column} = '{value}' WHERE national_id = '{nid}'"));
    }

    /// A patient's column.
    #[track_caller]
    pub(crate) fn see(&self, nid: &str, column: &str) -> String {
        self.get(&format!("SELECT {column} FROM patient WHERE national_id = '{nid}'"))
    }

    pub(crate) fn visit(&self, nid: &str, day: &str, notes: &str) {
        self.sql(&format!("INSERT INTO visit (patient_id, day, notes) SELECT patient_id, '{day}', '{notes}' FROM patient WHERE national_id = '{nid}'"));
    }

    pub(crate) fn prescribe(&self, day: &str, drug: &str, dose: &str) {
        self.sql(&format!("INSERT INTO prescription (visit_id, drug, dose) SELECT visit_id, '{drug}', '{dose}' FROM visit WHERE day = '{day}'"));
    }

    pub(crate) fn state(&self) -> State<'_> {
        let folder = State::new(&self.conn, Uuid::nil()).meta_uuid("folder").unwrap().unwrap();
        State::new(&self.conn, folder)
    }

    /// The record of a patient.
    #[track_caller]
    pub(crate) fn id(&self, nid: &str) -> RecordId {
        let key: i64 = self.conn.query_row("SELECT patient_id FROM patient WHERE national_id = ?1", [nid], |r| r.get(0)).unwrap();
        self.state().by_root_key("patient", &vec![Value::Integer(key)]).unwrap().unwrap_or_else(|| panic!("{}: {nid} has no identity", self.name))
    }

    /// The row of a table under a key, and its record.
    #[track_caller]
    pub(crate) fn row(&self, table: &str, key: &HostKey) -> (RecordId, RowKey) {
        for id in self.state().all(None).unwrap() {
            if let Some(k) = self.state().local(&id).unwrap().and_then(|l| l.find(table, key).cloned()) {
                return (id, k);
            }
        }
        panic!("{}: no row of {table}", self.name)
    }

    /// What is known of a record.
    pub(crate) fn known(&self, id: &RecordId) -> Record {
        self.state().load(id).unwrap().map(|s| s.known).unwrap_or_default()
    }

    /// `cfs sites retire`
    pub(crate) fn retire(&self, other: &Site) {
        let mut all = self.state().retired().unwrap();
        all.insert(other.state().site().unwrap());
        self.state().set_retired(&all).unwrap();
    }

    pub(crate) fn order(&mut self, id: RecordId, order: Order) {
        self.orders.push((id, order));
    }

    /// `cfs delete patient:…`
    #[track_caller]
    pub(crate) fn delete(&mut self, nid: &str) {
        let id = self.id(nid);
        self.order(id, Order::Delete { row: RowKey::new("patient", id), why: "left".into(), by: None, request: None });
    }

    /// `cfs delete … --row`
    #[track_caller]
    pub(crate) fn delete_row(&mut self, table: &str, sql: &str) {
        let key: i64 = self.conn.query_row(sql, [], |r| r.get(0)).unwrap();
        let (id, row) = self.row(table, &vec![Value::Integer(key)]);
        self.order(id, Order::Delete { row, why: "wrong".into(), by: None, request: None });
    }

    /// `cfs trash restore` of a whole record.
    pub(crate) fn restore(&mut self, id: RecordId) {
        self.order(id, Order::Restore { row: RowKey::new("patient", id) });
    }

    /// Values of a patient's field that lost and wait for a person.
    #[track_caller]
    pub(crate) fn superseded(&self, nid: &str, column: &str) -> Vec<String> {
        let known = self.known(&self.id(nid));
        let Some(root) = known.root() else { return Vec::new() };
        let field = root.fields.iter().find(|(f, _)| f.name == column).map(|(_, f)| f.superseded());
        field.into_iter().flatten().map(|e| check::show(&e.value)).collect()
    }

    /// A copy of the database as it is now, as a backup program makes it.
    pub(crate) fn backup(&self) -> (Connection, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.db");
        self.conn.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF").unwrap();
        (conn, dir)
    }

    /// Puts a backup in the place of the database.
    pub(crate) fn put_back(&mut self, (conn, dir): (Connection, tempfile::TempDir)) {
        self.conn = conn;
        self.dir = Some(dir);
    }

    /// The database lies in a file from now on, in WAL mode, so that a second program can write to it.
    pub(crate) fn move_to_file(&mut self) {
        let file = self.backup();
        self.put_back(file);
        self.conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    }

    /// Another computer with a copy of this database and its own replica of the folder.
    pub(crate) fn clone_to(&self, name: &str, folder: Memory, with_keeper: bool) -> Site {
        let (conn, dir) = self.backup();
        let mut s = Site::with(name, folder, conn, schema::TOML);
        s.dir = Some(dir);
        s.clock.set(self.clock.get());
        if with_keeper {
            s.keeper = MemoryKeeper(Rc::new(RefCell::new(self.keeper.0.borrow().clone())));
        }
        s
    }
}

/// Sites with empty databases, set up on one folder.
pub(crate) fn sites(n: usize) -> (Vec<Site>, Cloud) {
    let names = ["north", "south", "east", "west", "hill", "lake", "mill", "park", "port", "dune"];
    let mut cloud = Cloud::default();
    let mut all: Vec<Site> = Vec::new();
    for name in names.iter().take(n) {
        let mut s = Site::bare(name, cloud.join());
        s.set_up();
        cloud.carry();
        all.push(s);
    }
    (all, cloud)
}

/// Two of them.
pub(crate) fn two() -> (Site, Site, Cloud) {
    let (mut all, cloud) = sites(2);
    let b = all.pop().unwrap();
    let a = all.pop().unwrap();
    (a, b, cloud)
}

/// Two sites that both hold patient `p1` with a visit, a prescription, an allergy and a line.
pub(crate) fn two_with_p1() -> (Site, Site, Cloud) {
    let (mut a, mut b, mut cloud) = two();
    a.sql(schema::P1);
    settle(&mut [&mut a, &mut b], &mut cloud);
    (a, b, cloud)
}

/// Everything is carried and everyone syncs, three times.
pub(crate) fn settle(all: &mut [&mut Site], cloud: &mut Cloud) {
    for _ in 0..3 {
        cloud.carry();
        for s in all.iter_mut() {
            s.sync();
        }
    }
    cloud.carry();
}

/// Whether the folder has a file.
pub(crate) fn has(m: &Memory, path: &str) -> bool {
    m.stat(path).unwrap().is_some()
}

/// The path of a patient's file.
pub(crate) fn path_of(id: &RecordId) -> String {
    cloud_folder_sync::names::record_path("patient", id)
}
