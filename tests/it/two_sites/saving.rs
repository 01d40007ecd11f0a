//! How hosts save: REPLACE, all columns at once, DELETE and INSERT, keys used again, moves.

use crate::dsl::check::{at_rest, both_see, content};
use crate::dsl::{Site, settle, two, two_with_p1};

fn count(s: &Site, start: &str) -> usize {
    content(s).iter().filter(|l| l.starts_with(start)).count()
}

#[test]
pub(super) fn an_update_of_all_columns_with_equal_values_is_no_news() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("UPDATE visit SET patient_id = patient_id, day = day, notes = notes, doctor_id = doctor_id; UPDATE prescription SET drug = drug, dose = dose, visit_id = visit_id");
    let r = a.sync();
    assert_eq!((r.exported, r.files_written), (0, 0));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn replace_under_the_same_key_is_a_change_of_that_row() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("REPLACE INTO prescription (prescription_id, visit_id, drug, dose) SELECT prescription_id, visit_id, drug, '7' FROM prescription WHERE drug = 'aspirin'");
    b.sql("UPDATE prescription SET drug = 'aspirin forte' WHERE drug = 'aspirin'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&a, "prescription"), 2);
    assert_eq!(a.get("SELECT dose FROM prescription WHERE drug = 'aspirin forte'"), "7");
}

#[test]
pub(super) fn replace_of_a_patient_keeps_the_children() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    // ON DELETE CASCADE takes the children away at the host; they come back.
    a.sql("REPLACE INTO patient (patient_id, file_no, national_id, last_name, phone) SELECT patient_id, file_no, national_id, last_name, '777' FROM patient");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "777");
    both_see(&a, &b, "p1", "photo", "NULL");
    assert_eq!((count(&a, "visit"), count(&a, "prescription"), count(&a, "line")), (1, 2, 2));
}

#[test]
pub(super) fn replace_that_takes_a_unique_value_from_another_row_deletes_nobody() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.visit("p1", "d9", "nine");
    a.sql("INSERT INTO allergy (patient_id, code, severity) VALUES (1, 'milk', 'mild')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    // A new row (new key) takes the place of 'milk'.
    a.sql("REPLACE INTO allergy (allergy_id, patient_id, code, severity) VALUES (77, 1, 'milk', 'severe')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&b, "allergy|p1/Name p1|milk|severe"), 1);
    assert_eq!(count(&b, "allergy"), 2);
}

#[test]
pub(super) fn lines_deleted_and_inserted_anew_are_the_same_lines() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = a.known(&a.id("p1")).rows.len();
    a.sql("DELETE FROM prescription; INSERT INTO prescription (visit_id, drug, dose) VALUES (1, 'aspirin', '1'), (1, 'codeine', '2')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&b, "prescription"), 2);
    assert_eq!(a.known(&a.id("p1")).rows.len(), before);
}

#[test]
pub(super) fn a_changed_line_saved_anew_does_not_double_the_list() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("DELETE FROM prescription; INSERT INTO prescription (visit_id, drug, dose) VALUES (1, 'aspirin', '1'), (1, 'codeine', '3')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&a, "prescription"), 2);
    assert_eq!(count(&b, "prescription"), 2);
    assert_eq!(b.get("SELECT dose FROM prescription WHERE drug = 'codeine'"), "3");
}

#[test]
pub(super) fn a_line_rewritten_here_and_edited_there_comes_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("DELETE FROM prescription; INSERT INTO prescription (visit_id, drug, dose) VALUES (1, 'aspirin', '1'), (1, 'codeine', '3')");
    b.sql("UPDATE prescription SET dose = '2 at night' WHERE drug = 'codeine'");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT count(*) FROM prescription WHERE dose = '2 at night'"), "1");
    assert_eq!(a.get("SELECT count(*) FROM prescription WHERE dose = '3'"), "1");
}

#[test]
pub(super) fn keyless_and_composite_lines_saved_anew() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("DELETE FROM memo; INSERT INTO memo VALUES (1, 'hello'), (1, 'more'); DELETE FROM invoice_line; INSERT INTO invoice_line VALUES (1, 1, 'visit', '50'), (1, 2, 'plaster', '71')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((count(&b, "memo"), count(&b, "line")), (2, 2));
    assert_eq!(count(&b, "line|p1/Name p1|R1|plaster|71"), 1);
}

#[test]
pub(super) fn a_key_used_again_is_a_new_row() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.visit("p1", "d2", "two");
    settle(&mut [&mut a, &mut b], &mut cloud);
    // SQLite gives the largest rowid again.
    a.delete_row("visit", "SELECT visit_id FROM visit WHERE day = 'd2'");
    a.sql("DELETE FROM visit WHERE day = 'd2'; INSERT INTO visit (patient_id, day, notes) VALUES (1, 'd3', 'three')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&b, "visit|p1/Name p1|d3|three"), 1);
    assert_eq!(count(&b, "visit"), 2);
    assert_eq!(count(&a, "visit"), 2);
}

#[test]
pub(super) fn a_patient_key_used_again_is_another_person() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let old = a.id("p2");
    a.sql(
        "DELETE FROM patient WHERE national_id = 'p2'; DELETE FROM sqlite_sequence; INSERT INTO patient (patient_id, file_no, national_id, last_name) VALUES (2, 2, 'p3', 'Third')",
    );
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    // The DELETE alone is no deletion: p2 is back beside p3.
    assert_eq!(count(&a, "patient|p2|Name p2"), 1);
    assert_eq!(count(&b, "patient|p3|Third"), 1);
    assert_eq!(a.id("p2"), old);
    assert_ne!(a.id("p3"), old);
}

#[test]
pub(super) fn a_row_moves_within_its_record() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.visit("p1", "d2", "two");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.sql("UPDATE prescription SET visit_id = (SELECT visit_id FROM visit WHERE day = 'd2') WHERE drug = 'codeine'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT day FROM prescription JOIN visit USING (visit_id) WHERE drug = 'codeine'"), "d2");
    assert_eq!(count(&a, "prescription"), 2);
}

#[test]
pub(super) fn a_visit_moves_to_another_patient_with_its_prescriptions() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE visit SET patient_id = 2");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(count(s, "visit|p2/Name p2|d1"), 1, "{:#?}", content(s));
        assert_eq!(count(s, "prescription|p2/Name p2"), 2, "{:#?}", content(s));
        assert_eq!((count(s, "visit"), count(s, "prescription")), (1, 2), "{:#?}", content(s));
    }
    assert_eq!(a.get("SELECT patient_id FROM visit WHERE visit_id = 1"), "2");
}

/// The tombstone of a line had seen that of its invoice, which therefore deleted nothing: the invoice was with both.
#[test]
pub(super) fn an_invoice_moves_to_another_patient_with_its_lines() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE invoice SET patient_id = (SELECT patient_id FROM patient WHERE national_id = 'p2')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        let all = "SELECT group_concat(national_id || title || what, ' ') FROM (SELECT * FROM invoice JOIN patient USING (patient_id) JOIN invoice_line USING (invoice_id) ORDER BY what)";
        assert_eq!(s.get(all), "p2R1stitches p2R1visit");
        assert_eq!(s.get("SELECT count(*) FROM invoice"), "1");
    }
}

#[test]
pub(super) fn a_visit_moved_at_both_sites_alike_is_one() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&mut a, &mut b] {
        s.sql("UPDATE visit SET patient_id = (SELECT patient_id FROM patient WHERE national_id = 'p2')");
        s.sync();
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((count(&b, "visit"), count(&b, "prescription|p2/Name p2")), (1, 2), "{:#?}", content(&b));
}

#[test]
pub(super) fn a_visit_moved_here_and_edited_there_is_in_both() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE visit SET patient_id = 2");
    b.sql("UPDATE visit SET notes = 'b saw this'");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&a, "visit|p1/Name p1|d1|b saw this"), 1, "{:#?}", content(&a));
    assert_eq!(count(&a, "visit|p2/Name p2|d1|first"), 1, "{:#?}", content(&a));
}

#[test]
pub(super) fn a_visit_moves_there_and_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    for to in [2, 1, 2, 1] {
        a.sql(&format!("UPDATE visit SET patient_id = {to}"));
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for s in [&a, &b] {
            assert_eq!((count(s, &format!("visit|p{to}")), count(s, "visit"), count(s, "prescription")), (1, 1, 2), "{:#?}", content(s));
        }
    }
}

#[test]
pub(super) fn a_vacuum_of_the_host_hides_no_edit() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for n in 0..5 {
        a.edit("p1", "phone", &format!("x{n}"));
        a.sync();
    }
    a.conn.execute_batch("VACUUM").unwrap();
    a.edit("p1", "phone", "after");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "after");
}

#[test]
pub(super) fn a_vacuum_between_edit_and_sync_hides_no_edit() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("INSERT INTO memo VALUES (1, 'a'), (1, 'b'), (1, 'c')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("DELETE FROM memo WHERE words = 'a'; UPDATE memo SET words = 'C' WHERE words = 'c'; UPDATE patient SET phone = 'v'");
    a.conn.execute_batch("VACUUM").unwrap();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "v");
    assert_eq!(count(&b, "memo|p1/Name p1|C"), 1, "{:#?}", content(&b));
    assert_eq!(count(&b, "memo|p1/Name p1|b"), 1, "{:#?}", content(&b));
}

#[test]
pub(super) fn a_table_rebuilt_without_our_triggers_is_scanned() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.conn
        .execute_batch(
            "PRAGMA foreign_keys = OFF; BEGIN;
        CREATE TABLE new_memo (patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, words TEXT);
        INSERT INTO new_memo SELECT * FROM memo; DROP TABLE memo; ALTER TABLE new_memo RENAME TO memo;
        UPDATE memo SET words = 'rebuilt'; COMMIT; PRAGMA foreign_keys = ON",
        )
        .unwrap();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(count(&b, "memo|p1/Name p1|rebuilt"), 1, "{:#?}", content(&b));
}

#[test]
pub(super) fn a_swap_of_unique_values_travels() {
    let (mut a, mut b, mut cloud) = two();
    a.add("p1");
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE patient SET national_id = 'tmp' WHERE national_id = 'p1'; UPDATE patient SET national_id = 'p1' WHERE national_id = 'p2'; UPDATE patient SET national_id = 'p2' WHERE national_id = 'tmp'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.see("p1", "last_name"), "Name p2");
    assert_eq!(b.see("p2", "last_name"), "Name p1");
}

/// A row of a table without a key is deleted, and VACUUM gives its number to the next one.
#[test]
pub(super) fn a_vacuum_does_not_make_one_row_another() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("DELETE FROM memo");
    a.sync();
    a.sql("INSERT INTO memo VALUES (1, 'a'), (1, 'b'), (1, 'c')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    // An edit of the next row is on its way at the same time.
    b.sql("UPDATE memo SET words = 'c of b' WHERE words = 'c'");
    b.sync();
    cloud.carry();
    a.sql("DELETE FROM memo WHERE words = 'b'");
    a.conn.execute_batch("VACUUM").unwrap();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        for words in ["a", "b", "c of b"] {
            assert_eq!(count(s, &format!("memo|p1/Name p1|{words}")), 1, "{words}: {:#?}", content(s));
        }
    }
}

/// The last line of an invoice is deleted, and another one typed: it gets the same number.
#[test]
pub(super) fn a_new_line_under_a_deleted_ones_number_is_another_line() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("DELETE FROM invoice_line WHERE line_no = 2; INSERT INTO invoice_line SELECT invoice_id, coalesce(max(line_no), 0) + 1, 'dressing', '15' FROM invoice_line");
    assert_eq!(a.get("SELECT group_concat(line_no || what) FROM invoice_line"), "1visit,2dressing");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    // What was deleted so is as good as saved anew, and what it said is kept.
    assert_eq!(b.get("SELECT group_concat(what) FROM invoice_line"), "visit,dressing");
    assert!(crate::dsl::check::known(&b)[&b.id("p1").to_string()].contains("stitches"), "what was typed is nowhere");
    // A line that is saved anew with one column changed is the same line.
    a.sql("DELETE FROM invoice_line WHERE line_no = 2; INSERT INTO invoice_line SELECT invoice_id, 2, 'dressing', '16' FROM invoice");
    let rows = |s: &Site| s.known(&s.id("p1")).rows.len();
    let before = rows(&a);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((rows(&a), b.get("SELECT group_concat(cents) FROM invoice_line").as_str()), (before, "50,16"));
}
