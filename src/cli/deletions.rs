//! `cfs delete` and `cfs deletions`: explicit deletions, and rows the host deleted by itself.

use super::{Failure, Json, json, open, out, text};
use crate::synchronizer::deletions::Deletion;
use clap::{Args, Subcommand};
use std::path::Path;

/// Flags of `cfs delete`.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The record: its UUID, the first digits of it, or type:key as in patient:17.
    #[arg(value_name = "RECORD")]
    record: String,
    /// Only this row and what hangs below it; ID is its local primary key or its UUID.
    #[arg(long, value_name = "TABLE:ID")]
    row: Option<String>,
    /// Why, for those who find it in the trash.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    json: Json,
}

/// Flags of `cfs deletions`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DeletionsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the rows that wait for a decision (the default).
    List(Json),
    /// Yes, they are to be deleted everywhere. They stay in the trash for the retention time.
    Confirm {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        #[command(flatten)]
        json: Json,
    },
    /// No, they come back here.
    Restore {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) fn delete(args: &DeleteArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let orders = s.delete(s.find(&args.record)?, args.row.as_deref(), &args.why)?;
    super::sync::carry_out(&s, orders, "Deleted, here and with their next synchronization at the other sites. To take it back: cfs trash", args.json)
}

pub(super) fn deletions(args: &DeletionsArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    match &args.action {
        None | Some(Action::List(_)) => {
            let as_json = args.json.json || matches!(&args.action, Some(Action::List(j)) if j.json);
            let found = s.deletions()?;
            out(&if as_json { json(&serde_json::json!({ "deletions": found })) } else { render(&found) });
            Ok(0)
        }
        Some(Action::Confirm { record, json }) => {
            super::sync::carry_out(&s, s.confirm(s.find(record)?)?, "Confirmed: deleted here and at the other sites. To take it back: cfs trash", *json)
        }
        Some(Action::Restore { record, json }) => super::sync::carry_out(&s, s.take_back(s.find(record)?)?, "Taken back: the rows are in the database again.", *json),
    }
}

fn render(found: &[Deletion]) -> String {
    if found.is_empty() {
        return "No deletion waits for a decision.".to_owned();
    }
    let mut lines = Vec::new();
    for d in found {
        lines.push(text::record(&d.name));
        let rows = if d.rows > 1 { format!(" and {} below it", text::count(d.rows as u64 - 1, "row")) } else { String::new() };
        lines.push(format!("  {}{rows}", text::row(&d.table, &d.row, d.row_key.as_ref())));
    }
    if let Some(d) = found.first() {
        let id = d.name.record.get(..8).unwrap_or_default();
        lines.push(format!("\nTo decide, for example the first:\n  cfs deletions confirm {id}   delete it everywhere\n  cfs deletions restore {id}   bring it back here"));
    }
    lines.join("\n")
}
