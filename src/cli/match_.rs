//! `cfs match`: records that are one person.

use super::{Failure, Json, json, open, out, text};
use crate::record::SameAs;
use crate::synchronizer::matching::{MatchView, PairView};
use clap::Args;
use std::path::Path;

/// Flags of `cfs match`.
#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// One record. Without records: lists the pairs that wait for a person's word.
    #[arg(value_name = "A", requires = "b")]
    a: Option<String>,
    /// The other.
    #[arg(value_name = "B")]
    b: Option<String>,
    /// They are two people; they are never matched or listed again.
    #[arg(long, requires = "a", conflicts_with = "undo")]
    not: bool,
    /// Take a match back: both stand as before, with what was typed since.
    #[arg(long, requires = "a")]
    undo: bool,
    /// List the matches that can be taken back, the last word first.
    #[arg(long, conflicts_with_all = ["a", "not", "undo"])]
    made: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &MatchArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    if args.made {
        let (found, _) = s.matched(usize::MAX)?;
        out(&if args.json.json { json(&serde_json::json!({ "matched": found })) } else { made(&found) });
        return Ok(0);
    }
    let (Some(a), Some(b)) = (&args.a, &args.b) else {
        let found = s.pairs()?;
        out(&if args.json.json { json(&serde_json::json!({ "pairs": found })) } else { render(&found) });
        return Ok(0);
    };
    let (says, done) = match (args.not, args.undo) {
        (true, _) => (SameAs::Not, "Noted: they are two, here and with their next synchronization at the other sites."),
        (_, true) => (SameAs::Undone, "Taken back: both records stand again, with what was typed since."),
        _ => (SameAs::Same, "Matched: they are one record now. Where values differ, the newer stands and `cfs conflicts` lists the other. To take it back: cfs match A B --undo"),
    };
    let orders = s.say_same(s.find(a)?, s.find(b)?, says)?;
    super::sync::carry_out(&s, orders, done, args.json)
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn made(found: &[MatchView]) -> String {
    let Some(first) = found.first() else { return "Nobody was matched.".to_owned() };
    let mut lines = Vec::new();
    for m in found {
        lines.push(text::record(&m.a));
        lines.push(text::record(&m.b));
        lines.push(m.written.as_ref().map_or_else(|| "  matched by itself".to_owned(), |w| format!("  said {}, {}", text::when(&w.time), text::clean(&w.site.name))));
    }
    lines.push(format!("\nTo take one back, for example the first:\n  cfs match {} {} --undo", short(&first.a.record), short(&first.b.record)));
    lines.join("\n")
}

fn render(found: &[PairView]) -> String {
    if found.is_empty() {
        return "No pair of records waits for a decision.".to_owned();
    }
    let mut lines = Vec::new();
    for p in found {
        lines.push(text::record(&p.a));
        lines.push(text::record(&p.b));
        lines.push(text::wrap(&format!("  {}", text::clean(&p.reason)), 79, "  "));
    }
    if let Some(p) = found.first() {
        let two = format!("{} {}", short(&p.a.record), short(&p.b.record));
        lines.push(format!("\nTo decide, for example the first:\n  cfs match {two}         they are one\n  cfs match {two} --not   they are two"));
    }
    lines.join("\n")
}
