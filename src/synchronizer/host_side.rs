//! One record as the host database holds it now, and where that is not what is known.

use super::{Error, Synchronizer};
use crate::host::apply::raw;
use crate::host::image::{self, Image, ImageRow};
use crate::host::local::{Away, print};
use crate::host::loose;
use crate::host::mapping::{Rule, Table};
use crate::host::rows::{self, HostRecord};
use crate::id::Random;
use crate::merge::{self, Life};
use crate::record::{Record, Row, RowKey};
use crate::state::Stored;
use crate::sync::lookup::Lookup;
use crate::value::Value;
use std::collections::BTreeSet;

/// A place where host and known state are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Apart {
    /// The host has a row that is not known.
    New(RowKey),
    /// The host's field is not what was last applied.
    Changed(RowKey, String),
    /// The host no longer has a row.
    Gone(RowKey),
    /// A known row is not in the host, and that was so after the last sync.
    Away(RowKey, Option<Away>),
}

impl Synchronizer {
    /// A record's rows in the host, in our terms. `lookup` remembers what it found.
    pub(super) fn image(&self, stored: &Stored, folder_key: &[u8], lookup: &Lookup<'_>) -> Result<Image, Error> {
        let (Some(kind), Some(root)) = (self.mapping.kind(&stored.known.kind), &stored.root_key) else { return Ok(Image::default()) };
        let host = rows::of_one(&self.conn, &self.mapping, kind, root)?;
        self.image_of(stored, host, folder_key, lookup)
    }

    /// The same of rows that were read already.
    pub(super) fn image_of(&self, stored: &Stored, host: HostRecord, folder_key: &[u8], lookup: &Lookup<'_>) -> Result<Image, Error> {
        let Some(kind) = self.mapping.kind(&stored.known.kind) else { return Ok(Image::default()) };
        let lives = merge::life(&stored.known);
        let none = BTreeSet::new();
        let context = image::Context {
            mapping: &self.mapping,
            kind,
            id: stored.known.id,
            site: lookup.state.site()?,
            folder_key,
            local: &stored.local,
            known: &stored.known,
            before: stored.applied.as_ref().unwrap_or(&stored.known),
            lives: &lives,
            recycled: &none,
        };
        Ok(loose::build(&self.conn, &context, host, &mut lookup.of(stored.known.id), &mut Random::system()).map_err(crate::sync::Error::from)?)
    }

    /// Where the host's rows are not what was last applied to it.
    pub(super) fn apart(&self, stored: &Stored, image: &Image) -> Vec<Apart> {
        let base = stored.applied.as_ref().unwrap_or(&stored.known);
        let lives = merge::life(&stored.known);
        let mut out = Vec::new();
        for (key, row) in &image.rows {
            let Some(t) = self.mapping.tables.get(row.table) else { continue };
            match base.rows.get(key).or_else(|| stored.known.rows.get(key)) {
                Some(base) => changed(&mut out, t, key, row, stored, base),
                None if stored.local.rows.get(key).is_some_and(|l| !l.differs.is_empty()) => {}
                None => out.push(Apart::New(key.clone())),
            }
        }
        let gone = stored.local.rows.iter().filter(|(k, l)| l.away.is_none() && !image.rows.contains_key(*k) && stored.known.rows.contains_key(*k));
        out.extend(gone.map(|(k, _)| Apart::Gone(k.clone())));
        let here = |k: &RowKey| stored.local.rows.get(k).is_some_and(|l| l.away.is_none());
        let known = stored.known.rows.keys().filter(|k| lives.get(*k) == Some(&Life::Live) && !here(k) && !image.rows.contains_key(*k));
        // A table that this database does not have is nothing that is missing.
        let known = known.filter(|k| self.mapping.table(&k.table).is_some());
        out.extend(known.map(|k| Apart::Away(k.clone(), stored.local.rows.get(k).and_then(|l| l.away))));
        out
    }
}

fn changed(out: &mut Vec<Apart>, t: &Table, key: &RowKey, row: &ImageRow, stored: &Stored, base: &Row) {
    let at = stored.local.rows.get(key);
    for (field, value) in &row.fields {
        let rule = t.column(&field.name).map_or(Rule::Latest, |c| c.rule);
        let was = base.fields.get(field).and_then(|f| merge::shown(f, rule));
        let was = was.as_deref();
        // In a column of another type here, after an upgrade at one site only, the host can hold it in no other way.
        let same = was == Some(value) || t.column(&field.name).zip(was).is_some_and(|(c, w)| c.affinity.makes(w, value));
        // A number of this place travels with the next change of its record.
        if field.place.is_some() || same || (was.is_none_or(Value::is_null) && (value.is_null() || row.dangling.contains(&field.name))) {
            continue;
        }
        let left_so = at.and_then(|l| l.differs.get(&field.name)).is_some_and(|p| {
            let holds = t.holds(&row.host);
            print(&raw(t, &field.name, &holds)) == *p
        });
        if !left_so {
            out.push(Apart::Changed(key.clone(), field.name.to_string()));
        }
    }
}

/// The rows of a record that are dead, topmost first of each tree, with how many rows hang below.
pub(super) fn dead_trees(r: &Record) -> Vec<(RowKey, usize)> {
    let lives = merge::life(r);
    let dead = |k: &RowKey| lives.get(k) == Some(&Life::Deleted);
    let tops = r.rows.keys().filter(|k| dead(k) && !merge::above(r, k).iter().any(dead));
    tops.map(|k| (k.clone(), merge::tree(r, k).len())).collect()
}
