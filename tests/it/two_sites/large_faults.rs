//! What goes wrong around large values: crashes, a full disk, hands in the folder, hostile files,
//! and a patient's right to erasure.

use super::large::{LARGE, bytes, path};
use crate::dsl::check::{at_rest, held};
use crate::dsl::faulty::Faulty;
use crate::dsl::{DAY_MS, Site, has, path_of, schema, settle, sites, two_with_p1};
use cloud_folder_sync::folder::Folder;
use cloud_folder_sync::folder::disk::Disk;
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::record::{Record, RowKey};
use cloud_folder_sync::sync::{Options, Order};
use cloud_folder_sync::value::{Value, hash};
use cloud_folder_sync::xml::{read_record, write_record};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every file of the folder that names a large value finds it there, whole.
#[track_caller]
fn nothing_dangles(s: &Site, written_over: Option<&[u8]>) {
    let id = s.state().folder;
    let check = |p: &str, r: &Record| {
        for ((h, size), _) in r.large() {
            let there = s.folder.get(&cloud_folder_sync::names::blob_path(&h));
            // A delta that the next one takes back: nobody can give that any more, and nobody needs it.
            let gone = written_over.is_some_and(|w| hash(w) == h) && p.starts_with("logs/");
            assert!(gone || there.is_some_and(|b| b.len() as u64 == size && hash(&b) == h), "{p} names what is not there");
        }
    };
    for (p, bytes) in s.folder.all() {
        if p.starts_with("records/") {
            check(&p, &read_record(&bytes, &id).unwrap());
        } else if p.starts_with("logs/") {
            for item in Segment::read(&bytes, &id).unwrap().0.items {
                if let Item::Delta(d) = item {
                    check(&p, &d.part);
                }
            }
        }
    }
}

#[test]
fn a_power_cut_at_any_write_leaves_nothing_dangling_and_nothing_lost() {
    for crash in [true, false] {
        for n in 0..12 {
            let (mut a, mut b, mut cloud) = two_with_p1();
            let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
            a.set_photo("p1", &x);
            a.add("p2");
            a.set_photo("p2", &y);
            a.conn.execute("UPDATE visit SET notes = ?1", ["long ".repeat(LARGE)]).unwrap();
            let faulty = Faulty { inner: a.folder.clone(), left: Cell::new(n), crash, at: "" };
            let done = catch_unwind(AssertUnwindSafe(|| a.try_sync_on(&faulty, Options::default())));
            assert!(done.is_ok() || crash, "at write {n}");
            nothing_dangles(&a, None);
            // The host goes on meanwhile.
            a.set_photo("p2", &x);
            a.sync();
            nothing_dangles(&a, Some(&y));
            at_rest(&mut [&mut a, &mut b], &mut cloud);
            assert!((b.photo("p1"), b.photo("p2")) == (Some(x.clone()), Some(x)), "at write {n}");
        }
    }
}

#[test]
fn what_loses_before_it_could_be_given_is_not_lost() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
    // a's disk is full; b's photo comes and wins while a's own is nowhere but in its database.
    let faulty = Faulty { inner: a.folder.clone(), left: Cell::new(0), crash: false, at: "" };
    a.set_photo("p1", &x);
    let _site_file_refused = a.try_sync_on(&faulty, Options::default());
    b.pass(60_000);
    b.set_photo("p1", &y);
    b.sync();
    cloud.carry();
    let _site_file_refused = a.try_sync_on(&faulty, Options::default());
    assert!(a.photo("p1") == Some(y) && a.can_give(&x) && !has(&a.folder, &path(&x)));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.can_give(&x) && b.superseded("p1", "photo").len() == 1);
}

#[test]
fn files_removed_or_damaged_by_hand_are_written_again() {
    for logs in [true, false] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        let x = bytes(1, LARGE);
        a.set_photo("p1", &x);
        a.settings.use_logs = logs;
        b.settings.use_logs = logs;
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for wrong in [None, Some(Vec::new()), Some(vec![0; LARGE])] {
            match wrong {
                None => drop(b.folder.take(&path(&x))),
                Some(w) => b.folder.put(&path(&x), w),
            }
            cloud.carry();
            b.pass(if logs { DAY_MS } else { 0 });
            b.sync();
            assert!(b.folder.get(&path(&x)).as_ref() == Some(&x), "logs {logs}");
            cloud.carry();
        }
        at_rest(&mut [&mut a, &mut b], &mut cloud);
    }
}

#[test]
fn many_files_gone_at_once_are_a_question() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for n in 0..30 {
        a.add(&format!("q{n}"));
        a.set_photo(&format!("q{n}"), &bytes(n, LARGE));
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    a.empty_blobs();
    let r = a.full();
    assert!(a.blobs().is_empty());
    let said = r.notices.iter().find(|n| n.contains("30 of 30 large values are gone")).unwrap();
    let token = said.rsplit_once("--yes=").unwrap().1.to_owned();
    a.sync_with(Options { full: true, confirm: Some(token), ..Options::default() });
    assert_eq!(a.blobs().len(), 30);
}

#[test]
fn a_copy_that_a_client_made_is_as_good_as_the_file() {
    for (n, name) in ["blobs/{xx}/{h} (South's conflicted copy 2026-03-09)", "blobs/{xx}/{h}.sync-conflict-20260925-120000-K3QXL2M", "blobs 2/{xx}/{h}", "blobs/{xx} (1)/{h}"]
        .into_iter()
        .enumerate()
    {
        let (mut a, mut b, mut cloud) = two_with_p1();
        let x = bytes(n as u64, LARGE);
        a.set_photo("p1", &x);
        a.sync();
        cloud.carry_only(1, |p| !p.starts_with("blobs/"));
        let own = path(&x);
        let (shard, h) = own.strip_prefix("blobs/").unwrap().split_once('/').unwrap();
        let copy = name.replace("{xx}", shard).replace("{h}", h);
        b.folder.put(&copy, x.clone());
        b.full();
        assert!(b.photo("p1") == Some(x.clone()), "{copy}");
        // An erased patient's photo goes under every name.
        a.empty_blobs();
        let id = b.id("p1");
        b.order(id, Order::Erase { by: "Anna".into() });
        b.sync();
        assert!(!has(&b.folder, &copy), "{copy}");
    }
}

#[test]
fn erasure_takes_the_file_unless_another_record_has_the_same() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, older) = (bytes(1, LARGE), bytes(2, LARGE));
    a.set_photo("p1", &older);
    a.add("p2");
    a.set_photo("p2", &x);
    settle(&mut [&mut a, &mut b], &mut cloud);
    // A photo that was written over stays for a while …
    a.set_photo("p1", &x);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(has(&b.folder, &path(&older)) && !b.can_give(&older));
    let (one, two) = (a.id("p1"), a.id("p2"));
    a.order(one, Order::Erase { by: "Anna".into() });
    a.sync();
    // … but not after erasure. The other patient's stays, at every site.
    assert!(has(&a.folder, &path(&x)) && !has(&a.folder, &path(&older)));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.photo("p2") == Some(x.clone()) && has(&b.folder, &path(&x)));
    b.order(two, Order::Erase { by: "Anna".into() });
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!((s.blobs().len(), s.kept(), s.get("SELECT count(*) FROM cfs_blob"), s.get("SELECT count(*) FROM cfs_use")), (0, 0, "0".into(), "0".into()));
    }
}

#[test]
fn a_site_that_still_needs_an_erased_content_gives_it_again() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let x = bytes(1, LARGE);
    a.set_photo("p1", &x);
    settle(&mut [&mut a, &mut b], &mut cloud);
    // b has the same picture in a chart that a has not heard of.
    b.add("p2");
    b.set_photo("p2", &x);
    b.sync();
    let id = a.id("p1");
    a.order(id, Order::Erase { by: "Anna".into() });
    a.sync();
    assert!(!has(&a.folder, &path(&x)));
    cloud.carry();
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.pass(DAY_MS);
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(a.photo("p2") == Some(x.clone()) && has(&a.folder, &path(&x)));
}

#[test]
fn stripping_takes_the_bytes_and_the_file() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let x = bytes(1, LARGE);
    a.set_photo("p1", &x);
    settle(&mut [&mut a, &mut b], &mut cloud);
    let id = a.id("p1");
    a.delete("p1");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(a.can_give(&x) && b.can_give(&x));
    for _ in 0..34 {
        for s in [&mut a, &mut b] {
            s.pass(DAY_MS);
            s.sync();
        }
        cloud.carry();
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(a.known(&id).rows.values().all(|r| r.tombstone.as_ref().is_some_and(|t| t.bare)));
    assert_eq!((a.blobs().len(), a.kept(), b.kept()), (0, 0, 0));
}

#[test]
fn what_was_written_over_goes_after_the_retention_time() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
    a.set_photo("p1", &x);
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.set_photo("p1", &y);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.blobs().len(), 2);
    for _ in 0..32 {
        a.pass(DAY_MS);
        a.sync();
    }
    cloud.carry();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.blobs(), [path(&y)]);
}

#[test]
fn a_tombstone_does_not_cover_what_had_not_come() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let note = "long ".repeat(LARGE);
    a.conn.execute("UPDATE visit SET notes = ?1", [&note]).unwrap();
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.sync();
    b.delete_row("visit", "SELECT visit_id FROM visit");
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(a.get("SELECT notes FROM visit") == note && b.get("SELECT notes FROM visit") == note);
}

#[test]
fn a_record_that_lies_about_a_size_or_names_nothing_blocks_nobody() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let x = bytes(1, LARGE);
    a.set_photo("p1", &x);
    a.add("p2");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    // Somebody forges p2's file: a photo of the right hash and another size, one that never was, one of 4 GB.
    for (h, size_bytes) in [(hash(&x), LARGE as u64 + 1), ([7; 32], LARGE as u64), ([8; 32], u64::MAX)] {
        let id = b.id("p2");
        let mut forged = b.known(&id);
        let mut stamp = forged.version.newest().unwrap();
        stamp.time.counter += 1;
        let root = forged.rows.get_mut(&RowKey::new("patient", id)).unwrap();
        root.fields.get_or_default(cloud_folder_sync::record::FieldKey::shared("photo")).0.insert(cloud_folder_sync::record::Entry {
            stamp,
            value: Value::Stored { text: false, sha256: h, size_bytes },
            unknown: Default::default(),
        });
        forged.version.add(stamp);
        b.folder.put(&path_of(&id), write_record(&forged, &b.state().folder));
        a.edit("p1", "phone", &size_bytes.to_string());
        a.sync();
        cloud.carry();
        let r = b.full();
        assert!(r.pending > 0 && held(&b) == 0 && b.photo("p2").is_none() && b.photo("p1").as_ref() == Some(&x));
        assert_eq!(b.see("p1", "phone"), size_bytes.to_string());
    }
    // Who types over it ends the wait.
    b.set_photo("p2", b"small");
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.photo("p2").as_deref(), Some(&b"small"[..]));
}

#[test]
fn content_that_is_lost_here_stops_nothing_else() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
    a.set_photo("p1", &x);
    b.pass(5000);
    b.set_photo("p1", &y);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    // Damage to the database: what lost is neither in it nor in the folder.
    b.sql("DELETE FROM cfs_bytes");
    b.empty_blobs();
    b.full();
    b.full();
    b.edit("p1", "phone", "200");
    assert_eq!(b.sync().pending, 1);
    cloud.carry();
    a.sync();
    assert_eq!(a.see("p1", "phone"), "200");
    a.full();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.can_give(&x));
}

#[test]
fn a_dry_run_keeps_and_writes_nothing() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let x = bytes(1, LARGE);
    a.set_photo("p1", &x);
    a.sync();
    cloud.carry();
    let before = b.folder.all();
    let dry = cloud_folder_sync::sync::dry_run(&b.conn, &b.folder, &b.mapping, &b.settings, &Options::default(), &mut b.env.clone(), &b.keeper).unwrap();
    assert_eq!((dry.0.imported, dry.0.pending, b.kept(), b.folder.all() == before), (1, 0, 0, true));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn a_database_of_the_layout_before_goes_on() {
    let (mut all, mut cloud) = sites(2);
    let (mut b, mut a) = (all.pop().unwrap(), all.pop().unwrap());
    a.sql(schema::P1);
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        s.conn
            .execute_batch("DROP TABLE cfs_blob; DROP TABLE cfs_use; DROP TABLE cfs_bytes; DROP TABLE cfs_dictionary; UPDATE cfs_meta SET value = 1 WHERE name = 'layout'")
            .unwrap();
    }
    a.set_photo("p1", &bytes(1, LARGE));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.photo("p1") == Some(bytes(1, LARGE)));
}

#[test]
fn on_a_disk_a_link_or_a_directory_in_a_values_place_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path());
    let x = bytes(1, 300_000);
    disk.write(&[(path(&x), x.clone())], &mut || "0".to_owned()).pop().unwrap().unwrap();
    assert_eq!(disk.digest(&path(&x), x.len()).unwrap(), Some((x.len() as u64, hash(&x))));
    assert!(disk.digest(&path(&x), x.len() - 1).is_err(), "too large");
    assert_eq!(disk.digest("blobs/none", 10).unwrap(), None);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.path().join(path(&x)), dir.path().join("blobs/link")).unwrap();
        assert!(disk.digest("blobs/link", 1 << 30).is_err() && disk.digest("blobs", 1 << 30).is_err());
    }
}

/// VACUUM numbers the rows of a table without a key anew, and nobody is told.
#[test]
fn a_long_memo_is_given_again_after_a_vacuum() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let story = "long ".repeat(LARGE);
    a.sql(&format!("INSERT INTO memo VALUES (1, 'short'), (1, '{story}')"));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    a.sql("DELETE FROM memo WHERE words = 'short'");
    a.sync();
    a.conn.execute_batch("VACUUM").unwrap();
    drop(a.folder.take(&path(story.as_bytes())));
    a.pass(DAY_MS + 1000);
    a.sync();
    assert_eq!(a.folder.get(&path(story.as_bytes())).as_deref(), Some(story.as_bytes()));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// A person whose long name has not come yet, and so does not stand in the host, is typed there.
#[test]
fn who_types_a_person_whose_name_has_not_come_has_not_seen_it() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let name = "n".repeat(LARGE);
    a.sql(&format!("INSERT INTO patient (file_no, national_id, last_name, phone) VALUES (2, 'p2', '{name}', '200')"));
    a.sync();
    let id = a.id("p2");
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.sync();
    assert_eq!(b.see("p2", "last_name"), "(no row)");
    b.pass(5000);
    b.sql("INSERT INTO patient (file_no, national_id, last_name, phone) VALUES (2, 'p2', 'short', '300')");
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.see("p2", "last_name").as_str(), b.id("p2")), ("short", id));
    assert_eq!(a.superseded("p2", "last_name").len(), 1, "the long name is nowhere");
    assert_eq!((a.see("p2", "phone").as_str(), a.superseded("p2", "phone")), ("300", vec!["200".to_owned()]));
}

/// A long name has not come when a record is held, and comes while it is: the host never showed it.
#[test]
fn who_writes_into_a_held_record_has_not_seen_what_came_since() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let name = "n".repeat(LARGE);
    a.edit("p1", "first_name", &name);
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.sync();
    assert_eq!(b.see("p1", "first_name"), "NULL");
    // b's host does not take p1 any more: the number that comes is another's here.
    b.edit("p2", "national_id", "taken");
    a.edit("p1", "national_id", "taken");
    a.sync();
    cloud.carry();
    b.sync();
    assert_eq!(held(&b), 1);
    b.pass(5000);
    b.edit("p1", "first_name", "short");
    b.sync();
    for _ in 0..2 {
        cloud.carry();
        a.sync();
        b.sync();
    }
    let id = b.id("p1");
    let known = a.known(&id);
    let names = &known.root().unwrap().fields[&cloud_folder_sync::record::FieldKey::shared("first_name")];
    assert_eq!(names.0.len(), 2, "the long name is nowhere");
}

/// Who decides between values has not seen one that has not come yet.
#[test]
fn a_decision_keeps_a_value_that_has_not_come() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let story = "n".repeat(LARGE);
    a.edit("p1", "first_name", &story);
    a.pass(5000);
    b.pass(9000);
    b.edit("p1", "first_name", "short");
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.sync();
    let id = b.id("p1");
    assert_eq!(b.superseded("p1", "first_name").len(), 1);
    b.order(id, Order::Decide { row: RowKey::new("patient", id), field: cloud_folder_sync::record::FieldKey::shared("first_name"), value: Value::text("short"), shown: None });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.see("p1", "first_name").as_str(), a.superseded("p1", "first_name").len()), ("short", 1), "nobody saw the story");
    // Now they have.
    b.order(id, Order::Decide { row: RowKey::new("patient", id), field: cloud_folder_sync::record::FieldKey::shared("first_name"), value: Value::text("short"), shown: None });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.superseded("p1", "first_name").len(), 0);
}
