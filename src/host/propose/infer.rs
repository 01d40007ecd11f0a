//! References that the schema does not declare: found by names, proved by the data.

use super::Told;
use super::dictionary::{Dictionary, table_of};
use super::edges::{count, singular, thousands};
use super::keyless::NUMBER_WORDS;
use crate::host::looks::words;
use crate::host::mapping::Affinity;
use crate::host::schema::{HostColumn, HostTable, Schema, quoted, same};
use rusqlite::Connection;

/// How many values of a column are looked up.
const SAMPLE: u32 = 5_000;
/// With fewer values than this an agreement may be chance.
const ENOUGH: u64 = 20;
/// No more models than this are followed that no row names yet.
const MODELS: usize = 96;
/// Words at a column's end that say that it holds a key.
const KEY_WORDS: [&str; 8] = ["id", "uuid", "guid", "uid", "fk", "key", "pk", "ref"];

/// How much a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    /// The application's own description of its data.
    Dictionary,
    /// `person_id`, where that is the key of another table, or `patient_id` and the table `patient`.
    Exactly,
    /// `patient_id` and `health_patient`, or `mother_patient_id` and `patient`.
    Ends,
    /// `patient` and `health_patient`; `pat_id` and `patient`; `name` in `patient_disease`.
    Hints,
}

/// What a column may point to.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    /// Whether the column's name says that it holds a key, or whose row it is.
    marked: bool,
    parent: &'a HostTable,
    /// A UNIQUE column of it that is not its key.
    column: Option<&'a HostColumn>,
    says: Says,
}

/// The references of a table that no foreign key declares.
pub(super) fn undeclared(db: &Connection, schema: &Schema, table: &HostTable, dictionary: &Dictionary, names: &Names) -> Result<Vec<Told>, rusqlite::Error> {
    let mut found = Vec::new();
    for c in table.columns.iter().filter(|c| !c.generated) {
        let declared = table.foreign_keys.iter().any(|k| !k.parent_columns.is_empty() && k.columns.iter().any(|n| same(n, &c.name)));
        let own_key = table.single_key().is_some_and(|k| same(k, &c.name));
        if declared || own_key {
            continue;
        }
        let mut best: Option<Told> = None;
        for candidate in candidates(schema, table, c, dictionary, names) {
            let told = prove(db, table, c, &candidate)?;
            let better = |t: &Told| best.as_ref().is_none_or(|b| t.on && !b.on);
            if let Some(told) = told.filter(better) {
                best = Some(told);
            }
        }
        found.extend(best);
    }
    Ok(found)
}

/// What the data say of a candidate; nothing where they speak against it.
fn prove(db: &Connection, table: &HostTable, c: &HostColumn, candidate: &Candidate<'_>) -> Result<Option<Told>, rusqlite::Error> {
    let parent = candidate.parent;
    let Some(key) = candidate.column.or_else(|| parent.single_key().and_then(|k| parent.column(k))) else { return Ok(None) };
    let number = |a: Affinity| matches!(a, Affinity::Integer | Affinity::Numeric);
    // A column without a type holds what was put there.
    if c.affinity != Affinity::Blob && key.affinity != Affinity::Blob && number(key.affinity) != number(c.affinity) {
        return Ok(None);
    }
    // Without an index, all values of the other column are gathered once.
    let there = if parent.assumed.is_some() { "v.x IN (SELECT {k} FROM main.{p})" } else { "EXISTS (SELECT 1 FROM main.{p} AS p WHERE p.{k} = v.x)" };
    let there = there.replace("{p}", &quoted(&parent.name)).replace("{k}", &quoted(&key.name));
    let sql = format!(
        "SELECT count(*), coalesce(sum({there}), 0) FROM (SELECT {c} AS x FROM main.{t} WHERE {c} IS NOT NULL LIMIT {SAMPLE}) v",
        c = quoted(&c.name),
        t = quoted(&table.name),
    );
    let (all, hit): (u64, u64) = db.query_row(&sql, [], |r| Ok((count(r, 0)?, count(r, 1)?)))?;
    let says = candidate.says;
    // What is long and made of letters agrees by chance in no two tables.
    let sure = !number(key.affinity) && parent.assumed.is_none() && hit >= 3;
    let on = match says {
        Says::Dictionary => hit * 2 >= all,
        // A name that says it exactly needs no rows to prove it, only none that speak against it: an
        // empty database that joins must come to the same answer as a full one. Where nothing is
        // declared, some of what was pointed to has always gone missing.
        Says::Exactly => hit * 20 >= all * 19,
        // `weight` holds small numbers, and so does any table's key: a number is one only if its name says so.
        Says::Ends | Says::Hints => all > 0 && (sure || (candidate.marked && all >= ENOUGH)) && (hit == all || (all >= 100 && hit * 20 >= all * 19)),
    };
    let chance = says == Says::Hints && (all < ENOUGH || hit < all);
    if !on && (chance || all == 0 || hit * 2 < all) {
        return Ok(None);
    }
    let said = match (says, all) {
        (_, 0) if says == Says::Dictionary => String::new(),
        (_, 0) => format!("by its name; there are no values yet, and {} is the key of {}", key.name, parent.name),
        _ => format!("{} of {} values match {}.{}", thousands(hit), thousands(all), parent.name, key.name),
    };
    let evidence = match says {
        Says::Dictionary if said.is_empty() => "the application's own dictionary says so; there are no values yet".to_owned(),
        Says::Dictionary => format!("the application's own dictionary says so, and {said}"),
        _ => said,
    };
    let target_column = candidate.column.map(|c| c.name.clone());
    Ok(Some(Told { column: c.name.clone(), target: parent.name.clone(), target_column, by_column: false, models: Vec::new(), evidence, on }))
}

/// The tables' names as words in the singular, in the order of the tables.
pub(super) struct Names(Vec<Vec<String>>);

fn plain(name: &str) -> Vec<String> {
    words(name).iter().map(|w| singular(w)).collect()
}

impl Names {
    pub(super) fn of(schema: &Schema) -> Names {
        Names(schema.tables.iter().map(|t| plain(&t.name)).collect())
    }

    /// Whether two tables are of one module of a framework, and a column is called as one of them is within it.
    fn of_one_module(&self, table: &str, parent: &str, column: &str) -> bool {
        let (table, parent) = (plain(table), plain(parent));
        let module = parent.first().filter(|m| table.len() > 1 && table.first() == Some(m));
        module.is_some_and(|m| parent[1..] == plain(column)[..] && !self.0.iter().any(|n| n.len() == 1 && n.first() == Some(m)))
    }
}

/// The column of a table that tells its rows apart where nothing declares one.
fn assumed(t: &HostTable) -> Option<&HostColumn> {
    t.assumed.as_deref().and_then(|c| t.column(c))
}

/// Whether a name begins or ends with a word for a key.
pub(super) fn key_marked(name: &str) -> bool {
    let w = words(name);
    let key = |w: Option<&String>| w.is_some_and(|w| KEY_WORDS.contains(&w.as_str()));
    w.len() > 1 && (key(w.last()) || key(w.first()))
}

/// Whether a table's rows are the people whom everything is about.
fn parent_is_person(table: &HostTable) -> bool {
    let last = words(&table.name).last().map(|w| singular(w)).unwrap_or_default();
    ["patient", "person", "client", "party"].contains(&last.as_str())
}

/// Whether a column is called as a table is in the end: `patient` and `health_patient`.
fn stem_is(table: &HostTable, column: &str) -> bool {
    let (name, column) = (words(&table.name), words(column));
    column.len() == 1 && name.last().map(|w| singular(w)) == column.last().map(|w| singular(w))
}

/// What a column's name may mean, the likeliest first.
fn candidates<'a>(schema: &'a Schema, table: &HostTable, c: &HostColumn, dictionary: &Dictionary, names: &Names) -> Vec<Candidate<'a>> {
    if let Some(parent) = dictionary.target(&table.name, &c.name).and_then(|t| schema.table(t)) {
        return vec![Candidate { parent, column: None, says: Says::Dictionary, marked: true }];
    }
    let mut found: Vec<Candidate<'a>> = Vec::new();
    let marked = key_marked(&c.name);
    let number_called_name = c.affinity == Affinity::Integer && ["name", "owner"].contains(&c.name.to_lowercase().as_str());
    let mut add = |parent: &'a HostTable, column: Option<&'a HostColumn>, says: Says| {
        if !found.iter().any(|f| f.parent.name == parent.name) {
            // A number called `name` is no number; `doctor` in `health_visit` is a `health_doctor`.
            let whose = parent_is_person(parent) && stem_is(parent, &c.name) || number_called_name || names.of_one_module(&table.name, &parent.name, &c.name);
            found.push(Candidate { parent, column, says, marked: marked || whose });
        }
    };
    let mut stem = plain(&c.name);
    let last = stem.last().cloned().unwrap_or_default();
    let key_word = KEY_WORDS.contains(&last.as_str()) && stem.len() > 1;
    // `pid` in `consult`, where `pid` is the key of `people` and of no other table.
    let short_key = stem.len() == 1 && last.len() > 2 && last.ends_with("id") && !KEY_WORDS.contains(&last.as_str());
    // `patient no` in a table of visits, and in `Patients`, which tells its rows apart by it.
    let number = NUMBER_WORDS.contains(&last.as_str()) && stem.len() > 1;
    if key_word || short_key || number {
        let keyed = |t: &&HostTable| t.name != table.name && t.told_apart_by().is_some_and(|k| same(k, &c.name));
        let mut named_so = schema.tables.iter().filter(keyed);
        if let (Some(parent), None) = (named_so.next(), named_so.next()) {
            add(parent, assumed(parent), Says::Exactly);
        }
    }
    if key_word {
        stem.pop();
    } else if stem.len() > 1 && KEY_WORDS.contains(&stem[0].as_str()) {
        stem.remove(0);
    }
    // `patient_uuid`: a column of that name which is UNIQUE, where the key is another.
    let unique = |t: &'a HostTable| {
        let other = t.unique.iter().filter(|u| u.plain()).find_map(|u| match u.columns.as_slice() {
            [one] if same(one, &last) || same(one, &c.name) => t.column(one),
            _ => None,
        });
        other.filter(|o| key_word && t.single_key().is_none_or(|k| !same(k, &o.name)))
    };
    for from in 0..stem.len() {
        let end = &stem[from..];
        for (t, name) in schema.tables.iter().zip(&names.0) {
            let says = match (name.as_slice() == end, name.ends_with(end)) {
                (true, _) if from == 0 && marked => Says::Exactly,
                (true, _) if marked => Says::Ends,
                (_, true) if from == 0 && marked => Says::Ends,
                (true, _) | (_, true) if from == 0 || name.as_slice() == end => Says::Hints,
                _ => continue,
            };
            // `study_uid` in `imaging_study` names the row itself.
            if from == 0 && t.name == table.name {
                continue;
            }
            // `health_patient_history_id` ends many names: the shortest is meant, if it is one.
            let shorter = schema.tables.iter().zip(&names.0).any(|(o, other)| o.name != t.name && other.ends_with(end) && other.len() <= name.len());
            if says == Says::Exactly || !shorter || name.as_slice() == end {
                add(t, unique(t).or_else(|| assumed(t)), says);
            }
        }
    }
    if let [short] = stem.as_slice()
        && marked
        && short.len() >= 3
    {
        let mut like = schema.tables.iter().zip(&names.0).filter(|(_, n)| n.last().is_some_and(|w| w.starts_with(short.as_str()) && w != short));
        if let (Some((parent, _)), None) = (like.next(), like.next()) {
            add(parent, None, Says::Hints);
        }
    }
    if !marked && c.affinity == Affinity::Integer && ["name", "parent", "owner"].contains(&last.as_str()) && stem.len() == 1 {
        // A number called `name` is somebody's: of what the table is named after, else of a party.
        let own = plain(&table.name);
        let called = |test: &dyn Fn(&[String]) -> bool| schema.tables.iter().zip(&names.0).find(|(t, n)| t.name != table.name && test(n)).map(|(t, _)| t);
        let before = (1..own.len()).rev().find_map(|n| called(&|name| name == &own[..n]));
        // Who is somebody has a party; a line of an order has none.
        let somebody = ["patient", "client", "professional", "healthprofessional", "doctor", "practitioner", "employee", "institution"];
        let is_somebody = own.last().is_some_and(|w| somebody.contains(&w.as_str()));
        let party = || called(&|name| is_somebody && name.last().is_some_and(|w| ["party", "person", "people", "partner", "individual"].contains(&w.as_str())));
        if let Some(parent) = before.or_else(party) {
            add(parent, None, Says::Hints);
        }
    }
    if last == "uid" && stem.len() == 1 && ["create", "write", "update", "modify"].iter().any(|w| *w == stem[0]) {
        let mut users = schema.tables.iter().zip(&names.0).filter(|(_, n)| n.len() <= 2 && n.last().is_some_and(|w| w == "user"));
        if let (Some((user, _)), None) = (users.next(), users.next()) {
            add(user, None, Says::Ends);
        }
    }
    found.sort_by_key(|f| f.says);
    found
}

/// Texts such as `health.patient,12`: the model and the row's number in one column.
pub(super) fn in_text(db: &Connection, schema: &Schema, table: &HostTable, dictionary: &Dictionary) -> Result<Vec<Told>, rusqlite::Error> {
    let mut found = Vec::new();
    for c in table.columns.iter().filter(|c| !c.generated && c.affinity == Affinity::Text) {
        let said = dictionary.is_any(&table.name, &c.name);
        let (t, x) = (quoted(&table.name), quoted(&c.name));
        let shape = format!("{x} GLOB '[A-Za-z]*,[0-9]*' AND substr({x}, instr({x}, ',') + 1) NOT GLOB '*[^0-9]*'");
        let sql = format!("SELECT count({x}), coalesce(sum({shape}), 0) FROM (SELECT {x} FROM main.{t} WHERE {x} IS NOT NULL LIMIT {SAMPLE})");
        let (all, shaped) = db.query_row(&sql, [], |r| Ok((count(r, 0)?, count(r, 1)?)))?;
        if (all == 0 && !said) || shaped * 10 < all * 9 {
            continue;
        }
        // Models that some row names, and where there are no rows yet all that there are.
        let mut models: Vec<(String, String)> = if all == 0 { dictionary.models.clone() } else { Vec::new() };
        let sql = format!("SELECT CAST(substr({x}, 1, instr({x}, ',') - 1) AS BLOB), count(*) FROM main.{t} WHERE {shape} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100");
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let (mut named, mut hit) = (0, 0);
        while let Some(r) = rows.next()? {
            let Ok(model) = String::from_utf8(r.get::<_, Vec<u8>>(0)?) else { continue };
            let Some((parent, key)) = table_of(schema, &model).and_then(|p| Some((p, p.rowid_alias.as_deref()?))) else { continue };
            named += count(r, 1)?;
            let sql = format!(
                "SELECT count(*) FROM main.{t} AS c WHERE {shape} AND c.{x} >= ?1 || ',' AND c.{x} < ?1 || '-' AND EXISTS (SELECT 1 FROM main.{} AS p WHERE p.{} = CAST(substr(c.{x}, length(?1) + 2) AS INTEGER))",
                quoted(&parent.name),
                quoted(key)
            );
            hit += db.query_row(&sql, [&model], |r| count(r, 0))?;
            models.push((model, parent.name.clone()));
        }
        // And those that a row may name tomorrow.
        let by_name = !models.is_empty() && models.iter().all(|(model, table)| same(model, table));
        let others = schema.tables.iter().filter(|t| by_name && t.rowid_alias.is_some()).map(|t| (t.name.clone(), t.name.clone()));
        let others: Vec<(String, String)> = dictionary.models.iter().cloned().chain(others).collect();
        let seen = models.len();
        // Each is a SELECT more for every record that is looked at: of a great many, those that are in use.
        let few = seen + others.len() <= MODELS;
        for other in others.into_iter().filter(|_| few || all == 0) {
            if models.iter().all(|(m, _)| *m != other.0) {
                models.push(other);
            }
        }
        if let Some((_, target)) = models.first().filter(|_| seen > 0).filter(|_| all == 0 || (hit > 0 && hit * 2 >= named)).cloned() {
            let evidence = match all {
                0 => "the application's own dictionary says so; there are no values yet".to_owned(),
                _ => format!("{} of {} texts name a model and a row of it, as `model,id`", thousands(hit), thousands(all)),
            };
            found.push(Told { column: c.name.clone(), target, target_column: None, by_column: false, models, evidence, on: true });
        }
    }
    Ok(found)
}

/// `ref_table` beside `ref_id`: one column names the table, the other the row.
pub(super) fn by_column(db: &Connection, schema: &Schema, table: &HostTable) -> Result<Vec<Told>, rusqlite::Error> {
    let mut found = Vec::new();
    for c in table.columns.iter().filter(|c| !c.generated) {
        let mut stem = words(&c.name);
        if stem.pop().as_deref() != Some("id") || stem.is_empty() || table.primary_key.iter().any(|k| same(k, &c.name)) {
            continue;
        }
        if table.foreign_keys.iter().any(|k| k.columns.contains(&c.name)) {
            continue;
        }
        let names = table.columns.iter().find(|t| {
            let w = words(&t.name);
            let kind = ["table", "type", "kind", "entity", "class", "model"];
            t.name != c.name && (w == stem || (w.len() == stem.len() + 1 && w.starts_with(&stem) && w.last().is_some_and(|l| kind.contains(&l.as_str()))))
        });
        let Some(names) = names else { continue };
        let (mut all, mut hit) = (0, 0);
        let (t, by, id) = (quoted(&table.name), quoted(&names.name), quoted(&c.name));
        let sql = format!("SELECT CAST({by} AS TEXT), count(*) FROM main.{t} WHERE {by} IS NOT NULL AND {id} IS NOT NULL GROUP BY 1 LIMIT 100");
        let mut kinds = db.prepare(&sql)?;
        let mut rows = kinds.query([])?;
        while let Some(r) = rows.next()? {
            let name = String::from_utf8_lossy(r.get_ref(0)?.as_bytes()?).into_owned();
            all += count(r, 1)?;
            let Some((parent, key)) = schema.table(&name).and_then(|p| Some((p, p.single_key()?))) else { continue };
            let sql =
                format!("SELECT count(*) FROM main.{t} AS c WHERE c.{by} = ?1 AND EXISTS (SELECT 1 FROM main.{} AS p WHERE p.{} = c.{id})", quoted(&parent.name), quoted(key));
            hit += db.query_row(&sql, [&name], |r| count(r, 0))?;
        }
        let mut table_words = stem.clone();
        table_words.push("table".to_owned());
        let exact = words(&names.name) == table_words;
        if hit > 0 || (all == 0 && exact) {
            found.push(Told {
                column: c.name.clone(),
                target: names.name.clone(),
                target_column: None,
                by_column: true,
                models: Vec::new(),
                evidence: match all {
                    0 => format!("by its name, beside {}; there are no values yet", names.name),
                    _ => format!("{} of {} rows: {} names a table that has that key", thousands(hit), thousands(all), names.name),
                },
                on: hit == all && (all >= ENOUGH || exact),
            });
        }
    }
    Ok(found)
}
