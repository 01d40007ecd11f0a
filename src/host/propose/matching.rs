//! By which columns two sites' rows are one.

use super::data::{Counters, Kind, Sample, classify};
use super::edges::Edges;
use super::tree::Tree;
use super::{InitOptions, ProposedType};
use crate::host::looks::{is_made_unique, words};
use crate::host::mapping::Affinity;
use crate::host::schema::{HostTable, Schema, quoted, same};
use rusqlite::Connection;

/// Why what a person named is matched on.
const NAMED: &str = "named with --match-on";

/// What records of a further kind are matched on: people as the record is, anything else as shared rows are.
pub(super) fn further(
    db: &Connection,
    schema: &Schema,
    edges: &Edges,
    counters: &Counters,
    tree: &Tree,
    (index, no_match): (usize, bool),
) -> Result<ProposedType, rusqlite::Error> {
    if check(&schema.tables[index]).len() > 1 {
        return root(db, schema, edges, counters, tree, (index, &InitOptions { no_match, ..InitOptions::default() }));
    }
    Ok(ProposedType { shared: true, ..shared(db, schema, edges, counters, index)? })
}

/// What the root is matched on.
pub(super) fn root(
    db: &Connection,
    schema: &Schema,
    edges: &Edges,
    counters: &Counters,
    tree: &Tree,
    (index, options): (usize, &InitOptions),
) -> Result<ProposedType, rusqlite::Error> {
    let table = &schema.tables[index];
    let mut found = ProposedType { match_check: check(table), ..ProposedType::default() };
    if options.no_match {
        found.match_why = "--no-match: nobody is at two sites".to_owned();
        return Ok(found);
    }
    if let Some(columns) = &options.match_on {
        let exact = |c: &String| table.column(c).map_or_else(|| c.clone(), |c| c.name.clone());
        found.match_on = vec![columns.iter().map(exact).collect()];
        found.match_why = NAMED.to_owned();
        let other = columns.iter().filter(|c| table.column(c).is_none()).find_map(|c| schema.table(c.rsplit_once('.')?.0));
        if let Some(other) = other.filter(|_| found.match_check.is_empty()) {
            found.match_check = check(other).iter().map(|c| format!("{}.{c}", other.name)).collect();
        }
        return Ok(found);
    }
    let mut reasons: Vec<String> = Vec::new();
    let (mut counted, mut unclear) = (Vec::new(), Vec::new());
    for set in candidate_sets(table) {
        if set.iter().any(|c| edges.refers(index, c)) {
            continue;
        }
        match set.as_slice() {
            [column] => match classify(db, schema, counters, table, column)? {
                Kind::Identity(why) => {
                    reasons.push(format!("{column} is UNIQUE, and {why}"));
                    found.match_on.push(set);
                }
                Kind::Counted(_) => counted.push(column.clone()),
                Kind::Unclear if table.rows == 0 && table.single_key().is_some_and(|k| same(k, column)) && !number(table, column) => {
                    reasons.push(format!("{column} is the key, and no number (there are no rows yet to tell more)"));
                    found.match_on.push(set);
                }
                Kind::Unclear => unclear.push(column.clone()),
            },
            several if several.iter().any(|c| is_birth(c)) => {
                reasons.push(format!("{} are UNIQUE together", several.join(", ")));
                found.match_on.push(set);
            }
            _ => {}
        }
    }
    if let (true, Some((column, why))) = (found.match_on.is_empty(), identity(db, schema, edges, counters, index)?) {
        reasons.push(format!("{column} is not declared UNIQUE, but no two rows share it, and {why}"));
        found.match_on.push(vec![column]);
    }
    if found.match_on.is_empty()
        && let Some(column) = made_unique(db, edges, index, table)?
    {
        reasons.push(format!("{column} is not declared UNIQUE, but no two rows share it, and its values are unique by the way they are made (UUID, OID)"));
        found.match_on.push(vec![column]);
    }
    let person = if found.match_on.is_empty() { person(db, schema, tree, index)? } else { None };
    if let Some(p) = person {
        let dotted = |c: &String| format!("{}.{c}", schema.tables[p].name);
        match identity(db, schema, edges, counters, p)? {
            Some((column, why)) => {
                reasons.push(format!("{} is not declared UNIQUE, but no two rows share it, and {why}", dotted(&column)));
                found.match_on.push(vec![dotted(&column)]);
            }
            None => unclear.extend(named_identity(db, edges, p, &schema.tables[p])?.iter().map(dotted)),
        }
        if found.match_check.is_empty() {
            found.match_check = check(&schema.tables[p]).iter().map(dotted).collect();
        }
    }
    // A row's UUID comes from its key where that is one; beside something better it says no more.
    if found.match_on.len() > 1 && found.match_on.last() == Some(&table.primary_key) {
        found.match_on.pop();
        reasons.pop();
    }
    found.match_why = if reasons.is_empty() {
        "no UNIQUE column surely means the same everywhere: nobody is taken for a person of another site; see --match-on".to_owned()
    } else {
        reasons.join("; ")
    };
    if found.match_on.is_empty()
        && let Some(column) = named_identity(db, edges, index, table)?
    {
        unclear.push(column);
    }
    if found.match_on.is_empty() && !unclear.is_empty() {
        found.match_why = format!("{}, with {} if it is the same everywhere", found.match_why, unclear.join(" or "));
    }
    if !counted.is_empty() {
        found.match_why = format!("{} ({} is counted by each site)", found.match_why, counted.join(", "));
    }
    Ok(found)
}

/// What shared rows are matched on: their UNIQUE columns, else a code or name that is unique in fact.
pub(super) fn shared(db: &Connection, schema: &Schema, edges: &Edges, counters: &Counters, index: usize) -> Result<ProposedType, rusqlite::Error> {
    let table = &schema.tables[index];
    let mut found = ProposedType::default();
    let sets: Vec<Vec<String>> = candidate_sets(table);
    let refers = |set: &[String]| set.iter().any(|c| edges.refers(index, c));
    for set in sets.iter().filter(|s| !refers(s)) {
        let counted = match set.as_slice() {
            [one] => counters.of(schema, table, one).is_some() || (sets.len() > 1 && number(table, one) && matches!(classify(db, schema, counters, table, one)?, Kind::Counted(_))),
            _ => false,
        };
        if !counted {
            found.match_on.push(set.clone());
        }
    }
    if found.match_on.is_empty() {
        found.match_on.extend(sets.iter().filter(|s| refers(s) && s.iter().any(|c| !edges.refers(index, c))).cloned());
    }
    // A key of UUIDs is another one at each site for what people entered at both.
    if found.match_on.len() > 1
        && let (Some(key), true) = (table.single_key(), found.match_on.last() == Some(&table.primary_key))
        && ((table.rows == 0 && ["id", "uuid", "guid"].iter().any(|n| same(n, key))) || matches!(classify(db, schema, counters, table, key)?, Kind::Identity(_)))
    {
        found.match_on.pop();
    }
    found.match_why = "UNIQUE in the schema".to_owned();
    if found.match_on.is_empty()
        && let Some(column) = in_fact(db, edges, index, table)?
    {
        found.match_why = "not declared UNIQUE, but it names the row and no two rows share it here".to_owned();
        found.match_on.push(vec![column]);
    }
    if found.match_on.is_empty() {
        found.match_why = "no UNIQUE columns: rows of two sites are never taken for one".to_owned();
    }
    Ok(found)
}

/// Leaves out sets of columns with a reference to what is matched on nothing: they would match nothing either (decision 0031).
pub(super) fn leave_out_dead_ends(schema: &Schema, edges: &Edges, tree: &Tree, types: &mut [ProposedType]) {
    let all = tree.all();
    let synchronized = |t: usize| all.iter().any(|m| m.table == t);
    let index = |name: &str| schema.tables.iter().position(|t| t.name == name);
    // Each round may empty a type that others refer to.
    for _ in 0..types.len() {
        let matched: Vec<usize> = types.iter().filter(|t| !t.match_on.is_empty()).filter_map(|t| index(&t.table)).collect();
        let mut changed = false;
        for t in types.iter_mut().filter(|t| t.match_why != NAMED) {
            let Some(at) = index(&t.table) else { continue };
            let dead_end = |c: &String| {
                let mut to: Vec<&super::edges::Edge> = edges.of(at).filter(|e| e.columns.iter().any(|x| same(x, c))).filter(|e| synchronized(e.parent)).collect();
                to.sort_by_key(|e| e.columns.len());
                let leads = to.iter().any(|e| e.parent != at && matched.contains(&e.parent));
                (!leads).then(|| to.first().map(|e| e.parent)).flatten()
            };
            let ends: Vec<usize> = t.match_on.iter().flatten().filter_map(dead_end).collect();
            let Some(end) = ends.first() else { continue };
            let name = &schema.tables[*end].name;
            t.match_on.retain(|set| set.iter().all(|c| dead_end(c).is_none()));
            changed = true;
            if t.match_on.is_empty() {
                t.match_why = if *end == at {
                    "its UNIQUE columns name rows of the same table: rows of two sites are never taken for one".to_owned()
                } else {
                    format!("its UNIQUE columns name rows of {name}, which are matched on nothing: rows of two sites are never taken for one")
                };
            }
        }
        if !changed {
            break;
        }
    }
}

/// The table below the root of which each record has one row, with a person's name in it: where the root says
/// little, what tells people apart is there.
fn person(db: &Connection, schema: &Schema, tree: &Tree, root: usize) -> Result<Option<usize>, rusqlite::Error> {
    for member in tree.members.iter().filter(|m| m.depth == 1 && m.root == root) {
        let table = &schema.tables[member.table];
        let Some(owner) = member.owner.as_ref().filter(|o| o.columns.len() == 1 && table.rows > 0 && !check(table).is_empty()) else { continue };
        let sql = format!("SELECT count(*) = count(DISTINCT {c}) AND count(*) * 2 > ?1 FROM main.{}", quoted(&table.name), c = quoted(&owner.columns[0]));
        if db.query_row(&sql, [i64::try_from(schema.tables[root].rows).unwrap_or(i64::MAX)], |r| r.get(0))? {
            return Ok(Some(member.table));
        }
    }
    Ok(None)
}

/// A column that by its name means the same everywhere and that no two rows share, though nothing declares it.
fn identity(db: &Connection, schema: &Schema, edges: &Edges, counters: &Counters, index: usize) -> Result<Option<(String, String)>, rusqlite::Error> {
    let table = &schema.tables[index];
    for c in table.columns.iter().filter(|c| !c.generated && !edges.refers(index, &c.name) && !table.key_columns().contains(&c.name)) {
        // `passport_photo` is none.
        let number = words(&c.name)
            .last()
            .is_some_and(|w| ["id", "no", "nr", "number", "ssn", "nhs", "bsn", "cpr", "nino", "chi", "ahv", "pesel", "kvnr", "personnummer"].contains(&w.as_str()));
        if !number || Sample::read(db, table, &c.name)?.texts.len() < 3 || !distinct(db, table, &c.name)? {
            continue;
        }
        if let Kind::Identity(why) = classify(db, schema, counters, table, &c.name)? {
            return Ok(Some((c.name.clone(), why)));
        }
    }
    Ok(None)
}

/// A column that is not declared UNIQUE, but whose values are made to be.
fn made_unique(db: &Connection, edges: &Edges, index: usize, table: &HostTable) -> Result<Option<String>, rusqlite::Error> {
    let named = |c: &str| words(c).last().is_some_and(|w| ["id", "uid", "uuid", "guid", "oid", "ref"].contains(&w.as_str()));
    for c in table.columns.iter().filter(|c| !c.generated && named(&c.name) && !edges.refers(index, &c.name)) {
        let texts = Sample::read(db, table, &c.name)?.texts;
        if texts.len() >= 3 && texts.iter().all(|t| is_made_unique(t)) && distinct(db, table, &c.name)? {
            return Ok(Some(c.name.clone()));
        }
    }
    Ok(None)
}

/// A column that by its name may tell people apart everywhere, and does so here.
fn named_identity(db: &Connection, edges: &Edges, index: usize, table: &HostTable) -> Result<Option<String>, rusqlite::Error> {
    let names = ["national", "ssn", "nhs", "passport", "insurance", "social", "mrn", "puid", "ref", "source", "identifier", "hospital"];
    let named = |c: &str| words(c).iter().any(|w| names.contains(&w.as_str()));
    for c in table.columns.iter().filter(|c| !c.generated && named(&c.name) && !edges.refers(index, &c.name)) {
        if Sample::read(db, table, &c.name)?.texts.len() >= 3 && distinct(db, table, &c.name)? {
            return Ok(Some(c.name.clone()));
        }
    }
    Ok(None)
}

fn distinct(db: &Connection, table: &HostTable, column: &str) -> Result<bool, rusqlite::Error> {
    db.query_row(&format!("SELECT count({c}) = count(DISTINCT {c}) FROM main.{}", quoted(&table.name), c = quoted(column)), [], |r| r.get(0))
}

fn number(table: &HostTable, column: &str) -> bool {
    let named = words(column).last().is_some_and(|w| ["no", "nr", "number"].contains(&w.as_str()));
    named || table.column(column).is_some_and(|c| c.affinity == Affinity::Integer)
}

/// UNIQUE column sets that could travel, the primary key last.
fn candidate_sets(table: &HostTable) -> Vec<Vec<String>> {
    let mut sets: Vec<Vec<String>> = Vec::new();
    let generated = |set: &[String]| set.iter().any(|c| table.column(c).is_none_or(|c| c.generated));
    for u in table.unique.iter().filter(|u| u.plain() && u.columns != table.primary_key && !generated(&u.columns)) {
        if !sets.contains(&u.columns) {
            sets.push(u.columns.clone());
        }
    }
    if table.rowid_alias.is_none() && !table.primary_key.is_empty() {
        sets.push(table.primary_key.clone());
    }
    sets
}

/// A name that is a number names a row of another table, which nobody declared: at another place another row has it.
fn is_pointer(c: &crate::host::schema::HostColumn) -> bool {
    c.affinity == Affinity::Integer && words(&c.name).last().is_none_or(|w| w != "code")
}

/// A code or a name that no two rows share, where nothing is declared UNIQUE.
fn in_fact(db: &Connection, edges: &Edges, index: usize, table: &HostTable) -> Result<Option<String>, rusqlite::Error> {
    let over_expression = |name: &str| table.unique.iter().any(|u| u.expression && !u.partial && u.sql.as_deref().is_some_and(|s| s.to_lowercase().contains(&name.to_lowercase())));
    let rank = |name: &str| {
        let w = words(name);
        let place = ["code", "login", "username", "abbreviation", "name", "title", "label"].iter().position(|k| w.last().is_some_and(|l| l == k));
        if over_expression(name) { Some(0) } else { place.map(|p| p + 1) }
    };
    let mut candidates: Vec<(usize, &str)> =
        table.columns.iter().filter(|c| !c.generated && !edges.refers(index, &c.name) && !is_pointer(c)).filter_map(|c| Some((rank(&c.name)?, c.name.as_str()))).collect();
    candidates.sort();
    for (_, column) in candidates {
        let sql = format!("SELECT count(*) > 0 AND count(*) = count(DISTINCT {c}) FROM main.{t}", c = quoted(column), t = quoted(&table.name));
        if over_expression(column) || db.query_row(&sql, [], |r| r.get::<_, bool>(0))? {
            return Ok(Some(column.to_owned()));
        }
    }
    Ok(None)
}

/// The columns that should agree before two people are taken for one: last name and birth date.
fn check(table: &HostTable) -> Vec<String> {
    let columns = || table.columns.iter().filter(|c| !c.generated).map(|c| c.name.as_str());
    let last = ["last name", "surname", "family name", "lastname", "familyname", "name last", "last", "family", "name", "full name"];
    let named = last.iter().find_map(|wanted| columns().find(|c| words(c).join(" ") == *wanted));
    let born = columns().find(|c| is_birth(c) && table.column(c).is_some());
    [named, born].into_iter().flatten().map(str::to_owned).collect()
}

fn is_birth(column: &str) -> bool {
    let w = words(column);
    let has = |x: &str| w.iter().any(|w| w == x);
    has("dob") || has("birthdate") || has("birthday") || has("born") || (has("birth") && (has("date") || has("day")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birth_dates_have_many_names() {
        assert!(["birth_date", "date of birth", "DOB", "dateOfBirth"].iter().all(|c| is_birth(c)));
        assert!(!["birth_city", "birth_year", "multiple_birth"].iter().any(|c| is_birth(c)));
    }
}
