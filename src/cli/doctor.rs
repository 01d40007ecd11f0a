//! `cfs doctor`: finds what will go wrong.

use super::{Failure, Json, json, out, text};
use crate::config::Config;
use crate::service::door::{self, Answer, Question};
use crate::service::last_log;
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
    let config = Config::load(config)?;
    let mut checks = doctor(&config);
    checks.push(service(&config));
    out(&if args.json.json { json(&serde_json::json!({ "checks": checks })) } else { render(&checks) });
    Ok(u8::from(checks.iter().any(|c| c.level == Level::Fail)))
}

/// Whether a service runs, and where its log is.
fn service(config: &Config) -> Check {
    let check = |level, found: String, todo: &str| Check { about: "service", level, found, todo: todo.to_owned() };
    match door::ask(config, &Question::Status, &mut |_, _, _| {}) {
        Ok(Some(Answer::Now(now))) => {
            let text = |name: &str| now.get(name).and_then(serde_json::Value::as_str);
            let log = text("log").map_or_else(String::new, |l| format!("; its log is in {l}"));
            let since = text("since").map_or_else(String::new, |t| format!(" since {}", text::when(t)));
            let pid = now.get("pid").and_then(serde_json::Value::as_u64).map_or_else(String::new, |p| format!(" (process {p})"));
            check(Level::Ok, format!("runs{since}{pid}{log}"), "")
        }
        Err(e) => check(Level::Warn, format!("one is there and does not answer: {e}"), "see its log; end it and start `cfs run` again"),
        Ok(_) => {
            let log = last_log(config).map_or_else(String::new, |l| format!("; the log of the last one is in {}", l.display()));
            check(Level::Ok, format!("none runs with this configuration; `cfs sync` works without{log}"), "")
        }
    }
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
