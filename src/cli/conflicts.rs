//! `cfs conflicts`: superseded values, and a person's decision about them.

use super::{Failure, Json, json, open, out, text};
use crate::synchronizer::conflicts::Conflict;
use crate::synchronizer::show::ValueView;
use clap::{Args, Subcommand};
use std::path::Path;

/// Flags of `cfs conflicts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ConflictsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists all superseded values (the default).
    List(Json),
    /// Lists those of one record.
    Show {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a superseded value the current one; the others go.
    Keep {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        /// The row, as the list names it.
        #[arg(value_name = "TABLE:ROW")]
        row: String,
        /// The field.
        #[arg(value_name = "FIELD")]
        field: String,
        /// Which of several superseded values, counted from 1 as the list does.
        #[arg(long, value_name = "N")]
        value: Option<usize>,
        #[command(flatten)]
        json: Json,
    },
    /// Lets the current value stand; the superseded ones go. Without a row: all of the record.
    Discard {
        /// The record.
        #[arg(value_name = "RECORD")]
        record: String,
        /// The row, as the list names it.
        #[arg(value_name = "TABLE:ROW")]
        row: Option<String>,
        /// The field.
        #[arg(value_name = "FIELD")]
        field: Option<String>,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) fn run(args: &ConflictsArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let list = |record: Option<&String>, as_json: bool| -> Result<u8, Failure> {
        let found = s.conflicts(record.map(|r| s.find(r)).transpose()?)?;
        out(&if as_json { json(&serde_json::json!({ "conflicts": found })) } else { render(&found) });
        Ok(0)
    };
    match &args.action {
        None => list(None, args.json.json),
        Some(Action::List(j)) => list(None, j.json || args.json.json),
        Some(Action::Show { record, json }) => list(Some(record), json.json),
        Some(Action::Keep { record, row, field, value, json }) => {
            let orders = s.keep(s.find(record)?, row, field, *value)?;
            super::sync::carry_out(&s, orders, "Kept: the superseded value is current now, and the others are gone.", *json)
        }
        Some(Action::Discard { record, row, field, json }) => {
            let orders = s.discard(s.find(record)?, row.as_deref(), field.as_deref())?;
            let n = orders.len() as u64;
            super::sync::carry_out(&s, orders, &format!("Discarded: the current value stands in {}.", text::count(n, "field")), *json)
        }
    }
}

fn render(found: &[Conflict]) -> String {
    if found.is_empty() {
        return "No superseded values: nothing to decide.".to_owned();
    }
    let mut lines = Vec::new();
    let mut last = String::new();
    for c in found {
        if c.name.record != last {
            if !last.is_empty() {
                lines.push(String::new());
            }
            lines.push(text::record(&c.name));
            last.clone_from(&c.name.record);
        }
        let review = if c.review { "  (to be reviewed)" } else { "" };
        lines.push(format!("  {} {}{review}", text::row(&c.table, &c.row, c.row_key.as_ref()), text::clean(&c.field)));
        lines.push(side("current", &c.current));
        lines.extend(c.superseded.iter().enumerate().map(|(n, v)| side(&format!("superseded {}", n + 1), v)));
    }
    if let Some(c) = found.first() {
        let at = format!("{} {} {}", c.name.record.get(..8).unwrap_or_default(), text::row(&c.table, &c.row, c.row_key.as_ref()), c.field);
        lines.push(format!("\nTo decide, for example the first:\n  cfs conflicts keep {at}      the superseded value\n  cfs conflicts discard {at}   the current one stays"));
    }
    lines.join("\n")
}

/// One of the values, with where it comes from beside it or, if it is long, below it.
fn side(mark: &str, v: &ValueView) -> String {
    let value = text::cut(&v.value, 60);
    let gap = if value.chars().count() > 24 { "\n                  " } else { "  " };
    format!("    {mark:12}  {value:24}{gap}{}", text::written(&v.written))
}
