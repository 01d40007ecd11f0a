//! What the host changed: decided field by field against what was last applied.

use crate::host::apply::raw;
use crate::host::image::{Image, ImageRow};
use crate::host::local::{Local, print};
use crate::host::mapping::{Mapping, Rule, Table};
use crate::merge::text::way_back;
use crate::merge::{Change, Life, Seen, adds_nothing, brought, shown, shows_all};
use crate::planted;
use crate::record::{Field, FieldKey, Record, Row, RowKey};
use crate::shared::Name;
use crate::stamp::Stamp;
use crate::value::Value;
use std::collections::BTreeMap;

/// What the host did to a record since we last looked.
#[derive(Debug, Default)]
pub(super) struct HostChanges {
    /// Fields written.
    pub(super) changes: Vec<Change>,
    /// This place's own numbers that are not in the record yet. They alone are no news.
    pub(super) own: Vec<Change>,
    /// Rows inserted.
    pub(super) inserted: Vec<RowKey>,
    /// Rows that had been deleted and stand there again under the same identity.
    pub(super) again: Vec<RowKey>,
    /// Rows gone without a tombstone.
    pub(super) vanished: Vec<RowKey>,
}

impl HostChanges {
    /// Whether there is anything to stamp.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.inserted.is_empty() && self.again.is_empty()
    }
}

/// Columns that were not there when we last looked, each with what an upgrade fills in.
pub(super) type Fresh = BTreeMap<(Name, Name), Value>;

/// Compares the host with what was applied. `known` is all that is known, for rows that the host
/// turns out to have had before we met them.
pub(super) fn diff(m: &Mapping, image: &Image, local: &Local, applied: &Record, known: &Record, lives: &BTreeMap<RowKey, Life>, fresh: &Fresh) -> HostChanges {
    let mut out = HostChanges::default();
    for (key, row) in &image.rows {
        let Some(t) = m.tables.get(row.table) else { continue };
        let at = local.rows.get(key).filter(|l| l.away.is_none());
        match (applied.rows.get(key), known.rows.get(key)) {
            (Some(base), _) if lives.get(key) != Some(&Life::Deleted) || at.is_some() => {
                // What never stood in the host, or was away, nobody here has seen.
                fields(&mut out, t, key, row, local, base, at.is_none(), fresh)
            }
            (_, Some(base)) if lives.get(key) == Some(&Life::Live) => fields(&mut out, t, key, row, local, base, true, fresh),
            (_, Some(_)) => out.again.push(key.clone()),
            // A row that one of the host's triggers made while we applied stays its own until edited.
            (_, None) => {
                let untouched = at.is_some_and(|l| !l.differs.is_empty() && row.fields.keys().all(|f| l.differs.get(&f.name) == Some(&print_of(t, row, &f.name))));
                if !untouched {
                    out.inserted.push(key.clone());
                }
            }
        }
    }
    out.vanished = local
        .rows
        .iter()
        .filter(|(k, l)| l.away.is_none() && !image.rows.contains_key(*k) && known.rows.contains_key(*k) && m.table(&k.table).is_some())
        .map(|(k, _)| k.clone())
        .collect();
    out
}

fn print_of(t: &Table, row: &ImageRow, field: &str) -> crate::host::local::Print {
    let holds = t.holds(&row.host);
    print(&raw(t, field, &holds))
}

/// Compares one row. `met` says that the row was known before the host's own was met: then nothing
/// of it had been seen.
fn fields(out: &mut HostChanges, t: &Table, key: &RowKey, row: &ImageRow, local: &Local, base: &Row, met: bool, fresh: &Fresh) {
    let at = local.rows.get(key);
    for (field, value) in &row.fields {
        let rule = t.column(&field.name).map_or(Rule::Latest, |c| c.rule);
        let was = base.fields.get(field).and_then(|f| shown(f, rule));
        let was = was.as_deref();
        // The same in another column type, as after an upgrade at one site only, is no edit.
        if was == Some(value) || t.column(&field.name).zip(was).is_some_and(|(c, w)| c.affinity.makes(w, value)) {
            continue;
        }
        // A column that the host has only now: what an upgrade filled in is no news, and what is
        // known of it elsewhere had not been seen here.
        let new = fresh.get(&(t.name.clone(), field.name.clone()));
        if new.is_some_and(|default| value.is_null() || value == default) {
            continue;
        }
        let met = met || new.is_some();
        let dangling = row.dangling.contains(&field.name);
        if field.place.is_none()
            && let Some(p) = at.and_then(|l| l.differs.get(&field.name))
        {
            // A pointer that led nowhere and leads somewhere now is news, the rest is as we left it.
            let resolved = matches!(value, Value::Ref(_)) && was.is_none_or(Value::is_null);
            if print_of(t, row, &field.name) == *p && !resolved && !planted::bug("own-writes-echo") {
                continue;
            }
        }
        if dangling && was.is_none_or(Value::is_null) {
            continue;
        }
        let change = |seen| Change { row: key.clone(), field: field.clone(), value: value.clone(), seen, back: None };
        match was {
            None if field.place.is_some() => out.own.push(change(Seen::All)),
            // Nor is the number beside one that a match brought.
            Some(_) if field.place.is_some() && base.fields.get(field).and_then(Field::current).is_some_and(brought) => out.own.push(change(Seen::Nothing)),
            // A column that the record does not have yet says something once it is filled in.
            None if value.is_null() => {}
            // Nor does one that was empty here before the record was met.
            Some(_) if met && value.is_null() => {}
            Some(_) if met && base.fields.get(field).is_some_and(|f| adds_nothing(f, rule, value)) => {}
            _ if met && field.place.is_none() => out.changes.push(change(Seen::Nothing)),
            _ => {
                let stale = at.and_then(|l| l.prior.get(&field.name)).is_some_and(|p| print_of(t, row, &field.name) == *p) && !planted::bug("stale-form-wins");
                let all = base.fields.get(field).is_some_and(|f| shows_all(f, rule));
                let change = change(match (stale, all) {
                    (true, _) => Seen::Nothing,
                    (false, false) => Seen::Current,
                    (false, true) => Seen::All,
                });
                // What may be a stale form may be meant: a person decides, and nothing is merged.
                let back = match rule {
                    Rule::Text if !stale => way_back(value, was, base.fields.get(field)),
                    _ => None,
                };
                out.changes.push(Change { back, ..change });
            }
        }
    }
}

/// A row of the image as a new row of the record.
pub(super) fn new_row(t: &Table, row: &ImageRow, stamp: Stamp, again: bool) -> Row {
    let mut r = Row::new(stamp);
    // An empty column of a new row says nothing: it must not displace what another site typed into
    // the same row. Where an INSERT without it would not leave it empty, it is said; and where the
    // row had a value before it was deleted.
    let says = |f: &FieldKey| again || t.column(&f.name).is_some_and(|c| c.has_default);
    r.fields =
        row.fields.iter().filter(|(f, v)| !v.is_null() || (f.place.is_none() && says(f))).map(|(f, v): (&FieldKey, &Value)| (f.clone(), Field::of(stamp, v.clone()))).collect();
    r
}
