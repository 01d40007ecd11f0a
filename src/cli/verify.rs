//! `cfs verify`: reads everything on both sides and says every difference.

use super::{Failure, Json, json, open, out, text};
use crate::synchronizer::verify::{Difference, Verified};
use clap::Args;
use std::path::Path;

/// Flags of `cfs verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Synchronize fully and write again whatever differs, then verify.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &VerifyArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    s.needs_folder()?;
    let mut bar = super::sync::Bar::new();
    let mut show = |what: &'static str, done, total| bar.show(what, done, total);
    let v = if args.repair { s.repair(&mut show)? } else { s.verify(&mut show)? };
    bar.end();
    out(&if args.json.json { json(&v) } else { render(&v) });
    Ok(u8::from(!v.differences.is_empty()))
}

fn render(v: &Verified) -> String {
    let mut lines = Vec::new();
    if let Some(r) = &v.repair {
        lines.push(super::sync::summary(r));
        lines.push(String::new());
    }
    lines.push(format!(
        "Read {}, {}, {}, {} and {}.",
        text::count(v.records, "record"),
        text::count(v.files, "record file"),
        text::count(v.blobs, "large value"),
        text::count(v.segments, "log segment"),
        text::count(v.sites, "site file")
    ));
    lines.extend(v.notes.iter().map(|d| line("note", d)));
    lines.extend(v.differences.iter().map(|d| line("DIFFERS", d)));
    lines.push(match v.differences.len() {
        0 => "No differences: folder and database say the same.".to_owned(),
        n if v.repair.is_some() => format!("{} left that a repair here cannot mend.", text::count(n as u64, "difference")),
        n => format!("{}. `cfs sync` settles what is only on its way, `cfs verify --repair` the rest.", text::count(n as u64, "difference")),
    });
    lines.join("\n")
}

fn line(mark: &str, d: &Difference) -> String {
    let place = d.path.clone().or_else(|| d.record.as_ref().map(|r| format!("record {r}"))).map_or_else(String::new, |p| format!("{}\n    ", text::clean(&p)));
    text::wrap(&format!("{mark:7}  {place}{}", text::clean(&d.words)), 200, "    ")
}
