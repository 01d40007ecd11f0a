//! `cfs log`: who changed what.

use super::{Failure, Json, json, open, out, text};
use crate::report::Report;
use crate::synchronizer::history::{ChangeView, RunView, Which};
use clap::Args;
use std::path::Path;

/// How many lines of one synchronization a list of several shows.
const SHOWN: usize = 30;

/// Flags of `cfs log`.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// How many synchronizations, counted from the newest.
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: u64,
    /// One synchronization, in full.
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    run: Option<i64>,
    /// Only what happened to this record.
    #[arg(long, value_name = "RECORD")]
    record: Option<String>,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &LogArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let record = args.record.as_deref().map(|r| s.find(r)).transpose()?;
    let most = (args.run.is_none() && !args.json.json).then_some(SHOWN);
    let runs = s.runs(Which { last: args.last, run: args.run, record, most })?;
    if args.json.json {
        out(&json(&serde_json::json!({ "runs": runs })));
    } else if runs.is_empty() {
        out(if record.is_some() { "Nothing happened to that record that the log knows of." } else { "Nothing was synchronized yet. Run `cfs sync`." });
    } else {
        // The newest last, where the eye is when the list has gone by.
        let texts: Vec<String> = runs.iter().rev().map(one).collect();
        out(&texts.join("\n\n"));
    }
    Ok(0)
}

fn one(r: &RunView) -> String {
    let did = r.report.as_ref().map_or_else(|| "did not come to its end".to_owned(), Report::in_words);
    let mut lines = vec![text::wrap(&format!("Run {}, {}: {did}", r.run, text::when(&r.started)), 79, "  ")];
    lines.extend(self::lines(&r.changes));
    if r.lines > r.changes.len() {
        lines.push(format!("  … and {} more: cfs log --run {}", text::count((r.lines - r.changes.len()) as u64, "line"), r.run));
    }
    if let Some(rep) = &r.report {
        lines.extend(rep.notices.iter().map(|n| text::wrap(&format!("  Note: {}", text::clean(n)), 79, "    ")));
    }
    lines.join("\n")
}

/// What happened, by record.
pub(super) fn lines(changes: &[ChangeView]) -> Vec<String> {
    let mut lines = Vec::new();
    for about in changes.chunk_by(|a, b| a.name.record == b.name.record) {
        match about {
            // All that is to be said is about the record itself.
            [one] if one.table.is_none() && one.old.is_none() => lines.push(text::wrap(&format!("  {}  {}", text::record(&one.name), change(one)), 79, "    ")),
            [first, ..] => {
                lines.push(format!("  {}", text::record(&first.name)));
                lines.extend(about.iter().map(|c| text::wrap(&format!("    {}", change(c)), 79, "      ")));
            }
            [] => {}
        }
    }
    lines
}

/// One change in one line: row and field, old and new, and where it came from.
pub(super) fn change(c: &ChangeView) -> String {
    let from = c.site.as_ref().map_or_else(String::new, |s| format!("  ({})", text::cut(&s.name, 24)));
    let row = c.table.as_ref().map_or_else(String::new, |t| text::row(t, c.row.as_deref().unwrap_or_default(), c.row.as_ref().filter(|r| r.len() < 36)));
    let what = text::clean(&c.what);
    match (&c.field, &c.old, &c.new) {
        (Some(f), old, new) => {
            let side = |v: &Option<String>| v.as_ref().map_or_else(|| "(empty)".to_owned(), |v| text::clean(v));
            let (old, new) = crate::report::apart(&side(old), &side(new), 28);
            format!("{row} {}: {old} → {new}  {what}{from}", text::clean(f))
        }
        (None, None, Some(why)) if c.what == "held" => format!("held: {}", text::clean(&crate::report::refusal::in_words(why))),
        (None, Some(old), Some(new)) => format!("{what}: {} ({})", text::clean(old), text::clean(new)),
        (None, _, new) => {
            let why = new.as_ref().filter(|n| !n.is_empty()).map_or_else(String::new, |n| format!(": {}", text::cut(n, 48)));
            let row = if row.is_empty() { row } else { format!("{row} ") };
            format!("{row}{what}{why}{from}")
        }
    }
}
