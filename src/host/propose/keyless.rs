//! Tables that declare no key, and have one all the same: a card file that grew, or what was read in from a spreadsheet. Their numbers are
//! counted at each place like declared ones, and what names them elsewhere is a reference.

use super::edges::{count, singular};
use crate::host::looks::words;
use crate::host::schema::{HostColumn, HostTable, Schema, quoted};
use rusqlite::Connection;

/// Words at a name's end that say that it is a number by which rows are told apart.
pub(super) const NUMBER_WORDS: [&str; 4] = ["no", "nr", "num", "number"];

/// Finds the column by which a table's rows are told apart, in tables where nothing declares one.
pub(super) fn assume(db: &Connection, schema: &mut Schema) -> Result<(), rusqlite::Error> {
    for t in &mut schema.tables {
        if !t.primary_key.is_empty() || t.unique.iter().any(|u| u.plain()) || t.rowid_name.is_none() {
            continue;
        }
        for c in t.columns.iter().filter(|c| !c.generated && names_row(t, c)) {
            let x = quoted(&c.name);
            let sql = format!("SELECT count(*), count({x}), count(DISTINCT {x}) FROM main.{}", quoted(&t.name));
            let (rows, given, distinct) = db.query_row(&sql, [], |r| Ok((count(r, 0)?, count(r, 1)?, count(r, 2)?)))?;
            // Of no rows, or one, nothing can be said.
            if rows > 1 && given == rows && distinct == rows {
                t.assumed = Some(c.name.clone());
                break;
            }
        }
    }
    Ok(())
}

/// Whether a column is called as the number of its own table's rows: `id`, `nr`, `pid` where the table begins with it,
/// `patient no` in `Patients`.
fn names_row(t: &HostTable, c: &HostColumn) -> bool {
    let name = words(&c.name);
    let Some((last, stem)) = name.split_last() else { return false };
    let first = t.columns.first().is_some_and(|f| f.name == c.name);
    let number = NUMBER_WORDS.contains(&last.as_str()) || ["id", "uuid", "guid", "key"].contains(&last.as_str());
    if stem.is_empty() {
        return number || first && last.len() > 2 && last.ends_with("id");
    }
    let plain = |w: &[String]| w.iter().map(|w| singular(w)).collect::<Vec<_>>();
    number && plain(&words(&t.name)).ends_with(&plain(stem))
}
