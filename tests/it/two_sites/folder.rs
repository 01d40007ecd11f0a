//! The folder is hostile: torn, stale, missing, out of order, twice.

use crate::dsl::check::{at_rest, both_see, content, converged};
use crate::dsl::cloud::Way;
use crate::dsl::faulty::Faulty;
use crate::dsl::{DAY_MS, Site, has, path_of, settle, two, two_with_p1};
use cloud_folder_sync::sync::{Error, Options};
use std::cell::Cell;

fn segments(s: &Site) -> Vec<String> {
    s.folder.all().into_keys().filter(|p| p.starts_with("logs/")).collect()
}

#[test]
fn a_change_costs_one_segment_and_one_file() {
    let (mut a, mut b, mut cloud) = two();
    for n in 0..30 {
        a.add(&format!("p{n}"));
    }
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.edit("p3", "phone", "555");
    a.sync();
    cloud.carry();
    let r = b.sync();
    assert_eq!(r.imported, 1);
    // The site file, the segment, the record's file.
    assert_eq!(r.files_read, 3, "{r:?}");
}

#[test]
fn the_log_before_the_file() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "555");
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("records/"));
    b.sync();
    assert_eq!(b.see("p1", "phone"), "555");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// Somebody holds the record's file open, and nothing else: whoever reads the log must not be sent to a file that is not there.
#[test]
fn a_log_names_no_file_that_could_not_be_written() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = segments(&a);
    a.edit("p1", "phone", "555");
    // Of any change only the record's name is told.
    a.env.bulk = 0;
    let faulty = Faulty { inner: a.folder.clone(), left: Cell::new(0), crash: false, at: "records/" };
    let _said = a.try_sync_on(&faulty, Options::default());
    assert_eq!(segments(&a), before);
    cloud.carry();
    assert_eq!(b.sync().pending, 0);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(segments(&a).len() > before.len());
    both_see(&a, &b, "p1", "phone", "555");
}

#[test]
fn the_file_before_the_log() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "555");
    a.sync();
    cloud.carry_only(1, |p| p.starts_with("records/"));
    b.full();
    assert_eq!(b.see("p1", "phone"), "555");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn segments_backwards_days_apart_and_twice() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for n in 0..5 {
        a.edit("p1", "phone", &format!("x{n}"));
        a.visit("p1", &format!("e{n}"), "v");
        a.sync();
    }
    let mut all = segments(&a);
    all.retain(|p| !has(&b.folder, p));
    assert_eq!(all.len(), 5);
    for p in all.iter().rev() {
        cloud.carry_only(1, |q| q == p || q.starts_with("sites/"));
        b.sync();
        b.pass(DAY_MS / 4);
        b.folder.put(p, b.folder.get(p).unwrap());
        b.sync();
    }
    assert_eq!(b.see("p1", "phone"), "x4");
    assert_eq!(b.get("SELECT count(*) FROM visit"), "6");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn torn_and_empty_files_are_retried() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for part in [0, 1, 300, 999] {
        a.edit("p1", "phone", &format!("t{part}"));
        a.add(&format!("n{part}"));
        a.sync();
        cloud.send(0, &mut |_| true);
        cloud.fetch(1, &mut |_| Way::Torn(part));
        b.sync();
        b.edit("p1", "first_name", &format!("b{part}"));
        b.sync();
        b.sync();
        settle(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", &format!("t{part}"));
        both_see(&a, &b, "p1", "first_name", &format!("b{part}"));
        both_see(&a, &b, &format!("n{part}"), "last_name", &format!("Name n{part}"));
    }
    for s in [&mut a, &mut b] {
        s.pass(DAY_MS * 2);
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn a_torn_segment_is_retried_when_the_file_is_late() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "t");
    a.sync();
    cloud.send(0, &mut |_| true);
    cloud.fetch(1, &mut |p| {
        if p.starts_with("logs/") {
            Way::Torn(500)
        } else if p.starts_with("records/") {
            Way::Later
        } else {
            Way::Whole
        }
    });
    let r = b.sync();
    assert!(r.pending > 0);
    cloud.fetch(1, &mut |p| if p.starts_with("logs/") { Way::Whole } else { Way::Later });
    b.sync();
    assert_eq!(b.see("p1", "phone"), "t");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn a_lost_segment_is_made_good_by_a_full_look() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "t");
    a.sync();
    let lost = segments(&a).into_iter().find(|p| !has(&b.folder, p)).unwrap();
    a.folder.take(&lost);
    a.edit("p1", "first_name", "u");
    a.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&mut a, &mut b] {
        s.pass(2 * DAY_MS);
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "t");
    both_see(&a, &b, "p1", "first_name", "u");
}

#[test]
fn logs_off_at_both() {
    let (mut a, mut b, mut cloud) = two();
    a.settings.use_logs = false;
    b.settings.use_logs = false;
    a.sql(crate::dsl::schema::P1);
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.edit("p1", "phone", "555");
    b.sql("UPDATE visit SET notes = 'x'");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "555");
    assert!(segments(&a).is_empty());
    assert_eq!(content(&a), content(&b));
}

#[test]
fn logs_off_at_one() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.settings.use_logs = false;
    a.edit("p1", "phone", "555");
    a.sync();
    b.edit("p1", "first_name", "b");
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "555");
    both_see(&a, &b, "p1", "first_name", "b");
}

#[test]
fn a_file_removed_by_hand_is_written_again() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let path = path_of(&a.id("p1"));
    a.folder.take(&path);
    cloud.carry();
    assert!(!has(&b.folder, &path));
    b.full();
    assert!(has(&b.folder, &path));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "100");
}

#[test]
fn an_older_version_put_back_changes_nothing_and_is_repaired() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let path = path_of(&a.id("p1"));
    a.edit("p1", "phone", "new");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let good = a.folder.get(&path).unwrap();
    cloud.roll_back(&mut |old| old.first().cloned(), &path);
    cloud.carry();
    assert!(a.folder.get(&path).unwrap() != good);
    a.full();
    cloud.carry();
    assert!(b.folder.get(&path).unwrap() == good);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "new");
}

#[test]
fn an_older_version_is_not_what_the_next_edit_is_merged_into() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let path = path_of(&a.id("p1"));
    a.edit("p1", "phone", "new");
    settle(&mut [&mut a, &mut b], &mut cloud);
    cloud.roll_back(&mut |old| old.first().cloned(), &path);
    cloud.carry();
    b.edit("p1", "first_name", "b");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "new");
}

#[test]
fn a_mass_vanish_is_held_until_a_person_says_so() {
    let (mut a, mut b, mut cloud) = two();
    for n in 0..40 {
        a.add(&format!("p{n}"));
    }
    settle(&mut [&mut a, &mut b], &mut cloud);
    let all: Vec<String> = b.folder.all().into_keys().filter(|p| p.starts_with("records/")).collect();
    for p in all.iter().take(30) {
        b.folder.take(p);
    }
    let r = b.full();
    let notice = r.notices.iter().find(|n| n.contains("gone")).unwrap().clone();
    assert!(notice.contains("30 of 40") && r.files_written == 0, "{notice} {}", r.files_written);
    assert_eq!(b.get("SELECT count(*) FROM patient"), "40");
    // It says so at every sync, and what the host does meanwhile is not lost.
    b.edit("p39", "phone", "meanwhile");
    let r = b.sync();
    assert!(r.notices.iter().any(|n| n.contains("gone")), "{:?}", r.notices);
    let token = notice.rsplit_once("--yes=").unwrap().1.to_owned();
    b.sync_with(Options { full: true, confirm: Some(token), ..Options::default() });
    assert_eq!(b.folder.all().keys().filter(|p| p.starts_with("records/")).count(), 40);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p39", "phone", "meanwhile");
}

#[test]
fn a_file_of_a_later_format_is_left_alone() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let path = path_of(&a.id("p1"));
    let text = String::from_utf8(b.folder.get(&path).unwrap()).unwrap().replacen("format=\"1\"", "format=\"2\"", 1);
    let body = text.split_once(" <sha256>").unwrap().0.to_owned();
    let sealed = cloud_folder_sync::xml::sha256_hex(body.as_bytes());
    let later = format!("{body} <sha256>{sealed}</sha256>\n</record>\n").into_bytes();
    b.folder.put(&path, later.clone());
    b.edit("p1", "phone", "555");
    let r = b.full();
    assert_eq!(r.bad_files.len(), 1, "{r:?}");
    b.sync();
    b.full();
    assert!(b.folder.get(&path).unwrap() == later);
    a.folder.put(&path, later.clone());
    cloud.carry();
    a.sync();
    assert_eq!(a.see("p1", "phone"), "555");
    assert!(a.folder.get(&path).unwrap() == later);
}

#[test]
fn a_file_of_another_folder_is_left_alone() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let mut other = Site::bare("other", cloud_folder_sync::folder::memory::Memory::new());
    other.set_up();
    other.add("stranger");
    other.sync();
    let path = path_of(&other.id("stranger"));
    b.folder.put(&path, other.folder.get(&path).unwrap());
    let r = b.full();
    assert!(r.bad_files.iter().any(|f| f.path == path), "{r:?}");
    assert_eq!(b.see("stranger", "last_name"), "(no row)");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn without_the_manifest_or_with_anothers_nothing_happens() {
    let (mut a, _b, _cloud) = two_with_p1();
    a.edit("p1", "phone", "kept");
    let manifest = a.folder.take("cloud-folder-sync.xml").unwrap();
    let before = a.folder.all();
    assert!(matches!(a.try_sync(Options::default()), Err(Error::NoFolder { .. })));
    let mut other = Site::bare("other", cloud_folder_sync::folder::memory::Memory::new());
    other.env.random = cloud_folder_sync::id::Random::seeded(99);
    other.set_up();
    a.folder.put("cloud-folder-sync.xml", other.folder.get("cloud-folder-sync.xml").unwrap());
    assert!(matches!(a.try_sync(Options::default()), Err(Error::OtherFolder { .. })));
    a.folder.take("cloud-folder-sync.xml");
    assert!(a.folder.all() == before);
    a.folder.put("cloud-folder-sync.xml", manifest);
    assert_eq!(a.sync().exported, 1);
}

#[test]
fn a_twin_directory_is_merged() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.settings.use_logs = false;
    a.edit("p1", "phone", "555");
    a.sync();
    let path = path_of(&a.id("p1"));
    let bytes = a.folder.get(&path).unwrap();
    for twin in [path.replacen("records/", "records 2/", 1), path.replacen("/patient/", "/patient (1)/", 1)] {
        b.folder.put(&twin, bytes.clone());
    }
    b.sync();
    assert_eq!(b.see("p1", "phone"), "555");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    converged(&[&a, &b]);
}

#[test]
fn a_record_under_anothers_name_is_that_record() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.edit("p2", "phone", "222");
    a.sync();
    let (one, two) = (path_of(&a.id("p1")), path_of(&a.id("p2")));
    b.folder.put(&one, a.folder.get(&two).unwrap());
    b.full();
    b.full();
    assert_eq!((b.see("p2", "phone").as_str(), b.see("p1", "phone").as_str()), ("222", "100"));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// Unlike `--full`, the daily look at every file does not look at every row of the host.
#[test]
fn an_older_version_put_back_is_repaired_by_the_daily_look() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = content(&a);
    let path = path_of(&a.id("p1"));
    a.edit("p1", "phone", "new");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let good = a.folder.get(&path).unwrap();
    cloud.roll_back(&mut |old| old.first().cloned(), &path);
    cloud.carry();
    a.pass(2 * DAY_MS);
    a.sync();
    cloud.carry();
    assert!(b.folder.get(&path).unwrap() == good);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&a).len(), before.len());
    both_see(&a, &b, "p1", "phone", "new");
}

#[test]
fn an_announced_record_whose_file_is_torn_is_not_written_over() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    for n in 0..3 {
        // Too much for a delta: the log only names the record.
        a.visit("p2", &format!("d{n}"), &"words ".repeat(2000));
    }
    a.sync();
    let path = path_of(&a.id("p2"));
    cloud.send(0, &mut |_| true);
    cloud.fetch(1, &mut |p| if p == path { Way::Torn(300) } else { Way::Whole });
    let torn = b.folder.get(&path);
    assert!(torn.is_some());
    for _ in 0..3 {
        assert!(b.sync().pending > 0);
        assert!(b.folder.get(&path) == torn, "an empty record stands in the place of the one that is arriving");
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// A client's second directory of a record type holds copies, even where the names below are ours.
#[test]
fn a_second_directory_of_a_type_holds_copies() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for s in [&mut a, &mut b] {
        s.settings.use_logs = false;
        s.settings.delete_conflicts = false;
    }
    let path = path_of(&a.id("p1"));
    let old = a.folder.get(&path).unwrap();
    a.edit("p1", "phone", "new");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.folder.put(&path.replacen("/patient/", "/patient (1)/", 1), old);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "new");
}

/// What Unison leaves of a site file if it was killed between two of its runs.
#[test]
fn a_copy_of_a_site_file_goes_when_it_says_nothing_new() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let path = a.folder.all().into_keys().find(|p| p.starts_with("sites/")).unwrap();
    let copy = path.replace(".xml", " (conflict_on_2026-11-22).xml");
    let old = a.folder.get(&path).unwrap();
    for n in 0..2 {
        // The second time it is as new as the file itself, and then it is the only one.
        a.edit("p1", "phone", &format!("a{n}"));
        b.edit("p1", "first_name", &format!("b{n}"));
        settle(&mut [&mut a, &mut b], &mut cloud);
        for s in [&a, &b] {
            s.folder.put(&copy, if n == 0 { old.clone() } else { s.folder.get(&path).unwrap() });
            if n == 1 {
                s.folder.take(&path);
            }
        }
        a.sync();
        b.sync();
        assert_eq!((has(&a.folder, &copy), has(&b.folder, &copy)), (n == 1, n == 1));
    }
    a.edit("p1", "phone", "a3");
    b.edit("p1", "first_name", "b3");
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert!(!has(&a.folder, &copy) && !has(&b.folder, &copy));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// What rclone bisync does to a segment if it was killed after it had copied it: both copies are new, both get
/// another name, and the name itself is gone.
#[test]
fn a_segment_that_a_client_renamed_is_read_and_put_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    settle(&mut [&mut a, &mut b], &mut cloud);
    let before = segments(&a);
    a.edit("p1", "phone", "in the segment alone");
    a.sync();
    let new: Vec<String> = segments(&a).into_iter().filter(|p| !before.contains(p)).collect();
    assert_eq!(new.len(), 1);
    cloud.carry_only(1, |p| p.starts_with("logs/") || p.starts_with("sites/"));
    let copies = ["..path1", "..path2"].map(|end| format!("{}{end}", new[0]));
    for s in [&a, &b] {
        let bytes = s.folder.take(&new[0]).unwrap();
        copies.iter().for_each(|c| s.folder.put(c, bytes.clone()));
    }
    let r = b.sync();
    assert_eq!((b.see("p1", "phone").as_str(), r.pending), ("in the segment alone", 0));
    // Not by the reader: the client would meet two new files again.
    assert!(!has(&b.folder, &new[0]));
    a.sync_with(Options { full: true, ..Options::default() });
    assert!(has(&a.folder, &new[0]) && !copies.iter().any(|c| has(&a.folder, c)));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}
