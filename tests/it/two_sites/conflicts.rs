//! Edits of both sites between two syncs; conflict files.

use crate::dsl::check::{at_rest, both_see, content, converged, quiet};
use crate::dsl::cloud::Copies;
use crate::dsl::orderly::Orderly;
use crate::dsl::{has, path_of, settle, two_with_p1};
use cloud_folder_sync::record::FieldKey;
use cloud_folder_sync::record::RowKey;
use cloud_folder_sync::sync::{Options, Order};
use cloud_folder_sync::value::Value;

#[test]
pub(super) fn different_fields_both_live() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "a-phone");
    b.edit("p1", "first_name", "b-name");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "a-phone");
    both_see(&a, &b, "p1", "first_name", "b-name");
    assert!(a.superseded("p1", "phone").is_empty());
}

#[test]
pub(super) fn of_the_same_field_the_later_lives_and_the_other_is_kept() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "first");
    b.pass(5000);
    b.edit("p1", "phone", "later");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "later");
    assert_eq!(a.superseded("p1", "phone"), ["first"]);
    assert_eq!(b.superseded("p1", "phone"), ["first"]);
}

#[test]
pub(super) fn the_same_value_at_both_is_no_conflict() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "same");
    b.edit("p1", "phone", "same");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(a.superseded("p1", "phone").is_empty() && b.superseded("p1", "phone").is_empty());
}

#[test]
pub(super) fn a_write_replaces_only_what_the_host_showed() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "one");
    b.pass(5000);
    b.edit("p1", "phone", "two");
    a.sync();
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.edit("p1", "phone", "three");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "three");
    assert_eq!(b.superseded("p1", "phone"), ["one"]);
}

#[test]
pub(super) fn a_decision_takes_the_others_away_everywhere() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "one");
    b.pass(5000);
    b.edit("p1", "phone", "two");
    a.sync();
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    let id = a.id("p1");
    a.order(id, Order::Decide { row: RowKey::new("patient", id), field: FieldKey::shared("phone"), value: Value::text("one"), shown: None });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "one");
    assert!(a.superseded("p1", "phone").is_empty() && b.superseded("p1", "phone").is_empty());
}

#[test]
pub(super) fn a_decision_that_had_not_seen_a_third_value_keeps_it() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "one");
    b.pass(5000);
    b.edit("p1", "phone", "two");
    a.sync();
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.edit("p1", "phone", "three");
    b.sync();
    let id = a.id("p1");
    a.order(id, Order::Decide { row: RowKey::new("patient", id), field: FieldKey::shared("phone"), value: Value::text("one"), shown: None });
    a.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let seen = [a.see("p1", "phone"), a.superseded("p1", "phone").join(",")];
    assert!(seen.contains(&"three".to_owned()) && seen.contains(&"one".to_owned()), "{seen:?}");
}

#[test]
pub(super) fn a_conflict_copy_is_merged_and_deleted() {
    for copies in [Copies::Dropbox, Copies::Syncthing, Copies::LastWins] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        cloud.copies = copies;
        a.settings.use_logs = false;
        b.settings.use_logs = false;
        a.edit("p1", "phone", "a-phone");
        b.edit("p1", "first_name", "b-name");
        a.sync();
        b.sync();
        cloud.carry();
        if copies != Copies::LastWins {
            assert!(a.folder.all().keys().any(|p| p.contains("onflict")), "{copies:?}");
        }
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", "a-phone");
        both_see(&a, &b, "p1", "first_name", "b-name");
        assert!(!a.folder.all().keys().any(|p| p.contains("onflict")), "{copies:?}");
    }
}

#[test]
pub(super) fn a_conflict_copy_stays_where_it_is_wanted() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for s in [&mut a, &mut b] {
        s.settings.use_logs = false;
        s.settings.delete_conflicts = false;
    }
    a.edit("p1", "phone", "a-phone");
    b.edit("p1", "first_name", "b-name");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "a-phone");
    both_see(&a, &b, "p1", "first_name", "b-name");
    assert_eq!(a.folder.all().keys().filter(|p| p.contains("conflicted copy")).count(), 1);
    let r = a.sync();
    assert_eq!((r.conflict_files.found, r.conflict_files.merged), (0, 0));
}

/// Every name that clients are known to give, at one site only, and with the canonical file gone.
#[test]
pub(super) fn a_conflict_copy_under_every_name_is_imported() {
    let table = include_str!("../../../fixtures/names.tsv");
    let names: Vec<&str> = table.lines().filter_map(|l| l.strip_prefix("file\tconflict\t")?.split('\t').nth(1)).collect();
    assert!(names.len() > 60, "{}", names.len());
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = a.id("p1");
    for (n, name) in names.into_iter().enumerate() {
        a.settings.use_logs = false;
        a.edit("p1", "phone", &format!("{n}"));
        a.sync();
        let path = path_of(&id);
        let bytes = a.folder.get(&path).unwrap();
        let uuid = "5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2";
        let copy = path.replace(&format!("{id}.xml"), &name.replace(uuid, &id.to_string()));
        b.folder.put(&copy, bytes);
        if n % 2 == 0 {
            b.folder.take(&path);
        }
        let r = b.sync();
        assert_eq!(b.see("p1", "phone"), format!("{n}"), "{name}");
        assert_eq!((r.conflict_files.merged, r.conflict_files.deleted), (1, 1), "{name}");
        assert!(has(&b.folder, &path) && !has(&b.folder, &copy), "{name}");
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// What rclone bisync leaves of a file that both sites wrote: two copies, and no file under its own name. Where
/// all in them is known already, the copies must not go before the file is there again.
#[test]
pub(super) fn copies_of_a_file_that_is_gone_make_it_again() {
    for use_logs in [true, false] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        a.settings.use_logs = use_logs;
        let path = path_of(&a.id("p1"));
        let bytes = a.folder.take(&path).unwrap();
        let copies = [format!("{path}..path1"), format!("{path}..path2")];
        for copy in &copies {
            a.folder.put(copy, bytes.clone());
        }
        let r = a.sync();
        assert_eq!((r.conflict_files.found, r.conflict_files.deleted), (2, 2));
        assert_eq!(a.folder.get(&path), Some(bytes), "the record has no file");
        assert!(!copies.iter().any(|c| has(&a.folder, c)));
        at_rest(&mut [&mut a, &mut b], &mut cloud);
    }
}

#[test]
pub(super) fn a_silent_overwrite_is_made_good_by_the_log_alone() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    cloud.copies = Copies::LastWins;
    for n in 0..4 {
        a.edit("p1", "phone", &format!("a{n}"));
        b.edit("p1", "first_name", &format!("b{n}"));
        a.sync();
        b.sync();
        settle(&mut [&mut a, &mut b], &mut cloud);
        converged(&[&a, &b]);
        both_see(&a, &b, "p1", "phone", &format!("a{n}"));
        both_see(&a, &b, "p1", "first_name", &format!("b{n}"));
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn children_of_both_sites_all_live() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.visit("p1", "da", "a");
    b.visit("p1", "db", "b");
    a.sql("INSERT INTO invoice_line (invoice_id, line_no, what, cents) SELECT invoice_id, 3, 'a-line', '1' FROM invoice");
    b.sql("INSERT INTO invoice_line (invoice_id, line_no, what, cents) SELECT invoice_id, 3, 'b-line', '1' FROM invoice");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&a).iter().filter(|l| l.starts_with("visit")).count(), 3);
    assert_eq!(content(&a).iter().filter(|l| l.starts_with("line")).count(), 4);
    quiet(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn a_stale_form_counts_as_not_having_seen_the_import() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "new-number");
    settle(&mut [&mut a, &mut b], &mut cloud);
    // b's form was open since before the import, and is saved as it was.
    b.edit("p1", "phone", "100");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.superseded("p1", "phone"), ["new-number"]);
    both_see(&a, &b, "p1", "phone", "100");
}

/// A person decides between what is listed; with the same sync another value arrives.
#[test]
pub(super) fn a_decision_does_not_remove_what_came_since() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "one");
    b.edit("p1", "phone", "two");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let id = a.id("p1");
    let row = RowKey::new("patient", id);
    a.order(id, Order::Decide { row, field: FieldKey::shared("phone"), value: Value::text("one"), shown: None });
    b.pass(5000);
    b.edit("p1", "phone", "three");
    b.sync();
    cloud.carry();
    a.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let mut all = vec![a.see("p1", "phone")];
    all.extend(a.superseded("p1", "phone"));
    all.sort();
    assert_eq!(all, ["one", "three"]);
}

/// `b` finds a copy of p1's file, beside what a client made of the file itself. Gives whether the copy is gone
/// after a sync; if so the file holds all of it.
fn beside_a_copy(newer: bool, with_log: bool, own: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let (mut a, mut b, _cloud) = two_with_p1();
    let path = path_of(&a.id("p1"));
    let before = b.folder.get(&path).unwrap();
    a.edit("p1", "phone", "a-phone");
    a.sync();
    for (log, bytes) in a.folder.all().into_iter().filter(|(p, _)| with_log && p.starts_with("logs/")) {
        b.folder.put(&log, bytes);
    }
    b.folder.take(&path);
    own(&before).into_iter().for_each(|bytes| b.folder.put(&path, bytes));
    let copy = path.replace(".xml", " (conflicted copy).xml");
    b.folder.put(&copy, if newer { a.folder.get(&path).unwrap() } else { before });
    let folder = Orderly::new(b.folder.clone(), b.state().folder);
    b.try_sync_on(&folder, Options::default()).unwrap();
    assert_eq!(folder.broken(), None);
    !has(&b.folder, &copy)
}

#[test]
pub(super) fn a_copy_goes_once_the_records_file_holds_it() {
    let as_it_was = |b: &[u8]| Some(b.to_vec());
    assert!(beside_a_copy(true, false, &as_it_was), "the copy alone");
    assert!(beside_a_copy(true, true, &as_it_was), "the log came with it");
    assert!(beside_a_copy(false, false, &|_| None), "the client renamed both");
    assert!(!beside_a_copy(false, false, &|b| b.get(..b.len() / 2).map(<[u8]>::to_vec)), "the file is loaded in part");
}

/// Somebody looks at two values, a third one comes with a sync of a service, and the decision about the two after it.
#[test]
pub(super) fn a_decision_takes_only_what_was_shown() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = a.id("p1");
    a.edit("p1", "phone", "one");
    b.edit("p1", "phone", "two");
    a.sync();
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    let (row, field) = (RowKey::new("patient", id), FieldKey::shared("phone"));
    let listed = a.known(&id).rows.get(&row).unwrap().fields.get(&field).unwrap().0.iter().map(|e| e.stamp).collect();
    b.edit("p1", "phone", "three");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.order(id, Order::Decide { row, field, value: Value::text("one"), shown: Some(listed) });
    settle(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "one");
    assert_eq!((a.superseded("p1", "phone"), b.superseded("p1", "phone")), (vec!["three".to_owned()], vec!["three".to_owned()]));
}

/// A value that lost goes with its row to another record: in the trash of the old one it would go with the trash.
#[test]
pub(super) fn a_value_that_lost_moves_with_its_row() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE visit SET notes = 'one'");
    b.pass(5000);
    b.sql("UPDATE visit SET notes = 'two'");
    a.sync();
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("UPDATE visit SET patient_id = (SELECT patient_id FROM patient WHERE national_id = 'p2')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        let known = s.known(&s.id("p2"));
        let row = known.rows.iter().find(|(k, _)| k.table == "visit").map(|(_, r)| r).unwrap();
        let notes = row.fields.get(&FieldKey::shared("notes")).unwrap();
        let lost: Vec<Value> = notes.superseded().into_iter().map(|e| e.value.clone()).collect();
        assert_eq!((notes.current().map(|e| e.value.clone()), lost), (Some(Value::text("two")), vec![Value::text("one")]));
        assert_eq!(s.conn.query_row("SELECT notes FROM visit", [], |r| r.get::<_, String>(0)).unwrap(), "two");
    }
    quiet(&mut [&mut a, &mut b], &mut cloud);
}
