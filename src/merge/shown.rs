//! What of a field's several values a host is shown, by its column's rule: a pure function of the set.

use super::text;
use crate::record::{Field, Rule};
use crate::value::{MAX_INLINE_BYTES, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Signs that stand between the items of a list, where the rule names none: the first of them that occurs in any of
/// the values.
const SIGNS: [char; 4] = ['\n', ';', '|', ','];

/// The value of a field that a host is shown.
pub fn shown(f: &Field, rule: Rule) -> Option<Cow<'_, Value>> {
    let all = match rule {
        Rule::Latest => None,
        Rule::Max => f.0.iter().map(|e| &e.value).max().map(Cow::Borrowed),
        Rule::Min => f.0.iter().map(|e| &e.value).min().map(Cow::Borrowed),
        Rule::Union(sign) => texts(f).map(|values| union(f, &values, sign)),
        // One text is shown as it is.
        Rule::Text => Some(f).filter(|f| f.0.len() > 1).and_then(text::merged).map(|m| Cow::Owned(Value::text(m.text))),
    };
    all.or_else(|| f.current().map(|e| Cow::Borrowed(&e.value)))
}

/// Whether what is shown by a rule leaves nothing of the set for a person to decide.
pub fn settles(f: &Field, rule: Rule) -> bool {
    match rule {
        Rule::Latest => false,
        Rule::Max | Rule::Min => true,
        Rule::Union(_) => texts(f).is_some(),
        Rule::Text => text::merged(f).is_some_and(|m| !m.both),
    }
}

/// Whether who sees what is shown by a rule has seen the whole set.
pub fn shows_all(f: &Field, rule: Rule) -> bool {
    match rule {
        Rule::Text => text::merged(f).is_some(),
        _ => settles(f, rule),
    }
}

/// Whether a value adds nothing to what is shown.
pub fn adds_nothing(f: &Field, rule: Rule, value: &Value) -> bool {
    let Some(now) = shown(f, rule) else { return false };
    match rule {
        Rule::Latest => false,
        Rule::Text => *value == *now,
        Rule::Max => *value <= *now,
        Rule::Min => *value >= *now,
        Rule::Union(sign) => {
            let (Some(new), Some(old)) = (text::of(value), text::of(&now)) else { return false };
            let sign = sign.or_else(|| SIGNS.into_iter().find(|s| old.contains(*s) || new.contains(*s)));
            let old: BTreeSet<&str> = items(old, sign).collect();
            items(new, sign).all(|i| old.contains(i))
        }
    }
}

/// The set's values, the oldest first, if all of them are text or empty. One that lies elsewhere (a large text) is not
/// known here, and what would become one together is not joined.
fn texts(f: &Field) -> Option<Vec<&str>> {
    let all: Vec<&str> = f.0.iter().map(|e| text::of(&e.value)).collect::<Option<_>>()?;
    (all.iter().map(|t| t.len() + 2).sum::<usize>() <= MAX_INLINE_BYTES || all.len() < 2).then_some(all)
}

fn items(text: &str, sign: Option<char>) -> impl Iterator<Item = &str> {
    text.split(move |c| Some(c) == sign).map(str::trim).filter(|i| !i.is_empty())
}

/// All items of all values, each once, those of the older value first. A single value is shown as it was typed.
fn union<'f>(f: &'f Field, values: &[&str], sign: Option<char>) -> Cow<'f, Value> {
    let distinct: BTreeSet<&&str> = values.iter().filter(|v| !v.is_empty()).collect();
    if distinct.len() < 2 {
        // Empty beside something is not something less.
        let typed = f.0.iter().rev().find(|e| text::of(&e.value).is_some_and(|t| !t.is_empty())).or_else(|| f.current());
        return typed.map_or(Cow::Owned(Value::Null), |e| Cow::Borrowed(&e.value));
    }
    let found = sign.or_else(|| SIGNS.into_iter().find(|s| values.iter().any(|v| v.contains(*s))));
    let mut seen = BTreeSet::new();
    let all: Vec<&str> = values.iter().flat_map(|v| items(v, found)).filter(|i| seen.insert(*i)).collect();
    let sign = found.unwrap_or(',');
    // As tight as whoever wrote a list wrote it.
    let tight = values.iter().any(|v| v.contains(sign)) && !values.iter().any(|v| v.contains(&format!("{sign} ")));
    let between = if tight || sign == '\n' { sign.to_string() } else { format!("{sign} ") };
    Cow::Owned(Value::text(all.join(&between)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Uuid;
    use crate::stamp::{Stamp, Time};

    fn field(values: &[Value]) -> Field {
        let mut f = Field::default();
        for (i, v) in values.iter().enumerate() {
            let stamp = Stamp { time: Time { ms: 1000 + i as u64, counter: 0 }, site: Uuid::nil() };
            f.0.insert(Field::of(stamp, v.clone()).current().unwrap().clone());
        }
        f
    }

    #[test]
    fn lists_are_joined() {
        let cases: [(&[&str], Option<char>, &str); 10] = [
            (&["penicillin"], None, "penicillin"),
            (&[" a ,b,, "], None, " a ,b,, "),
            (&["a; b", "a; c"], None, "a; b; c"),
            (&["a;b", "b;c"], None, "a;b;c"),
            (&["penicillin", "aspirin"], None, "penicillin, aspirin"),
            (&["a, b", "a\nc, d"], None, "a, b\na\nc, d"),
            (&["x/y", "y/z"], Some('/'), "x/y/z"),
            (&["a, b", "c"], Some(';'), "a, b; c"),
            (&["", "a"], None, "a"),
            (&["a", ""], None, "a"),
        ];
        for (values, sign, want) in cases {
            let f = field(&values.iter().map(|v| Value::text(*v)).collect::<Vec<_>>());
            assert_eq!(*shown(&f, Rule::Union(sign)).unwrap(), Value::text(want), "{values:?}");
            assert!(settles(&f, Rule::Union(sign)));
        }
    }

    #[test]
    fn what_is_no_list_goes_by_the_latest_and_is_left_to_decide() {
        let f = field(&[Value::text("a"), Value::Integer(4)]);
        assert_eq!(*shown(&f, Rule::Union(None)).unwrap(), Value::Integer(4));
        assert!(!settles(&f, Rule::Union(None)) && !shows_all(&f, Rule::Union(None)));
        let f = field(&[Value::Null, Value::Null]);
        assert_eq!(*shown(&f, Rule::Union(None)).unwrap(), Value::Null);
    }

    #[test]
    fn what_adds_nothing() {
        let f = field(&[Value::text("a; b"), Value::text("c")]);
        let rule = Rule::Union(None);
        assert!(adds_nothing(&f, rule, &Value::text("c; a")) && adds_nothing(&f, rule, &Value::Null));
        assert!(!adds_nothing(&f, rule, &Value::text("d")) && !adds_nothing(&f, rule, &Value::Integer(1)));
        let f = field(&[Value::Integer(3), Value::Integer(5)]);
        assert!(adds_nothing(&f, Rule::Max, &Value::Integer(4)) && !adds_nothing(&f, Rule::Max, &Value::Integer(6)));
        assert!(!adds_nothing(&f, Rule::Latest, &Value::Integer(5)));
    }
}
