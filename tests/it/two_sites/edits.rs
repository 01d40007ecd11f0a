//! Inserts and updates at every depth, moves, keys used again, and how hosts save.

use crate::dsl::check::{at_rest, both_see, content, quiet};
use crate::dsl::{settle, two, two_with_p1};

#[test]
pub(super) fn a_new_patient_travels_with_everything_below() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    assert_eq!(content(&a).len(), 10);
    assert_eq!(b.see("p1", "hex(photo)"), "00FF10");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn an_update_travels_from_every_depth() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "555");
    b.sql("UPDATE visit SET notes = 'changed'");
    b.sql("UPDATE prescription SET dose = '9' WHERE drug = 'aspirin'");
    a.sql("UPDATE invoice_line SET cents = '51' WHERE what = 'visit'");
    a.sql("UPDATE memo SET words = 'bye'");
    b.sql("UPDATE doctor SET name = 'Dr Uno'");
    a.sql("UPDATE patient SET photo = x'0102'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "555");
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT notes FROM visit"), "changed");
        assert_eq!(s.get("SELECT dose FROM prescription WHERE drug = 'aspirin'"), "9");
        assert_eq!(s.get("SELECT cents FROM invoice_line WHERE what = 'visit'"), "51");
        assert_eq!(s.get("SELECT words FROM memo"), "bye");
        assert_eq!(s.get("SELECT name FROM doctor"), "Dr Uno");
        assert_eq!(s.get("SELECT photo FROM patient"), "0102");
    }
}

#[test]
pub(super) fn a_row_inserted_at_every_depth_travels() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.visit("p1", "d2", "second");
    a.prescribe("d2", "iron", "3");
    b.prescribe("d1", "zinc", "4");
    b.sql("INSERT INTO memo SELECT patient_id, 'hello' FROM patient");
    b.sql("INSERT INTO term (kind, code, label) VALUES ('icd', 'J06', 'cold'); INSERT INTO diagnosis (patient_id, term_id, words) SELECT patient_id, 1, 'sure' FROM patient");
    a.add("p2");
    b.add("p3");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("INSERT INTO patient_link SELECT p.patient_id, q.patient_id, 'sister' FROM patient p, patient q WHERE p.national_id = 'p2' AND q.national_id = 'p3'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&b).iter().filter(|l| l.starts_with("memo")).count(), 2);
    assert_eq!(content(&b).iter().filter(|l| l.starts_with("link|p2/Name p2|p3/Name p3|sister")).count(), 1);
    assert_eq!(content(&b).iter().filter(|l| l.contains("iron") || l.contains("zinc") || l.contains("J06|sure")).count(), 3);
}

#[test]
pub(super) fn an_idle_sync_writes_nothing() {
    let (mut a, mut b, mut cloud) = two();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    a.add("p1");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let changes = |s: &crate::dsl::Site| s.get("SELECT total_changes()");
    a.pass(1000);
    a.sync();
    let before = changes(&a);
    // The host's clock is told by an UPDATE of the test's own.
    a.sync();
    assert_eq!(before.parse::<i64>().unwrap() + 1, changes(&a).parse::<i64>().unwrap());
    quiet(&mut [&mut a, &mut b], &mut cloud);
}
