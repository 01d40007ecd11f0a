//! Writing single rows: numbers of this place, keys that come back, what was written.

use super::{Applier, Wish};
use crate::host::Error;
use crate::host::image::ImageRow;
use crate::host::key::HostKey;
use crate::host::local::LocalRow;
use crate::host::mapping::{Key, ReferenceMap, Role, Table, Target};
use crate::host::quiet::{is_quiet, loud};
use crate::host::rows::{Param, quote};
use crate::id::SiteId;
use crate::record::{FieldKey, Row, SortedMap};
use crate::shared::Name;
use crate::value::Value;
use std::collections::BTreeSet;

impl Wish {
    /// What is left of it where the host lets nobody else change or add a row: what is there stays as it is, and a row
    /// that is not there waits. The first row is written all the same: where that is refused the chart is held, and says so.
    pub(super) fn allowed(mut self, t: &Table, there: bool) -> Wish {
        if t.owner.is_none() {
            return self;
        }
        if there && t.no_update.is_some() {
            for (column, _) in std::mem::take(&mut self.set) {
                let of = t.references.iter().find(|r| r.columns.contains(&column));
                self.differs.insert(of.map_or(column, |r| r.field.clone()));
            }
            self.changed.clear();
        }
        self.away |= !there && t.no_insert.is_some();
        self
    }
}

impl Applier<'_> {
    /// The values that a row's other columns have, found by its key.
    pub(super) fn columns_of(&self, t: &Table, key: &HostKey, columns: &[Name]) -> Result<Option<Vec<Value>>, Error> {
        let names = t.key_columns();
        if t.is_key(columns) {
            return Ok(Some(key.clone()));
        }
        Ok(crate::host::rows::look_up(self.conn, t, columns, names, key)?)
    }

    /// A reference's values as they are written elsewhere, where SQLite finds them equal to the key here.
    pub(super) fn spell(&self, r: &ReferenceMap, row: &Row, table: usize, key: Vec<Value>) -> Result<Vec<Value>, Error> {
        let m = self.job.mapping;
        let (Target::Table { columns, .. }, Some(target)) = (&r.target, m.tables.get(table)) else {
            return Ok(r.write(m, table, key, r.written.first().and_then(|f| row.current(f))));
        };
        if !r.written.iter().any(|f| row.fields.contains_key(f)) {
            return Ok(key);
        }
        let spelled = |(n, k): (usize, Value)| {
            let written = r.written.get(n).and_then(|f| row.current(f)).filter(|w| !w.is_null() && **w != k);
            let (Some(written), Some(column)) = (written, columns.get(n).map(|c| quote(c))) else { return Ok(k) };
            let sql = format!("SELECT 1 FROM {} WHERE {column} = ?1 AND {column} = ?2", quote(&target.name));
            Ok(if self.conn.prepare_cached(&sql)?.exists([Param(written), Param(&k)])? { written.clone() } else { k })
        };
        key.into_iter().enumerate().map(spelled).collect()
    }

    /// A row that a trigger of the host made while we applied, and that becomes the one to be inserted: it has
    /// the same key or UNIQUE columns, else it is the first of its table below the same row.
    pub(super) fn made_by_trigger(&self, t: &Table, set: &SortedMap<Name, Value>) -> Result<Option<HostKey>, Error> {
        let key = t.key_columns();
        let own = if t.surrogate { &[][..] } else { key };
        let any = if t.surrogate { t.owner_columns() } else { &[][..] };
        let ours: BTreeSet<&HostKey> = self.keys.iter().filter(|(k, _)| k.table == t.name).map(|(_, at)| at).collect();
        for unique in std::iter::once(own).chain(t.unique.iter().map(Vec::as_slice)).chain([any]).filter(|u| !u.is_empty()) {
            let by: Vec<Name> = unique.iter().chain(t.owner_columns()).cloned().collect();
            let Some(values) = by.iter().map(|c| set.get(c).filter(|v| !v.is_null()).cloned()).collect::<Option<Vec<_>>>() else { continue };
            let found = crate::host::rows::look_up_all(self.conn, t, key, &by, &values)?;
            if let Some(made) = found.into_iter().find(|at| !ours.contains(at)) {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    /// A row that comes back gets the key and the numbers that it had here, where they are free.
    pub(super) fn as_before(&mut self, t: &Table, row: &Row, was: Option<&LocalRow>, set: &mut SortedMap<Name, Value>) -> Result<(), Error> {
        for c in &t.columns {
            if matches!(c.role, Role::Local { keep_if_free: false, .. }) {
                let number = |place: &SiteId| row.current(&FieldKey::local(c.name.clone(), *place)).filter(|v| !v.is_null());
                if let Some(own) = self.job.places.iter().find_map(number) {
                    set.insert(c.name.clone(), own.clone());
                    if !self.is_free(t, &c.name, set)? {
                        set.remove(&c.name);
                        self.done.taken += 1;
                    }
                }
            }
        }
        let (Key::Rowid(name), Some(key)) = (&t.key, was.map(|w| &w.key)) else { return Ok(()) };
        if t.surrogate && key.len() == 1 {
            let names = t.key_columns();
            if crate::host::rows::look_up(self.conn, t, names, names, key)?.is_none() {
                set.insert(name.clone(), key.first().cloned().unwrap_or(Value::Null));
            }
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, table: usize, t: &Table, set: SortedMap<Name, Value>) -> Result<(HostKey, SortedMap<Name, Value>), Error> {
        let large: Vec<(Name, Value)> = set.iter().filter(|(_, v)| v.stored().is_some()).map(|(c, v)| (c.clone(), v.clone())).collect();
        let mut set = self.with_content(set)?;
        for c in &t.columns {
            let Role::Local { assign, count, keep_if_free } = &c.role else { continue };
            let given = set.contains_key(&c.name);
            if given && (!*keep_if_free || self.is_free(t, &c.name, &set)?) {
                continue;
            }
            let value = match assign {
                Some(sql) => self.evaluate(sql, count.as_deref(), t, &set)?,
                None => self.next_number(t, &c.name, &set)?,
            };
            set.insert(c.name.clone(), value);
        }
        for (column, sql) in &t.fill {
            let value = self.evaluate(sql, None, t, &set)?;
            set.insert(column.clone(), value);
        }
        let n = self.targets.insert(table, &set, &|| {
            if set.is_empty() {
                return format!("{} INTO {} DEFAULT VALUES", t.verb("INSERT"), quote(&t.name));
            }
            let names: Vec<String> = set.keys().map(|c| t.sql(c)).collect();
            let marks: Vec<String> = (1..=set.len()).map(|i| format!("?{i}")).collect();
            format!("{} INTO {} ({}) VALUES ({})", t.verb("INSERT"), quote(&t.name), names.join(", "), marks.join(", "))
        })?;
        if n == 0 {
            return Err(Error::Refused(format!("the host ignores new rows in {}", t.name)));
        }
        self.done.noted += usize::from(!is_quiet(self.conn)?);
        let key = match &t.key {
            Key::Rowid(_) => vec![Value::Integer(self.conn.last_insert_rowid())],
            Key::Columns(c) => c.iter().map(|c| set.get(c).cloned().unwrap_or(Value::Null)).collect(),
        };
        // Known by their hash again.
        set.extend(large);
        Ok((key, set))
    }

    /// Values with the content of those that are known by their hash.
    fn with_content(&mut self, mut set: SortedMap<Name, Value>) -> Result<SortedMap<Name, Value>, Error> {
        for v in set.values_mut() {
            if let (Some(large), Value::Stored { text, .. }) = (v.stored(), &*v) {
                let content = self.targets.content(large)?.ok_or_else(|| Error::Refused("a large value that it refers to is not here".to_owned()))?;
                *v = if *text { Value::Text(content.into()) } else { Value::Blob(content.into()) };
            }
        }
        Ok(set)
    }

    pub(super) fn update(&mut self, t: &Table, at: &HostKey, set: &SortedMap<Name, Value>) -> Result<HostKey, Error> {
        let full;
        let set = if set.values().any(|v| v.stored().is_some()) {
            full = self.with_content(set.clone())?;
            &full
        } else {
            set
        };
        let list: Vec<String> = set.keys().enumerate().map(|(i, c)| format!("{} = ?{}", t.sql(c), i + 1)).collect();
        let sql = format!("{} {} SET {} WHERE {}", t.verb("UPDATE"), quote(&t.name), list.join(", "), t.key_is(set.len() + 1));
        loud(self.conn)?;
        let n = self.conn.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(set.values().chain(at).map(Param)))?;
        if n == 0 {
            return Err(Error::Refused(format!("the host ignores changes in {}", t.name)));
        }
        Ok(t.key_columns().iter().zip(at).map(|(c, v)| set.get(c).unwrap_or(v).clone()).collect())
    }

    /// Whether no other row has the UNIQUE columns that a counted number is part of.
    pub(super) fn is_free(&self, t: &Table, column: &str, set: &SortedMap<Name, Value>) -> Result<bool, Error> {
        for unique in t.unique.iter().filter(|u| u.iter().any(|c| c == column)) {
            let values: Option<Vec<Value>> = unique.iter().map(|c| set.get(c).cloned()).collect();
            let Some(values) = values else { continue };
            if crate::host::rows::look_up(self.conn, t, &[Name::of(column)], unique, &values)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One more than the largest number below the same parent.
    pub(super) fn next_number(&self, t: &Table, column: &str, set: &SortedMap<Name, Value>) -> Result<Value, Error> {
        let owner: Vec<&Name> = t.owner_columns().iter().filter(|c| set.contains_key(*c)).collect();
        let on: Vec<String> = owner.iter().enumerate().map(|(i, c)| format!("{} = ?{}", quote(c), i + 1)).collect();
        let condition = if on.is_empty() { String::new() } else { format!(" WHERE {}", on.join(" AND ")) };
        let sql = format!("SELECT coalesce(max({}), 0) + 1 FROM {}{condition}", quote(column), quote(&t.name));
        let values: Vec<&Value> = owner.iter().filter_map(|c| set.get(*c)).collect();
        let v = self.conn.prepare_cached(&sql)?.query_row(rusqlite::params_from_iter(values.into_iter().map(Param)), |r| Ok(crate::host::rows::value_of(r.get_ref(0)?)))?;
        Ok(v)
    }

    /// Evaluates a person's SQL for a local number; `:column` stands for the row's other values.
    pub(super) fn evaluate(&mut self, sql: &str, count: Option<&str>, t: &Table, set: &SortedMap<Name, Value>) -> Result<Value, Error> {
        let text = if sql.trim_start().get(..6).is_some_and(|s| s.eq_ignore_ascii_case("select")) { sql.to_owned() } else { format!("SELECT {sql}") };
        let next = match count {
            Some(count) => {
                let next = self.targets.highest(count)?.saturating_add(1);
                self.targets.used(count, Some(next));
                Some(next)
            }
            None => None,
        };
        let mut q = self.conn.prepare_cached(&text)?;
        for i in 1..=q.parameter_count() {
            let name = q.parameter_name(i).map(|n| n.trim_start_matches([':', '@', '$']).to_owned()).unwrap_or_default();
            if let ("next", Some(n)) = (name.as_str(), next) {
                q.raw_bind_parameter(i, n)?;
                continue;
            }
            if t.column(&name).is_none() && !t.key_columns().iter().any(|k| k.eq_ignore_ascii_case(&name)) {
                return Err(Error::Refused(format!("`assign` of {} names :{name}, which is no column of it", t.name)));
            }
            let value = set.iter().find(|(c, _)| c.eq_ignore_ascii_case(&name)).map_or(&Value::Null, |(_, v)| v);
            q.raw_bind_parameter(i, Param(value))?;
        }
        let mut rows = q.raw_query();
        match rows.next()? {
            Some(r) => Ok(crate::host::rows::value_of(r.get_ref(0)?)),
            None => Ok(Value::Null),
        }
    }
}

/// Whether a reference is to be written otherwise than the host writes it, though it leads to the same row.
pub(super) fn respelled(r: &ReferenceMap, row: &Row, image: Option<&ImageRow>) -> bool {
    let written = |v: Option<&Value>| v.filter(|v| !v.is_null()).cloned();
    r.written.iter().any(|f| written(row.current(f)) != image.and_then(|i| written(i.fields.get(f))))
}
