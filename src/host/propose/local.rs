//! Numbers that each site counts for itself, and the SQL that gives an imported row one of ours.

use super::LocalColumn;
use super::data::{Counters, Kind, Sample, classify, counts_within};
use super::edges::Edges;
use super::format::{Format, Piece};
use crate::host::looks::words;
use crate::host::mapping::Affinity;
use crate::host::rows::literal;
use crate::host::schema::{HostTable, Schema, quoted, same};
use rusqlite::Connection;

/// The local columns of a table.
pub(super) fn columns(db: &Connection, schema: &Schema, edges: &Edges, counters: &Counters, index: usize, match_on: &[Vec<String>]) -> Result<Vec<LocalColumn>, rusqlite::Error> {
    let table = &schema.tables[index];
    let mut found: Vec<LocalColumn> = Vec::new();
    let mut singles: Vec<&str> = table
        .unique
        .iter()
        .filter(|u| u.plain())
        .filter_map(|u| match u.columns.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        })
        .collect();
    singles.extend(table.told_apart_by());
    for column in singles {
        let known = found.iter().any(|l| same(&l.column, column)) || match_on.iter().flatten().any(|c| same(c, column));
        let own = table.rowid_alias.as_deref().is_some_and(|a| same(a, column)) || edges.refers(index, column);
        let Some(c) = table.column(column).filter(|c| !c.generated && !known && !own) else { continue };
        let key = table.told_apart_by().is_some_and(|k| same(k, column));
        let number_key = key && (c.affinity == Affinity::Integer || table.assumed.is_some() && Sample::read(db, table, column)?.numbers());
        let why = match classify(db, schema, counters, table, column)? {
            Kind::Counted(why) => why,
            _ if number_key => "the table's key, an INTEGER that each site gives".to_owned(),
            _ => continue,
        };
        found.push(assign(db, schema, counters, table, column, why)?);
    }
    if table.primary_key.len() > 1 {
        for column in &table.primary_key {
            if !edges.refers(index, column) && counts_within(db, edges, index, table, column)? {
                let why = "counts within the rest of the key: kept where it is free, else the next one".to_owned();
                found.push(LocalColumn { column: column.clone(), assign: None, count: None, keep_if_free: true, why });
            }
        }
    }
    found.sort_by_key(|l| table.columns.iter().position(|c| same(&c.name, &l.column)));
    Ok(found)
}

/// The SQL that gives the next free value in the format the values have.
fn assign(db: &Connection, schema: &Schema, counters: &Counters, table: &HostTable, column: &str, why: String) -> Result<LocalColumn, rusqlite::Error> {
    let counter = counters.of(schema, table, column);
    let sample = Sample::read(db, table, column)?;
    let text = table.column(column).is_some_and(|c| c.affinity == Affinity::Text);
    let format = Format::learn(&sample.texts);
    let mut why = why;
    let mut count = None;
    let sql = match (format, text) {
        (Some(format), _) => {
            why = format!("{why}; format {}", format.shown());
            let mut base = None;
            if let Some(counter) = counter.filter(|c| !c.kept_by_trigger) {
                base = range(&format);
                why = match base {
                    Some(_) => format!("{why}. The host takes its next number from {}, so imported rows get theirs from a range it does not reach", counter.table),
                    None => format!("{why}. The host takes its next number from {}: see that it does not give one twice", counter.table),
                };
            }
            let (sql, highest) = next(db, table, column, &format, base)?;
            count = highest;
            sql
        }
        (None, false) => {
            let from = if counter.is_some_and(|c| !c.kept_by_trigger) { "max(900000, coalesce(max({c}), 0))" } else { "coalesce(max({c}), 0)" };
            format!("SELECT 1 + {} FROM {}", from.replace("{c}", &ident(column)), ident(&table.name))
        }
        (None, true) => {
            why = format!("{why}. There are no values to learn a format from: CHECK this SQL");
            format!("SELECT 'X' || printf('%06d', 1 + coalesce(max(CAST(substr({c}, 2) AS INTEGER)), 0)) FROM {t} WHERE {c} LIKE 'X%'", c = ident(column), t = ident(&table.name))
        }
    };
    Ok(LocalColumn { column: column.to_owned(), assign: Some(sql), count, keep_if_free: false, why })
}

/// The end of what came before a range that the host's counter does not reach: nine tenths of what
/// the digits hold, or far above what there is.
fn range(format: &Format) -> Option<u64> {
    let most = format.numbers.iter().copied().max().unwrap_or(0);
    let width = match format.width() {
        Some(width) => u32::try_from(width).ok()?,
        None => most.max(1_000).to_string().len() as u32 + 2,
    };
    let base = 10_u64.checked_pow(width.checked_sub(1)?)?.checked_mul(9)?;
    (width >= 4 && most < base / 2).then_some(base)
}

fn next(db: &Connection, table: &HostTable, column: &str, format: &Format, base: Option<u64>) -> Result<(String, Option<String>), rusqlite::Error> {
    let (c, t) = (ident(column), ident(&table.name));
    let plain = format.pieces.len() == 1;
    let at = format.number_at();
    let part = match (plain, at) {
        (true, _) if !table.column(column).is_some_and(|c| c.affinity == Affinity::Text) => c.clone(),
        (_, 1) => format!("CAST({c} AS INTEGER)"),
        (_, at) => format!("CAST(substr({c}, {at}) AS INTEGER)"),
    };
    let highest = format!("coalesce(max({part}), 0)");
    let most = match base {
        Some(base) => format!("max({base}, {highest})"),
        None => highest,
    };
    // Finding the highest number in texts reads the whole table: once a sync, not once a row.
    let counted = !(plain || format.restarts() && at > 1);
    let number = if counted { ":next".to_owned() } else { format!("1 + {most}") };
    let year = if format.years.is_empty() { String::new() } else { year(db, table, column, format)? };
    let piece = |p: &Piece| match p {
        Piece::Fixed(s) => literal(s),
        Piece::Year => year.clone(),
        Piece::Number(Some(w)) => format!("printf('%0{w}d', {number})"),
        Piece::Number(None) if plain => number.clone(),
        Piece::Number(None) => format!("({number})"),
    };
    if format.restarts() && at > 1 {
        // Counted anew for each year: the highest number among those that start alike.
        let before: Vec<String> = format.pieces.iter().take_while(|p| !matches!(p, Piece::Number(_))).map(piece).collect();
        let rest: Vec<String> = format.pieces.iter().skip_while(|p| !matches!(p, Piece::Number(_))).map(piece).collect();
        return Ok((format!("SELECT p.x || {} FROM (SELECT {} AS x) AS p LEFT JOIN {t} ON substr({c}, 1, {}) = p.x", rest.join(" || "), before.join(" || "), at - 1), None));
    }
    let pieces = format.pieces.iter().map(piece).collect::<Vec<_>>().join(" || ");
    if counted {
        return Ok((format!("SELECT {pieces}"), Some(format!("SELECT {most} FROM {t}"))));
    }
    Ok((format!("SELECT {pieces} FROM {t}"), None))
}

/// SQL for the year of an incoming row: from the date column that says the same year as the numbers
/// there are, else this year.
fn year(db: &Connection, table: &HostTable, column: &str, format: &Format) -> Result<String, rusqlite::Error> {
    let start = 1 + format.pieces.iter().take_while(|p| **p != Piece::Year).map(|p| if let Piece::Fixed(s) = p { s.chars().count() } else { 0 }).sum::<usize>();
    let number_first = format.pieces.iter().take_while(|p| **p != Piece::Year).any(|p| matches!(p, Piece::Number(_)));
    let mut best: Option<(&str, bool)> = None;
    for c in table.columns.iter().filter(|c| !c.generated && !same(&c.name, column)) {
        // Only a plain name can stand as `:name`.
        let plain = c.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let date = c.declared.to_ascii_uppercase().contains("DATE") || c.affinity == Affinity::Text;
        if !plain || !date || number_first || best.is_some_and(|(_, not_null)| not_null) {
            continue;
        }
        let sql = format!(
            "SELECT count(*), coalesce(sum(substr({d}, 1, 4) = substr({c}, {start}, 4)), 0) FROM (SELECT {d}, {c} FROM main.{t} WHERE {d} IS NOT NULL LIMIT 2000)",
            d = quoted(&c.name),
            c = quoted(column),
            t = quoted(&table.name),
        );
        let (all, hit): (i64, i64) = db.query_row(&sql, [], |r| Ok((r.get(0)?, r.get(1)?)))?;
        if all > 0 && hit * 20 >= all * 19 && (best.is_none() || c.not_null) {
            best = Some((&c.name, c.not_null));
        }
    }
    Ok(match best {
        Some((name, true)) => format!("substr(:{name}, 1, 4)"),
        Some((name, false)) => format!("coalesce(substr(:{name}, 1, 4), strftime('%Y', 'now'))"),
        None => "strftime('%Y', 'now')".to_owned(),
    })
}

/// A name as SQL, in quotes only where it needs them: a person reads this.
fn ident(name: &str) -> String {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let plain = first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    // Two words and more are no keywords of SQL; a single word might be.
    if plain && (words(name).len() > 1 || !KEYWORDS.contains(&name.to_ascii_lowercase().as_str())) { name.to_owned() } else { quoted(name) }
}

const KEYWORDS: [&str; 24] = [
    "order",
    "group",
    "index",
    "table",
    "case",
    "check",
    "default",
    "from",
    "to",
    "key",
    "select",
    "where",
    "values",
    "set",
    "limit",
    "join",
    "transaction",
    "references",
    "column",
    "database",
    "plan",
    "view",
    "trigger",
    "union",
];
