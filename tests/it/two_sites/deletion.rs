//! Deletion: only a tombstone deletes, and only what its author had seen.

use crate::dsl::check::{at_rest, both_see, content, converged};
use crate::dsl::cloud::Cloud;
use crate::dsl::meanwhile::Meanwhile;
use crate::dsl::{Site, has, path_of, schema, settle, sites, two_with_p1};
use cloud_folder_sync::host::mapping::LocalDeletes;
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::record::RowKey;
use cloud_folder_sync::sync::{Options, Order};
use cloud_folder_sync::value::Value;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

fn nobody(s: &Site) -> bool {
    s.get("SELECT count(*) FROM patient") == "0"
}

/// What the account of a site says.
fn log(s: &Site) -> Vec<String> {
    s.state().changes(None, None).unwrap().into_iter().map(|(_, c)| format!("{} {}", c.row.map_or(c.kind, |r| r.0), c.what)).collect()
}

#[test]
pub(super) fn a_local_delete_that_came_back_is_told_from_what_was_received() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = log(&b).len();
    b.sql("DELETE FROM allergy; DELETE FROM visit");
    let r = b.sync();
    assert!(r.restored > 0 && r.revived == 0);
    let said = log(&b).split_off(before);
    assert!(said.contains(&"allergy deleted here without `cfs delete`: it came back from the folder".to_owned()), "{said:?}");
    assert!(!said.iter().any(|l| l.contains("received")), "{said:?}");
    let before = log(&b).len();
    b.sql("DELETE FROM patient");
    b.sync();
    let said = log(&b).split_off(before);
    assert!(said.contains(&"patient deleted here without `cfs delete`: it came back from the folder".to_owned()), "{said:?}");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn a_restore_from_the_trash_is_no_edit_that_brought_something_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = a.id("p1");
    a.delete("p1");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let before = (log(&a).len(), log(&b).len());
    a.restore(id);
    let ra = a.sync();
    cloud.carry();
    let rb = b.sync();
    assert_eq!((ra.revived, rb.revived, ra.restored, rb.restored), (0, 0, 1, 1));
    assert_eq!(log(&a).split_off(before.0), ["patient restored"]);
    assert_eq!(log(&b).split_off(before.1), ["patient restored there: it is back"]);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    // A row alone, and once more: the tombstones of before say nothing about it.
    let key: i64 = b.conn.query_row("SELECT visit_id FROM visit", [], |r| r.get(0)).unwrap();
    let (_, row) = b.row("visit", &vec![Value::Integer(key)]);
    b.delete_row("visit", "SELECT visit_id FROM visit");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let before = log(&a).len();
    b.order(id, Order::Restore { row });
    b.sync();
    cloud.carry();
    let ra = a.sync();
    assert_eq!((ra.revived, ra.restored), (0, 1));
    let said = log(&a).split_off(before);
    assert!(said.contains(&"visit restored there: it is back".to_owned()) && !said.iter().any(|l| l.contains("edited")), "{said:?}");
    // An edit by somebody who had not seen the deletion is still told as that, at both.
    let before = (log(&a).len(), log(&b).len());
    a.delete("p1");
    b.edit("p1", "phone", "unseen");
    a.sync();
    b.sync();
    cloud.carry();
    let (ra, rb) = (a.sync(), b.sync());
    assert!(ra.revived > 0 && rb.revived > 0 && ra.restored == 0 && rb.restored == 0);
    assert!(log(&a).split_off(before.0).contains(&"patient deleted here while edited there: it is back".to_owned()));
    assert!(log(&b).split_off(before.1).contains(&"patient deleted there while edited here: it is back".to_owned()));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn deleting_a_doctor_whom_charts_point_to_says_what_happens() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let key: i64 = a.conn.query_row("SELECT doctor_id FROM doctor", [], |r| r.get(0)).unwrap();
    let (id, row) = a.row("doctor", &vec![Value::Integer(key)]);
    a.order(id, Order::Delete { row, why: "left".into(), by: None, request: None });
    let r = a.sync();
    assert!(r.held.is_empty(), "{:?}", r.held);
    assert!(r.notices.iter().any(|n| n.contains("doctor") && n.contains("cannot be deleted while rows that point to it are in use")), "{:?}", r.notices);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.get("SELECT count(*) FROM doctor"), b.get("SELECT count(*) FROM doctor")), ("1".into(), "1".into()));
}

/// The host refuses to delete a row while another points to it, wherever that one hangs.
#[test]
pub(super) fn a_deleted_patient_goes_though_their_rows_point_to_each_other() {
    let sql = schema::SQL
        .replace("doctor_id INTEGER REFERENCES doctor(doctor_id));", "doctor_id INTEGER REFERENCES doctor(doctor_id), previous_id INTEGER REFERENCES visit(visit_id));")
        .replace("severity TEXT, UNIQUE", "severity TEXT, visit_id INTEGER REFERENCES visit(visit_id), UNIQUE")
        .replace(
            "patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, title",
            "patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE RESTRICT, title",
        );
    assert!(sql.contains("previous_id") && sql.contains("severity TEXT, visit_id") && sql.contains("RESTRICT"));
    let mut cloud = Cloud::default();
    let mut a = Site::with("north", cloud.join(), schema::open(&sql), schema::TOML);
    a.set_up();
    cloud.carry();
    let mut b = Site::with("south", cloud.join(), schema::open(&sql), schema::TOML);
    b.set_up();
    a.sql(schema::P1);
    a.sql("INSERT INTO visit (visit_id, patient_id, day, previous_id) VALUES (2, 1, 'd2', 1), (3, 1, 'd3', 2), (4, 1, 'd4', 2); UPDATE allergy SET visit_id = 3");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let (id, before) = (a.id("p1"), content(&a));
    a.delete("p1");
    let r = a.sync();
    assert!(r.held.is_empty() && r.notices.is_empty() && nobody(&a), "{r:?}");
    assert_eq!(log(&a).last().unwrap(), "patient deleted");
    let said = log(&b).len();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(log(&b).split_off(said), ["patient deleted"], "one line, not one for each row");
    assert!(nobody(&b));
    b.restore(id);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((content(&a), content(&b)), (before.clone(), before));
    b.delete_row("visit", "SELECT visit_id FROM visit WHERE day = 'd3'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let at_allergy = "SELECT coalesce((SELECT day FROM visit v WHERE v.visit_id = a.visit_id), a.visit_id, 'none') FROM allergy a";
    for s in [&a, &b] {
        assert_eq!((s.get("SELECT count(*) FROM visit"), s.get(at_allergy)), ("3".into(), "none".into()));
    }
    let visit = a.known(&id).rows.iter().find(|(k, r)| k.table == "visit" && r.tombstone.as_ref().is_some_and(|t| t.why == "wrong")).map(|(k, _)| k.clone()).unwrap();
    a.order(id, Order::Restore { row: visit });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!((s.get("SELECT count(*) FROM visit"), s.get(at_allergy)), ("4".into(), "d3".into()));
    }
}

#[test]
pub(super) fn a_local_delete_comes_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = content(&a);
    a.sql("DELETE FROM patient");
    let r = a.sync();
    assert!(r.restored > 0);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&a), before);
    b.sql("DELETE FROM visit");
    b.sql("DELETE FROM allergy");
    b.sql("DELETE FROM memo");
    b.sql("DELETE FROM invoice_line");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&b), before);
    // The numbers that this place gave stay its own.
    assert_eq!(a.see("p1", "file_no"), "1");
}

#[test]
pub(super) fn a_local_delete_of_an_edited_row_comes_back_as_known() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("UPDATE visit SET notes = 'unsent'; DELETE FROM visit");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT notes FROM visit"), "first");
    assert_eq!(a.get("SELECT count(*) FROM prescription"), "2");
}

#[test]
pub(super) fn ask_keeps_a_deleted_row_away_here_only() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let n = a.mapping.table("allergy").unwrap();
    a.mapping.tables[n].local_deletes = LocalDeletes::Ask;
    let key: i64 = a.conn.query_row("SELECT allergy_id FROM allergy", [], |r| r.get(0)).unwrap();
    let (id, row) = a.row("allergy", &vec![Value::Integer(key)]);
    a.sql("DELETE FROM allergy");
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.get("SELECT count(*) FROM allergy").as_str(), b.get("SELECT count(*) FROM allergy").as_str()), ("0", "1"));
    // An edit elsewhere does not bring it back by itself.
    b.sql("UPDATE allergy SET severity = 'severe'");
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT count(*) FROM allergy"), "0");
    a.order(id, Order::TakeBack { row: row.clone() });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT severity FROM allergy"), "severe");
    // Deleted again and confirmed.
    a.sql("DELETE FROM allergy");
    a.sync();
    a.order(id, Order::Delete { row, why: "confirmed".into(), by: None, request: None });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.get("SELECT count(*) FROM allergy").as_str(), b.get("SELECT count(*) FROM allergy").as_str()), ("0", "0"));
}

#[test]
pub(super) fn ask_for_a_whole_patient() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for t in &mut a.mapping.tables {
        t.local_deletes = LocalDeletes::Ask;
    }
    let before = content(&b);
    let id = a.id("p1");
    a.sql("DELETE FROM patient");
    settle(&mut [&mut a, &mut b], &mut cloud);
    assert!(nobody(&a) && content(&b) == before);
    a.order(id, Order::TakeBack { row: RowKey::new("patient", id) });
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&a), before);
}

#[test]
pub(super) fn an_ordered_delete_travels() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = a.id("p1");
    a.delete("p1");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(nobody(&a) && nobody(&b));
    assert!(has(&a.folder, &path_of(&id)));
}

#[test]
pub(super) fn an_ordered_delete_of_a_row_takes_what_is_below() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.delete_row("visit", "SELECT visit_id FROM visit");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT (SELECT count(*) FROM visit) || (SELECT count(*) FROM prescription) || (SELECT count(*) FROM allergy)"), "001");
    }
}

#[test]
pub(super) fn cfs_delete_in_the_hosts_own_transaction() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.sql("INSERT INTO cfs_delete (table_name, key, reason) SELECT 'visit', visit_id, 'typo' FROM visit; DELETE FROM visit");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM visit"), "0");
    assert_eq!(a.get("SELECT count(*) FROM cfs_delete"), "0");
    b.sql("INSERT INTO cfs_delete (table_name, key, reason) SELECT 'patient', patient_id, 'left' FROM patient");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(nobody(&a) && nobody(&b));
}

#[test]
pub(super) fn cfs_delete_of_a_row_that_was_never_sent() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.visit("p1", "d2", "two");
    a.sql("INSERT INTO cfs_delete (table_name, key, reason) SELECT 'visit', visit_id, 'typo' FROM visit WHERE day = 'd2'; DELETE FROM visit WHERE day = 'd2'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT count(*) FROM visit"), "1");
    assert_eq!(a.get("SELECT count(*) FROM cfs_delete"), "0");
}

#[test]
pub(super) fn cfs_delete_of_a_new_row_still_there() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.visit("p1", "d2", "two");
    a.sql("INSERT INTO cfs_delete (table_name, key, reason) SELECT 'visit', visit_id, 'typo' FROM visit WHERE day = 'd2'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.get("SELECT count(*) FROM visit").as_str(), b.get("SELECT count(*) FROM visit").as_str()), ("1", "1"));
}

#[test]
pub(super) fn delete_here_and_edit_there_brings_it_back_and_says_so() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = content(&a).len();
    a.delete("p1");
    b.sql("UPDATE prescription SET dose = '5' WHERE drug = 'aspirin'");
    a.sync();
    b.sync();
    cloud.carry();
    let (ra, rb) = (a.sync(), b.sync());
    assert!(ra.revived > 0 && rb.revived > 0, "{} {}", ra.revived, rb.revived);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&a).len(), before, "{:#?}", content(&a));
    assert_eq!(a.get("SELECT dose FROM prescription WHERE drug = 'aspirin'"), "5");
}

#[test]
pub(super) fn delete_here_and_a_new_child_there_brings_it_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.delete("p1");
    b.visit("p1", "d2", "new");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.get("SELECT count(*) FROM visit").as_str(), b.see("p1", "phone").as_str()), ("2", "100"));
}

#[test]
pub(super) fn a_delete_that_had_seen_the_edit_deletes() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.edit("p1", "phone", "5");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.delete("p1");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(nobody(&a) && nobody(&b));
}

#[test]
pub(super) fn a_delete_follows_an_edit_whose_segment_never_came() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.edit("p1", "phone", "5");
    b.sync();
    // a sees nothing of it, deletes, and only then everything arrives.
    a.delete("p1");
    a.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "5");
}

#[test]
pub(super) fn deleted_at_both_stays_deleted() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.delete("p1");
    b.delete("p1");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(nobody(&a) && nobody(&b));
}

#[test]
pub(super) fn restore_brings_everything_back_everywhere() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (before, id) = (content(&a), a.id("p1"));
    a.delete("p1");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.restore(id);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(content(&a), before);
    assert_eq!(content(&b), before);
    a.delete("p1");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(nobody(&a) && nobody(&b));
}

#[test]
pub(super) fn purge_strips_and_an_unseen_edit_brings_back_what_its_author_has() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (before, id) = (content(&a).len(), a.id("p1"));
    b.edit("p1", "phone", "unseen");
    b.sync();
    a.delete("p1");
    a.sync();
    a.order(id, Order::Purge);
    a.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "unseen");
    assert_eq!(content(&a).len(), before, "{:#?}", content(&a));
}

#[test]
pub(super) fn purge_strips_everywhere() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = a.id("p1");
    a.delete("p1");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.order(id, Order::Purge);
    b.sync();
    for s in [&mut a, &mut b] {
        s.pass(crate::dsl::DAY_MS);
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let file = String::from_utf8(a.folder.get(&path_of(&id)).unwrap()).unwrap();
    assert!(!file.contains("aspirin") && !file.contains("hello"), "{file}");
    assert!(!crate::dsl::check::known(&a).values().any(|k| k.contains("aspirin")));
}

/// Gives p1 large values.
fn photograph(s: &Site) {
    s.sql("UPDATE patient SET photo = zeroblob(20000), phone = hex(zeroblob(9000)) WHERE national_id = 'p1'");
}

/// Types a link from p2 to p1.
fn link(s: &Site) {
    s.sql("INSERT INTO patient_link SELECT p.patient_id, r.patient_id, 'sister' FROM patient p, patient r WHERE p.national_id = 'p2' AND r.national_id = 'p1'");
}

/// All that was there before is there at each site, and the link.
#[track_caller]
fn back_with_the_link(all: &[&Site], before: &[String]) {
    for s in all {
        assert_eq!(content(s).len(), before.len() + 1, "{}: {:#?}", s.name, content(s));
        assert!(before.iter().all(|line| content(s).contains(line)), "{}: {:#?}", s.name, content(s));
    }
}

/// Somebody deletes a chart and empties the trash, while elsewhere a link to it is typed: it must come back, and who comes
/// back without content must not empty the others' (storm 700171).
#[test]
pub(super) fn a_stripped_chart_comes_back_whole_where_rows_point_to_it() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.add("p2");
    photograph(&a);
    settle(&mut [&mut a, &mut b], &mut cloud);
    let (before, id) = (content(&a), a.id("p1"));
    link(&b);
    b.sync();
    a.delete("p1");
    a.sync();
    a.order(id, Order::Purge);
    a.sync();
    // It goes to and fro: deleted, back without content, and back whole.
    settle(&mut [&mut a, &mut b], &mut cloud);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    back_with_the_link(&[&a], &before);
}

/// The log brings the news first: it names the record and does not say that its rows are empty.
#[test]
pub(super) fn a_stripped_chart_that_is_back_is_not_told_of_as_empty() {
    let (mut all, mut cloud) = sites(3);
    let [a, b, c] = &mut all[..] else { unreachable!() };
    a.sql(schema::P1);
    a.add("p2");
    photograph(a);
    settle(&mut [a, b, c], &mut cloud);
    let (before, id) = (content(a), a.id("p1"));
    a.delete("p1");
    a.sync();
    cloud.carry_only(1, |_| true);
    b.sync();
    a.order(id, Order::Purge);
    a.sync();
    link(c);
    let link = c.id("p2").to_string();
    c.sync();
    cloud.carry_only(0, |p| !p.starts_with("records/") || p.contains(&link));
    a.sync();
    let own = format!("logs/{}/", a.state().site().unwrap());
    let mut segments: Vec<_> = a.folder.all().into_iter().filter(|(p, _)| p.starts_with(&own)).collect();
    segments.sort();
    let (newest, _) = Segment::read(&segments.last().unwrap().1, &a.state().folder).unwrap();
    assert!(newest.items.iter().any(|i| matches!(i, Item::Named { id: of, .. } if *of == id)), "{newest:#?}");
    for at in [1, 2] {
        cloud.carry_only(at, |p| !p.starts_with("records/"));
    }
    b.sync();
    c.sync();
    settle(&mut [a, b, c], &mut cloud);
    at_rest(&mut [a, b, c], &mut cloud);
    back_with_the_link(&[a, b, c], &before);
}

/// A chart that two of three places deleted and stripped while the third slept, which then types a link to it: only the third has it, in
/// the host alone. And what all showed before.
fn stripped_while_one_slept(logs: bool) -> (Vec<Site>, Cloud, Vec<String>) {
    let (mut all, mut cloud) = sites(3);
    all.iter_mut().for_each(|s| s.settings.use_logs = logs);
    let [a, b, c] = &mut all[..] else { unreachable!() };
    a.sql(schema::P1);
    a.add("p2");
    photograph(a);
    settle(&mut [a, b, c], &mut cloud);
    let (before, id) = (content(a), a.id("p1"));
    a.delete("p1");
    settle(&mut [a, b], &mut cloud);
    for s in [&mut *a, &mut *b] {
        s.order(id, Order::Purge);
    }
    settle(&mut [a, b], &mut cloud);
    link(c);
    (all, cloud, before)
}

/// Such a chart, where the program of who slept ends at the `at`th call of the folder. Gives the number of calls until then.
fn who_slept_crashes(at: usize) -> usize {
    let (mut all, mut cloud, before) = stripped_while_one_slept(true);
    let [a, b, c] = &mut all[..] else { unreachable!() };
    cloud.carry();
    let calls = Cell::new(0);
    let when = |_: &str, _: &str, n: usize| {
        calls.set(n + 1);
        n == at
    };
    let crash = || resume_unwind(Box::new("crash"));
    let folder = Meanwhile::new(c.folder.clone(), &when, &crash);
    let ended = catch_unwind(AssertUnwindSafe(|| c.try_sync_on(&folder, Options::default())));
    assert_eq!(ended.is_err(), at < calls.get());
    if !c.conn.is_autocommit() {
        c.conn.execute_batch("ROLLBACK").unwrap();
    }
    settle(&mut [a, b, c], &mut cloud);
    at_rest(&mut [a, b, c], &mut cloud);
    back_with_the_link(&[a, b, c], &before);
    calls.get()
}

#[test]
pub(super) fn a_chart_that_only_who_slept_has_survives_a_crash() {
    let calls = who_slept_crashes(usize::MAX);
    for at in (0..calls).step_by(61).chain(calls - 24..calls) {
        who_slept_crashes(at);
    }
}

/// Two places entered one person; one of them deletes its chart and empties the trash before it hears of the other. A third has seen
/// both, whole, and shows what the first had typed: that stays, at all places (storm 1000652).
#[test]
pub(super) fn what_a_chart_in_use_shows_is_not_emptied_with_another_places_trash() {
    for logs in [true, false] {
        let (mut all, mut cloud) = sites(3);
        all.iter_mut().for_each(|s| s.settings.use_logs = logs);
        let [a, b, c] = &mut all[..] else { unreachable!() };
        a.sql(schema::P1);
        photograph(a);
        a.sync();
        let id = a.id("p1");
        c.pass(crate::dsl::DAY_MS);
        c.sql("INSERT INTO patient (file_no, national_id, last_name) VALUES (7, 'p1', 'Other')");
        c.sync();
        assert_eq!(c.id("p1"), id);
        a.delete("p1");
        a.sync();
        cloud.carry_only(1, |_| true);
        b.sync();
        b.sync();
        let shown = "SELECT length(phone) || length(photo) FROM patient";
        let before = b.get(shown);
        assert_ne!(before, "NULL", "logs {logs}");
        a.order(id, Order::Purge);
        a.sync();
        settle(&mut [a, b, c], &mut cloud);
        at_rest(&mut [a, b, c], &mut cloud);
        assert_eq!((b.get(shown), a.get(shown), c.get(shown)), (before.clone(), before.clone(), before), "logs {logs}");
    }
}

/// The trash stays until all are known to have heard of the deletion. Also where a record file has brought it before its author's
/// log does: how far others have read that log says nothing of it yet (storm 1022080).
#[test]
pub(super) fn the_trash_waits_for_who_has_not_heard_of_the_deletion() {
    for logs in [true, false] {
        let (mut all, mut cloud) = sites(3);
        let [a, b, c] = &mut all[..] else { unreachable!() };
        a.sql(schema::P1);
        settle(&mut [a, b, c], &mut cloud);
        let id = a.id("p1");
        a.delete("p1");
        a.sync();
        cloud.carry_only(1, |p| logs || !p.starts_with("logs/"));
        for _ in 0..40 {
            b.pass(crate::dsl::DAY_MS);
            b.sync();
            assert!(b.known(&id).rows.values().all(|r| !r.is_bare()), "logs {logs}");
        }
        // Once it is known that all have, they may count the days.
        for _ in 0..40 {
            for s in [&mut *a, &mut *b, &mut *c] {
                s.pass(crate::dsl::DAY_MS);
                s.sync();
            }
            cloud.carry();
        }
        assert!([&*a, &*b, &*c].iter().all(|s| s.known(&id).root().unwrap().is_bare()), "logs {logs}");
    }
}

/// The same long after: only who slept has the chart, in the host alone.
#[test]
pub(super) fn a_chart_stripped_everywhere_comes_back_from_who_slept_with_a_link_to_it() {
    for logs in [true, false] {
        let (mut all, mut cloud, before) = stripped_while_one_slept(logs);
        let [a, b, c] = &mut all[..] else { unreachable!() };
        for s in [&*a, &*b, &*c] {
            s.pass(crate::dsl::DAY_MS);
        }
        settle(&mut [a, b, c], &mut cloud);
        at_rest(&mut [a, b, c], &mut cloud);
        back_with_the_link(&[a, b, c], &before);
    }
}

#[test]
pub(super) fn an_erased_patient_never_comes_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let id = a.id("p1");
    b.edit("p1", "phone", "unseen");
    b.sync();
    a.order(id, Order::Erase { by: "the patient".into() });
    a.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    converged(&[&a, &b]);
    let file = String::from_utf8(a.folder.get(&path_of(&id)).unwrap()).unwrap();
    assert!(!file.contains("aspirin") && !file.contains("unseen"), "{file}");
    assert!(nobody(&a));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn a_link_to_a_deleted_patient_leaves_no_orphan() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    a.sql("INSERT INTO patient_link VALUES (1, 2, 'brother')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.delete("p2");
    b.sync();
    a.sql("UPDATE patient_link SET relation = 'step-brother'");
    a.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
pub(super) fn a_doctor_deleted_while_another_site_points_to_them() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let key: i64 = a.conn.query_row("SELECT doctor_id FROM doctor", [], |r| r.get(0)).unwrap();
    let (id, row) = a.row("doctor", &vec![Value::Integer(key)]);
    a.order(id, Order::Delete { row, why: "retired".into(), by: None, request: None });
    b.sql("INSERT INTO patient (file_no, national_id, last_name, doctor_id) VALUES (50, 'p5', 'Five', 1)");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

/// Six people who are linked with each other since the last sync.
const LINKS: &str = "INSERT INTO patient_link SELECT x.patient_id, y.patient_id, 'from ' || x.national_id || ' to ' || y.national_id FROM patient x, patient y WHERE x.patient_id <> y.patient_id AND {}";

fn six(which: &str) -> (Site, Site, Cloud) {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for n in 2..7 {
        a.add(&format!("p{n}"));
    }
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql(&LINKS.replace("{}", which));
    (a, b, cloud)
}

/// Our own DELETE must not take, by the host's CASCADE, what was typed since the last sync.
#[test]
pub(super) fn links_typed_just_before_the_people_they_point_to_are_deleted() {
    let (mut a, mut b, mut cloud) = six("1");
    let stay = ["p4", "p5", "p6"].map(|n| (n, a.id(n).to_string()));
    for n in ["p1", "p2", "p3"] {
        a.delete(n);
    }
    let r = a.sync();
    assert!(r.held.is_empty(), "{:?}", r.held);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!((s.get("SELECT count(*) FROM patient").as_str(), s.get("SELECT count(*) FROM patient_link").as_str()), ("3", "6"));
        for (n, id) in &stay {
            for to in 1..4 {
                let word = format!("from {n} to p{to}");
                assert!(crate::dsl::check::known(s)[id].contains(&word), "{word}: typed, and nowhere");
            }
        }
    }
}

/// A large value's content stands in the host's row alone until it is in the folder.
#[test]
pub(super) fn a_link_with_a_long_story_typed_just_before_the_person_it_points_to_is_deleted() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let story = "a long story ".repeat(4000);
    a.sql(&format!("INSERT INTO patient_link VALUES (1, 2, '{story}')"));
    a.delete("p2");
    a.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let path = cloud_folder_sync::names::blob_path(&cloud_folder_sync::value::hash(story.as_bytes()));
    assert_eq!(b.folder.get(&path).as_deref(), Some(story.as_bytes()));
}

/// The same with a deletion that comes from elsewhere: who deleted had not seen the links.
#[test]
pub(super) fn links_typed_just_before_a_deletion_arrives_bring_the_people_back() {
    let (mut a, mut b, mut cloud) = six("x.national_id > 'p3' AND y.national_id < 'p4'");
    for n in ["p1", "p2", "p3"] {
        b.delete(n);
    }
    b.sync();
    cloud.carry();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT count(DISTINCT relation) FROM patient_link"), "9");
    }
}

/// The links arrive with the very sync that deletes: who ordered that had not seen them.
#[test]
pub(super) fn links_that_arrive_with_the_deletion_bring_the_people_back() {
    let (mut a, mut b, mut cloud) = six("x.national_id > 'p3' AND y.national_id < 'p4'");
    a.sync();
    cloud.carry();
    for n in ["p1", "p2", "p3"] {
        let key = b.get(&format!("SELECT patient_id FROM patient WHERE national_id = '{n}'"));
        b.sql(&format!("INSERT INTO cfs_delete (table_name, key) VALUES ('patient', {key})"));
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(s.get("SELECT count(DISTINCT relation) FROM patient_link"), "9");
    }
}

/// The host's own CASCADE takes the link away with the person it points to.
#[test]
pub(super) fn a_link_comes_back_with_the_person_it_points_to() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    a.sql("INSERT INTO patient_link VALUES (2, 1, 'brother')");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.delete("p1");
    a.sync();
    assert_eq!(a.get("SELECT count(*) FROM patient_link"), "0");
    b.edit("p1", "phone", "unseen");
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT relation FROM patient_link"), "brother");
}

#[test]
pub(super) fn a_link_that_the_deleter_had_not_seen_brings_the_person_back() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.sql("INSERT INTO patient_link VALUES (1, 2, 'brother')");
    a.sync();
    b.delete("p2");
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(a.get("SELECT relation FROM patient_link"), "brother");
    assert_eq!(b.get("SELECT relation FROM patient_link"), "brother");
}

#[test]
pub(super) fn erasure_reaches_the_logs_and_what_else_they_said_still_arrives() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.edit("p1", "phone", "secret-phone");
    a.add("p2");
    a.sync();
    // b has not read that segment yet.
    let (id, _) = a.row("patient", &vec![Value::Integer(1)]);
    a.order(id, Order::Erase { by: "the patient".into() });
    a.sync();
    let holds = |s: &Site| s.folder.all().values().any(|b| String::from_utf8_lossy(b).contains("secret-phone"));
    assert!(!holds(&a), "the log still holds it");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(!holds(&a) && !holds(&b));
    assert_eq!((b.get("SELECT group_concat(national_id) FROM patient").as_str(), a.get("SELECT count(*) FROM patient").as_str()), ("p2", "1"));
}
