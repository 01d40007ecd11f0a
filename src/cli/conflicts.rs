//! `cfs conflicts`: superseded values, and a person's decision about them.

use super::{Failure, Json, json, open, out, text};
use crate::synchronizer::conflicts::{Conflict, by_column};
use crate::synchronizer::show::ValueView;
use clap::{Args, Subcommand};
use std::path::Path;

/// Flags of `cfs conflicts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ConflictsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only those of one column of all records, for example patient.phone.
    #[arg(long, value_name = "TABLE.COLUMN")]
    column: Option<String>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists all superseded values (the default).
    List {
        /// Only those of one column of all records, for example patient.phone.
        #[arg(long, value_name = "TABLE.COLUMN")]
        column: Option<String>,
        #[command(flatten)]
        json: Json,
    },
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
        #[arg(value_name = "RECORD", required_unless_present = "column")]
        record: Option<String>,
        /// The row, as the list names it.
        #[arg(value_name = "TABLE:ROW")]
        row: Option<String>,
        /// The field.
        #[arg(value_name = "FIELD")]
        field: Option<String>,
        /// Instead of a record: one column of all records, for example patient.phone.
        #[arg(long, value_name = "TABLE.COLUMN", conflicts_with = "record")]
        column: Option<String>,
        /// With --column: yes, in all of them.
        #[arg(long, requires = "column")]
        yes: bool,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) fn run(args: &ConflictsArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let list = |record: Option<&String>, column: Option<&String>, as_json: bool| -> Result<u8, Failure> {
        let mut found = s.conflicts(record.map(|r| s.find(r)).transpose()?)?;
        found.retain(|c| column.is_none_or(|of| c.is_of(of)));
        out(&if as_json { json(&serde_json::json!({ "conflicts": found, "columns": by_column(&found) })) } else { render(&found, record.is_some()) });
        Ok(0)
    };
    match &args.action {
        None => list(None, args.column.as_ref(), args.json.json),
        Some(Action::List { column, json: j }) => list(None, column.as_ref().or(args.column.as_ref()), j.json || args.json.json),
        Some(Action::Show { record, json }) => list(Some(record), None, json.json),
        Some(Action::Keep { record, row, field, value, json }) => {
            let orders = s.keep(s.find(record)?, row, field, *value)?;
            super::sync::carry_out(&s, orders, "Kept: the superseded value is current now, and the others are gone.", *json)
        }
        Some(Action::Discard { record, row, field, column, yes, json }) => {
            let orders = match (record, column) {
                (Some(record), _) => s.discard(s.find(record)?, row.as_deref(), field.as_deref())?,
                (None, column) => {
                    let column = column.as_deref().unwrap_or_default();
                    let orders = s.discard_column(column, None)?;
                    if !yes {
                        return Err(Failure::new(4, in_all(column, orders.len())));
                    }
                    orders
                }
            };
            let n = orders.len() as u64;
            super::sync::carry_out(&s, orders, &format!("Discarded: the current value stands in {}.", text::count(n, "field")), *json)
        }
    }
}

fn in_all(column: &str, fields: usize) -> String {
    format!(
        "this would let the current value of {column} stand in {}, here and at every other site; the values that lost are gone then. `cfs conflicts --column {column}` lists them. If that is meant, add --yes",
        text::count(fields as u64, "field")
    )
}

/// What waits. Of one record all is said; in a list of many what is long is cut.
fn render(found: &[Conflict], whole: bool) -> String {
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
        lines.push(side("current", &c.current, whole));
        lines.extend(c.superseded.iter().enumerate().map(|(n, v)| side(&format!("superseded {}", n + 1), v, whole)));
    }
    if let Some(c) = found.first() {
        let at = format!("{} {} {}", c.name.record.get(..8).unwrap_or_default(), text::row(&c.table, &c.row, c.row_key.as_ref()), c.field);
        lines.push(format!("\nTo decide, for example the first:\n  cfs conflicts keep {at}      the superseded value\n  cfs conflicts discard {at}   the current one stays"));
    }
    if let Some(c) = found.iter().find(|c| !whole && [&c.current].into_iter().chain(&c.superseded).any(|v| text::clean(&v.value).chars().count() > CUT)) {
        lines.push(format!("\nLong values are cut here. All of them, for example:\n  cfs conflicts show {}", c.name.record.get(..8).unwrap_or_default()));
    }
    for c in by_column(found).iter().filter(|c| c.are_many()) {
        lines.push(format!(
            "\n{} are of {}. To let the current value stand in all of them:\n  cfs conflicts discard --column {}",
            text::count(c.fields as u64, "field"),
            c.column,
            c.column
        ));
    }
    lines.join("\n")
}

/// How many characters of a value a list of many shows.
const CUT: usize = 60;

/// One of the values, with where it comes from beside it or, if it is long, below it.
fn side(mark: &str, v: &ValueView, whole: bool) -> String {
    let value = if whole { text::pour(&text::clean(&v.value), 60, "                  ") } else { text::cut(&v.value, CUT) };
    let gap = if value.chars().count() > 24 { "\n                  " } else { "  " };
    format!("    {mark:12}  {value:24}{gap}{}", text::written(&v.written))
}
