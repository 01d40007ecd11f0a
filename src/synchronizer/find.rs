//! Finding what a person names: records, rows and sites; and naming them back.

use super::{Error, Synchronizer};
use crate::host::key::HostKey;
use crate::host::looks::words;
use crate::id::{RecordId, RowId, SiteId, Uuid};
use crate::record::{Record, Row, RowKey};
use crate::site::Site;
use crate::stamp::{Stamp, Time};
use crate::state::{State, Stored};
use crate::sync::tell::display;
use crate::value::Value;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A site, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SiteName {
    /// Its UUID.
    pub id: String,
    /// Its name, or the start of its UUID if no name is known here.
    pub name: String,
}

/// A record, for people and programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RecordName {
    /// Its UUID.
    pub record: String,
    /// Its type.
    pub r#type: String,
    /// The local primary key of its root row, if the database has it.
    pub key: Option<String>,
    /// A few words by which a person knows it. Patient data: for the terminal only.
    pub label: String,
}

/// When and where something was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// UTC, to the millisecond.
    pub time: String,
    /// Where.
    pub site: SiteName,
}

/// The names of all sites that are known here.
#[derive(Debug, Clone, Default)]
pub struct SiteNames(BTreeMap<SiteId, String>);

impl SiteNames {
    /// A site with its name.
    pub fn of(&self, id: &SiteId) -> SiteName {
        let name = self.0.get(id).cloned().unwrap_or_else(|| format!("site {}", &id.to_string()[..8]));
        SiteName { id: id.to_string(), name }
    }

    /// When and where a stamp was made.
    pub fn written(&self, s: &Stamp) -> Written {
        Written { time: moment(s.time.ms), site: self.of(&s.site) }
    }
}

/// A time for reports: `2026-11-21T23:17:04.123Z`.
pub fn moment(ms: u64) -> String {
    let text = Time { ms, counter: 0 }.text();
    text.split_once('+').map_or(text.clone(), |(t, _)| t.to_owned())
}

/// A key for people: its values with commas.
pub(crate) fn key_text(key: &HostKey) -> Option<String> {
    (!key.is_empty()).then(|| key.iter().map(display).collect::<Vec<_>>().join(","))
}

/// The values that a person may have meant by a key.
fn meant(text: &str, width: usize) -> Vec<HostKey> {
    let parts: Vec<&str> = if width > 1 { text.split(',').collect() } else { vec![text] };
    let numbers: Option<HostKey> = parts.iter().map(|p| p.trim().parse().ok().map(Value::Integer)).collect();
    let mixed: HostKey = parts.iter().map(|p| p.trim().parse().map_or_else(|_| Value::text(*p), Value::Integer)).collect();
    let texts: HostKey = parts.iter().map(|p| Value::text(*p)).collect();
    numbers.into_iter().chain([mixed, texts]).collect()
}

impl Synchronizer {
    /// The names of all sites.
    pub fn site_names(&self) -> Result<SiteNames, Error> {
        let state = self.state()?;
        let mut names = BTreeMap::new();
        for id in state.peers()? {
            if let Some(s) = state.peer(&id)?.file.and_then(|b| Site::read(&b, &state.folder).ok()) {
                if let Some(before) = s.before {
                    names.entry(before).or_insert_with(|| format!("{} (before)", s.name));
                }
                names.insert(id, s.name);
            }
        }
        if let Some(before) = state.meta_uuid("site_before")? {
            names.insert(before, format!("{} (before)", self.config.site));
        }
        names.insert(state.site()?, self.config.site.clone());
        Ok(SiteNames(names))
    }

    /// The record that a person names: a UUID, the start of one (four digits or more), or
    /// `type:key` with the local primary key.
    pub fn find(&self, text: &str) -> Result<RecordId, Error> {
        let state = self.state()?;
        if let Some((kind, key)) = text.split_once(':') {
            return self.find_by_key(&state, kind, key);
        }
        let hex: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        if hex.len() < 4 || hex.len() > 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::Usage(format!(
                "a record is named by its UUID, by the first 4 or more digits of it, or as type:key with the key that this database has for it, for example {}:17",
                self.example_type()
            )));
        }
        let found = state.with_prefix(&hex, 4)?;
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::Usage("no record known here has a UUID that starts so; `cfs log` and `cfs trash` list the UUIDs of records".into())),
            several => {
                let some: Vec<String> = several.iter().take(3).map(|id| id.to_string()[..13].to_owned()).collect();
                Err(Error::Usage(format!("several records' UUIDs start so ({}, …); give more digits", some.join(", "))))
            }
        }
    }

    fn find_by_key(&self, state: &State<'_>, kind: &str, key: &str) -> Result<RecordId, Error> {
        let types = self.mapping.types.iter().enumerate();
        let Some((n, found)) = types.into_iter().find(|(_, t)| t.name.eq_ignore_ascii_case(kind) || crate::names::type_name(&t.name) == kind) else {
            let names: Vec<&str> = self.mapping.types.iter().map(|t| t.name.as_str()).collect();
            let near = crate::config::nearest(kind, names.iter().copied()).map_or_else(|| ".".to_owned(), |n| format!("; did you mean `{n}`?"));
            return Err(Error::Usage(format!("there is no record type of that name{near} The types are: {}", names.join(", "))));
        };
        let width = self.mapping.root(n).map_or(1, |r| r.key_columns().len());
        for key in meant(key, width) {
            if let Some(id) = state.by_root_key(&found.name, &key)? {
                return Ok(id);
            }
        }
        Err(Error::Usage(format!("no {} with that key is known to cfs here; if it is new, run `cfs sync` first; if it was deleted, look for it in `cfs trash`", found.name)))
    }

    fn example_type(&self) -> &str {
        self.mapping.types.iter().find(|t| !t.shared).map_or("patient", |t| &t.name)
    }

    /// The row that a person names in a record: `table:key` with the local primary key, or
    /// `table:` and the row's UUID or the start of it; the root table's name alone is the root row.
    pub fn find_row(&self, stored: &Stored, text: &str) -> Result<RowKey, Error> {
        let (table, key) = match text.split_once(':') {
            Some((t, k)) => (t, k),
            None if text.eq_ignore_ascii_case(&stored.known.kind) => return Ok(stored.known.root_key()),
            None => return Err(Error::Usage("a row is named as TABLE:KEY, with the key that this database has for it or its UUID".into())),
        };
        let rows: Vec<&RowKey> = stored.known.rows.keys().filter(|k| k.table.eq_ignore_ascii_case(table)).collect();
        let Some(first) = rows.first() else {
            return Err(Error::Usage("the record has no row in a table of that name; `cfs show` lists its rows".into()));
        };
        let width = self.mapping.table(&first.table).and_then(|t| self.mapping.tables.get(t)).map_or(1, |t| t.key_columns().len());
        for key in meant(key, width) {
            if let Some(row) = stored.local.find(&first.table, &key) {
                return Ok(row.clone());
            }
        }
        let hex: String = key.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let starts = |id: &RowId| id.simple().to_string().starts_with(&hex);
        let found: Vec<&&RowKey> = rows.iter().filter(|k| hex.len() >= 4 && starts(&k.id)).collect();
        match found.as_slice() {
            [one] => Ok((**one).clone()),
            [] => Err(Error::Usage("the record has no such row; `cfs show` lists its rows with their keys".into())),
            _ => Err(Error::Usage("several rows' UUIDs start so; give more digits".into())),
        }
    }

    /// Loads a record that must be known.
    pub(super) fn stored(&self, id: &RecordId) -> Result<Stored, Error> {
        self.state()?.load(id)?.ok_or_else(|| Error::Usage("that record is not known here".into()))
    }

    /// A record with its label, for lists.
    pub fn name_of(&self, id: &RecordId) -> Result<RecordName, Error> {
        match self.state()?.load(id)? {
            Some(s) => Ok(named(&s)),
            None => Ok(RecordName { record: id.to_string(), r#type: String::new(), key: None, label: String::new() }),
        }
    }
}

/// A stored record with its label.
pub(crate) fn named(s: &Stored) -> RecordName {
    RecordName { record: s.known.id.to_string(), r#type: s.known.kind.to_string(), key: s.root_key.as_ref().and_then(key_text), label: label(&s.known) }
}

/// Values for people: where one points to, by local key and label.
pub(super) struct Values<'s> {
    s: &'s Synchronizer,
    labels: RefCell<BTreeMap<RecordId, String>>,
}

impl<'s> Values<'s> {
    pub(super) fn new(s: &'s Synchronizer) -> Self {
        Values { s, labels: RefCell::default() }
    }

    /// A value of a record's row.
    pub(super) fn text(&self, v: &Value, of: &Stored) -> String {
        let Value::Ref(r) = v else { return self.s.display(v) };
        if let Some(key) = of.local.rows.get(&RowKey::new(r.table.clone(), r.row)).filter(|l| l.away.is_none()).and_then(|l| key_text(&l.key)) {
            return format!("{}:{key}", r.table);
        }
        let target = r.record.unwrap_or(r.row);
        if let Some(known) = self.labels.borrow().get(&target) {
            return known.clone();
        }
        let found = self.s.name_of(&target).ok().filter(|n| !n.r#type.is_empty() && r.row == target);
        let text = found.map_or_else(|| display(v), |n| format!("{}:{} {}", r.table, n.key.unwrap_or_else(|| r.row.to_string()[..8].to_owned()), n.label).trim_end().to_owned());
        self.labels.borrow_mut().insert(target, text.clone());
        text
    }
}

/// What columns of family names are called, their words in one.
pub(super) const FAMILY: [&str; 5] = ["lastname", "surname", "familyname", "family", "last"];
/// The same of given names.
pub(super) const GIVEN: [&str; 5] = ["firstname", "givenname", "forename", "given", "first"];
/// The same of whole names.
pub(super) const FULL: [&str; 3] = ["fullname", "name", "displayname"];

/// A few words by which a person knows a record, from columns that are named like names: of its root row, else
/// of a row of which it has one.
pub fn label(r: &Record) -> String {
    let Some(root) = r.root() else { return String::new() };
    let own = label_of(root, false);
    if !own.is_empty() {
        return own;
    }
    let single = |k: &&RowKey| r.rows.keys().filter(|o| o.table == k.table).count() == 1;
    let found = r.rows.keys().filter(single).filter_map(|k| r.rows.get(k)).map(|row| label_of(row, false)).find(|l| !l.is_empty());
    found.unwrap_or_else(|| label_of(root, true))
}

fn label_of(root: &Row, weak: bool) -> String {
    let text = |wanted: &[&str]| {
        wanted.iter().find_map(|w| {
            root.fields
                .iter()
                .find(|(k, _)| k.place.is_none() && words(&k.name).concat() == *w)
                .and_then(|(_, f)| f.current())
                .map(|e| &e.value)
                .filter(|v| matches!(v, Value::Text(t) if !t.is_empty()))
                .map(display)
        })
    };
    let family = text(&FAMILY);
    let given = text(&GIVEN);
    let label = match (family, given) {
        (Some(f), Some(g)) => format!("{f}, {g}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if weak => text(&["label", "title", "description", "code"]).unwrap_or_default(),
        (None, None) => text(&FULL).unwrap_or_default(),
    };
    if label.chars().count() > 40 { label.chars().take(39).chain(['…']).collect() } else { label }
}

/// A record's UUID from text that a program gave.
pub fn record_id(text: &str) -> Option<RecordId> {
    Uuid::parse_str(text).ok()
}
