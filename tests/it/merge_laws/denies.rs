//! Who else stamps under a site's name is found out by what they lack.

use super::site::{ROOT, root};
use cloud_folder_sync::id::SiteId;
use cloud_folder_sync::merge::{self, Change, Seen};
use cloud_folder_sync::record::{Field, FieldKey, Record, Row, RowKey};
use cloud_folder_sync::stamp::{Stamp, Time};
use cloud_folder_sync::value::Value;

fn at(ms: u64, site: u128) -> Stamp {
    Stamp { time: Time { ms, counter: 0 }, site: SiteId::from_u128(site) }
}

fn write(r: &mut Record, field: &str, value: &str, stamp: Stamp, seen: Seen) {
    let change = Change { row: root(), field: FieldKey::shared(field), value: Value::text(value), seen, back: None };
    merge::write_field(r, None, &change, stamp);
}

fn base() -> Record {
    let mut r = Record::new("p", ROOT);
    let mut row = Row::new(at(1, 1));
    row.fields.insert(FieldKey::shared("phone"), Field::of(at(1, 1), Value::text("one")));
    r.rows.insert(root(), row);
    r.version.add(at(1, 1));
    r
}

#[test]
fn an_honest_history_denies_nothing() {
    let me = SiteId::from_u128(1);
    let (first, mut mine) = (base(), base());
    write(&mut mine, "phone", "two", at(2, 1), Seen::Current);
    // An older file of mine; one that another wrote over having seen mine, or not having seen it.
    let (mut seen, mut unseen) = (mine.clone(), first.clone());
    write(&mut seen, "phone", "theirs", at(3, 2), Seen::Current);
    write(&mut unseen, "phone", "theirs", at(3, 2), Seen::Current);
    let mut both = mine.clone();
    merge::join_into(&mut both, &unseen);
    for r in [&first, &mine, &seen, &unseen, &both] {
        assert!(!merge::denies(r, &mine, me), "{r:?}");
    }
}

#[test]
fn a_copy_that_stamps_later_under_the_same_name_is_found_out() {
    let me = SiteId::from_u128(1);
    let mut mine = base();
    write(&mut mine, "phone", "two", at(2, 1), Seen::Current);
    // The copy never saw "two"; its own later stamp says that it had.
    let mut copy = base();
    write(&mut copy, "name", "x", at(3, 1), Seen::Current);
    assert!(merge::denies(&copy, &mine, me), "an older value");
    let mut copy = base();
    write(&mut copy, "phone", "three", at(3, 1), Seen::Current);
    assert!(merge::denies(&copy, &mine, me), "a value under this name that this site never wrote");
    let mut mine = base();
    mine.rows.insert(RowKey::new("visit", SiteId::from_u128(9)), Row::new(at(2, 1)));
    mine.version.add(at(2, 1));
    assert!(merge::denies(&copy, &mine, me), "a row");
    assert!(!merge::denies(&copy, &mine, SiteId::from_u128(2)), "of another site nothing is known");
}
