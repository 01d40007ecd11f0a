//! Which statements fire a trigger of the host.

/// Kinds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// INSERT.
    pub insert: bool,
    /// UPDATE.
    pub update: bool,
    /// DELETE.
    pub delete: bool,
}

impl Events {
    const ALL: Events = Events { insert: true, update: true, delete: true };

    /// What a trigger's SQL names; everything, where the SQL is not understood.
    pub fn of(sql: &str) -> Events {
        event(sql).unwrap_or(Events::ALL)
    }

    /// Either.
    pub fn or(self, o: Events) -> Events {
        Events { insert: self.insert | o.insert, update: self.update | o.update, delete: self.delete | o.delete }
    }

    /// Whether there is any.
    pub fn any(self) -> bool {
        self.insert | self.update | self.delete
    }
}

/// `CREATE [TEMP] TRIGGER [IF NOT EXISTS] [schema.]name [BEFORE | AFTER | INSTEAD OF] event` (lang_createtrigger.html).
fn event(sql: &str) -> Option<Events> {
    let mut rest = sql;
    let mut word = || next(&mut rest);
    let is = |w: &str, k: &str| w.eq_ignore_ascii_case(k);
    word().filter(|w| is(w, "CREATE"))?;
    let mut w = word()?;
    if is(w, "TEMP") || is(w, "TEMPORARY") {
        w = word()?;
    }
    Some(w).filter(|w| is(w, "TRIGGER"))?;
    w = word()?;
    if is(w, "IF") {
        word().filter(|w| is(w, "NOT"))?;
        word().filter(|w| is(w, "EXISTS"))?;
        word()?;
    }
    w = word()?;
    if w == "." {
        word()?;
        w = word()?;
    }
    if is(w, "BEFORE") || is(w, "AFTER") {
        w = word()?;
    } else if is(w, "INSTEAD") {
        word().filter(|w| is(w, "OF"))?;
        w = word()?;
    }
    match () {
        () if is(w, "INSERT") => Some(Events { insert: true, ..Events::default() }),
        () if is(w, "UPDATE") => Some(Events { update: true, ..Events::default() }),
        () if is(w, "DELETE") => Some(Events { delete: true, ..Events::default() }),
        () => None,
    }
}

/// The next word, quoted name or sign; comments are passed over.
fn next<'a>(rest: &mut &'a str) -> Option<&'a str> {
    loop {
        *rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("--") {
            *rest = comment.split_once('\n')?.1;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            *rest = comment.split_once("*/")?.1;
        } else {
            break;
        }
    }
    let first = rest.chars().next()?;
    let close = match first {
        '"' | '\'' | '`' => Some(first),
        '[' => Some(']'),
        _ => None,
    };
    let end = match close {
        Some(q) => {
            let mut at = 1;
            loop {
                at += rest.get(at..)?.find(q)? + q.len_utf8();
                // A doubled quote stands for itself.
                if q == ']' || !rest.get(at..)?.starts_with(q) {
                    break at;
                }
                at += q.len_utf8();
            }
        }
        None => rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len()).max(first.len_utf8()),
    };
    let (word, left) = rest.split_at_checked(end)?;
    *rest = left;
    Some(word)
}

/// Whether a trigger's SQL inserts into a table.
pub fn inserts_into(sql: &str, table: &str) -> bool {
    let lower = sql.to_lowercase();
    lower.match_indices("into").any(|(at, word)| {
        let rest = lower.get(at + word.len()..).unwrap_or_default();
        let name = rest.trim_start();
        let (open, after) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
        let close = match open {
            "[" => "]",
            "\"" | "`" | "'" => open,
            _ => return rest.starts_with(char::is_whitespace) && bare(name) == table.to_lowercase(),
        };
        let quoted = table.to_lowercase().replace(close, &close.repeat(2));
        after.strip_prefix(quoted.as_str()).is_some_and(|end| end.starts_with(close))
    })
}

/// The name that a text begins with.
fn bare(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_inserts_into() {
        let sql =
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO \"Visit Notes\"(x) VALUES (1); INSERT OR IGNORE INTO b(y) VALUES (2); INSERT INTO [c d] DEFAULT VALUES; END";
        assert!(["visit notes", "B", "c d"].iter().all(|t| inserts_into(sql, t)));
        assert!(!["a", "Visit", "c", "x", "otes"].iter().any(|t| inserts_into(sql, t)));
    }

    #[test]
    fn the_event_is_found() {
        let one = |sql: &str| {
            let e = Events::of(sql);
            (e.insert, e.update, e.delete)
        };
        let (i, u, d, all) = ((true, false, false), (false, true, false), (false, false, true), (true, true, true));
        assert_eq!(one("CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM y; END"), i);
        assert_eq!(one("create trigger if not exists main.\"a \"\"b\" /* after delete */ update of c on x begin insert into y values (1); end"), u);
        assert_eq!(one("CREATE TEMP TRIGGER [after insert] INSTEAD OF\n-- update\nDELETE ON x BEGIN SELECT 1; END"), d);
        assert_eq!(one("CREATE TRIGGER insert BEFORE DELETE ON x BEGIN SELECT 1; END"), d);
        assert_eq!(one("CREATE TRIGGER t BEFORE"), all);
        assert_eq!(one("nothing of the kind"), all);
        assert_eq!(one("CREATE TRIGGER \"open AFTER INSERT ON x"), all);
    }
}
