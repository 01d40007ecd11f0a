//! Restored backups, copies, late joiners, clocks, many sites.

use crate::dsl::check::{at_rest, both_see, content, converged, quiet};
use crate::dsl::cloud::Cloud;
use crate::dsl::{DAY_MS, MemoryKeeper, Site, schema, settle, sites, two, two_with_p1};
use cloud_folder_sync::sync::Error;

fn site_id(s: &Site) -> String {
    s.state().site().unwrap().to_string()
}

#[test]
pub(super) fn a_restored_backup_undoes_nothing_and_loses_nothing() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let backup = a.backup();
    let old = site_id(&a);
    a.edit("p1", "phone", "since");
    a.visit("p1", "d2", "since");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.edit("p1", "first_name", "b-since");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.put_back(backup);
    a.edit("p1", "last_name", "Typed after");
    let r = a.sync();
    assert_ne!(site_id(&a), old);
    assert!(!r.notices.is_empty());
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "since");
    both_see(&a, &b, "p1", "first_name", "b-since");
    both_see(&a, &b, "p1", "last_name", "Typed after");
    assert_eq!(b.get("SELECT count(*) FROM visit"), "2");
}

#[test]
pub(super) fn a_restored_backup_before_the_folder_has_arrived() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let backup = a.backup();
    a.edit("p1", "phone", "since");
    settle(&mut [&mut a, &mut b], &mut cloud);
    // A new computer: an empty replica but for the manifest, and no file outside the database.
    a.put_back(backup);
    a.keeper = MemoryKeeper::default();
    a.folder = cloud.join();
    for p in a.folder.all().keys().filter(|p| p.contains('/')) {
        a.folder.take(p);
    }
    a.edit("p1", "first_name", "typed");
    let _held_or_not = a.sync();
    a.sync();
    let mut fresh = Cloud::default();
    std::mem::swap(&mut fresh, &mut cloud);
    // The client fetches everything at last.
    for (p, bytes) in b.folder.all() {
        if a.folder.get(&p).is_none() {
            a.folder.put(&p, bytes);
        }
    }
    for _ in 0..4 {
        a.full();
        for (p, bytes) in a.folder.all() {
            b.folder.put(&p, bytes);
        }
        b.full();
        for (p, bytes) in b.folder.all() {
            a.folder.put(&p, bytes);
        }
    }
    converged(&[&a, &b]);
    both_see(&a, &b, "p1", "phone", "since");
    both_see(&a, &b, "p1", "first_name", "typed");
}

#[test]
pub(super) fn a_backup_does_not_undo_a_deletion() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let backup = a.backup();
    b.delete("p1");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.put_back(backup);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT count(*) FROM patient"), "0");
}

#[test]
pub(super) fn a_backup_of_the_deleter_does_not_undo_its_deletion() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let backup = a.backup();
    a.delete("p1");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.put_back(backup);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.get("SELECT count(*) FROM patient").as_str(), b.get("SELECT count(*) FROM patient").as_str()), ("0", "0"));
}

#[test]
pub(super) fn a_database_copied_to_a_second_computer() {
    copied(false);
}

#[test]
pub(super) fn a_whole_machine_copied() {
    copied(true);
    copied_same_field(true);
}

fn copied(with_keeper: bool) {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let mut c = a.clone_to("copy", cloud.join(), with_keeper);
    cloud.carry();
    a.edit("p1", "phone", "from-a");
    c.edit("p1", "first_name", "from-c");
    a.visit("p1", "da", "a");
    c.visit("p1", "dc", "c");
    a.sync();
    c.sync();
    if with_keeper {
        // Nothing at hand tells the copies apart: what each wrote must reach the other first.
        settle(&mut [&mut a, &mut b, &mut c], &mut cloud);
    }
    at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
    for s in [&a, &b, &c] {
        assert_eq!(
            (s.see("p1", "phone").as_str(), s.see("p1", "first_name").as_str(), s.get("SELECT count(*) FROM visit").as_str()),
            ("from-a", "from-c", "3"),
            "{} {with_keeper}",
            s.name
        );
    }
    assert_ne!(site_id(&a), site_id(&c));
}

#[test]
pub(super) fn a_copy_with_the_same_field_edited_keeps_both_values() {
    copied_same_field(false);
}

fn copied_same_field(with_keeper: bool) {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let mut c = a.clone_to("copy", cloud.join(), with_keeper);
    cloud.carry();
    a.edit("p1", "phone", "from-a");
    c.edit("p1", "phone", "from-c");
    a.sync();
    c.sync();
    if with_keeper {
        // Nothing at hand tells the copies apart: what each wrote must reach the other first.
        settle(&mut [&mut a, &mut b, &mut c], &mut cloud);
    }
    at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
    let mut both = vec![b.see("p1", "phone")];
    both.extend(b.superseded("p1", "phone"));
    both.sort();
    assert_eq!(both, ["from-a", "from-c"], "{with_keeper}");
}

#[test]
pub(super) fn the_keeper_lost_costs_a_new_id_and_nothing_else() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let old = site_id(&a);
    a.edit("p1", "phone", "unsent");
    a.keeper.lose();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_ne!(site_id(&a), old);
    both_see(&a, &b, "p1", "phone", "unsent");
    a.edit("p1", "phone", "next");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "next");
}

#[test]
pub(super) fn a_site_that_joins_late_gets_everything() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    a.edit("p1", "phone", "x");
    b.edit("p1", "phone", "y");
    a.sync();
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.delete("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let mut c = Site::bare("late", cloud.join());
    c.set_up();
    at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
    assert_eq!(content(&c), content(&a));
    assert_eq!(c.superseded("p1", "phone").len(), 1);
}

#[test]
pub(super) fn a_site_that_joins_by_logs_alone_or_files_alone() {
    for part in ["records/", "logs/"] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        a.add("p2");
        a.edit("p1", "phone", "x");
        b.edit("p1", "phone", "y");
        a.sync();
        b.sync();
        settle(&mut [&mut a, &mut b], &mut cloud);
        let mut c = Site::bare("late", cloud.join());
        for p in c.folder.all().keys().filter(|p| p.contains('/') && !p.starts_with(part)) {
            c.folder.take(p);
        }
        c.set_up();
        c.sync();
        c.sync();
        assert_eq!(content(&c), content(&a), "{part}");
        converged(&[&c, &a]);
    }
}

#[test]
pub(super) fn joining_with_the_same_people() {
    let (mut a, mut b, mut cloud) = two();
    a.sql(schema::P1);
    a.add("p2");
    b.sql("INSERT INTO doctor (npi, name) VALUES ('npi9', 'Dr Nine'), ('npi1', 'Dr Eins')");
    b.sql("INSERT INTO patient (file_no, national_id, last_name, first_name, doctor_id) VALUES (1, 'p3', 'Third', 'x', 1), (2, 'p1', 'Name p1', 'b-first', 2)");
    b.sql("INSERT INTO visit (patient_id, day, notes) VALUES (2, 'd1', 'first'), (2, 'b-day', 'b'); INSERT INTO allergy (patient_id, code, severity) VALUES (2, 'nuts', 'severe')");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT count(*) FROM patient"), "3");
    assert_eq!(a.get("SELECT count(*) FROM doctor"), "2");
    assert_eq!(a.get("SELECT count(*) FROM allergy"), "1");
    both_see(&a, &b, "p1", "phone", "100");
    both_see(&a, &b, "p1", "first_name", "b-first");
    // Both values of what differs are kept.
    let key: i64 = a.conn.query_row("SELECT allergy_id FROM allergy", [], |r| r.get(0)).unwrap();
    let (id, row) = a.row("allergy", &vec![cloud_folder_sync::value::Value::Integer(key)]);
    let known = a.known(&id);
    let (_, severity) = known.rows[&row].fields.iter().find(|(f, _)| f.name == "severity").unwrap();
    assert_eq!(severity.0.len(), 2);
    quiet(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn joining_with_the_same_people_one_after_the_other() {
    let (mut a, mut b, mut cloud) = two();
    a.sql(schema::P1);
    settle(&mut [&mut a], &mut cloud);
    b.sql("INSERT INTO patient (file_no, national_id, last_name, first_name) VALUES (2, 'p1', 'Name p1', 'b-first')");
    b.sql("INSERT INTO visit (patient_id, day, notes) VALUES (1, 'b-day', 'b')");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT count(*) FROM patient"), "1");
    both_see(&a, &b, "p1", "phone", "100");
    both_see(&a, &b, "p1", "first_name", "b-first");
    assert_eq!(a.get("SELECT count(*) FROM visit"), "2");
}

#[test]
pub(super) fn joining_with_a_database_that_began_as_a_copy_of_the_other() {
    let (mut all, mut cloud) = sites(1);
    let mut a = all.pop().unwrap();
    a.sql(schema::P1);
    // A copy of the host's data before cfs knew it, edited since.
    let conn = schema::open(schema::SQL);
    conn.execute_batch(schema::P1).unwrap();
    let mut b = Site::with("copy", cloud.join(), conn, schema::TOML);
    b.sql("UPDATE patient SET first_name = 'b'; INSERT INTO memo VALUES (1, 'b-memo')");
    a.sync();
    cloud.carry();
    b.set_up();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT (SELECT count(*) FROM patient) || (SELECT count(*) FROM visit) || (SELECT count(*) FROM prescription) || (SELECT count(*) FROM allergy) || (SELECT count(*) FROM memo) || (SELECT count(*) FROM invoice) || (SELECT count(*) FROM invoice_line)"), "1121212");
    both_see(&a, &b, "p1", "first_name", "b");
}

#[test]
pub(super) fn a_database_of_another_folder_is_refused() {
    let (a, _b, _cloud) = two_with_p1();
    let other = Site::bare("other", cloud_folder_sync::folder::memory::Memory::new());
    let mut stray = a.clone_to("stray", other.folder.clone(), true);
    assert!(matches!(cloud_folder_sync::setup::set_up(&stray.conn, &stray.folder, &stray.mapping, &Default::default(), &mut stray.env), Err(Error::NoFolder { .. })));
}

#[test]
pub(super) fn clocks_ten_years_apart() {
    for ahead in [true, false] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        let ten = 10 * 365 * DAY_MS;
        a.clock.set(if ahead { a.clock.get() + ten } else { a.clock.get() - ten });
        a.edit("p1", "phone", "wrong-clock");
        settle(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", "wrong-clock");
        // Who has seen it writes after it, whatever the clocks say.
        b.edit("p1", "phone", "seen-and-changed");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", "seen-and-changed");
        assert!(a.superseded("p1", "phone").is_empty());
        a.clock.set(b.clock.get());
        a.edit("p1", "phone", "clock-set-right");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", "clock-set-right");
        b.delete("p1");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        assert_eq!(a.get("SELECT count(*) FROM patient"), "0");
    }
}

#[test]
pub(super) fn ten_sites() {
    let (mut all, mut cloud) = sites(10);
    for (n, s) in all.iter().enumerate() {
        s.add(&format!("own{n}"));
        s.add("everywhere");
        s.edit("everywhere", "phone", &format!("phone{n}"));
        s.visit("everywhere", &format!("day{n}"), "v");
    }
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest(&mut refs, &mut cloud);
    for (n, s) in refs.iter().enumerate() {
        assert_eq!(s.get("SELECT count(*) FROM patient"), "11");
        assert_eq!(s.get("SELECT count(*) FROM visit"), "10");
        s.edit("everywhere", "phone", &format!("again{n}"));
    }
    at_rest(&mut refs, &mut cloud);
}

#[test]
pub(super) fn a_site_away_for_a_year() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.edit("p1", "first_name", "typed a year ago");
    b.visit("p1", "old", "typed offline");
    for n in 0..12 {
        a.pass(30 * DAY_MS);
        a.edit("p1", "phone", &format!("m{n}"));
        a.sync();
    }
    a.delete("p1");
    a.sync();
    b.pass(365 * DAY_MS);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "first_name", "typed a year ago");
    assert_eq!(a.get("SELECT count(*) FROM visit"), "2");
}

/// A number that one person had goes to another: the identity that follows from it is taken.
#[test]
fn a_number_that_goes_to_somebody_else_makes_no_one_person_of_two() {
    for at_once in [true, false] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        let first = a.id("p1");
        a.sql("UPDATE patient SET national_id = 'p9' WHERE national_id = 'p1'");
        if !at_once {
            settle(&mut [&mut a, &mut b], &mut cloud);
        }
        a.add("p1");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for s in [&a, &b] {
            assert_eq!(s.get("SELECT count(*) FROM patient"), "2", "{}", s.name);
            assert_eq!(s.id("p9"), first, "{}", s.name);
            assert_ne!(s.id("p1"), first, "{}", s.name);
            assert_eq!(s.get("SELECT p.national_id FROM visit JOIN patient p USING (patient_id) LIMIT 1"), "p9", "{}", s.name);
        }
    }
}
