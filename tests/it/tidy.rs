//! The house: which room may use which, how long a file may be, what must not be in the tree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top floor down. A room uses only rooms printed beneath it.
const ROOMS: [&str; 31] = [
    "main",
    "lib",
    "capi",
    "cli",
    "page",
    "service",
    "demo",
    "synchronizer",
    "alike",
    "setup",
    "keeper",
    "sync",
    "state",
    "host",
    "folder",
    "config",
    "names",
    "manifest",
    "site",
    "log",
    "xml",
    "report",
    "safety",
    "merge",
    "record",
    "version",
    "value",
    "shared",
    "stamp",
    "id",
    "planted",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for p in entries {
        if p.is_dir() {
            files(&p, ending, out);
        } else if p.to_string_lossy().ends_with(ending) {
            out.push(p);
        }
    }
}

fn sources() -> Vec<(String, String, PathBuf)> {
    let src = root().join("src");
    let mut all = Vec::new();
    files(&src, ".rs", &mut all);
    all.into_iter()
        .map(|p| {
            let inside = p.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
            let room = inside.split(['/', '\\', '.']).next().unwrap().to_owned();
            let text = fs::read_to_string(&p).unwrap();
            // Tests in a file may reach up.
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            (room, code, p)
        })
        .collect()
}

#[test]
fn rooms_use_only_rooms_beneath_them() {
    let floor: BTreeMap<&str, usize> = ROOMS.iter().enumerate().map(|(i, r)| (*r, i)).collect();
    let mut wrong = Vec::new();
    for (room, code, path) in sources() {
        if path.ends_with("tests.rs") {
            continue;
        }
        let here = *floor.get(room.as_str()).unwrap_or_else(|| panic!("`{room}` has no place in the house: add it to ROOMS, where it belongs"));
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let other: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if floor.get(other.as_str()).is_some_and(|there| *there < here) {
                    wrong.push(format!("{}: {room} uses {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_have_one_job_each() {
    let long: Vec<String> =
        sources().into_iter().map(|(_, code, p)| (code.lines().count(), p)).filter(|(n, _)| *n > 450).map(|(n, p)| format!("{}: {n} lines", p.display())).collect();
    assert!(long.is_empty(), "more than one job?\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TO", "FIX", "XX"].map(|m| {
        format!(
            "{m}{}",
            if m == "TO" {
                "DO"
            } else if m == "FIX" {
                "ME"
            } else {
                "X"
            }
        )
    });
    for (_, code, path) in sources() {
        for (n, line) in code.lines().enumerate() {
            assert!(!marks.iter().any(|m| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == m)), "{}:{}", path.display(), n + 1);
        }
    }
}

#[test]
fn every_decision_says_why_and_what_it_costs() {
    let mut all = Vec::new();
    files(&root().join("docs/decisions"), ".md", &mut all);
    assert!(!all.is_empty());
    for p in all {
        let text = fs::read_to_string(&p).unwrap().to_lowercase();
        for part in ["question", "choice", "why", "cost"] {
            assert!(text.contains(part), "{} does not say: {part}", p.display());
        }
    }
}
