//! What of the host's schema is synchronized, and how: the engine's view of `cfs.toml` and the
//! live schema together. `resolve` makes it; nothing changes it afterwards.

use crate::host::events::Events;
use crate::host::looks::model_table;
use crate::record::{FieldKey, Record};
use crate::shared::{Name, names};
use crate::value::Value;

/// Everything that is synchronized.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Record types; shared ones first, each after the types its tables refer to where possible.
    pub types: Vec<RecordType>,
    /// All tables of all record types.
    pub tables: Vec<Table>,
    /// Whether what the host changed is found by comparing, without triggers (decision 0023).
    pub scan: bool,
}

/// A root table and the tables that hang off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordType {
    /// The root table's name as the schema spells it; paths use [`type_name`] of it.
    pub name: Name,
    /// The root table, as an index into [`Mapping::tables`].
    pub root: usize,
    /// All its tables, the root first, every table after its parent.
    pub tables: Vec<usize>,
    /// Whether these are shared rows (doctors, code lists) that other records point to.
    pub shared: bool,
    /// Sets of columns that say which rows of two sites are one. NULL matches nothing.
    pub match_on: Vec<Vec<Name>>,
    /// Columns that must agree as well before a match is made by itself.
    pub match_check: Vec<Name>,
    /// Those columns of the two that another table of the record has, of which a record has one row:
    /// `demographics.hospital_number`.
    pub match_elsewhere: Vec<Elsewhere>,
    /// Those columns of the two that hold a reference.
    pub match_through: Vec<Through>,
    /// An SQL condition on the root table that narrows what is synchronized.
    pub filter: Option<String>,
}

/// A column that a record is matched on and that is not in its root table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// As `match_on` names it: `table.column`.
    pub name: Name,
    /// The table, an index into [`Mapping::tables`].
    pub table: usize,
    /// The table's name.
    pub table_name: Name,
    /// The column.
    pub column: Name,
}

/// A column that a record is matched on and that holds a reference: which number a row has here says nothing elsewhere, so
/// what counts is what the row that it leads to is matched on (decision 0031).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// As `match_on` names it.
    pub name: Name,
    /// The reference's field in records.
    pub field: Name,
    /// Where it leads; nothing where that is no record that is matched by itself: then it matches nothing.
    pub to: Option<Leads>,
}

/// To which root a reference leads that records are matched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// The record type.
    pub kind: usize,
    /// The columns of its root that the reference holds.
    pub columns: Vec<Name>,
    /// Where their values stand among those of [`RecordType::match_columns`].
    pub values: Vec<usize>,
    /// Whether this is the first of the reference's columns, which says for all of them where it leads.
    pub first: bool,
}

/// How the host names a row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// By its 64-bit rowid, under this name: an `INTEGER PRIMARY KEY` column, or `rowid`, `_rowid_`
    /// or `oid`, whichever the table's columns leave free.
    Rowid(Name),
    /// By these columns: the primary key of a `WITHOUT ROWID` table or any other declared key.
    Columns(Vec<Name>),
}

/// A table of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name, as the schema spells it.
    pub name: Name,
    /// The record type it belongs to, as an index into [`Mapping::types`].
    pub kind: usize,
    /// How the host names its rows.
    pub key: Key,
    /// Whether the key is a local surrogate that never travels.
    pub surrogate: bool,
    /// Whether a row's UUID is derived: a shared root (from `match_on`), or a row whose whole key
    /// is references or UUIDs (decided row by row). Otherwise it is random.
    pub derived: bool,
    /// The reference that makes a row belong to its record; `None` for a root.
    pub owner: Option<usize>,
    /// References, as fields: index into this list is what [`Table::owner`] holds.
    pub references: Vec<ReferenceMap>,
    /// Every column that is read and written, in the table's order. Generated columns, and those
    /// left out, are not in it.
    pub columns: Vec<Column>,
    /// Where each of them stands in that list, in the order of their names: that of a row's fields.
    pub by_name: Vec<usize>,
    /// Whether a record has one row of it: what makes that row belong is then among its UNIQUE sets.
    pub single: bool,
    /// Sets of columns that the schema declares UNIQUE (the primary key included unless it is a
    /// surrogate).
    pub unique: Vec<Vec<Name>>,
    /// Whether rows deleted and inserted anew by the host's way of saving are recognised.
    pub rewrites: bool,
    /// What happens to a row that the host deletes.
    pub local_deletes: LocalDeletes,
    /// Set where no rows can be inserted from outside the host's own process, with the reason in SQLite's words.
    pub no_insert: Option<String>,
    /// Set where rows cannot be changed, with the reason.
    pub no_update: Option<String>,
    /// Set where rows can be written but not deleted, with the reason.
    pub no_delete: Option<String>,
    /// What an inserted row gets in columns that are ignored: SQL.
    pub fill: Vec<(Name, String)>,
    /// Whether an index finds the rows that belong to another: without one, each record's rows are found by
    /// reading the whole table.
    pub indexed: bool,
    /// Whether a constraint of the table says ON CONFLICT: a row written by the host then silently takes the
    /// place of another one. Ours never does.
    pub on_conflict: bool,
    /// Whether a trigger of the host inserts rows into it.
    pub made_by_triggers: bool,
    /// The statements on the table that fire triggers of the host, which may change what is written.
    pub triggers: Events,
}

/// A foreign key, declared or told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceMap {
    /// The field's name in record files: its columns joined by `+`.
    pub field: Name,
    /// The columns that hold it.
    pub columns: Vec<Name>,
    /// For each column the field that holds how it is written, where that is not how the row that it points to
    /// writes its key: `DR.SMITH` for `dr.smith`, the text '5' for 5 (decision 0015).
    pub written: Vec<FieldKey>,
    /// Where it points.
    pub target: Target,
    /// Whether the schema declares it. Of one that was only inferred, a value that leads nowhere may be no key.
    pub declared: bool,
}

/// Where a reference points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To a synchronized table, through these columns of it.
    Table {
        /// Index into [`Mapping::tables`].
        table: usize,
        /// The target's columns, one for each of the reference's.
        columns: Vec<Name>,
    },
    /// To the table that another column of the row names, by its single-column key.
    ByColumn(Name),
    /// To the table that the text itself names: `model,id`. The models, each as it is spelled and with its
    /// table; a text that names another is no reference.
    InText(Vec<(Name, usize)>),
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, under which it travels.
    pub name: Name,
    /// What the host calls it, where it was renamed.
    pub host: Option<Name>,
    /// What it is for us.
    pub role: Role,
    /// What is shown of a field that several sites wrote.
    pub rule: Rule,
    /// Whether superseded values of it stand out until decided.
    pub review: bool,
    /// Whether the schema says NOT NULL.
    pub not_null: bool,
    /// Whether the schema fills it in where an INSERT leaves it out.
    pub has_default: bool,
    /// The column's affinity, by SQLite's rules (datatype3.html §3.1).
    pub affinity: Affinity,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A value that travels.
    Data,
    /// The local surrogate key.
    Surrogate,
    /// One of the columns of a reference, and possibly of several.
    Reference,
    /// Numbered by every site for itself.
    Local {
        /// An SQL expression or SELECT in the host's terms that gives an imported row its number.
        assign: Option<String>,
        /// An SQL SELECT that gives the highest number in use; `:next` in `assign` is one more. It
        /// is asked once a sync, since it may have to read the whole table.
        count: Option<String>,
        /// Whether the number of where the row came from is used if it is free here: the counting
        /// part of a composite key (line 4 of an invoice). Then the value travels as well.
        keep_if_free: bool,
    },
}

/// SQLite's type affinities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// TEXT.
    Text,
    /// NUMERIC.
    Numeric,
    /// INTEGER.
    Integer,
    /// REAL.
    Real,
    /// BLOB (or none).
    Blob,
}

impl Affinity {
    /// Whether `held` is what SQLite makes of `known` in a column of this affinity (datatype3.html §3): the host
    /// can hold the one in no other way.
    pub fn makes(self, known: &Value, held: &Value) -> bool {
        let number = |v: &Value| match v {
            // Exactly, or not at all: beyond 2^53 two integers have one double.
            Value::Integer(i) => Some(*i as f64).filter(|r| *r as i64 == *i && r.abs() < 9.1e18),
            Value::Real(r) => Some(*r),
            Value::Text(t) => std::str::from_utf8(t).ok()?.trim().parse::<f64>().ok().filter(|r| r.is_finite()),
            _ => None,
        };
        match (self, known, held) {
            (Affinity::Blob, ..) => false,
            (Affinity::Text, Value::Integer(i), Value::Text(t)) => **t == *i.to_string().as_bytes(),
            (Affinity::Text, Value::Real(r), Value::Text(t)) => **t == *format!("{r:?}").as_bytes(),
            (Affinity::Text, ..) => false,
            (_, Value::Integer(_) | Value::Real(_) | Value::Text(_), Value::Integer(_) | Value::Real(_)) => number(known).is_some() && number(known) == number(held),
            _ => false,
        }
    }
}

pub use crate::record::Rule;

/// What happens to a row that the host deletes without a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalDeletes {
    /// It comes back from the folder at the next sync.
    #[default]
    Restore,
    /// It stays away here until a person confirms or takes it back.
    Ask,
}

impl Mapping {
    /// The table with a name, compared as SQLite compares names: ASCII letters without case.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|t| t.name.eq_ignore_ascii_case(name))
    }

    /// The record type with a name.
    pub fn kind(&self, name: &str) -> Option<usize> {
        self.types.iter().position(|t| t.name == name)
    }

    /// Whether reading a record of a type reads whole tables: then many are read at once.
    pub fn unindexed(&self, kind: usize) -> bool {
        self.tables.iter().any(|t| t.kind == kind && !t.indexed)
    }

    /// The root table of a record type.
    pub fn root(&self, kind: usize) -> Option<&Table> {
        self.tables.get(self.types.get(kind)?.root)
    }
}

impl ReferenceMap {
    /// A reference by these columns.
    pub fn new(columns: &[String], target: Target, declared: bool) -> Self {
        let written = columns.iter().map(|c| FieldKey::shared(format!("{c} (as written)"))).collect();
        ReferenceMap { field: columns.join("+").into(), columns: names(columns), written, target, declared }
    }

    /// Whether a value that leads nowhere travels as it stands: text that somebody typed, and a number that is no
    /// row's (0, -1). Another number could be somebody else's at the next place.
    pub fn stands(&self, value: &Value) -> bool {
        !self.declared && matches!(value, Value::Text(_) | Value::Stored { .. } | Value::Integer(i64::MIN..=0))
    }

    /// The table, its columns and their values that the host's values lead to.
    pub fn leads<'m>(&'m self, m: &'m Mapping, values: &[Value]) -> Option<(usize, &'m [Name], Vec<Value>)> {
        match &self.target {
            Target::Table { table, columns } => Some((*table, columns, values.to_vec())),
            Target::InText(_) => {
                let [Value::Text(text)] = values else { return None };
                let (model, id) = std::str::from_utf8(text).ok()?.split_once(',')?;
                let table = self.table_of(m, model)?;
                let key: i64 = id.parse().ok().filter(|n: &i64| *n > 0 && n.to_string() == id)?;
                Some((table, m.tables.get(table)?.key_columns(), vec![Value::Integer(key)]))
            }
            Target::ByColumn(_) => None,
        }
    }

    /// The table of a model, as it is listed or as a synchronized table is called.
    fn table_of(&self, m: &Mapping, model: &str) -> Option<usize> {
        let Target::InText(models) = &self.target else { return None };
        models.iter().find(|(n, _)| n == model).map(|(_, t)| *t).or_else(|| m.table(&model_table(model)))
    }

    /// How the host writes that it leads to a row of a table with this key; `spelled` is how the model was
    /// written where that came from.
    pub fn write(&self, m: &Mapping, table: usize, key: Vec<Value>, spelled: Option<&Value>) -> Vec<Value> {
        let (Target::InText(models), [Value::Integer(id)]) = (&self.target, key.as_slice()) else { return key };
        let spelled = spelled.and_then(|s| if let Value::Text(s) = s { std::str::from_utf8(s).ok() } else { None });
        let listed = || models.iter().find(|(_, t)| *t == table).map(|(n, _)| n.as_str());
        let own = spelled.filter(|s| self.table_of(m, s) == Some(table));
        let name = own.or_else(listed).or_else(|| m.tables.get(table).map(|t| t.name.as_str()));
        name.map_or(key.clone(), |model| vec![Value::text(format!("{model},{id}"))])
    }
}

impl RecordType {
    /// What a record has in a column that it is matched on: where that is not the root's, what its only row of
    /// that table has.
    pub fn matched<'r>(&self, record: &'r Record, column: &Name) -> Option<&'r Value> {
        let Some(e) = self.match_elsewhere.iter().find(|e| e.name == *column) else { return record.root()?.get(column) };
        let mut rows = record.rows.iter().filter(|(k, r)| k.table == e.table_name && r.tombstone.is_none());
        rows.next().filter(|_| rows.next().is_none())?.1.get(&e.column)
    }

    /// The columns of the matching sets, then those that must agree.
    pub fn match_columns(&self) -> Vec<Name> {
        self.match_on.iter().flatten().chain(&self.match_check).cloned().collect()
    }
}

impl Table {
    /// Whether VACUUM may number the rows anew: they are named by a rowid that is no column
    /// (<https://sqlite.org/lang_vacuum.html>).
    pub fn renumbered(&self) -> bool {
        matches!(&self.key, Key::Rowid(name) if ["rowid", "_rowid_", "oid"].iter().any(|n| name.eq_ignore_ascii_case(n)))
    }

    /// INSERT or UPDATE, so that it refuses what a constraint forbids. Only where the table would do otherwise: the
    /// words reach into the host's triggers as well (<https://sqlite.org/lang_createtrigger.html>).
    pub fn verb(&self, verb: &str) -> String {
        if self.on_conflict { format!("{verb} OR ABORT") } else { verb.to_owned() }
    }

    /// Its columns, in the order of their names.
    pub fn columns_by_name(&self) -> impl Iterator<Item = &Column> {
        self.by_name.iter().filter_map(|n| self.columns.get(*n))
    }

    /// A column's name in SQL.
    pub fn sql(&self, column: &str) -> String {
        let host = self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(column)).and_then(|c| c.host.as_deref());
        super::rows::quote(host.unwrap_or(column))
    }

    /// Whether a column of a reference is part of another one as well.
    pub fn shares(&self, r: &ReferenceMap, column: &str) -> bool {
        self.references.iter().any(|o| o.field != r.field && o.columns.iter().any(|c| c.eq_ignore_ascii_case(column)))
    }

    /// Whether a set of columns is what makes a row belong, and no more.
    pub fn only_owner(&self, set: &[Name]) -> bool {
        let owner = self.owner_columns();
        !owner.is_empty() && owner.len() == set.len() && owner.iter().all(|c| set.contains(c))
    }

    /// The owner reference.
    pub fn owner_ref(&self) -> Option<&ReferenceMap> {
        self.references.get(self.owner?)
    }

    /// The column with a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }
}

pub use crate::names::type_name;

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// What `makes` says is what SQLite does, for values of all kinds in columns of all affinities.
    #[test]
    fn what_sqlite_makes_of_a_value() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (a TEXT, b NUMERIC, c INTEGER, d REAL, e)").unwrap();
        let columns = [("a", Affinity::Text), ("b", Affinity::Numeric), ("c", Affinity::Integer), ("d", Affinity::Real), ("e", Affinity::Blob)];
        let texts = ["60", "60.0", "6e1", " 7 ", "abc", "", "0x10", "2020-01-01", "-0", "1e400", "nan", "9223372036854775808"].map(Value::text);
        let numbers = [0, 1, -1, 60, i64::MAX, i64::MIN, 9_007_199_254_740_993].map(Value::Integer);
        let reals = [0.0, -0.0, 60.0, 61.5, 1e300, 0.1, 9.3e18, 1e15].map(Value::Real);
        let all: Vec<Value> = texts.into_iter().chain(numbers).chain(reals).chain([Value::Blob(vec![1].into()), Value::Null]).collect();
        for (column, affinity) in columns {
            for v in &all {
                db.execute(&format!("INSERT INTO t ({column}) VALUES (?1)"), [crate::host::rows::Param(v)]).unwrap();
                let sql = format!("SELECT {column} FROM t WHERE rowid = last_insert_rowid()");
                let held = db.query_row(&sql, [], |r| Ok(crate::host::rows::value_of(r.get_ref(0)?))).unwrap();
                if held == *v {
                    continue;
                }
                // Some of what SQLite changes is not recognised (1e300 as text): taken for an edit, nothing lost.
                let seen = affinity.makes(v, &held);
                for other in all.iter().filter(|o| **o != *v && affinity.makes(o, &held)) {
                    // Two values are one only if SQLite makes the same of both.
                    db.execute(&format!("INSERT INTO t ({column}) VALUES (?1)"), [crate::host::rows::Param(other)]).unwrap();
                    let of_other = db.query_row(&sql, [], |r| Ok(crate::host::rows::value_of(r.get_ref(0)?))).unwrap();
                    assert!(of_other == held || affinity.makes(other, &of_other), "{affinity:?}");
                }
                assert!(seen || matches!(affinity, Affinity::Text) || matches!(v, Value::Integer(_) | Value::Text(_)), "{affinity:?}");
            }
        }
        assert!(Affinity::Integer.makes(&Value::Real(60.0), &Value::Integer(60)) && Affinity::Real.makes(&Value::Integer(60), &Value::Real(60.0)));
        assert!(Affinity::Text.makes(&Value::Integer(7), &Value::text("7")) && !Affinity::Text.makes(&Value::Integer(7), &Value::text("07")));
        assert!(!Affinity::Real.makes(&Value::Integer(60), &Value::Real(61.5)) && !Affinity::Blob.makes(&Value::Integer(1), &Value::Real(1.0)));
        assert!(!Affinity::Integer.makes(&Value::Integer(9_007_199_254_740_993), &Value::Integer(9_007_199_254_740_992)));
    }
}
