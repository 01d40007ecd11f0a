//! The recovery drills of docs/RECOVERY.md, with the commands that stand there: each ends with all sites equal, and
//! with everything that was typed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::hosts::Clinic;

const SCHEMA: &str = "CREATE TABLE patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, name TEXT NOT NULL, phone TEXT);
    CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, note TEXT); CREATE INDEX v ON visit (patient_id);";

/// Two sites that hold forty people.
fn two() -> Clinic {
    let c = Clinic::new();
    let people = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 40) INSERT INTO patient SELECT i, 'N' || i, 'P' || i, NULL FROM c; INSERT INTO visit SELECT id, id, 'v' || id FROM patient";
    c.make("A", 1, &[SCHEMA, people]);
    c.make("B", 2, &[SCHEMA]);
    c.init("A", &[]);
    c.sync("A");
    c.init("B", &[]);
    c.settle(&["B", "A"]);
    c
}

fn types(c: &Clinic, site: &str, person: u32, phone: &str) {
    c.open(site).execute("UPDATE patient SET phone = ?1 WHERE national_id = 'N' || ?2", (phone, person)).unwrap();
}

/// Everybody has everything that was typed, once.
fn ends_well(c: &Clinic, sites: &[&str], typed: &[&str]) {
    c.settle(sites);
    for s in sites {
        assert_eq!(c.count(s, "SELECT count(*) + 1000 * count(DISTINCT national_id) FROM patient"), 40_040, "{s}");
        assert_eq!(c.count(s, "SELECT count(*) FROM visit"), 40, "{s}");
        for t in typed {
            assert_eq!(c.count(s, &format!("SELECT count(*) FROM patient WHERE phone = '{t}'")), 1, "{s}: {t}");
        }
        let said = c.cfs(&["--config", &format!("{s}/cfs.toml"), "verify"]);
        assert!(said.contains("No differences"), "{s}: {said}");
    }
}

fn refused(c: &Clinic, args: &[&str], code: i32, says: &str) {
    let out = c.run(args);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.code() == Some(code) && said.replace("\n  ", " ").contains(says), "{:?}: {said}", out.status.code());
}

/// The database of A, with its configuration, under another name.
fn copy_to_c(c: &Clinic) {
    std::fs::create_dir(c.path("C")).unwrap();
    std::fs::copy(c.db("A"), c.db("C")).unwrap();
    let config = std::fs::read_to_string(c.path("A/cfs.toml")).unwrap().replace("site = \"A\"", "site = \"C\"");
    std::io::Write::write_all(&mut std::fs::File::create(c.path("C/cfs.toml")).unwrap(), config.as_bytes()).unwrap();
}

#[test]
fn our_tables_are_lost() {
    let c = two();
    types(&c, "A", 1, "typed before");
    c.settle(&["A", "B"]);
    let conn = c.open("A");
    let names: Vec<String> = {
        let mut q = conn
            .prepare("SELECT 'DROP ' || type || ' \"' || name || '\"' FROM sqlite_master WHERE name LIKE 'cfs\\_%' ESCAPE '\\' AND type IN ('table', 'trigger') ORDER BY type DESC")
            .unwrap();
        q.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    };
    names.iter().for_each(|n| conn.execute_batch(n).unwrap());
    types(&c, "A", 2, "typed without us");
    types(&c, "B", 3, "typed elsewhere");
    refused(&c, &["--config", "A/cfs.toml", "sync"], 2, "run `cfs init`");
    c.init("A", &["--match-on", "national_id"]);
    ends_well(&c, &["A", "B"], &["typed before", "typed without us", "typed elsewhere"]);
}

#[test]
fn the_folder_is_lost() {
    let c = two();
    types(&c, "A", 1, "sent before");
    c.settle(&["A", "B"]);
    types(&c, "B", 2, "not sent yet");
    std::fs::remove_dir_all(c.path("f")).unwrap();
    refused(&c, &["--config", "A/cfs.toml", "sync"], 2, "there is no such folder");
    std::fs::create_dir(c.path("f")).unwrap();
    refused(&c, &["--config", "A/cfs.toml", "sync"], 2, "`cfs sync --rebuild` makes it again");
    let said = c.cfs(&["--config", "A/cfs.toml", "sync", "--rebuild"]);
    assert!(said.contains("40 files that were gone written again"), "{said}");
    types(&c, "A", 3, "typed after");
    ends_well(&c, &["A", "B"], &["sent before", "not sent yet", "typed after"]);
}

#[test]
fn an_old_database_is_put_back() {
    let c = two();
    std::fs::copy(c.db("A"), c.path("backup.db")).unwrap();
    types(&c, "A", 1, "after the backup");
    c.settle(&["A", "B"]);
    types(&c, "A", 2, "never sent, and not in the backup");
    std::fs::copy(c.path("backup.db"), c.db("A")).unwrap();
    types(&c, "A", 3, "into the old state");
    types(&c, "B", 4, "elsewhere");
    let r = c.sync("A");
    assert!(r["notices"].to_string().contains("looks restored or copied"), "{r:#}");
    ends_well(&c, &["A", "B"], &["after the backup", "into the old state", "elsewhere"]);
}

#[test]
fn a_computer_is_cloned() {
    let c = two();
    copy_to_c(&c);
    types(&c, "A", 1, "at the first");
    types(&c, "C", 2, "at the copy");
    c.sync("A");
    // The copy has the database and not the small file beside it.
    let out = c.run_on("other-computer", &["--config", "C/cfs.toml", "sync"]);
    assert!(String::from_utf8_lossy(&out.stdout).replace("\n  ", " ").contains("looks restored or copied"), "{out:?}");
    for _ in 0..2 {
        c.sync("A");
        c.sync("B");
        c.run_on("other-computer", &["--config", "C/cfs.toml", "sync"]);
    }
    assert_eq!(c.count("C", "SELECT count(*) FROM patient WHERE phone IN ('at the first', 'at the copy')"), 2);
    ends_well(&c, &["A", "B"], &["at the first", "at the copy"]);
}

#[test]
fn the_folder_is_emptied() {
    let c = two();
    types(&c, "B", 1, "typed meanwhile");
    for entry in std::fs::read_dir(c.path("f/records/patient")).unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let out = c.run(&["--config", "A/cfs.toml", "sync", "--full"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.code() == Some(4) && said.contains("40 of 40 record files are gone"), "{said}");
    let yes = said.split_whitespace().find(|w| w.starts_with("--yes=")).unwrap().to_owned();
    c.cfs(&["--config", "A/cfs.toml", "sync", "--full", &yes]);
    ends_well(&c, &["A", "B"], &["typed meanwhile"]);
}

#[test]
fn another_clinics_folder() {
    let (c, other) = (two(), two());
    let file = c.path("A/cfs.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let theirs = other.path("f");
    let wrong = config.lines().map(|l| if l.starts_with("folder") { format!("folder = {:?}", theirs.to_str().unwrap()) } else { l.to_owned() }).collect::<Vec<_>>().join("\n");
    let write = |text: &str| std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    write(&wrong);
    types(&c, "A", 1, "typed");
    refused(&c, &["--config", "A/cfs.toml", "sync"], 2, "is another sync folder");
    write(&config);
    ends_well(&c, &["A", "B"], &["typed"]);
    ends_well(&other, &["A", "B"], &[]);
}

#[test]
fn the_disk_is_full() {
    let c = two();
    types(&c, "A", 1, "typed on a full disk");
    // A folder on a disk of its own that is too small for another file.
    let small = c.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: needs the right to mount a small disk");
        return;
    }
    let unmount = || drop(std::process::Command::new("umount").arg(&small).output());
    let copied = std::process::Command::new("cp").args(["-a"]).arg(c.path("f")).arg(&small).status();
    let filled = std::process::Command::new("sh").arg("-c").arg(format!("cat /dev/zero > {:?} 2>/dev/null; true", small.join("fill"))).status();
    let file = c.path("A/cfs.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let moved =
        config.lines().map(|l| if l.starts_with("folder") { format!("folder = {:?}", small.join("f").to_str().unwrap()) } else { l.to_owned() }).collect::<Vec<_>>().join("\n");
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), moved.as_bytes()).unwrap();
    let out = c.run(&["--config", "A/cfs.toml", "sync"]);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    std::fs::remove_file(small.join("fill")).unwrap();
    let after = c.run(&["--config", "A/cfs.toml", "sync"]);
    let back = std::process::Command::new("sh").arg("-c").arg(format!("rm -rf {0:?} && cp -a {1:?} {0:?}", c.path("f"), small.join("f"))).status();
    unmount();
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), config.as_bytes()).unwrap();
    assert!(copied.is_ok() && filled.is_ok() && back.is_ok());
    assert!(said.contains("full"), "{said}");
    assert!(after.status.success(), "{after:?}");
    ends_well(&c, &["A", "B"], &["typed on a full disk"]);
}

#[test]
fn a_computer_is_lost_and_another_takes_over() {
    const NUMBERED: &str = "CREATE TABLE patient (id INTEGER PRIMARY KEY, file_no INTEGER UNIQUE, national_id TEXT UNIQUE, name TEXT NOT NULL, phone TEXT);";
    let c = Clinic::new();
    let people = |first: u32, file_no: u32| {
        format!(
            "WITH RECURSIVE c(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM c WHERE i < {}) INSERT INTO patient (file_no, national_id, name) SELECT {file_no} - i, 'N' || i, 'P' || i FROM c",
            first + 199
        )
    };
    c.make("North", 1, &[NUMBERED, &people(1, 900)]);
    c.make("South", 2, &[NUMBERED, &people(201, 500)]);
    c.init("North", &[]);
    c.sync("North");
    c.init("South", &["--no-match"]);
    c.settle(&["South", "North"]);
    // Numbers that North gave to people of South travel with what North types about them.
    c.open("North").execute_batch("UPDATE patient SET phone = 'typed' WHERE national_id IN ('N201', 'N205')").unwrap();
    c.settle(&["North", "South"]);
    let numbers = |site: &str, which: &str| -> Vec<(String, i64)> {
        let db = c.open(site);
        let mut q = db.prepare(&format!("SELECT national_id, file_no FROM patient WHERE {which} ORDER BY national_id")).unwrap();
        q.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let sent = "CAST(substr(national_id, 2) AS INTEGER) <= 200 OR phone = 'typed'";
    let before = numbers("North", sent);
    assert_eq!(before.len(), 202);
    let elsewhere = numbers("South", "1");
    std::fs::remove_dir_all(c.path("North")).unwrap();
    c.make("New", 3, &[NUMBERED]);
    refused(&c, &["--config", "New/cfs.toml", "init", "--database", "New/host.db", "--folder", "f", "--site", "New", "--succeeds", "Nord"], 2, "it has \"North\", \"South\"");
    assert!(!c.path("New/cfs.toml").exists());
    let said = c.init("New", &["--succeeds", "North"]);
    assert!(said.contains("takes over from \"North\""), "{said}");
    let r = c.sync("New");
    assert!(!r["notices"].to_string().contains("in use here"), "{r:#}");
    assert_eq!(numbers("New", sent), before);
    assert_eq!(c.count("New", "SELECT count(*) + 1000 * count(DISTINCT file_no) FROM patient"), 400_400);
    // A site already: its numbers are its own.
    let again = ["--config", "New/cfs.toml", "init", "--database", "New/host.db", "--folder", "f", "--site", "New", "--succeeds", "South"];
    refused(&c, &again, 2, "this one is a site already");
    types(&c, "New", 7, "typed at the new one");
    c.settle(&["New", "South"]);
    assert_eq!(c.count("South", "SELECT count(*) FROM patient WHERE phone = 'typed at the new one'"), 1);
    assert_eq!(numbers("South", "1"), elsewhere);
    let sites = c.cfs(&["--config", "South/cfs.toml", "sites"]);
    assert!(sites.contains("(goes on as \"New\")"), "{sites}");
    // A second loss: what the first one had is still there.
    std::fs::remove_dir_all(c.path("New")).unwrap();
    c.make("Newer", 4, &[NUMBERED]);
    c.init("Newer", &["--succeeds", "New"]);
    c.sync("Newer");
    assert_eq!(numbers("Newer", "CAST(substr(national_id, 2) AS INTEGER) <= 200 OR phone = 'typed'"), before);
}

/// A copy of a database was another site before, and that one is in use: its numbers are for it alone.
#[test]
fn a_copy_does_not_take_the_others_numbers() {
    let c = Clinic::new();
    c.make(
        "A",
        1,
        &["CREATE TABLE patient (id INTEGER PRIMARY KEY, file_no INTEGER UNIQUE, national_id TEXT UNIQUE, name TEXT NOT NULL);", "INSERT INTO patient VALUES (1, 1, 'N1', 'P1')"],
    );
    c.init("A", &[]);
    c.sync("A");
    copy_to_c(&c);
    let copy = || assert!(c.run_on("other-computer", &["--config", "C/cfs.toml", "sync"]).status.success());
    copy();
    c.open("A").execute_batch("INSERT INTO patient VALUES (9, 700, 'N2', 'P2')").unwrap();
    c.sync("A");
    copy();
    assert_eq!(c.count("C", "SELECT file_no FROM patient WHERE national_id = 'N2'"), 2);
}

/// What was done while the database's triggers were off no note tells of: a scan finds it, and stores nothing else.
#[test]
fn a_scan_finds_what_no_trigger_noted() {
    let c = two();
    let db = c.open("A");
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    db.execute_batch("UPDATE patient SET phone = 'unnoted' WHERE id = 3; INSERT INTO visit VALUES (900, 4, 'unnoted')").unwrap();
    drop(db);
    let sync = |flag: &str| -> serde_json::Value { serde_json::from_str(&c.cfs(&["--config", "A/cfs.toml", "sync", flag, "--json"])).unwrap() };
    assert_eq!(sync("--full")["exported"], 0);
    assert_eq!(sync("--scan")["exported"], 2);
    let again = sync("--scan");
    assert_eq!((&again["exported"], &again["files_written"], &again["run"]), (&0.into(), &0.into(), &0.into()), "{again:#}");
    c.settle(&["B", "A"]);
    assert_eq!(c.count("B", "SELECT (SELECT count(*) FROM patient WHERE phone = 'unnoted') + (SELECT count(*) FROM visit WHERE note = 'unnoted')"), 2);
}

/// More notes than are forgotten at a time: none but the last is left.
#[test]
fn all_notes_of_a_first_import_are_forgotten() {
    let c = Clinic::new();
    c.make("A", 1, &[SCHEMA, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO patient SELECT i, 'N' || i, 'P' || i, NULL FROM c"]);
    // Somebody hears of inserts: ours are not made silently.
    c.make("B", 2, &[SCHEMA, "CREATE TABLE heard (x); CREATE TRIGGER hears AFTER INSERT ON patient BEGIN INSERT INTO heard VALUES (NEW.id); END"]);
    c.init("A", &[]);
    c.sync("A");
    c.init("B", &[]);
    c.sync("B");
    assert_eq!(c.count("B", "SELECT count(*) FROM heard"), 5000);
    assert_eq!((c.count("B", "SELECT count(*) FROM patient"), c.count("B", "SELECT count(*) FROM cfs_note")), (5000, 1));
}
