//! Replays `fixtures/merge/*.toml`, the merge table that a clinician can read, in every order of
//! delivery, by file and by delta.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use cloud_folder_sync::id::{SiteId, Uuid};
use cloud_folder_sync::merge::{self, Change, Life, Seen, delta_between, join, life, take_delta};
use cloud_folder_sync::record::{Delta, Field, FieldKey, Record, Row, RowKey, Tombstone};
use cloud_folder_sync::stamp::{Clock, Stamp};
use cloud_folder_sync::value::{Reference, Value};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Apart {
    north: Vec<String>,
    south: Vec<String>,
    east: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    before: Vec<String>,
    ahead: Option<String>,
    #[serde(default)]
    first: Apart,
    #[serde(default)]
    north: Vec<String>,
    #[serde(default)]
    south: Vec<String>,
    #[serde(default)]
    east: Vec<String>,
    #[serde(default)]
    then: Vec<String>,
    shows: Vec<String>,
    #[serde(default)]
    listed: Vec<String>,
    #[serde(default)]
    deleted: Vec<String>,
}

const ROOT: Uuid = Uuid::from_u128(1);

/// `chart` is the root; any other word names a row of the table `row`.
fn key(word: &str) -> RowKey {
    if word == "chart" {
        return RowKey::new("chart", ROOT);
    }
    let letters = word.bytes().fold(0_u128, |n, b| n << 8 | u128::from(b));
    RowKey::new("row", Uuid::from_u128(letters))
}

fn word(key: &RowKey) -> String {
    if key.table == "chart" {
        return "chart".into();
    }
    String::from_utf8(key.id.into_bytes().into_iter().skip_while(|b| *b == 0).collect()).unwrap()
}

fn below(owner: &str) -> Value {
    let owner = key(owner);
    Value::Ref(Reference { table: owner.table, row: owner.id, record: None, owner: true })
}

struct Place {
    site: SiteId,
    clock: Clock,
    now_ms: u64,
    record: Record,
}

impl Place {
    fn stamp(&mut self) -> Stamp {
        self.record.version.0.values().for_each(|t| self.clock.observe(*t));
        self.now_ms += 1000;
        self.clock.tick(self.now_ms, self.site)
    }

    fn write(&mut self, target: &str, value: Value, seen: Seen) {
        let stamp = self.stamp();
        let (row, field) = target.split_once('.').unwrap();
        let change = Change { row: key(row), field: FieldKey::shared(field), value, seen, back: None };
        merge::write_field(&mut self.record, None, &change, stamp);
    }

    fn reinsert(&mut self, row: &str, change: Option<(&str, Value)>) {
        let mut content = self.record.rows[&key(row)].clone();
        if let Some((field, value)) = change {
            content.fields.insert(FieldKey::shared(field), Field::of(Stamp::default(), value));
        }
        let mut record = std::mem::take(&mut self.record);
        record.version.0.values().for_each(|t| self.clock.observe(*t));
        merge::reinsert(&mut record, &key(row), &content, &mut || self.clock.tick(self.now_ms, self.site));
        self.record = record;
    }

    fn act(&mut self, step: &str) {
        let value = || Value::text(step.split_once(" = ").unwrap().1);
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["new", row, "below", owner] => {
                let stamp = self.stamp();
                let mut new = Row::new(stamp);
                new.fields.insert(FieldKey::shared("owner"), Field::of(stamp, below(owner)));
                self.record.rows.insert(key(row), new);
                self.record.version.add(stamp);
            }
            ["delete", row] => {
                let stamp = self.stamp();
                let seen = self.record.version.clone();
                let t = Tombstone { stamp, by: "Dr B".into(), why: String::new(), moved_to: None, seen, bare: false, unknown: BTreeMap::new() };
                merge::tombstone(&mut self.record, &key(row), t);
            }
            ["restore", row] => self.reinsert(row, None),
            ["move", row, "below", owner] => self.write(&format!("{row}.owner"), below(owner), Seen::Current),
            ["keep", target, "=", ..] => self.write(target, value(), Seen::All),
            ["stale", target, "=", ..] => self.write(target, value(), Seen::Nothing),
            ["retype", target, "=", ..] => {
                let (row, field) = target.split_once('.').unwrap();
                self.reinsert(row, Some((field, value())));
            }
            ["strip"] => assert!(merge::strip(&mut self.record, |_| true) > 0),
            ["erase", "chart"] => {
                let stamp = self.stamp();
                merge::erase(&mut self.record, stamp, "Dr B");
            }
            [target, "=", ..] => self.write(target, value(), Seen::Current),
            _ => panic!("no such step: {step}"),
        }
    }
}

fn places(case: &Case) -> Vec<Place> {
    let names = ["north", "south", "east"];
    let place = |n: usize| {
        let ahead = if case.ahead.as_deref() == Some(names[n]) { 3 * 365 * 86_400_000 } else { 0 };
        Place { site: SiteId::from_u128(n as u128 + 1), clock: Clock::default(), now_ms: 1_000_000 * (n as u64 + 1) + ahead, record: Record::new("chart", ROOT) }
    };
    (0..3).map(place).collect()
}

/// All acts apart; gives each one's delta.
fn apart(places: &mut [Place], steps: [&[String]; 3]) -> Vec<Option<Delta>> {
    let deltas = places.iter_mut().zip(steps).map(|(p, steps)| {
        let before = p.record.clone();
        steps.iter().for_each(|s| p.act(s));
        delta_between(&before, &p.record)
    });
    deltas.collect()
}

fn show(value: &Value, row: &RowKey, field: &FieldKey) -> String {
    match value {
        Value::Ref(r) => format!("{} below {}", word(row), word(&RowKey::new(r.table.clone(), r.row))),
        Value::Text(t) => format!("{}.{} = {}", word(row), field.name, String::from_utf8_lossy(t)),
        other => panic!("{other:?}"),
    }
}

fn check(case: &Case, r: &Record, how: &str) {
    let set = |v: &[String]| v.iter().cloned().collect::<BTreeSet<String>>();
    let (mut shown, mut listed, mut deleted) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let wanted = set(&case.shows);
    for (k, l) in life(r) {
        match l {
            Life::Deleted => drop(deleted.insert(word(&k))),
            Life::Partial => panic!("{}, {how}: {} lacks its content", case.name, word(&k)),
            Life::Live => {
                for (name, field) in &r.rows[&k].fields {
                    let text = show(&field.current().unwrap().value, &k, name);
                    // Where a row hangs is shown where the case speaks of it.
                    if name.name != "owner" || wanted.contains(&text) {
                        shown.insert(text);
                    }
                    listed.extend(field.superseded().into_iter().map(|e| show(&e.value, &k, name)));
                }
            }
        }
    }
    assert_eq!(shown, wanted, "{}, {how}: shown", case.name);
    assert_eq!(listed, set(&case.listed), "{}, {how}: listed", case.name);
    assert_eq!(deleted, set(&case.deleted), "{}, {how}: deleted", case.name);
}

fn replay(case: &Case) {
    let mut places = places(case);
    let chart = places[0].stamp();
    places[0].record.rows.insert(key("chart"), Row::new(chart));
    places[0].record.version.add(chart);
    case.before.iter().for_each(|s| places[0].act(s));
    let start = places[0].record.clone();
    places.iter_mut().for_each(|p| p.record = start.clone());
    apart(&mut places, [&case.first.north, &case.first.south, &case.first.east]);
    let heard = places.iter().fold(start, |all, p| join(&all, &p.record));
    places.iter_mut().for_each(|p| p.record = heard.clone());
    let deltas = apart(&mut places, [&case.north, &case.south, &case.east]);
    let strips = [&case.north, &case.south, &case.east].iter().any(|s| s.iter().any(|s| s == "strip"));
    let mut ends = BTreeMap::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let by_file = order.iter().skip(1).fold(places[order[0]].record.clone(), |all, n| join(&all, &places[*n].record));
        ends.insert(format!("by file {order:?}"), by_file);
        let mut by_delta = places[order[0]].record.clone();
        for n in &order[1..] {
            assert!(deltas[*n].as_ref().is_none_or(|d| take_delta(&mut by_delta, d)));
        }
        ends.insert(format!("by delta {order:?}"), by_delta);
    }
    let first = ends["by file [0, 1, 2]"].clone();
    for (how, end) in ends {
        // Stripping is said by files, not by deltas; what is shown is the same.
        assert!(end == first || (strips && join(&end, &first) == first), "{}: {how} differs", case.name);
        places[0].record = end;
        case.then.iter().for_each(|s| places[0].act(s));
        check(case, &places[0].record, &how);
    }
}

#[test]
fn the_merge_table_is_true_in_every_order() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/merge");
    let mut cases = 0;
    for file in std::fs::read_dir(dir).unwrap() {
        let table: Table = toml::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        table.case.iter().for_each(replay);
        cases += table.case.len();
    }
    assert!(cases >= 25, "{cases}");
}
