//! Unite: a host that holds a record and another that is the same ends with one. Rows are turned to
//! their new owner by UPDATE; only what is there twice is deleted.

use super::settle::Prepared;
use super::{Engine, Error};
use crate::host;
use crate::host::key::HostKey;
use crate::host::local::{Local, LocalRow, print};
use crate::host::mapping::{Table, Target};
use crate::host::quiet::loud;
use crate::host::rows::{self, Param, conditions, quote};
use crate::id::RecordId;
use crate::merge::Life;
use crate::record::RowKey;
use crate::shared::Name;
use crate::state::{self, Stored};
use crate::value::Value;
use rusqlite::params_from_iter;
use std::collections::{BTreeMap, BTreeSet};

fn wrap(e: state::Error) -> host::Error {
    host::Error::State(Box::new(e))
}

/// A row that goes, and the row that what points to it shall point to.
struct Turn {
    table: usize,
    from: HostKey,
    to: HostKey,
}

/// A row that points elsewhere now, and may have another key for it.
struct Turned<'a> {
    table: usize,
    old: &'a HostKey,
    new: HostKey,
    field: &'a str,
    to: &'a [Value],
}

/// The rows of a record that is about to leave the host.
struct Leaving {
    id: RecordId,
    /// The record that takes them over.
    into: RecordId,
    /// Those that become rows of the other record, by what they are called there, with their keys.
    adopted: BTreeMap<RowKey, (RowKey, LocalRow)>,
    /// Those that go.
    gone: Vec<(usize, HostKey)>,
}

impl Engine<'_> {
    /// Commits a record together with the host's rows of another that it was matched with. Gives
    /// `false` where the host refuses: then everything in it stays as it was.
    pub(super) fn commit_united(&mut self, mut p: Prepared, b: RecordId) -> Result<bool, Error> {
        let Some(kind) = p.work.kind else { return Ok(false) };
        let surrogate = self.mapping.root(kind).is_some_and(|t| t.surrogate);
        if p.image.rows.is_empty() && !surrogate {
            // The row must be made, since the key of the other one is no local number.
            let id = p.work.id;
            self.commit(p)?;
            match self.prepare(super::work::Work::of(id).dirty())? {
                Some(again) if !again.image.rows.is_empty() => p = again,
                _ => return Ok(false),
            }
        }
        let Some(other) = self.state.load(&b)? else { return Ok(false) };
        let before = (p.image.clone(), p.stored.local.clone(), p.stored.root_key.clone());
        self.conn.execute_batch("SAVEPOINT cfs_unite")?;
        let tried = self.take_over(kind, &mut p, &other).and_then(|()| Ok(self.apply(kind, &p)?));
        match tried {
            Ok(done) => {
                self.conn.execute_batch("RELEASE cfs_unite")?;
                self.log_applied(&mut p, &done);
                self.lookup.forget_all();
                self.settled.insert(p.work.id);
                p.image.print = None;
                self.store(p, 0, None, done.waits, None, done.local)?;
                Ok(true)
            }
            Err(e) => {
                self.conn.execute_batch("ROLLBACK TO cfs_unite; RELEASE cfs_unite")?;
                self.lookup.forget_all();
                (p.image, p.stored.local, p.stored.root_key) = before;
                let why = match &e {
                    Error::Host(e) => e.refusal(),
                    Error::Sqlite(_) => None,
                    _ => None,
                };
                let Some(why) = why else { return Err(e) };
                self.hold(p, format!("it cannot take over the rows of a record that is the same: {why}"))?;
                Ok(false)
            }
        }
    }

    /// Makes the host's rows of `b` rows of the record being settled.
    fn take_over(&mut self, kind: usize, p: &mut Prepared, b: &Stored) -> Result<(), Error> {
        let a = p.work.id;
        let here: BTreeSet<RowKey> = p.stored.local.rows.iter().filter(|(k, l)| l.away.is_none() && p.image.rows.contains_key(*k)).map(|(k, _)| k.clone()).collect();
        let mut leaving = Leaving { id: b.known.id, into: a, adopted: BTreeMap::new(), gone: Vec::new() };
        let mut turns: Vec<Turn> = Vec::new();
        let tables = self.mapping.types.get(kind).map_or(&[][..], |k| &k.tables);
        for table in tables {
            let Some(t) = self.mapping.tables.get(*table) else { continue };
            for (key, l) in b.local.rows.iter().filter(|(k, l)| k.table == t.name && l.away.is_none()) {
                let to = self.lookup.follow(b.known.id, key)?.filter(|(record, to)| *record == a && p.lives.get(to) == Some(&Life::Live)).map(|(_, to)| to);
                match to {
                    Some(to) if here.contains(&to) => {
                        let at = p.stored.local.rows.get(&to).map(|l| l.key.clone()).unwrap_or_default();
                        turns.push(Turn { table: *table, from: l.key.clone(), to: at });
                        leaving.gone.push((*table, l.key.clone()));
                    }
                    Some(to) => {
                        leaving.adopted.insert(key.clone(), (to, l.clone()));
                    }
                    None => leaving.gone.push((*table, l.key.clone())),
                }
            }
        }
        for turn in &turns {
            self.turn(turn, &mut leaving, &mut p.stored.local)?;
        }
        if p.stored.root_key.is_none() || !here.contains(&p.known.root_key()) {
            p.stored.root_key.clone_from(&b.root_key);
        }
        // The host's own cascades must find nothing that is still wanted.
        let was = self.lookup.defer(false)?;
        loud(self.conn)?;
        let deleted = leaving.gone.iter().rev().try_for_each(|(table, key)| {
            let Some(t) = self.mapping.tables.get(*table) else { return Ok(()) };
            self.conn.prepare_cached(&format!("DELETE FROM {} WHERE {}", quote(&t.name), t.key_is(1)))?.execute(params_from_iter(key.iter().map(Param))).map(|_| ())
        });
        self.lookup.defer(was)?;
        deleted.map_err(host::Error::from)?;
        for (to, l) in leaving.adopted.into_values() {
            // Only its key: what the host held otherwise, it held of the other record.
            p.stored.local.rows.insert(to, LocalRow { key: l.key, ..LocalRow::default() });
        }
        self.state.leave_host(&b.known.id)?;
        self.lookup.forget_all();
        p.image = self.image(kind, &mut p.work, &p.stored, &p.known)?;
        Ok(())
    }

    /// Lets everything in the host that points to a row point to another.
    fn turn(&mut self, turn: &Turn, leaving: &mut Leaving, ours: &mut Local) -> Result<(), Error> {
        let m = self.mapping;
        let Some(target) = m.tables.get(turn.table) else { return Ok(()) };
        let mut done: BTreeSet<(String, Vec<Name>)> = BTreeSet::new();
        for (n, t) in m.tables.iter().enumerate() {
            for r in &t.references {
                let (columns, named) = match &r.target {
                    Target::Table { table, columns } if *table == turn.table => (columns.clone(), None),
                    Target::InText(models) if models.iter().any(|(_, t)| *t == turn.table) => (target.key_columns().to_vec(), None),
                    Target::ByColumn(by) if target.key_columns().len() == 1 => (target.key_columns().to_vec(), Some(by.clone())),
                    _ => continue,
                };
                done.insert((t.name.to_ascii_lowercase(), r.columns.clone()));
                let (Some(from), Some(to)) = (self.values(target, &turn.from, &columns)?, self.values(target, &turn.to, &columns)?) else { continue };
                let (from, to) = (r.write(m, turn.table, from, None), r.write(m, turn.table, to, None));
                for key in self.rows_with(t, &r.columns, &from, named.as_deref().map(|by| (by, target.name.as_str())))? {
                    if leaving.gone.contains(&(n, key.clone())) {
                        continue;
                    }
                    let set: Vec<String> = r.columns.iter().enumerate().map(|(i, c)| format!("{} = ?{}", quote(c), i + 1)).collect();
                    let sql = format!("UPDATE {} SET {} WHERE {}", quote(&t.name), set.join(", "), t.key_is(r.columns.len() + 1));
                    loud(self.conn)?;
                    let changed = self.conn.prepare_cached(&sql).and_then(|mut q| q.execute(params_from_iter(to.iter().chain(&key).map(Param)))).map_err(host::Error::from)?;
                    if changed == 0 {
                        return Err(host::Error::Refused(format!("the host ignores changes in {}", t.name)).into());
                    }
                    let at = |c: &Name| r.columns.iter().position(|x| x.eq_ignore_ascii_case(c)).and_then(|i| to.get(i));
                    let new: HostKey = t.key_columns().iter().zip(&key).map(|(c, v)| at(c).unwrap_or(v).clone()).collect();
                    self.renamed(&Turned { table: n, old: &key, new, field: &r.field, to: &to }, leaving, ours)?;
                }
            }
        }
        self.turn_the_rest(target, turn, &done)
    }

    /// A row of the host points elsewhere now, and may have another key for it. That it does is no
    /// edit: its reference stays as it was written.
    fn renamed(&self, at: &Turned<'_>, leaving: &mut Leaving, ours: &mut Local) -> Result<(), Error> {
        let Some(t) = self.mapping.tables.get(at.table) else { return Ok(()) };
        let change = |l: &mut LocalRow, differs: bool| {
            l.key.clone_from(&at.new);
            if differs {
                l.differs.insert(Name::of(at.field), print(at.to));
            }
        };
        if let Some((_, (_, l))) = leaving.adopted.iter_mut().find(|(k, (_, l))| k.table == t.name && l.key == *at.old) {
            change(l, false);
            return Ok(());
        }
        if let Some(l) = ours.rows.iter_mut().find(|(k, l)| k.table == t.name && l.away.is_none() && l.key == *at.old).map(|(_, l)| l) {
            change(l, true);
            return Ok(());
        }
        let Some(root) = rows::climb(self.conn, self.mapping, at.table, t.key_columns(), &at.new, &|_, _, _| None)? else { return Ok(()) };
        let Some(record) = self.lookup.record_of_root(t.kind, &root)?.filter(|r| *r != leaving.into && *r != leaving.id) else { return Ok(()) };
        let Some(mut local) = self.state.local(&record).map_err(wrap)? else { return Ok(()) };
        if let Some(l) = local.rows.iter_mut().find(|(k, l)| k.table == t.name && l.away.is_none() && l.key == *at.old).map(|(_, l)| l) {
            change(l, true);
            self.state.set_local(&record, &local)?;
            self.lookup.forget_rows(&record);
        }
        Ok(())
    }

    /// Tables that are not synchronized point to rows as well, and the host would delete theirs with
    /// the row that goes.
    fn turn_the_rest(&self, target: &Table, turn: &Turn, done: &BTreeSet<(String, Vec<Name>)>) -> Result<(), Error> {
        let found: Vec<(String, i64, String, Option<String>)> = {
            let mut q = self.conn.prepare(
                "SELECT m.name, f.id, f.\"from\", f.\"to\" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND lower(f.\"table\") = lower(?1) ORDER BY m.name, f.id, f.seq",
            )?;
            let rows = q.query_map([&target.name], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut keys: BTreeMap<(String, i64), (Vec<Name>, Vec<Option<Name>>)> = BTreeMap::new();
        for (table, id, from, to) in found {
            let entry = keys.entry((table, id)).or_default();
            entry.0.push(from.into());
            entry.1.push(to.map(Name::from));
        }
        for ((table, _), (columns, to)) in keys {
            if done.contains(&(table.to_ascii_lowercase(), columns.clone())) {
                continue;
            }
            // Without columns, a foreign key means the primary key.
            let names = to.into_iter().collect::<Option<Vec<Name>>>().unwrap_or_else(|| target.key_columns().to_vec());
            let (Some(old), Some(new)) = (self.values(target, &turn.from, &names)?, self.values(target, &turn.to, &names)?) else { continue };
            let set: Vec<String> = columns.iter().enumerate().map(|(i, c)| format!("{} = ?{}", quote(c), i + 1)).collect();
            let sql = format!("UPDATE {} SET {} WHERE {}", quote(&table), set.join(", "), conditions(&columns, columns.len() + 1));
            loud(self.conn)?;
            self.conn.prepare(&sql).and_then(|mut q| q.execute(params_from_iter(new.iter().chain(&old).map(Param)))).map_err(host::Error::from)?;
        }
        Ok(())
    }

    /// The values of columns of a row; `None` if there is no such row.
    fn values(&self, t: &Table, key: &HostKey, columns: &[Name]) -> Result<Option<Vec<Value>>, Error> {
        Ok(if t.is_key(columns) { Some(key.clone()) } else { rows::look_up(self.conn, t, columns, t.key_columns(), key)? })
    }

    /// The keys of the rows whose columns hold these values.
    fn rows_with(&self, t: &Table, columns: &[Name], values: &[Value], named: Option<(&str, &str)>) -> Result<Vec<HostKey>, Error> {
        let keys = t.key_columns();
        let list: Vec<String> = keys.iter().map(|c| quote(c)).collect();
        let by = named.map_or_else(String::new, |(column, _)| format!(" AND lower({}) = lower(?{})", quote(column), columns.len() + 1));
        let mut q = self.conn.prepare_cached(&format!("SELECT {} FROM {} WHERE {}{by}", list.join(", "), quote(&t.name), conditions(columns, 1)))?;
        let name = named.map(|(_, table)| Value::text(table));
        let mut found = q.query(params_from_iter(values.iter().chain(&name).map(Param)))?;
        let mut out = Vec::new();
        while let Some(r) = found.next()? {
            out.push((0..keys.len()).map(|i| Ok(rows::value_of(r.get_ref(i)?))).collect::<rusqlite::Result<HostKey>>()?);
        }
        Ok(out)
    }

    /// The records that have rows in the host which point to rows of a record.
    pub(super) fn pointing_to(&self, record: &RecordId) -> Result<BTreeSet<RecordId>, Error> {
        let mut out = BTreeSet::new();
        let Some(local) = self.state.local(record)? else { return Ok(out) };
        for (key, l) in local.rows.iter().filter(|(_, l)| l.away.is_none()) {
            let Some((table, target)) = self.mapping.table(&key.table).and_then(|n| Some((n, self.mapping.tables.get(n)?))) else { continue };
            for (n, t) in self.mapping.tables.iter().enumerate() {
                for r in &t.references {
                    let (columns, named) = match &r.target {
                        Target::Table { table: to, columns } if *to == table => (columns.clone(), None),
                        Target::InText(models) if models.iter().any(|(_, t)| *t == table) => (target.key_columns().to_vec(), None),
                        Target::ByColumn(by) if target.key_columns().len() == 1 => (target.key_columns().to_vec(), Some((by.as_str(), target.name.as_str()))),
                        _ => continue,
                    };
                    let Some(values) = self.values(target, &l.key, &columns)? else { continue };
                    let values = r.write(self.mapping, table, values, None);
                    for at in self.rows_with(t, &r.columns, &values, named)? {
                        let root = rows::climb(self.conn, self.mapping, n, t.key_columns(), &at, &|_, _, _| None)?;
                        out.extend(root.map(|root| self.lookup.record_of_root(t.kind, &root)).transpose()?.flatten());
                    }
                }
            }
        }
        out.remove(record);
        Ok(out)
    }
}
