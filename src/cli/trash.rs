//! `cfs trash` and `cfs erase`: what was deleted, and what goes for good.

use super::{Failure, Json, json, open, out, text};
use crate::sync::Order;
use crate::synchronizer::deletions::Trashed;
use clap::{Args, Subcommand};
use std::path::Path;

/// Flags of `cfs trash`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct TrashArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists what can be restored (the default).
    List(Json),
    /// Shows what is in the trash of one record, with its content.
    Show {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        #[command(flatten)]
        json: Json,
    },
    /// Restores a record, or a row of it, here and at the other sites.
    Restore {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        /// Only this row and what went with it.
        #[arg(long, value_name = "TABLE:ID")]
        row: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Strips the content of what a record has in the trash, before the retention time is over.
    Purge {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        /// Yes, it shall be gone for good.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        json: Json,
    },
}

/// Flags of `cfs erase`.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// The record: its UUID, the first digits of it, or type:key as in patient:17.
    #[arg(value_name = "RECORD")]
    record: String,
    /// Yes, it shall be gone for good.
    #[arg(long)]
    yes: bool,
    /// Who asked for it, for the account; the site's name if it is not said.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    json: Json,
}

pub(super) fn trash(args: &TrashArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    match &args.action {
        None | Some(Action::List(_)) => {
            let as_json = args.json.json || matches!(&args.action, Some(Action::List(j)) if j.json);
            let found = s.trash(None)?;
            out(&if as_json { json(&serde_json::json!({ "trash": found })) } else { render(&found, false) });
            Ok(0)
        }
        Some(Action::Show { record, json: j }) => {
            let found = s.trash(Some(s.find(record)?))?;
            out(&if j.json { json(&serde_json::json!({ "trash": found })) } else { render(&found, true) });
            Ok(0)
        }
        Some(Action::Restore { record, row, json }) => {
            super::sync::carry_out(&s, s.restore(s.find(record)?, row.as_deref())?, "Restored, here and with their next synchronization at the other sites.", *json)
        }
        Some(Action::Purge { record, yes, json }) => {
            let id = s.find(record)?;
            let found = s.trash(Some(id))?;
            let rows: usize = found.iter().filter(|t| t.restorable).map(|t| t.rows).sum();
            if rows == 0 {
                return Err(Failure::new(2, "nothing of that record is in the trash"));
            }
            if !yes {
                return Err(Failure::new(
                    4,
                    format!(
                        "this would strip the content of {} from the trash for good, here now, at the other sites with their daily look at all files; if that is meant, add --yes",
                        text::count(rows as u64, "row")
                    ),
                ));
            }
            super::sync::carry_out(
                &s,
                vec![(id, Order::Purge)],
                "Purged: what was in the trash of that record is gone for good here; the other sites follow with their daily look at all files.",
                *json,
            )
        }
    }
}

pub(super) fn erase(args: &EraseArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let id = s.find(&args.record)?;
    if !args.yes {
        let rows: Vec<String> = s.row_counts(id)?.into_iter().map(|(t, n)| format!("{n} in {t}")).collect();
        let what = if rows.is_empty() { "nothing is left of it here".to_owned() } else { format!("these rows go: {}", rows.join(", ")) };
        return Err(Failure::new(
            4,
            format!(
                "erasing record {id} removes it for good from this database, the trash and the folder, and with their next synchronization from every other site, whatever was edited there meanwhile; {what}. There is no way back: `cfs delete` is the deletion that can be restored. If erasing is meant, add --yes"
            ),
        ));
    }
    let by = args.by.clone().unwrap_or_else(|| s.config().site.clone());
    super::sync::carry_out(&s, s.erase(id, &by)?, "Erased here. The other sites erase it with their next synchronization.", args.json)
}

fn render(found: &[Trashed], fields: bool) -> String {
    if found.is_empty() {
        return if fields { "Nothing of that record is in the trash." } else { "The trash is empty. What is deleted with `cfs delete`, here or elsewhere, waits in it." }
            .to_owned();
    }
    let mut lines = Vec::new();
    for t in found {
        let what = if t.whole { "the whole record".to_owned() } else { text::row(&t.table, &t.row, None) };
        lines.push(text::record(&t.name));
        let stripped = if t.restorable { "" } else { ", stripped: nothing left to restore" };
        lines.push(format!("  {what}, {}{stripped}", text::count(t.rows as u64, "row")));
        if let Some(tomb) = &t.tombstone {
            let why = if tomb.why.is_empty() { String::new() } else { format!(": {}", text::cut(&tomb.why, 44)) };
            lines.push(format!("  deleted {} by {}{why}", text::when(&tomb.written.time), text::cut(&tomb.by, 24)));
        }
        if fields {
            lines.extend(t.fields.iter().map(|(k, v)| text::pour(&format!("    {:16}  {}", text::clean(k), text::clean(v)), 79, "                      ")));
        }
    }
    if let Some(t) = found.iter().find(|t| t.restorable) {
        let id = t.name.record.get(..8).unwrap_or_default();
        let row = if t.whole { String::new() } else { format!(" --row {}", text::row(&t.table, &t.row, None)) };
        lines.push(format!("\nTo restore, for example:  cfs trash restore {id}{row}"));
    }
    lines.join("\n")
}
