//! Finding a record by what a person knows of it: a name, or the number that the host shows.

use super::find::{FAMILY, FULL, GIVEN, RecordName, named};
use super::{Error, Synchronizer};
use crate::host::key::HostKey;
use crate::host::looks::words;
use crate::host::mapping::Table;
use crate::host::rows::{quote, value_of};
use crate::id::RecordId;
use crate::merge;
use crate::shared::Name;
use crate::state::{self, State};
use crate::value::Value;
use serde::Serialize;

/// A record that a person may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meant {
    /// The record.
    #[serde(flatten)]
    pub name: RecordName,
    /// Whether it is in the trash.
    pub deleted: bool,
}

impl Synchronizer {
    /// Records that a person may mean: by the host's number, by an id or the start of one, or by names that hold all
    /// of the words, in any order. What is deleted comes last. At most so many.
    ///
    /// The names are read from the host, where they are columns of the root table, so that it costs one reading of that
    /// table; else from what is known, which costs as much as reading all records.
    pub fn people(&self, text: &str, most: usize) -> Result<Vec<Meant>, Error> {
        let text = text.trim();
        let wanted: Vec<String> = text.to_lowercase().split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.state()?;
        let mut found = Found { ids: Vec::new(), most };
        let types = self.mapping.types.iter().enumerate().filter(|(_, k)| !k.shared);
        let keys = types.clone().filter_map(|(_, k)| self.find(&format!("{}:{text}", k.name)).ok());
        found.add(keys.chain(self.find(text).ok()).collect::<Vec<_>>());
        for (n, k) in types {
            let names = self.mapping.root(n).map(|t| (t, name_columns(t))).filter(|(_, c)| !c.is_empty());
            match names {
                Some((root, columns)) => found.add(of_host(&state, (&k.name, root), &columns, &wanted)?),
                None => found.add(of_known(&state, state.all(Some(&k.name))?, &wanted, false)?),
            }
        }
        found.add(of_known(&state, state.flagged(state::DELETED)?, &wanted, true)?);
        let meant = |id| self.stored(id).map(|s| Meant { name: named(&s), deleted: s.flags & state::DELETED != 0 });
        found.ids.iter().map(meant).collect()
    }
}

/// Columns of a table that hold names of people or things.
fn name_columns(t: &Table) -> Vec<Name> {
    let is_name = |c: &Name| {
        let word = words(c).concat();
        FAMILY.iter().chain(&GIVEN).chain(&FULL).any(|w| *w == word)
    };
    t.columns.iter().map(|c| &c.name).filter(|c| is_name(c)).cloned().collect()
}

/// Records whose root rows have all of the words in columns of the host.
fn of_host(state: &State<'_>, (kind, root): (&str, &Table), columns: &[Name], wanted: &[String]) -> Result<Vec<RecordId>, Error> {
    let keys = root.key_columns().len();
    let list: Vec<String> = root.key_columns().iter().chain(columns).map(|c| root.sql(c)).collect();
    let mut q = state.conn.prepare(&format!("SELECT {} FROM {}", list.join(", "), quote(&root.name)))?;
    let mut rows = q.query([])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        let mut text = String::new();
        for i in keys..list.len() {
            if let Value::Text(t) = value_of(r.get_ref(i)?) {
                text.push_str(&String::from_utf8_lossy(&t).to_lowercase());
                text.push(' ');
            }
        }
        if wanted.iter().all(|w| text.contains(w.as_str())) {
            let key = (0..keys).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<HostKey>>()?;
            out.extend(state.by_root_key(kind, &key)?);
        }
    }
    Ok(out)
}

/// Records whose labels have all of the words.
fn of_known(state: &State<'_>, ids: Vec<RecordId>, wanted: &[String], deleted: bool) -> Result<Vec<RecordId>, Error> {
    let mut out = Vec::new();
    for id in ids {
        let Some(stored) = state.load(&id)?.filter(|s| (s.flags & state::DELETED != 0) == deleted && merge::same_target(&s.known).is_none()) else { continue };
        let label = named(&stored).label.to_lowercase();
        if wanted.iter().all(|w| label.contains(w.as_str())) {
            out.push(id);
        }
    }
    Ok(out)
}

struct Found {
    ids: Vec<RecordId>,
    most: usize,
}

impl Found {
    fn add(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        for id in ids {
            if self.ids.len() < self.most && !self.ids.contains(&id) {
                self.ids.push(id);
            }
        }
    }
}
