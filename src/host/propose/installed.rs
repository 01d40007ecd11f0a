//! Tables that the record points to and that are nevertheless nobody's rows to send: vocabularies that
//! are installed, not typed, and tables that are empty although rows point to them.

use super::data::Sample;
use super::edges::{Edges, singular, thousands};
use crate::host::looks::{is_made_unique, words};
use crate::host::schema::{COUNT_LIMIT, Schema, quoted};
use rusqlite::Connection;

/// A vocabulary has more rows than this.
const LARGE: u64 = 20_000;
/// And this many times as many as there are people.
const MORE_THAN_PEOPLE: u64 = 5;

/// Why the rows of a table stay where they are, while the keys in the rows that point to it travel as they stand.
pub(super) fn why(db: &Connection, schema: &Schema, edges: &Edges, table: usize, root: usize) -> Result<Option<String>, rusqlite::Error> {
    let t = &schema.tables[table];
    if t.rows == 0 {
        for e in edges.all.iter().filter(|e| e.parent == table && e.columns.len() == 1) {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM main.{} WHERE {} IS NOT NULL)", quoted(&schema.tables[e.child].name), quoted(&e.columns[0]));
            if db.query_row(&sql, [], |r| r.get(0))? {
                let from = format!("{}.{}", schema.tables[e.child].name, e.columns[0]);
                return Ok(Some(format!("is empty, and {from} points to it all the same: such numbers travel as they stand")));
            }
        }
        return Ok(None);
    }
    if t.rows <= LARGE || t.rows / MORE_THAN_PEOPLE <= schema.tables[root].rows {
        return Ok(None);
    }
    let vocabulary =
        ["concept", "vocabulary", "terminology", "ontology", "snomed", "icd", "icd10", "icd9", "loinc", "rxnorm", "umls", "atc", "ndc", "geoname", "zipcode", "postcode"];
    let named = words(&t.name).iter().any(|w| vocabulary.contains(&singular(w).as_str()));
    let sparse = match t.rowid_alias.as_deref() {
        // Numbers that are counted here lie side by side; those of a published list do not.
        Some(key) => {
            db.query_row(&format!("SELECT max({k}) - min({k}) > 3 * ?1 FROM main.{}", quoted(&t.name), k = quoted(key)), [i64::try_from(t.rows).unwrap_or(i64::MAX)], |r| r.get(0))?
        }
        // A code is published, a UUID was made with the row.
        None => match t.single_key() {
            Some(key) => !Sample::read(db, t, key)?.texts.iter().any(|k| is_made_unique(k)),
            None => false,
        },
    };
    if !named && !sparse {
        return Ok(None);
    }
    let rows = if t.rows > COUNT_LIMIT { format!("more than {}", thousands(COUNT_LIMIT)) } else { thousands(t.rows) };
    let how = if named { "by its name a published list" } else { "with keys that nobody here counted" };
    Ok(Some(format!("{rows} rows, {how}: taken to be installed at every place alike, so that its keys travel as they stand")))
}
