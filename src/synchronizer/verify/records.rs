//! Every record: what is known against its file and against the host's rows.
//!
//! A chain of clinics has a hundred thousand: files are read on one thread, what is known on
//! another, and this one reads the host, many records at once. What does not agree is looked at
//! once more by itself, so that somebody who works meanwhile is no difference.

use super::super::host_side::Apart;
use super::{Error, Synchronizer, Verified};
use crate::folder::Folder;
use crate::host::key::{HostKey, encode};
use crate::host::rows::{self, HostRecord};
use crate::id::RecordId;
use crate::names;
use crate::state::{self, State, Stored};
use crate::sync::Progress;
use crate::sync::lookup::Lookup;
use crate::value::Hash;
use crate::xml::{self, MAX_FILE_BYTES};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, sync_channel};

/// How many records are read ahead.
const AHEAD: usize = 64;
/// How many records of the host are read at once.
const BLOCK: usize = 128;

/// A record, its type, and the key of its root row.
type Listed = (RecordId, String, Option<HostKey>);
/// What another thread read of a record.
type Known = Result<Option<(Stored, String)>, state::Error>;

impl Synchronizer {
    pub(super) fn verify_records(&self, v: &mut Verified, progress: Progress<'_>) -> Result<(), Error> {
        let state = self.state()?;
        let listed = state.listed()?;
        let (folder, list, id_of_folder) = (&self.folder, &listed, state.folder);
        let database = self.config.database.clone();
        std::thread::scope(|s| {
            let (send, files) = sync_channel(AHEAD);
            // They end with the list, or when nobody listens any more.
            s.spawn(move || list.iter().try_for_each(|(id, kind, _)| send.send(sealed(folder, &names::record_path(kind, id)))).ok());
            let (send, known) = sync_channel::<Known>(AHEAD);
            s.spawn(move || {
                let Ok(conn) = crate::synchronizer::open_database(&database) else { return };
                let state = State::new(&conn, id_of_folder);
                for (id, ..) in list {
                    if send.send(state.load_sealed(id)).is_err() {
                        break;
                    }
                }
            });
            self.compare(v, list, &files, &known, progress)
        })
    }

    fn compare(&self, v: &mut Verified, list: &[Listed], files: &Receiver<Option<String>>, known: &Receiver<Known>, progress: Progress<'_>) -> Result<(), Error> {
        let state = self.state()?;
        let key = crate::sync::read_manifest(&self.folder)?.key;
        let lookup = Lookup::new(&self.conn, state, &self.mapping);
        let mut seen = BTreeSet::new();
        for block in list.chunks(BLOCK) {
            let mut host = self.read_block(block)?;
            for (id, _, root) in block {
                v.records += 1;
                progress("reading records", v.records, list.len() as u64);
                let file = files.recv().unwrap_or_default();
                // A thread that cannot open the database leaves it to this one.
                let (stored, hash) = match known.recv().unwrap_or_else(|_| state.load_sealed(id)) {
                    Ok(Some(s)) => s,
                    Ok(None) => continue,
                    Err(e @ state::Error::Damaged(_)) => {
                        v.differs("state", Some(id), None, e.to_string());
                        continue;
                    }
                    Err(e) => return Err(e.into()),
                };
                let image = match root.as_ref().and_then(|k| host.remove(&encode(k))) {
                    Some(rows) => self.image_of(&stored, rows, &key, &lookup)?,
                    None => self.image(&stored, &key, &lookup)?,
                };
                if file == Some(hash) && stored.flags & state::HELD == 0 && self.apart(&stored, &image).is_empty() {
                    self.verify_large(v, &state, id, stored.n, &mut seen)?;
                } else {
                    self.verify_record(v, id, &key, &lookup, &mut seen)?;
                }
            }
        }
        Ok(())
    }

    /// The host's rows of many records, where their keys lie close together.
    fn read_block(&self, block: &[Listed]) -> Result<BTreeMap<Vec<u8>, HostRecord>, Error> {
        let Some((_, kind, _)) = block.first() else { return Ok(BTreeMap::new()) };
        let keys: Vec<&HostKey> = block.iter().filter(|(_, k, _)| k == kind).filter_map(|(.., root)| root.as_ref()).collect();
        let span = keys.first().zip(keys.last()).and_then(|(a, b)| rows::close(a, b, keys.len()));
        match self.mapping.kind(kind).zip(span) {
            Some((kind, span)) => Ok(rows::read(&self.conn, &self.mapping, kind, span)?),
            None => Ok(BTreeMap::new()),
        }
    }

    /// One record, as it is now.
    fn verify_record(&self, v: &mut Verified, id: &RecordId, key: &[u8], lookup: &Lookup<'_>, seen: &mut BTreeSet<Hash>) -> Result<(), Error> {
        let state = lookup.state;
        lookup.forget(id);
        let Some(stored) = state.load(id)? else { return Ok(()) };
        let file = self.file_view(&stored.known)?;
        if file.state != "same" {
            if stored.flags & state::BEHIND != 0 {
                v.note("file", Some(id), Some(&file.path), "another site's log told us more than its file holds yet; that site still has to write it");
            } else {
                v.differs("file", Some(id), Some(&file.path), file.note);
            }
        }
        self.verify_large(v, &state, id, stored.n, seen)?;
        if stored.flags & state::HELD != 0 {
            v.note("record", Some(id), None, format!("held: {}", stored.reason.clone().unwrap_or_default()));
        }
        let image = self.image(&stored, key, lookup)?;
        for apart in self.apart(&stored, &image) {
            let (table, words) = match &apart {
                Apart::New(k) => (k, "a row that is in the database only".to_owned()),
                Apart::Changed(k, field) => (k, format!("{field} was changed in the database and not sent yet")),
                Apart::Gone(k) => (k, "a row is gone from the database without a tombstone".to_owned()),
                Apart::Away(k, _) if stored.flags & state::HELD != 0 => (k, String::new()),
                Apart::Away(k, Some(_)) => {
                    let why = if stored.flags & state::ASKED != 0 { "deleted here, waits for a person (`cfs deletions`)" } else { "what it needs is not here" };
                    v.note("record", Some(id), None, format!("{}: a row is not in the database: {why}", k.table));
                    continue;
                }
                Apart::Away(k, None) => (k, "a row is known and not in the database".to_owned()),
            };
            if !words.is_empty() {
                v.differs("record", Some(id), None, format!("{}: {words}", table.table));
            }
        }
        Ok(())
    }
}

/// The hash of a file that is whole.
fn sealed(folder: &dyn Folder, path: &str) -> Option<String> {
    let bytes = folder.read(path, MAX_FILE_BYTES).ok()??;
    xml::unseal(&bytes, "record").ok().map(|(_, hash)| hash.to_owned())
}
