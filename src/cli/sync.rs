//! `cfs sync`: Sync Now.

use super::text::{clean, count as plural, wrap};
use super::{Failure, Json, out};
use crate::config::Config;
use crate::id::RecordId;
use crate::report::Report;
use crate::report::refusal::in_words;
use crate::service::door::{self, Answer, Question};
use crate::sync::{Options, Order};
use crate::synchronizer::{Synchronizer, patiently};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what a person decided waits for a synchronization that is running.
const PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `cfs sync`.
#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// Look at every file, not only at what the logs name; done once a day by itself.
    #[arg(long)]
    full: bool,
    /// Read every row of the database, too: for changes made while its triggers were off.
    #[arg(long)]
    scan: bool,
    /// Say what would happen, record by record, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on with a plan that was held; the plan's mark is in the message that asked for it.
    #[arg(long, value_name = "PLAN")]
    yes: Option<String>,
    /// The sync folder is lost for good: make it again from what is known here, and write everything.
    #[arg(long, conflicts_with_all = ["dry_run", "yes"])]
    rebuild: bool,
    /// Say how far it is on stderr, a line of JSON at a time, for a program that draws the bar itself.
    #[arg(long)]
    progress: bool,
    /// Say where the time went, piece by piece.
    #[arg(long)]
    timings: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &SyncArgs, config: &Path) -> Result<u8, Failure> {
    if !args.dry_run && !args.rebuild {
        let mut bar = if args.progress { Bar::for_programs() } else { Bar::new() };
        let question = Question::Sync { full: args.full, scan: args.scan, confirm: args.yes.clone(), timings: args.timings };
        match door::ask(&Config::load(config)?, &question, &mut |what, done, total| bar.show(what, done, total))? {
            Some(Answer::Report(report)) => {
                bar.end();
                return Ok(told(&report, &[], "", args.json));
            }
            Some(Answer::Failed(f)) => return Err(Failure::new(f.code, f.message)),
            _ => {}
        }
    }
    let s = super::open(config)?;
    if args.rebuild {
        s.rebuild_folder()?;
    }
    let options =
        Options { full: args.full || args.rebuild, scan: args.scan || args.rebuild, confirm: args.yes.clone(), rebuild: args.rebuild, timings: args.timings, ..Options::default() };
    if args.dry_run {
        return dry_run(&s, &options, args.json);
    }
    let bar = if args.progress { Bar::for_programs() } else { Bar::new() };
    once(&s, &options, "", args.json, bar)
}

/// Synchronizes with what a person decided, and says what became of it.
pub(super) fn carry_out(s: &Synchronizer, orders: Vec<(RecordId, Order)>, said: &str, json: Json) -> Result<u8, Failure> {
    once(s, &Options { orders, ..Options::default() }, said, json, Bar::new())
}

fn once(s: &Synchronizer, options: &Options, said: &str, json: Json, mut bar: Bar) -> Result<u8, Failure> {
    // What a person decided waits for the service's own synchronization.
    let longest = if options.orders.is_empty() { Duration::ZERO } else { PATIENCE };
    let report = patiently(longest, || s.sync_now(options, &mut |what, done, total| bar.show(what, done, total)))?;
    bar.end();
    Ok(told(&report, &options.orders, said, json))
}

/// Says what a synchronization did. Gives the exit code.
fn told(report: &Report, orders: &[(RecordId, Order)], said: &str, json: Json) -> u8 {
    let refused = report.refused().is_some();
    if json.json {
        out(&super::json(report));
    } else {
        // What the host refuses is held, and said below.
        let held = report.held.iter().any(|h| orders.iter().any(|(id, _)| h.record == id.to_string()));
        if !said.is_empty() && !refused && !held {
            out(&wrap(said, 79, "  "));
        }
        out(&summary(report));
    }
    if refused { 4 } else { 0 }
}

fn dry_run(s: &Synchronizer, options: &Options, json: Json) -> Result<u8, Failure> {
    let (report, changes) = s.dry_run(options)?;
    let changes = s.describe(changes)?;
    if json.json {
        out(&super::json(&serde_json::json!({ "dry_run": true, "report": report, "changes": changes })));
        return Ok(0);
    }
    super::log::lines(&changes).iter().for_each(|l| out(l));
    out(&summary(&report).replacen("Synchronized in", "Dry run, nothing was changed:", 1));
    Ok(0)
}

/// A synchronization in a few lines for people.
pub(super) fn summary(r: &Report) -> String {
    let mut lines = vec![wrap(&format!("Synchronized in {:.1} s: {}. {} known.", r.seconds, r.in_words(), plural(r.records, "record")), 79, "  ")];
    if r.superseded > 0 {
        lines.push(format!("{} for a person to decide: cfs conflicts", plural(r.superseded, "superseded value")));
    }
    for h in &r.held {
        lines.push(wrap(&format!("Held: {} {} ({})", h.kind, h.record, clean(&in_words(&h.reason))), 79, "  "));
    }
    if r.pending > 0 {
        lines.push(format!("{} announced and not here yet", plural(r.pending, "item")));
    }
    lines.extend(r.bad_files.iter().map(|b| format!("Left alone: {} ({})", clean(&b.path), clean(&b.reason))));
    lines.extend(timings(r));
    lines.extend(r.notices.iter().map(|n| wrap(&format!("Note: {}", clean(n)), 79, "  ")));
    lines.join("\n")
}

/// Where the time went, what took longest first.
fn timings(r: &Report) -> Vec<String> {
    let mut all: Vec<_> = r.timings.iter().collect();
    all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let whole: f64 = all.iter().map(|t| t.seconds).sum();
    all.iter().map(|t| format!("{:>10.3} s {:>5.1} %  {:<12} {}", t.seconds, 100.0 * t.seconds / whole.max(f64::MIN_POSITIVE), t.work, plural(t.times, "part"))).collect()
}

/// A progress bar on stderr, once the work takes more than a second.
pub(super) struct Bar {
    start: Instant,
    bar: Option<ProgressBar>,
    /// Whether each step is a line for a program; then when the last one was written.
    lines: Option<Option<Instant>>,
}

impl Bar {
    pub(super) fn new() -> Self {
        Bar { start: Instant::now(), bar: None, lines: None }
    }

    fn for_programs() -> Self {
        Bar { lines: Some(None), ..Bar::new() }
    }

    pub(super) fn show(&mut self, what: &str, done: u64, total: u64) {
        use std::io::{IsTerminal, Write};
        if let Some(last) = &mut self.lines {
            // Often enough for a bar, and no more; the last step of each kind in any case.
            if done == total || last.is_none_or(|l| l.elapsed() > Duration::from_millis(50)) {
                *last = Some(Instant::now());
                let line = serde_json::json!({ "what": what, "done": done, "total": total });
                drop(writeln!(std::io::stderr(), "{line}"));
            }
            return;
        }
        if self.bar.is_none() && self.start.elapsed() > Duration::from_secs(1) && std::io::stderr().is_terminal() {
            self.bar = Some(ProgressBar::new(total));
        }
        if let Some(b) = &self.bar {
            // How long it will take is not known before the first of them is done.
            let left = if done == 0 { "{msg} [{bar:30}] {pos}/{len}" } else { "{msg} [{bar:30}] {pos}/{len} ({eta} left)" };
            if let Ok(style) = ProgressStyle::with_template(left) {
                b.set_style(style.progress_chars("=> "));
            }
            b.set_message(what.to_owned());
            b.set_length(total);
            b.set_position(done);
        }
    }

    pub(super) fn end(&self) {
        if let Some(b) = &self.bar {
            b.finish_and_clear();
        }
    }
}
