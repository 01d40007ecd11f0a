//! Rows above the person: where each patient hangs off a row of its own (a party, an address), the
//! record begins with that row, so that a chart is one file with everything in it.

use super::edges::{Edge, Edges, singular};
use crate::host::looks::words;
use crate::host::schema::{Schema, quoted, same};
use rusqlite::Connection;

/// With fewer rows than this, that each has another may be chance.
const FEW: u64 = 5;

/// What a table is called whose rows are people.
const PERSON: [&str; 7] = ["party", "person", "people", "individual", "human", "demographic", "partner"];

/// The tables of the chain that begins at `person` of which a record has one row, the top of it, and why; `None` if that is `person` itself.
pub(super) fn top(db: &Connection, schema: &Schema, edges: &Edges, person: usize) -> Result<Option<(Vec<usize>, usize, String)>, rusqlite::Error> {
    let (mut at, mut whys, mut chain) = (person, Vec::new(), Vec::new());
    while let Some(e) = above(db, schema, edges, at)? {
        let (child, parent) = (&schema.tables[at].name, &schema.tables[e.parent].name);
        whys.push(format!("each row of {child} has a row of {parent} of its own ({child}.{})", e.columns.join("+")));
        let name = words(&schema.tables[e.parent].name);
        let person = name.last().is_some_and(|w| PERSON.contains(&singular(w).as_str()));
        // A family may share an address, and none a person.
        if person || declared(schema, e) {
            chain.push(at);
        }
        at = e.parent;
        if whys.len() > 3 {
            break;
        }
    }
    Ok((at != person).then(|| (chain, at, format!("{}: the record begins there", whys.join(", and ")))))
}

fn above<'a>(db: &Connection, schema: &Schema, edges: &'a Edges, at: usize) -> Result<Option<&'a Edge>, rusqlite::Error> {
    for e in edges.of(at).filter(|e| !e.stamp && e.parent != at) {
        // `patient.primary_address_id` beside `address.patient_id`: the address hangs off the patient.
        let below = edges.of(e.parent).any(|b| b.parent == at && (b.cascade || b.not_null));
        let (own, rows) = one_to_one(db, schema, e)?;
        if below || !own {
            continue;
        }
        let name = words(&schema.tables[e.parent].name);
        let last = name.last().map(|w| singular(w)).unwrap_or_default();
        let person = PERSON.contains(&last.as_str());
        let hangs = e.cascade && e.not_null;
        // With no rows each has one of its own, and nothing is said by that.
        let said = rows >= FEW || declared(schema, e);
        if (person && (hangs || e.not_null || said || e.told)) || (hangs && said) {
            return Ok(Some(e));
        }
    }
    Ok(None)
}

/// Whether no two rows point to the same row, and none to nothing; and how many rows say so.
fn one_to_one(db: &Connection, schema: &Schema, e: &Edge) -> Result<(bool, u64), rusqlite::Error> {
    let table = &schema.tables[e.child];
    let [column] = e.columns.as_slice() else { return Ok((false, 0)) };
    let sql = format!("SELECT count(*) = count({c}) AND count({c}) = count(DISTINCT {c}) FROM main.{t}", c = quoted(column), t = quoted(&table.name));
    Ok((declared(schema, e) || db.query_row(&sql, [], |r| r.get(0))?, table.rows))
}

/// Whether the schema itself says that no two rows point to the same row.
fn declared(schema: &Schema, e: &Edge) -> bool {
    let table = &schema.tables[e.child];
    let [column] = e.columns.as_slice() else { return false };
    let alone = table.unique.iter().any(|u| u.plain() && u.columns.len() == 1 && u.columns.iter().all(|c| same(c, column)));
    alone || table.single_key().is_some_and(|k| same(k, column))
}
