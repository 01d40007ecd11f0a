//! `cfs status` and `cfs sites`: how things stand here, and how the other sites are.

use super::{Failure, Json, json, open, out, text};
use crate::config::Capture;
use crate::service::door::{self, Answer, Question};
use crate::synchronizer::status::{SiteStatus, Status};
use clap::{Args, Subcommand};
use std::path::Path;

/// Flags of `cfs status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    json: Json,
}

/// Flags of `cfs sites`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SitesArgs {
    #[command(subcommand)]
    action: Option<SitesAction>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Subcommand)]
enum SitesAction {
    /// Retires a site that is gone for good: nothing waits for it any more.
    ///
    /// If it synchronizes again all the same, it takes a new id, and what was typed there counts.
    Retire {
        /// The site's name or id, as `cfs sites` lists it.
        #[arg(value_name = "NAME|ID")]
        site: String,
        /// Take it back: the site is in use after all.
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        json: Json,
    },
}

pub(super) fn status(args: &StatusArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    let status = s.status()?;
    let service = match door::ask(s.config(), &Question::Status, &mut |_, _, _| {})? {
        Some(Answer::Now(now)) => Some(now),
        _ => None,
    };
    out(&if args.json.json {
        let mut all = serde_json::to_value(&status).unwrap_or_default();
        if let Some(all) = all.as_object_mut() {
            all.insert("service".to_owned(), service.unwrap_or_default());
        }
        json(&all)
    } else {
        render(&status, service.as_ref())
    });
    // It is said, and it is not all: what the others wrote is not known.
    Ok(if status.folder_away.is_some() { 2 } else { 0 })
}

pub(super) fn sites(args: &SitesArgs, config: &Path) -> Result<u8, Failure> {
    let s = open(config)?;
    match &args.action {
        None => {
            let sites = s.sites()?;
            out(&if args.json.json { json(&serde_json::json!({ "sites": sites })) } else { table(&sites) });
        }
        Some(SitesAction::Retire { site, undo, json: as_json }) => {
            let told = s.retire(site, *undo)?;
            let name = &told.site;
            let done = match (undo, &told.goes_on_as) {
                (false, _) => "is retired: nothing waits for it any more. If it synchronizes again all the same, it goes on as a new site, with what was typed there",
                (true, None) => "is in use again",
                (true, Some(_)) => "is no longer retired; it has come back meanwhile and goes on as a new site of the same name",
            };
            out(&if as_json.json {
                json(&serde_json::json!({ "site": name, "retired": !undo }))
            } else {
                text::wrap(&format!("\"{}\" {done}. The other sites hear of it with the next `cfs sync`.", text::clean(&name.name)), 79, "")
            });
        }
    }
    Ok(0)
}

/// What a running service says of itself, in one line.
fn served(now: &serde_json::Value) -> String {
    let text = |name: &str| now.get(name).and_then(serde_json::Value::as_str).map(text::when);
    let next = text("next").map_or_else(|| "only when asked".to_owned(), |t| format!("next {t}"));
    let failed = now.get("failures").and_then(serde_json::Value::as_u64).filter(|n| *n > 0).map_or_else(String::new, |n| format!(", the last {} failed", text::count(n, "time")));
    format!("Service     running, {next}{failed}  (cfs open)")
}

fn render(s: &Status, service: Option<&serde_json::Value>) -> String {
    let mut lines = vec![
        format!("Site        {}", text::clean(&s.site.name)),
        format!("Database    {}", text::clean(&s.database)),
        format!("Folder      {}", text::clean(&s.folder)),
        format!("Records     {}", s.records),
    ];
    if let Some(why) = &s.folder_away {
        lines.insert(3, text::wrap(&format!("Folder away {} What follows is what this database knows by itself.", text::clean(&ended(why))), 79, "            "));
    }
    let last = match (&s.last_run, &s.last_run_at) {
        (Some(n), Some(at)) => format!("{}  (cfs log --run {n})", text::when(at)),
        _ => "nothing yet; run `cfs sync`".to_owned(),
    };
    lines.push(format!("Last change {last}"));
    lines.extend(service.map(served));
    if let Some(why) = service.and_then(|s| s.get("polling")?.as_str()) {
        lines.push(text::wrap(&format!("            {}", text::clean(&crate::service::polled(why))), 79, "            "));
    }
    let t = &s.to_send;
    let parts = [
        (t.rows_touched, "row", " touched here"),
        (t.delete_requests, "deletion", " asked for"),
        (t.changes, "change", ""),
        (t.segments, "log segment", ""),
        (t.files, "record file", ""),
    ];
    let mut parts: Vec<String> = parts.into_iter().filter(|(n, _, _)| *n > 0).map(|(n, one, more)| format!("{}{more}", text::count(n, one))).collect();
    if s.capture == Capture::Scan {
        parts.push("what was changed here is found by the next sync".to_owned());
    }
    lines.push(format!("To send     {}", or_nothing(&parts)));
    let a = &s.to_apply;
    let mut parts: Vec<String> = if a.segments > 0 { vec![text::count(a.segments, "log segment")] } else { Vec::new() };
    if let Some(since) = &a.pending_since {
        parts.push(format!("{} pending since {}", text::count(a.pending, "item"), text::when(since)));
    }
    lines.push(format!("To apply    {}", or_nothing(&parts)));
    for h in &s.held {
        let since = h.since.as_ref().map_or_else(String::new, |t| format!(" Since {}.", text::when(t)));
        lines.push(format!("{}{}", if h.state == "held" { "Held        " } else { "Waiting     " }, text::record(&h.name)));
        let other = h.other.as_ref().map_or_else(String::new, |o| format!(" The other one is {}.", text::record(o)));
        lines.push(text::wrap(&format!("            {}{other}{since}", text::clean(&ended(&h.words))), 79, "            "));
    }
    let mut decide = |n: u64, one: &str, more: &str| {
        if n > 0 {
            lines.push(format!("To decide   {} {more}", text::count(n, one)));
        }
    };
    decide(s.conflicts, "record", "with superseded values: cfs conflicts");
    decide(s.deletions, "record", "with rows deleted here: cfs deletions");
    decide(s.pairs, "pair", "of records that may be one person: cfs match");
    if s.trash > 0 {
        lines.push(format!("Trash       {}: cfs trash", text::count(s.trash, "record")));
    }
    for gone in &s.gone {
        lines.push(text::wrap(&format!("Upgrade     {}", text::clean(gone)), 79, "            "));
    }
    for b in &s.bad_files {
        lines.push(format!("Left alone  {}\n            {}", text::clean(&b.path), text::clean(&b.reason)));
    }
    lines.push(String::new());
    lines.push(table(&s.sites));
    lines.join("\n")
}

/// With a full stop, where there is no other mark.
fn ended(sentence: &str) -> String {
    format!("{sentence}{}", if sentence.ends_with(['.', '?', '!']) { "" } else { "." })
}

fn or_nothing(parts: &[String]) -> String {
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// The sites, one a line, and below them what is worth a look.
fn table(sites: &[SiteStatus]) -> String {
    let wide = sites.iter().map(|s| s.site.name.chars().count().min(24)).max().unwrap_or(4).max(4);
    let own = sites.iter().find(|s| s.here).map_or(0, |s| s.newest);
    let mut lines = vec![format!("{:wide$}  {:19}  {:12}  {:12}  VERSION", "SITE", "LAST HEARD OF", "ITS LOG HERE", "OURS THERE")];
    for s in sites {
        let heard = s.last_heard.as_ref().map_or_else(|| "never".to_owned(), |t| text::when(t));
        let of = |read: u64, all: u64| if read >= all { format!("all {all}") } else { format!("{read} of {all}") };
        let (read, ours) = match s {
            s if s.here => ("-".to_owned(), "-".to_owned()),
            s if !s.logs => ("no log".to_owned(), of(s.has_read_ours, own)),
            s => (of(s.read_here, s.newest), of(s.has_read_ours, own)),
        };
        let heir = sites.iter().find(|n| s.goes_on_as.as_ref() == Some(&n.site.id) && n.site.name != s.site.name);
        let mark = match (s, heir) {
            (s, _) if s.here => "  (here)".to_owned(),
            (_, Some(heir)) => format!("  (goes on as \"{}\")", text::cut(&heir.site.name, 24)),
            (s, None) if s.goes_on_as.is_some() && s.retired => "  (retired; came back as a new site)".to_owned(),
            (s, None) if s.goes_on_as.is_some() => "  (goes on as a new site)".to_owned(),
            (s, _) if s.retired => "  (retired)".to_owned(),
            (s, _) if s.silent => "  (!)".to_owned(),
            _ => String::new(),
        };
        lines.push(format!("{:wide$}  {heard:19}  {read:12}  {ours:12}  {}{mark}", text::cut(&s.site.name, 24), text::cut(&s.program, 12)));
    }
    let most = sites.iter().filter(|s| !s.retired && s.goes_on_as.is_none()).map(|s| s.columns).max().unwrap_or(0);
    for s in sites.iter().filter(|s| s.columns > 0 && s.columns < most && !s.retired && s.goes_on_as.is_none()) {
        let said = format!(
            "\"{}\" synchronizes {} columns, others {most}: its application is of another version. What others write in the columns that it lacks is kept there, and not shown.",
            text::clean(&s.site.name),
            s.columns
        );
        lines.push(text::wrap(&said, 79, "    "));
    }
    for s in sites.iter().filter(|s| s.silent) {
        let since = if s.last_heard.is_some() { format!("for {}", text::count(s.days_silent, "day")) } else { "at all".to_owned() };
        lines.push(text::wrap(
            &format!(
                "(!) \"{}\" was not heard of {since}. Is its computer on, its cloud client signed in? If it is gone for good: cfs sites retire {}",
                text::clean(&s.site.name),
                s.site.id
            ),
            79,
            "    ",
        ));
    }
    lines.join("\n")
}
