//! Large syncs: a chunk of records is prepared before the one in front of it is committed (decision 0011).

use crate::dsl::check::{at_rest, both_see};
use crate::dsl::cloud::Cloud;
use crate::dsl::meanwhile::Meanwhile;
use crate::dsl::{Site, settle, two};
use cloud_folder_sync::id::RecordId;
use cloud_folder_sync::sync::Options;
use rusqlite::Connection;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A hundred patients at both sites; `b`'s database lies in a file, so that a second program can write to it.
fn hundred() -> (Site, Site, Cloud, Vec<RecordId>) {
    let (mut a, mut b, mut cloud) = two();
    (0..100).for_each(|i| a.add(&format!("n{i:03}")));
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.move_to_file();
    // From two records on threads help.
    (a.env.many, b.env.many) = (2, 2);
    settle(&mut [&mut a, &mut b], &mut cloud);
    let ids = b.state().all(Some("patient")).unwrap();
    assert_eq!(ids.len(), 100);
    (a, b, cloud, ids)
}

/// Everybody's phone comes from `a`; while the file of record `reading` is read at `b`, the phone of record
/// `typed` is typed there.
fn typed_while_reading(typed: usize, reading: usize) {
    let (mut a, mut b, mut cloud, ids) = hundred();
    a.sql("UPDATE patient SET phone = 'from a ' || national_id");
    a.sync();
    cloud.carry();
    let nid = {
        let key = b.state().root_of(&ids[typed]).unwrap().and_then(|(_, key, _)| key).unwrap();
        let cloud_folder_sync::value::Value::Integer(id) = key[0] else { unreachable!("the key is a number") };
        b.get(&format!("SELECT national_id FROM patient WHERE rowid = {id}"))
    };
    let path = b.conn.path().unwrap().to_owned();
    let types = || {
        let host = Connection::open(&path).unwrap();
        host.execute("UPDATE patient SET phone = 'typed at b' WHERE national_id = ?1", [&nid]).unwrap();
    };
    let file = ids[reading].to_string();
    let when = |what: &str, path: &str, _: usize| what == "read" && path.contains(&file);
    let meanwhile = Meanwhile::new(b.folder.clone(), &when, &types);
    b.try_sync_on(&meanwhile, Options::default()).unwrap();
    assert!(meanwhile.done(), "the file was read");
    settle(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, &nid, "phone", &a.see(&nid, "phone"));
    // Neither was seen by who wrote the other: both are there, whichever is current.
    for s in [&a, &b] {
        let known = s.state().load(&ids[typed]).unwrap().unwrap().known;
        let phone = &known.root().unwrap().fields[&cloud_folder_sync::record::FieldKey::shared("phone")];
        let mut values: Vec<String> = phone.0.iter().map(|e| crate::dsl::check::show(&e.value)).collect();
        values.sort();
        assert_eq!(values, [format!("from a {nid}"), "typed at b".to_owned()], "{}: record {typed}, while {reading} was read", s.name);
    }
}

#[test]
fn what_is_typed_while_the_next_chunk_is_prepared_is_not_written_over() {
    // In the first chunk; in the second, before and after its own preparing; in the last.
    for (typed, reading) in [(5, 10), (5, 40), (35, 40), (45, 40), (70, 80), (98, 99)] {
        typed_while_reading(typed, reading);
    }
}

/// Three hundred people whom nobody knows are sent; their rows are read ahead on a thread and a connection of their own. At the `at`th call
/// of the folder the host writes over the phone of the `typed`th.
fn typed_while_sending(typed: usize, at: usize) {
    let (mut a, mut b, mut cloud) = two();
    a.move_to_file();
    (0..300).for_each(|i| a.add(&format!("n{i:03}")));
    (a.env.many, a.env.bulk) = (2, 2);
    let path = a.conn.path().unwrap().to_owned();
    let nid = format!("n{typed:03}");
    let types = || {
        let host = Connection::open(&path).unwrap();
        host.execute("UPDATE patient SET phone = 'typed' WHERE national_id = ?1", [&nid]).unwrap();
    };
    let when = |_: &str, _: &str, n: usize| n == at;
    let meanwhile = Meanwhile::new(a.folder.clone(), &when, &types);
    a.try_sync_on(&meanwhile, Options::default()).unwrap();
    assert!(meanwhile.done(), "there is a call {at}");
    settle(&mut [&mut a, &mut b], &mut cloud);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM patient"), "300");
    both_see(&a, &b, &nid, "phone", "typed");
}

/// The program ends with the `nth` batch of files of a large sync, while a thread has more rows than anybody takes.
fn ends_at_batch(nth: usize) {
    let (mut a, mut b, mut cloud) = two();
    a.move_to_file();
    (0..1000).for_each(|i| a.add(&format!("n{i:03}")));
    a.env.many = 2;
    let crash = || resume_unwind(Box::new("crash"));
    let batches = Cell::new(0);
    let when = |what: &str, _: &str, _: usize| {
        batches.set(batches.get() + usize::from(what == "write"));
        batches.get() == nth
    };
    let folder = Meanwhile::new(a.folder.clone(), &when, &crash);
    assert!(catch_unwind(AssertUnwindSafe(|| a.try_sync_on(&folder, Options::default()))).is_err());
    if !a.conn.is_autocommit() {
        a.conn.execute_batch("ROLLBACK").unwrap();
    }
    settle(&mut [&mut a, &mut b], &mut cloud);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM patient"), "1000");
}

#[test]
fn a_panic_waits_for_no_thread_that_nobody_listens_to() {
    [1, 3].into_iter().for_each(ends_at_batch);
}

#[test]
fn what_is_typed_while_rows_are_read_ahead_arrives() {
    for (typed, at) in [(0, 20), (40, 20), (290, 20), (0, 150), (150, 150), (290, 150), (299, 400)] {
        typed_while_sending(typed, at);
    }
}
