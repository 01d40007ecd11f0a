//! Cases that broke an earlier rule or would break an obvious one, each by name.

use super::site::{ROOT, owner_of, root};
use cloud_folder_sync::id::{SiteId, Uuid};
use cloud_folder_sync::merge::{self, Change, Life, Seen, delta_between, join, life, take_delta};
use cloud_folder_sync::record::{Field, FieldKey, Record, Row, RowKey, Tombstone};
use cloud_folder_sync::stamp::{Stamp, Time};
use cloud_folder_sync::value::Value;
use cloud_folder_sync::version::Version;

const A: u128 = 0xA;
const B: u128 = 0xB;
const C: u128 = 0xC;

fn at(ms: u64, site: u128) -> Stamp {
    Stamp { time: Time { ms, counter: 0 }, site: SiteId::from_u128(site) }
}

fn key(n: u128) -> RowKey {
    RowKey::new("r", Uuid::from_u128(n))
}

fn insert(r: &mut Record, k: &RowKey, owner: Option<&RowKey>, stamp: Stamp) {
    let mut row = Row::new(stamp);
    row.fields.insert(FieldKey::shared("a"), Field::of(stamp, Value::Integer(0)));
    row.fields.insert(FieldKey::shared("b"), Field::of(stamp, Value::Integer(0)));
    if let Some(o) = owner {
        row.fields.insert(FieldKey::shared("owner"), Field::of(stamp, owner_of(o)));
    }
    r.rows.insert(k.clone(), row);
    r.version.add(stamp);
}

/// A chart with a visit 1 that has lines 2 and 3, and a visit 4.
fn chart() -> Record {
    let mut r = Record::new("p", ROOT);
    insert(&mut r, &root(), None, at(1, A));
    insert(&mut r, &key(1), Some(&root()), at(2, A));
    insert(&mut r, &key(2), Some(&key(1)), at(3, A));
    insert(&mut r, &key(3), Some(&key(1)), at(4, A));
    insert(&mut r, &key(4), Some(&root()), at(5, A));
    r
}

fn write(r: &mut Record, k: &RowKey, name: &str, value: Value, stamp: Stamp) {
    merge::write_field(r, None, &Change { row: k.clone(), field: FieldKey::shared(name), value, seen: Seen::Current, back: None }, stamp);
}

fn delete(r: &mut Record, k: &RowKey, seen: &Version, stamp: Stamp) {
    let t = Tombstone { stamp, by: String::new(), why: String::new(), moved_to: None, seen: seen.clone(), bare: false, unknown: Default::default() };
    merge::tombstone(r, k, t);
}

fn delete_seen(r: &mut Record, k: &RowKey, stamp: Stamp) {
    let seen = r.version.clone();
    delete(r, k, &seen, stamp);
}

fn reinsert(r: &mut Record, k: &RowKey, mut ms: u64, site: u128) {
    let row = r.rows[k].clone();
    merge::reinsert(r, k, &row, &mut || {
        ms += 1;
        at(ms, site)
    });
}

fn rescue(r: &mut Record, sources: &[&Record], mut ms: u64, site: u128) -> usize {
    let done = merge::rescue(r, sources, None, &mut || {
        ms += 1;
        at(ms, site)
    });
    done.len()
}

fn integers(r: &Record, k: &RowKey, name: &str) -> Vec<i64> {
    let field = r.rows[k].fields.get(&FieldKey::shared(name));
    let entries = field.into_iter().flat_map(|f| &f.0);
    entries.filter_map(|e| if let Value::Integer(i) = e.value { Some(i) } else { None }).collect()
}

#[test]
fn a_row_deleted_again_after_it_came_back_from_stripping_is_whole() {
    let mut a = chart();
    delete_seen(&mut a, &key(2), at(10, A));
    merge::strip(&mut a, |_| true);
    let mut typed = Row::default();
    typed.fields.insert(FieldKey::shared("a"), Field::of(Stamp::default(), Value::Integer(7)));
    merge::reinsert(&mut a, &key(2), &typed, &mut || at(11, A));
    let mut b = a.clone();
    delete_seen(&mut a, &key(2), at(12, A));
    assert_eq!(life(&a)[&key(2)], Life::Deleted);
    assert_eq!(merge::strip(&mut a.clone(), |_| true), 1, "its trash can be stripped in turn");
    write(&mut b, &key(2), "a", Value::Integer(8), at(13, B));
    let both = join(&a, &b);
    assert_eq!(life(&both)[&key(2)], Life::Live, "nothing is missing: it must not wait for a source");
}

#[test]
fn a_restore_survives_that_another_site_strips_meanwhile() {
    let mut a = chart();
    let mut b = a.clone();
    write(&mut a, &key(2), "a", Value::Integer(1), at(10, A));
    write(&mut b, &key(2), "a", Value::Integer(2), at(11, B));
    let mut a = join(&a, &b);
    delete_seen(&mut a, &key(1), at(12, A));
    let mut b = a.clone();
    for k in [1, 2, 3] {
        reinsert(&mut a, &key(k), 20 + 10 * k as u64, A);
    }
    merge::strip(&mut b, |_| true);
    let both = join(&a, &b);
    assert_eq!(both, join(&b, &a));
    assert!(life(&both).values().all(|l| *l == Life::Live));
    assert_eq!(integers(&both, &key(2), "a"), [1, 2], "superseded values are there as well");
}

#[test]
fn a_site_that_comes_back_brings_a_stripped_tree_back_whole() {
    for top in [root(), key(1)] {
        let base = chart();
        let mut away = base.clone();
        write(&mut away, &key(2), "a", Value::Integer(9), at(50, C));
        let mut here = base.clone();
        delete_seen(&mut here, &top, at(10, A));
        merge::strip(&mut here, |_| true);
        let mut both = join(&here, &away);
        assert_eq!(life(&both)[&key(3)], Life::Partial, "the line beside the edit comes back too");
        rescue(&mut both, &[&here, &away], 60, B);
        assert!(life(&both).values().all(|l| *l == Life::Live));
        for k in [&key(1), &key(2), &key(3)] {
            assert_eq!(both.rows[k].fields.len(), 3);
        }
        assert_eq!(integers(&both, &key(2), "a"), [9], "the edit, and not what it replaced");
        let again = join(&join(&both, &here), &away);
        assert_eq!(again, both);
    }
}

#[test]
fn an_edit_stays_current_when_the_content_comes_from_a_copy_without_it() {
    let copy = chart();
    let mut here = copy.clone();
    delete_seen(&mut here, &key(2), at(10, A));
    merge::strip(&mut here, |_| true);
    write(&mut here, &key(2), "a", Value::Integer(9), at(50, C));
    assert_eq!(rescue(&mut here, &[&copy], 60, B), 1);
    assert_eq!(here.rows[&key(2)].get("a"), Some(&Value::Integer(9)));
    assert_eq!(here.rows[&key(2)].get("b"), Some(&Value::Integer(0)));
}

#[test]
fn a_host_that_lags_behind_takes_nothing_from_what_is_rescued() {
    // A decided a value (stamp 10) that its host has not got, and then edited line 3 there (11):
    // its host's version covers the decision without holding it. Then a merge strips line 2.
    let mut known = chart();
    let mut host = known.clone();
    write(&mut known, &key(2), "a", Value::Integer(9), at(10, A));
    for r in [&mut known, &mut host] {
        write(r, &key(3), "a", Value::Integer(2), at(11, A));
    }
    let mut stripped = chart();
    delete_seen(&mut stripped, &key(1), at(12, B));
    merge::strip(&mut stripped, |_| true);
    let mut both = join(&known, &stripped);
    let rows = merge::rescue(&mut both, &[&known, &stripped], Some(&host), &mut || at(20, A));
    assert!(rows.contains(&key(2)));
    assert_eq!(both.rows[&key(2)].get("a"), Some(&Value::Integer(9)));
    assert_eq!(both.rows[&key(3)].get("a"), Some(&Value::Integer(2)));
}

#[test]
fn what_is_overwritten_after_a_restore_stays_so() {
    // Three values side by side; restored; a write that equals one of the superseded ones, and
    // one after it, replace that value and leave the third.
    let base = chart();
    let mut all = base.clone();
    for (n, site) in [(1, A), (2, B), (3, C)] {
        let mut s = base.clone();
        write(&mut s, &key(2), "a", Value::Integer(n), at(10 + n as u64, site));
        all = join(&all, &s);
    }
    reinsert(&mut all, &key(2), 20, A);
    let stamps: Vec<Stamp> = all.rows[&key(2)].fields[&FieldKey::shared("a")].0.iter().map(|e| e.stamp).collect();
    assert!(stamps.windows(2).all(|w| w[0] < w[1]), "each value has a stamp of its own");
    assert!(stamps.iter().all(|s| all.version.covers(s)));
    let old = all.clone();
    write(&mut all, &key(2), "a", Value::Integer(1), at(40, A));
    write(&mut all, &key(2), "a", Value::Integer(5), at(41, A));
    assert_eq!(integers(&all, &key(2), "a"), [2, 5]);
    assert_eq!(join(&all, &old), all);
}

#[test]
fn a_tombstone_claims_nothing_that_only_others_saw() {
    // C saw B's edit of line 3 and deletes line 2. A, whose host has neither, deletes line 2, and
    // then the visit: the edit of line 3 was seen by nobody who deleted it.
    let base = chart();
    let mut c = base.clone();
    write(&mut c, &key(3), "a", Value::Integer(9), at(10, B));
    delete_seen(&mut c, &key(2), at(11, C));
    let mut known = join(&base, &c);
    let mut applied = base.clone();
    for (k, ms) in [(key(2), 20), (key(1), 21)] {
        let seen = applied.version.clone();
        delete(&mut known, &k, &seen, at(ms, A));
        delete(&mut applied, &k, &seen, at(ms, A));
    }
    let lives = life(&known);
    assert_eq!((lives[&key(1)], lives[&key(2)], lives[&key(3)]), (Life::Live, Life::Deleted, Life::Live));
}

#[test]
fn stripping_never_makes_another_tombstone_hold() {
    // A deleted the visit without B's edit of line 2; B deleted line 2 with it. The visit is back;
    // when line 2's content is stripped nothing but B's tombstone remembers the edit.
    let base = chart();
    let mut a = base.clone();
    delete_seen(&mut a, &key(1), at(10, A));
    let mut b = base.clone();
    write(&mut b, &key(2), "a", Value::Integer(9), at(11, B));
    delete_seen(&mut b, &key(2), at(12, B));
    let mut both = join(&a, &b);
    let before = life(&both);
    assert_eq!((before[&key(1)], before[&key(2)], before[&key(3)]), (Life::Live, Life::Deleted, Life::Live));
    assert_eq!(merge::strip(&mut both, |_| true), 1);
    assert_eq!(life(&both), before);
}

#[test]
fn a_child_deleted_by_itself_stays_deleted_when_its_parent_comes_back_from_stripping() {
    let base = chart();
    let mut here = base.clone();
    delete_seen(&mut here, &key(2), at(9, A));
    let mut away = here.clone();
    delete_seen(&mut here, &key(1), at(10, A));
    merge::strip(&mut here, |_| true);
    write(&mut away, &key(3), "a", Value::Integer(9), at(50, C));
    let mut both = join(&here, &away);
    rescue(&mut both, &[&away], 60, B);
    let lives = life(&both);
    assert_eq!((lives[&key(1)], lives[&key(2)], lives[&key(3)]), (Life::Live, Life::Deleted, Life::Live));
}

#[test]
fn the_delta_of_a_row_inserted_again_says_what_the_row_no_longer_has() {
    let mut b = chart();
    delete_seen(&mut b, &key(2), at(10, A));
    let mut a = b.clone();
    merge::strip(&mut a, |_| true);
    let before = a.clone();
    let mut typed = Row::default();
    typed.fields.insert(FieldKey::shared("a"), Field::of(Stamp::default(), Value::Integer(7)));
    merge::reinsert(&mut a, &key(2), &typed, &mut || at(11, A));
    let by_file = join(&b, &a);
    assert!(take_delta(&mut b, &delta_between(&before, &a).unwrap()));
    assert_eq!(b.rows[&key(2)].fields, by_file.rows[&key(2)].fields);
}

#[test]
fn the_delta_of_stripping_makes_nobody_think_that_content_is_missing() {
    let mut a = chart();
    delete_seen(&mut a, &key(2), at(10, A));
    let mut b = a.clone();
    let before = a.clone();
    merge::strip(&mut a, |_| true);
    assert!(take_delta(&mut b, &delta_between(&before, &a).unwrap()));
    assert_eq!(b, before);
    assert_eq!(join(&b, &a), a, "the file says it");
}

#[test]
fn rows_that_concurrent_moves_hang_below_each_other_neither_loop_nor_vanish() {
    let base = chart();
    let (mut a, mut b) = (base.clone(), base.clone());
    write(&mut a, &key(1), "owner", owner_of(&key(4)), at(10, A));
    write(&mut b, &key(4), "owner", owner_of(&key(1)), at(11, B));
    let moved = join(&a, &b);
    assert!(life(&moved).values().all(|l| *l == Life::Live));
    // A deletes one of the two without having seen the other's move: both stay.
    delete_seen(&mut a, &key(1), at(12, A));
    assert!(life(&join(&a, &b)).values().all(|l| *l == Life::Live));
    // Who has seen both deletes the chart: nothing of the circle stays behind.
    let mut all = moved;
    delete_seen(&mut all, &root(), at(20, A));
    assert!(life(&all).values().all(|l| *l == Life::Deleted));
    assert_eq!(merge::strip(&mut all, |_| true), 5);
}

#[test]
fn what_a_site_stamped_without_its_host_having_it_is_not_seen() {
    // A decision on line 2 that the host still refuses, then an edit of line 3, then line 2's
    // visit is deleted in the host: it saw the edit, but not the decision.
    let mut known = chart();
    let mut applied = known.clone();
    write(&mut known, &key(2), "a", Value::Integer(1), at(10, A));
    for r in [&mut known, &mut applied] {
        write(r, &key(3), "a", Value::Integer(2), at(11, A));
    }
    let seen = merge::seen_by_host(&known, &applied, SiteId::from_u128(A));
    assert!(!seen.covers(&at(10, A)) && seen.covers(&at(5, A)));
    delete(&mut known, &key(1), &seen, at(12, A));
    assert_eq!(life(&known)[&key(2)], Life::Live);
    let same = merge::seen_by_host(&applied, &applied, SiteId::from_u128(A));
    assert_eq!(same, applied.version);
}

#[test]
fn an_erased_record_takes_nothing_more() {
    let mut a = chart();
    let mut b = a.clone();
    merge::erase(&mut a, at(10, A), "x");
    let erased = a.clone();
    write(&mut a, &key(2), "a", Value::Integer(1), at(11, A));
    reinsert_nothing(&mut a);
    assert_eq!(a, erased);
    let before = b.clone();
    write(&mut b, &key(2), "a", Value::Integer(1), at(12, B));
    let delta = delta_between(&before, &b).unwrap();
    let by_file = join(&a, &b);
    assert!(take_delta(&mut a, &delta));
    assert_eq!(a, by_file);
    assert!(a.rows.is_empty() && a.version.covers(&at(12, B)));
}

fn reinsert_nothing(r: &mut Record) {
    merge::reinsert(r, &key(2), &Row::default(), &mut || at(13, A));
}

#[test]
fn an_attribute_of_a_later_format_makes_no_conflict() {
    let applied = chart();
    let mut known = applied.clone();
    let field = known.rows.get_mut(&key(2)).unwrap().fields.get_mut(&FieldKey::shared("a")).unwrap();
    let mut entry = field.0.pop_first().unwrap();
    entry.unknown.insert("later".into(), "yes".into());
    field.0.insert(entry);
    let change = Change { row: key(2), field: FieldKey::shared("a"), value: Value::Integer(1), seen: Seen::Current, back: None };
    merge::write_field(&mut known, Some(&applied), &change, at(10, A));
    assert_eq!(integers(&known, &key(2), "a"), [1]);
}

/// `cargo test --release --test it -- --ignored --nocapture law_is_quick`
#[test]
#[ignore = "measures; run it in release"]
fn the_law_is_quick_on_a_long_chart() {
    let mut a = Record::new("p", ROOT);
    insert(&mut a, &root(), None, at(1, A));
    for n in 1..500 {
        insert(&mut a, &key(n), Some(&if n < 50 { root() } else { key(n % 50) }), at(n as u64, A));
        for f in 0..5 {
            write(&mut a, &key(n), &format!("field_{f}"), Value::text("some words of a note"), at(n as u64, A));
        }
    }
    let mut b = a.clone();
    write(&mut b, &key(77), "a", Value::Integer(1), at(1000, B));
    delete_seen(&mut a, &key(99), at(1000, A));
    let time = |what: &str, f: &dyn Fn() -> usize| {
        let start = std::time::Instant::now();
        let n: usize = (0..50).map(|_| f()).sum();
        let us = start.elapsed().as_micros() / 50;
        std::io::Write::write_all(&mut std::io::stderr(), format!("{what}: {us} µs ({n})\n").as_bytes()).unwrap();
    };
    let delta = delta_between(&a, &b).unwrap();
    time("clone", &|| a.clone().rows.len());
    time("join (with the clone)", &|| join(&a, &b).rows.len());
    time("life", &|| life(&a).len());
    time("delta_between", &|| delta_between(&a, &b).map_or(0, |d| d.part.rows.len()));
    time("take_delta (with a clone)", &|| usize::from(take_delta(&mut a.clone(), &delta)));
}
