//! Rows that their host takes from a patient and gives to nobody, or later to another: beds, keys, wheelchairs.

use crate::dsl::check::quiet;
use crate::dsl::cloud::Cloud;
use crate::dsl::{Site, schema, settle};

const SQL: &str = "
CREATE TABLE host_clock (now TEXT);
CREATE TABLE patient (id INTEGER PRIMARY KEY, nid TEXT, name TEXT, active INTEGER DEFAULT 1);
CREATE TABLE bed (id INTEGER PRIMARY KEY, label TEXT, patient_id INTEGER REFERENCES patient(id) ON DELETE SET NULL);
CREATE TABLE bed_log (id INTEGER PRIMARY KEY, bed_id INTEGER REFERENCES bed(id), words TEXT);
CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, day TEXT);
CREATE TABLE drug (id INTEGER PRIMARY KEY, visit_id INTEGER NOT NULL REFERENCES visit(id), name TEXT);
";

const TOML: &str = "
[type.patient]
match_on = \"nid\"
where = \"active = 1\"
[table.bed]
owner = \"patient_id\"
[table.bed_log]
owner = \"bed_id\"
[table.visit]
owner = \"patient_id\"
[table.drug]
owner = \"visit_id\"
[leave_out]
host_clock = \"the host's own\"
";

/// Two patients, one of them in a bed.
fn ward() -> (Site, Site, Cloud) {
    let mut cloud = Cloud::default();
    let site = |name: &str, cloud: &mut Cloud| Site::with(name, cloud.join(), schema::open(SQL), TOML);
    let (mut a, mut b) = (site("a", &mut cloud), site("b", &mut cloud));
    a.set_up();
    cloud.carry();
    b.set_up();
    // Keys are other ones at the other place.
    b.sql("INSERT INTO patient (id, nid, name) VALUES (7, 'p3', 'Cara')");
    a.sql("INSERT INTO patient (nid, name) VALUES ('p1', 'Anna'), ('p2', 'Bert'); INSERT INTO bed (label, patient_id) VALUES ('One', 1); INSERT INTO bed_log (bed_id, words) VALUES (1, 'made')");
    a.sql("INSERT INTO visit (patient_id, day) VALUES (1, 'd1'); INSERT INTO drug (visit_id, name) VALUES (1, 'aspirin')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    (a, b, cloud)
}

/// Each bed, who lies in it, and what was noted of it.
fn beds(s: &Site) -> String {
    s.get("SELECT group_concat(label || ':' || coalesce(nid, '-') || ':' || coalesce(words, '-'), ' ') FROM (SELECT * FROM bed b LEFT JOIN patient p ON p.id = b.patient_id LEFT JOIN bed_log l ON l.bed_id = b.id ORDER BY label, nid, words)")
}

/// An application that has its foreign keys checked by nobody.
fn without_keys(s: &Site, sql: &str) {
    s.conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    s.sql(sql);
    s.conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
}

fn at_rest(all: &mut [&mut Site], cloud: &mut Cloud) {
    settle(all, cloud);
    quiet(all, cloud);
}

fn both(a: &mut Site, b: &mut Site, cloud: &mut Cloud, expected: &str) {
    at_rest(&mut [&mut *a, &mut *b], cloud);
    assert_eq!((beds(a).as_str(), beds(b).as_str()), (expected, expected));
}

#[test]
pub(super) fn a_bed_that_is_left_stays_one_bed() {
    let (mut a, mut b, mut cloud) = ward();
    a.sql("UPDATE bed SET patient_id = NULL");
    both(&mut a, &mut b, &mut cloud, "One:-:made");
    // It is still followed, whoever writes, though nobody lies in it.
    b.sql("UPDATE bed SET label = 'Two'");
    a.sql("UPDATE bed_log SET words = 'not made'");
    both(&mut a, &mut b, &mut cloud, "Two:-:not made");
    // And comes back like any row that the host deletes.
    b.sql("DELETE FROM bed_log; DELETE FROM bed");
    both(&mut a, &mut b, &mut cloud, "Two:-:not made");
}

#[test]
pub(super) fn what_is_noted_of_a_bed_travels_whoever_lies_in_it() {
    let (mut a, mut b, mut cloud) = ward();
    // Before the patient left, in the same synchronization; and after.
    a.sql("INSERT INTO bed_log (bed_id, words) VALUES (1, 'changed'); UPDATE bed SET patient_id = NULL");
    both(&mut a, &mut b, &mut cloud, "One:-:changed One:-:made");
    b.sql("INSERT INTO bed_log (bed_id, words) VALUES (1, 'mended')");
    both(&mut a, &mut b, &mut cloud, "One:-:changed One:-:made One:-:mended");
    a.sql("UPDATE bed_log SET words = 'new' WHERE words = 'mended'");
    both(&mut a, &mut b, &mut cloud, "One:-:changed One:-:made One:-:new");
    a.sql("UPDATE bed SET patient_id = 2");
    both(&mut a, &mut b, &mut cloud, "One:p2:changed One:p2:made One:p2:new");
}

#[test]
pub(super) fn the_next_patient_gets_the_bed() {
    for way in ["UPDATE bed SET patient_id = 2", "REPLACE INTO bed SELECT id, label, 2 FROM bed"] {
        let (mut a, mut b, mut cloud) = ward();
        a.sql("UPDATE bed SET patient_id = NULL");
        both(&mut a, &mut b, &mut cloud, "One:-:made");
        without_keys(&a, way);
        both(&mut a, &mut b, &mut cloud, "One:p2:made");
        b.sql("UPDATE bed SET patient_id = NULL");
        both(&mut a, &mut b, &mut cloud, "One:-:made");
        b.sql("UPDATE bed SET patient_id = 7");
        both(&mut a, &mut b, &mut cloud, "One:p3:made");
    }
}

#[test]
pub(super) fn a_bed_changes_hands_between_two_synchronizations() {
    let (mut a, mut b, mut cloud) = ward();
    a.sql("UPDATE bed SET patient_id = NULL; UPDATE bed SET patient_id = 2");
    both(&mut a, &mut b, &mut cloud, "One:p2:made");
    a.sql("UPDATE bed SET patient_id = NULL; UPDATE bed SET patient_id = 2");
    both(&mut a, &mut b, &mut cloud, "One:p2:made");
}

/// Without triggers nothing says that this is the bed it was: see `a_key_used_again_is_a_new_row`.
#[test]
fn a_bed_changes_hands_and_name_between_two_synchronizations() {
    let (mut a, mut b, mut cloud) = ward();
    a.sql("UPDATE bed SET patient_id = NULL; UPDATE bed SET label = 'Two'; UPDATE bed SET patient_id = 2");
    both(&mut a, &mut b, &mut cloud, "Two:p2:made");
}

#[test]
pub(super) fn a_patient_who_comes_back_lies_in_the_bed_again() {
    let (mut a, mut b, mut cloud) = ward();
    // SET NULL by the foreign key: nobody left the bed.
    a.sql("DELETE FROM drug; DELETE FROM patient WHERE nid = 'p1'");
    both(&mut a, &mut b, &mut cloud, "One:p1:made");
}

/// Nobody is found above a row whose patient is gone.
#[test]
pub(super) fn a_patient_deleted_beside_a_bed_that_is_left_comes_back() {
    let (mut a, mut b, mut cloud) = ward();
    a.sql("UPDATE bed SET patient_id = NULL");
    both(&mut a, &mut b, &mut cloud, "One:-:made");
    a.sql("INSERT INTO bed (label, patient_id) VALUES ('Two', 2)");
    both(&mut a, &mut b, &mut cloud, "One:-:made Two:p2:-");
    a.sql("DELETE FROM patient WHERE nid = 'p2'");
    both(&mut a, &mut b, &mut cloud, "One:-:made Two:p2:-");
    without_keys(&a, "DELETE FROM patient WHERE nid = 'p2'; UPDATE bed SET label = 'Three' WHERE label = 'Two'");
    both(&mut a, &mut b, &mut cloud, "One:-:made Three:p2:-");
}

#[test]
pub(super) fn what_a_deleted_row_leaves_behind_is_there_once_when_it_is_back() {
    let (mut a, mut b, mut cloud) = ward();
    without_keys(&a, "DELETE FROM visit");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT group_concat(day || name) FROM drug d LEFT JOIN visit v ON v.id = d.visit_id"), "d1aspirin");
    }
}

#[test]
pub(super) fn a_bed_left_here_and_taken_there_is_not_lost() {
    let (mut a, mut b, mut cloud) = ward();
    a.sql("UPDATE bed SET patient_id = NULL");
    b.sql("UPDATE bed SET patient_id = 7");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(beds(&a).contains("One:p3"), "{}", beds(&a));
    assert_eq!(beds(&a), beds(&b));
}

#[test]
pub(super) fn who_no_longer_meets_where_stays_and_is_followed() {
    let (mut a, mut b, mut cloud) = ward();
    a.sql("UPDATE patient SET active = 0 WHERE nid = 'p1'");
    b.sql("UPDATE patient SET name = 'Anna B' WHERE nid = 'p1'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE patient SET name = 'Anna C' WHERE nid = 'p1'; INSERT INTO visit (patient_id, day) VALUES (1, 'd2')");
    // Who never met it stays at home.
    a.sql("INSERT INTO patient (nid, name, active) VALUES ('p9', 'Zoe', 0)");
    both(&mut a, &mut b, &mut cloud, "One:p1:made");
    let all = |s: &Site| {
        s.get("SELECT group_concat(nid || name || active || (SELECT count(*) FROM visit WHERE patient_id = patient.id), ' ') FROM (SELECT * FROM patient ORDER BY nid) AS patient")
    };
    assert_eq!(all(&b), "p1Anna C02 p2Bert10 p3Cara10");
    assert_eq!(all(&a), format!("{} p9Zoe00", all(&b)));
}
