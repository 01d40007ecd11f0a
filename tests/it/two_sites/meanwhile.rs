//! The host's user types at every moment of a sync: at each call of the folder in turn.

use crate::dsl::check::{at_rest, known};
use crate::dsl::meanwhile::Meanwhile;
use crate::dsl::{path_of, settle, two};
use cloud_folder_sync::sync::Options;
use rusqlite::Connection;
use std::cell::RefCell;

/// What is typed: the word, and how.
const TYPED: [(&str, &str); 6] = [
    (
        "link to whom the folder deletes",
        "INSERT INTO patient_link SELECT x.patient_id, y.patient_id, '{}' FROM patient x, patient y WHERE x.national_id = 'p2' AND y.national_id = 'p4'",
    ),
    ("link to whom we delete", "INSERT INTO patient_link SELECT x.patient_id, y.patient_id, '{}' FROM patient x, patient y WHERE x.national_id = 'p5' AND y.national_id = 'p1'"),
    ("phone of whom a stray file is about", "UPDATE patient SET phone = '{}' WHERE national_id = 'p6'"),
    ("memo of whom a conflict file is about", "INSERT INTO memo SELECT patient_id, '{}' FROM patient WHERE national_id = 'p3'"),
    ("somebody new", "INSERT INTO patient (file_no, national_id, last_name) VALUES (99, 'p9', '{}')"),
    ("link of somebody new", "INSERT INTO patient_link SELECT x.patient_id, y.patient_id, '{}' FROM patient x, patient y WHERE x.national_id = 'p9' AND y.national_id = 'p1'"),
];

/// At `b`, one sync takes in an edit, a deletion, a conflict file and a file under another's name, and carries
/// out a deletion of its own; at its nth call of the folder everything above is typed. `false` when it has
/// fewer calls.
fn typed_at_call(n: usize) -> bool {
    let (mut a, mut b, mut cloud) = two();
    (1..7).for_each(|i| a.add(&format!("p{i}")));
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.move_to_file();
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.edit("p2", "phone", "phone of p2");
    a.edit("p3", "phone", "phone of p3");
    a.delete("p4");
    a.sync();
    let copy = a.folder.get(&path_of(&a.id("p3"))).unwrap();
    a.edit("p6", "phone", "phone of p6");
    a.sync();
    let stray = a.folder.get(&path_of(&a.id("p6"))).unwrap();
    // What is told of p6 comes by the stray file alone.
    let segments: Vec<String> = a.folder.all().into_keys().filter(|p| p.starts_with("logs/")).collect();
    cloud.carry();
    b.folder.put(&path_of(&a.id("p5")), stray);
    b.folder.take(&path_of(&a.id("p6")));
    b.folder.take(segments.last().unwrap());
    b.folder.put(&path_of(&a.id("p3")).replace(".xml", " (conflicted copy).xml"), copy);
    let p1: i64 = b.conn.query_row("SELECT patient_id FROM patient WHERE national_id = 'p1'", [], |r| r.get(0)).unwrap();
    b.sql(&format!("INSERT INTO cfs_delete (table_name, key) VALUES ('patient', {p1})"));

    let path = b.conn.path().unwrap().to_owned();
    let typed = RefCell::new(Vec::new());
    let types = || {
        let host = Connection::open(&path).unwrap();
        host.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        // Who types over what is shown has seen it.
        let shown: Option<String> = host.query_row("SELECT phone FROM patient WHERE national_id = 'p6'", [], |r| r.get(0)).unwrap();
        typed.borrow_mut().extend((shown.as_deref() != Some("phone of p6")).then_some("phone of p6"));
        for (word, sql) in TYPED {
            if host.execute(&sql.replace("{}", word), []).is_ok_and(|n| n > 0) {
                typed.borrow_mut().push(word);
            }
        }
    };
    // The directories are walked while nothing is read or written: one moment like another.
    let calls = std::cell::Cell::new(0);
    let when = |what: &str, path: &str, _: usize| (path.ends_with(".xml") || what == "write") && calls.replace(calls.get() + 1) == n;
    let meanwhile = Meanwhile::new(b.folder.clone(), &when, &types);
    b.try_sync_on(&meanwhile, Options { full: true, ..Options::default() }).unwrap();
    let done = meanwhile.done();
    drop(meanwhile);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let mut words = typed.take();
    words.extend(["phone of p2", "phone of p3"]);
    for s in [&a, &b] {
        let known = known(s);
        for word in &words {
            assert!(known.values().any(|k| k.contains(word)), "{}: \"{word}\", typed at call {n}, is nowhere", s.name);
        }
    }
    done
}

#[test]
pub(super) fn nothing_typed_at_any_moment_of_a_sync_is_lost() {
    let calls = (0..).take_while(|n| typed_at_call(*n)).count();
    assert!(calls > 30, "{calls}");
}
