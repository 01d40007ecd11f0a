//! Values too large for a record file: they travel by their hash, late or torn ones hold back
//! nothing else, and every site can give what it knows.

use crate::dsl::check::{at_rest, at_rest_but_held, both_see, held, known};
use crate::dsl::cloud::Way;
use crate::dsl::{DAY_MS, Site, has, path_of, schema, settle, sites, two_with_p1};
use cloud_folder_sync::names::blob_path;
use cloud_folder_sync::record::{FieldKey, RowKey};
use cloud_folder_sync::sync::Order;
use cloud_folder_sync::sync::lookup::Lookup;
use cloud_folder_sync::value::{MAX_INLINE_BYTES, Value, hash};
use cloud_folder_sync::xml::{read_record, write_record};

/// The smallest value that is large.
pub(super) const LARGE: usize = MAX_INLINE_BYTES + 1;

/// Bytes that say nothing, each seed its own.
pub(super) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut dice = cloud_folder_sync::id::Random::seeded(seed);
    let mut out: Vec<u8> = Vec::with_capacity(len + 8);
    while out.len() < len {
        out.extend(dice.bits().to_le_bytes());
    }
    out.truncate(len);
    out
}

pub(super) fn path(content: &[u8]) -> String {
    blob_path(&hash(content))
}

impl Site {
    pub(super) fn set_photo(&self, nid: &str, photo: &[u8]) {
        self.pass(10);
        assert_eq!(self.conn.execute("UPDATE patient SET photo = ?1 WHERE national_id = ?2", rusqlite::params![photo, nid]).unwrap(), 1);
    }

    pub(super) fn photo(&self, nid: &str) -> Option<Vec<u8>> {
        self.conn.query_row("SELECT photo FROM patient WHERE national_id = ?1", [nid], |r| r.get(0)).unwrap()
    }

    /// Content of our own, by number of values.
    pub(super) fn kept(&self) -> i64 {
        self.conn.query_row("SELECT count(*) FROM cfs_bytes", [], |r| r.get(0)).unwrap()
    }

    pub(super) fn blobs(&self) -> Vec<String> {
        self.folder.all().into_keys().filter(|p| p.starts_with("blobs/")).collect()
    }

    /// Whether this site could give a content to the others.
    pub(super) fn can_give(&self, content: &[u8]) -> bool {
        Lookup::new(&self.conn, self.state(), &self.mapping).content(&hash(content)).unwrap().as_deref() == Some(content)
    }

    /// Somebody empties `blobs/` by hand.
    pub(super) fn empty_blobs(&self) {
        self.blobs().iter().for_each(|p| {
            self.folder.take(p).unwrap();
        });
    }
}

#[test]
fn a_large_photo_and_a_large_note_travel_bit_for_bit() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let photo = bytes(1, 3_000_000);
    let note = "Größe \r\n ]]> 💊 ".repeat(5_000_000 / 20);
    a.set_photo("p1", &photo);
    a.conn.execute("UPDATE visit SET notes = ?1", [&note]).unwrap();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.photo("p1").as_ref() == Some(&photo) && b.get("SELECT notes FROM visit") == note);
    assert_eq!(b.get("SELECT typeof(photo) || typeof(notes) FROM patient, visit"), "blobtext");
    assert!(a.folder.get(&path(&photo)) == Some(photo) && a.folder.get(&path(note.as_bytes())) == Some(note.into_bytes()));
    assert!(a.folder.get(&path_of(&a.id("p1"))).unwrap().len() < 10_000);
    // The log has it as a small delta, and nothing stays behind in the databases.
    assert!(a.folder.all().iter().filter(|(p, _)| p.starts_with("logs/")).all(|(_, b)| !String::from_utf8_lossy(b).contains("<named")));
    assert_eq!((a.kept(), b.kept()), (0, 0));
}

#[test]
fn the_size_alone_decides_and_text_and_blob_share_a_file() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for (n, size) in [MAX_INLINE_BYTES - 1, MAX_INLINE_BYTES, LARGE].into_iter().enumerate() {
        a.add(&format!("size{n}"));
        a.set_photo(&format!("size{n}"), &vec![b'x'; size]);
        a.conn.execute("UPDATE patient SET first_name = ?1 WHERE national_id = ?2", rusqlite::params!["x".repeat(size), format!("size{n}")]).unwrap();
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.blobs(), [path(&[b'x'; LARGE])]);
    for n in 0..3 {
        let nid = format!("size{n}");
        assert_eq!((b.photo(&nid), b.see(&nid, "first_name")), (a.photo(&nid), a.see(&nid, "first_name")));
        assert_eq!(b.photo(&nid).map(|p| p.len()), Some(MAX_INLINE_BYTES + n - 1));
    }
    // Across the limit and back.
    b.set_photo("size1", &[b'x'; LARGE]);
    b.set_photo("size2", b"small");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.photo("size1").unwrap().len(), a.photo("size2").unwrap()), (LARGE, b"small".to_vec()));
}

#[test]
fn a_value_that_is_days_late_holds_back_its_field_alone() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (old, new) = (b.photo("p1").unwrap(), bytes(1, LARGE));
    a.set_photo("p1", &new);
    a.edit("p1", "phone", "200");
    a.add("p2");
    a.set_photo("p2", &new);
    a.sync();
    for day in 0..3 {
        cloud.carry_only(1, |p| !p.starts_with("blobs/"));
        let r = b.sync();
        assert_eq!((b.see("p1", "phone").as_str(), b.see("p2", "last_name").as_str()), ("200", "Name p2"));
        assert_eq!((b.photo("p1").as_ref(), b.photo("p2"), r.pending, held(&b)), (Some(&old), None, 2, 0));
        assert_eq!(r.bad_files.len(), usize::from(day > 1), "{:?}", r.bad_files);
        // Edits beside it go on, and what is awaited is no edit.
        b.edit("p2", "phone", &format!("30{day}"));
        assert_eq!(b.sync().exported, 1);
        b.pass(DAY_MS / 2 + 1000);
    }
    cloud.carry();
    let r = b.sync();
    assert_eq!((b.photo("p1").as_ref(), b.photo("p2").as_ref(), r.pending), (Some(&new), Some(&new), 0));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.see("p2", "phone").as_str(), a.photo("p1").as_ref()), ("302", Some(&new)));
}

#[test]
fn torn_empty_and_false_files_are_not_taken_for_the_value() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let new = bytes(1, LARGE);
    a.set_photo("p1", &new);
    a.edit("p1", "phone", "200");
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    let mut false_one = new.clone();
    false_one[LARGE / 2] ^= 1;
    for wrong in [Vec::new(), new[..LARGE - 1].to_vec(), [&new[..], b"x"].concat(), false_one, vec![0; LARGE]] {
        b.folder.put(&path(&new), wrong);
        let r = b.sync();
        assert_eq!((b.see("p1", "phone").as_str(), b.photo("p1").unwrap().len(), r.pending), ("200", 3, 1));
    }
    // A file of the right name and another content is one that this site cannot mend, and the other can.
    b.folder.put(&path(&new), new.clone());
    assert_eq!((b.sync().pending, b.photo("p1")), (0, Some(new)));
    cloud.carry();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn half_a_download_is_whole_the_next_time() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let new = bytes(1, 200_000);
    a.set_photo("p1", &new);
    a.sync();
    cloud.send(0, &mut |_| true);
    for part in [0, 300, 999] {
        cloud.fetch(1, &mut |p| if p.starts_with("blobs/") { Way::Torn(part) } else { Way::Whole });
        assert_eq!(b.sync().pending, 1);
    }
    cloud.fetch(1, &mut |_| Way::Whole);
    assert_eq!((b.sync().pending, b.photo("p1")), (0, Some(new)));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
}

#[test]
fn who_writes_over_what_has_not_come_has_not_seen_it() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
    a.set_photo("p1", &x);
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.sync();
    b.set_photo("p1", &y);
    b.sync();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!((s.photo("p1").as_ref(), s.superseded("p1", "photo").len()), (Some(&y), 1));
        assert!(s.can_give(&x) && s.can_give(&y));
    }
}

#[test]
fn a_required_value_keeps_its_row_back_until_it_comes() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let name = "n".repeat(LARGE);
    a.add("p2");
    a.edit("p2", "last_name", &name);
    a.visit("p2", "d2", "small");
    a.conn.execute("UPDATE allergy SET code = ?1", [&name]).unwrap();
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.sync();
    b.sync();
    // The row that is there keeps its value; the record whose root cannot be there waits whole.
    assert_eq!((b.see("p2", "phone").as_str(), b.get("SELECT code FROM allergy"), b.get("SELECT count(*) FROM visit")), ("(no row)", "nuts".into(), "1".into()));
    cloud.carry();
    b.sync();
    both_see(&a, &b, "p2", "last_name", &name);
    assert_eq!(b.get("SELECT count(*) FROM visit"), "2");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.get("SELECT length(code) FROM allergy"), LARGE.to_string());
}

#[test]
fn concurrent_photos_are_both_kept_whatever_happens_to_the_folder() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
    a.set_photo("p1", &x);
    b.pass(5000);
    b.set_photo("p1", &y);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    // Somebody empties the folder's blobs: what lost lives in both databases, in the host of neither.
    a.empty_blobs();
    cloud.carry();
    assert_eq!(b.blobs(), [""; 0]);
    for s in [&a, &b] {
        assert_eq!((s.photo("p1").as_ref(), s.kept()), (Some(&y), 1));
        assert!(s.can_give(&x));
    }
    a.pass(DAY_MS);
    a.sync();
    cloud.carry();
    let mut both = [path(&x), path(&y)];
    both.sort();
    assert_eq!(b.blobs(), both);
    // A person decides for the one that lost; without the folder's help.
    b.empty_blobs();
    let id = b.id("p1");
    let value = Value::of_content(false, &x);
    b.order(id, Order::Decide { row: RowKey::new("patient", id), field: FieldKey::shared("photo"), value, shown: None });
    b.sync();
    assert_eq!(b.photo("p1").as_ref(), Some(&x));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.photo("p1").as_ref(), a.kept(), b.kept()), (Some(&x), 0, 0));
}

#[test]
fn the_trash_keeps_its_bytes() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let note = "long ".repeat(LARGE);
    a.conn.execute("UPDATE visit SET notes = ?1", [&note]).unwrap();
    settle(&mut [&mut a, &mut b], &mut cloud);
    let id = a.id("p1");
    a.delete("p1");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.kept(), b.kept(), a.get("SELECT count(*) FROM visit")), (1, 1, "0".into()));
    a.empty_blobs();
    cloud.carry();
    b.restore(id);
    b.sync();
    assert!(b.get("SELECT notes FROM visit") == note && has(&b.folder, &path(note.as_bytes())));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(a.get("SELECT notes FROM visit") == note && a.kept() == 0 && b.kept() == 0);
}

#[test]
fn what_a_host_deletes_by_itself_comes_back_with_its_bytes() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let note = "long ".repeat(LARGE);
    a.conn.execute("UPDATE visit SET notes = ?1", [&note]).unwrap();
    settle(&mut [&mut a, &mut b], &mut cloud);
    b.sql("DELETE FROM visit");
    assert!(b.sync().restored > 0);
    assert!(b.get("SELECT notes FROM visit") == note);
    // The same while the folder has lost it as well: it waits for who has it.
    b.sql("DELETE FROM visit");
    b.empty_blobs();
    b.sync();
    assert_eq!(b.get("SELECT coalesce(notes, 'waits') FROM visit"), "waits");
    cloud.carry();
    a.full();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.get("SELECT notes FROM visit") == note);
}

#[test]
fn a_visit_with_a_long_note_moves_to_another_patient() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    a.add("p2");
    settle(&mut [&mut a, &mut b], &mut cloud);
    let note = "long ".repeat(LARGE);
    a.conn.execute("UPDATE visit SET notes = ?1", [&note]).unwrap();
    a.sync();
    a.sql("UPDATE visit SET patient_id = (SELECT patient_id FROM patient WHERE national_id = 'p2')");
    a.sync();
    a.empty_blobs();
    a.full();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert!(b.get("SELECT notes FROM visit JOIN patient USING (patient_id) WHERE national_id = 'p2'") == note);
}

#[test]
fn two_rows_swap_their_photos() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let (x, y) = (bytes(1, LARGE), bytes(2, LARGE));
    a.add("p2");
    a.set_photo("p1", &x);
    a.set_photo("p2", &y);
    let (m, n) = ("m".repeat(LARGE), "n".repeat(LARGE));
    a.visit("p1", "d2", &m);
    a.visit("p1", "d3", &n);
    settle(&mut [&mut a, &mut b], &mut cloud);
    // Between two records, and within one; the other host has all of it, at other places.
    a.set_photo("p1", &y);
    a.set_photo("p2", &x);
    a.sql("CREATE TEMP TABLE s AS SELECT day, notes FROM visit; UPDATE visit SET notes = (SELECT notes FROM s WHERE s.day = CASE visit.day WHEN 'd2' THEN 'd3' WHEN 'd3' THEN 'd2' ELSE visit.day END); DROP TABLE s");
    a.sync();
    cloud.carry_only(1, |p| !p.starts_with("blobs/"));
    b.empty_blobs();
    b.sync();
    b.sync();
    assert!((b.photo("p1"), b.photo("p2")) == (Some(y), Some(x)));
    assert!(b.get("SELECT notes FROM visit WHERE day = 'd2'") == n && b.get("SELECT notes FROM visit WHERE day = 'd3'") == m);
    cloud.carry();
    a.full();
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.kept(), b.kept()), (0, 0));
}

#[test]
fn an_inlined_value_of_an_older_program_is_the_same_value() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    let photo = bytes(1, LARGE);
    a.set_photo("p1", &photo);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    let id = a.id("p1");
    // As an older program left it: inlined in its state and in the file, nothing under `blobs/`.
    let mut inlined = a.known(&id);
    let entries = inlined.rows.get_mut(&RowKey::new("patient", id)).unwrap().fields.get_mut(&FieldKey::shared("photo")).unwrap();
    entries.0 = entries
        .0
        .iter()
        .cloned()
        .map(|mut e| {
            e.value = Value::Blob(photo.clone().into());
            e
        })
        .collect();
    let file = write_record(&inlined, &a.state().folder);
    let mut stored = a.state().load(&id).unwrap().unwrap();
    stored.known = inlined;
    a.state().save(&id, &stored, cloud_folder_sync::state::pack(&file, None).unwrap(), 0).unwrap();
    a.conn.execute_batch("DELETE FROM cfs_use; DELETE FROM cfs_blob").unwrap();
    a.empty_blobs();
    a.folder.put(&path_of(&id), file);
    cloud.carry();
    b.conn.execute_batch("DELETE FROM cfs_use; DELETE FROM cfs_blob").unwrap();
    // Nobody takes it for an edit, and the next who writes the record writes it as it is written now.
    assert_eq!((a.full().exported, b.full().exported), (0, 0));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((a.photo("p1"), b.photo("p1")), (Some(photo.clone()), Some(photo.clone())));
    assert!(a.superseded("p1", "photo").is_empty() && a.folder.get(&path(&photo)) == Some(photo));
    assert!(read_record(&a.folder.get(&path_of(&id)).unwrap(), &a.state().folder).unwrap().has_large());
}

#[test]
fn a_value_for_a_column_that_is_missing_here_is_kept_and_given_again() {
    let (mut all, mut cloud) = sites(1);
    let mut a = all.pop().unwrap();
    a.sql(schema::P1);
    let photo = bytes(1, LARGE);
    a.set_photo("p1", &photo);
    a.sync();
    cloud.carry();
    let sql = schema::SQL.replace(" photo BLOB,", "");
    let mut b = Site::with("south", cloud.join(), schema::open(&sql), schema::TOML);
    b.set_up();
    b.sync();
    assert!(b.kept() == 1 && b.can_give(&photo));
    b.edit("p1", "phone", "2");
    b.sync();
    // The one that has the column is gone, and the folder has lost the value.
    b.empty_blobs();
    b.full();
    cloud.carry();
    let mut c = Site::bare("east", cloud.join());
    c.set_up();
    c.sync();
    assert_eq!((c.photo("p1"), c.see("p1", "phone")), (Some(photo), "2".into()));
    let known_here = known(&b);
    assert!(known_here == known(&c));
}

#[test]
fn a_held_value_is_kept_and_given_again() {
    let (mut a, mut b, mut cloud) = two_with_p1();
    for s in [&mut a, &mut b] {
        let t = s.mapping.kind("patient").unwrap();
        s.mapping.types[t].match_on.clear();
    }
    let photo = bytes(1, LARGE);
    a.add("same");
    a.set_photo("same", &photo);
    b.add("same");
    a.sync();
    at_rest_but_held(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!((held(&b), b.kept()), (1, 1));
    b.empty_blobs();
    b.full();
    assert!(b.folder.get(&path(&photo)) == Some(photo.clone()));
    b.empty_blobs();
    b.edit("same", "national_id", "other");
    b.sync();
    assert!(b.photo("same") == Some(photo));
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    assert_eq!(b.kept(), 0);
}
