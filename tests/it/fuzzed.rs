//! What must hold for any bytes at all, one function for each reader. `fuzz/fuzz_targets/` and
//! `fuzz_corpus.rs` call the same functions, so what a fuzzer found stays found.
//!
//! Each function says whether its input was read, and panics where a property does not hold.

#![expect(clippy::panic, reason = "a property fails by panicking")]

use cloud_folder_sync::config::Config;
use cloud_folder_sync::id::Uuid;
use cloud_folder_sync::log::{Item, Segment};
use cloud_folder_sync::manifest::Manifest;
use cloud_folder_sync::merge;
use cloud_folder_sync::names::{self, DirName, FileName, Level};
use cloud_folder_sync::record::{Delta, Record};
use cloud_folder_sync::site::Site;
use cloud_folder_sync::value::Value;
use cloud_folder_sync::xml::{self, Error};
use std::path::Path;

/// A property's function.
pub(crate) type Property = fn(&[u8]) -> bool;

/// Every target by its name.
pub(crate) const ALL: &[(&str, Property)] = &[("record", record), ("delta", delta), ("log", log), ("site", site), ("manifest", manifest), ("config", config), ("names", names)];

/// Stands between the two parts of an input that has two: UTF-8 has no such byte.
const BETWEEN: u8 = 0xff;

fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|b| *b == BETWEEN) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// The input with the hash that belongs to it: a fuzzer cannot guess one, a program with a fault can.
fn sealed(data: &[u8], root: &str) -> Vec<u8> {
    const HASH: &[u8] = b" <sha256>";
    let end = data.windows(HASH.len()).rposition(|w| w == HASH).unwrap_or(data.len());
    xml::seal(data[..end].to_vec(), root)
}

/// Reads the bytes as they are, and with their hash put right; a file of any folder will do.
fn read<T>(data: &[u8], root: &str, reader: impl Fn(&[u8], &Uuid) -> Result<T, Error>) -> Option<(T, Uuid)> {
    let said = |e: Error| {
        let text = e.to_string();
        assert!(!text.is_empty() && text.len() < 300, "an error says {} bytes", text.len());
        e
    };
    reader(data, &Uuid::nil()).map_err(said).ok();
    let bytes = sealed(data, root);
    let folder = match reader(&bytes, &Uuid::nil()) {
        Err(Error::OtherFolder(folder)) => folder,
        _ => Uuid::nil(),
    };
    reader(&bytes, &folder).map_err(said).ok().map(|t| (t, folder))
}

/// What was read is written, and that reads back to the same: the only spelling there is.
fn stands<T: PartialEq>(what: &str, value: &T, write: impl Fn(&T) -> Vec<u8>, reader: impl Fn(&[u8]) -> Result<T, Error>) {
    let bytes = write(value);
    let again = reader(&bytes).unwrap_or_else(|e| panic!("{what}: what is written is refused: {e}"));
    assert!(again == *value, "{what}: what is written reads as something else");
    assert!(write(&again) == bytes, "{what}: it has two spellings");
}

fn record_stands(what: &str, r: &Record, folder: &Uuid) {
    stands(what, r, |r| xml::write_record(r, folder), |b| xml::read_record(b, folder));
}

/// What a site does with any state that it took in.
fn is_handled(r: &Record, folder: &Uuid) {
    for field in r.rows.values().flat_map(|row| row.fields.values()) {
        assert!(!field.0.is_empty(), "a field without a value");
        assert!(field.0.iter().all(|e| !matches!(e.value, Value::Real(n) if n.is_nan())), "a real that SQLite cannot hold");
        for rule in [cloud_folder_sync::record::Rule::Latest, cloud_folder_sync::record::Rule::Max, cloud_folder_sync::record::Rule::Min] {
            assert!(merge::shown(field, rule).is_some());
        }
    }
    assert_eq!(merge::life(r).len(), r.rows.len());
    // The first and the last row stand for all: a tree may have the size of the record.
    for key in r.rows.keys().take(1).chain(r.rows.keys().next_back()) {
        let tree = merge::tree(r, key);
        assert!(tree.contains(key) && tree.len() <= r.rows.len());
        assert!(merge::above(r, key).len() <= r.rows.len() + 1);
    }
    merge::same_target(r);
    merge::folded_to(r);
    merge::unsettled(r, &merge::life(r), true);
    let mut stripped = r.clone();
    merge::strip(&mut stripped, |_| true);
    record_stands("stripped", &stripped, folder);
    let mut known = r.clone();
    known.take_inlined();
    record_stands("with its large values apart", &known, folder);
}

/// The whole record as a delta: what a record file carries must have its place in a log as well.
fn delta_stands(r: &Record, folder: &Uuid) {
    let item = Item::Delta(Delta { before: Default::default(), part: r.clone() }.into());
    let read = Segment::read(&item.alone(folder), folder).unwrap_or_else(|e| panic!("a record as a delta is refused: {e}"));
    assert!(read.0.items == [item], "a record as a delta is another");
}

/// Our own hand takes only what the strict reader reads as the same, and only in the spelling that is written.
fn hands_agree(data: &[u8], folder: &Uuid) -> Result<Record, Error> {
    let strict = xml::read_foreign(data, folder);
    match xml::read_hand(data, folder) {
        Ok((r, own)) => {
            assert!(strict.as_ref() == Ok(&r), "two readers read two records");
            assert!(!own || xml::write_record(&r, folder) == data, "another spelling was taken for ours");
        }
        Err(_) => assert!(strict.is_err(), "only one reader refuses"),
    }
    strict
}

fn read_record(data: &[u8]) -> Option<(Record, Uuid)> {
    let (r, folder) = read(data, "record", hands_agree)?;
    record_stands("a record", &r, &folder);
    delta_stands(&r, &folder);
    is_handled(&r, &folder);
    // Joining clears what an erased record still holds.
    let joined = merge::join(&r, &r);
    assert!(if r.erased.is_some() { merge::join(&joined, &joined) == joined } else { joined == r }, "a state joined with itself is another");
    Some((r, folder))
}

/// A record file, and a second one after [`BETWEEN`]: two states of one record.
pub(crate) fn record(data: &[u8]) -> bool {
    let (first, second) = parts(data);
    let (a, b) = (read_record(first), read_record(second));
    if let (Some((a, folder)), Some((b, _))) = (&a, &b) {
        let mut b = b.clone();
        b.id = a.id;
        let ab = merge::join(a, &b);
        assert!(ab == merge::join(&b, a), "a join depends on who joins");
        assert!(ab == merge::join(&ab, a) && ab == merge::join(&ab, &b), "what was joined comes new again");
        record_stands("a join", &ab, folder);
        is_handled(&ab, folder);
    }
    a.is_some() || b.is_some()
}

fn read_segment(data: &[u8]) -> Option<(Segment, Uuid)> {
    let ((s, _), folder) = read(data, "log", Segment::read)?;
    stands("a segment", &s, |s| s.write(&folder), |b| Segment::read(b, &folder).map(|(s, _)| s));
    for item in &s.items {
        let (alone, _) = Segment::read(&item.alone(&folder), &folder).unwrap_or_else(|e| panic!("an item alone is refused: {e}"));
        assert!(alone.items == std::slice::from_ref(item), "an item alone is another");
        if let Some(line) = item.line() {
            assert!(Item::of_line(item.record(), &line).as_ref() == Some(item), "an item's line is another item's");
        }
    }
    Some((s, folder))
}

/// A segment of a log.
pub(crate) fn log(data: &[u8]) -> bool {
    read_segment(data).is_some()
}

/// A record file, and after [`BETWEEN`] a segment whose deltas are taken into that state.
pub(crate) fn delta(data: &[u8]) -> bool {
    let (first, second) = parts(data);
    let Some((segment, _)) = read_segment(second) else { return false };
    let state = read(first, "record", xml::read_record);
    let mut took_one = false;
    for item in segment.items {
        let Item::Delta(mut d) = item else { continue };
        let (mut state, folder) = state.clone().unwrap_or_else(|| (Record::new(d.part.kind.clone(), d.part.id), Uuid::nil()));
        d.part.id = state.id;
        let before = state.clone();
        let took = merge::take_delta(&mut state, &d);
        assert_eq!(took, before.version.includes(&d.before));
        if !took {
            assert!(state == before, "a delta that was not taken in changed something");
            continue;
        }
        took_one = true;
        assert!(state.version.includes(&before.version) && state.version.includes(&d.part.version));
        record_stands("a state with a delta", &state, &folder);
        is_handled(&state, &folder);
        let once = state.clone();
        assert!(merge::take_delta(&mut state, &d) && state == once, "a delta taken in twice changes something");
        merge::delta_between(&before, &state);
    }
    took_one
}

/// A site file.
pub(crate) fn site(data: &[u8]) -> bool {
    let Some((s, folder)) = read(data, "site", Site::read) else { return false };
    stands("a site file", &s, |s| s.write(&folder), |b| Site::read(b, &folder));
    true
}

/// A manifest.
pub(crate) fn manifest(data: &[u8]) -> bool {
    let Some((m, _)) = read(data, "cloud-folder-sync", |b, _| Manifest::read(b)) else { return false };
    stands("a manifest", &m, Manifest::write, Manifest::read);
    Config::of_shared(&m.mapping).ok();
    true
}

/// The text of a `cfs.toml`.
pub(crate) fn config(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let parsed = Config::parse(&text, Path::new("cfs.toml"));
    let c = match parsed {
        Ok(c) => c,
        Err(e) => {
            assert!(e.to_string().starts_with("cfs.toml") && e.exit_code() == 2, "an error without its place");
            return false;
        }
    };
    for name in c.tables.keys().chain(c.types.keys()) {
        for section in ["table", "type"] {
            c.source.place(&[section, name], Some("a"));
        }
        c.table(name);
        c.left_out(name);
    }
    // What it says of tables travels in the manifest and comes out the same.
    let shared = c.shared_text();
    let m = Manifest { folder: Uuid::nil(), key: Vec::new(), created: Default::default(), retention_days: 30, types: Default::default(), mapping: shared.clone() };
    stands("a manifest with a mapping", &m, Manifest::write, Manifest::read);
    let of = Config::of_shared(&shared).unwrap_or_else(|e| panic!("what is shared is refused: {e}"));
    assert!(of.types == c.types && of.tables == c.tables && of.leave_out == c.leave_out, "what is shared says something else");
    assert_eq!(of.shared_text(), shared);
    true
}

/// A file's or directory's name, and after [`BETWEEN`] the directory or the original that it stands beside.
pub(crate) fn names(data: &[u8]) -> bool {
    let (first, second) = parts(data);
    let (name, other) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    let own = name.strip_suffix(".xml").and_then(|s| Uuid::parse_str(s).ok().filter(|u| u.to_string() == s));
    for shard in [None, Some(&*other), own.as_ref().map(names::shard).as_deref()] {
        let canonical = own.filter(|id| shard == Some(&names::shard(id)));
        match (names::classify_file(shard, &name), canonical) {
            (FileName::Canonical(id), Some(own)) if id == own => {}
            (FileName::Canonical(_), _) | (_, Some(_)) => panic!("a record's own file is told from its copies by its name alone"),
            (FileName::Conflict { client, explanation }, None) => assert!(!client.is_empty() && explanation.len() < name.len() + 200),
            (_, None) => {}
        }
    }
    if !other.is_empty() {
        let copy = names::classify_copy(&other, &name);
        assert!(copy.is_none() || (name.contains(&*other) && name.strip_suffix(".xml") != Some(&*other)));
    }
    for level in [Level::Top, Level::Type, Level::Shard] {
        match names::classify_dir(level, &name) {
            DirName::Own => assert_eq!(*name, name.to_ascii_lowercase()),
            DirName::Twin { of, .. } => assert!(of != *name && names::classify_dir(level, &of) == DirName::Own),
            _ => {}
        }
    }
    if let Some(seq) = Segment::number(&name) {
        assert_eq!(Segment::file_name(seq), *name);
    }
    // What we name ourselves is ours, whatever the table is called.
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    let id = Uuid::from_bytes(bytes);
    let path = names::record_path(&name, &id);
    let [top, kind, shard, file] = path.split('/').collect::<Vec<_>>()[..] else { panic!("a record's path has four parts") };
    assert!(kind.len() <= 48 && kind.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')));
    for (level, dir) in [(Level::Top, top), (Level::Type, kind), (Level::Shard, shard)] {
        assert_eq!(names::classify_dir(level, dir), DirName::Own);
    }
    assert_eq!(names::classify_file(Some(shard), file), FileName::Canonical(id));
    assert_eq!(names::classify_file(Some(shard), &names::temp_name(&id, "9f3a")), FileName::Ours(id));
    true
}
