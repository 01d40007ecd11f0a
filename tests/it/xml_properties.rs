//! What holds for every record and every bytes: reading takes back writing, and nothing panics.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::samples;
use cloud_folder_sync::id::Uuid;
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::record::{Delta, Entry, Erasure, Extra, ExtraKey, Field, FieldKey, Record, Row, RowKey, SameAs, Tombstone, Unknown};
use cloud_folder_sync::stamp::{MAX_MS, Stamp, Time};
use cloud_folder_sync::value::{Reference, Value};
use cloud_folder_sync::version::Version;
use cloud_folder_sync::xml::{NAMESPACE, read_foreign, read_hand, read_record, seal, write_record};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn site() -> impl Strategy<Value = Uuid> {
    (0..4u128).prop_map(samples::site)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (0..=MAX_MS, prop_oneof![0..3u32, any::<u32>()], site()).prop_map(|(ms, counter, site)| Stamp { time: Time { ms, counter }, site })
}

/// Any text, control characters included (which `any::<String>()` leaves out).
fn string() -> impl Strategy<Value = String> {
    vec(prop_oneof![4 => any::<char>(), 1 => prop::char::range('\0', '~')], 0..8).prop_map(String::from_iter)
}

fn xml_text() -> impl Strategy<Value = String> {
    string().prop_map(|s| s.chars().filter(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)).collect())
}

fn unknown() -> impl Strategy<Value = Unknown> {
    let attribute = btree_map("[a-z]{2}9|zz:[a-z]é?", xml_text(), 1..3);
    prop_oneof![4 => Just(Unknown::new()), 1 => attribute.prop_map(|mut u| {
        u.insert("xmlns:zz".to_owned(), "urn:zz".to_owned());
        u
    })]
}

fn value() -> impl Strategy<Value = Value> {
    let id = any::<[u8; 16]>().prop_map(Uuid::from_bytes);
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("SQLite stores NaN as NULL", |r| !r.is_nan()).prop_map(Value::Real),
        string().prop_map(Value::text),
        "[ \r\n\t<>&\"']{0,6}".prop_map(Value::text),
        vec(any::<u8>(), 0..20).prop_map(|b| Value::Text(b.into())),
        vec(any::<u8>(), 0..20).prop_map(|b| Value::Blob(b.into())),
        (any::<bool>(), any::<[u8; 32]>(), 16_385u64..).prop_map(|(text, sha256, size_bytes)| Value::Stored { text, sha256, size_bytes }),
        (string(), id.clone(), option::of(id), any::<bool>()).prop_map(|(table, row, record, owner)| Value::Ref(Reference { table: table.into(), row, record, owner })),
    ]
}

fn extras() -> impl Strategy<Value = std::collections::BTreeMap<ExtraKey, Extra>> {
    let one = ("[a-c]", "[a-c]?", any::<bool>(), option::of(stamp()), xml_text()).prop_map(|(name, key, ours, stamp, text)| {
        let (namespace, declared) = if ours { (NAMESPACE, "") } else { ("urn:zz", " xmlns=\"urn:zz\"") };
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#xd;");
        let key_attribute = if key.is_empty() { String::new() } else { format!(" key=\"{key}\"") };
        let xml = format!("<x{name}{declared}{key_attribute}><y>{text}</y></x{name}>");
        ((namespace.to_owned(), format!("x{name}"), key), Extra { stamp, xml: xml.into_bytes() })
    });
    prop_oneof![4 => Just(Default::default()), 1 => vec(one, 0..3).prop_map(|v| v.into_iter().collect())]
}

fn version() -> impl Strategy<Value = Version> {
    vec(stamp(), 0..3).prop_map(|v| v.into_iter().collect())
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    let id = any::<[u8; 16]>().prop_map(Uuid::from_bytes);
    (stamp(), string(), string(), option::of((id.clone(), id)), version(), any::<bool>(), unknown()).prop_map(|(stamp, by, why, moved_to, seen, bare, unknown)| Tombstone {
        stamp,
        by,
        why,
        moved_to,
        seen,
        bare,
        unknown,
    })
}

fn row() -> impl Strategy<Value = Row> {
    (stamp(), unknown()).prop_flat_map(|(stamp_of_row, unknown_of_row)| {
        // A field is often as old as its row: then its stamp is not written.
        let stamps = prop_oneof![Just(stamp_of_row), stamp()];
        let entry = (stamps, value(), unknown()).prop_map(|(stamp, value, unknown)| Entry { stamp, value, unknown });
        let key = (prop_oneof!["[a-c]".boxed(), string().boxed()], option::of(site())).prop_map(|(name, place)| FieldKey { name: name.into(), place });
        let fields = btree_map(key, btree_set(entry, 1..3).prop_map(|s| Field(s.into_iter().collect())), 0..4);
        (fields, option::of(tombstone()), extras()).prop_map(move |(fields, tombstone, extras)| Row {
            stamp: stamp_of_row,
            fields: fields.into_iter().collect(),
            tombstone,
            extras,
            unknown: unknown_of_row.clone(),
        })
    })
}

fn record() -> impl Strategy<Value = Record> {
    let id = || any::<[u8; 16]>().prop_map(Uuid::from_bytes);
    let rows = btree_map((prop_oneof!["[ab]".boxed(), string().boxed()], id()).prop_map(|(t, id)| RowKey::new(t, id)), row(), 0..4);
    let fact = prop_oneof![Just(SameAs::Not), Just(SameAs::Same), Just(SameAs::Undone)];
    let erased = prop_oneof![9 => Just(None), 1 => (stamp(), string()).prop_map(|(stamp, by)| Some(Erasure { stamp, by }))];
    (string(), id(), version(), rows, btree_map(id(), (stamp(), fact), 0..3), erased, extras(), unknown())
        .prop_map(|(kind, id, version, rows, same_as, erased, extras, unknown)| Record { kind: kind.into(), id, version, rows, same_as, erased, extras, unknown })
}

/// A record without anything of a later format, and without what is rare: our own hand is to read it.
fn ordinary() -> impl Strategy<Value = Record> {
    record().prop_map(|mut r| {
        let plain = |v: &str| v.chars().filter(|c| !c.is_control() && !"&<>\"\u{fffe}\u{ffff}".contains(*c)).collect::<String>();
        r.kind = plain(&r.kind).into();
        r.rows = r.rows.into_iter().map(|(k, row)| (RowKey::new(plain(&k.table), k.id), row)).collect();
        for row in r.rows.values_mut() {
            for (k, f) in std::mem::take(&mut row.fields) {
                let entries = f.0.into_iter().map(|e| {
                    let value = match e.value {
                        Value::Text(t) => Value::text(
                            String::from_utf8_lossy(&t).chars().filter(|c| *c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || "\r\n\t".contains(*c)).collect::<String>(),
                        ),
                        Value::Ref(r) => Value::Ref(Reference { table: plain(&r.table).into(), ..r }),
                        v => v,
                    };
                    Entry { value, unknown: Unknown::new(), ..e }
                });
                row.fields.insert(FieldKey { name: plain(&k.name).into(), ..k }, Field(entries.collect()));
            }
            (row.tombstone, row.extras, row.unknown) = (None, Default::default(), Unknown::new());
        }
        (r.same_as, r.erased, r.extras, r.unknown) = (Default::default(), None, Default::default(), Unknown::new());
        r
    })
}

/// What our own hand takes is what the strict reader reads, in the one spelling there is.
fn hands_agree(bytes: &[u8]) -> Result<bool, TestCaseError> {
    let Ok((r, own)) = read_hand(bytes, &samples::folder()) else {
        prop_assert!(read_foreign(bytes, &samples::folder()).is_err());
        return Ok(false);
    };
    let strict = read_foreign(bytes, &samples::folder());
    prop_assert!(strict.as_ref() == Ok(&r), "{strict:?}\n{}", String::from_utf8_lossy(bytes));
    prop_assert!(!own || write_record(&r, &samples::folder()) == bytes, "another spelling:\n{}", String::from_utf8_lossy(bytes));
    Ok(own)
}

fn body_of(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - " <sha256></sha256>\n</record>\n".len() - 64].to_vec()
}

/// A site that does not occur would not stand in a file of ours: the strict reader takes it, and the file is written anew.
#[test]
fn our_own_hand_lists_no_site_in_vain() {
    let bytes = write_record(&Record::new("patient", samples::site(7)), &samples::folder());
    assert!(read_hand(&bytes, &samples::folder()).unwrap().1);
    let text = String::from_utf8(body_of(&bytes)).unwrap();
    let site = format!("{text} <site n=\"1\" id=\"{}\"/>\n", samples::site(0));
    let sealed = seal(site.into_bytes(), "record");
    assert!(!read_hand(&sealed, &samples::folder()).unwrap().1);
}

/// What a mutation puts in.
const TOKENS: &[&str] = &[
    "<x>",
    "</x>",
    "<x/>",
    "<x a=\"1\"/>",
    "<row/>",
    "</row>",
    "<f n=\"q\">1</f>",
    "<was n=\"q\">1</was>",
    "&#13;",
    "&amp;",
    "&#65;",
    "\"",
    " ",
    "\n",
    " s=\"1\"",
    " zz=\"1\"",
    " a:b=\"c\" xmlns:a=\"urn:a\"",
    " xmlns=\"urn:a\"",
    " key=\"k\"",
    "<!--",
    "]]>",
    "<a:x xmlns:a=\"urn:a\"/>",
    "<x s=\"1\" t=\"1970-01-01T00:00:00.000Z+0000\" key=\"k\"/>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn reading_takes_back_writing(r in record()) {
        let bytes = write_record(&r, &samples::folder());
        let read = read_record(&bytes, &samples::folder()).map_err(|e| TestCaseError::fail(format!("{e}\n{}", String::from_utf8_lossy(&bytes))))?;
        prop_assert!(read == r, "{}", String::from_utf8_lossy(&bytes));
        prop_assert_eq!(write_record(&read, &samples::folder()), bytes);
    }

    #[test]
    fn our_own_hand_reads_what_is_ordinary(r in ordinary()) {
        let bytes = write_record(&r, &samples::folder());
        prop_assert!(hands_agree(&bytes)?, "{}", String::from_utf8_lossy(&bytes));
        prop_assert!(read_record(&bytes, &Uuid::nil()).is_err(), "another folder's");
    }

    #[test]
    fn our_own_hand_takes_no_other_spelling(r in prop_oneof![ordinary(), record()], edits in vec((0..8u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..15usize), 1..3)) {
        let bytes = write_record(&r, &samples::folder());
        let mut body = body_of(&bytes);
        for (what, a, b, n) in edits {
            let mut lines: Vec<Vec<u8>> = body.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let (i, j) = (a.index(lines.len()), b.index(lines.len()));
            let at = a.index(body.len());
            match what {
                0 => lines.swap(i, j),
                1 => lines.insert(j, lines[i].clone()),
                2 => drop(lines.remove(i)),
                3 => {
                    body[at] = body[b.index(body.len())];
                    continue;
                }
                4 => {
                    body[at] = b"0919afz&<>\" \n-/"[n];
                    continue;
                }
                5 => {
                    body.insert(at, b"0919afz&<>\" \n-/"[n]);
                    continue;
                }
                6 => {
                    body.remove(at);
                    continue;
                }
                _ => {
                    body.splice(at..at, ["&amp;", "&#10;", "&quot;", "&#13;", "&apos;", "&#x41;"][n % 6].bytes());
                    continue;
                }
            }
            body = lines.concat();
        }
        hands_agree(&seal(body, "record"))?;
    }

    #[test]
    fn a_segment_reads_back(parts in vec((version(), record()), 0..3), named in vec((string(), any::<[u8; 16]>(), stamp()), 0..3), seq in 1..u64::MAX) {
        let deltas = parts.into_iter().map(|(before, part)| Item::Delta(Delta { before, part }.into()));
        let named = named.into_iter().map(|(kind, id, stamp)| Item::Named { kind: kind.into(), id: Uuid::from_bytes(id), sha256: "ab".repeat(32), stamp });
        let segment = Segment { site: samples::site(1), seq, previous: String::new(), items: deltas.chain(named).collect() };
        let bytes = segment.write(&samples::folder());
        let (read, _) = Segment::read(&bytes, &samples::folder()).map_err(|e| TestCaseError::fail(format!("{e}\n{}", String::from_utf8_lossy(&bytes))))?;
        prop_assert!(read == segment);
        prop_assert_eq!(read.write(&samples::folder()), bytes);
    }

    #[test]
    fn a_changed_byte_or_a_cut_never_reads(r in record(), at in any::<prop::sample::Index>(), bits in 1..=255u8, cut in any::<bool>()) {
        let mut bytes = write_record(&r, &samples::folder());
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= bits;
        }
        prop_assert!(read_record(&bytes, &samples::folder()).is_err());
    }

    /// A program with a fault, or a malicious one, can seal anything: whatever is read must be
    /// something that can be written and read again, or one bad file would spread.
    #[test]
    fn what_is_read_can_be_written(r in record(), edits in vec((any::<prop::sample::Index>(), prop::sample::select(TOKENS), 0..3usize), 1..4)) {
        let bytes = write_record(&r, &samples::folder());
        let mut body = body_of(&bytes);
        for (at, token, cut) in edits {
            // Edits between elements are likelier to make something that is read.
            let gaps: Vec<usize> = body.iter().enumerate().filter(|(_, b)| matches!(b, b'>' | b'"' | b'\n')).map(|(i, _)| i + 1).collect();
            let at = if cut == 0 { gaps[at.index(gaps.len())] } else { at.index(body.len()) };
            let end = (at + cut).min(body.len());
            body.splice(at..end, token.bytes());
        }
        hands_agree(&seal(body.clone(), "record"))?;
        if let Ok(read) = read_record(&seal(body, "record"), &samples::folder()) {
            let again = write_record(&read, &samples::folder());
            let twice = read_record(&again, &samples::folder());
            prop_assert!(twice.as_ref() == Ok(&read), "{}", String::from_utf8_lossy(&again));
            prop_assert_eq!(write_record(&twice.unwrap(), &samples::folder()), again);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..400)) {
        let sealed = seal(bytes.clone(), "record");
        prop_assert!(read_record(&bytes, &samples::folder()).is_err());
        prop_assert!(read_record(&sealed, &samples::folder()).is_err());
        prop_assert!(Segment::read(&sealed, &samples::folder()).is_err());
    }
}
