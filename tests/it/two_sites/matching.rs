//! Records that are one person: said by people, or found by what they match on.

use crate::dsl::check::{at_rest, at_rest_but_held, both_see, content, converged};
use crate::dsl::cloud::Cloud;
use crate::dsl::{Site, schema, settle};
use cloud_folder_sync::id::RecordId;
use cloud_folder_sync::record::{RowKey, SameAs};
use cloud_folder_sync::sync::Order;

/// Sites whose patients match by national id, if the last name agrees.
fn sites(n: usize) -> (Vec<Site>, Cloud) {
    let mut cloud = Cloud::default();
    let toml = schema::TOML.replace("match_on = \"national_id\"", "match_on = \"national_id\"\nmatch_check = [\"last_name\"]");
    let mut all = Vec::new();
    for name in ["north", "south", "east"].iter().take(n) {
        let mut s = Site::with(name, cloud.join(), schema::open(schema::SQL), &toml);
        s.set_up();
        cloud.carry();
        all.push(s);
    }
    (all, cloud)
}

/// Two patients, `x` with a full chart and `y` with some of the same, known at all sites.
fn with_twins(n: usize) -> (Vec<Site>, Cloud) {
    let (mut all, mut cloud) = sites(n);
    all[0].sql(&schema::P1.replace("'p1'", "'x'").replace("Name x", "Twin"));
    all[0].sql("UPDATE patient SET last_name = 'Twin'");
    all[1].sql(
        "INSERT INTO patient (file_no, national_id, last_name, phone, first_name) VALUES (7, 'y', 'Twin', '200', 'Ada');
         INSERT INTO visit (patient_id, day, notes) SELECT max(patient_id), 'd9', 'second' FROM patient;
         INSERT INTO prescription (visit_id, drug, dose) SELECT max(visit_id), 'ibuprofen', '9' FROM visit;
         INSERT INTO allergy (patient_id, code, severity) SELECT max(patient_id), 'nuts', 'severe' FROM patient;
         INSERT INTO memo SELECT max(patient_id), 'hello' FROM patient;
         INSERT INTO memo SELECT max(patient_id), 'other' FROM patient",
    );
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    settle(&mut refs, &mut cloud);
    assert_eq!(refs[0].get("SELECT count(*) FROM patient"), "2");
    (all, cloud)
}

/// `cfs match A B` and its like.
fn say(s: &mut Site, x: RecordId, y: RecordId, says: SameAs) {
    s.order(x.max(y), Order::Say { other: x.min(y), says, by_itself: false });
}

fn ids(s: &Site) -> (RecordId, RecordId) {
    (s.id("x"), s.id("y"))
}

#[track_caller]
fn rest(all: &mut [Site], cloud: &mut Cloud) {
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest(&mut refs, cloud);
}

/// One person with everything that both had.
#[track_caller]
fn one(s: &Site) {
    let n = |t: &str| s.get(&format!("SELECT count(*) FROM {t}"));
    let all: Vec<String> = ["patient", "visit", "prescription", "allergy", "memo", "invoice", "invoice_line"].map(n).to_vec();
    assert_eq!(all, ["1", "2", "3", "1", "2", "1", "2"], "{}: {:#?}", s.name, content(s));
    assert_eq!(s.get("SELECT first_name FROM patient"), "Ada", "{}", s.name);
    let mut phones = vec![s.get("SELECT phone FROM patient")];
    phones.extend(superseded(s, "phone"));
    phones.sort();
    assert_eq!(phones, ["100", "200"], "{}", s.name);
}

fn superseded(s: &Site, column: &str) -> Vec<String> {
    s.superseded(&s.get("SELECT national_id FROM patient LIMIT 1"), column)
}

#[test]
fn a_person_matches_two_records() {
    let (mut all, mut cloud) = with_twins(3);
    let (x, y) = ids(&all[0]);
    let visits = all[2].get("SELECT group_concat(visit_id) FROM (SELECT visit_id FROM visit ORDER BY visit_id)");
    say(&mut all[0], x, y, SameAs::Same);
    let r = all[0].sync();
    assert_eq!((r.matched, r.held.len()), (1, 0), "{:?}", r.held);
    one(&all[0]);
    rest(&mut all, &mut cloud);
    all.iter().for_each(one);
    // The rows were turned to their new owner, not made anew.
    assert_eq!(all[2].get("SELECT group_concat(visit_id) FROM (SELECT visit_id FROM visit ORDER BY visit_id)"), visits);
}

#[test]
fn twice_and_at_two_sites_at_once() {
    let (mut all, mut cloud) = with_twins(3);
    let (x, y) = ids(&all[0]);
    for s in &mut all[..2] {
        say(s, x, y, SameAs::Same);
        s.sync();
        say(s, x, y, SameAs::Same);
        s.sync();
    }
    rest(&mut all, &mut cloud);
    all.iter().for_each(one);
}

#[test]
fn an_edit_that_the_matcher_had_not_seen_arrives_at_the_one() {
    for edited in ["x", "y"] {
        let (mut all, mut cloud) = with_twins(3);
        let (x, y) = ids(&all[0]);
        say(&mut all[0], x, y, SameAs::Same);
        all[0].sync();
        all[2].edit(edited, "phone", "300");
        all[2].visit(edited, "d3", "third");
        all[2].sql("UPDATE prescription SET dose = '77' WHERE drug = 'ibuprofen'");
        all[2].sync();
        rest(&mut all, &mut cloud);
        for s in &all {
            assert_eq!(s.get("SELECT count(*) FROM patient"), "1", "{}", s.name);
            assert_eq!(s.get("SELECT group_concat(notes) FROM (SELECT notes FROM visit ORDER BY notes)"), "first,second,third");
            assert_eq!(s.get("SELECT dose FROM prescription WHERE drug = 'ibuprofen'"), "77");
            let mut phones = superseded(s, "phone");
            phones.push(s.get("SELECT phone FROM patient"));
            assert!(phones.contains(&"300".to_owned()), "{phones:?}");
        }
    }
}

#[test]
fn a_match_taken_back() {
    let (mut all, mut cloud) = with_twins(3);
    let (x, y) = ids(&all[0]);
    let before = content(&all[2]);
    say(&mut all[0], x, y, SameAs::Same);
    rest(&mut all, &mut cloud);
    all.iter().for_each(one);
    say(&mut all[1], x, y, SameAs::Undone);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(content(s), before, "{}", s.name);
    }
    // And once more.
    say(&mut all[2], x, y, SameAs::Same);
    rest(&mut all, &mut cloud);
    all.iter().for_each(one);
    say(&mut all[0], x, y, SameAs::Not);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(content(s), before, "{}", s.name);
    }
}

#[test]
fn what_was_typed_since_stays_when_a_match_is_taken_back() {
    let (mut all, mut cloud) = with_twins(2);
    let (x, y) = ids(&all[0]);
    say(&mut all[0], x, y, SameAs::Same);
    rest(&mut all, &mut cloud);
    all[0].sql("UPDATE visit SET notes = 'since' WHERE day = 'd9'");
    all[1].prescribe("d9", "new", "1");
    all[1].sql("UPDATE patient SET last_name = 'Since'");
    rest(&mut all, &mut cloud);
    say(&mut all[0], x, y, SameAs::Undone);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) FROM patient"), "2");
        assert_eq!(s.get("SELECT notes FROM visit JOIN patient USING (patient_id) WHERE national_id = 'y'"), "since");
        assert_eq!(s.get("SELECT count(*) FROM prescription JOIN visit USING (visit_id) JOIN patient USING (patient_id) WHERE national_id = 'y'"), "2");
        assert_eq!(s.get("SELECT count(*) FROM patient WHERE last_name = 'Since'"), "1");
    }
}

#[test]
fn same_here_while_not_the_same_there() {
    let (mut all, mut cloud) = with_twins(3);
    let (x, y) = ids(&all[0]);
    let before = content(&all[2]);
    say(&mut all[0], x, y, SameAs::Same);
    all[0].sync();
    all[1].pass(60_000);
    say(&mut all[1], x, y, SameAs::Not);
    all[1].sync();
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(content(s), before, "{}", s.name);
    }
}

/// Three records of one person, matched in different orders at different sites.
#[test]
fn three_records_of_one_person() {
    for round in 0..4 {
        let (mut all, mut cloud) = with_twins(3);
        all[2].sql("INSERT INTO patient (file_no, national_id, last_name, phone) VALUES (70, 'z', 'Twin', '300'); INSERT INTO visit (patient_id, day, notes) SELECT max(patient_id), 'd3', 'third' FROM patient; INSERT INTO allergy (patient_id, code, severity) SELECT max(patient_id), 'nuts', 'none' FROM patient");
        let mut refs: Vec<&mut Site> = all.iter_mut().collect();
        settle(&mut refs, &mut cloud);
        let mut three = [all[0].id("x"), all[0].id("y"), all[0].id("z")];
        three.sort();
        let [a, b, c] = three;
        let (first, second) = [((a, b), (b, c)), ((b, c), (a, b)), ((a, c), (b, c)), ((a, b), (a, c))][round];
        say(&mut all[0], first.0, first.1, SameAs::Same);
        all[0].sync();
        say(&mut all[1], second.0, second.1, SameAs::Same);
        all[1].sync();
        let mut refs: Vec<&mut Site> = all.iter_mut().collect();
        settle(&mut refs, &mut cloud);
        rest(&mut all, &mut cloud);
        for s in &all {
            assert_eq!(s.get("SELECT count(*) || '/' || (SELECT count(*) FROM visit) || '/' || (SELECT count(*) FROM allergy) FROM patient"), "1/3/1", "round {round}, {}", s.name);
            let mut phones = superseded(s, "phone");
            phones.push(s.get("SELECT phone FROM patient"));
            phones.sort();
            assert_eq!(phones, ["100", "200", "300"], "round {round}");
        }
    }
}

#[test]
fn what_points_to_either_points_to_the_one_and_back() {
    let (mut all, mut cloud) = with_twins(3);
    all[0].add("p2");
    all[0].add("p3");
    for (n, who) in [("p2", "x"), ("p3", "y")] {
        all[0]
            .sql(&format!("INSERT INTO patient_link SELECT p.patient_id, q.patient_id, 'aunt' FROM patient p, patient q WHERE p.national_id = '{n}' AND q.national_id = '{who}'"));
        all[0]
            .sql(&format!("INSERT INTO patient_link SELECT q.patient_id, p.patient_id, 'niece' FROM patient p, patient q WHERE p.national_id = '{n}' AND q.national_id = '{who}'"));
    }
    rest(&mut all, &mut cloud);
    let before = content(&all[1]);
    let (x, y) = ids(&all[0]);
    let file = |s: &Site, nid: &str| s.folder.get(&crate::dsl::path_of(&s.id(nid))).unwrap();
    let (p2, p3) = (file(&all[0], "p2"), file(&all[0], "p3"));
    say(&mut all[1], x, y, SameAs::Same);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) || '/' || count(DISTINCT relative_id) FROM patient_link WHERE relation = 'aunt'"), "2/1", "{}", s.name);
        assert_eq!(s.get("SELECT count(*) || '/' || count(DISTINCT patient_id) FROM patient_link WHERE relation = 'niece'"), "2/1");
    }
    // References stay as they were written.
    assert_eq!((file(&all[0], "p2"), file(&all[0], "p3")), (p2, p3));
    say(&mut all[2], x, y, SameAs::Undone);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(content(s), before, "{}", s.name);
    }
}

#[test]
fn a_doctor_who_was_there_twice() {
    let (mut all, mut cloud) = with_twins(2);
    all[1].sql("INSERT INTO doctor (npi, name) VALUES ('npi-typo', 'Dr One'); UPDATE patient SET doctor_id = (SELECT doctor_id FROM doctor WHERE npi = 'npi-typo') WHERE national_id = 'y'; UPDATE visit SET doctor_id = (SELECT doctor_id FROM doctor WHERE npi = 'npi-typo') WHERE day = 'd9'");
    rest(&mut all, &mut cloud);
    let doctors: Vec<RecordId> = all[0].state().all(Some("doctor")).unwrap();
    say(&mut all[0], doctors[0], doctors[1], SameAs::Same);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) FROM doctor"), "1", "{}", s.name);
        assert_eq!(s.get("SELECT count(*) FROM patient WHERE doctor_id IS NOT NULL"), "2");
        assert_eq!(s.get("SELECT count(*) FROM visit WHERE doctor_id IS NOT NULL"), "2");
    }
    // A site that joins now, and an edit of one who points to the doctor that is no more.
    let mut late = Site::with("late", cloud.join(), schema::open(schema::SQL), schema::TOML);
    late.set_up();
    all.push(late);
    rest(&mut all, &mut cloud);
    assert_eq!(all[2].get("SELECT count(*) FROM patient WHERE doctor_id IS NOT NULL"), "2");
    all[2].edit("y", "phone", "new");
    rest(&mut all, &mut cloud);
    both_see(&all[0], &all[2], "y", "phone", "new");
}

#[test]
fn records_that_match_become_one_by_themselves() {
    let (mut all, mut cloud) = sites(3);
    all[0]
        .sql("INSERT INTO patient (file_no, national_id, last_name, phone) VALUES (1, 'p9', 'Twin', '100'); INSERT INTO visit (patient_id, day, notes) VALUES (1, 'd1', 'first')");
    all[1].sql("INSERT INTO patient (file_no, last_name, first_name) VALUES (1, ' TWIN', 'Ada'); INSERT INTO visit (patient_id, day, notes) VALUES (1, 'd2', 'second')");
    for s in &mut all {
        s.sync();
    }
    all[1].sql("UPDATE patient SET national_id = 'p9'");
    for s in &mut all {
        s.sync();
    }
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) || '/' || (SELECT count(*) FROM visit) FROM patient"), "1/2", "{}", s.name);
        assert_eq!((s.see("p9", "phone").as_str(), s.see("p9", "first_name").as_str()), ("100", "Ada"));
        assert_eq!(s.state().pair_count().unwrap(), 0);
    }
}

#[test]
fn records_that_match_and_differ_are_for_a_person() {
    let (mut all, mut cloud) = sites(2);
    all[0].sql("INSERT INTO patient (file_no, national_id, last_name) VALUES (1, 'p9', 'Twin')");
    all[1].sql("INSERT INTO patient (file_no, last_name) VALUES (1, 'Other')");
    all.iter_mut().for_each(|s| drop(s.sync()));
    all[1].sql("UPDATE patient SET national_id = 'p9'");
    all.iter_mut().for_each(|s| drop(s.sync()));
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest_but_held(&mut refs, &mut cloud);
    for s in &all {
        let pairs = s.state().pairs().unwrap();
        assert_eq!(pairs.len(), 1, "{}", s.name);
        assert!(pairs[0].reason.contains("last_name"), "{}", pairs[0].reason);
    }
    let p = all[0].state().pairs().unwrap().remove(0);
    // They are two: one number was wrong.
    say(&mut all[0], p.a, p.b, SameAs::Not);
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest_but_held(&mut refs, &mut cloud);
    for s in &all {
        assert_eq!((s.state().pair_count().unwrap(), s.get("SELECT count(*) FROM patient").as_str()), (0, "1"));
    }
    all[1].sql("UPDATE patient SET last_name = 'Twin'");
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest_but_held(&mut refs, &mut cloud);
    assert_eq!(all[0].get("SELECT count(*) FROM patient"), "1", "never matched by itself once a person has spoken");
    say(&mut all[1], p.a, p.b, SameAs::Same);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.state().all(Some("patient")).unwrap().len(), 2);
        assert_eq!(s.get("SELECT count(*) FROM patient"), "1");
    }
}

#[test]
fn one_of_the_two_is_deleted_before_and_after() {
    for late in [false, true] {
        for who in ["x", "y"] {
            let (mut all, mut cloud) = with_twins(3);
            let (x, y) = ids(&all[0]);
            let gone = if who == "x" { x } else { y };
            let root = RowKey::new("patient", gone);
            if late {
                say(&mut all[0], x, y, SameAs::Same);
                rest(&mut all, &mut cloud);
                all[1].order(x.min(y), Order::Delete { row: RowKey::new("patient", x.min(y)), why: "left".into(), by: None, request: None });
                rest(&mut all, &mut cloud);
                for s in &all {
                    assert_eq!(s.get("SELECT count(*) FROM patient"), "0", "{} {who}: {:#?} {:?}", s.name, content(s), s.known(&x.min(y)));
                }
                continue;
            }
            // Unknown to each other.
            say(&mut all[0], x, y, SameAs::Same);
            all[0].sync();
            all[1].order(gone, Order::Delete { row: root, why: "twice".into(), by: None, request: None });
            all[1].sync();
            rest(&mut all, &mut cloud);
            for s in &all {
                assert_eq!(s.get("SELECT count(*) FROM patient"), "1", "{} {who}", s.name);
                assert!(s.get("SELECT count(*) FROM visit WHERE day = 'd9'") == "1", "{} {who}: {:#?}", s.name, content(s));
            }
        }
    }
}

#[test]
fn one_that_was_erased_leaves_the_other_by_itself() {
    let (mut all, mut cloud) = with_twins(3);
    let (x, y) = ids(&all[0]);
    let (a, b) = (x.min(y), x.max(y));
    say(&mut all[0], x, y, SameAs::Same);
    all[0].sync();
    all[1].order(a, Order::Erase { by: "the patient".into() });
    all[1].sync();
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    settle(&mut refs, &mut cloud);
    settle(&mut refs, &mut cloud);
    let shared: Vec<&Site> = all.iter().collect();
    converged(&shared);
    for s in &all {
        assert!(s.known(&a).erased.is_some());
        assert!(s.known(&b).erased.is_none());
        assert_eq!(s.get("SELECT count(*) FROM patient"), "1", "{}", s.name);
    }
}

#[test]
fn a_match_that_the_host_refuses_is_held_as_a_whole() {
    let (mut all, mut cloud) = with_twins(2);
    let (x, y) = ids(&all[0]);
    all[1].sql("CREATE TRIGGER no_move BEFORE UPDATE OF patient_id ON visit BEGIN SELECT RAISE(ABORT, 'visits stay'); END");
    let before = content(&all[1]);
    say(&mut all[0], x, y, SameAs::Same);
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest_but_held(&mut refs, &mut cloud);
    assert_eq!(content(&all[1]), before);
    assert_eq!(crate::dsl::check::reasons(&all[1]).len(), 2);
    one(&all[0]);
    // Typed meanwhile where it is held.
    all[1].edit("y", "phone", "400");
    all[1].visit("x", "d4", "fourth");
    all[1].sql("DROP TRIGGER no_move");
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) || '/' || (SELECT count(*) FROM visit) FROM patient"), "1/3");
        let mut phones = superseded(s, "phone");
        phones.push(s.get("SELECT phone FROM patient"));
        assert!(phones.contains(&"400".to_owned()) && phones.contains(&"100".to_owned()), "{phones:?}");
    }
}

#[test]
fn tables_that_are_left_out_follow_as_well() {
    let (mut all, mut cloud) = with_twins(2);
    let (x, y) = ids(&all[0]);
    for s in &all {
        s.sql("CREATE TABLE scan (scan_id INTEGER PRIMARY KEY, who INTEGER NOT NULL REFERENCES patient ON DELETE CASCADE, path TEXT); INSERT INTO scan (who, path) SELECT patient_id, national_id FROM patient");
    }
    say(&mut all[0], x, y, SameAs::Same);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) || '/' || count(DISTINCT who) FROM scan"), "2/1", "{}", s.name);
    }
}

#[test]
fn a_copied_database_and_a_match() {
    let (mut all, mut cloud) = with_twins(2);
    let (x, y) = ids(&all[0]);
    let c = all[0].clone_to("copy", cloud.join(), false);
    all.push(c);
    cloud.carry();
    say(&mut all[0], x, y, SameAs::Same);
    all[0].sync();
    say(&mut all[2], x, y, SameAs::Same);
    all[2].edit("y", "photo", "typed in the copy");
    all[2].sync();
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) FROM patient"), "1", "{}", s.name);
        let mut photos = superseded(s, "photo");
        photos.push(s.get("SELECT photo FROM patient"));
        assert!(photos.iter().any(|p| p.contains("typed in the copy")), "{photos:?}");
    }
}

#[test]
fn the_two_files_arrive_one_after_the_other() {
    for first in [0, 1] {
        let (mut all, mut cloud) = with_twins(2);
        let (x, y) = ids(&all[0]);
        let order = [x.min(y), x.max(y)];
        say(&mut all[0], x, y, SameAs::Same);
        all[0].sync();
        let part = crate::dsl::path_of(&order[first]);
        cloud.carry_only(1, |p| p == part);
        all[1].full();
        assert_eq!(all[1].get("SELECT count(*) FROM visit WHERE notes = 'second'"), "1", "the chart is there all the time");
        rest(&mut all, &mut cloud);
        all.iter().for_each(one);
    }
}

/// The host cannot hold two links to one person: a person lets one go.
#[test]
fn two_links_that_become_one() {
    let (mut all, mut cloud) = with_twins(2);
    all[0].add("p2");
    all[0].sql("INSERT INTO patient_link SELECT p.patient_id, q.patient_id, 'aunt of ' || q.national_id FROM patient p, patient q WHERE p.national_id = 'p2' AND q.national_id IN ('x', 'y')");
    rest(&mut all, &mut cloud);
    let (x, y) = ids(&all[0]);
    let before = content(&all[0]);
    say(&mut all[0], x, y, SameAs::Same);
    let mut refs: Vec<&mut Site> = all.iter_mut().collect();
    at_rest_but_held(&mut refs, &mut cloud);
    for s in &all {
        assert_eq!(content(s), before, "nothing half-done at {}", s.name);
    }
    let p2 = all[1].id("p2");
    let link = all[1].known(&p2).rows.keys().find(|k| k.table == "patient_link").cloned().unwrap();
    all[1].order(p2, Order::Delete { row: link, why: "twice".into(), by: None, request: None });
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT count(*) || '/' || (SELECT count(*) FROM patient_link) FROM patient"), "2/1", "{}", s.name);
    }
}

/// Roots whose key is no local number: the key of the one that stays is nobody else's.
#[test]
fn records_with_keys_that_travel() {
    let sql = format!(
        "{}CREATE TABLE person (id TEXT PRIMARY KEY, ssn TEXT UNIQUE, name TEXT); CREATE TABLE note (note_id INTEGER PRIMARY KEY, person_id TEXT NOT NULL REFERENCES person(id) ON DELETE CASCADE, words TEXT);",
        schema::SQL
    );
    let toml =
        schema::TOML.replace("[type.patient]", "[type.person]\nmatch_on = \"ssn\"\n[type.patient]").replace("[leave_out]", "[table.note]\nowner = \"person_id\"\n[leave_out]");
    let mut cloud = Cloud::default();
    let mut all = Vec::new();
    for name in ["north", "south"] {
        let mut s = Site::with(name, cloud.join(), schema::open(&sql), &toml);
        s.set_up();
        cloud.carry();
        all.push(s);
    }
    all[0].sql("INSERT INTO person VALUES ('P-1', 's1', 'Ada'); INSERT INTO note (person_id, words) VALUES ('P-1', 'one')");
    all[1].sql("INSERT INTO person VALUES ('Q-1', 's2', NULL); INSERT INTO note (person_id, words) VALUES ('Q-1', 'two')");
    rest(&mut all, &mut cloud);
    let two = all[0].state().all(Some("person")).unwrap();
    let stays = all[0].known(&two[0]).root().and_then(|r| r.get("id").cloned());
    say(&mut all[0], two[0], two[1], SameAs::Same);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(s.get("SELECT group_concat(words) FROM (SELECT words FROM note JOIN person ON id = person_id ORDER BY words)"), "one,two", "{}", s.name);
        assert_eq!((s.get("SELECT count(*) FROM person").as_str(), s.get("SELECT name FROM person").as_str()), ("1", "Ada"));
        assert_eq!(s.known(&two[0]).root().and_then(|r| r.get("id").cloned()), stays);
    }
    say(&mut all[1], two[0], two[1], SameAs::Undone);
    rest(&mut all, &mut cloud);
    for s in &all {
        assert_eq!(
            s.get("SELECT group_concat(id || words || coalesce(name, '')) FROM (SELECT * FROM note JOIN person ON id = person_id ORDER BY words)"),
            "P-1oneAda,Q-1two",
            "{}",
            s.name
        );
    }
}

/// What a later format keeps, and a match of what was matched and stripped.
#[test]
fn a_match_after_the_retention_time() {
    let (mut all, mut cloud) = with_twins(2);
    let (x, y) = ids(&all[0]);
    say(&mut all[0], x, y, SameAs::Same);
    rest(&mut all, &mut cloud);
    for _ in 0..40 {
        for s in &mut all {
            s.pass(crate::dsl::DAY_MS);
            s.sync();
        }
        cloud.carry();
    }
    let stripped = all[0].known(&x.max(y));
    assert!(stripped.root().unwrap().tombstone.as_ref().unwrap().bare);
    rest(&mut all, &mut cloud);
    all.iter().for_each(one);
    // Too late to take it back: nothing goes, and nobody writes for ever.
    say(&mut all[1], x, y, SameAs::Undone);
    rest(&mut all, &mut cloud);
    all.iter().for_each(one);
}
