//! `cfs duplicates`: people who look like one.

use super::{Failure, Json, json, open, out, text};
use crate::synchronizer::duplicates::Alike;
use clap::Args;
use std::path::Path;

/// Flags of `cfs duplicates`.
#[derive(Debug, Args)]
pub(super) struct DuplicatesArgs {
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &DuplicatesArgs, config: &Path) -> Result<u8, Failure> {
    let found = open(config)?.duplicates()?;
    out(&if args.json.json { json(&serde_json::json!({ "duplicates": found })) } else { render(&found) });
    Ok(0)
}

fn render(found: &[Alike]) -> String {
    let Some(first) = found.first() else { return "Nobody looks like somebody else.".to_owned() };
    let mut lines = Vec::new();
    for p in found {
        lines.push(text::record(&p.a));
        lines.push(text::record(&p.b));
        let differ = if p.differ.is_empty() { String::new() } else { format!("; different: {}", p.differ.join(", ")) };
        lines.push(text::wrap(&format!("  {}{}", text::clean(&p.reasons.join(", ")), text::clean(&differ)), 79, "  "));
    }
    let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
    let two = format!("{} {}", short(&first.a.record), short(&first.b.record));
    lines.push(format!(
        "\n{}. To decide, for example the first:\n  cfs match {two}         they are one\n  cfs match {two} --not   they are two",
        text::count(found.len() as u64, "pair")
    ));
    lines.join("\n")
}
