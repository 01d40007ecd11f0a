//! `cfs show`: one record as the folder and the database have it.

use super::{Failure, Json, json, open, out, text};
use crate::synchronizer::show::{FieldView, RecordView, RowView};
use clap::Args;
use std::path::Path;

/// Flags of `cfs show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The record: its UUID, the first digits of it, or type:key as in patient:17.
    #[arg(value_name = "RECORD")]
    record: String,
    /// Also what happened to it.
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &ShowArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let view = s.show(s.find(&args.record)?, args.history)?;
    out(&if args.json.json { json(&view) } else { render(&view) });
    Ok(0)
}

fn render(v: &RecordView) -> String {
    let mut lines = vec![
        text::record(&v.name),
        format!("  UUID     {}", v.name.record),
        format!("  File     {}", v.file.path),
        text::wrap(&format!("           {}: {}", v.file.state, text::clean(&v.file.note)), 79, "           "),
    ];
    if v.state != "live" {
        lines.push(format!("  State    {}", v.state));
    }
    if let Some(why) = &v.held_words {
        lines.push(text::wrap(&format!("  Held     {}", text::clean(why)), 79, "           "));
    }
    if v.waiting {
        lines.push("  Waiting  rows point to a record that is not here".to_owned());
    }
    for s in &v.same_as {
        let says = match s.says {
            "same" => "Same as ",
            "not" => "Not     ",
            _ => "Was     ",
        };
        lines.push(format!("  {says} {}{}", s.record, s.written.as_ref().map_or_else(String::new, |w| format!("  ({})", text::written(w)))));
    }
    for (i, w) in v.version.iter().enumerate() {
        lines.push(format!("  {}  {}, up to {}", if i == 0 { "Version" } else { "       " }, text::cut(&w.site.name, 24), text::when(&w.time)));
    }
    for row in &v.rows {
        lines.push(String::new());
        lines.extend(one_row(row));
    }
    if let Some(history) = &v.history {
        lines.push("\nHistory".to_owned());
        for c in history {
            lines.push(text::wrap(&format!("  {}  {}", text::when(&c.time), super::log::change(c)), 79, "                       "));
        }
    }
    lines.join("\n")
}

fn one_row(r: &RowView) -> Vec<String> {
    let state = match r.state {
        "live" => String::new(),
        "deleted here" => "  deleted here, waits for a decision: cfs deletions".to_owned(),
        "not here" => "  NOT IN THE DATABASE; the next synchronization brings it".to_owned(),
        other => format!("  {}", other.to_uppercase()),
    };
    let mut lines = vec![format!("  {}  (added {}){state}", text::row(&r.table, &r.row, r.key.as_ref()), text::written(&r.written))];
    if let Some(t) = &r.tombstone {
        let why = if t.why.is_empty() { String::new() } else { format!(": {}", text::cut(&t.why, 40)) };
        let back = match r.state {
            "deleted" => "",
            _ if r.written.time > t.written.time => ", and restored since",
            _ => ", but edited by somebody who had not seen that: it is back",
        };
        let stripped = if t.bare { "; its content was stripped after the retention time" } else { "" };
        lines.push(text::wrap(&format!("    deleted by {} ({}){why}{back}{stripped}", text::cut(&t.by, 30), text::written(&t.written)), 79, "      "));
    }
    let wide = r.fields.iter().map(|f| name(f).chars().count()).max().unwrap_or(0).min(28);
    for f in &r.fields {
        let below = " ".repeat(wide + 6);
        lines.push(text::pour(&format!("    {:wide$}  {}", name(f), text::clean(&f.value)), 82, &below));
        if f.differs {
            let here = f.database.as_deref().unwrap_or("(empty)");
            lines.push(text::pour(&format!("    {:wide$}    in the database: {}", "", text::clean(here)), 82, &format!("{below}  ")));
        }
        for (n, s) in f.superseded.iter().enumerate() {
            lines.push(text::pour(&format!("    {:wide$}    superseded {}: {}  ({})", "", n + 1, text::clean(&s.value), text::written(&s.written)), 82, &format!("{below}  ")));
        }
    }
    lines
}

fn name(f: &FieldView) -> String {
    let place = f.place.as_ref().map_or_else(String::new, |p| format!(" at {}", text::cut(&p.name, 14)));
    format!("{}{place}", text::clean(&f.field))
}
