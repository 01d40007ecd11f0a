//! A site that was retired and synchronizes again.

use crate::dsl::check::{at_rest, both_see, content};
use crate::dsl::faulty::Faulty;
use crate::dsl::{DAY_MS, Site, has, path_of, schema, settle, sites, two_with_p1};
use cloud_folder_sync::id::SiteId;
use cloud_folder_sync::record::RowKey;
use cloud_folder_sync::report::Report;
use cloud_folder_sync::sync::{Options, Order};
use std::cell::Cell;

fn site_id(s: &Site) -> SiteId {
    s.state().site().unwrap()
}

/// Which sites wrote what is known of a patient.
fn authors(s: &Site, nid: &str) -> Vec<SiteId> {
    s.known(&s.id(nid)).version.0.keys().copied().collect()
}

fn told_of_return(r: &Report) -> bool {
    r.notices.iter().any(|n| n.contains("was retired at") && n.contains("goes on as a new site"))
}

#[test]
fn a_retired_site_that_comes_back_takes_a_new_id_before_it_stamps() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let old = site_id(&b);
    b.edit("p1", "phone", "typed meanwhile");
    b.visit("p1", "d2", "typed meanwhile");
    b.add("p2");
    a.retire(&b);
    a.edit("p1", "first_name", "from a");
    a.sync();
    cloud.carry();
    let r = b.sync();
    assert!(told_of_return(&r) && r.full, "{:?}", r.notices);
    assert!(r.notices[0].contains("\"north\""), "{:?}", r.notices);
    assert_ne!(site_id(&b), old);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "typed meanwhile");
    both_see(&a, &b, "p1", "first_name", "from a");
    assert_eq!(a.get("SELECT (SELECT count(*) FROM visit) || (SELECT count(*) FROM patient)"), "22");
    assert!(authors(&a, "p1").contains(&site_id(&b)));
    assert!(!authors(&a, "p2").contains(&old), "nothing typed meanwhile is stamped under the old id");
    // Once: it does not happen again.
    assert!(!told_of_return(&b.sync()));
}

#[test]
fn a_site_retired_twice() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for n in 0..2 {
        let old = site_id(&b);
        a.retire(&b);
        a.edit("p1", "first_name", &format!("a{n}"));
        b.edit("p1", "phone", &format!("b{n}"));
        a.sync();
        b.sync();
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", &format!("b{n}"));
        both_see(&a, &b, "p1", "first_name", &format!("a{n}"));
        assert_ne!(site_id(&b), old);
    }
}

#[test]
fn a_retired_site_whose_logs_and_trash_are_gone_meanwhile() {
    let (mut all, mut cloud) = sites(3);
    let mut c = all.pop().unwrap();
    let mut b = all.pop().unwrap();
    let mut a = all.pop().unwrap();
    a.sql(schema::P1);
    a.add("p2");
    settle(&mut [&mut a, &mut b, &mut c], &mut cloud);
    let (p1, p2) = (a.id("p1"), a.id("p2"));
    b.edit("p1", "phone", "typed while away");
    b.edit("p1", "first_name", "mine");
    a.retire(&b);
    a.edit("p1", "first_name", "theirs");
    a.delete("p1");
    a.delete("p2");
    // The retention passes; segments that a and c have both read go, and so does what was deleted.
    for _ in 0..35 {
        for s in [&mut a, &mut c] {
            s.pass(DAY_MS);
            s.add(&format!("new at {} {}", s.name, s.clock.get()));
            s.sync();
        }
        cloud.carry();
    }
    let gone = format!("logs/{}/00000001.xml", site_id(&a));
    assert!(!has(&a.folder, &gone), "compacted without waiting for the retired one");
    let file = String::from_utf8(a.folder.get(&path_of(&p1)).unwrap()).unwrap();
    assert!(!file.contains("aspirin"), "stripped without waiting for the retired one");
    b.pass(36 * DAY_MS);
    assert!(told_of_return(&b.sync()));
    at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
    for s in [&a, &b, &c] {
        assert_eq!(s.see("p1", "phone"), "typed while away");
        assert_eq!(s.get("SELECT count(*) FROM prescription WHERE drug = 'aspirin'"), "1", "{}", s.name);
        assert_eq!(s.get("SELECT count(*) FROM patient WHERE national_id = 'p2'"), "0", "{}", s.name);
    }
    assert!(a.known(&p2).rows.contains_key(&RowKey::new("patient", p2)));
}

#[test]
fn a_site_retired_by_two_others() {
    let (mut all, mut cloud) = sites(3);
    let mut c = all.pop().unwrap();
    let mut b = all.pop().unwrap();
    let mut a = all.pop().unwrap();
    a.sql(schema::P1);
    settle(&mut [&mut a, &mut b, &mut c], &mut cloud);
    let old = site_id(&c);
    a.retire(&c);
    b.retire(&c);
    a.sync();
    cloud.carry();
    c.edit("p1", "phone", "c1");
    c.sync();
    let new = site_id(&c);
    // What the second one said arrives only now, and is about the id that is gone.
    b.sync();
    at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
    assert_ne!(old, new);
    assert_eq!(site_id(&c), new);
    both_see(&a, &b, "p1", "phone", "c1");
}

#[test]
fn retired_by_mistake_while_both_are_at_work() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.retire(&b);
    for n in 0..5 {
        a.edit("p1", "first_name", &format!("a{n}"));
        b.edit("p1", "phone", &format!("b{n}"));
        a.visit("p1", &format!("a{n}"), "a");
        b.visit("p1", &format!("b{n}"), "b");
        a.sync();
        b.sync();
        if n != 1 {
            cloud.carry();
        }
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "b4");
    both_see(&a, &b, "p1", "first_name", "a4");
    assert_eq!(a.get("SELECT count(*) FROM visit"), "11");
    assert!(a.superseded("p1", "phone").is_empty(), "its own edits do not stand against each other");
}

#[test]
fn two_sites_that_retire_each_other() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let before = (site_id(&a), site_id(&b));
    a.retire(&b);
    b.retire(&a);
    a.edit("p1", "phone", "a");
    b.edit("p1", "first_name", "b");
    a.sync();
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "a");
    both_see(&a, &b, "p1", "first_name", "b");
    assert!(site_id(&a) != before.0 && site_id(&b) != before.1);
}

#[test]
fn the_word_that_it_is_retired_comes_after_its_sync() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let old = site_id(&b);
    a.retire(&b);
    a.edit("p1", "first_name", "from a");
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("sites/"));
    b.edit("p1", "phone", "under the old id");
    assert!(!told_of_return(&b.sync()));
    assert_eq!(site_id(&b), old);
    cloud.carry();
    b.edit("p1", "last_name", "under the new id");
    assert!(told_of_return(&b.sync()));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    both_see(&a, &b, "p1", "phone", "under the old id");
    both_see(&a, &b, "p1", "last_name", "under the new id");
    assert!(authors(&a, "p1").contains(&old) && authors(&a, "p1").contains(&site_id(&b)));
}

#[test]
fn what_a_retired_site_had_stamped_and_not_sent_is_sent_once() {
    for left in 0..4 {
        let (mut a, mut b, mut cloud) = two_with_p1();
        b.edit("p1", "phone", "stamped, not sent");
        b.visit("p1", "d2", "stamped, not sent");
        let full = Faulty { inner: b.folder.clone(), left: Cell::new(left), crash: false, at: "" };
        let _told_or_failed = b.try_sync_on(&full, Options::default());
        a.retire(&b);
        a.sync();
        cloud.carry();
        b.edit("p1", "first_name", "later");
        assert!(told_of_return(&b.sync()), "{left}");
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        both_see(&a, &b, "p1", "phone", "stamped, not sent");
        both_see(&a, &b, "p1", "first_name", "later");
        assert_eq!(a.get("SELECT count(*) FROM visit"), "2", "{left}");
        assert_eq!(content(&a), content(&b));
    }
}

#[test]
fn a_retired_site_that_had_withdrawn_segments_is_read_all_the_same() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    b.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let id = b.id("p2");
    b.order(id, Order::Erase { by: "the patient".into() });
    settle(&mut [&mut a, &mut b], &mut cloud);
    a.retire(&b);
    a.sync();
    cloud.carry();
    for n in 0..4 {
        b.edit("p1", "phone", &format!("n{n}"));
        b.sync();
        cloud.carry_only(0, |p| !p.starts_with("records/"));
        a.sync();
        assert_eq!(a.see("p1", "phone"), format!("n{n}"), "its log is enough");
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}
