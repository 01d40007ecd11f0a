//! What all pages have in common.

use super::App;
use super::gate::Session;
pub(super) use crate::report::count;
use crate::synchronizer::find::{RecordName, Written};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The pages: where, what it is called.
const PAGES: [(&str, &str); 10] = [
    ("/", "Overview"),
    ("/find", "Find"),
    ("/logs", "Logs"),
    ("/conflicts", "Conflicts"),
    ("/held", "Held"),
    ("/matches", "Matches"),
    ("/deletions", "Deletions"),
    ("/trash", "Trash"),
    ("/sites", "Sites"),
    ("/settings", "Settings"),
];

/// A whole page. Titles and addresses hold no patient data: a browser keeps them.
pub(super) fn page(app: &App, session: &Session, title: &str, at: &str, body: Markup) -> Markup {
    let now = app.0.handle.now();
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("{title} · Cloud Folder Sync"), &html! { script src="/assets/page.js" defer {} }))
            body {
                a.skip href="#main" { "Skip to the page" }
                header {
                    p.name { "Cloud Folder Sync" }
                    nav aria-label="Pages" {
                        ul {
                            @for (href, name) in PAGES {
                                li { a href=(href) aria-current=[(href == at).then_some("page")] { (name) } }
                            }
                        }
                    }
                    form.now method="post" action="/sync" {
                        (csrf(session))
                        button.main type="submit" id="sync-now" { "Sync Now" }
                    }
                }
                div #live data-running=(now.running.is_some()) data-runs=(now.runs) {
                    span #live-text { @if now.running.is_some() { "Synchronizing …" } }
                    progress #live-bar hidden[now.running.is_none()] max="100" aria-label="How far the synchronization is" {}
                }
                // What is read out: that it starts, and how it ended, and not each step between.
                p #live-said .hidden role="status" {}
                main id="main" {
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
}

fn head(title: &str, more: &Markup) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            link rel="stylesheet" href="/assets/page.css";
            (more)
        }
    }
}

/// A page for who is not let in.
pub(super) fn outside(why: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head("Cloud Folder Sync", &html! {}))
            body { main { h1 { "Cloud Folder Sync" } p { (why) } } }
        }
    }
}

/// What makes a form this browser's own.
pub(super) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
}

/// A message with a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    // A file, a column or a command is called as it is.
    let word = text.split([' ', ':']).next().unwrap_or_default();
    let name = word == "cfs" || word.contains(['.', '_', '/', '\\']) && !word.ends_with('.');
    let first: String = chars.next().map(|c| if name { c.to_string() } else { c.to_uppercase().collect() }).unwrap_or_default();
    let end = if text.trim_end().ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// A moment, which the browser writes as its reader is used to.
pub(super) fn moment(iso: &str) -> Markup {
    let shown = chrono::DateTime::parse_from_rfc3339(iso).map_or_else(|_| iso.to_owned(), |t| t.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M").to_string());
    html! { time datetime=(iso) { (shown) } }
}

/// When and where something was written.
pub(super) fn written(w: &Written) -> Markup {
    html! { (moment(&w.time)) ", " (w.site.name) }
}

/// A record, as a link to its page.
pub(super) fn record(n: &RecordName) -> Markup {
    let name = match (&n.label, &n.key) {
        (label, _) if !label.is_empty() => label.clone(),
        (_, Some(key)) => format!("{} {key}", n.r#type),
        _ => format!("{} {}", n.r#type, n.record.get(..8).unwrap_or(&n.record)),
    };
    html! {
        a href={ "/record/" (n.record) } { (name) }
        " " span.dim { (n.r#type) @if let Some(key) = &n.key { " " (key) } }
    }
}

/// A value as it was typed, or that there is none.
pub(super) fn value(text: Option<&str>) -> Markup {
    match text {
        None | Some("") => html! { span.dim { "empty" } },
        // Marks that turn the direction of writing round could make a value read as another.
        Some(v) => html! { span.value { (crate::report::visible(v)) } },
    }
}

/// What to do where there is nothing to show.
pub(super) fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// What was done, by a word in the address that the page itself put there.
pub(super) fn said(word: Option<&str>) -> Markup {
    let text = match word {
        Some("kept") => "Decided. The others hear of it with this synchronization.",
        Some("deleted") => "Deleted, here and at the other sites. It stays in the trash for the retention time.",
        Some("back") => "The rows are in the database again.",
        Some("restored") => "Restored, here and at the other sites.",
        Some("purged") => "Gone for good here; the other sites follow with their daily look at all files.",
        Some("same") => "One chart now. Where values differ, the newer is in use, and Conflicts shows the other.",
        Some("apart") => "Two charts again, here and at the other sites, with what was typed since.",
        Some("two") => "Noted: two people, here and at the other sites.",
        Some("saved") => "Saved.",
        Some("retired") => "Retired: nothing waits for that site any more.",
        Some("unretired") => "That site is in use again.",
        _ => return PreEscaped(String::new()),
    };
    html! { p.done role="status" { (text) } }
}
