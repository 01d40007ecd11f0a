//! Commands that only look, and the help.

use super::{Clinics, cfs};

const COMMANDS: [&str; 16] =
    ["init", "sync", "status", "sites", "log", "show", "conflicts", "delete", "deletions", "trash", "erase", "verify", "doctor", "detach", "demo", "conflicts keep"];

#[test]
fn help() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut all = cfs(dir.path(), &["--help"]).ended(0);
    for c in COMMANDS {
        let args: Vec<&str> = c.split(' ').chain(["--help"]).collect();
        all.push_str(&format!("\n──────── cfs {c}\n{}", cfs(dir.path(), &args).ended(0)));
    }
    assert!(all.lines().all(|l| l.chars().count() <= 80), "wider than a terminal");
    insta::assert_snapshot!("help", all);
}

#[test]
fn status_and_sites_at_rest_and_with_work_to_do() {
    let c = Clinics::new();
    let mut all = c.run("north", &["status"]).ended(0);
    c.conflict("Pemberwick");
    c.sql("north", "UPDATE patient SET phone = '1' WHERE last_name IN ('Inkpen', 'Dunmoor'); INSERT INTO cfs_delete VALUES ('allergy', 1, 'wrong')");
    c.sql("south", "UPDATE patient SET phone = '2' WHERE last_name = 'Vexley'");
    c.run("south", &["sync"]).ended(0);
    all.push_str("\n──────── with work to do\n");
    all.push_str(&c.run("north", &["status"]).ended(0));
    insta::assert_snapshot!("status", c.plain(&all));
    let status = c.run("north", &["status", "--json"]).json(0);
    assert_eq!(status["to_send"]["rows_touched"], 2);
    assert_eq!(status["to_apply"]["segments"], 1);
    assert_eq!(status["conflicts"], 1);
    assert_eq!(status["sites"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_held_record_is_in_the_status_with_its_reason() {
    let c = Clinics::new();
    c.sql("south", "CREATE TRIGGER strict BEFORE UPDATE OF phone ON patient WHEN NEW.phone LIKE '0%' BEGIN SELECT raise(ABORT, 'a phone number starts with 5'); END");
    c.sql("north", "UPDATE patient SET phone = '0123' WHERE last_name = 'Pemberwick'");
    c.rounds();
    let status = c.run("south", &["status", "--json"]).json(0);
    assert_eq!(status["held"][0]["state"], "held");
    assert_eq!(status["held"][0]["reason"], "a phone number starts with 5");
    let shown = c.run("south", &["status"]).ended(0);
    assert!(shown.contains("Held        patient:6") && shown.contains("a phone number starts with 5. Since "), "{shown}");
    let record = c.run("south", &["show", "patient:6"]).ended(0);
    assert!(record.contains("Held     a phone number starts with 5") && record.contains("in the database: 555 1002"), "{record}");
}

#[test]
fn log_and_show_say_who_changed_what() {
    let c = Clinics::new();
    // A person of North's own, shown at North: local keys there do not depend on any UUID.
    let here = "(SELECT p.id FROM patient p WHERE p.last_name = 'Applegarth')";
    c.sql("south", &format!("UPDATE patient SET phone = '555 7000' WHERE id = {here}; UPDATE visit SET reason = 'Dizzy' WHERE patient_id = {here} AND visit_date = (SELECT min(visit_date) FROM visit WHERE patient_id = {here})"));
    c.rounds();
    let who = c.who("north", "Applegarth");
    let mut all = c.run("north", &["log", "--last", "1"]).ended(0);
    all.push_str("\n──────── its record\n");
    all.push_str(&c.run("north", &["show", &who, "--history"]).ended(0));
    let theirs = c.see("south", "SELECT cast(file_no AS TEXT) FROM patient WHERE last_name = 'Applegarth'");
    let all = all.replace(&format!("file_no at South  {theirs}\n"), "file_no at South  <its own>\n");
    insta::assert_snapshot!("log_and_show", c.plain(&all));
    let log = c.run("north", &["log", "--record", &who, "--json"]).json(0);
    let change = log["runs"][0]["changes"].as_array().expect("changes").iter().find(|c| c["field"] == "phone").expect("the phone").clone();
    assert_eq!((&change["old"], &change["new"], &change["site"]["name"]), (&"555 1001".into(), &"555 7000".into(), &"South".into()));
}

#[test]
fn patients_data_cannot_write_to_the_terminal() {
    let c = Clinics::new();
    c.sql("north", "UPDATE patient SET last_name = 'Ev' || char(27) || '[2J' || char(8238) || 'il', address = 'a' || char(10) || 'b' WHERE last_name = 'Inkpen'");
    c.run("north", &["sync"]).ended(0);
    for command in [&["log", "--last", "1"][..], &["show", "patient:9"], &["delete", "patient:9"], &["trash"]] {
        let out = c.run("north", command).ended(0);
        assert!(!out.contains('\x1b') && !out.contains('\u{202e}'), "{command:?}");
    }
    assert!(c.run("north", &["trash"]).ended(0).contains("Ev\\u{1b}[2J\\u{202e}il, Rosalba"));
}

#[test]
fn every_report_is_one_json_document() {
    let c = Clinics::new();
    for command in [
        &["status"][..],
        &["sites"],
        &["log"],
        &["show", "patient:1", "--history"],
        &["conflicts"],
        &["conflicts", "list"],
        &["deletions"],
        &["trash"],
        &["trash", "list"],
        &["verify"],
        &["doctor"],
        &["sync"],
    ] {
        let mut args = command.to_vec();
        args.push("--json");
        assert!(c.run("north", &args).json(0).is_object(), "{command:?}");
    }
}

#[test]
fn a_site_is_retired_and_taken_back() {
    let c = Clinics::new();
    assert!(c.run("north", &["sites", "retire", "South"]).ended(0).contains("is retired"));
    assert!(c.run("north", &["sites"]).ended(0).contains("(retired)"));
    c.run("north", &["sync"]).ended(0);
    c.run("north", &["sites", "retire", "South", "--undo"]).ended(0);
    assert!(!c.run("north", &["sites"]).ended(0).contains("(retired)"));
    assert!(c.run("north", &["sites", "retire", "West"]).refused(2).contains("no site of that name"));
    assert!(c.run("north", &["sites", "retire", "North"]).refused(2).contains("that is this site"));
}

#[test]
fn the_log_knows_how_long_a_synchronization_took() {
    let c = crate::hosts::Clinic::new();
    c.make(
        "A",
        1,
        &[
            "CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT);",
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400) INSERT INTO patient SELECT i, 'P' || i FROM c",
        ],
    );
    c.init("A", &[]);
    let told = c.sync("A")["seconds"].as_f64();
    let kept: f64 = c.open("A").query_row("SELECT json_extract(report, '$.seconds') FROM cfs_run", [], |r| r.get(0)).unwrap();
    assert!(kept > 0.0 && told.is_some_and(|t| kept <= t), "{kept} {told:?}");
}
