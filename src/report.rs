//! What a synchronization did, in numbers and in words.

pub mod refusal;

use serde::{Deserialize, Serialize};

/// Conflict files in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictFiles {
    /// Found in the folder.
    pub found: u64,
    /// Merged.
    pub merged: u64,
    /// Deleted afterwards.
    pub deleted: u64,
}

/// Tombstones in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstones {
    /// Made here and sent.
    pub sent: u64,
    /// Received and applied.
    pub applied: u64,
}

/// A file that was left alone, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadFile {
    /// Its path in the sync folder.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A record that the host refuses for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The record.
    pub record: String,
    /// Its type.
    pub kind: String,
    /// Why, in the host's words.
    pub reason: String,
}

/// How long a piece of the work took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The piece.
    pub work: String,
    /// How long, in seconds.
    pub seconds: f64,
    /// In so many parts.
    pub times: u64,
}

/// What a synchronization did. `cfs sync --json` prints it; fields are only ever added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run's number in the log; 0 if nothing happened that is worth a log entry.
    pub run: i64,
    /// This site's id.
    pub site: String,
    /// Whether every file was looked at.
    pub full: bool,
    /// How long it took.
    pub seconds: f64,
    /// Records with changes of this site that were sent.
    pub exported: u64,
    /// Records with changes of other sites that were applied.
    pub imported: u64,
    /// Records where changes of several sites were joined.
    pub merged: u64,
    /// Conflict files.
    pub conflict_files: ConflictFiles,
    /// Fields that now have a superseded value.
    pub superseded: u64,
    /// Deletions.
    pub tombstones: Tombstones,
    /// Rows that the host had deleted and that came back.
    pub restored: u64,
    /// Rows deleted at one site while edited at another, that are back.
    pub revived: u64,
    /// Records that were found, or said, to be the same as another.
    #[serde(default)]
    pub matched: u64,
    /// What people decided about values, rows deleted in the host and the trash.
    #[serde(default)]
    pub decided: u64,
    /// Records the host refuses for now.
    pub held: Vec<Held>,
    /// Records and segments announced and not here yet.
    pub pending: u64,
    /// Files left alone.
    pub bad_files: Vec<BadFile>,
    /// Files that were older than what is known here, and were written again.
    pub rolled_back: u64,
    /// Record files that were gone from the folder and are written again.
    #[serde(default)]
    pub rewritten: u64,
    /// Records known in all.
    pub records: u64,
    /// Files read.
    pub files_read: u64,
    /// Files written.
    pub files_written: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// What a person should know, in sentences.
    pub notices: Vec<String>,
    /// Where the time went, if that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timings: Vec<Timing>,
}

/// `1 record`, `2 records`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Two texts of which no more than so many characters are shown each. Where the first difference would not be in
/// sight, both begin a little before it.
pub fn apart(a: &str, b: &str, most: usize) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    let lead = most / 4;
    let fits = |text: &str| text.chars().nth(most).is_none();
    let from = if same + lead < most || a == b || fits(a) && fits(b) { 0 } else { same - lead };
    let one = |text: &str| {
        let mut out = String::new();
        let mut left = most;
        if from > 0 {
            out.push('…');
            left = left.saturating_sub(1);
        }
        let mut rest = text.chars().skip(from);
        out.extend(rest.by_ref().take(left));
        if rest.next().is_some() {
            out.push('…');
        }
        out
    };
    (one(a), one(b))
}

/// A plan that waits for a person's yes, in a notice: what it says to people, and its mark.
pub fn plan(notice: &str) -> Option<(&str, &str)> {
    let (says, command) = notice.split_once(": cfs sync --full --yes=")?;
    Some((says, command.split_whitespace().next()?))
}

impl Report {
    /// The plan that waits for a person's yes, if it did nothing for that reason.
    pub fn refused(&self) -> Option<&str> {
        self.notices.iter().map(String::as_str).find(|n| plan(n).is_some())
    }

    /// What to say of a decision about these records that the host's database refuses, if it does.
    pub fn refused_by_host(&self, records: &[String]) -> Option<String> {
        let held = self.held.iter().find(|h| records.contains(&h.record))?;
        Some(format!("it is decided, but the database refuses it for now: {}", refusal::in_words(&held.reason)))
    }

    /// What it did, in one line.
    pub fn in_words(&self) -> String {
        let all = [
            (self.exported, "record", " sent"),
            (self.imported, "record", " received"),
            (self.merged, "record", " merged"),
            (self.matched, "record", " matched"),
            (self.conflict_files.merged, "conflict file", " merged"),
            (self.tombstones.sent, "deletion", " sent"),
            (self.tombstones.applied, "deletion", " applied"),
            (self.rewritten, "file", " that were gone written again"),
            (self.restored, "deleted row", " that came back"),
            (self.revived, "row", " deleted there while edited here"),
        ];
        let parts: Vec<String> = all.into_iter().filter(|(n, _, _)| *n > 0).map(|(n, one, did)| format!("{}{did}", count(n, one))).collect();
        match (parts.is_empty(), self.decided) {
            (false, _) => parts.join(", "),
            (true, 0) if self.refused().is_some() => "nothing was done".to_owned(),
            (true, 0) if !self.held.is_empty() => format!("{} held", count(self.held.len() as u64, "record")),
            (true, 0) => "nothing to do".to_owned(),
            (true, n) => format!("{} carried out", count(n, "decision")),
        }
    }
}

/// Marks of direction, separators and invisible characters. Joiners (U+200C, U+200D) are letters'
/// business in several scripts and stay.
pub(crate) fn hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A character by its number.
pub(crate) fn code(c: char) -> String {
    format!("\\u{{{:x}}}", u32::from(c))
}

/// A text in which what nobody sees can be seen; its lines stay.
pub(crate) fn visible(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(hidden) {
        return text.into();
    }
    text.chars().map(|c| if hidden(c) { code(c) } else { c.to_string() }).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_in_sight() {
        assert_eq!(apart("abcdef", "abcdeg", 6), ("abcdef".into(), "abcdeg".into()));
        assert_eq!(apart("abcdefghij", "abXdefghij", 6), ("abcdef…".into(), "abXdef…".into()));
        let (a, b) = (format!("{}ü then more of it", "x".repeat(300)), format!("{}ö then", "x".repeat(300)));
        let (a, b) = apart(&a, &b, 20);
        assert_eq!((a.as_str(), b.as_str()), ("…xxxxxü then more of…", "…xxxxxö then"));
        assert_eq!(apart(&"x".repeat(30), "", 20), (format!("{}…", "x".repeat(20)), String::new()));
        let long = "y".repeat(30);
        assert_eq!(apart(&long, &format!("{long}z"), 20), ("…yyyyy".into(), "…yyyyyz".into()));
        assert_eq!(apart(&long, &long, 20).0, format!("{}…", "y".repeat(20)));
    }
}
