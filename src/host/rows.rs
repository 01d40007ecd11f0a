//! Rows of the host as they stand: read by record, one query for each table.

use crate::host::key::{HostKey, encode};
use crate::host::mapping::{Column, Elsewhere, Key, Mapping, Role, Table, Target};
use crate::record::SortedMap;
use crate::shared::Name;
use crate::value::Value;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};
use std::collections::BTreeMap;

/// One row of a host table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// Its key.
    pub key: HostKey,
    /// Its values, in the order of [`Table::columns`].
    pub values: Vec<Value>,
}

/// A record's rows, by table (an index into [`Mapping::tables`]).
pub type HostRecord = BTreeMap<usize, Vec<HostRow>>;

pub use crate::host::schema::quoted as quote;

/// A host value as ours.
pub fn value_of(v: ValueRef<'_>) -> Value {
    match v {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(t.into()),
        ValueRef::Blob(b) => Value::Blob(b.into()),
    }
}

/// A host value as it is known: large content by its hash, taken from where SQLite has it.
pub fn known_of(v: ValueRef<'_>) -> Value {
    match v {
        ValueRef::Text(t) => Value::of_content(true, t),
        ValueRef::Blob(b) => Value::of_content(false, b),
        v => value_of(v),
    }
}

/// Whether a host value is ours, without copying it.
fn is(v: &Value, has: ValueRef<'_>) -> bool {
    match (v, has) {
        (Value::Integer(a), ValueRef::Integer(b)) => *a == b,
        (Value::Text(a), ValueRef::Text(b)) | (Value::Blob(a), ValueRef::Blob(b)) => **a == *b,
        // Seldom a key: as good as another.
        _ => false,
    }
}

/// Our value as a parameter. Text goes as the bytes it is.
#[derive(Debug, Clone, Copy)]
pub struct Param<'a>(pub &'a Value);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null | Value::Ref(_) | Value::Stored { .. } => ValueRef::Null,
            Value::Integer(i) => ValueRef::Integer(*i),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(t) => ValueRef::Text(t),
            Value::Blob(b) => ValueRef::Blob(b),
        }))
    }
}

impl Table {
    /// The names of the columns that make the key.
    pub fn key_columns(&self) -> &[Name] {
        match &self.key {
            Key::Rowid(name) => std::slice::from_ref(name),
            Key::Columns(c) => c,
        }
    }

    /// The columns that the owner reference holds.
    pub fn owner_columns(&self) -> &[Name] {
        self.owner_ref().map_or(&[], |r| &r.columns)
    }

    /// Whether these columns are the key, in its order.
    pub fn is_key(&self, columns: &[Name]) -> bool {
        same_names(self.key_columns(), columns)
    }

    /// What a row holds, by the columns' names.
    pub fn holds(&self, row: &HostRow) -> SortedMap<Name, Value> {
        self.columns.iter().zip(&row.values).map(|(c, v)| (c.name.clone(), v.clone())).collect()
    }

    /// `a = ?1 AND b = ?2` over the key, starting at parameter `from`.
    pub fn key_is(&self, from: usize) -> String {
        conditions(self.key_columns(), from)
    }
}

/// Whether two lists name the same columns, as SQLite compares names.
pub(crate) fn same_names(a: &[Name], b: &[Name]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.eq_ignore_ascii_case(y))
}

/// `a = ?1 AND b = ?2` over columns, starting at parameter `from`. `IS` so that NULL keys are found.
pub(crate) fn conditions(columns: &[Name], from: usize) -> String {
    columns.iter().enumerate().map(|(i, c)| format!("{} IS ?{}", quote(c), i + from)).collect::<Vec<_>>().join(" AND ")
}

/// How many root keys a query reads at once.
#[derive(Debug, Clone, Copy)]
pub enum Span<'a> {
    /// One record.
    One(&'a HostKey),
    /// The records with single-column keys from the first to the second, inclusive.
    Range(&'a Value, &'a Value),
    /// Those with these keys, of one column.
    Many(&'a [HostKey]),
}

/// The SELECTs that read one table's rows of records: root key first, then key, then columns. One, or where
/// a text names the owner's table, one for each.
pub fn selects(m: &Mapping, table: usize, span: Span<'_>) -> Vec<String> {
    let models = |t: &Table| match &t.owner_ref()?.target {
        Target::InText(models) => Some(models.iter().filter(|(_, to)| m.tables.get(*to).is_some_and(|p| p.kind == t.kind)).cloned().collect()),
        _ => None,
    };
    match m.tables.get(table).and_then(models) {
        Some(models) => {
            let models: Vec<(Name, usize)> = models;
            models.iter().filter_map(|model| select(m, table, span, Some(model))).collect()
        }
        None => select(m, table, span, None).into_iter().collect(),
    }
}

fn select(m: &Mapping, table: usize, span: Span<'_>, model: Option<&(Name, usize)>) -> Option<String> {
    let t = m.tables.get(table)?;
    let root = m.root(t.kind)?;
    let root_key = root.key_columns();
    let mut joins = String::new();
    let mut at = table;
    let mut alias = 0;
    if let (Some((model, parent)), Some(owner)) = (model, t.owner_ref()) {
        let p = m.tables.get(*parent)?;
        let (key, text) = (p.key_columns().first()?, owner.columns.first()?);
        let model = model.replace('\'', "''");
        joins.push_str(&format!(" JOIN {} AS t1 ON t0.{} = '{model},' || t1.{}", quote(&p.name), quote(text), quote(key)));
        (alias, at) = (1, *parent);
    }
    // Climb to the table whose owner columns are the root's key: no join with the root is needed.
    let key_at: Vec<String> = loop {
        let here = m.tables.get(at)?;
        let Some(owner) = here.owner_ref() else {
            break root_key.iter().map(|c| format!("t{alias}.{}", quote(c))).collect();
        };
        let Target::Table { table: parent, columns } = &owner.target else { return None };
        let p = m.tables.get(*parent)?;
        if p.owner.is_none() && same_names(columns, root_key) {
            break owner.columns.iter().map(|c| format!("t{alias}.{}", quote(c))).collect();
        }
        let on: Vec<String> = owner.columns.iter().zip(columns).map(|(c, pc)| format!("t{}.{} = t{alias}.{}", alias + 1, quote(pc), quote(c))).collect();
        joins.push_str(&format!(" JOIN {} AS t{} ON {}", quote(&p.name), alias + 1, on.join(" AND ")));
        alias += 1;
        at = *parent;
    };
    let mut list = key_at.clone();
    list.extend(t.key_columns().iter().chain(t.columns.iter().map(|c| &c.name)).map(|c| format!("t0.{}", t.sql(c))));
    let condition = match span {
        Span::Range(..) => format!("{0} >= ?1 AND {0} <= ?2", key_at.first()?),
        Span::Many(keys) => format!("{} IN ({}) ORDER BY 1", key_at.first()?, (1..=keys.len()).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ")),
        Span::One(_) => key_at.iter().enumerate().map(|(i, k)| format!("{k} = ?{}", i + 1)).collect::<Vec<_>>().join(" AND "),
    };
    let filter = match (&t.owner, m.types.get(t.kind).and_then(|k| k.filter.as_ref())) {
        (None, Some(f)) => format!(" AND ({f})"),
        _ => String::new(),
    };
    Some(format!("SELECT {} FROM {} AS t0{joins} WHERE true{filter} AND {condition}", list.join(", "), quote(&t.name)))
}

/// Reads records' rows. Gives them by the bytes of their root keys.
pub fn read(conn: &Connection, m: &Mapping, kind: usize, span: Span<'_>) -> rusqlite::Result<BTreeMap<Vec<u8>, HostRecord>> {
    let mut out: BTreeMap<Vec<u8>, HostRecord> = BTreeMap::new();
    let Some(root_width) = m.root(kind).map(|r| r.key_columns().len()) else { return Ok(out) };
    let tables = m.types.get(kind).map_or(&[][..], |k| &k.tables);
    for table in tables {
        let Some(t) = m.tables.get(*table) else { continue };
        for sql in selects(m, *table, span) {
            read_table(conn, (*table, t), root_width, &sql, span, &mut out)?;
        }
    }
    Ok(out)
}

fn read_table(conn: &Connection, (table, t): (usize, &Table), root_width: usize, sql: &str, span: Span<'_>, out: &mut BTreeMap<Vec<u8>, HostRecord>) -> rusqlite::Result<()> {
    let mut q = conn.prepare_cached(sql)?;
    let mut rows = match span {
        Span::One(key) => q.query(rusqlite::params_from_iter(key.iter().map(Param)))?,
        Span::Range(a, b) => q.query([Param(a), Param(b)])?,
        Span::Many(keys) => q.query(rusqlite::params_from_iter(keys.iter().flatten().map(Param)))?,
    };
    let key_width = t.key_columns().len();
    // Rows of one record mostly come one after the other: its bytes are made once.
    let mut last: Option<(Vec<Value>, Vec<u8>, Vec<HostRow>)> = None;
    while let Some(r) = rows.next()? {
        let take = |from: usize, n: usize| (from..from + n).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<Vec<Value>>>();
        let from = root_width + key_width;
        let value = |(i, c): (usize, &Column)| match c.role {
            // What finds other rows is needed as it is.
            Role::Surrogate | Role::Reference => Ok(value_of(r.get_ref(from + i)?)),
            Role::Data | Role::Local { .. } => Ok(known_of(r.get_ref(from + i)?)),
        };
        let values = t.columns.iter().enumerate().map(value).collect::<rusqlite::Result<Vec<Value>>>()?;
        let row = HostRow { key: take(root_width, key_width)?, values };
        match &mut last {
            Some((at, _, list)) if at.iter().enumerate().all(|(i, v)| r.get_ref(i).is_ok_and(|has| is(v, has))) => list.push(row),
            _ => {
                let root = take(0, root_width)?;
                let bytes = encode(&root);
                if let Some((_, bytes, list)) = last.replace((root, bytes, vec![row])) {
                    out.entry(bytes).or_default().entry(table).or_default().extend(list);
                }
            }
        }
    }
    if let Some((_, bytes, list)) = last {
        out.entry(bytes).or_default().entry(table).or_default().extend(list);
    }
    Ok(())
}

/// All root rows of a record type, in key order: their keys, and what they are matched on.
pub fn roots(conn: &Connection, m: &Mapping, kind: usize) -> rusqlite::Result<Vec<(HostKey, Vec<Value>)>> {
    let (Some(root), Some(k)) = (m.root(kind), m.types.get(kind)) else { return Ok(Vec::new()) };
    let list = |names: &[Name]| names.iter().map(|c| format!("t0.{}", quote(c))).collect::<Vec<_>>();
    let keys = list(root.key_columns());
    let matches = matched(m, kind);
    let filter = k.filter.as_ref().map_or(String::new(), |f| format!(" WHERE ({f})"));
    let all = [keys.as_slice(), &matches].concat().join(", ");
    let mut q = conn.prepare(&format!("SELECT {all} FROM {} AS t0{filter} ORDER BY {}", quote(&root.name), keys.join(", ")))?;
    let mut rows = q.query([])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        let take = |from: usize, n: usize| (from..from + n).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<Vec<Value>>>();
        out.push((take(0, keys.len())?, take(keys.len(), matches.len())?));
    }
    Ok(out)
}

/// What the root row with a key is matched on; `None` if there is no such row.
pub fn root_values(conn: &Connection, m: &Mapping, kind: usize, key: &HostKey) -> rusqlite::Result<Option<Vec<Value>>> {
    let Some(root) = m.root(kind) else { return Ok(None) };
    let mut list = matched(m, kind);
    list.push("1".to_owned());
    let key_is: Vec<String> = root.key_columns().iter().enumerate().map(|(i, c)| format!("t0.{} IS ?{}", quote(c), i + 1)).collect();
    let mut q = conn.prepare_cached(&format!("SELECT {} FROM {} AS t0 WHERE {}", list.join(", "), quote(&root.name), key_is.join(" AND ")))?;
    let mut rows = q.query(rusqlite::params_from_iter(key.iter().map(Param)))?;
    match rows.next()? {
        None => Ok(None),
        Some(r) => Ok(Some((0..list.len() - 1).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<_>>()?)),
    }
}

/// SQL for what the root row `t0` is matched on. A column of another table counts where the record has one
/// row of it.
fn matched(m: &Mapping, kind: usize) -> Vec<String> {
    let Some(k) = m.types.get(kind) else { return Vec::new() };
    let elsewhere = |e: &Elsewhere| {
        let (mut from, mut at, mut alias) = (format!("{} AS c0", quote(&e.table_name)), e.table, 0);
        loop {
            let t = m.tables.get(at)?;
            let owner = t.owner_ref()?;
            let Target::Table { table: parent, columns } = &owner.target else { return None };
            let p = m.tables.get(*parent)?;
            let up = if p.owner.is_none() { "t0".to_owned() } else { format!("c{}", alias + 1) };
            let on: Vec<String> = owner.columns.iter().zip(columns).map(|(c, pc)| format!("c{alias}.{} = {up}.{}", quote(c), quote(pc))).collect();
            let on = on.join(" AND ");
            if p.owner.is_none() {
                return Some(format!("(SELECT CASE WHEN count(*) = 1 THEN max(c0.{}) END FROM {from} WHERE {on})", quote(&e.column)));
            }
            from.push_str(&format!(" JOIN {} AS {up} ON {on}", quote(&p.name)));
            alias += 1;
            at = *parent;
        }
    };
    let one = |c: &Name| match k.match_elsewhere.iter().find(|e| e.name == *c) {
        Some(e) => elsewhere(e).unwrap_or_else(|| "NULL".to_owned()),
        None => format!("t0.{}", m.root(kind).map_or_else(|| quote(c), |t| t.sql(c))),
    };
    k.match_columns().iter().map(one).collect()
}

/// Values of some columns of the row that other columns name; `None` if there is no such row.
pub fn look_up(conn: &Connection, table: &Table, want: &[Name], by: &[Name], values: &[Value]) -> rusqlite::Result<Option<Vec<Value>>> {
    looked_up(conn, table, want, by, values, 1).map(|found| found.into_iter().next())
}

/// The same of all such rows.
pub fn look_up_all(conn: &Connection, table: &Table, want: &[Name], by: &[Name], values: &[Value]) -> rusqlite::Result<Vec<Vec<Value>>> {
    looked_up(conn, table, want, by, values, usize::MAX)
}

fn looked_up(conn: &Connection, table: &Table, want: &[Name], by: &[Name], values: &[Value], most: usize) -> rusqlite::Result<Vec<Vec<Value>>> {
    let list = want.iter().map(|c| table.sql(c)).collect::<Vec<_>>().join(", ");
    let on = by.iter().enumerate().map(|(i, c)| format!("{} = ?{}", table.sql(c), i + 1)).collect::<Vec<_>>().join(" AND ");
    let mut q = conn.prepare_cached(&format!("SELECT {list} FROM {} WHERE {on}", quote(&table.name)))?;
    let mut rows = q.query(rusqlite::params_from_iter(values.iter().map(Param)))?;
    let mut found = Vec::new();
    while found.len() < most
        && let Some(r) = rows.next()?
    {
        found.push((0..want.len()).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<_>>()?);
    }
    Ok(found)
}

/// The content of one text or blob of a row, in UTF-8 where it is text; `None` if there is no such
/// row, or something else in it.
pub fn content(conn: &Connection, table: &Table, column: &str, key: &HostKey) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut q = conn.prepare_cached(&format!("SELECT {} FROM {} WHERE {}", table.sql(column), quote(&table.name), table.key_is(1)))?;
    let mut rows = q.query(rusqlite::params_from_iter(key.iter().map(Param)))?;
    Ok(match rows.next()? {
        Some(r) => match r.get_ref(0)? {
            ValueRef::Text(b) | ValueRef::Blob(b) => Some(b.to_vec()),
            _ => None,
        },
        None => None,
    })
}

/// The root key of the record that a row belongs to, found by climbing owner columns. `start` are
/// the values of `by` columns of the row. A row that is gone ends the climb with `None`, unless
/// `gone` knows what it hung from: table and columns' values to the owner's.
pub fn climb(
    conn: &Connection,
    m: &Mapping,
    table: usize,
    by: &[Name],
    values: &[Value],
    gone: &dyn Fn(usize, &[Name], &[Value]) -> Option<Vec<Value>>,
) -> rusqlite::Result<Option<HostKey>> {
    let (mut at, mut by, mut values) = (table, by.to_vec(), values.to_vec());
    // As deep as the mapping is, and no circle.
    for _ in 0..=m.tables.len() {
        let Some(t) = m.tables.get(at) else { return Ok(None) };
        let Some(owner) = t.owner_ref() else {
            let key = t.key_columns();
            return if same_names(key, &by) { Ok(Some(values)) } else { look_up(conn, t, key, &by, &values) };
        };
        let up = match look_up(conn, t, &owner.columns, &by, &values)? {
            Some(v) => v,
            None => match gone(at, &by, &values) {
                Some(v) => v,
                None => return Ok(None),
            },
        };
        let Some((parent, columns, up)) = owner.leads(m, &up) else { return Ok(None) };
        (at, by, values) = (parent, columns.to_vec(), up);
        if values.iter().any(Value::is_null) {
            return Ok(None);
        }
    }
    Ok(None)
}
