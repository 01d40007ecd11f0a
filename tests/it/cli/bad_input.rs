//! What people get wrong: each answer names the thing and the way out.

use super::{Clinics, cfs};

#[test]
fn a_missing_or_misspelt_configuration() {
    let c = Clinics::new();
    assert!(cfs(c.dir(), &["status"]).refused(2).contains("make one with `cfs init`, or name it with --config"));
    let text = std::fs::read_to_string(c.dir().join("north/cfs.toml")).expect("cfs.toml").replace("use_logs", "use_log");
    #[expect(clippy::disallowed_methods, reason = "cfs.toml is a person's file")]
    std::fs::write(c.dir().join("north/cfs.toml"), text).expect("written");
    assert!(c.run("north", &["status"]).refused(2).contains("`use_log` is not a setting; did you mean `use_logs`?"));
}

#[test]
fn records_that_are_not_there() {
    let c = Clinics::new();
    let said = |args: &[&str]| c.run("north", args).refused(2);
    assert!(said(&["show", "xyz"]).contains("for example patient:17"));
    assert!(said(&["show", "ab"]).contains("first 4 or more"));
    assert!(said(&["show", "patient:9999"]).contains("no patient with that key"));
    assert!(said(&["show", "patiant:1"]).contains("did you mean `patient`?"));
    assert!(said(&["show", "00000000-0000-0000-0000-000000000000"]).contains("no record known here"));
    assert!(said(&["delete", "patient:1", "--row", "visit"]).contains("TABLE:KEY"));
    assert!(said(&["delete", "patient:1", "--row", "visits:1"]).contains("no row in a table of that name"));
    assert!(said(&["log", "--run", "999"]).contains("no synchronization 999"));
}

#[test]
fn a_prefix_of_several_records() {
    let c = Clinics::new();
    // Two records whose UUIDs are made to start alike: only the look-up is asked.
    c.sql("north", "UPDATE cfs_record SET id = CAST(x'abcdabcd' || substr(id, 5) AS BLOB) WHERE n IN (1, 2)");
    assert!(c.run("north", &["show", "abcdabcd"]).refused(2).contains("several records' UUIDs start so"));
}

#[test]
fn a_folder_that_is_gone() {
    let c = Clinics::new();
    #[expect(clippy::disallowed_methods, reason = "a person moves the folder")]
    std::fs::rename(c.dir().join("folder"), c.dir().join("elsewhere")).expect("moved");
    assert!(c.run("north", &["status"]).ended(2).contains("Is the drive"));
    assert!(c.run("north", &["sync"]).refused(2).contains("Is the drive mounted"));
    let out = c.run("north", &["doctor"]).ended(1);
    assert!(out.contains("FAIL  folder") && out.contains("mount the drive"), "{out}");
    std::fs::create_dir(c.dir().join("folder")).expect("made");
    assert!(c.run("north", &["sync"]).refused(2).contains("is not this clinic's sync folder"));
}

#[test]
fn commands_that_do_not_exist() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for args in [&["synk"][..], &["log", "--last", "many"], &["conflicts", "keep"], &[]] {
        assert_eq!(cfs(dir.path(), args).code, 2, "{args:?}");
    }
}
