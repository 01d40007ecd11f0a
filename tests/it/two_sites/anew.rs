//! Rows that a host deletes and enters anew, or numbers anew: they are who they were.

use crate::dsl::check::at_rest;
use crate::dsl::{settle, two_with_p1};

#[test]
pub(super) fn a_doctor_entered_anew_is_the_same_doctor() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.sql("INSERT INTO doctor (npi, name) VALUES ('npi2', 'Dr Two')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let before = a.get("SELECT count(*) FROM cfs_record");
    a.sql("INSERT INTO doctor (doctor_id, npi, name) VALUES (90, 'tmp', 'Dr Uno'); UPDATE patient SET doctor_id = 90 WHERE doctor_id = 1; UPDATE visit SET doctor_id = 90 WHERE doctor_id = 1;
           DELETE FROM doctor WHERE doctor_id = 1; UPDATE doctor SET npi = 'npi1' WHERE doctor_id = 90");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT d.npi || d.name FROM patient p JOIN doctor d USING (doctor_id)"), "npi1Dr Uno");
        assert_eq!(s.get("SELECT count(*) FROM doctor"), "2");
        assert_eq!(s.get("SELECT count(*) FROM cfs_record"), before);
    }
    // And edits of it travel as before, in both directions.
    b.sql("UPDATE doctor SET name = 'Dr One' WHERE npi = 'npi1'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT name FROM doctor WHERE doctor_id = 90"), "Dr One");
}

#[test]
pub(super) fn all_doctors_numbered_anew_are_the_same_doctors() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("INSERT INTO doctor (npi, name) VALUES ('npi2', 'Dr Two'), ('npi3', 'Dr Three')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    a.sql("UPDATE doctor SET doctor_id = doctor_id + 100; UPDATE patient SET doctor_id = doctor_id + 100; UPDATE visit SET doctor_id = doctor_id + 100");
    a.conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT count(*) FROM doctor"), "3");
        assert_eq!(s.get("SELECT d.npi FROM patient p JOIN doctor d USING (doctor_id)"), "npi1");
    }
}

#[test]
pub(super) fn a_patient_entered_anew_has_the_chart_they_had() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = b.id("p1");
    b.edit("p1", "phone", "200");
    a.sql("DELETE FROM patient WHERE national_id = 'p1'; INSERT INTO patient (patient_id, file_no, national_id, last_name) VALUES (55, 9, 'p1', 'Name p1')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT count(*) FROM patient"), "1");
        assert_eq!(s.id("p1"), id);
        assert_eq!(s.get("SELECT count(*) FROM visit JOIN patient USING (patient_id)"), "1");
        assert_eq!(s.get("SELECT group_concat(drug) FROM (SELECT drug FROM prescription ORDER BY 1)"), "aspirin,codeine");
    }
    assert_eq!(a.get("SELECT patient_id FROM patient"), "55");
}
