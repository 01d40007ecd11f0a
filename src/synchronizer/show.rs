//! One record as the folder and the database have it.

use super::find::{RecordName, SiteName, SiteNames, Values, Written, key_text, moment, named};
use super::history::ChangeView;
use super::host_side::Apart;
use super::matching::SameView;
use super::{Error, Synchronizer};
use crate::folder::Folder;
use crate::host::image::Image;
use crate::host::local::Away;
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::{Field, FieldKey, Record, Row, RowKey, Tombstone};
use crate::state::{self, Stored};
use crate::sync::lookup::Lookup;
use crate::xml::{self, MAX_FILE_BYTES};
use serde::Serialize;

/// A record's file in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileView {
    /// Its path in the folder.
    pub path: String,
    /// `same`, `differs`, `missing`, `torn` or `unreadable`.
    pub state: &'static str,
    /// More about that, in words.
    pub note: String,
}

/// One value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueView {
    /// The value, for people.
    pub value: String,
    /// Whether there is none: the database has NULL.
    pub null: bool,
    /// When and where it was written.
    pub written: Written,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldView {
    /// Its name.
    pub field: String,
    /// The site whose own number it is, for a local column.
    pub place: Option<SiteName>,
    /// The value's SQLite type, or `ref`.
    pub r#type: &'static str,
    /// The current value, for people.
    pub value: String,
    /// What the database holds, where the row is there.
    pub database: Option<String>,
    /// Whether that is something else than the current value.
    pub differs: bool,
    /// When and where the current value was written.
    pub written: Written,
    /// Values that lost against it and wait for a person.
    pub superseded: Vec<ValueView>,
}

/// A tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TombstoneView {
    /// When and where it was made.
    pub written: Written,
    /// Who made it.
    pub by: String,
    /// Why.
    pub why: String,
    /// The record that the row moved to.
    pub moved_to: Option<String>,
    /// Whether the content was stripped after the retention time.
    pub bare: bool,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowView {
    /// Its table.
    pub table: String,
    /// Its UUID.
    pub row: String,
    /// Its local primary key, if the database has it.
    pub key: Option<String>,
    /// `live`, `deleted`, `partial`, `waiting`, `deleted here` or `not here`.
    pub state: &'static str,
    /// When and where it was inserted.
    pub written: Written,
    /// Its tombstone, whether or not it holds.
    pub tombstone: Option<TombstoneView>,
    /// Its fields.
    pub fields: Vec<FieldView>,
}

/// A record with everything that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordView {
    /// Which.
    #[serde(flatten)]
    pub name: RecordName,
    /// `live`, `deleted` or `erased`.
    pub state: &'static str,
    /// Why the host refuses it, if it is held.
    pub held: Option<String>,
    /// The same in plain words.
    pub held_words: Option<String>,
    /// Whether rows wait for another record.
    pub waiting: bool,
    /// Its file.
    pub file: FileView,
    /// What has been seen of it: for each site the newest stamp.
    pub version: Vec<Written>,
    /// What was said about it and other records being one.
    pub same_as: Vec<SameView>,
    /// Its rows, the root first.
    pub rows: Vec<RowView>,
    /// What happened to it, if that was asked for.
    pub history: Option<Vec<ChangeView>>,
}

impl Synchronizer {
    /// One record as the folder and the database have it.
    pub fn show(&self, id: RecordId, history: bool) -> Result<RecordView, Error> {
        let stored = self.stored(&id)?;
        let state = self.state()?;
        let names = self.site_names()?;
        let key = self.manifest()?.key;
        let image = self.image(&stored, &key, &Lookup::new(&self.conn, state, &self.mapping))?;
        let apart = self.apart(&stored, &image);
        let lives = merge::life(&stored.known);
        let root = stored.known.root_key();
        let mut keys: Vec<&RowKey> = stored.known.rows.keys().collect();
        // The root first, then as the schema has the tables, then by local key.
        keys.sort_by_key(|k| {
            let local = stored.local.rows.get(*k).map(|l| l.key.clone());
            (**k != root, self.mapping.table(&k.table).unwrap_or(usize::MAX), local.is_none(), local, (*k).clone())
        });
        let look = Look { s: self, stored: &stored, image: &image, apart: &apart, names: &names, values: Values::new(self) };
        let rows = keys.into_iter().filter_map(|k| Some(look.row_view(k, stored.known.rows.get(k)?, *lives.get(k)?)));
        let mut version: Vec<Written> = stored.known.version.0.iter().map(|(s, t)| Written { time: moment(t.ms), site: names.of(s) }).collect();
        version.sort_by(|a, b| a.site.name.cmp(&b.site.name));
        let held = stored.reason.clone().filter(|_| stored.flags & state::HELD != 0);
        Ok(RecordView {
            name: named(&stored),
            state: if stored.known.erased.is_some() {
                "erased"
            } else if stored.flags & state::DELETED != 0 {
                "deleted"
            } else {
                "live"
            },
            held_words: held.as_ref().map(|why| self.refusal(&id, why)).transpose()?.map(|(words, _)| words),
            held,
            waiting: stored.flags & state::WAITING != 0,
            file: self.file_view(&stored.known)?,
            version,
            same_as: self.same_views(&stored)?,
            rows: rows.collect(),
            history: history.then(|| self.history(id)).transpose()?,
        })
    }

    /// A record's file, against what is known.
    pub(super) fn file_view(&self, known: &Record) -> Result<FileView, Error> {
        let path = crate::names::record_path(&known.kind, &known.id);
        let folder = self.state()?.folder;
        let view = |state, note: &str| FileView { path: path.clone(), state, note: note.to_owned() };
        if let Some(why) = self.folder_away() {
            return Ok(view("unreadable", &format!("the sync folder is away: {why}")));
        }
        let bytes = match self.folder.read(&path, MAX_FILE_BYTES) {
            Ok(Some(b)) => b,
            Ok(None) => return Ok(view("missing", "the file is not in the folder; it is written again at the next full look, once a day or with `cfs sync --full`")),
            Err(e) => return Ok(view("unreadable", &e.to_string())),
        };
        if bytes == xml::write_record(known, &folder) {
            return Ok(view("same", "the same in the folder and here"));
        }
        Ok(match xml::read_record(&bytes, &folder) {
            Err(e @ xml::Error::Incomplete(_)) => view("torn", &e.to_string()),
            Err(e) => view("unreadable", &e.to_string()),
            Ok(r) if r.id != known.id => view("differs", "another record is in it"),
            Ok(r) => match (merge::join(known, &r) == *known, merge::join(&r, known) == r) {
                (true, _) => view("differs", "the file lacks what is known here; the next full synchronization writes it again"),
                (_, true) => view("differs", "the file has news; the next synchronization takes them in"),
                _ => view("differs", "the file has news and lacks some that is known here; the next synchronization joins them"),
            },
        })
    }
}

/// What says something of a row.
struct Look<'a> {
    s: &'a Synchronizer,
    stored: &'a Stored,
    image: &'a Image,
    apart: &'a [Apart],
    names: &'a SiteNames,
    values: Values<'a>,
}

impl Look<'_> {
    fn row_view(&self, key: &RowKey, row: &Row, life: Life) -> RowView {
        let names = self.names;
        let local = self.stored.local.rows.get(key);
        let away = self.apart.iter().find_map(|a| match a {
            Apart::Away(k, away) if k == key => Some(*away),
            Apart::Gone(k) if k == key => Some(None),
            _ => None,
        });
        let state = match (life, away) {
            (Life::Deleted, _) => "deleted",
            (Life::Partial, _) => "partial",
            (Life::Live, None) => "live",
            (Life::Live, Some(Some(Away::Waiting))) => "waiting",
            (Life::Live, Some(Some(Away::Deleted))) => "deleted here",
            (Life::Live, Some(None)) => "not here",
        };
        let mut fields: Vec<FieldView> = row.fields.iter().filter_map(|(f, v)| self.field_view(key, f, v)).collect();
        let place = |f: &FieldView| f.place.as_ref().map(|p| p.name.clone());
        fields.sort_by(|a, b| a.field.cmp(&b.field).then_with(|| place(a).cmp(&place(b))));
        RowView {
            table: key.table.to_string(),
            row: key.id.to_string(),
            key: local.filter(|l| l.away.is_none()).and_then(|l| key_text(&l.key)),
            state,
            written: names.written(&row.stamp),
            tombstone: row.tombstone.as_ref().map(|t| tombstone_view(t, names)),
            fields,
        }
    }

    fn field_view(&self, key: &RowKey, f: &FieldKey, v: &Field) -> Option<FieldView> {
        let (names, mapping) = (self.names, &self.s.mapping);
        let text = |v| self.values.text(v, self.stored);
        let current = v.current()?;
        let rule = mapping.table(&key.table).and_then(|t| mapping.tables.get(t)).and_then(|t| t.column(&f.name)).map(|c| c.rule).unwrap_or_default();
        let shown = &*merge::shown(v, rule)?;
        let here = self.image.rows.get(key).and_then(|r| r.fields.get(f));
        Some(FieldView {
            field: f.name.to_string(),
            place: f.place.map(|p| names.of(&p)),
            r#type: shown.type_name(),
            value: text(shown),
            database: here.map(text),
            differs: here.is_some_and(|h| h != shown),
            written: names.written(&current.stamp),
            superseded: v
                .superseded()
                .into_iter()
                .filter(|_| !merge::settles(v, rule))
                .map(|e| ValueView { value: text(&e.value), null: e.value.is_null(), written: names.written(&e.stamp) })
                .collect(),
        })
    }
}

/// A tombstone for people and programs.
pub(super) fn tombstone_view(t: &Tombstone, names: &SiteNames) -> TombstoneView {
    TombstoneView { written: names.written(&t.stamp), by: t.by.clone(), why: t.why.clone(), moved_to: t.moved_to.map(|(r, _)| r.to_string()), bare: t.bare }
}
