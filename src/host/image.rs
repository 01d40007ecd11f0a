//! A record as the host holds it, in our terms: every row with its identity, every foreign key as
//! a reference.

use crate::host::key::{HostKey, encode};
use crate::host::local::Local;
use crate::host::mapping::{Mapping, Role, Rule, Table, Target};
use crate::host::rows::{HostRecord, HostRow};
use crate::host::signs::{content, sign};
use crate::id::{Random, RecordId, RowId, SiteId};
use crate::merge::Life;
use crate::record::{FieldKey, Record, Row, RowKey, SortedMap};
use crate::shared::{HashMap, Name};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

mod refs;

/// Finds rows of other records, by what the host calls them.
pub trait Others {
    /// The values that a row has in columns which SQLite finds equal to these: `dr.smith` for `DR.Smith` where
    /// the column is COLLATE NOCASE, 5 for '5'. `None` if there is no such row.
    fn spelled(&mut self, table: usize, columns: &[Name], values: &[Value]) -> Result<Option<Vec<Value>>, crate::host::Error>;
    /// The row of a table whose columns hold these values; `None` if it is not synchronized.
    fn row_of(&mut self, table: usize, columns: &[Name], values: &[Value]) -> Result<Option<(RowId, RecordId)>, crate::host::Error>;
    /// The identity of a row that came here from another record of this database.
    fn moved_here(&mut self, table: usize, key: &HostKey) -> Result<Option<RowId>, crate::host::Error>;
}

/// A row in our terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// Its table.
    pub table: usize,
    /// The row as the host has it.
    pub host: HostRow,
    /// Its fields; a reference that leads nowhere is NULL here and named in `dangling`.
    pub fields: SortedMap<FieldKey, Value>,
    /// Reference fields whose host value leads to no synchronized row.
    pub dangling: BTreeSet<Name>,
}

/// A record in our terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Its rows.
    pub rows: BTreeMap<RowKey, ImageRow>,
    /// What the host's rows looked like, where what changed is found by comparing.
    pub print: Option<[u8; 16]>,
}

/// What an image is made from.
#[derive(Debug)]
pub struct Context<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// The record type.
    pub kind: usize,
    /// The record.
    pub id: RecordId,
    /// This site.
    pub site: SiteId,
    /// The folder's key, for derived identities.
    pub folder_key: &'a [u8],
    /// Under which keys the host held the rows when we last looked.
    pub local: &'a Local,
    /// What is known of the record: rows that came from elsewhere and have no host row yet may turn
    /// out to be rows that the host has.
    pub known: &'a Record,
    /// What the host was last given of it.
    pub before: &'a Record,
    /// Which of its rows are there.
    pub lives: &'a BTreeMap<RowKey, Life>,
    /// Keys whose row was deleted since: what stands there now is another row.
    pub recycled: &'a BTreeSet<(usize, HostKey)>,
}

impl Table {
    /// The value of a column, key columns included.
    pub fn get<'r>(&self, row: &'r HostRow, column: &str) -> Option<&'r Value> {
        let at = match &self.key {
            crate::host::mapping::Key::Rowid(name) => name.eq_ignore_ascii_case(column).then_some(0),
            crate::host::mapping::Key::Columns(c) => c.iter().position(|k| k.eq_ignore_ascii_case(column)),
        };
        if let Some(i) = at {
            return row.key.get(i);
        }
        row.values.get(self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(column))?)
    }

    /// The field that a column's value travels in.
    pub(super) fn field_of(&self, column: &str, site: SiteId) -> Option<FieldKey> {
        match self.column(column)?.role {
            Role::Data | Role::Local { keep_if_free: true, .. } => Some(FieldKey::shared(column)),
            Role::Local { .. } => Some(FieldKey::local(column, site)),
            Role::Surrogate => None,
            Role::Reference => {
                let holds = |r: &&crate::host::mapping::ReferenceMap| r.columns.iter().any(|c| c.eq_ignore_ascii_case(column));
                let best = self.references.iter().filter(holds).min_by_key(|r| r.columns.len())?;
                Some(FieldKey::shared(best.field.clone()))
            }
        }
    }
}

/// Rows of one table of this record by the columns that references name.
struct Index<'a> {
    table: usize,
    columns: &'a [Name],
    rows: HashMap<Vec<u8>, usize>,
}

/// A row's fields, and those of them that lead nowhere.
type Fields = (SortedMap<FieldKey, Value>, BTreeSet<Name>);

/// Builds the image of a record from its host rows.
pub fn build(c: &Context<'_>, host: HostRecord, others: &mut dyn Others, random: &mut Random) -> Result<Image, crate::host::Error> {
    let mut b = Builder { c, ids: HashMap::default(), done: HashMap::default(), index: Vec::new(), host: &host, by_number: HashMap::default() };
    b.index();
    let tables = c.mapping.types.get(c.kind).map_or(&[][..], |k| &k.tables);
    // Rows that the host held before keep their identity.
    let held: HashMap<(&str, Vec<u8>), &RowKey> = c.local.rows.iter().filter(|(_, r)| r.away.is_none()).map(|(k, r)| ((k.table.as_str(), encode(&r.key)), k)).collect();
    let mut taken: BTreeSet<RowKey> = BTreeSet::new();
    for table in tables {
        let Some(t) = c.mapping.tables.get(*table) else { continue };
        if held.is_empty() && t.owner.is_some() {
            continue;
        }
        for (i, row) in host.get(table).into_iter().flatten().enumerate() {
            let id = match held.get(&(t.name.as_str(), encode(&row.key))) {
                _ if t.owner.is_none() => c.id,
                Some(k) if !c.recycled.contains(&(*table, row.key.clone())) => {
                    if t.renumbered() && !b.is_still(*table, i, k, row, others)? {
                        // VACUUM may have given the number to another row: that one's content tells.
                        b.by_number.insert((*table, i), k.id);
                        continue;
                    }
                    k.id
                }
                _ => continue,
            };
            if taken.insert(RowKey::new(t.name.clone(), id)) {
                b.ids.insert((*table, i), id);
            }
        }
    }
    for table in tables {
        b.identify(*table, &mut taken, others, random)?;
    }
    for (table, rows) in &host {
        for (i, row) in rows.iter().enumerate() {
            if b.ids.contains_key(&(*table, i)) && !b.done.contains_key(&(*table, i)) {
                let fields = b.fields(*table, row, others)?.0;
                b.done.insert((*table, i), fields);
            }
        }
    }
    let Builder { ids, mut done, .. } = b;
    let mut image = Image::default();
    for (table, rows) in host {
        let Some(t) = c.mapping.tables.get(table) else { continue };
        for (i, host) in rows.into_iter().enumerate() {
            let (Some(id), Some(mut fields)) = (ids.get(&(table, i)), done.remove(&(table, i))) else { continue };
            let key = RowKey::new(t.name.clone(), *id);
            Builder::unsay(t, c.known.rows.get(&key), &mut fields);
            let (fields, dangling) = fields;
            image.rows.insert(key, ImageRow { table, host, fields, dangling });
        }
    }
    Ok(image)
}

struct Builder<'a> {
    c: &'a Context<'a>,
    /// The identity of each host row, by table and position.
    ids: HashMap<(usize, usize), RowId>,
    /// The fields of those whose references were all found.
    done: HashMap<(usize, usize), Fields>,
    index: Vec<Index<'a>>,
    host: &'a HostRecord,
    /// The identity of what had a row's number before, where its content is another.
    by_number: HashMap<(usize, usize), RowId>,
}

impl<'a> Builder<'a> {
    fn index(&mut self) {
        let m = self.c.mapping;
        let tables = m.types.get(self.c.kind).map_or(&[][..], |k| &k.tables);
        let mut by_name = false;
        for r in tables.iter().filter_map(|t| m.tables.get(*t)).flat_map(|t| &t.references) {
            match &r.target {
                Target::Table { table, columns } => self.index_on(*table, columns),
                Target::ByColumn(_) | Target::InText(_) => by_name = true,
            }
        }
        for t in tables.iter().filter(|_| by_name) {
            if let Some(table) = m.tables.get(*t) {
                self.index_on(*t, table.key_columns());
            }
        }
    }

    /// Whether a row holds what the row known under its number held.
    fn is_still(&mut self, table: usize, i: usize, key: &RowKey, row: &HostRow, others: &mut dyn Others) -> Result<bool, crate::host::Error> {
        let Some(t) = self.c.mapping.tables.get(table) else { return Ok(false) };
        let (fields, whole) = self.fields(table, row, others)?;
        let here = content(t, true, |k| fields.0.get(k).cloned());
        if whole {
            self.done.insert((table, i), fields);
        }
        let was = |r: &Record| r.rows.get(key).is_some_and(|r| content(t, true, |k| r.current(k).cloned()) == here);
        Ok(was(self.c.before) || was(self.c.known))
    }

    /// Whether a row has nothing in common with a known one that stood under the same number.
    fn is_another(&self, t: &Table, row: Option<&HostRow>, key: &RowKey) -> bool {
        let (Some(row), Some(known)) = (row, self.c.known.rows.get(key)) else { return false };
        let mut said = t.columns.iter().zip(&row.values).filter(|(c, v)| c.role == Role::Data && c.rule == Rule::Latest && !v.is_null()).peekable();
        said.peek().is_some() && said.all(|(c, v)| known.current(&FieldKey::shared(c.name.clone())).is_some_and(|k| k != v))
    }

    fn find_index(&self, table: usize, columns: &[Name]) -> Option<&Index<'a>> {
        self.index.iter().find(|i| i.table == table && crate::host::rows::same_names(i.columns, columns))
    }

    fn index_on(&mut self, table: usize, columns: &'a [Name]) {
        let (Some(t), Some(rows)) = (self.c.mapping.tables.get(table), self.host.get(&table)) else { return };
        if self.find_index(table, columns).is_some() {
            return;
        }
        let by = rows.iter().enumerate().filter_map(|(i, row)| {
            let values: Option<Vec<Value>> = columns.iter().map(|c| t.get(row, c).cloned()).collect();
            Some((encode(&values?), i))
        });
        self.index.push(Index { table, columns, rows: by.collect() });
    }

    /// Gives identities to the rows of a table that have none yet: those of known rows that they
    /// turn out to be, derived ones, or random ones.
    fn identify(&mut self, table: usize, taken: &mut BTreeSet<RowKey>, others: &mut dyn Others, random: &mut Random) -> Result<(), crate::host::Error> {
        let m = self.c.mapping;
        let (Some(t), Some(rows)) = (m.tables.get(table), self.host.get(&table)) else { return Ok(()) };
        let new: Vec<usize> = (0..rows.len()).filter(|i| !self.ids.contains_key(&(table, *i))).collect();
        if new.is_empty() {
            return Ok(());
        }
        // That a record has one row of a table names that row as long as it has one.
        let known = || self.c.known.rows.keys().filter(|k| k.table == t.name && self.c.lives.get(*k) == Some(&Life::Live)).count();
        let alone = !t.single || (rows.len() <= 1 && known() <= 1);
        // Known rows that have no host row: gone and come back, or met for the first time.
        let free: Vec<(&RowKey, &Row)> = self.c.known.rows.iter().filter(|(k, _)| k.table == t.name && !taken.contains(*k) && self.c.lives.get(*k) == Some(&Life::Live)).collect();
        let mut left: Vec<usize> = Vec::new();
        let mut signatures: Vec<Vec<Vec<u8>>> = Vec::new();
        for i in new {
            let Some(row) = rows.get(i) else { continue };
            if let Some(id) = others.moved_here(table, &row.key)?
                && taken.insert(RowKey::new(t.name.clone(), id))
            {
                self.ids.insert((table, i), id);
                continue;
            }
            let (fields, whole) = self.fields(table, row, others)?;
            if !free.is_empty() {
                signatures.push(self.signatures(t, alone, |k| fields.0.get(k).cloned()));
            }
            if whole {
                self.done.insert((table, i), fields);
            }
            left.push(i);
        }
        if !free.is_empty() {
            let mut by: HashMap<Vec<u8>, Vec<&RowKey>> = HashMap::default();
            for (key, row) in free.iter().rev() {
                let had = self.c.local.rows.get(*key).is_some_and(|l| l.away.is_none());
                for (n, s) in self.signatures(t, alone, |k| row.current(k).cloned()).into_iter().enumerate() {
                    // A counted number says who a row is only within one place.
                    if had || n == 0 || !self.counted(t, n - 1) {
                        by.entry(s).or_default().push(key);
                    }
                }
                // What is known may be newer than what the host shows.
                let before = self.c.before.rows.get(*key).filter(|b| t.renumbered() && *b != *row);
                if let Some(b) = before {
                    by.entry(content(t, true, |k| b.current(k).cloned())).or_default().push(key);
                }
            }
            // All rows by the strongest sign first: UNIQUE columns, then content (index 0, tried last).
            let widest = signatures.iter().map(Vec::len).max().unwrap_or(0);
            for n in (1..widest).chain([0]) {
                for (at, i) in left.iter().enumerate() {
                    let Some(s) = signatures.get(at).and_then(|s| s.get(n)) else { continue };
                    if s.is_empty() || self.ids.contains_key(&(table, *i)) {
                        continue;
                    }
                    // A number that was counted anew says nothing where all else is another.
                    let anew = n > 0 && self.counted(t, n - 1) && rows.get(*i).is_some_and(|r| self.c.recycled.contains(&(table, r.key.clone())));
                    let found = by.get_mut(s).and_then(|keys| {
                        while let Some(k) = keys.pop() {
                            if !(taken.contains(k) || anew && self.is_another(t, rows.get(*i), k)) {
                                return Some(k);
                            }
                        }
                        None
                    });
                    if let Some(k) = found {
                        taken.insert(k.clone());
                        self.ids.insert((table, *i), k.id);
                    }
                }
            }
        }
        for i in left {
            if self.ids.contains_key(&(table, i)) {
                continue;
            }
            let Some(row) = rows.get(i) else { continue };
            if let Some(id) = self.by_number.get(&(table, i)).copied().filter(|id| taken.insert(RowKey::new(t.name.clone(), *id))) {
                self.ids.insert((table, i), id);
                continue;
            }
            let derived = self.derived(table, i, t, row, others)?.filter(|_| alone);
            // A known row that is there and that this one was not recognised as is another row.
            let free = |d: &RowId| self.c.lives.get(&RowKey::new(t.name.clone(), *d)) != Some(&Life::Live);
            let id = derived.filter(|d| free(d) && taken.insert(RowKey::new(t.name.clone(), *d))).unwrap_or_else(|| random.row());
            self.ids.insert((table, i), id);
        }
        Ok(())
    }

    /// Signs by which a row may be recognised: its whole content, then each set of UNIQUE columns.
    /// An empty sign matches nothing.
    fn signatures(&self, t: &Table, alone: bool, get: impl Fn(&FieldKey) -> Option<Value>) -> Vec<Vec<u8>> {
        let owner = t.owner_ref().map(|r| FieldKey::shared(r.field.clone()));
        let mut out = vec![content(t, true, &get)];
        for (n, set) in t.unique.iter().enumerate() {
            if !alone && t.only_owner(set) {
                out.push(Vec::new());
                continue;
            }
            let fields: Option<Vec<FieldKey>> = set.iter().map(|c| t.field_of(c, self.c.site)).collect();
            let n = u8::try_from(n + 1).unwrap_or(u8::MAX);
            out.push(fields.map_or(Vec::new(), |mut f| {
                f.extend(owner.clone());
                sign(n, &f, false, &get)
            }));
        }
        out
    }

    fn counted(&self, t: &Table, unique: usize) -> bool {
        t.unique.get(unique).is_some_and(|set| set.iter().any(|c| t.column(c).is_some_and(|c| matches!(c.role, Role::Local { .. }))))
    }

    /// The identity that the row's own content gives it.
    fn derived(&self, table: usize, at: usize, t: &Table, row: &HostRow, others: &mut dyn Others) -> Result<Option<RowId>, crate::host::Error> {
        if super::derived::sets(t).next().is_none() {
            return Ok(None);
        }
        let made;
        let (fields, dangling) = match self.done.get(&(table, at)) {
            Some(f) => f,
            None => {
                made = self.fields(table, row, others)?.0;
                &made
            }
        };
        Ok(super::derived::id(self.c.folder_key, t, self.c.site, &|f| fields.get(f).cloned(), dangling))
    }
}

/// Whether a value is a UUID in one of its usual spellings.
pub fn looks_like_uuid(v: &Value) -> bool {
    match v {
        Value::Blob(b) => b.len() == 16,
        Value::Text(t) => {
            let hex = t.iter().filter(|c| c.is_ascii_hexdigit()).count();
            let hyphens_at = |at: &[usize]| t.iter().enumerate().all(|(i, c)| (*c == b'-') == at.contains(&i));
            hex == 32 && (t.len() == 32 || (t.len() == 36 && hyphens_at(&[8, 13, 18, 23])))
        }
        _ => false,
    }
}
