//! Records that between them hold everything the format can say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cloud_folder_sync::id::Uuid;
use cloud_folder_sync::record::{Entry, Erasure, Extra, FieldKey, Record, Row, RowKey, SameAs, Tombstone};
use cloud_folder_sync::stamp::{Stamp, Time};
use cloud_folder_sync::value::{Reference, Value};
use cloud_folder_sync::xml::NAMESPACE;

/// The folder of all samples.
pub(crate) fn folder() -> Uuid {
    Uuid::from_u128(0xf01d_e400_0000_4000_8000_0000_0000_0001)
}

/// A site by number; a larger number has a larger UUID.
pub(crate) fn site(n: u128) -> Uuid {
    Uuid::from_u128(0x517e_0000_0000_4000_8000_0000_0000_0000 + n)
}

/// A record by number.
pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x1dea_0000_0000_4000_8000_0000_0000_0000 + n)
}

pub(crate) fn stamp(ms: u64, at: u128) -> Stamp {
    Stamp { time: Time { ms: 1_795_303_000_000 + ms, counter: 0 }, site: site(at) }
}

pub(crate) fn entry(stamp: Stamp, value: Value) -> Entry {
    Entry { stamp, value, unknown: Default::default() }
}

fn record(n: u128) -> Record {
    let mut r = Record::new("patient", id(n));
    r.version = [stamp(90, 1), stamp(80, 2)].into_iter().collect();
    r.rows.insert(RowKey::new("patient", id(n)), Row::new(stamp(10, 1)));
    r
}

fn put(r: &mut Record, name: &str, value: Value) {
    let row = r.rows.get_mut(&RowKey::new("patient", r.id)).unwrap();
    row.fields.get_or_default(FieldKey::shared(name)).0.insert(entry(stamp(10, 1), value));
}

/// Every kind of value.
pub(crate) fn values() -> Record {
    let mut r = record(1);
    put(&mut r, "null", Value::Null);
    for (i, n) in [0, -1, 7, i64::MAX, i64::MIN].into_iter().enumerate() {
        put(&mut r, &format!("integer {i}"), Value::Integer(n));
    }
    for (i, n) in [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, 5e-324, f64::MAX, 0.1, 1e16].into_iter().enumerate() {
        put(&mut r, &format!("real {i}"), Value::Real(n));
    }
    let texts: [&[u8]; 13] = [
        b"plain",
        b"",
        b" ",
        b"  both ends  ",
        b"a\r\nb\rc\nd\te",
        b"\n\n",
        b"<&>\"' ]]>",
        "Größe 💊 \u{85}\u{2028}".as_bytes(),
        b"a\0b",
        b"\x01",
        b"\xff\xfe",
        "\u{fffe}".as_bytes(),
        b"&amp;#13;",
    ];
    for (i, t) in texts.into_iter().enumerate() {
        put(&mut r, &format!("text {i:02}"), Value::Text(t[..].into()));
    }
    put(&mut r, "blob 0", Value::Blob(Vec::new().into()));
    put(&mut r, "blob 1", Value::Blob(vec![0, 1, 2, 255].into()));
    put(&mut r, "text 90", Value::Stored { text: true, sha256: [0xcd; 32], size_bytes: 16_385 });
    put(&mut r, "blob 2", Value::Stored { text: false, sha256: [0xab; 32], size_bytes: 104_857_600 });
    put(&mut r, "ref 0", Value::Ref(Reference { table: "visit".into(), row: id(70), record: None, owner: false }));
    put(&mut r, "ref 1", Value::Ref(Reference { table: "doctor".into(), row: id(71), record: Some(id(71)), owner: false }));
    put(&mut r, "ref 2", Value::Ref(Reference { table: "patient".into(), row: id(1), record: None, owner: true }));
    r
}

/// Names that a host may give its tables and columns.
pub(crate) fn odd_names() -> Record {
    let mut r = Record::new("таблица \"<&>'\u{1}", id(2));
    r.version = [stamp(90, 1)].into_iter().collect();
    let mut row = Row::new(stamp(10, 1));
    for name in ["", " ", "a\tb\nc", "say \"hi\"", "<b>&amp;'", "💊", "bell\u{7}", "\u{fffe}", "a+b"] {
        row.fields.get_or_default(FieldKey::shared(name)).0.insert(entry(stamp(10, 1), Value::text(name)));
    }
    row.fields.get_or_default(FieldKey::shared("r")).0.insert(entry(stamp(10, 1), Value::Ref(Reference { table: "\u{1b}".into(), row: id(3), record: None, owner: false })));
    r.rows.insert(r.root_key(), row);
    r
}

/// Superseded values, local columns, stamps of their own.
pub(crate) fn superseded() -> Record {
    let mut r = record(3);
    let row = r.rows.get_mut(&RowKey::new("patient", id(3))).unwrap();
    let phone = row.fields.get_or_default(FieldKey::shared("phone"));
    phone.0.insert(entry(stamp(80, 2), Value::text("0301")));
    phone.0.insert(entry(stamp(90, 1), Value::text("0302")));
    phone.0.insert(entry(stamp(10, 1), Value::Null));
    for n in [1, 2] {
        row.fields.get_or_default(FieldKey::local("file_no", site(n))).0.insert(entry(stamp(10, 1), Value::Integer(17)));
    }
    r.rows.insert(RowKey::new("visit", id(31)), Row::new(stamp(20, 2)));
    r
}

/// Tombstones: bare, moved, and with content; facts about other records.
pub(crate) fn tombstones() -> Record {
    let mut r = record(4);
    let dead = |bare, moved_to, why: &str| Tombstone {
        stamp: stamp(80, 2),
        by: "Anna\r".to_owned(),
        why: why.to_owned(),
        moved_to,
        seen: [stamp(70, 1), stamp(60, 3)].into_iter().collect(),
        bare,
        unknown: Default::default(),
    };
    for (n, tombstone) in [dead(false, None, ""), dead(true, None, "double \0"), dead(false, Some((id(5), id(50))), "moved")].into_iter().enumerate() {
        let mut row = Row::new(stamp(20, 1));
        if !tombstone.bare {
            row.fields.get_or_default(FieldKey::shared("kept")).0.insert(entry(stamp(20, 1), Value::text("x")));
        }
        row.tombstone = Some(tombstone);
        r.rows.insert(RowKey::new("visit", id(41 + n as u128)), row);
    }
    for (n, fact) in [SameAs::Same, SameAs::Not, SameAs::Undone].into_iter().enumerate() {
        r.same_as.insert(id(80 + n as u128), (stamp(50, 2), fact));
    }
    r
}

/// A record that was erased.
pub(crate) fn erased() -> Record {
    let mut r = Record::new("patient", id(6));
    r.version = [stamp(90, 1)].into_iter().collect();
    r.erased = Some(Erasure { stamp: stamp(90, 1), by: "Anna".to_owned() });
    r
}

/// What a later format may add: attributes on records, rows, values and tombstones; elements in
/// records and rows.
pub(crate) fn later_format() -> Record {
    let mut r = tombstones();
    let of = |ns: &str| [("l:colour".to_owned(), "red & \"blue\"\n".to_owned()), ("xmlns:l".to_owned(), ns.to_owned())].into_iter().collect();
    r.unknown = of("urn:later");
    let extra = |stamp, xml: &str| Extra { stamp, xml: xml.as_bytes().to_vec() };
    r.extras.insert(
        ("urn:later".to_owned(), "note".to_owned(), "k".to_owned()),
        extra(Some(stamp(40, 3)), "<l:note key=\"k\" xmlns:l=\"urn:later\"><l:a>&lt;&#13;</l:a>\n <b/>\n</l:note>"),
    );
    r.extras.insert(("urn:later".to_owned(), "plain".to_owned(), String::new()), extra(None, "<plain xmlns=\"urn:later\"/>"));
    r.extras.insert(("urn:row".to_owned(), "row".to_owned(), String::new()), extra(None, "<row xmlns=\"urn:row\">not a row of ours</row>"));
    for row in r.rows.values_mut() {
        row.unknown = of("urn:later");
        row.extras.insert(("urn:later".to_owned(), "note".to_owned(), String::new()), extra(Some(stamp(45, 4)), "<l:note xmlns:l=\"urn:later\" />"));
        if let Some(t) = &mut row.tombstone {
            t.unknown = of("urn:later");
        }
        for f in row.fields.values_mut() {
            f.0 = f.0.iter().cloned().map(|e| Entry { unknown: of("urn:later"), ..e }).collect();
        }
    }
    r
}

/// An element of a later format in our own namespace.
pub(crate) fn later_in_our_namespace() -> Record {
    let mut r = values();
    r.extras.insert((NAMESPACE.to_owned(), "photo".to_owned(), "front".to_owned()), Extra { stamp: Some(stamp(40, 3)), xml: b"<photo key=\"front\">1</photo>".to_vec() });
    r
}

/// All whole records by name; the last is not for the schemas of this format.
/// Two texts of a column with the rule `text`, each with its way back.
fn notes() -> Record {
    let mut r = record(10);
    let row = r.rows.get_mut(&RowKey::new("patient", r.id)).unwrap();
    let field = row.fields.get_or_default(FieldKey::shared("notes"));
    for (n, text, back) in [(70, "first\nBP 130", "8,0,MjA"), (80, "first\nBP 120\ncoughs", "12,0, 5,0,")] {
        let mut e = entry(stamp(n, 1), Value::text(text));
        e.unknown.insert("back".to_owned(), back.to_owned());
        field.0.insert(e);
    }
    r
}

pub(crate) fn all() -> Vec<(&'static str, Record)> {
    vec![
        ("values", values()),
        ("odd-names", odd_names()),
        ("superseded", superseded()),
        ("tombstones", tombstones()),
        ("erased", erased()),
        ("empty", Record::new("patient", id(9))),
        ("notes", notes()),
        ("later-format", later_format()),
        ("later-in-our-namespace", later_in_our_namespace()),
    ]
}
