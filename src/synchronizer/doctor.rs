//! Finds what will go wrong, before it does.

use super::client::cloud_client;
use super::{Synchronizer, open_database};
use crate::config::Config;
use crate::folder::disk::Disk;
use crate::folder::{Folder, Kind};
use crate::host::capture;
use crate::host::mapping::{Mapping, Target};
use crate::host::resolve::resolve;
use crate::host::rows::quote;
use crate::host::schema::Schema;
use crate::host::upgraded::without_what_is_gone;
use crate::names::{self, FileName};
use crate::sync::{Env, read_manifest};
use rusqlite::Connection;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Below this much free space something will soon not be written.
const LOW_BYTES: u64 = 1 << 30;
/// A clock that is further off than this makes the wrong edit win.
const CLOCK_MS: u64 = 5 * 60_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, and may go wrong.
    Warn,
    /// Does not work, or will not.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about: `folder`, `client`, `schema` …
    pub about: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if there is nothing to do.
    pub todo: String,
}

/// Looks at everything that a synchronization depends on. Never fails: what cannot be looked at is
/// a finding. Nothing is changed, but for a file that is written to the folder and removed again.
pub fn doctor(config: &Config) -> Vec<Check> {
    let mut d = Doctor { checks: Vec::new() };
    let folder = Disk::new(config.folder.clone());
    let there = d.folder(config, &folder);
    d.client(config, there);
    if there {
        d.files(&folder);
        d.space("folder", &config.folder);
    }
    d.database(config);
    if let Ok(s) = Synchronizer::open(config.clone()) {
        d.site(&s);
    }
    d.checks
}

struct Doctor {
    checks: Vec<Check>,
}

impl Doctor {
    fn say(&mut self, about: &'static str, level: Level, found: impl Into<String>, todo: impl Into<String>) {
        self.checks.push(Check { about, level, found: found.into(), todo: todo.into() });
    }

    fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.say(about, Level::Ok, found, "");
    }

    /// Gives whether the folder is there.
    fn folder(&mut self, config: &Config, folder: &Disk) -> bool {
        if !config.folder.is_dir() {
            self.say("folder", Level::Fail, format!("{} is not there", config.folder.display()), "mount the drive, sign in to the cloud client, or correct `folder` in cfs.toml");
            return false;
        }
        match read_manifest(folder) {
            Ok(m) => self.ok("folder", format!("a sync folder ({}), {} days of trash", m.folder, m.retention_days)),
            Err(e) => self.say("folder", Level::Fail, e.to_string(), "nothing is synchronized until that file is back"),
        }
        let mut random = Env::system().random;
        let probe = format!("{}/~$probe-{}.part", names::SITES, random.hex());
        match folder.write(&[(probe.clone(), b"probe".to_vec())], &mut || random.hex()).pop() {
            Some(Ok(_)) => match folder.remove(&probe) {
                Ok(()) => self.ok("folder", "can be written to"),
                Err(e) => self.say(
                    "folder",
                    Level::Warn,
                    format!("files can be written but not removed: {e}"),
                    "give this account the right to delete in the folder; conflict files stay otherwise",
                ),
            },
            Some(Err(e)) => self.say("folder", Level::Fail, format!("cannot be written to: {e}"), "give this account the right to write, or free space"),
            None => {}
        }
        true
    }

    fn client(&mut self, config: &Config, there: bool) {
        let real = crate::config::real(&config.folder);
        match cloud_client(&real) {
            Some((_, client)) => self.ok("client", format!("{client} keeps the folder; let it keep all of it on this computer (no online-only files)")),
            None if there => self.say(
                "client",
                Level::Warn,
                "no mark of a cloud client was found in or above the folder",
                "if none keeps it in step, nothing leaves this computer; a network drive or an unmarked client is fine",
            ),
            None => {}
        }
    }

    /// Names of files only: nothing is opened, so nothing is fetched from the cloud.
    fn files(&mut self, folder: &Disk) {
        let (mut placeholders, mut flight, mut conflicts, mut odd) = (BTreeMap::<&str, u64>::new(), 0u64, 0u64, 0u64);
        let mut queue = vec![names::RECORDS.to_owned()];
        while let Some(dir) = queue.pop() {
            for (name, stat) in folder.list(&dir).ok().flatten().unwrap_or_default() {
                let path = format!("{dir}/{name}");
                match stat.kind {
                    Kind::Dir => queue.push(path),
                    Kind::Other => odd += 1,
                    Kind::File => match names::classify_file(dir.rsplit('/').next(), &name) {
                        FileName::Placeholder(client) => *placeholders.entry(client).or_insert(0) += 1,
                        FileName::InFlight(_) | FileName::Ours(_) => flight += 1,
                        FileName::Conflict { .. } => conflicts += 1,
                        _ => {}
                    },
                }
            }
        }
        for (client, n) in &placeholders {
            self.say(
                "files",
                Level::Fail,
                format!("placeholders of {client}, whose content is not on this computer: {n}"),
                format!("tell {client} to keep the folder on this device"),
            );
        }
        if flight > 0 {
            self.say("files", Level::Warn, format!("files still on their way, or left by a crash: {flight}"), "nothing, unless they are still there tomorrow");
        }
        if conflicts > 0 {
            self.say("files", Level::Warn, format!("conflict files: {conflicts}"), "the next `cfs sync` merges them; if they stay, see delete_conflicts in cfs.toml");
        }
        if odd > 0 {
            self.say("files", Level::Warn, format!("links or devices, which are never read: {odd}"), "remove them");
        }
        if placeholders.is_empty() && flight + conflicts + odd == 0 {
            self.ok("files", "no placeholders, no partial files, no conflict files");
        }
    }

    fn space(&mut self, about: &'static str, path: &Path) {
        match fs4::available_space(path) {
            Ok(n) if n < LOW_BYTES => {
                self.say(about, Level::Warn, format!("{} MB are free on its disk", n >> 20), "free some space; a full disk stops the synchronization, and loses nothing")
            }
            Ok(n) => self.ok(about, format!("{} GB are free on its disk", n >> 30)),
            Err(e) => self.say(about, Level::Warn, format!("the free space is not known: {e}"), ""),
        }
    }

    fn database(&mut self, config: &Config) {
        if let Err(e) = super::refuse_cloud_folder(&config.database, &config.folder) {
            self.say("database", Level::Fail, e.to_string(), "");
        }
        let conn = match open_database(&config.database) {
            Ok(c) => c,
            Err(e) => return self.say("database", Level::Fail, e.to_string(), "correct `database` in cfs.toml, or see to the file"),
        };
        self.ok("database", format!("{} can be opened", config.database.display()));
        if let Some(dir) = config.database.parent() {
            self.space("database", if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        }
        if let Err(e) = self.settings(&conn) {
            self.say("database", Level::Fail, e.to_string(), "the file may be damaged: run `cfs verify`");
        }
        self.schema(config, &conn);
    }

    fn settings(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mode: String = conn.query_row("PRAGMA journal_mode", [], |r| r.get(0))?;
        match mode.as_str() {
            "wal" => self.ok("database", "journal mode WAL: the host reads while we write"),
            "off" | "memory" => {
                self.say("database", Level::Warn, format!("journal mode {mode}: a crash can damage the file"), "set journal_mode to WAL or DELETE in the host application")
            }
            other => self.ok("database", format!("journal mode {other}: the host waits for our writes, 50 ms at most")),
        }
        // The setting is each connection's own: only the data can tell whether the host has it on.
        let broken: i64 = conn.query_row("SELECT count(*) FROM (SELECT 1 FROM pragma_foreign_key_check LIMIT 1000)", [], |r| r.get(0))?;
        if broken > 0 {
            self.say(
                "database",
                Level::Warn,
                format!("rows that point to rows that do not exist: {broken}{}; the host works without foreign_keys", if broken == 1000 { " or more" } else { "" }),
                "rows without their owner belong to no record and stay here; `cfs verify` counts them by table",
            );
        } else {
            self.ok("database", "all foreign keys lead somewhere");
        }
        Ok(())
    }

    fn schema(&mut self, config: &Config, conn: &Connection) {
        let schema = match Schema::read(conn) {
            Ok(s) => s,
            Err(e) => return self.say("schema", Level::Fail, e.to_string(), ""),
        };
        let mut config = config.clone();
        for gone in without_what_is_gone(&mut config, &schema, &super::had(conn).unwrap_or_default()) {
            self.say("schema", Level::Warn, gone.what, "`cfs init --check` says what to do");
        }
        let config = &config;
        let mapping = match resolve(config, &schema, conn) {
            Ok(m) => m,
            Err(e) => return self.say("schema", Level::Fail, e.to_string(), "bring cfs.toml and the schema together; nothing is synchronized until then"),
        };
        self.ok("schema", format!("{} record types, {} tables", mapping.types.len(), mapping.tables.len()));
        let unknown: Vec<&str> = schema.tables.iter().map(|t| t.name.as_str()).filter(|n| mapping.table(n).is_none() && !config.left_out(n)).collect();
        if !unknown.is_empty() {
            self.say("schema", Level::Warn, format!("new in the database and not synchronized: {}", unknown.join(", ")), "add each to cfs.toml as [table.NAME], or to [leave_out]");
        }
        for (table, columns) in numbered_twice(&mapping, conn) {
            self.say(
                "schema",
                Level::Warn,
                format!("the rows of {table} are told apart by {columns}, and some give one number to several rows: what names it is in all of their charts"),
                "give each its own number in the host application",
            );
        }
        for t in &mapping.tables {
            if let Some(why) = &t.no_insert {
                self.say(
                    "schema",
                    Level::Warn,
                    format!("no rows can be added to {} from here: {why}", t.name),
                    "its rows are sent; those of other sites are kept in the folder, and not shown here",
                );
            }
            if let Some(why) = &t.no_update {
                self.say(
                    "schema",
                    Level::Warn,
                    format!("no row of {} can be changed from here: {why}", t.name),
                    "its rows are sent; what other sites change in them is kept in the folder, and not shown here",
                );
            }
        }
        for (table, n) in crate::host::loose::homeless(conn, &mapping).unwrap_or_default() {
            self.ok("schema", format!("{table} has {} without a record, by its owner column; what never had one stays in this database", crate::report::count(n, "row")));
        }
        for t in mapping.tables.iter().filter(|t| !t.indexed) {
            let by = t.owner_columns().first().map(|c| c.to_string()).unwrap_or_default();
            self.say(
                "schema",
                Level::Warn,
                format!("{} has no index on {by}: each changed record reads the whole table", t.name),
                "let the host's developer add one; it makes the host faster as well",
            );
        }
        for t in mapping.tables.iter().filter(|t| t.no_delete.is_some()) {
            let why = t.no_delete.as_deref().unwrap_or_default();
            self.say(
                "schema",
                Level::Warn,
                format!("rows of {} can be deleted by the host itself only: {why}", t.name),
                "what is deleted elsewhere is held here until it is deleted here too",
            );
        }
        let present = |name: &str| conn.query_row("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name = ?1", [name], |r| r.get::<_, i64>(0)).is_ok_and(|n| n > 0);
        let wanted = capture::wanted(&mapping);
        let missing = wanted.keys().filter(|n| !present(n)).count();
        match missing {
            0 if mapping.scan => self.ok("triggers", "none is wanted (capture = \"scan\"): each synchronization reads and compares all rows"),
            0 => self.ok("triggers", format!("all {} are there", wanted.len())),
            n if n == wanted.len() => self.say("triggers", Level::Fail, "none is there: this database was not set up, or was detached", "run `cfs init`"),
            n => self.say(
                "triggers",
                Level::Warn,
                format!("missing: {n} of {}; the host rebuilt a table, or a table is new", wanted.len()),
                "the next `cfs sync` makes them again and looks at every row of those tables",
            ),
        }
    }

    fn site(&mut self, s: &Synchronizer) {
        match s.lock() {
            Ok(_) => self.ok("state", "the state directory can be written to, and no other synchronization is running"),
            Err(super::Error::Busy { pid }) => {
                self.say("state", Level::Warn, format!("a synchronization is running (process {pid})"), "wait for it; if there is no such process, the lock is free by itself")
            }
            Err(super::Error::Sync(crate::sync::Error::NotSetUp)) => return self.say("state", Level::Fail, "this database was not set up for synchronization", "run `cfs init`"),
            Err(e) => self.say("state", Level::Fail, e.to_string(), "give this account the right to write there, or set `state_dir` in cfs.toml"),
        }
        self.clock(s);
        let Ok(status) = s.status() else { return };
        let silent: Vec<String> = status.sites.iter().filter(|x| x.silent).map(|x| format!("\"{}\"", x.site.name)).collect();
        match silent.as_slice() {
            [] => self.ok("sites", format!("{} known, all heard of within a week", status.sites.len())),
            some => self.say(
                "sites",
                Level::Warn,
                format!("not heard of for more than a week: {}", some.join(", ")),
                "see to their computers, or `cfs sites retire` those that are gone for good",
            ),
        }
        let held = status.held.iter().filter(|h| h.state == "held").count();
        if held > 0 {
            self.say("held", Level::Warn, format!("records that the host refuses: {held}"), "`cfs status` says why; each is tried again at every sync");
        }
        if !status.bad_files.is_empty() {
            self.say("files", Level::Warn, format!("files left alone: {}", status.bad_files.len()), "`cfs status` lists them with the reason");
        }
    }

    /// Our clock against the newest that others wrote.
    fn clock(&mut self, s: &Synchronizer) {
        let now = Env::system().now.ms();
        let newest = s.state().ok().and_then(|st| st.meta::<i64>("clock_ms").ok().flatten()).unwrap_or(0).unsigned_abs();
        match newest.saturating_sub(now) {
            ahead if ahead > CLOCK_MS => self.say(
                "clock",
                Level::Warn,
                format!("the newest stamp is {} minutes ahead of this computer's clock", ahead / 60_000),
                "this clock is behind, or another site's is ahead: set the wrong one right; nothing is lost, but the newest edit may not win",
            ),
            _ => self.ok("clock", "not behind the newest stamp of any site"),
        }
    }
}

/// Tables that references name by columns which nothing keeps UNIQUE, and in which two rows have the same there.
fn numbered_twice(m: &Mapping, conn: &Connection) -> BTreeSet<(String, String)> {
    let targets =
        m.tables.iter().flat_map(|t| &t.references).filter_map(|r| if let Target::Table { table, columns } = &r.target { Some((m.tables.get(*table)?, columns)) } else { None });
    let open = targets.filter(|(t, columns)| !t.is_key(columns) && !t.unique.iter().any(|u| u.iter().all(|c| columns.contains(c))));
    let twice = open.filter(|(t, columns)| {
        let list = columns.iter().map(|c| t.sql(c)).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE {} IS NOT NULL GROUP BY {list} HAVING count(*) > 1)",
            quote(&t.name),
            columns.first().map(|c| t.sql(c)).unwrap_or_default()
        );
        conn.query_row(&sql, [], |r| r.get(0)).unwrap_or(false)
    });
    twice.map(|(t, columns)| (t.name.to_string(), columns.iter().map(|c| c.to_string()).collect::<Vec<_>>().join(" + "))).collect()
}
