//! Large values: their content for people, and whether it is where it should be.

use super::verify::Verified;
use super::{Error, Synchronizer};
use crate::folder::Folder;
use crate::id::RecordId;
use crate::names;
use crate::state::{Place, State};
use crate::sync::lookup::Lookup;
use crate::sync::tell::display;
use crate::value::{Hash, Large, MAX_INLINE_BYTES, MAX_VALUE_BYTES, Value, hash};
use std::collections::BTreeSet;

/// The beginning of a long text, as much of it as a text can have that stands in a record itself.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(MAX_INLINE_BYTES) {
        Some((at, _)) => format!("{}… ({} characters in all)", text.get(..at).unwrap_or(text), text.chars().count()),
        None => text.to_owned(),
    }
}

impl Synchronizer {
    /// A value for people, whole; of a large text the beginning and how long it is, wherever that is.
    pub(super) fn display(&self, v: &Value) -> String {
        let (Some(large), Value::Stored { text: true, .. }) = (v.stored(), v) else { return display(v) };
        match self.large_content(large) {
            Ok(Some(content)) => beginning(&String::from_utf8_lossy(&content)),
            _ => format!("{}, not here yet", display(v)),
        }
    }

    /// The content of a large value: ours, the host's or the folder's.
    pub fn large_content(&self, (hash_wanted, size_bytes): Large) -> Result<Option<Vec<u8>>, Error> {
        let right = |b: &Vec<u8>| b.len() as u64 == size_bytes && hash(b) == hash_wanted;
        if let Some(b) = Lookup::new(&self.conn, self.state()?, &self.mapping).content(&hash_wanted)?.filter(right) {
            return Ok(Some(b));
        }
        Ok(self.folder.read(&names::blob_path(&hash_wanted), MAX_VALUE_BYTES)?.filter(right))
    }

    /// Checks the large values that a record refers to: in the folder and whole, and here. Those
    /// `seen` were checked before.
    pub(super) fn verify_large(&self, v: &mut Verified, state: &State<'_>, id: &RecordId, n: i64, seen: &mut BTreeSet<Hash>) -> Result<(), Error> {
        for u in state.uses(n)? {
            let path = names::blob_path(&u.large.0);
            if u.place == Place::Awaited {
                v.differs("file", Some(id), Some(&path), "a large value that the record refers to is not here; any site that has it writes it with its daily full look");
                continue;
            }
            if !seen.insert(u.large.0) {
                continue;
            }
            v.blobs += 1;
            if let Some(why) = self.damage(&u.large.0, &path) {
                v.differs("file", Some(id), Some(&path), why);
            }
            if u.place == Place::Ours && state.bytes(u.large)?.is_none_or(|b| hash(&b) != u.large.0) {
                v.differs("state", Some(id), None, "the content of a large value that the database should keep is not in it");
            }
        }
        Ok(())
    }

    /// What is wrong with a large value's file.
    fn damage(&self, wanted: &Hash, path: &str) -> Option<String> {
        match self.folder.digest(path, MAX_VALUE_BYTES) {
            Ok(Some((_, found))) if found == *wanted => None,
            Ok(Some(_)) => Some("the file of a large value does not hold what its name says; the next full synchronization writes it again (`--repair`)".into()),
            Ok(None) => Some("the file of a large value is not in the folder; the next full synchronization writes it again".into()),
            Err(e) => Some(e.to_string()),
        }
    }

    /// Has the files of large values that are damaged looked at, and written, with the next sync.
    pub(super) fn doubt_large(&self, state: &State<'_>) -> Result<(), Error> {
        for h in state.large_here()? {
            if self.damage(&h, &names::blob_path(&h)).is_some() {
                state.doubt(&h)?;
            }
        }
        Ok(())
    }
}
