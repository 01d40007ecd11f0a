//! Commands by which a person decides: conflicts, deletions, the trash, erasure.

use super::Clinics;

const PHONE: &str = "SELECT phone FROM patient WHERE last_name = 'Pemberwick'";
const COUNT: &str = "SELECT cast(count(*) AS TEXT) FROM patient";

#[test]
fn a_superseded_value_is_kept() {
    let c = Clinics::new();
    c.conflict("Pemberwick");
    assert_eq!(c.see("north", PHONE), "555 7222");
    let who = c.who("north", "Pemberwick");
    let mut all = c.run("north", &["conflicts"]).ended(0);
    all.push_str("\n──────── keep\n");
    all.push_str(&c.run("north", &["conflicts", "keep", &who, &who, "phone"]).ended(0));
    all.push_str("\n──────── then\n");
    all.push_str(&c.run("north", &["conflicts"]).ended(0));
    insta::assert_snapshot!("conflicts", c.plain(&all));
    c.rounds();
    assert_eq!((c.see("north", PHONE), c.see("south", PHONE)), ("555 7111".into(), "555 7111".into()));
    assert!(c.run("south", &["conflicts"]).ended(0).starts_with("No superseded values"));
    assert!(c.run("north", &["conflicts", "keep", &who, &who, "phone"]).refused(2).contains("no superseded values there"));
}

#[test]
fn superseded_values_are_discarded_for_a_whole_record() {
    let c = Clinics::new();
    c.conflict("Pemberwick");
    let who = c.who("south", "Pemberwick");
    assert!(c.run("south", &["conflicts", "keep", &who, "patient", "phone", "--value", "2"]).refused(2).contains("has 1 superseded"));
    c.run("south", &["conflicts", "discard", &who]).ended(0);
    c.rounds();
    assert_eq!((c.see("north", PHONE), c.see("south", PHONE)), ("555 7222".into(), "555 7222".into()));
    assert!(c.run("north", &["conflicts"]).ended(0).starts_with("No superseded values"));
}

#[test]
fn a_column_is_decided_in_all_records() {
    let c = Clinics::new();
    let reasons = "SELECT group_concat(DISTINCT reason) FROM visit";
    c.sql("north", "UPDATE visit SET reason = 'N'");
    c.sql("south", "UPDATE visit SET reason = 'S'");
    c.conflict("Pemberwick");
    let n: usize = c.see("north", "SELECT cast(count(*) AS TEXT) FROM visit").parse().unwrap();
    let end = format!("{n} fields are of visit.reason. To let the current value stand in all of them:\n  cfs conflicts discard --column visit.reason");
    let said = c.run("north", &["conflicts"]).ended(0);
    assert!(said.trim_end().ends_with(&end), "{said}");
    let one = c.run("north", &["conflicts", "--column", "Visit.Reason", "--json"]).json(0);
    assert_eq!((one["conflicts"].as_array().unwrap().len(), &one["columns"][0]["fields"], &one["columns"][1]), (n, &n.into(), &serde_json::Value::Null));
    assert!(!c.run("north", &["conflicts", "--column", "visit.reason"]).ended(0).contains("phone"));
    // Not without a word, not beside a record, not what is not there.
    let asked = c.run("north", &["conflicts", "discard", "--column", "visit.reason"]).refused(4);
    assert!(asked.contains(&format!("visit.reason stand in {n} fields")) && asked.contains("add --yes"), "{asked}");
    c.run("north", &["conflicts", "discard", "--column", "visit.note", "--yes"]).refused(2);
    c.run("north", &["conflicts", "discard", "patient:1", "--column", "visit.reason", "--yes"]).refused(2);
    c.run("north", &["conflicts", "discard"]).refused(2);
    assert_eq!(c.run("north", &["conflicts", "--json"]).json(0)["conflicts"].as_array().unwrap().len(), n + 1);
    assert!(c.run("north", &["conflicts", "discard", "--column", "visit.reason", "--yes"]).ended(0).starts_with(&format!("Discarded: the current value stands in {n} fields.")));
    c.rounds();
    for site in ["north", "south"] {
        let left = c.run(site, &["conflicts", "--json"]).json(0);
        assert_eq!((left["conflicts"].as_array().unwrap().len(), left["conflicts"][0]["field"].as_str()), (1, Some("phone")));
        assert_eq!(c.see(site, reasons), "S");
    }
}

#[test]
fn a_record_is_deleted_and_restored() {
    let c = Clinics::new();
    let who = c.who("north", "Hollowell");
    let mut all = c.run("north", &["delete", &who, "--why", "moved abroad"]).ended(0);
    c.rounds();
    assert_eq!((c.see("north", COUNT), c.see("south", COUNT)), ("20".into(), "20".into()));
    all.push_str("\n──────── trash\n");
    all.push_str(&c.run("south", &["trash"]).ended(0));
    let id = c.run("south", &["trash", "--json"]).json(0)["trash"][0]["record"].as_str().expect("a record").to_owned();
    all.push_str("\n──────── trash show\n");
    all.push_str(&c.run("south", &["trash", "show", &id]).ended(0));
    all.push_str("\n──────── trash restore\n");
    all.push_str(&c.run("south", &["trash", "restore", &id]).ended(0));
    insta::assert_snapshot!("trash", c.plain(&all));
    c.rounds();
    assert_eq!((c.see("north", COUNT), c.see("south", COUNT)), ("21".into(), "21".into()));
    assert_eq!(
        c.see("north", "SELECT cast(count(*) AS TEXT) FROM visit v JOIN patient p ON p.id = v.patient_id WHERE p.last_name = 'Hollowell'"),
        c.see("south", "SELECT cast(count(*) AS TEXT) FROM visit v JOIN patient p ON p.id = v.patient_id WHERE p.last_name = 'Hollowell'")
    );
    assert!(c.run("south", &["trash", "restore", &id]).refused(2).contains("nothing of that record is deleted"));
}

#[test]
fn a_row_is_deleted_and_restored() {
    let c = Clinics::new();
    let drugs = "SELECT cast(count(*) AS TEXT) FROM prescription";
    let before = c.see("south", drugs);
    let who = c.who("north", "Brackenridge");
    c.run("north", &["delete", &who, "--row", "prescription:1"]).ended(0);
    c.rounds();
    assert_ne!(c.see("south", drugs), before);
    assert!(c.run("north", &["delete", &who, "--row", "prescription:1"]).refused(2).contains("no such row"));
    let who = c.who("south", "Brackenridge");
    c.run("south", &["trash", "restore", &who]).ended(0);
    c.rounds();
    assert_eq!((c.see("north", drugs), c.see("south", drugs)), (before.clone(), before));
}

#[test]
fn deletions_wait_for_a_word_where_that_is_set() {
    let c = Clinics::new();
    let config = c.dir().join("north/cfs.toml");
    let text = std::fs::read_to_string(&config).expect("cfs.toml").replace("local_deletes = \"restore\"", "local_deletes = \"ask\"");
    #[expect(clippy::disallowed_methods, reason = "cfs.toml is a person's file")]
    std::fs::write(&config, text).expect("written");
    let ids: Vec<String> = ["Inkpen", "Dunmoor"].map(|n| c.run("north", &["show", &c.who("north", n), "--json"]).json(0)["record"].as_str().expect("id").to_owned()).to_vec();
    c.sql("north", "PRAGMA foreign_keys = ON; DELETE FROM patient WHERE last_name IN ('Inkpen', 'Dunmoor')");
    c.rounds();
    assert_eq!((c.see("north", COUNT), c.see("south", COUNT)), ("19".into(), "21".into()));
    let listed = c.run("north", &["deletions"]).ended(0);
    assert!(listed.contains("Inkpen, Rosalba") && listed.contains("Dunmoor, Hestia") && listed.contains("cfs deletions confirm"), "{listed}");
    c.run("north", &["deletions", "confirm", &ids[0]]).ended(0);
    c.run("north", &["deletions", "restore", &ids[1]]).ended(0);
    c.rounds();
    assert_eq!((c.see("north", COUNT), c.see("south", COUNT)), ("20".into(), "20".into()));
    assert!(c.run("north", &["deletions"]).ended(0).starts_with("No deletion waits"));
    assert!(c.run("north", &["deletions", "confirm", &ids[0]]).refused(2).contains("waits for a decision"));
}

#[test]
fn purging_and_erasing_want_a_yes() {
    let c = Clinics::new();
    let who = c.who("north", "Hollowell");
    let id = c.run("north", &["show", &who, "--json"]).json(0)["record"].as_str().expect("id").to_owned();
    c.run("north", &["delete", &who]).ended(0);
    assert!(c.run("north", &["trash", "purge", &id]).refused(4).contains("add --yes"));
    c.run("north", &["trash", "purge", &id, "--yes"]).ended(0);
    assert!(c.run("north", &["trash"]).ended(0).starts_with("The trash is empty"));
    assert!(c.run("north", &["trash", "restore", &id]).refused(2).contains("stripped"));

    let who = c.who("south", "Vexley");
    let refused = c.run("south", &["erase", &who]).refused(4);
    assert!(refused.contains("1 in patient") && refused.contains("add --yes") && !refused.contains("Vexley"), "{refused}");
    c.run("south", &["erase", &who, "--yes"]).ended(0);
    c.rounds();
    for site in ["north", "south"] {
        assert_eq!(c.see(site, "SELECT cast(count(*) AS TEXT) FROM patient WHERE last_name = 'Vexley'"), "0", "{site}");
    }
}

#[test]
fn what_an_erasure_takes_out_of_the_logs_is_no_difference() {
    let c = Clinics::new();
    let edit = |site: &str, name: &str, phone: &str| {
        c.sql(site, &format!("UPDATE patient SET phone = '{phone}' WHERE last_name = '{name}'"));
        c.run(site, &["sync"]).ended(0);
    };
    edit("north", "Inkpen", "1");
    edit("north", "Kestrelton", "2");
    edit("north", "Inkpen", "3");
    edit("south", "Kestrelton", "4");
    c.rounds();
    // North's segment goes from between others, South's newest goes.
    let who = c.who("north", "Kestrelton");
    c.run("north", &["erase", &who, "--yes"]).ended(0);
    c.rounds();
    for site in ["north", "south"] {
        assert!(c.run(site, &["verify"]).ended(0).contains("No differences"), "{site}");
    }
}

#[test]
fn detaching_wants_a_yes_and_leaves_nothing() {
    let c = Clinics::new();
    assert!(c.run("north", &["detach"]).refused(4).contains("add --yes"));
    c.run("north", &["detach", "--yes"]).ended(0);
    assert_eq!(c.see("north", "SELECT cast(count(*) AS TEXT) FROM sqlite_master WHERE name LIKE 'cfs%' OR sql LIKE '%cfs%'"), "0");
    assert!(c.run("north", &["status"]).refused(2).contains("run `cfs init`"));
}

/// `rules.COLUMN = "union"`: what two sites put into one list stands at both, and nothing waits for a person.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test changes the configuration")]
fn lists_of_two_sites_are_joined() {
    let c = Clinics::new();
    for site in ["north", "south"] {
        let file = c.dir().join(site).join("cfs.toml");
        let text = std::fs::read_to_string(&file).expect("is there");
        let wrong = text.replacen("[table.patient]", "[table.patient]\nrules.phone = \"union x\"", 1);
        std::fs::write(&file, &wrong).expect("written");
        assert!(c.run(site, &["sync"]).refused(2).contains("`union x` is not a rule; it is `latest`"), "{site}");
        std::fs::write(&file, wrong.replacen("union x", "union", 1)).expect("written");
    }
    let write = |site: &str, text: &str| c.sql(site, &format!("UPDATE patient SET phone = '{text}' WHERE last_name = 'Pemberwick'"));
    let both = |want: &str| {
        for site in ["north", "south"] {
            assert_eq!(c.see(site, "SELECT phone FROM patient WHERE last_name = 'Pemberwick'"), want, "{site}");
            assert_eq!(c.run(site, &["sync", "--json"]).json(0)["files_written"], 0, "{site} is quiet");
            assert!(c.run(site, &["conflicts"]).ended(0).starts_with("No "), "{site}");
            assert_eq!(c.run(site, &["verify", "--json"]).json(0)["differences"].as_array().map(Vec::len), Some(0), "{site}");
        }
    };
    write("north", "555 1; 555 2");
    c.rounds();
    both("555 1; 555 2");
    write("north", "555 1; 555 2; 555 3");
    write("south", "555 4; 555 2");
    c.rounds();
    both("555 1; 555 2; 555 3; 555 4");
    // Whoever saw all of it says what it is from then on.
    write("south", "555 4");
    c.rounds();
    both("555 4");
    write("north", "");
    write("south", "555 4; 555 5");
    c.rounds();
    both("555 4; 555 5");
    // What is no list goes by the latest, and is left to decide.
    write("north", "555 6");
    c.sql("south", "UPDATE patient SET phone = x'00ff' WHERE last_name = 'Pemberwick'");
    c.rounds();
    assert!(!c.run("north", &["conflicts"]).ended(0).starts_with("No "));
}

/// `rules.COLUMN = "text"`, and a place without triggers, with the program itself.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test changes the configuration")]
fn notes_of_two_sites_are_merged_also_where_there_are_no_triggers() {
    let c = Clinics::new();
    for site in ["north", "south"] {
        let file = c.dir().join(site).join("cfs.toml");
        let text = std::fs::read_to_string(&file).expect("is there").replacen("[table.patient]", "[table.patient]\nrules.phone = \"text\"", 1);
        let capture = if site == "south" { "capture = \"scan\"\n" } else { "" };
        std::fs::write(&file, format!("{capture}{text}")).expect("written");
    }
    c.sql("north", "UPDATE patient SET phone = 'one' WHERE last_name = 'Pemberwick'");
    c.rounds();
    assert_eq!(c.see("south", "SELECT 'n' || count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'cfs%'"), "n0");
    assert!(c.run("south", &["doctor"]).ended(0).contains("capture = \"scan\""));
    assert!(c.run("south", &["status"]).ended(0).contains("found by the next sync"));
    c.sql("north", "UPDATE patient SET phone = 'one' || char(10) || 'two' WHERE last_name = 'Pemberwick'");
    c.sql("south", "UPDATE patient SET phone = 'zero' || char(10) || 'one' WHERE last_name = 'Pemberwick'");
    c.rounds();
    for site in ["north", "south"] {
        assert_eq!(c.see(site, "SELECT phone FROM patient WHERE last_name = 'Pemberwick'"), "zero\none\ntwo", "{site}");
        assert!(c.run(site, &["conflicts"]).ended(0).starts_with("No "), "{site}");
        assert_eq!(c.run(site, &["sync", "--json"]).json(0)["files_written"], 0, "{site} is quiet");
        assert_eq!(c.run(site, &["verify", "--json"]).json(0)["differences"].as_array().map(Vec::len), Some(0), "{site}");
    }
}

/// `cfs sync --timings`: each moment counts for one piece of the work.
#[test]
fn the_pieces_of_a_synchronization_are_timed() {
    let c = Clinics::new();
    c.sql("north", "UPDATE patient SET phone = '555' WHERE last_name = 'Pemberwick'");
    let report = c.run("north", &["sync", "--json", "--timings"]).json(0);
    let sum: f64 = report["timings"].as_array().expect("timings").iter().filter_map(|t| t["seconds"].as_f64()).sum();
    let whole = report["seconds"].as_f64().expect("seconds");
    assert!(sum > 0.0 && (sum - whole).abs() <= whole / 10.0 + 0.01, "{sum} of {whole}: {report}");
    assert!(c.run("north", &["sync", "--timings"]).ended(0).contains(" %  folder"));
    assert!(c.run("north", &["sync", "--json"]).json(0).get("timings").is_none());
}
