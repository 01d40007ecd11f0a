//! A proposal as `cfs.toml`, with a comment that says why at each decision.

use super::report::{one_line, shows};
use super::{LocalColumn, Proposal, ProposedTable, ProposedType};
use crate::config::Capture;
use std::fmt::Write;

const WIDTH: usize = 96;

/// The text of `cfs.toml`. What it says is what `resolve` reads; nothing else is remembered.
pub fn render(p: &Proposal) -> String {
    let mut out = String::new();
    comment(&mut out, "Cloud Folder Sync. Written by `cfs init` from what the database declares and holds; yours to change. Paths are relative to this file.");
    let top = format!(
        "database = {}\nfolder = {}\nsite = {}                # the name people know this place by\n\n",
        text(&p.settings.database),
        text(&p.settings.folder),
        text(&p.settings.site)
    );
    out.push_str(&top);
    out.push_str(
        "use_logs = true            # write change logs: a sync then costs what has changed, not what exists
delete_conflicts = true    # remove a conflict file once all that is in it is in the record's file
auto_sync_minutes = 5      # for the service (`cfs run`), and soon after a change; 0 for never by itself
# sync_at = \"*/10 8-18 * * mon-fri\"  # the times at which the service synchronizes instead
local_deletes = \"restore\"  # a row deleted here comes back; \"ask\": it stays away until a person decides
retention_days = 30        # what was deleted can be restored this long
",
    );
    out.push_str(match p.settings.capture {
        Capture::Triggers => "# capture = \"scan\"         # where the application allows no triggers: each sync reads and compares all rows\n",
        Capture::Scan => "capture = \"scan\"           # no triggers in the application's schema: each sync reads and compares all rows\n",
    });
    out.push_str(
        "# state_dir = \"…\"           # where a small file beside the database is kept, if not in the usual place
",
    );
    for t in p.types.iter().rev() {
        record_type(&mut out, p, t);
    }
    let (own, shared): (Vec<_>, Vec<_>) = p.tables.iter().partition(|t| t.kind == p.root);
    let (further, shared): (Vec<_>, Vec<_>) = shared.into_iter().partition(|t| p.types.iter().any(|k| k.further && k.table == t.kind));
    out.push('\n');
    comment(&mut out, &format!("---- The tables of a {} record, each after the one it belongs to. `owner` is the reference that makes a row part of the record.", p.root));
    for t in own {
        table(&mut out, p, t);
    }
    let further: Vec<_> = further.into_iter().filter(|t| t.owner.is_some() || said(t)).collect();
    if !further.is_empty() {
        out.push('\n');
        comment(&mut out, "---- The tables of further kinds of records.");
        for t in further {
            table(&mut out, p, t);
        }
    }
    let shared: Vec<_> = shared.into_iter().filter(|t| said(t)).collect();
    if !shared.is_empty() {
        out.push('\n');
        comment(&mut out, "---- What there is to say of shared tables.");
        for t in shared {
            table(&mut out, p, t);
        }
    }
    out.push('\n');
    comment(&mut out, "---- Left out: neither read nor written, each with the reason. A table that is new in the database is left out as well until it has a section above.");
    out.push_str("[leave_out]\n");
    for l in &p.left_out {
        let _ = writeln!(out, "{} = {}", key(&l.name), text(&l.reason));
    }
    out
}

/// The lines of `cfs.toml` about one table.
pub fn section(p: &Proposal, t: &ProposedTable) -> String {
    let mut out = String::new();
    if let Some(kind) = p.types.iter().find(|k| k.table == t.name) {
        record_type(&mut out, p, kind);
    }
    table(&mut out, p, t);
    out.trim().to_owned()
}

fn record_type(out: &mut String, p: &Proposal, t: &ProposedType) {
    out.push('\n');
    if t.further {
        comment(out, &format!("---- Records of a further kind: one file for each row of `{}` and what belongs to it; {}.", t.table, t.why));
        if t.shared {
            comment(out, "`shared`: rows of two places that are the same by `match_on` become one; take it away for people.");
        }
    } else if t.shared {
        comment(out, &format!("Shared rows: {}.", t.why));
    } else {
        comment(out, &format!("---- The record: one file for each row of `{}` and what belongs to it. Why this table: {}.", t.table, t.why));
    }
    let _ = writeln!(out, "[type.{}]", key(&t.table));
    if t.shared {
        out.push_str("shared = true\n");
    }
    comment(out, &format!("Matching: {}.", t.match_why));
    let sets: Vec<String> = t.match_on.iter().map(|s| list(s)).collect();
    let value = match sets.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let _ = writeln!(out, "{}match_on = {value}", if t.match_on.is_empty() { "# " } else { "" });
    if !t.match_check.is_empty() {
        comment(out, "These must agree as well; if they differ, the pair is listed for a person (`cfs match`).");
        let _ = writeln!(out, "match_check = {}", list(&t.match_check));
    }
    if t.table == p.root || t.further {
        comment(out, "To synchronize some rows only:");
        out.push_str("# where = \"an SQL condition on this table\"\n");
    }
}

fn said(t: &ProposedTable) -> bool {
    !(t.locals.is_empty() && t.told.is_empty() && t.rules.is_empty() && t.review.is_empty() && t.ignore.is_empty() && t.refused.is_none())
}

fn table(out: &mut String, p: &Proposal, t: &ProposedTable) {
    if t.owner.is_none() && !said(t) {
        return;
    }
    out.push('\n');
    let _ = writeln!(out, "[table.{}]", key(&t.name));
    if let Some(owner) = &t.owner {
        let value = match owner.columns.as_slice() {
            [one] => text(one),
            several => list(several),
        };
        let _ = writeln!(out, "owner = {value:24} # {}: {}", one_line(&owner.parent), owner.why);
    }
    if let Some(why) = &t.single {
        let _ = writeln!(out, "{:<32} # {why}: two places' rows of one person are one row", "single = true");
    }
    for l in &t.locals {
        local(out, l);
    }
    for told in &t.told {
        comment(out, &format!("Not declared in the schema: {}.{}", told.evidence, if told.on { "" } else { " Take away the # if it is a reference." }));
        if !told.models.is_empty() {
            // The owner's table first, and none that is not synchronized.
            let mut models: Vec<_> = told.models.iter().filter_map(|(m, table)| Some((m, p.tables.iter().find(|o| o.name == *table)?))).collect();
            models.sort_by_key(|(_, of)| of.kind != t.kind);
            let names: Vec<String> = models.iter().map(|(m, _)| (*m).clone()).collect();
            let _ = writeln!(out, "{}references_in_text.{} = {}", if names.is_empty() { "# " } else { "" }, key(&told.column), list(&names));
            continue;
        }
        let setting = if told.by_column { "references_by" } else { "references" };
        // A reference to what is left out could not be followed at another site.
        let reachable = told.by_column || p.tables.iter().any(|t| t.name == told.target);
        let _ = writeln!(out, "{}{setting}.{} = {}", if told.on && reachable { "" } else { "# " }, key(&told.column), text(&told.spelled()));
    }
    for r in &t.rules {
        let rule = format!("rules.{} = \"{}\"", key(&r.column), r.rule.name());
        let _ = writeln!(out, "{rule:<32} # {}: {}", one_line(&r.why), shows(r.rule));
    }
    if !t.ignore.is_empty() {
        for kept in &t.ignore {
            comment(out, &format!("Stays here: {} ({}).", kept.column, kept.why));
        }
        let _ = writeln!(out, "ignore = {}", list(&t.ignore.iter().map(|k| k.column.clone()).collect::<Vec<_>>()));
        for (column, sql) in t.ignore.iter().filter_map(|k| Some((&k.column, k.fill.as_ref()?))) {
            let _ = writeln!(out, "fill.{} = {:<24} # what an imported row gets", key(column), text(sql));
        }
    }
    if let Some(why) = &t.refused {
        comment(out, &format!("NOTE: {why}."));
    }
    if !t.review.is_empty() {
        comment(out, "Where two sites wrote different values, both stand out until a person decides.");
        let _ = writeln!(out, "review = {}", list(&t.review));
    }
}

fn local(out: &mut String, l: &LocalColumn) {
    comment(
        out,
        &format!(
            "Local: {}.{}",
            l.why,
            if l.assign.as_deref().is_some_and(|a| a.contains(':')) { " (:column is the incoming row's; :next is one more than what `count` gives.)" } else { "" }
        ),
    );
    let value = match (&l.assign, l.keep_if_free) {
        (Some(sql), false) => match &l.count {
            Some(count) => format!("{{ assign = {}, count = {} }}", text(sql), text(count)),
            None => text(sql),
        },
        (Some(sql), true) => format!("{{ assign = {}, keep_if_free = true }}", text(sql)),
        (None, _) => "{ keep_if_free = true }".to_owned(),
    };
    let _ = writeln!(out, "local.{} = {value}", key(&l.column));
}

/// A TOML key, in quotes where it needs them.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { text(name) }
}

/// A TOML string.
fn text(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(names: &[String]) -> String {
    format!("[{}]", names.iter().map(|n| text(n)).collect::<Vec<_>>().join(", "))
}

/// A comment, folded into lines. A name from the schema may hold anything, line ends included.
fn comment(out: &mut String, said: &str) {
    for line in super::report::fold(said, WIDTH - 2) {
        let _ = writeln!(out, "# {line}");
    }
}
