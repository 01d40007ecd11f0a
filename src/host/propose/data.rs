//! What the data say of a column: looked at, never shown. Nothing here puts a value into a message.

use super::edges::Edges;
use crate::host::looks::{is_made_unique, words};
use crate::host::mapping::Affinity;
use crate::host::schema::{HostTable, Schema, quoted, quoted_list, same};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// How many rows are looked at.
const SAMPLE: u32 = 2_000;

/// Tables in which the host keeps its next numbers.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// (table, what it counts)
    found: Vec<(String, String)>,
}

/// A counter of the host that is about a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    /// The table it is in.
    pub(super) table: String,
    /// Whether a trigger moves it on when a row is inserted, whoever inserts it.
    pub(super) kept_by_trigger: bool,
}

impl Counters {
    pub(super) fn read(db: &Connection, schema: &Schema) -> Result<Counters, rusqlite::Error> {
        let mut counters = Counters::default();
        for t in &schema.tables {
            let counts = words(&t.name).iter().any(|w| ["counter", "counters", "sequence", "sequences", "numbering", "numbers", "autonumber"].contains(&w.as_str()));
            if !counts || t.rows > 1_000 {
                continue;
            }
            for c in t.columns.iter().filter(|c| c.affinity == Affinity::Text) {
                let mut rows = db.prepare(&format!("SELECT {} FROM main.{} LIMIT 1000", quoted(&c.name), quoted(&t.name)))?;
                let mut rows = rows.query([])?;
                while let Some(r) = rows.next()? {
                    if let ValueRef::Text(name) = r.get_ref(0)? {
                        counters.found.push((t.name.clone(), String::from_utf8_lossy(name).into_owned()));
                    }
                }
            }
        }
        Ok(counters)
    }

    /// The counter of a column, if there is one.
    pub(super) fn of(&self, schema: &Schema, table: &HostTable, column: &str) -> Option<Counter> {
        let (t, c) = (words(&table.name), words(column));
        let both: Vec<String> = t.iter().chain(&c).cloned().collect();
        let (counter, _) = self.found.iter().find(|(_, name)| {
            let n = words(name);
            n == c || n == both || n == t
        })?;
        let kept = schema.triggers_on(&table.name).any(|trigger| {
            let sql = trigger.sql.to_lowercase().replace(['"', '`', '[', ']'], "");
            sql.contains("insert") && sql.contains(&counter.to_lowercase()) && sql.contains(&format!("new.{}", column.to_lowercase()))
        });
        Some(Counter { table: counter.clone(), kept_by_trigger: kept })
    }
}

/// A sample of a column in the order the rows were made.
pub(super) struct Sample {
    /// The values as text; blobs and NULLs are left out.
    pub(super) texts: Vec<String>,
}

impl Sample {
    pub(super) fn read(db: &Connection, table: &HostTable, column: &str) -> Result<Sample, rusqlite::Error> {
        let order = match &table.rowid_name {
            Some(rowid) => quoted(rowid),
            None => quoted_list(&table.key_columns()),
        };
        let c = quoted(column);
        let sql = format!("SELECT {c} FROM main.{} WHERE {c} IS NOT NULL ORDER BY {order} LIMIT {SAMPLE}", quoted(&table.name));
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut texts = Vec::new();
        while let Some(r) = rows.next()? {
            match r.get_ref(0)? {
                ValueRef::Integer(i) => texts.push(i.to_string()),
                ValueRef::Text(t) => texts.push(String::from_utf8_lossy(t).into_owned()),
                ValueRef::Real(x) => texts.push(x.to_string()),
                ValueRef::Null | ValueRef::Blob(_) => {}
            }
        }
        Ok(Sample { texts })
    }

    /// Whether all values are whole numbers.
    pub(super) fn numbers(&self) -> bool {
        !self.texts.is_empty() && self.texts.iter().all(|t| t.parse::<i64>().is_ok())
    }

    /// Whether numbers follow one another: they grow with the rows, and without great gaps.
    pub(super) fn counts(numbers: &[u64]) -> bool {
        let (Some(min), Some(max)) = (numbers.iter().min(), numbers.iter().max()) else { return false };
        if numbers.len() < 3 {
            return false;
        }
        let up = numbers.windows(2).filter(|w| w[0] <= w[1]).count() * 10 >= (numbers.len() - 1) * 9;
        let dense = max - min < numbers.len() as u64 * 3 + 10;
        up && dense
    }

    /// Whether numbers lie so far apart that nobody here counted them.
    pub(super) fn sparse(numbers: &[u64]) -> bool {
        let (Some(min), Some(max)) = (numbers.iter().min(), numbers.iter().max()) else { return false };
        numbers.len() >= 3 && max - min > numbers.len() as u64 * 100 + 1_000
    }
}

/// What a UNIQUE column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It means the same everywhere, with the reason.
    Identity(String),
    /// Each site counts it, with the reason.
    Counted(String),
    /// Neither is clear.
    Unclear,
}

const IDENTITY: [&str; 24] = [
    "national",
    "ssn",
    "nhs",
    "passport",
    "insurance",
    "insured",
    "uuid",
    "guid",
    "social",
    "citizen",
    "bsn",
    "cpr",
    "npi",
    "nino",
    "chi",
    "ahv",
    "tax",
    "pesel",
    "personnummer",
    "kvnr",
    "isbn",
    "iso",
    "atc",
    "loinc",
];
const COUNTED: [&str; 12] = ["no", "nr", "num", "number", "seq", "sequence", "counter", "serial", "chart", "file", "folio", "ticket"];

/// Whether a column means the same everywhere, by its name.
pub(super) fn identifies(column: &str) -> bool {
    words(column).iter().any(|w| IDENTITY.contains(&w.as_str()))
}

/// Tells an identity from a counted number by type, name, data, and what the host keeps of it.
pub(super) fn classify(db: &Connection, schema: &Schema, counters: &Counters, table: &HostTable, column: &str) -> Result<Kind, rusqlite::Error> {
    let name = words(column);
    if let Some(counter) = counters.of(schema, table, column) {
        return Ok(Kind::Counted(format!("the host counts it in {}", counter.table)));
    }
    let sample = Sample::read(db, table, column)?;
    if !sample.texts.is_empty() && sample.texts.iter().all(|t| is_made_unique(t)) {
        return Ok(Kind::Identity("its values are unique by the way they are made (UUID, OID)".to_owned()));
    }
    if identifies(column) {
        return Ok(Kind::Identity("by its name it means the same everywhere".to_owned()));
    }
    let format = super::format::Format::learn(&sample.texts);
    if format.as_ref().is_some_and(|f| Sample::counts(&f.numbers)) {
        return Ok(Kind::Counted("its numbers follow one another as rows are added".to_owned()));
    }
    let integer = table.column(column).is_some_and(|c| c.affinity == Affinity::Integer);
    let sparse = format.as_ref().is_some_and(|f| Sample::sparse(&f.numbers));
    if name.last().is_some_and(|w| COUNTED.contains(&w.as_str())) && !sparse && (sample.texts.len() < 3 || format.is_some() || integer) {
        return Ok(Kind::Counted("by its name it is a number that is counted".to_owned()));
    }
    if integer && sample.texts.len() < 3 {
        return Ok(Kind::Counted("a UNIQUE INTEGER without data that say otherwise".to_owned()));
    }
    Ok(Kind::Unclear)
}

/// Whether a column of a composite key counts within the rest: 1, 2, 3 … for each parent.
pub(super) fn counts_within(db: &Connection, edges: &Edges, index: usize, table: &HostTable, column: &str) -> Result<bool, rusqlite::Error> {
    let rest: Vec<String> = table.primary_key.iter().filter(|c| !same(c, column)).cloned().collect();
    if rest.is_empty() || !rest.iter().any(|c| edges.refers(index, c)) {
        return Ok(false);
    }
    let c = quoted(column);
    let sql = format!(
        "SELECT count(*), coalesce(sum(lo BETWEEN 0 AND 1 AND hi - lo + 1 <= 2 * n AND whole), 0), coalesce(max(n), 0) > 1 FROM (
           SELECT min({c}) AS lo, max({c}) AS hi, count(*) AS n, min(typeof({c}) = 'integer') AS whole FROM main.{t} GROUP BY {rest} LIMIT 5000)",
        t = quoted(&table.name),
        rest = quoted_list(&rest),
    );
    let (groups, counted, several): (i64, i64, bool) = db.query_row(&sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    // One row each says nothing.
    if groups > 0 && (several || counted * 10 < groups * 9) {
        return Ok(counted * 10 >= groups * 9);
    }
    let names = ["no", "nr", "num", "number", "seq", "sequence", "line", "pos", "position", "idx", "index", "n", "ord", "ordinal", "rank", "step"];
    let integer = table.column(column).is_some_and(|c| c.affinity == Affinity::Integer);
    Ok(integer && words(column).last().is_some_and(|w| names.contains(&w.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a UNIQUE column of a table of 50 rows is, by its name, type and values.
    fn kind(declared: &str, name: &str, value: &dyn Fn(u64) -> String) -> Kind {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, {name} {declared} UNIQUE)")).unwrap();
        for i in 1..=50 {
            db.execute("INSERT INTO t VALUES (?1, ?2)", rusqlite::params![i.to_string(), value(i)]).unwrap();
        }
        let schema = Schema::read(&db).unwrap();
        classify(&db, &schema, &Counters::default(), &schema.tables[0], name).unwrap()
    }

    #[test]
    fn counted_numbers_and_identities_are_told_apart() {
        let scattered = |i: u64| (i * 2_654_435_761 % 1_000_000_007).to_string();
        let counted = [
            kind("INTEGER", "file_no", &|i| i.to_string()),
            kind("TEXT", "code", &|i| format!("P-{:04}", 900 + i)),
            kind("TEXT", "visit_no", &|i| format!("20{:02}/{:06}", 10 + i / 10, i)),
            kind("INTEGER", "chart_no", &|i| (51 - i).to_string()),
        ];
        assert!(counted.iter().all(|k| matches!(k, Kind::Counted(_))), "{counted:?}");
        let same = [
            kind("TEXT", "national_id", &scattered),
            kind("TEXT", "study_uid", &|i| format!("1.2.840.113619.2.{i}")),
            kind("TEXT", "passport_no", &|i| format!("X{i:06}")),
            kind("TEXT", "mrn", &|i| format!("{i:08x}-0000-4000-8000-000000000000")),
        ];
        assert!(same.iter().all(|k| matches!(k, Kind::Identity(_))), "{same:?}");
        let unclear = [kind("TEXT", "person_number", &scattered), kind("TEXT", "phone", &scattered), kind("TEXT", "email", &|i| format!("a{}@b", i * 17))];
        assert!(unclear.iter().all(|k| *k == Kind::Unclear), "{unclear:?}");
    }
}
