//! Names in the sync folder: the project's own table, the shared one, and any name at all.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking and says what it skipped")]

use cloud_folder_sync::id::Uuid;
use cloud_folder_sync::names::{DirName, FileName, Level, classify_dir, classify_file, record_path};
use proptest::prelude::*;
use std::path::Path;

const SHARD: Option<&str> = Some("d2");

fn class(f: &FileName) -> (&'static str, &str) {
    match f {
        FileName::Canonical(_) => ("canonical", ""),
        FileName::Conflict { client, .. } => ("conflict", client),
        FileName::InFlight(c) => ("in-flight", c),
        FileName::Placeholder(c) => ("placeholder", c),
        FileName::Backup(c) => ("backup", c),
        FileName::Metadata(c) => ("metadata", c),
        FileName::Ours(_) => ("ours", ""),
        FileName::Encrypted(_) => ("encrypted", ""),
        FileName::Other => ("other", ""),
    }
}

#[test]
fn the_table_of_names_holds() {
    let table = include_str!("../../fixtures/names.tsv");
    assert!(table.lines().count() > 60);
    for line in table.lines().skip(1) {
        let row: Vec<&str> = line.split('\t').collect();
        let (what, want, client, name) = (row[0], row[1], row[2], row[3]);
        let more = row.get(4).copied().unwrap_or_default();
        if what == "file" {
            let got = classify_file(SHARD, name);
            assert_eq!(class(&got), (want, client), "{name}");
            if let (FileName::Conflict { explanation, .. }, false) = (&got, more.is_empty()) {
                assert_eq!(explanation, more, "{name}");
            }
            continue;
        }
        let level = match what {
            "top" => Level::Top,
            "type" => Level::Type,
            _ => Level::Shard,
        };
        let got = match classify_dir(level, name) {
            DirName::Own => ("own", "", String::new()),
            DirName::Twin { of, client, .. } => ("twin", client, of),
            DirName::Internal(c) => ("internal", c, String::new()),
            DirName::Other => ("other", "", String::new()),
        };
        assert_eq!((got.0, got.1, got.2.as_str()), (want, client, more), "{name}");
    }
}

#[test]
fn a_canonical_name_elsewhere_is_a_copy() {
    let name = "5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2.xml";
    for shard in [None, Some("d3"), Some("D2")] {
        assert!(matches!(classify_file(shard, name), FileName::Conflict { .. }));
    }
}

#[test]
fn the_shared_tables_of_names_hold() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let (Ok(conflicts), Ok(others)) = (std::fs::read_to_string(data.join("conflict-names.tsv")), std::fs::read_to_string(data.join("other-names.tsv"))) else {
        eprintln!("skipped: the shared tables of names are not beside this checkout");
        return;
    };
    for line in conflicts.lines().skip(1) {
        let row: Vec<&str> = line.split('\t').collect();
        let got = classify_file(Some("55"), row[2]);
        let (class, client) = class(&got);
        assert_eq!(class, "conflict", "{}", row[2]);
        assert_ne!(client, "unknown", "{}", row[2]);
    }
    for line in others.lines().skip(1) {
        let row: Vec<&str> = line.split('\t').collect();
        let (want, example) = (row[0], row[3]);
        let first = example.split('/').next().unwrap();
        match want {
            "internal" => assert!(matches!(classify_dir(Level::Top, first), DirName::Internal(_)), "{example}"),
            "dir-conflict" => assert!(matches!(classify_dir(Level::Top, first), DirName::Twin { of, client, .. } if of == "records" && client != "unknown"), "{example}"),
            _ => {
                let got = classify_file(Some("55"), example);
                // A client's own kept deletion is a backup to us; a passing name is in flight.
                let want = match want {
                    "tombstone" => "backup",
                    "transient" => "in-flight",
                    w => w,
                };
                let want = if matches!(got, FileName::Ours(_)) && row[1].starts_with("our own") { "ours" } else { want };
                assert_eq!(class(&got).0, want, "{example}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_name_panics(name in any::<String>(), shard in proptest::option::of("[0-9a-f]{2}")) {
        for level in [Level::Top, Level::Type, Level::Shard] {
            let _ = classify_dir(level, &name);
        }
        let _ = classify_file(shard.as_deref(), &name);
        let _ = classify_file(shard.as_deref(), &format!("5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2{name}.xml"));
    }

    #[test]
    fn whatever_is_appended_to_a_record_is_opened(added in "[ _-][a-zA-Z0-9 ()äß競合']{1,40}") {
        let name = format!("5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2{added}.xml");
        prop_assert!(matches!(classify_file(SHARD, &name), FileName::Conflict { .. }), "{name}");
    }

    #[test]
    fn a_canonical_path_is_never_a_conflict(bytes in any::<[u8; 16]>()) {
        let id = Uuid::from_bytes(bytes);
        let path = record_path("patient", &id);
        let parts: Vec<&str> = path.split('/').collect();
        prop_assert_eq!(classify_dir(Level::Top, parts[0]), DirName::Own);
        prop_assert_eq!(classify_dir(Level::Type, parts[1]), DirName::Own);
        prop_assert_eq!(classify_dir(Level::Shard, parts[2]), DirName::Own);
        prop_assert_eq!(classify_file(Some(parts[2]), parts[3]), FileName::Canonical(id));
    }
}
