//! Why a database refuses a record, in words for people who never heard of constraints.

/// What SQLite said, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another row has these values already: the table and its columns.
    Twice(String, Vec<String>),
    /// A value is missing: the table and the column.
    Missing(String, String),
    /// A rule of the table is broken: the rule, or its name.
    Rule(String),
    /// A row points to one that is not there.
    Reference,
    /// A trigger calls a function that only the application has.
    Function(String),
    /// Something else, in the database's own words.
    Other(String),
}

impl Refusal {
    /// Reads what the database said.
    pub fn read(raw: &str) -> Refusal {
        let after = |start: &str| raw.strip_prefix(start).map(str::trim).filter(|r| !r.is_empty());
        if let Some(columns) = after("UNIQUE constraint failed:") {
            let both: Option<Vec<(&str, &str)>> = columns.split(", ").map(|c| c.rsplit_once('.')).collect();
            if let Some(both) = both
                && let Some((table, _)) = both.first()
            {
                return Refusal::Twice((*table).to_owned(), both.iter().map(|(_, c)| (*c).to_owned()).collect());
            }
        }
        if let Some((table, column)) = after("NOT NULL constraint failed:").and_then(|c| c.rsplit_once('.')) {
            return Refusal::Missing(table.to_owned(), column.to_owned());
        }
        if let Some(rule) = after("CHECK constraint failed:") {
            return Refusal::Rule(rule.to_owned());
        }
        if raw.starts_with("FOREIGN KEY constraint failed") {
            return Refusal::Reference;
        }
        after("no such function:").map_or_else(|| Refusal::Other(raw.to_owned()), |f| Refusal::Function(f.to_owned()))
    }

    /// What is the matter, and what to do. `place` is the table and column, where the database did not say them itself.
    pub fn in_words(&self, place: Option<&str>) -> String {
        let at = place.map_or_else(String::new, |p| format!(" in {p}"));
        match self {
            Refusal::Twice(table, columns) => format!(
                "another row of {table} in this database has the same {}, and the database takes it only once. Correct the one that is wrong; if both are one person, match them",
                columns.join(" and ")
            ),
            Refusal::Missing(table, column) => format!("{table}.{column} is empty, and this database does not take it so. Fill it in where the record comes from"),
            Refusal::Rule(rule) => format!("a value{at} breaks a rule of this database ({rule}). Correct it where the record comes from"),
            Refusal::Reference => match place {
                Some(p) => format!(
                    "{p} points to something that is not in this database yet. It is taken by itself once that is there; if it never comes, correct {p} where the record comes from"
                ),
                None => "a row points to another that is not in this database, or is still pointed to by one. It is tried again with each synchronization".to_owned(),
            },
            Refusal::Function(name) => format!(
                "the application watches over its tables with a function of its own, {name}, which no other program has, so nothing can be written there from outside. Ask whoever makes the application, or leave the table out in cfs.toml"
            ),
            Refusal::Other(raw) => raw.clone(),
        }
    }
}

/// The same where only what the database said is at hand.
pub fn in_words(raw: &str) -> String {
    Refusal::read(raw).in_words(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_in_plain_words() {
        for (raw, says) in [
            ("UNIQUE constraint failed: patient.national_id", "another row of patient in this database has the same national_id"),
            ("UNIQUE constraint failed: lab.patient_id, lab.day", "the same patient_id and day"),
            ("UNIQUE constraint failed: index 'x'", "UNIQUE constraint failed: index 'x'"),
            ("NOT NULL constraint failed: patient.last_name", "patient.last_name is empty"),
            ("CHECK constraint failed: sex IN ('f', 'm')", "breaks a rule of this database (sex IN ('f', 'm'))"),
            ("FOREIGN KEY constraint failed", "points to another that is not in this database"),
            ("no such function: app_check", "a function of its own, app_check"),
            ("no visits on Sundays", "no visits on Sundays"),
        ] {
            assert!(in_words(raw).contains(says), "{raw}: {}", in_words(raw));
        }
        assert!(Refusal::read("FOREIGN KEY constraint failed").in_words(Some("visit.doctor_id")).starts_with("visit.doctor_id points to"));
    }
}
