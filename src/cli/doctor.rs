//! `cfs doctor`: finds what will go wrong.

use super::{Failure, Json, json, out, text};
use crate::config::Config;
use crate::synchronizer::doctor::{Check, Level, doctor};
use clap::Args;
use std::path::Path;

/// Flags of `cfs doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &DoctorArgs, config: &Path) -> Result<u8, Failure> {
    let checks = doctor(&Config::load(config)?);
    out(&if args.json.json { json(&serde_json::json!({ "checks": checks })) } else { render(&checks) });
    Ok(u8::from(checks.iter().any(|c| c.level == Level::Fail)))
}

fn render(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for c in checks {
        let mark = match c.level {
            Level::Ok => "ok  ",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        };
        lines.push(text::wrap(&format!("{mark}  {:9} {}", c.about, text::clean(&c.found)), 79, "                "));
        if !c.todo.is_empty() {
            lines.push(text::wrap(&format!("                → {}", text::clean(&c.todo)), 79, "                  "));
        }
    }
    let n = |l: Level| checks.iter().filter(|c| c.level == l).count() as u64;
    lines.push(match (n(Level::Fail), n(Level::Warn)) {
        (0, 0) => "Nothing will go wrong, as far as can be seen.".to_owned(),
        (0, w) => format!("It works; {} to look at.", text::count(w, "thing")),
        (f, w) => format!("{} to mend first, {w} more to look at.", text::count(f, "thing")),
    });
    lines.join("\n")
}
