//! The command line: the binary itself, on the project's own small clinic.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod deciding;
mod demo;
mod large;
mod looking;
mod matching;
mod mending;

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Standard output of a command that must have ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    /// The message of a command that must have failed with this code.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.out.is_empty(), "{}", self.out);
        self.err
    }

    #[track_caller]
    pub(crate) fn json(self, code: i32) -> serde_json::Value {
        serde_json::from_str(&self.ended(code)).expect("one JSON document")
    }
}

/// Runs `cfs` in a directory, with a state directory of its own and times in UTC.
pub(crate) fn cfs(dir: &Path, args: &[&str]) -> Said {
    let done = Command::new(env!("CARGO_BIN_EXE_cfs"))
        .args(args)
        .current_dir(dir)
        .env("XDG_STATE_HOME", dir.join("state"))
        .env("LOCALAPPDATA", dir.join("state"))
        .env("TZ", "UTC")
        .env("COLUMNS", "80")
        .output()
        .expect("cfs starts");
    Said { code: done.status.code().unwrap_or(-1), out: String::from_utf8(done.stdout).expect("UTF-8"), err: String::from_utf8(done.stderr).expect("UTF-8") }
}

/// Two clinics of the fixture and their folder.
pub(crate) struct Clinics {
    pub(crate) tmp: TempDir,
}

impl Clinics {
    /// Set up, and synchronized until nothing is left to do.
    pub(crate) fn new() -> Self {
        let c = Clinics { tmp: tempfile::tempdir().expect("a temporary directory") };
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/clinic");
        std::fs::create_dir(c.dir().join("folder")).expect("made");
        for site in ["north", "south"] {
            std::fs::create_dir(c.dir().join(site)).expect("made");
            for sql in ["schema.sql".to_owned(), format!("{site}.sql")] {
                c.sql(site, &std::fs::read_to_string(fixture.join(sql)).expect("the fixture"));
            }
            let name = if site == "north" { "North" } else { "South" };
            cfs(c.dir(), &["init", "--database", &format!("{site}/clinic.db"), "--folder", "folder", "--site", name, "--match-on", "national_id"]).ended(0);
            c.run(site, &["sync"]).ended(0);
        }
        c.rounds();
        c
    }

    pub(crate) fn dir(&self) -> &Path {
        self.tmp.path()
    }

    /// A command at one of the sites.
    pub(crate) fn run(&self, site: &str, args: &[&str]) -> Said {
        let config = format!("{site}/cfs.toml");
        let mut all = vec!["--config", config.as_str()];
        all.extend(args);
        cfs(self.dir(), &all)
    }

    /// Synchronizes as often as it takes for all to be everywhere.
    pub(crate) fn rounds(&self) {
        for site in ["north", "south", "north", "south"] {
            self.run(site, &["sync"]).ended(0);
        }
    }

    fn db(&self, site: &str) -> Connection {
        Connection::open(self.dir().join(site).join("clinic.db")).expect("opens")
    }

    /// What the clinic's application does.
    pub(crate) fn sql(&self, site: &str, sql: &str) {
        self.db(site).execute_batch(sql).expect("the application's SQL");
    }

    /// What the clinic's application shows.
    pub(crate) fn see(&self, site: &str, sql: &str) -> String {
        self.db(site).query_row(sql, [], |r| Ok(r.get::<_, Option<String>>(0)?.unwrap_or_default())).expect("one value")
    }

    /// `patient:KEY` of a person at a site.
    pub(crate) fn who(&self, site: &str, last_name: &str) -> String {
        self.see(site, &format!("SELECT 'patient:' || id FROM patient WHERE last_name = '{last_name}'"))
    }

    /// The file of a person in the folder.
    pub(crate) fn file_of(&self, site: &str, last_name: &str) -> PathBuf {
        let shown = self.run(site, &["show", &self.who(site, last_name), "--json"]).json(0);
        self.dir().join("folder").join(shown["file"]["path"].as_str().expect("a path"))
    }

    /// Both sites write another phone number for one person, and hear of each other.
    pub(crate) fn conflict(&self, last_name: &str) {
        self.sql("north", &format!("UPDATE patient SET phone = '555 7111' WHERE last_name = '{last_name}'"));
        self.sql("south", &format!("UPDATE patient SET phone = '555 7222' WHERE last_name = '{last_name}'"));
        self.rounds();
    }

    /// What differs from run to run, by names that do not: UUIDs, times, durations, the directory.
    pub(crate) fn plain(&self, text: &str) -> String {
        let real = dunce::canonicalize(self.dir()).expect("is there");
        let text = text.replace(&real.display().to_string(), "<dir>").replace(&self.dir().display().to_string(), "<dir>");
        let text = if cfg!(windows) { text.replace('\\', "/") } else { text };
        redact(&text)
    }
}

/// Replaces UUIDs, short ids, shard directories, times and durations.
pub(crate) fn redact(text: &str) -> String {
    let shapes: [(&str, &str); 7] = [
        ("hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", "<uuid>"),
        ("dddd-dd-ddTdd:dd:dd.dddZ", "<time>"),
        ("dddd-dd-dd dd:dd:dd", "<time>"),
        ("[hhhhhhhh]", "[<id>]"),
        (" hhhhhhhh", " <id>"),
        (":hhhhhhhh", ":<id>"),
        ("/hh/<", "/<xx>/<"),
    ];
    let mut out = text.to_owned();
    for (shape, by) in shapes {
        let chars: Vec<char> = out.chars().collect();
        let shape: Vec<char> = shape.chars().collect();
        let fits = |at: usize| {
            let window = chars.get(at..at + shape.len());
            let fits = window.is_some_and(|w| {
                w.iter().zip(&shape).all(|(c, s)| match s {
                    'h' => c.is_ascii_digit() || ('a'..='f').contains(c),
                    'd' => c.is_ascii_digit(),
                    s => c == s,
                })
            });
            fits && (shape[0] != ' ' || chars.get(at + shape.len()).is_none_or(|c| c.is_whitespace()))
        };
        let (mut i, mut next) = (0, String::new());
        while i < chars.len() {
            if fits(i) {
                next.push_str(by);
                i += shape.len();
            } else {
                next.push(chars[i]);
                i += 1;
            }
        }
        out = next;
    }
    let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
    for l in &mut lines {
        if let Some((head, tail)) = l.split_once("Synchronized in ").and_then(|(h, t)| Some((h.to_owned(), t.split_once(" s: ")?.1.to_owned()))) {
            *l = format!("{head}Synchronized in <n> s: {tail}");
        }
    }
    lines.join("\n")
}
