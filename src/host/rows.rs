//! Rows of the host as they stand: read by record, one query for each table.

use crate::host::key::{HostKey, encode};
use crate::host::mapping::{Column, Key, Mapping, Role, Table, Target};
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
/// a text names an owner's table, one for each.
pub fn selects(m: &Mapping, table: usize, span: Span<'_>) -> Vec<String> {
    climbs(m, table, ('t', 0), true).iter().filter_map(|(joins, key_at)| select(m, table, span, joins, key_at)).collect()
}

/// Ways up from a table to its root: the joins, and what the root's key is in their terms. It stops at the table
/// whose owner columns are the root's key: no join with the root is needed.
fn climbs(m: &Mapping, at: usize, (letter, alias): (char, usize), texts: bool) -> Vec<(String, Vec<String>)> {
    let Some((here, root)) = m.tables.get(at).and_then(|t| Some((t, m.root(t.kind)?))) else { return Vec::new() };
    let columns_at = |columns: &[Name]| columns.iter().map(|c| format!("{letter}{alias}.{}", quote(c))).collect::<Vec<_>>();
    let Some(owner) = here.owner_ref() else { return vec![(String::new(), columns_at(root.key_columns()))] };
    let up = |parent: usize, on: String, texts: bool| -> Vec<(String, Vec<String>)> {
        let Some(p) = m.tables.get(parent).filter(|p| p.kind == here.kind && alias < m.tables.len()) else { return Vec::new() };
        let join = format!(" JOIN {} AS {letter}{} ON {on}", quote(&p.name), alias + 1);
        climbs(m, parent, (letter, alias + 1), texts).into_iter().map(|(joins, key)| (format!("{join}{joins}"), key)).collect()
    };
    match &owner.target {
        Target::Table { table: parent, columns } if m.tables.get(*parent).is_some_and(|p| p.owner.is_none()) && same_names(columns, root.key_columns()) => {
            vec![(String::new(), columns_at(&owner.columns))]
        }
        Target::Table { table: parent, columns } => {
            let on: Vec<String> = owner.columns.iter().zip(columns).map(|(c, pc)| format!("{letter}{}.{} = {letter}{alias}.{}", alias + 1, quote(pc), quote(c))).collect();
            up(*parent, on.join(" AND "), texts)
        }
        // What is attached to an attachment is not followed: it may lead in a circle.
        Target::InText(models) if texts => {
            let each = |(model, parent): &(Name, usize)| {
                let (Some(text), Some(key)) = (owner.columns.first(), m.tables.get(*parent).and_then(|p| p.key_columns().first())) else { return Vec::new() };
                up(*parent, format!("{letter}{alias}.{} = '{},' || {letter}{}.{}", quote(text), model.replace('\'', "''"), alias + 1, quote(key)), false)
            };
            models.iter().flat_map(each).collect()
        }
        Target::InText(_) | Target::ByColumn(_) => Vec::new(),
    }
}

fn select(m: &Mapping, table: usize, span: Span<'_>, joins: &str, key_at: &[String]) -> Option<String> {
    let t = m.tables.get(table)?;
    let mut list = key_at.to_vec();
    list.extend(t.key_columns().iter().chain(t.columns.iter().map(|c| &c.name)).map(|c| format!("t0.{}", t.sql(c))));
    let condition = match span {
        Span::Range(..) => format!("{0} >= ?1 AND {0} <= ?2", key_at.first()?),
        Span::Many(keys) => format!("{} IN ({}) ORDER BY 1", key_at.first()?, (1..=keys.len()).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ")),
        Span::One(_) => key_at.iter().enumerate().map(|(i, k)| format!("{k} = ?{}", i + 1)).collect::<Vec<_>>().join(" AND "),
    };
    Some(format!("SELECT {} FROM {} AS t0{joins} WHERE {condition}", list.join(", "), quote(&t.name)))
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

/// Reads one record's rows; none if its root row is gone.
pub fn of_one(conn: &Connection, m: &Mapping, kind: usize, root: &HostKey) -> rusqlite::Result<HostRecord> {
    Ok(read(conn, m, kind, Span::One(root))?.into_values().next().unwrap_or_default())
}

/// The span of so many records from one key to another, if their keys lie close enough together to be read at once.
pub fn close<'a>(a: &'a HostKey, b: &'a HostKey, n: usize) -> Option<Span<'a>> {
    let ([a], [b]) = (a.as_slice(), b.as_slice()) else { return None };
    let dense = match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => b.saturating_sub(*a).unsigned_abs() < 8 * n as u64,
        // Text keys come in order, and little lies between them that is not ours.
        (Value::Text(_), Value::Text(_)) => true,
        _ => false,
    };
    (dense && n > 8).then_some(Span::Range(a, b))
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

/// A text as it stands in SQL.
pub fn literal(s: &str) -> String {
    format!("'{}'", s.replace('\'', "''"))
}

/// The rows of a table in which columns hold these values.
pub fn rows_by(conn: &Connection, m: &Mapping, table: usize, by: &[Name], values: &HostKey) -> rusqlite::Result<Vec<HostRow>> {
    let Some(t) = m.tables.get(table) else { return Ok(Vec::new()) };
    let list: Vec<String> = t.key_columns().iter().chain(t.columns.iter().map(|c| &c.name)).map(|c| t.sql(c)).collect();
    let sql = format!("SELECT {} FROM {} WHERE {}", list.join(", "), quote(&t.name), conditions(by, 1));
    let mut out = BTreeMap::new();
    read_table(conn, (table, t), 0, &sql, Span::One(values), &mut out)?;
    Ok(out.into_values().flat_map(HostRecord::into_values).flatten().collect())
}

/// All root rows of a record type that are to be records, in key order: `where` chooses who is taken in, and nobody is let go
/// by it (decision 0029). Gives their keys, and what they are matched on.
pub fn roots<E: From<rusqlite::Error>>(conn: &Connection, m: &Mapping, kind: usize, each: &mut dyn FnMut(HostKey, Vec<Value>) -> Result<(), E>) -> Result<(), E> {
    let (Some(root), Some(k)) = (m.root(kind), m.types.get(kind)) else { return Ok(()) };
    let list = |names: &[Name]| names.iter().map(|c| format!("t0.{}", quote(c))).collect::<Vec<_>>();
    let keys = list(root.key_columns());
    let (joins, matches) = matched(m, kind, true);
    let filter = k.filter.as_ref().map_or(String::new(), |f| format!(" WHERE ({f})"));
    let all = [keys.as_slice(), &matches].concat().join(", ");
    let mut q = conn.prepare(&format!("SELECT {all} FROM {} AS t0{joins}{filter} ORDER BY {}", quote(&root.name), keys.join(", ")))?;
    let mut rows = q.query([])?;
    while let Some(r) = rows.next()? {
        let take = |from: usize, n: usize| (from..from + n).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<Vec<Value>>>();
        each(take(0, keys.len())?, take(keys.len(), matches.len())?)?;
    }
    Ok(())
}

/// What the root row with a key is matched on; `None` if there is no such row.
pub fn root_values(conn: &Connection, m: &Mapping, kind: usize, key: &HostKey) -> rusqlite::Result<Option<Vec<Value>>> {
    let Some(root) = m.root(kind) else { return Ok(None) };
    let (_, mut list) = matched(m, kind, false);
    list.push("1".to_owned());
    let key_is: Vec<String> = root.key_columns().iter().enumerate().map(|(i, c)| format!("t0.{} IS ?{}", quote(c), i + 1)).collect();
    let mut q = conn.prepare_cached(&format!("SELECT {} FROM {} AS t0 WHERE {}", list.join(", "), quote(&root.name), key_is.join(" AND ")))?;
    let mut rows = q.query(rusqlite::params_from_iter(key.iter().map(Param)))?;
    match rows.next()? {
        None => Ok(None),
        Some(r) => Ok(Some((0..list.len() - 1).map(|i| Ok(value_of(r.get_ref(i)?))).collect::<rusqlite::Result<_>>()?)),
    }
}

/// SQL for what the root row `t0` is matched on: joins and a list. A column of another table counts where the record
/// has one row of it. For `many` roots each such table is read once; for one its rows are looked up.
fn matched(m: &Mapping, kind: usize, many: bool) -> (String, Vec<String>) {
    let Some(k) = m.types.get(kind) else { return Default::default() };
    let mut joins = String::new();
    let mut list = Vec::new();
    for (n, c) in k.match_columns().iter().enumerate() {
        let Some(e) = k.match_elsewhere.iter().find(|e| e.name == *c) else {
            list.push(m.root(kind).map_or_else(|| format!("t0.{}", quote(c)), |t| format!("t0.{}", t.sql(c))));
            continue;
        };
        let (Some((up, key)), Some(root)) = (climbs(m, e.table, ('c', 0), true).into_iter().next(), m.root(kind)) else {
            list.push("NULL".to_owned());
            continue;
        };
        let column = m.tables.get(e.table).map_or_else(|| quote(&e.column), |t| t.sql(&e.column));
        let value = format!("CASE WHEN count(*) = 1 THEN max(c0.{column}) END");
        let from = format!("{} AS c0{up}", quote(&e.table_name));
        let on = |other: &dyn Fn(usize, &Name) -> String| {
            key.iter().zip(root.key_columns()).enumerate().map(|(i, (own, c))| other(i, c).replace("{own}", own)).collect::<Vec<_>>().join(" AND ")
        };
        if many {
            let keys: Vec<String> = key.iter().enumerate().map(|(i, own)| format!("{own} AS k{i}")).collect();
            joins.push_str(&format!(
                " LEFT JOIN (SELECT {}, {value} AS v FROM {from} GROUP BY {}) AS e{n} ON {}",
                keys.join(", "),
                key.join(", "),
                on(&|i, c| format!("e{n}.k{i} = t0.{}", quote(c)))
            ));
            list.push(format!("e{n}.v"));
        } else {
            list.push(format!("(SELECT {value} FROM {from} WHERE {})", on(&|_, c| format!("{{own}} = t0.{}", quote(c)))));
        }
    }
    (joins, list)
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
