//! The rule `text`: notes that two sites changed at the same time are merged line by line, three ways, from what both had
//! seen (decision 0024).

use crate::record::{Entry, Field};
use crate::value::{MAX_INLINE_BYTES, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// The attribute of a value that leads back to what its author had seen.
pub const BACK: &str = "back";
/// So many steps back are kept.
const MAX_STEPS: usize = 8;
/// And no more than this of them.
const MAX_BYTES: usize = 4096;

/// The text of a value; empty where there is none.
pub(super) fn of(v: &Value) -> Option<&str> {
    match v {
        Value::Null => Some(""),
        Value::Text(t) => std::str::from_utf8(t).ok(),
        _ => None,
    }
}

/// The way back from a new text to what its author had seen: `before` is the field as it was shown to them, and `shown` its
/// text. Each step is `P,S,R`: the earlier text is the first P bytes of the later one, then what R is in base64, then its last S.
pub fn way_back(new: &Value, shown: Option<&Value>, before: Option<&Field>) -> Option<String> {
    let (new, old) = (of(new)?, of(shown.unwrap_or(&Value::Null))?);
    let mut steps = vec![step(new, old)];
    // Of several values together nobody knows yet which way each of them came.
    let only = before.filter(|f| f.0.len() == 1).and_then(Field::current);
    steps.extend(only.and_then(|e| e.unknown.get(BACK)).into_iter().flat_map(|earlier| earlier.split(' ')).map(str::to_owned));
    let mut out = String::new();
    for s in steps.into_iter().take(MAX_STEPS) {
        if out.len() + s.len() >= MAX_BYTES {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&s);
    }
    (!out.is_empty()).then_some(out)
}

fn step(new: &str, old: &str) -> String {
    let first = new.bytes().zip(old.bytes()).take_while(|(a, b)| a == b).count();
    let first = (0..=first).rev().find(|n| new.is_char_boundary(*n) && old.is_char_boundary(*n)).unwrap_or(0);
    let (new_rest, old_rest) = (new.get(first..).unwrap_or_default(), old.get(first..).unwrap_or_default());
    let last = new_rest.bytes().rev().zip(old_rest.bytes().rev()).take_while(|(a, b)| a == b).count();
    let from = |n: usize| (new_rest.len() - n, old_rest.len() - n);
    let last = (0..=last).rev().find(|n| new_rest.is_char_boundary(from(*n).0) && old_rest.is_char_boundary(from(*n).1)).unwrap_or(0);
    let removed = old_rest.get(..old_rest.len() - last).unwrap_or_default();
    format!("{first},{last},{}", BASE64.encode(removed))
}

fn step_back(new: &str, step: &str) -> Option<String> {
    let mut parts = step.splitn(3, ',');
    let (first, last): (usize, usize) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let removed = String::from_utf8(BASE64.decode(parts.next()?).ok()?).ok()?;
    if first.checked_add(last)? > new.len() {
        return None;
    }
    Some(format!("{}{removed}{}", new.get(..first)?, new.get(new.len() - last..)?))
}

/// The texts that came before a value, the latest first. What does not read is the end of it.
fn earlier(e: &Entry) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (Some(now), Some(back)) = (of(&e.value), e.unknown.get(BACK)) else { return out };
    for s in back.split(' ').take(MAX_STEPS) {
        match step_back(out.last().map_or(now, String::as_str), s) {
            Some(t) => out.push(t),
            None => break,
        }
    }
    out
}

/// What several texts become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text.
    pub text: String,
    /// Whether both changed the same lines: then both versions stand in it, the older first.
    pub both: bool,
}

/// Texts of more lines, and fields of more values, are not merged: they come from a folder that anybody may write to.
const MAX_LINES: usize = 2000;
const MAX_VALUES: usize = 8;

/// Merges a field's texts. `None` where one is no text, or two have nothing in common that both authors had seen.
pub fn merged(f: &Field) -> Option<Merged> {
    if f.0.len() > MAX_VALUES {
        return None;
    }
    let mut entries = f.0.iter();
    let first = entries.next()?;
    let mut now = Merged { text: of(&first.value)?.to_owned(), both: false };
    let mut came_from = earlier(first);
    for e in entries {
        let (other, others) = (of(&e.value)?, earlier(e));
        if other == now.text {
            came_from.retain(|t| others.contains(t));
            continue;
        }
        let at = came_from.iter().position(|t| others.contains(t))?;
        let base = came_from.get(at)?;
        if [base, now.text.as_str(), other].iter().any(|t| t.lines().count() > MAX_LINES) {
            return None;
        }
        let merged = three_way(base, &now.text, other);
        if merged.text.len() > MAX_INLINE_BYTES {
            // A host would give it back as a large value, known by its hash.
            return None;
        }
        now = Merged { text: merged.text, both: now.both || merged.both };
        came_from.drain(..at);
        came_from.retain(|t| others.contains(t));
    }
    Some(now)
}

/// What one side did: lines of the base, from and to, and the lines that stand there instead.
type Edit<'t> = (usize, usize, Vec<&'t str>);

fn edits<'t>(base: &[&'t str], other: &[&'t str]) -> Vec<Edit<'t>> {
    let ops = capture_diff_slices(Algorithm::Myers, base, other).into_iter();
    ops.filter(|op| !matches!(op, DiffOp::Equal { .. })).map(|op| (op.old_range().start, op.old_range().end, other.get(op.new_range()).unwrap_or_default().to_vec())).collect()
}

/// Whether two edits are about the same lines. One that adds lines beside those that the other changes is not.
fn meet(a: &Edit<'_>, b: &Edit<'_>) -> bool {
    let adds = |e: &Edit<'_>| e.0 == e.1;
    match (adds(a), adds(b)) {
        (true, true) => a.0 == b.0,
        _ => a.0 < b.1 && b.0 < a.1,
    }
}

/// Merges two texts that both came from a third.
fn three_way<'t>(base: &'t str, a: &'t str, b: &'t str) -> Merged {
    let split = |t: &'t str| -> Vec<&'t str> { if t.is_empty() { Vec::new() } else { t.split('\n').collect() } };
    let (base, a, b) = (split(base), split(a), split(b));
    let mut all: Vec<(Edit<'t>, usize)> = edits(&base, &a).into_iter().map(|e| (e, 0)).chain(edits(&base, &b).into_iter().map(|e| (e, 1))).collect();
    all.sort_by_key(|((from, to, _), side)| (*from, *to, *side));
    let mut out: Vec<&str> = Vec::new();
    let (mut both, mut at) = (false, 0);
    let mut left = all.into_iter().peekable();
    while let Some((first, side)) = left.next() {
        let (from, mut to) = (first.0, first.1);
        let mut hunk: Vec<(Edit<'t>, usize)> = vec![(first, side)];
        while let Some(next) = left.next_if(|(e, _)| hunk.iter().any(|(h, _)| meet(h, e))) {
            to = to.max(next.0.1);
            hunk.push(next);
        }
        out.extend(base.get(at..from).unwrap_or_default());
        let version = |side: usize| -> Vec<&'t str> {
            let (mut lines, mut at) = (Vec::new(), from);
            for ((from, to, new), _) in hunk.iter().filter(|(_, s)| *s == side) {
                lines.extend(base.get(at..*from).unwrap_or_default());
                lines.extend(new);
                at = *to;
            }
            lines.extend(base.get(at..to).unwrap_or_default());
            lines
        };
        both |= put_hunk(&mut out, base.get(from..to).unwrap_or_default(), &version(0), &version(1));
        at = to;
    }
    out.extend(base.get(at..).unwrap_or_default());
    Merged { text: out.join("\n"), both }
}

/// Adds what two made of the same lines. Says whether it is for a person to decide.
fn put_hunk<'t>(out: &mut Vec<&'t str>, base: &[&'t str], a: &[&'t str], b: &[&'t str]) -> bool {
    if a == b || b == base {
        out.extend(a);
        return false;
    }
    if a == base {
        out.extend(b);
        return false;
    }
    out.extend(a);
    out.extend(b);
    // Lines that both added at one place stand one after the other, and nothing is left to decide.
    !base.iter().all(|l| l.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Uuid;
    use crate::record::Unknown;
    use crate::stamp::{Stamp, Time};

    fn entry(ms: u64, new: &str, shown: &str, before: Option<&Field>) -> Entry {
        let was = way_back(&Value::text(new), Some(&Value::text(shown)), before);
        let stamp = Stamp { time: Time { ms, counter: 0 }, site: Uuid::nil() };
        Entry { stamp, value: Value::text(new), unknown: was.map(|w| Unknown::from([(BACK.to_owned(), w)])).unwrap_or_default() }
    }

    fn field(entries: impl IntoIterator<Item = Entry>) -> Field {
        Field(entries.into_iter().collect())
    }

    fn both(base: &str, a: &str, b: &str) -> (String, bool) {
        let m = merged(&field([entry(1, a, base, None), entry(2, b, base, None)])).unwrap();
        (m.text, m.both)
    }

    #[test]
    fn notes_are_merged_by_lines() {
        let cases = [
            // Two add a line at the end.
            ("one", "one\ntwo", "one\nthree", "one\ntwo\nthree", false),
            ("one\n", "one\ntwo\n", "one\nthree\n", "one\ntwo\nthree\n", false),
            // One adds on top, one below, one line goes.
            ("a\nb\nc", "x\na\nb\nc", "a\nc\ny", "x\na\nc\ny", false),
            // One corrects a line, the other adds one.
            ("BP 120\nfine", "BP 130\nfine", "BP 120\nfine\ncough", "BP 130\nfine\ncough", false),
            // Both the same.
            ("a", "b", "b", "b", false),
            ("", "a", "b", "a\nb", false),
            // The same line: both stand there, and a person decides.
            ("5 mg daily", "10 mg daily", "5 mg weekly", "10 mg daily\n5 mg weekly", true),
            ("a\nb\nc", "a\nc", "a\nB\nc", "a\nB\nc", true),
            // Both emptied something else.
            ("a\nb", "a", "b", "", false),
            // What both typed alike, each belongs to what stands above it.
            ("a", "a\n10:00\nparacetamol", "a\n14:00\nparacetamol", "a\n10:00\nparacetamol\n14:00\nparacetamol", false),
            ("käse\nbrot", "kåse\nbrot", "käse\nbröt", "kåse\nbröt", false),
        ];
        for (base, a, b, text, left) in cases {
            assert_eq!(both(base, a, b), (text.to_owned(), left), "{base:?} {a:?} {b:?}");
        }
    }

    #[test]
    fn the_way_back_is_followed_over_several_edits() {
        let one = entry(1, "a\nb", "a", None);
        let two = entry(3, "a\nb\nc", "a\nb", Some(&field([one.clone()])));
        let three = entry(5, "a\nb\nc\nd", "a\nb\nc", Some(&field([two.clone()])));
        assert_eq!(earlier(&three), ["a\nb\nc", "a\nb", "a"]);
        let other = entry(2, "x\na", "a", None);
        let m = merged(&field([three, other])).unwrap();
        assert_eq!((m.text.as_str(), m.both), ("x\na\nb\nc\nd", false));
        // And of three: the first shares less with the others than they with each other, and a line may stand there twice.
        let third = entry(4, "a\nb\nz", "a\nb", Some(&field([one])));
        let m = merged(&field([two, entry(2, "x\na", "a", None), third])).unwrap();
        assert_eq!((m.text.as_str(), m.both), ("x\na\nb\nc\nb\nz", false));
    }

    #[test]
    fn texts_without_a_common_origin_are_left_as_they_are() {
        let plain = |ms, t: &str| Entry { unknown: Unknown::new(), ..entry(ms, t, "", None) };
        assert_eq!(merged(&field([plain(1, "a"), plain(2, "b")])), None);
        assert_eq!(merged(&field([entry(1, "a", "c", None), entry(2, "b", "d", None)])), None);
        assert_eq!(merged(&field([plain(1, "a")])).unwrap().text, "a");
    }

    #[test]
    fn nonsense_in_the_way_back_is_the_end_of_it() {
        for was in ["", "1", "1,2", "9,9,", "0,0,!", "1,0,/w", "18446744073709551615,1,", "1,1,YQ 5,5,YQ"] {
            let mut e = entry(1, "ö", "", None);
            e.unknown.insert(BACK.to_owned(), was.to_owned());
            assert!(earlier(&e).len() < 2, "{was}");
        }
    }

    #[test]
    fn what_is_too_much_to_carry_is_not_carried() {
        let mut f = field([entry(1, "a", "", None)]);
        for i in 2..40u64 {
            let now = format!("{i}\n{}", "x".repeat(600));
            let shown = of(&f.current().unwrap().value).unwrap().to_owned();
            f = field([entry(i, &now, &shown, Some(&f))]);
            let e = f.current().unwrap();
            assert!(e.unknown[BACK].len() <= MAX_BYTES && earlier(e).len() <= MAX_STEPS && !earlier(e).is_empty());
        }
        let big = "y".repeat(10_000);
        assert_eq!(way_back(&Value::text("a"), Some(&Value::text(big)), None), None);
    }
}
