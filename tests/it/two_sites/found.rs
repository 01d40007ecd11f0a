//! What storms found, each as short as it can be told.

use crate::dsl::check::at_rest;
use crate::dsl::cloud::Cloud;
use crate::dsl::faulty::Faulty;
use crate::dsl::meanwhile::Meanwhile;
use crate::dsl::{DAY_MS, Site, has, path_of, settle, sites, two, two_with_p1};
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::sync::{Options, Order};
use rusqlite::Connection;
use std::cell::Cell;

fn people(s: &Site) -> String {
    s.get("SELECT group_concat(national_id, ' ') FROM (SELECT national_id FROM patient ORDER BY 1)")
}

/// Both stamped under one name until one of them met what the other had written: then what had already
/// been taken over by a third was dropped, as if overwritten.
#[test]
fn a_database_copied_before_it_first_synchronized_shares_no_name_with_its_copy() {
    for with_keeper in [false, true] {
        let (mut all, mut cloud) = sites(1);
        let mut a = all.pop().unwrap();
        a.sql(crate::dsl::schema::P1);
        let mut c = a.clone_to("copy", cloud.join(), with_keeper);
        a.edit("p1", "phone", "of a");
        c.edit("p1", "phone", "of c");
        a.add("pa");
        c.add("pc");
        a.sync();
        c.sync();
        assert_ne!(a.state().site().unwrap(), c.state().site().unwrap());
        at_rest(&mut [&mut a, &mut c], &mut cloud);
        assert_eq!((people(&a).as_str(), people(&c).as_str()), ("p1 pa pc", "p1 pa pc"));
        let mut both = vec![a.see("p1", "phone")];
        both.extend(a.superseded("p1", "phone"));
        both.sort();
        assert_eq!(both, ["of a", "of c"], "{with_keeper}");
    }
}

/// What only a log had told of was taken for filed at the next sync, whether or not its file had come.
#[test]
fn a_record_whose_file_never_comes_is_filed_by_who_knows_it() {
    let (mut a, mut b, mut cloud) = two();
    a.add("p1");
    a.sync();
    let path = path_of(&a.id("p1"));
    // The client that was to bring it loses it for good.
    cloud.carry_only(1, |p| p != path);
    cloud.set(&path, None);
    b.sync();
    assert_eq!(people(&b), "p1");
    assert!(!has(&b.folder, &path), "the writer's own file is waited for, one round");
    b.sync();
    assert!(has(&b.folder, &path));
    a.folder.take(&path);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// A record that came from a copy of this computer, under this site's own name, was stored as being of no type
/// until the site had a new name, and was not found under its key ever after: its chart was taken for somebody
/// new once the host touched it.
#[test]
fn a_chart_that_came_from_a_copied_computer_is_nobody_new() {
    for older in [false, true] {
        let (mut a, mut b, mut cloud) = two_with_p1();
        let mut c = a.clone_to("copy", cloud.join(), true);
        cloud.carry();
        c.add("pc");
        c.sync();
        a.edit("p1", "phone", "of a");
        a.sync();
        for _ in 0..3 {
            cloud.carry();
            a.sync();
        }
        assert_eq!(people(&a), "p1 pc");
        if older {
            // As an earlier version left it.
            a.sql("UPDATE cfs_record SET kind = '' WHERE kind = 'patient'");
        }
        a.edit("pc", "phone", "of a");
        at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
        for s in [&a, &b, &c] {
            assert_eq!((people(s).as_str(), s.see("pc", "phone").as_str()), ("p1 pc", "of a"), "{} {older}", s.name);
            assert_eq!(s.get("SELECT count(*) FROM cfs_record WHERE kind = 'patient'"), "2", "{} {older}", s.name);
        }
    }
}

/// A link went with the person whom the host deleted; another link that was typed afterwards made it look like
/// a form that was saved anew. The person came back, the link did not.
#[test]
fn what_went_with_a_deleted_person_was_not_saved_anew() {
    let (mut a, mut b, mut cloud) = two();
    ["p1", "p2", "p3"].iter().for_each(|p| a.add(p));
    let link = |s: &Site, x: &str, y: &str, w: &str| {
        s.sql(&format!("INSERT INTO patient_link SELECT x.patient_id, y.patient_id, '{w}' FROM patient x, patient y WHERE x.national_id = '{x}' AND y.national_id = '{y}'"))
    };
    link(&a, "p2", "p1", "mother");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.sql("DELETE FROM patient WHERE national_id = 'p1'");
    assert_eq!(b.get("SELECT count(*) FROM patient_link"), "0");
    link(&b, "p2", "p3", "sister");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(people(s), "p1 p2 p3");
        assert_eq!(s.get("SELECT group_concat(relation, ' ') FROM (SELECT relation FROM patient_link ORDER BY 1)"), "mother sister", "{}", s.name);
    }
}

/// Whatever is typed before and while a sync brings an erasure: it waits for a person, or was never there.
/// `false` once the sync has fewer calls than `n`.
fn erased_while_typed_at_call(n: usize) -> bool {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.move_to_file();
    settle(&mut [&mut a, &mut b], &mut cloud);
    let id = a.id("p1");
    a.order(id, Order::Erase { by: "the patient".into() });
    a.sync();
    cloud.carry();
    b.edit("p1", "first_name", "typed before");
    let path = b.conn.path().unwrap().to_owned();
    let typed = Cell::new(false);
    let types = || {
        let host = Connection::open(&path).unwrap();
        typed.set(host.execute("UPDATE visit SET notes = 'typed at that moment'", []).is_ok_and(|n| n > 0));
    };
    // The directories are walked while nothing is read or written: one moment like another.
    let calls = Cell::new(0);
    let when = |what: &str, path: &str, _: usize| (path.ends_with(".xml") || what == "write") && calls.replace(calls.get() + 1) == n;
    let meanwhile = Meanwhile::new(b.folder.clone(), &when, &types);
    b.try_sync_on(&meanwhile, Options::default()).unwrap();
    let done = meanwhile.done();
    drop(meanwhile);
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.see("p1", "first_name"), "typed before", "typed at call {n}");
    if typed.get() {
        assert_eq!(b.get("SELECT notes FROM visit"), "typed at that moment", "typed at call {n}");
    }
    assert_eq!(people(&a), "NULL");
    done
}

#[test]
fn an_erasure_takes_nothing_that_was_typed_at_any_moment_of_the_sync_that_brings_it() {
    let calls = (0..).take_while(|n| erased_while_typed_at_call(*n)).count();
    assert!(calls > 5, "{calls}");
}

/// Whether a site's own log holds content of an erased record.
fn told(s: &Site, id: cloud_folder_sync::id::RecordId) -> bool {
    let folder = s.state().folder;
    let holds = |i: &Item| matches!(i, Item::Delta(d) if d.part.id == id && !d.part.rows.is_empty());
    s.folder.all().iter().any(|(p, b)| p.starts_with("logs/") && Segment::read(b, &folder).is_ok_and(|(seg, _)| seg.items.iter().any(holds)))
}

/// The disk is full, or the program ends, at any write of the sync that erases: the own log still holds the
/// person's data, or a segment that is not delivered yet does. Neither may stay.
#[test]
fn what_is_erased_leaves_the_log_though_the_sync_was_cut_off() {
    for crash in [false, true] {
        for left in 0..12 {
            let (mut a, mut b, mut cloud) = two();
            a.add("p1");
            a.add("p2");
            settle(&mut [&mut a, &mut b], &mut cloud);
            a.edit("p1", "phone", "told");
            a.sync();
            let id = a.id("p1");
            assert!(told(&a, id));
            // Decided, and not delivered.
            a.edit("p1", "last_name", "not told yet");
            let full = Faulty { inner: a.folder.clone(), left: Cell::new(1), crash: false, at: "" };
            let _refused = a.try_sync_on(&full, Options::default());
            a.order(id, Order::Erase { by: "the patient".into() });
            let faulty = Faulty { inner: a.folder.clone(), left: Cell::new(left), crash, at: "" };
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| a.try_sync_on(&faulty, Options::default())));
            if !a.conn.is_autocommit() {
                a.sql("ROLLBACK");
            }
            if a.known(&id).erased.is_none() {
                // It did not take hold, and is ordered again.
                drop(done);
                a.order(id, Order::Erase { by: "the patient".into() });
            }
            settle(&mut [&mut a, &mut b], &mut cloud);
            assert!(!told(&a, id) && !told(&b, id), "{left} writes, {crash}");
            assert!(a.known(&id).erased.is_some() && b.known(&id).rows.is_empty());
            a.pass(DAY_MS);
            at_rest(&mut [&mut a, &mut b], &mut cloud);
            assert_eq!((people(&a).as_str(), people(&b).as_str()), ("p2", "p2"), "{left} writes, {crash}");
        }
    }
}

/// Somebody is entered here whom the folder knows and this database does not hold yet, and in the same sync comes
/// that the one in the folder was erased. What was just typed is no part of that.
#[test]
fn an_erasure_takes_nobody_who_was_entered_before_it_came() {
    let (mut all, mut cloud) = sites(3);
    let mut c = all.pop().unwrap();
    let mut b = all.pop().unwrap();
    let mut a = all.pop().unwrap();
    // Known at `b`, and held there: another line has its number.
    a.add("p1");
    a.sync();
    let id = a.id("p1");
    cloud.carry();
    b.sql("CREATE TRIGGER no BEFORE INSERT ON patient WHEN new.national_id = 'p1' AND new.last_name <> 'typed here' BEGIN SELECT RAISE(ABORT, 'no'); END");
    b.sync();
    assert_eq!(people(&b), "NULL");
    a.order(id, Order::Erase { by: "the patient".into() });
    a.sync();
    cloud.carry();
    b.sql("INSERT INTO patient (file_no, national_id, last_name) VALUES (77, 'p1', 'typed here')");
    for _ in 0..3 {
        b.sync();
        cloud.carry();
        a.sync();
        c.sync();
    }
    assert_eq!(b.get("SELECT last_name FROM patient"), "typed here");
}

/// A clinic whose invoices name the visit, and that never asks SQLite to mind its references.
fn loose() -> (Site, Site, Cloud) {
    let sql = "CREATE TABLE host_clock (now TEXT); INSERT INTO host_clock VALUES ('0');
        CREATE TABLE patient (patient_id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, name TEXT);
        CREATE TABLE visit (visit_id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patient(patient_id), day TEXT);
        CREATE TABLE invoice (invoice_id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patient(patient_id), visit_id INTEGER REFERENCES visit(visit_id), title TEXT);";
    let toml = "[type.patient]\nmatch_on = \"national_id\"\n[table.visit]\nowner = \"patient_id\"\n[table.invoice]\nowner = \"patient_id\"\n[leave_out]\nhost_clock = \"ours\"\n";
    let mut cloud = Cloud::default();
    let mut site = |name: &str| {
        let mut s = Site::with(name, cloud.join(), crate::dsl::schema::open(sql), toml);
        s.set_up();
        cloud.carry();
        s
    };
    let (mut a, mut b) = (site("north"), site("south"));
    a.sql("INSERT INTO patient VALUES (1, 'p1', 'One'), (2, 'p2', 'Two'); INSERT INTO visit VALUES (5, 1, 'd5'), (6, 1, 'd6'); INSERT INTO invoice VALUES (9, 1, 5, 'of d5'), (10, 1, 6, 'of d6')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    (a, b, cloud)
}

const INVOICES: &str = "SELECT group_concat(title || '/' || coalesce(day, '-')) FROM (SELECT title, day FROM invoice LEFT JOIN visit USING (visit_id) ORDER BY title)";

/// Seen by hand: a visit that moved to another chart left the invoices that name it without it, at all other sites.
#[test]
pub(super) fn what_points_to_a_visit_that_moved_still_points_to_it() {
    let (mut a, mut b, mut cloud) = loose();
    a.sql("UPDATE visit SET patient_id = 2 WHERE visit_id = 5");
    a.sync();
    let emptied = a.state().changes(None, None).unwrap().into_iter().filter(|(_, c)| c.field.as_deref() == Some("visit_id") && c.new.is_none()).count();
    assert_eq!(emptied, 0, "the log tells of a reference that was emptied");
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get(INVOICES), "of d5/d5,of d6/d6", "{}", s.name);
    }
}

/// A visit that the host deleted comes back, and so does what pointed to it: the host's rows still do.
#[test]
pub(super) fn what_points_to_a_visit_that_came_back_points_to_it_again() {
    let (mut a, mut b, mut cloud) = loose();
    a.sql("DELETE FROM visit WHERE visit_id = 5");
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get(INVOICES), "of d5/d5,of d6/d6", "{}", s.name);
    }
}

/// Of a table without a key a row is deleted, which another was typed beside, and VACUUM gives that one its number: the
/// deleted row looked like that one edited, and did not come back (storm 3188).
#[test]
pub(super) fn a_deleted_memo_comes_back_though_its_number_was_given_away() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("INSERT INTO memo VALUES (1, 'first'), (1, 'second')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("INSERT INTO memo VALUES (1, 'third'); DELETE FROM memo WHERE words = 'second'");
    a.conn.execute_batch("VACUUM").unwrap();
    assert_eq!(a.get("SELECT words FROM memo WHERE rowid = 3"), "third");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT group_concat(words) FROM (SELECT words FROM memo ORDER BY words)"), "first,hello,second,third", "{}", s.name);
    }
}

const REBUILD: &str = "CREATE TABLE new_memo (patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, words TEXT);
    INSERT INTO new_memo SELECT * FROM memo; DROP TABLE memo; ALTER TABLE new_memo RENAME TO memo; INSERT INTO memo SELECT patient_id, 'after the upgrade' FROM patient WHERE national_id = 'p1'";

/// The synchronization that made the triggers of a rebuilt table again waited for a person and did nothing else: what had been typed
/// while there were none was never looked at (storm 300840).
#[test]
fn what_was_typed_without_triggers_is_found_after_a_sync_that_waits() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    (2..40).for_each(|i| a.add(&format!("p{i}")));
    settle(&mut [&mut a, &mut b], &mut cloud);
    let gone: Vec<(String, _)> = a.folder.all().into_iter().filter(|(p, _)| p.starts_with("records/patient")).collect();
    gone.iter().for_each(|(p, _)| drop(a.folder.take(p)));
    a.sql(REBUILD);
    assert!(a.full().notices.iter().any(|n| n.contains("--yes")), "nothing waited for a person");
    gone.into_iter().for_each(|(p, b)| a.folder.put(&p, b));
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM memo WHERE words = 'after the upgrade'"), "1");
}

/// `cfs init` once more, after an upgrade of the host, makes the triggers again, and it looks at nothing.
#[test]
fn what_was_typed_without_triggers_is_found_after_another_init() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql(REBUILD);
    a.set_up();
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM memo WHERE words = 'after the upgrade'"), "1");
    let before = a.conn.total_changes();
    a.sync();
    assert_eq!(a.conn.total_changes() - before, 1, "all is looked at once");
}

/// A line is deleted, another one gets its number and moves to another chart: the deleted one was taken for moved, lay in the
/// trash though nobody had deleted it, and went with that (storm 400116).
#[test]
pub(super) fn a_line_whose_number_moves_away_with_another_one_comes_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    a.visit("p2", "d2", "two");
    a.sql("INSERT INTO prescription (visit_id, drug, dose) SELECT visit_id, 'old drug', '1' FROM visit WHERE day = 'd2'");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("DELETE FROM prescription WHERE drug = 'old drug'; INSERT INTO prescription (visit_id, drug, dose) SELECT visit_id, 'new drug', '2' FROM visit WHERE day = 'd2'");
    a.sql("UPDATE prescription SET visit_id = (SELECT visit_id FROM visit WHERE day <> 'd2') WHERE drug = 'new drug'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        let drugs = "SELECT group_concat(drug || ' on ' || day, ', ') FROM (SELECT drug, day FROM prescription JOIN visit USING (visit_id) WHERE drug LIKE '% drug' ORDER BY drug)";
        assert_eq!(s.get(drugs), "new drug on d1, old drug on d2", "{}", s.name);
    }
}

/// Storm 502003: who deletes a chart has not seen a row that waits for what it points to.
#[test]
fn a_row_that_waits_is_not_deleted_with_the_chart_that_was_shown() {
    let (mut a, mut b, mut cloud) = two();
    a.add("p1");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("INSERT INTO term (kind, code) VALUES ('icd', 'X'); INSERT INTO diagnosis (patient_id, term_id, words) VALUES (1, 1, 'typed at a')");
    a.sync();
    let p1 = a.id("p1").to_string();
    // The chart comes, the code that the diagnosis names does not.
    cloud.carry_only(1, |p| p.contains(&p1));
    b.full();
    assert_eq!(b.get("SELECT count(*) FROM diagnosis"), "0");
    b.delete("p1");
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT group_concat(words) FROM diagnosis JOIN patient USING (patient_id)"), "typed at a", "{}", s.name);
    }
    // Now it is shown.
    b.delete("p1");
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT count(*) FROM diagnosis"), "0", "{}", s.name);
        assert_eq!(s.get("SELECT count(*) FROM patient"), "0", "{}", s.name);
    }
}
