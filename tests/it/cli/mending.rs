//! `cfs verify` and `cfs doctor`.

use super::Clinics;

#[test]
fn verify_finds_what_differs_and_repair_mends_it() {
    let c = Clinics::new();
    assert!(c.run("north", &["verify"]).ended(0).contains("No differences"));
    let torn = c.file_of("north", "Inkpen");
    let missing = c.file_of("north", "Dunmoor");
    let older = c.file_of("north", "Kestrelton");
    let before = std::fs::read(&older).expect("a file");
    c.sql("north", "UPDATE patient SET phone = '1' WHERE last_name = 'Kestrelton'");
    c.rounds();
    let bytes = std::fs::read(&torn).expect("a file");
    #[expect(clippy::disallowed_methods, reason = "the folder is hostile")]
    {
        std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("written");
        std::fs::write(&older, before).expect("written");
        std::fs::write(older.with_extension("xml.bak"), "nothing").expect("written");
    }
    std::fs::remove_file(&missing).expect("removed");
    c.sql("south", "UPDATE patient SET phone = '2' WHERE last_name = 'Vexley'");
    let out = c.run("north", &["verify"]).ended(1);
    for words in ["incomplete", "not in the folder", "the file lacks what is known here", "3 differences"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let out = c.run("south", &["verify"]).ended(1);
    assert!(out.contains("phone was changed in the database and not sent yet"), "{out}");
    let mended = c.run("north", &["verify", "--repair"]);
    assert_eq!(mended.code, 0, "{}", mended.out);
    assert_eq!(std::fs::read(&torn).expect("a file"), bytes);
    c.run("south", &["verify", "--repair"]).ended(0);
}

#[test]
fn verify_says_what_is_in_one_place_only() {
    let c = Clinics::new();
    c.sql("north", "INSERT INTO patient (last_name, first_name) VALUES ('Newcomer', 'Ada'); DROP TRIGGER cfs_update_visit; UPDATE visit SET note = 'unseen' WHERE id = 1");
    let out = c.run("north", &["verify"]).ended(1);
    assert!(out.contains("rows of patient in the database only: 1") && out.contains("visit: note was changed"), "{out}");
    assert!(!out.contains("Newcomer") && !out.contains("unseen"));
    c.run("north", &["verify", "--repair"]).ended(0);
}

#[test]
fn doctor_sees_what_will_go_wrong() {
    let c = Clinics::new();
    let checks = c.run("north", &["doctor", "--json"]).json(0);
    assert!(checks["checks"].as_array().is_some_and(|all| all.len() > 10));
    c.sql("north", "CREATE TABLE vaccination (id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patient(id)); DROP TRIGGER cfs_update_visit");
    let out = c.run("north", &["doctor"]).ended(0);
    assert!(out.contains("not synchronized: vaccination") && out.contains("missing: 1 of 44"), "{out}");
    c.sql("north", "ALTER TABLE patient RENAME COLUMN file_no TO chart_no");
    let out = c.run("north", &["doctor"]).ended(1);
    assert!(out.contains("FAIL  schema") && out.contains("file_no"), "{out}");
}

/// Two accounts of one computer, each with a state directory of its own, took each other for a copy and were a new site
/// every time.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test changes the configuration")]
fn another_account_of_this_computer_is_no_copy() {
    if !std::path::Path::new("/etc/machine-id").exists() {
        eprintln!("skipped: this computer has no /etc/machine-id");
        return;
    }
    let c = Clinics::new();
    let other = |args: &[&str]| {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_cfs"))
            .args(["--config", "north/cfs.toml"])
            .args(args)
            .current_dir(c.dir())
            .env("XDG_STATE_HOME", c.dir().join("another"))
            .output()
            .expect("cfs starts");
        (done.status.code(), String::from_utf8(done.stderr).expect("UTF-8"))
    };
    let sites = || c.run("north", &["sites", "--json"]).json(0)["sites"].as_array().map(Vec::len);
    for args in [["sync"].as_slice(), &["run", "--no-page"]] {
        let (code, said) = other(args);
        assert!(code == Some(2) && said.contains("state_dir"), "{code:?} {said}");
    }
    c.rounds();
    assert_eq!(sites(), Some(2));
    // In one place for both, it is a new site once.
    let file = c.dir().join("north/cfs.toml");
    let text = std::fs::read_to_string(&file).expect("is there");
    std::fs::write(&file, format!("state_dir = \"../shared-state\"\n{text}")).expect("written");
    for _ in 0..3 {
        assert_eq!(other(&["sync"]).0, Some(0));
        c.run("north", &["sync"]).ended(0);
    }
    assert_eq!(sites(), Some(3));
    // Where the state of the account was lost, it goes on as a new site.
    std::fs::write(&file, text).expect("written");
    std::fs::remove_dir_all(c.dir().join("state")).expect("removed");
    c.run("north", &["sync"]).ended(0);
}
