//! Two copies of one site stamp alike before either notices: causality is broken, but a merge must
//! still give one state, and both values.

use super::site::{ROOT, root};
use cloud_folder_sync::id::{Random, SiteId};
use cloud_folder_sync::merge::{self, Change, Seen, join};
use cloud_folder_sync::record::{Field, FieldKey, Record, Row};
use cloud_folder_sync::stamp::{Stamp, Time};
use cloud_folder_sync::value::Value;

#[test]
fn equal_stamps_with_different_values_keep_both() {
    let mut rng = Random::seeded(5);
    for case in 0..20_000_u64 {
        let stamp = |ms: u64| Stamp { time: Time { ms, counter: 0 }, site: SiteId::from_u128(1) };
        let mut base = Record::new("p", ROOT);
        let mut row = Row::new(stamp(1));
        row.fields.insert(FieldKey::shared("a"), Field::of(stamp(1), Value::Null));
        base.rows.insert(root(), row);
        base.version.add(stamp(1));
        let mut values = Vec::new();
        let copies: Vec<Record> = (0..3)
            .map(|_| {
                let mut copy = base.clone();
                let value = match rng.bits() % 3 {
                    0 => Value::Integer((rng.bits() % 3) as i64),
                    1 => Value::text(["", "a", "b"][(rng.bits() % 3) as usize]),
                    _ => Value::Real((rng.bits() % 3) as f64),
                };
                let change = Change { row: root(), field: FieldKey::shared("a"), value: value.clone(), seen: Seen::Current, back: None };
                merge::write_field(&mut copy, None, &change, stamp(2));
                values.push(value);
                copy
            })
            .collect();
        let [a, b, c] = [&copies[0], &copies[1], &copies[2]];
        assert_eq!(join(a, b), join(b, a), "case {case}");
        let all = join(&join(a, b), c);
        assert_eq!(all, join(a, &join(c, b)), "case {case}");
        assert_eq!(all, join(&all, b), "case {case}");
        values.sort();
        values.dedup();
        let field = &all.rows[&root()].fields[&FieldKey::shared("a")];
        assert_eq!(field.current().map(|e| &e.value), values.last(), "the larger is current");
        assert_eq!(field.superseded().len(), values.len() - 1, "the others are superseded");
    }
}
