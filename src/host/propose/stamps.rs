//! Columns that triggers stamp, and columns in which a lost value could do harm.

use super::Ruled;
use crate::config::ColumnRule;
use crate::host::looks::words;
use crate::host::schema::{HostTable, Schema};

/// Columns that a trigger on the table sets to the time, or counts up: of two values the larger is
/// the one to show.
pub(super) fn rules(schema: &Schema, table: &HostTable) -> Vec<Ruled> {
    let mut found: Vec<Ruled> = Vec::new();
    for trigger in schema.triggers_on(&table.name) {
        let sql: String = trigger.sql.to_lowercase().replace(['"', '`', '[', ']'], "");
        let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((_, body)) = sql.split_once(" begin ") else { continue };
        let update = format!("update {} set ", table.name.to_lowercase());
        let Some((_, sets)) = body.split_once(&update) else { continue };
        let sets = sets.split(';').next().unwrap_or(sets);
        for c in table.columns.iter().filter(|c| !c.generated) {
            let name = c.name.to_lowercase();
            let Some(value) = assigned(sets, &name) else { continue };
            let time = ["'now'", "current_timestamp", "current_date"].iter().any(|w| value.contains(w));
            let counts = [format!("old.{name} + 1"), format!("new.{name} + 1"), format!("{name} + 1")].iter().any(|w| value.starts_with(w.as_str()));
            if (time || counts) && found.iter().all(|f| f.column != c.name) {
                found.push(Ruled { column: c.name.clone(), rule: ColumnRule::Max, why: format!("trigger {} stamps it", trigger.name) });
            }
        }
    }
    found
}

/// What is assigned to a column in the list after SET, up to the next comma outside brackets.
fn assigned<'a>(sets: &'a str, column: &str) -> Option<&'a str> {
    let mut depth = 0;
    let mut start = 0;
    let mut parts = Vec::new();
    for (i, c) in sets.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&sets[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&sets[start..]);
    let own = parts.into_iter().find_map(|p| p.split_once('=').filter(|(name, _)| name.trim() == column));
    own.map(|(_, value)| value.trim())
}

/// Columns whose conflicts should stand out: allergies and doses.
pub(super) fn review(table: &HostTable) -> Vec<String> {
    let allergy = words(&table.name).iter().any(|w| w.starts_with("allerg"));
    let column = |name: &str| {
        let w = words(name);
        let says = |list: &[&str]| w.iter().any(|x| list.contains(&x.as_str()));
        says(&["dose", "dosage", "allergy", "allergies"]) || (allergy && says(&["severity", "criticality", "reaction"])) || (says(&["blood"]) && says(&["group", "type"]))
    };
    let data = table.columns.iter().filter(|c| !c.generated && !table.primary_key.contains(&c.name));
    let told = data.filter(|c| column(&c.name) && !words(&c.name).iter().any(|w| w == "id"));
    told.map(|c| c.name.clone()).collect()
}
