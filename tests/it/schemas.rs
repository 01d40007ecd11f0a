//! What other programs make of our files: xmllint with the schemas, Python with ElementTree.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::disallowed_methods, reason = "a test fails by panicking, says what it skipped, and writes its own files")]

use crate::samples;
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::manifest::Manifest;
use cloud_folder_sync::record::Record;
use cloud_folder_sync::site::Site;
use cloud_folder_sync::value::Value;
use cloud_folder_sync::xml::{hex, write_record};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a program; `None`, and a line that says so, where there is none.
fn run(program: &str, package: &str, args: &[&std::ffi::OsStr]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(o) => Some(o),
        Err(_) => {
            eprintln!("skipped: {program} is missing (on Debian: apt install {package})");
            None
        }
    }
}

fn lint(schema: &str, file: &Path) -> Option<Output> {
    let schema = here("schemas").join(schema);
    run("xmllint", "libxml2-utils", &["--noout".as_ref(), "--nonet".as_ref(), "--schema".as_ref(), schema.as_ref(), file.as_ref()])
}

#[track_caller]
fn validates(schema: &str, name: &str, bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    if let Some(o) = lint(schema, &file) {
        assert!(o.status.success(), "{name}: {}", String::from_utf8_lossy(&o.stderr));
    }
}

/// All samples but the one with an element of a later format in our own namespace, which only the
/// schemas of that format know.
fn known() -> Vec<(&'static str, Record)> {
    let mut all = samples::all();
    all.retain(|(name, _)| *name != "later-in-our-namespace");
    all
}

#[test]
fn records_validate() {
    for (name, record) in known() {
        validates("record.xsd", &format!("{name}.xml"), &write_record(&record, &samples::folder()));
    }
}

#[test]
fn segments_validate() {
    let deltas = known().into_iter().map(|(_, part)| Item::Delta(cloud_folder_sync::record::Delta { before: [samples::stamp(1, 5)].into_iter().collect(), part }.into()));
    let named = ["patient", "bell\u{7}"].map(|kind| Item::Named { kind: kind.into(), id: samples::id(7), sha256: "ab".repeat(32), stamp: samples::stamp(9, 2) });
    let items: Vec<Item> = deltas.chain(named).collect();
    let first = Segment { site: samples::site(1), seq: 1, previous: String::new(), items: Vec::new() };
    let second = Segment { site: samples::site(1), seq: 2, previous: "cd".repeat(32), items };
    for segment in [first, second] {
        let bytes = segment.write(&samples::folder());
        validates("log.xsd", &Segment::file_name(segment.seq), &bytes);
        assert!(Segment::read(&bytes, &samples::folder()).unwrap().0 == segment);
    }
}

#[test]
fn site_files_validate() {
    let bare = Site { id: samples::site(1), name: "North \"& South\"".to_owned(), ..Site::default() };
    let full = Site {
        program: "0.1.0".to_owned(),
        written: samples::stamp(5, 1).time,
        logs: true,
        newest: 12,
        newest_sha256: "ef".repeat(32),
        oldest: 3,
        read: [(samples::site(2), 7), (samples::site(3), 0)].into(),
        withdrawn: [4, 5].into(),
        retired: [samples::site(9)].into(),
        before: Some(samples::site(8)),
        ..bare.clone()
    };
    for site in [bare, full] {
        let bytes = site.write(&samples::folder());
        validates("site.xsd", "site.xml", &bytes);
        assert_eq!(Site::read(&bytes, &samples::folder()).unwrap(), site);
    }
}

#[test]
fn manifests_validate() {
    let types = ["patient", "doctor", "bell\u{7}"].map(str::to_owned).into();
    let manifest =
        Manifest { folder: samples::folder(), key: vec![7; 32], created: samples::stamp(1, 1).time, retention_days: 30, types, mapping: "[table.a]\nowner = \"<b>\"\n".into() };
    let bytes = manifest.write();
    validates("manifest.xsd", "cloud-folder-sync.xml", &bytes);
    assert_eq!(Manifest::read(&bytes).unwrap(), manifest);
}

/// A schema that accepts anything would pass the tests above.
#[test]
fn the_schema_refuses_what_it_can_see() {
    for rule in [
        "format-2",
        "format-not-a-number",
        "id-in-capitals",
        "site-number-unknown",
        "stamp-without-milliseconds",
        "stamp-half",
        "row-twice",
        "seen-twice",
        "row-in-row",
        "field-type-unknown",
        "tombstone-element-unknown",
        "attribute-unknown-on-seen",
        "same-as-unknown",
        "later-element-twice",
    ] {
        let file = here("fixtures/xml/invalid").join(format!("{rule}.xml"));
        assert!(file.exists(), "{rule}");
        if let Some(o) = lint("record.xsd", &file) {
            assert!(!o.status.success(), "the schema accepts {rule}");
        }
    }
}

/// What the Python script prints for a record.
fn as_printed(r: &Record) -> String {
    let mut out = String::new();
    for (key, row) in &r.rows {
        for (name, field) in &row.fields {
            for (i, e) in field.0.iter().rev().enumerate() {
                let value = match &e.value {
                    Value::Null => String::new(),
                    Value::Integer(i) => i.to_string(),
                    Value::Real(r) => hex(&r.to_be_bytes()),
                    Value::Text(b) | Value::Blob(b) => hex(b),
                    Value::Stored { sha256, size_bytes, .. } => format!("{}:{size_bytes}", hex(sha256)),
                    Value::Ref(r) => {
                        let record = r.record.map(|r| r.to_string()).unwrap_or_default();
                        format!("{}:{}:{record}:{}", hex(r.table.as_bytes()), r.row, if r.owner { "yes" } else { "" })
                    }
                };
                let place = name.place.map(|p| p.to_string()).unwrap_or_default();
                let element = if i == 0 { "f" } else { "was" };
                writeln!(out, "{}\t{}\t{element}\t{}\t{place}\t{}\t{value}", hex(key.table.as_bytes()), key.id, hex(name.name.as_bytes()), e.value.type_name()).unwrap();
            }
        }
    }
    out
}

#[test]
fn python_reads_the_same_values() {
    let dir = tempfile::tempdir().unwrap();
    for (name, record) in samples::all() {
        let file = dir.path().join(format!("{name}.xml"));
        std::fs::write(&file, write_record(&record, &samples::folder())).unwrap();
        let script = here("tests/it/read_with_elementtree.py");
        let Some(o) = run("python3", "python3", &[script.as_ref(), file.as_ref()]) else { return };
        assert!(o.status.success(), "{name}: {}", String::from_utf8_lossy(&o.stderr));
        assert_eq!(String::from_utf8_lossy(&o.stdout).replace('\r', ""), as_printed(&record), "{name}");
    }
}
