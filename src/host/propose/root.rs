//! Which table is the record. The rule, in one sentence: the table from which most others hang by
//! foreign keys that make rows belong (ON DELETE CASCADE, else NOT NULL), where a name such as
//! `patient` decides between tables of which one has no less than half as many as the other.

use super::ProposeError;
use super::edges::{Edge, Edges, index, singular};
use crate::config::nearest;
use crate::host::looks::words;
use crate::host::schema::Schema;
use std::collections::BTreeSet;

/// Names that say whose record it is, the likeliest first.
const NAMES: [(&str, u8); 9] = [("patient", 0), ("person", 1), ("people", 1), ("client", 1), ("resident", 1), ("customer", 2), ("member", 2), ("subject", 2), ("animal", 2)];

/// Why a table is the root of a further kind of records.
pub(super) const FURTHER: &str = "named with --root, beside the record";

/// A table that somebody named.
pub(super) fn named(schema: &Schema, name: &str) -> Result<usize, ProposeError> {
    let near = || nearest(name, schema.tables.iter().map(|t| t.name.as_str()));
    index(schema, name).ok_or_else(|| ProposeError::NoSuchTable { name: name.to_owned(), near: near() })
}

/// How much a table looks like the record by its name: the less, the more; `None` for not at all.
pub(super) fn rank(name: &str) -> Option<u8> {
    let last = singular(words(name).last()?);
    NAMES.iter().find(|(n, _)| *n == last).map(|(_, r)| *r)
}

/// The root table's index and why it is the root.
pub(super) fn choose(schema: &Schema, edges: &Edges, said: Option<&str>) -> Result<(usize, String), ProposeError> {
    if let Some(name) = said {
        return Ok((named(schema, name)?, "named with --root".to_owned()));
    }
    for strict in [true, false] {
        let belongs = |child: usize| belonging(edges, child, strict);
        let mut scores: Vec<(usize, usize)> = Vec::new();
        for table in 0..schema.tables.len() {
            let below = below(schema.tables.len(), table, &belongs);
            let by_name = rank(&schema.tables[table].name).is_some();
            if below > 0 && (by_name || belongs(table).is_empty()) {
                scores.push((table, below));
            }
        }
        scores.sort_by_key(|(t, below)| (std::cmp::Reverse(*below), *t));
        let Some((_, most)) = scores.first().copied() else { continue };
        let near: Vec<(usize, usize)> = scores.iter().copied().filter(|(_, below)| below * 2 >= most).collect();
        let best = near.iter().filter_map(|(t, _)| rank(&schema.tables[*t].name)).min();
        let chosen: Vec<(usize, usize)> = match best {
            Some(rank_wanted) => near.into_iter().filter(|(t, _)| rank(&schema.tables[*t].name) == Some(rank_wanted)).collect(),
            None => near,
        };
        return match chosen.as_slice() {
            [(table, below)] => Ok((*table, why(schema, edges, *table, *below, strict, best.is_some()))),
            several => Err(ProposeError::TwoRoots { candidates: several.iter().map(|(t, b)| (schema.tables[*t].name.clone(), *b)).collect() }),
        };
    }
    let likely: Vec<usize> = (0..schema.tables.len()).filter(|t| rank(&schema.tables[*t].name) == Some(0)).collect();
    match likely.as_slice() {
        [one] => Ok((*one, "its name; no other table points to it".to_owned())),
        _ => Err(ProposeError::NoRoot { tables: schema.tables.len() }),
    }
}

fn why(schema: &Schema, edges: &Edges, table: usize, below: usize, strict: bool, named: bool) -> String {
    let direct: BTreeSet<usize> = edges.all.iter().filter(|e| e.parent == table && e.child != table && !e.stamp).map(|e| e.child).collect();
    let how = if strict { "ON DELETE CASCADE or NOT NULL" } else { "nullable ones, for want of others" };
    let name = if named { format!(", and by its name `{}`", schema.tables[table].name) } else { String::new() };
    format!("{below} of {} tables hang off it by foreign keys ({how}), {} of them directly{name}", schema.tables.len(), direct.len())
}

/// The references that make rows of a table belong to another: cascading ones, else NOT NULL ones;
/// where nothing in the schema is that clear, any.
fn belonging(edges: &Edges, child: usize, strict: bool) -> Vec<&Edge> {
    let candidates: Vec<&Edge> = edges.of(child).filter(|e| e.parent != child && !e.stamp).collect();
    let cascading: Vec<&Edge> = candidates.iter().copied().filter(|e| e.cascade).collect();
    if !cascading.is_empty() {
        return cascading;
    }
    let required: Vec<&Edge> = candidates.iter().copied().filter(|e| e.not_null).collect();
    if strict || !required.is_empty() { required } else { candidates }
}

/// How many tables hang off one, at any distance.
fn below<'a>(tables: usize, top: usize, belongs: &dyn Fn(usize) -> Vec<&'a Edge>) -> usize {
    let mut reached: BTreeSet<usize> = BTreeSet::from([top]);
    loop {
        let more: Vec<usize> = (0..tables).filter(|t| !reached.contains(t) && belongs(*t).iter().any(|e| reached.contains(&e.parent))).collect();
        if more.is_empty() {
            return reached.len() - 1;
        }
        reached.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::propose::{InitOptions, Proposal, propose};
    use rusqlite::Connection;

    fn try_it(sql: &str) -> Result<Proposal, ProposeError> {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        propose(&db, &Schema::read(&db).unwrap(), &InitOptions::default())
    }

    #[test]
    fn roots_of_many_kinds_of_schemas() {
        let cases = [
            // A clinic of which everything is a part is not the record.
            (
                "CREATE TABLE clinic (id INTEGER PRIMARY KEY); CREATE TABLE patient (id INTEGER PRIMARY KEY, clinic_id INTEGER NOT NULL REFERENCES clinic);
              CREATE TABLE visit (id INTEGER PRIMARY KEY, clinic_id INTEGER NOT NULL REFERENCES clinic, patient_id INTEGER NOT NULL REFERENCES patient)",
                "patient",
            ),
            // Nullable keys only, as many old programs have.
            (
                "CREATE TABLE doctor (id INTEGER PRIMARY KEY); CREATE TABLE Klient (id INTEGER PRIMARY KEY, doctor INTEGER REFERENCES doctor);
              CREATE TABLE clients (id INTEGER PRIMARY KEY); CREATE TABLE visit (id INTEGER PRIMARY KEY, c INTEGER REFERENCES clients, d INTEGER REFERENCES doctor);
              CREATE TABLE note (id INTEGER PRIMARY KEY, v INTEGER REFERENCES visit)",
                "clients",
            ),
            // No foreign key at all, but names.
            ("CREATE TABLE patient (patient_id INTEGER PRIMARY KEY); CREATE TABLE visit (visit_id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL)", "patient"),
            // No name, but a clear tree.
            (
                "CREATE TABLE akte (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES akte);
              CREATE TABLE c (id INTEGER PRIMARY KEY, b INTEGER NOT NULL REFERENCES b)",
                "akte",
            ),
            ("CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT)", "patients"),
        ];
        for (sql, want) in cases {
            match try_it(sql) {
                Ok(p) => assert_eq!(p.root, want),
                Err(e) => panic!("{want}: {e}"),
            }
        }
        assert!(matches!(try_it("CREATE TABLE a (x)"), Err(ProposeError::NoRoot { tables: 1 })));
    }

    #[test]
    fn a_doctor_who_may_be_a_patient_is_still_a_doctor() {
        let p = try_it(
            "CREATE TABLE patient (id INTEGER PRIMARY KEY); CREATE TABLE doctor (id INTEGER PRIMARY KEY, npi TEXT NOT NULL UNIQUE, patient_id INTEGER REFERENCES patient);
             CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient ON DELETE CASCADE, doctor_id INTEGER NOT NULL REFERENCES doctor);
             CREATE TABLE bed (no INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patient);",
        )
        .unwrap();
        let kinds: Vec<_> = p.tables.iter().map(|t| (t.name.as_str(), t.kind.as_str())).collect();
        assert_eq!(kinds, [("doctor", "doctor"), ("patient", "patient"), ("visit", "patient"), ("bed", "patient")]);
    }
}
