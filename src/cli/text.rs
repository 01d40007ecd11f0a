//! Text for a terminal: what a record holds must not move the cursor, change colours or reorder
//! the line.

pub(crate) use crate::report::count;
use crate::report::{code, hidden};
use crate::synchronizer::find::{RecordName, Written};
use chrono::{DateTime, Local};

/// Escapes what is not plain text: control characters (a newline as `\n`), marks that change the
/// direction of writing, and invisible ones.
pub(crate) fn clean(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || hidden(c) => out.push_str(&code(c)),
            c => out.push(c),
        }
    }
    out
}

/// Clean text of at most so many characters.
pub(crate) fn cut(s: &str, width: usize) -> String {
    let s = clean(s);
    if s.chars().count() <= width {
        return s;
    }
    s.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A time of a report in this computer's zone, to the second.
pub(crate) fn when(iso: &str) -> String {
    DateTime::parse_from_rfc3339(iso).map_or_else(|_| clean(iso), |t| t.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A record in a list: type, local key, the start of its UUID, and its label.
pub(crate) fn record(n: &RecordName) -> String {
    let id = n.record.get(..8).unwrap_or(&n.record);
    let key = n.key.as_ref().map_or_else(String::new, |k| format!(":{}", cut(k, 20)));
    let kind = if n.r#type.is_empty() { "record" } else { &n.r#type };
    let label = if n.label.is_empty() { String::new() } else { format!("  {}", cut(&n.label, 40)) };
    format!("{}{key} [{id}]{label}", clean(kind))
}

/// When and where something was written.
pub(crate) fn written(w: &Written) -> String {
    format!("{}, {}", when(&w.time), cut(&w.site.name, 24))
}

/// The name by which a row is given to a command: `table:key`.
pub(crate) fn row(table: &str, row: &str, key: Option<&String>) -> String {
    let short = || row.get(..8).unwrap_or(row).to_owned();
    format!("{}:{}", clean(table), key.map_or_else(short, |k| cut(k, 24)))
}

/// Breaks plain text into lines of at most so many characters, the later ones indented. Blanks at
/// the start and between words stay.
pub(crate) fn wrap(text: &str, width: usize, indent: &str) -> String {
    let (mut out, mut line) = (String::new(), 0);
    // A line that was just broken begins with a word, not with what stood between two.
    let mut fresh = false;
    for (i, word) in text.split(' ').enumerate() {
        let n = word.chars().count();
        if i > 0 && line + 1 + n > width && !out.trim_end().is_empty() {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(indent);
            line = indent.chars().count();
            fresh = true;
        } else if i > 0 && !fresh {
            out.push(' ');
            line += 1;
        }
        out.push_str(word);
        line += n;
        fresh &= word.is_empty();
    }
    out
}

/// Breaks clean text of any kind into lines of at most so many characters: at blanks, and in words that are longer.
pub(crate) fn pour(text: &str, width: usize, indent: &str) -> String {
    let (mut out, mut line) = (String::new(), 0);
    let wide = indent.chars().count();
    for (i, word) in text.split(' ').enumerate() {
        let n = word.chars().count();
        if i > 0 && line + 1 + n > width && n + wide <= width {
            out.push('\n');
            out.push_str(indent);
            line = wide;
        } else if i > 0 {
            out.push(' ');
            line += 1;
        }
        for c in word.chars() {
            if line >= width {
                out.push('\n');
                out.push_str(indent);
                line = wide;
            }
            out.push(c);
            line += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(clean("Zoë Müller-李"), "Zoë Müller-李");
        assert_eq!(clean("\x1b[31mred\x07"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(clean("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(clean("a\u{202e}b\u{2066}c\u{200f}"), "a\\u{202e}b\\u{2066}c\\u{200f}");
        assert_eq!(clean("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(clean("می\u{200c}خواهم"), "می\u{200c}خواهم");
    }

    #[test]
    fn long_text_is_cut_after_it_is_cleaned() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("\n\n\n\n", 6), "\\n\\n\\…");
    }

    #[test]
    fn a_long_word_is_broken_and_no_character_is_lost() {
        assert_eq!(pour("aa bbbbbbbbbb cc", 6, "  "), "aa bbb\n  bbbb\n  bbb\n  cc");
        let text = "a  b   c ddddddddddddddddddd";
        assert_eq!(pour(text, 9, "").replace('\n', ""), text);
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("aaa bbb ccc", 7, "  "), "aaa bbb\n  ccc");
        assert_eq!(wrap("  aaa  bbb", 20, ""), "  aaa  bbb");
        assert_eq!(
            wrap("  aaa  bbb", 8, "    "),
            "  aaa
    bbb"
        );
    }
}
