//! Two and three sites of realistic data, by the binary. The data lies outside the repository: where
//! it is missing, or Python is, the test says so and is skipped.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn data() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let python = Command::new("python3").arg("--version").output().is_ok();
    if !dir.join("build_synthea_db.py").exists() || !python {
        eprintln!("skipped: needs ../shared/data and python3");
        return None;
    }
    Some(dir)
}

fn build(data: &Path, to: &Path, variant: &str, site: &str) {
    let out = Command::new("python3")
        .args([data.join("build_synthea_db.py").to_str().unwrap(), "--pack", data.join("synthea_csv_40.tar.xz").to_str().unwrap()])
        .args(["--variant", variant, "--site", site, "--overlap", "0.3", "--out", to.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn cfs(dir: &Path, args: &[&str]) -> Output {
    let out = Command::new(env!("CARGO_BIN_EXE_cfs")).args(args).current_dir(dir).env("XDG_STATE_HOME", dir.join("state")).output().unwrap();
    assert!(out.status.success(), "cfs {args:?}: {}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    out
}

fn report(dir: &Path, site: &str) -> serde_json::Value {
    let out = cfs(dir, &["--config", &format!("{site}/cfs.toml"), "sync", "--json"]);
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Rows of each table that is synchronized.
fn counts(db: &Path) -> BTreeMap<String, i64> {
    let conn = Connection::open(db).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert!(!conn.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap(), "a foreign key leads nowhere");
    let mut q = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'cfs_%'").unwrap();
    let names: Vec<String> = q.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let own = ["app_setting", "counter", "audit_log", "app_user"];
    names
        .into_iter()
        .filter(|n| !own.contains(&n.as_str()))
        .map(|n| {
            let rows = conn.query_row(&format!("SELECT count(*) FROM \"{n}\""), [], |r| r.get(0)).unwrap();
            (n, rows)
        })
        .collect()
}

#[test]
fn legacy_sites_with_colliding_keys_end_up_with_every_row_once() {
    let Some(data) = data() else { return };
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    std::fs::create_dir(dir.join("folder")).unwrap();
    let sites = ["one", "two", "three"];
    for (i, s) in sites.iter().enumerate() {
        std::fs::create_dir(dir.join(s)).unwrap();
        build(&data, &dir.join(s).join("clinic.db"), "legacy", &format!("{}/3", i + 1));
        let db = format!("{s}/clinic.db");
        cfs(dir, &["init", "--database", &db, "--folder", "folder", "--site", s, "--match-on", "national_id"]);
        report(dir, s);
    }
    // All that is at any site, in one database: what every site must hold in the end.
    build(&data, &dir.join("whole.db"), "legacy", "1/1");
    for _ in 0..2 {
        sites.iter().for_each(|s| drop(report(dir, s)));
    }
    let mut whole = counts(&dir.join("whole.db"));
    let first = counts(&dir.join("one/clinic.db"));
    for s in sites {
        let mut here = counts(&dir.join(s).join("clinic.db"));
        assert_eq!(here, first, "{s} and one");
        // The builder draws links to relatives anew for each site, makes the codes that a site's rows
        // need, and leaves out links between a plan and a diagnosis that are at different sites.
        for t in ["patient_link", "code_item", "care_plan_diagnosis"] {
            here.remove(t);
            whole.remove(t);
        }
        assert_eq!(here, whole, "{s}");
        let r = report(dir, s);
        assert_eq!((r["files_written"].as_u64(), r["held"].as_array().map(Vec::len)), (Some(0), Some(0)), "{s}: {r}");
    }
    // One changed field: one small segment, that record's file, and this site's own.
    let conn = Connection::open(dir.join("one/clinic.db")).unwrap();
    conn.execute("UPDATE patient SET phone = '555 0100' WHERE patient_id = 1", []).unwrap();
    drop(conn);
    let sent = report(dir, "one");
    assert_eq!(sent["files_written"].as_u64(), Some(3), "{sent}");
    let took = report(dir, "two");
    assert!(took["files_read"].as_u64().unwrap() <= 4, "{took}");
    validate(dir);
}

/// Every file of the folder against its schema.
fn validate(dir: &Path) {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (schema, below) in [("record.xsd", "records"), ("log.xsd", "logs"), ("site.xsd", "sites")] {
        let mut files = Vec::new();
        walk(&dir.join("folder").join(below), &mut files);
        assert!(!files.is_empty(), "{below}");
        for some in files.chunks(200) {
            let Ok(out) = Command::new("xmllint").args(["--noout", "--schema"]).arg(schemas.join(schema)).args(some).output() else {
                eprintln!("skipped: xmllint is missing (Debian libxml2-utils)");
                return;
            };
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(out.status.success(), "{}", said.lines().filter(|l| !l.ends_with("validates")).take(5).collect::<Vec<_>>().join("\n"));
        }
    }
}

fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in std::fs::read_dir(dir).expect("the folder has it") {
        let p = e.unwrap().path();
        if p.is_dir() { walk(&p, out) } else { out.push(p) }
    }
}

#[test]
fn sites_with_uuid_keys_end_up_with_every_row_once() {
    let Some(data) = data() else { return };
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    std::fs::create_dir(dir.join("folder")).unwrap();
    for s in ["one", "two"] {
        std::fs::create_dir(dir.join(s)).unwrap();
        build(&data, &dir.join(s).join("clinic.db"), "uuid", "1/1");
    }
    // Each lacks what the other has: half of the patients.
    for (s, rest) in [("one", "('0','1','2','3','4','5')"), ("two", "('6','7','8','9','a','b')")] {
        let conn = Connection::open(dir.join(s).join("clinic.db")).unwrap();
        conn.execute_batch(&format!("PRAGMA foreign_keys = ON; DELETE FROM patients WHERE substr(id, 1, 1) IN {rest}")).unwrap();
    }
    build(&data, &dir.join("whole.db"), "uuid", "1/1");
    for s in ["one", "two"] {
        let db = format!("{s}/clinic.db");
        cfs(dir, &["init", "--database", &db, "--folder", "folder", "--site", s, "--match-on", "mrn"]);
        report(dir, s);
    }
    report(dir, "one");
    let whole = counts(&dir.join("whole.db"));
    for s in ["one", "two"] {
        assert_eq!(counts(&dir.join(s).join("clinic.db")), whole, "{s}");
        report(dir, s);
        assert_eq!(report(dir, s)["files_written"].as_u64(), Some(0));
    }
}
