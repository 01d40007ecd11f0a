//! `cfs demo`: two clinics, end to end.

use super::{Failure, Json, json, out, text};
use crate::demo;
use clap::Args;
use std::path::PathBuf;

/// Flags of `cfs demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Where to put the two clinics and their folder; must be empty or not be there.
    #[arg(default_value = "cfs-demo", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &DemoArgs) -> Result<u8, Failure> {
    let mut n = 0;
    let told = demo::run(&args.dir, &mut |step| {
        if !args.json.json {
            n += 1;
            out(&format!("{n}. {}", step.title));
            step.told.iter().for_each(|t| out(&text::wrap(&format!("   {}", text::clean(t)), 79, "   ")));
            out("");
        }
    })?;
    if args.json.json {
        out(&json(&told));
        return Ok(0);
    }
    out(&format!("Done in {:.1} s. What to look at next:", told.seconds));
    for next in &told.next {
        out(&format!("\n  {}\n    {}", next.what, next.command));
    }
    Ok(0)
}
