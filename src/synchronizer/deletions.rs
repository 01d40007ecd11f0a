//! What was deleted: rows that wait for a person's word, and the trash.

use super::find::{RecordName, key_text, named};
use super::host_side::dead_trees;
use super::show::{TombstoneView, tombstone_view};
use super::{Error, Synchronizer};
use crate::host::local::Away;
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::{Record, Row, RowKey};
use crate::stamp::Stamp;
use crate::state::{self, Stored};
use crate::sync::Order;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A row that the host deleted and that waits for a person's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deletion {
    /// The record.
    #[serde(flatten)]
    pub name: RecordName,
    /// The row's table.
    pub table: String,
    /// The row's UUID.
    pub row: String,
    /// The key it had.
    pub row_key: Option<String>,
    /// How many rows go with it, itself included.
    pub rows: usize,
}

/// Something in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trashed {
    /// The record.
    #[serde(flatten)]
    pub name: RecordName,
    /// The row's table.
    pub table: String,
    /// The row's UUID.
    pub row: String,
    /// Whether it is the whole record.
    pub whole: bool,
    /// How many rows went with it, itself included.
    pub rows: usize,
    /// Who deleted it, when, where and why.
    pub tombstone: Option<TombstoneView>,
    /// Whether it can still be restored; not after its content was stripped.
    pub restorable: bool,
    /// Its fields as they were.
    pub fields: BTreeMap<String, String>,
    /// A mark of what is listed: another one, once something else was deleted below it.
    #[serde(skip)]
    pub mark: String,
}

impl Synchronizer {
    /// Rows that the host deleted and that wait for a person's word.
    pub fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        let mut out = Vec::new();
        for id in self.state()?.flagged(state::ASKED)? {
            let stored = self.stored(&id)?;
            for row in waiting(&stored) {
                let key = stored.local.rows.get(&row).and_then(|l| key_text(&l.key));
                out.push(Deletion { name: named(&stored), table: row.table.to_string(), row: row.id.to_string(), row_key: key, rows: merge::tree(&stored.known, &row).len() });
            }
        }
        Ok(out)
    }

    /// Days that what was deleted can be restored, as the folder's manifest says.
    pub fn retention_days(&self) -> Result<u64, Error> {
        Ok(self.manifest()?.retention_days)
    }

    /// What is in the trash, of one record or of all.
    pub fn trash(&self, record: Option<RecordId>) -> Result<Vec<Trashed>, Error> {
        let ids = match record {
            Some(id) => vec![id],
            None => self.state()?.flagged(state::TRASH)?,
        };
        let names = self.site_names()?;
        let mut out = Vec::new();
        for id in ids {
            let stored = self.stored(&id)?;
            for (key, rows) in dead_trees(&stored.known) {
                let Some(row) = stored.known.rows.get(&key) else { continue };
                let bare = row.is_bare();
                if bare && record.is_none() {
                    continue;
                }
                out.push(Trashed {
                    name: named(&stored),
                    table: key.table.to_string(),
                    row: key.id.to_string(),
                    whole: key == stored.known.root_key(),
                    rows,
                    tombstone: row.tombstone.as_ref().map(|t| tombstone_view(t, &names)),
                    restorable: !bare,
                    fields: row.fields.iter().filter_map(|(k, f)| Some((k.name.to_string(), self.display(&f.current()?.value)))).collect(),
                    mark: mark(&buried(&stored.known, &key)),
                });
            }
        }
        Ok(out)
    }

    /// The order that deletes a row and all below it, or (without a row) the record.
    pub fn delete(&self, id: RecordId, row: Option<&str>, why: &str) -> Result<Vec<(RecordId, Order)>, Error> {
        let stored = self.stored(&id)?;
        let row = row.map_or_else(|| Ok(stored.known.root_key()), |r| self.find_row(&stored, r))?;
        if merge::life(&stored.known).get(&row) != Some(&Life::Live) {
            return Err(Error::Usage("that is deleted already; `cfs trash` lists it".into()));
        }
        Ok(vec![(id, Order::Delete { row, why: why.to_owned(), by: None, request: None })])
    }

    /// The orders that confirm what the host deleted of a record.
    pub fn confirm(&self, id: RecordId) -> Result<Vec<(RecordId, Order)>, Error> {
        let rows = waiting(&self.stored(&id)?);
        if rows.is_empty() {
            return Err(none_waiting());
        }
        Ok(rows.into_iter().map(|row| (id, Order::Delete { row, why: "deleted in the host application, confirmed by a person".into(), by: None, request: None })).collect())
    }

    /// The orders that bring back what the host deleted of a record.
    pub fn take_back(&self, id: RecordId) -> Result<Vec<(RecordId, Order)>, Error> {
        let rows = waiting(&self.stored(&id)?);
        if rows.is_empty() {
            return Err(none_waiting());
        }
        Ok(rows.into_iter().map(|row| (id, Order::TakeBack { row })).collect())
    }

    /// The order that restores a record, or a row of it, from the trash.
    pub fn restore(&self, id: RecordId, row: Option<&str>) -> Result<Vec<(RecordId, Order)>, Error> {
        let stored = self.stored(&id)?;
        if stored.known.erased.is_some() {
            return Err(Error::Usage("the record was erased; nothing of it is left anywhere to restore".into()));
        }
        self.refuse_matched(&stored)?;
        let dead = dead_trees(&stored.known);
        let row = match row {
            Some(r) => self.find_row(&stored, r)?,
            None => match dead.as_slice() {
                [(one, _)] => one.clone(),
                [] => return Err(Error::Usage("nothing of that record is deleted".into())),
                many => {
                    return Err(Error::Usage(format!(
                        "{} rows of that record are in the trash, and the record itself is not deleted; say which row with --row TABLE:UUID, as `cfs trash show` lists them",
                        many.len()
                    )));
                }
            },
        };
        if merge::life(&stored.known).get(&row) != Some(&Life::Deleted) {
            return Err(Error::Usage("that row is not deleted".into()));
        }
        if stored.known.rows.get(&row).is_some_and(Row::is_bare) {
            return Err(Error::Usage("its content was stripped after the retention time; there is nothing left to restore".into()));
        }
        Ok(vec![(id, Order::Restore { row })])
    }

    /// The order that strips the content of a row, and of what went with it, before the retention time is over, if
    /// nothing else was deleted there since the mark was given.
    pub fn purge(&self, id: RecordId, row: &str, seen: &str) -> Result<Vec<(RecordId, Order)>, Error> {
        let stored = self.stored(&id)?;
        let row = self.find_row(&stored, row)?;
        let tombstones = buried(&stored.known, &row);
        if merge::life(&stored.known).get(&row) != Some(&Life::Deleted) || mark(&tombstones) != seen {
            return Err(Error::Usage("it has changed since you looked; look again, then decide".into()));
        }
        Ok(vec![(id, Order::Strip { tombstones, asked: true })])
    }

    /// How many rows of each table a record has, for a warning before they go.
    pub fn row_counts(&self, id: RecordId) -> Result<BTreeMap<String, usize>, Error> {
        let mut out = BTreeMap::new();
        for key in self.stored(&id)?.known.rows.keys() {
            *out.entry(key.table.to_string()).or_insert(0) += 1;
        }
        Ok(out)
    }
}

/// Rows of a record that wait for a person's word, without those below another of them.
fn waiting(stored: &Stored) -> Vec<RowKey> {
    let asked: Vec<&RowKey> = stored.local.rows.iter().filter(|(_, l)| l.away == Some(Away::Deleted)).map(|(k, _)| k).collect();
    let above = |k: &RowKey| merge::above(&stored.known, k).iter().any(|a| asked.contains(&a));
    asked.iter().filter(|k| !above(k)).map(|k| (*k).clone()).collect()
}

fn none_waiting() -> Error {
    Error::Usage("no deletion of that record waits for a decision; `cfs deletions` lists those that do".into())
}

/// The stamps of the tombstones of a row and of all below it.
fn buried(known: &Record, row: &RowKey) -> BTreeSet<Stamp> {
    merge::tree(known, row).iter().chain([row]).filter_map(|k| known.rows.get(k)?.tombstone.as_ref()).map(|t| t.stamp).collect()
}

fn mark(tombstones: &BTreeSet<Stamp>) -> String {
    let mut hash = Sha256::new();
    for t in tombstones {
        hash.update(t.time.text());
        hash.update(t.site.as_bytes());
    }
    crate::xml::hex(&hash.finalize())
}
