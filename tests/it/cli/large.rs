//! Large values on a disk, through the program itself.

use super::Clinics;
use std::path::PathBuf;

fn blobs(c: &Clinics) -> Vec<PathBuf> {
    let dirs = std::fs::read_dir(c.dir().join("folder/blobs")).expect("blobs").map(|d| d.expect("a directory").path());
    let mut all: Vec<PathBuf> = dirs.flat_map(|d| std::fs::read_dir(d).expect("files").map(|f| f.expect("a file").path())).collect();
    all.sort();
    all
}

#[test]
fn twenty_megabytes_travel_are_verified_and_mended() {
    let c = Clinics::new();
    c.sql("north", "UPDATE visit SET note = hex(randomblob(10000000)) WHERE id = 1");
    let note = c.see("north", "SELECT note FROM visit WHERE id = 1");
    assert_eq!(note.len(), 20_000_000);
    c.rounds();
    let there = "SELECT '' || count(*) FROM visit WHERE length(note) = 20000000";
    assert_eq!(c.see("south", there), "1");
    assert!(c.see("south", "SELECT note FROM visit WHERE length(note) = 20000000") == note);
    let out = c.run("south", &["verify"]).ended(0);
    assert!(out.contains("1 large value,") && out.contains("No differences"), "{out}");
    let file = blobs(&c).pop().expect("a large value");
    for damage in ["short", "other", "gone"] {
        let mut bytes = note.clone().into_bytes();
        match damage {
            "short" => bytes.truncate(100),
            _ => bytes[7] = b'x',
        }
        #[expect(clippy::disallowed_methods, reason = "the folder is hostile")]
        std::fs::write(&file, bytes).expect("written");
        if damage == "gone" {
            std::fs::remove_file(&file).expect("removed");
        }
        let out = c.run("north", &["verify"]).ended(1);
        assert!(out.contains("1 difference."), "{out}");
        c.run(if damage == "other" { "south" } else { "north" }, &["verify", "--repair"]).ended(0);
        assert!(std::fs::read(&file).expect("mended") == note.as_bytes(), "{damage}");
    }
}

#[test]
fn what_lost_and_what_was_deleted_is_shown_and_comes_back() {
    let c = Clinics::new();
    let long = |word: &str| format!("UPDATE visit SET note = '{word} ' || hex(zeroblob(20000)) WHERE id = 1");
    c.rounds();
    let record = format!("patient:{}", c.see("north", "SELECT '' || patient_id FROM visit WHERE id = 1"));
    c.sql("north", &long("before"));
    c.rounds();
    let id = c.run("north", &["show", &record, "--json"]).json(0)["record"].as_str().expect("a record").to_owned();
    let visit = c.see("south", "SELECT '' || id FROM visit WHERE length(note) > 20000");
    c.sql("north", &long("first"));
    c.sql("south", &format!("UPDATE visit SET note = 'second ' || hex(zeroblob(20000)) WHERE id = {visit}"));
    c.rounds();
    let all = c.run("south", &["conflicts", "show", &id]).ended(0) + &c.run("north", &["conflicts", "show", &id]).ended(0);
    assert!(["first 000", "second 000"].iter().all(|w| all.contains(w)), "{all}");
    let shown = c.run("north", &["show", &id]).ended(0);
    assert!(shown.contains("first 000") || shown.contains("second 000"), "{shown}");
    let row = format!("visit:{visit}");
    c.run("south", &["delete", &id, "--row", &row]).ended(0);
    let trash = c.run("south", &["trash", "show", &id]).ended(0);
    assert!(trash.contains("first 000") || trash.contains("second 000"), "{trash}");
    blobs(&c).iter().for_each(|f| std::fs::remove_file(f).expect("removed"));
    c.run("south", &["trash", "restore", &id]).ended(0);
    assert_eq!(c.see("south", "SELECT '' || count(*) FROM visit WHERE length(note) > 20000"), "1");
    c.rounds();
    c.run("north", &["verify", "--repair"]).ended(0);
}
