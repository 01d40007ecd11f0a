//! Many new records at once: rows that nobody else hears of are inserted without triggers (decision 0026).

use crate::dsl::cloud::Cloud;
use crate::dsl::meanwhile::Meanwhile;
use crate::dsl::{Site, settle, two};
use cloud_folder_sync::sync::Options;
use rusqlite::Connection;
use std::cell::Cell;

/// Sixty patients with a visit each at `a`, none at `b` yet; from two records on, a sync is a large one.
fn sixty() -> (Site, Site, Cloud) {
    let (mut a, mut b, cloud) = two();
    (a.env.many, b.env.many) = (2, 2);
    for i in 0..60 {
        let nid = format!("n{i:03}");
        a.add(&nid);
        a.visit(&nid, "2026-01-01", "first");
    }
    (a, b, cloud)
}

#[test]
fn what_is_inserted_silently_is_heard_of_afterwards() {
    let (mut a, mut b, mut cloud) = sixty();
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM visit"), "60");
    assert_eq!(b.get("SELECT count(*) FROM cfs_note"), "0");
    // The same connection again, and another one.
    b.edit("n007", "phone", "typed at b");
    b.visit("n008", "2026-02-02", "second");
    b.sql("DELETE FROM visit WHERE rowid = (SELECT min(rowid) FROM visit)");
    settle(&mut [&mut b, &mut a], &mut cloud);
    assert_eq!(a.see("n007", "phone"), "typed at b");
    assert_eq!(a.get("SELECT count(*) FROM visit"), "61");
    assert_eq!(b.get("SELECT count(*) FROM visit"), "61", "what was deleted comes back");
}

#[test]
fn triggers_of_the_host_hear_what_is_written() {
    let (mut a, mut b, mut cloud) = sixty();
    for i in 0..40 {
        a.edit(&format!("n{i:03}"), "phone", "before");
    }
    settle(&mut [&mut a, &mut b], &mut cloud);
    // Edits and new people in one large synchronization, the ones between the others.
    a.sql("UPDATE patient SET phone = 'after ' || national_id WHERE rowid % 3 = 0");
    for i in 100..140 {
        a.add(&format!("n{i:03}"));
    }
    b.sql("CREATE TABLE heard (what TEXT); CREATE TRIGGER changed AFTER UPDATE OF phone ON patient BEGIN INSERT INTO heard VALUES ('U'); END");
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM patient"), "100");
    assert_eq!(b.get("SELECT count(*) FROM heard"), "20");
    // A trigger that hears of inserts keeps all of ours on.
    b.sql("CREATE TRIGGER new AFTER INSERT ON visit BEGIN INSERT INTO heard VALUES ('I'); END");
    for i in 100..140 {
        a.visit(&format!("n{i:03}"), "2026-03-03", "third");
    }
    for i in 200..240 {
        a.add(&format!("n{i:03}"));
        a.visit(&format!("n{i:03}"), "2026-03-03", "third");
    }
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM heard WHERE what = 'I'"), "80");
}

#[test]
fn a_trigger_that_the_host_makes_meanwhile_is_fired() {
    let (mut a, mut b, mut cloud) = sixty();
    for i in 100..400 {
        let nid = format!("n{i:03}");
        a.add(&nid);
        a.visit(&nid, "2026-01-01", "first");
    }
    a.sync();
    cloud.carry();
    b.move_to_file();
    let path = b.conn.path().unwrap().to_owned();
    let makes = || {
        let host = Connection::open(&path).unwrap();
        host.execute_batch("CREATE TABLE heard (x); CREATE TRIGGER new AFTER INSERT ON visit BEGIN INSERT INTO heard VALUES (NEW.rowid); END").unwrap();
    };
    let files = Cell::new(0);
    let when = |what: &str, path: &str, _: usize| {
        files.set(files.get() + u32::from(what == "read" && path.contains("/patient/")));
        files.get() == 300
    };
    let meanwhile = Meanwhile::new(b.folder.clone(), &when, &makes);
    b.try_sync_on(&meanwhile, Options::default()).unwrap();
    assert!(meanwhile.done(), "a file was read");
    let (visits, heard): (i64, i64) = (b.get("SELECT count(*) FROM visit").parse().unwrap(), b.get("SELECT count(*) FROM heard").parse().unwrap());
    assert!(visits == 360 && heard > 0 && heard < visits, "{heard} of {visits}");
    settle(&mut [&mut b, &mut a], &mut cloud);
    assert_eq!(a.get("SELECT count(*) FROM visit"), "360");
}
