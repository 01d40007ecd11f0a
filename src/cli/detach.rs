//! `cfs detach`: takes a database out of the synchronization.

use super::{Failure, Json, json, open, out};
use clap::Args;
use std::path::Path;

/// Flags of `cfs detach`.
#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Yes, take it out.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &DetachArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let brief = s.state()?.brief()?;
    let unsent = brief.touched + brief.unsent + brief.files + brief.segments;
    if !args.yes {
        let first = if unsent > 0 { "Something here was not sent yet: run `cfs sync` first. " } else { "" };
        return Err(Failure::new(
            4,
            format!(
                "{first}this would remove the cfs_… tables and triggers from {}. The clinic's own rows, the sync folder and cfs.toml stay; superseded values, the trash, held records and the log of this database go. If that is meant, add --yes",
                s.config().database.display()
            ),
        ));
    }
    s.detach()?;
    out(&if args.json.json {
        json(&serde_json::json!({ "detached": true }))
    } else {
        "Detached: the database is the host's alone again. The other sites can drop this one with `cfs sites retire`.".to_owned()
    });
    Ok(0)
}
