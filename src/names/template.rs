//! A small matcher for names: `{who}`, `{date}`, `{day}`, `{time}`, `{n}`, `{x}` and literal text.

/// What a template found in a name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// A person's or computer's name; the first where a template has several.
    pub(super) who: Option<String>,
    /// A date as `2026-08-25`.
    pub(super) date: Option<String>,
}

/// Matches a whole name.
pub(super) fn matches(template: &str, name: &str) -> Option<Found> {
    let Some((literal, rest)) = template.split_once('{') else {
        return (template == name).then(Found::default);
    };
    let name = name.strip_prefix(literal)?;
    let (token, rest) = rest.split_once('}')?;
    match token {
        // `2026-08-25`
        "date" => {
            let (date, after) = name.split_at_checked(10)?;
            let shape = date.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
            shape.then_some(())?;
            Some(Found { date: Some(date.to_owned()), ..matches(rest, after)? })
        }
        // `20260825`
        "day" => {
            let (day, after) = name.split_at_checked(8)?;
            day.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            let date = format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]);
            Some(Found { date: Some(date), ..matches(rest, after)? })
        }
        // A run of digits; with the dashes of a time.
        "n" => run(name, |b| b.is_ascii_digit()).and_then(|after| matches(rest, after)),
        "time" => run(name, |b| b.is_ascii_digit() || matches!(b, b'-' | b':')).and_then(|after| matches(rest, after)),
        "x" => run(name, |b| b.is_ascii_alphanumeric()).and_then(|after| matches(rest, after)),
        // Anything without brackets, as short as possible: brackets end what a client appended.
        "who" => name.char_indices().take_while(|(_, c)| !matches!(c, '(' | ')' | '[' | ']')).find_map(|(i, c)| {
            let end = i + c.len_utf8();
            let found = matches(rest, &name[end..])?;
            Some(Found { who: Some(name[..end].to_owned()), ..found })
        }),
        _ => None,
    }
}

fn run(name: &str, of: impl Fn(u8) -> bool) -> Option<&str> {
    let n = name.bytes().take_while(|b| of(*b)).count();
    (n > 0).then(|| &name[n..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_template_finds_who_and_when() {
        let f = matches("@ ({who}'s conflicted copy {date} {n}).xml", "@ (Front Desk's conflicted copy 2026-08-25 1).xml").unwrap();
        assert_eq!(f, Found { who: Some("Front Desk".to_owned()), date: Some("2026-08-25".to_owned()) });
        assert_eq!(matches("@_conflict-{day}-{n}.xml", "@_conflict-20160618-141213.xml").unwrap().date.unwrap(), "2016-06-18");
        assert_eq!(matches("@ ({who}).xml", "@ (a) (b).xml"), None);
        assert_eq!(matches("@ ({date}).xml", "@ (日本日本日本).xml"), None);
    }
}
