//! The log viewer: each synchronization, what it did, and the search in all of them.

use super::asked::{Asked, Named};
use super::gate::Session;
use super::layout::{count, empty, moment, page, record, sentence, value};
use super::{App, Drawn, Problem};
use crate::id::SiteId;
use crate::state::Search;
use crate::synchronizer::account::{Choices, Line, RunLine};
use crate::synchronizer::find::SiteName;
use crate::synchronizer::{Error, Synchronizer};
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use maud::{Markup, html};
use serde::Deserialize;

/// Synchronizations on a page.
const RUNS: u64 = 40;
/// Lines on a page.
const LINES: u64 = 300;
/// Lines in a file.
const EXPORT: u64 = 200_000;

/// What is searched for. All of it is ids and names of the schema; nothing of a patient.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    record: String,
    #[serde(default)]
    site: String,
    #[serde(default)]
    table: String,
    #[serde(default)]
    what: String,
    #[serde(default)]
    run: Option<i64>,
    /// The last run or line that was seen.
    beyond: Option<i64>,
}

impl Wanted {
    fn any(&self) -> bool {
        [&self.record, &self.site, &self.table, &self.what].iter().any(|s| !s.trim().is_empty())
    }

    fn search(&self, s: &Synchronizer, most: u64) -> Result<Search, Error> {
        let some = |v: &String| Some(v.trim().to_owned()).filter(|v| !v.is_empty());
        Ok(Search {
            run: self.run,
            record: some(&self.record).map(|r| s.find(&r)).transpose()?,
            site: some(&self.site).map(|id| known_site(s, &id)).transpose()?,
            table: some(&self.table),
            what: some(&self.what),
            beyond: self.beyond,
            most,
            newest_first: self.run.is_none(),
        })
    }

    /// The same search in an address.
    fn query(&self) -> String {
        let mut q: Vec<String> = Vec::new();
        for (name, v) in [("record", &self.record), ("site", &self.site), ("table", &self.table), ("what", &self.what)] {
            if !v.trim().is_empty() {
                q.push(format!("{name}={}", escaped(v.trim())));
            }
        }
        q.extend(self.run.map(|r| format!("run={r}")));
        q.join("&")
    }
}

fn escaped(text: &str) -> String {
    let one = |b: u8| if b.is_ascii_alphanumeric() || b"-_.".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(one).collect()
}

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>, Asked(w): Asked<Wanted>) -> Drawn {
    let asked = w.clone();
    let drawn = app
        .ask(move |s| {
            let choices = s.choices()?;
            let (status, list) = match asked.search(s, LINES) {
                Ok(search) if asked.any() => (StatusCode::OK, lines(&asked, &s.search(&search)?)),
                Ok(_) => (StatusCode::OK, runs(&s.run_list(asked.beyond, RUNS)?)),
                // What was mistyped stays, to be corrected.
                Err(Error::Usage(what)) => (StatusCode::BAD_REQUEST, html! { p.problem role="alert" { (sentence(&what)) } }),
                Err(e) => return Err(e),
            };
            Ok((status, html! { (filter(&asked, &choices)) (list) }))
        })
        .await;
    let (status, body) = drawn.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    Ok((status, page(&app, &session, "Logs", "/logs", body)).into_response())
}

/// A site that an address names.
fn known_site(s: &Synchronizer, id: &str) -> Result<SiteId, Error> {
    let known = s.sites()?.into_iter().any(|k| k.site.id == id);
    SiteId::parse_str(id).ok().filter(|_| known).ok_or_else(|| Error::Usage("there is no site of that id; the list has those that are known".into()))
}

/// A site's name, with the beginning of its id where another one is called the same.
fn named(site: &SiteName, all: &[SiteName]) -> String {
    let alone = all.iter().filter(|o| o.name == site.name).count() == 1;
    if alone { site.name.clone() } else { format!("{} ({})", site.name, site.id.get(..8).unwrap_or(&site.id)) }
}

fn filter(w: &Wanted, c: &Choices) -> Markup {
    html! {
        form.filter method="get" action="/logs" {
            label { "Record" input name="record" value=(w.record) placeholder="patient:17 or id" pattern="[^ :]+:[0-9,]+|[0-9a-fA-F\\-]{4,36}" title="The type and number, as patient:17, or the id: a name would stay in the browser's history" autocomplete="off"; }
            label { "Site" select name="site" { option value="" { "all" } @for s in &c.sites { option value=(s.id) selected[s.id == w.site] { (named(s, &c.sites)) } } } }
            label { "Table" select name="table" { option value="" { "all" } @for t in &c.tables { option selected[*t == w.table] { (t) } } } }
            label { "Outcome" select name="what" { option value="" { "all" } @for o in &c.outcomes { option selected[*o == w.what] { (o) } } } }
            button type="submit" { "Show" }
            a href="/find" { "Find a chart by name" }
            @if w.any() { a href="/logs" { "All synchronizations" } }
            a href={ "/logs.csv?" (w.query()) } { "Export as CSV" }
        }
    }
}

fn runs(list: &[RunLine]) -> Markup {
    html! {
        @if list.is_empty() { (empty("Nothing was synchronized yet. Press Sync Now, or enter something in your application and wait a few seconds.")) }
        ol.runs {
            @for r in list {
                li {
                    a href={ "/logs/" (r.run) } { (moment(&r.started)) }
                    " "
                    @match &r.report {
                        Some(report) => {
                            span { (report.in_words()) }
                            @if report.superseded > 0 { " " span.care { (count(report.superseded, "value")) " to decide" } }
                            @if !report.held.is_empty() { " " span.care { (report.held.len()) " held" } }
                        },
                        None => span.care { "did not come to its end" },
                    }
                    @if r.lines > 0 { " " span.dim { (count(r.lines, "line")) } }
                }
            }
        }
        @if list.len() as u64 == RUNS { @if let Some(last) = list.last() { p { a href={ "/logs?beyond=" (last.run) } { "Older" } } } }
    }
}

pub(super) async fn one(State(app): State<App>, Extension(session): Extension<Session>, Named(run): Named<i64>, Asked(w): Asked<Wanted>) -> Drawn {
    let w = Wanted { run: Some(run), ..w };
    let drawn = app
        .ask(move |s| {
            let found = s.run_list(Some(run.saturating_add(1)), 1)?.into_iter().find(|r| r.run == run);
            let Some(r) = found else { return Err(Error::Usage("there is no such synchronization in the log; it is kept for a year".into())) };
            let list = lines(&w, &s.search(&w.search(s, LINES)?)?);
            Ok(html! {
                p.lead { (moment(&r.started)) ": " @match &r.report { Some(report) => (report.in_words()), None => "did not come to its end; the next one finished what it began" } }
                @if let Some(report) = &r.report {
                    @for n in &report.notices { p.note { (sentence(n)) } }
                    @for b in &report.bad_files { p.note { "Left alone: " code { (b.path) } " (" (b.reason) ")" } }
                    p.dim { "It took " (format!("{:.1}", report.seconds)) " s, read " (count(report.files_read, "file")) " and wrote " (count(report.files_written, "file")) "." }
                }
                (list)
            })
        })
        .await;
    let body = drawn.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    Ok(page(&app, &session, &format!("Synchronization {run}"), "/logs", body).into_response())
}

/// What happened, by record.
fn lines(w: &Wanted, found: &[Line]) -> Markup {
    let at = w.run.map_or_else(|| "/logs".to_owned(), |r| format!("/logs/{r}"));
    let more = Wanted { run: None, ..w.clone() }.query();
    html! {
        @if found.is_empty() { (empty("Nothing like that is in the log.")) }
        @for about in found.chunk_by(|a, b| a.change.name.record == b.change.name.record && a.change.run == b.change.run) {
            // All that is to be said is about the record itself.
            @let brief = about.iter().all(|l| l.change.table.is_none() && l.change.old.is_none() && l.change.new.is_none());
            section.about.brief[brief] {
                @if let Some(first) = about.first() {
                    h2 { (record(&first.change.name)) @if w.run.is_none() { " " a.dim href={ "/logs/" (first.change.run) } { (moment(&first.change.time)) } } }
                }
                @if brief {
                    @for l in about { p { (l.change.what) @if let Some(s) = &l.change.site { span.dim { ", " (s.name) } } } }
                } @else {
                    (table(about.iter().map(|l| &l.change)))
                }
            }
        }
        @if found.len() as u64 == LINES { @if let Some(last) = found.last() { p { a href={ (at) "?" (more) "&beyond=" (last.line) } { "More" } } } }
    }
}

/// What is there now; of a record that is held, why.
fn after(c: &crate::synchronizer::history::ChangeView) -> Option<String> {
    let words = |why: &String| if c.what == "held" { crate::report::refusal::in_words(why) } else { why.clone() };
    c.new.as_ref().map(words)
}

/// Changes in a table: row, field, old and new, from where.
pub(super) fn table<'c>(changes: impl Iterator<Item = &'c crate::synchronizer::history::ChangeView>) -> Markup {
    html! {
        div.scroll {
            table.changes {
                thead { tr { th scope="col" { "Where" } th scope="col" { "Before" } th scope="col" { "After" } th scope="col" { "Outcome" } th scope="col" { "From" } } }
                tbody {
                    @for c in changes {
                        tr {
                            td data-label="Where" .none[c.table.is_none() && c.field.is_none()] { @if let Some(t) = &c.table { (t) " " span.dim { (c.row.as_deref().filter(|r| r.len() < 36).unwrap_or("")) } } @if let Some(f) = &c.field { " " strong { (f) } } }
                            @if c.field.is_some() || c.old.is_some() || c.new.is_some() { td data-label="Before" { (value(c.old.as_deref())) } td data-label="After" { (value(after(c).as_deref())) } } @else { td.none {} td.none {} }
                            td data-label="Outcome" { (c.what) }
                            td data-label="From" .none[c.site.is_none()] { @if let Some(s) = &c.site { (s.name) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn csv(State(app): State<App>, Extension(session): Extension<Session>, Asked(w): Asked<Wanted>) -> Drawn {
    let made = app
        .ask(move |s| {
            let mut out = String::from("time,run,type,key,record,table,row,field,old,new,outcome,site\r\n");
            for l in s.search(&w.search(s, EXPORT)?)? {
                let c = l.change;
                let or = |v: Option<String>| v.unwrap_or_default();
                let cells = [
                    c.time,
                    c.run.to_string(),
                    c.name.r#type,
                    or(c.name.key),
                    c.name.record,
                    or(c.table),
                    or(c.row),
                    or(c.field),
                    or(c.old),
                    or(c.new),
                    c.what,
                    or(c.site.map(|s| s.name)),
                ];
                out.push_str(&cells.iter().map(|c| cell(c)).collect::<Vec<_>>().join(","));
                out.push_str("\r\n");
            }
            Ok(out)
        })
        .await;
    let text = made.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"cfs-log.csv\"")], text).into_response())
}

/// A cell of a CSV file (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    // A number, or a telephone number, from its sign to its end.
    let number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || " .,()".contains(c));
    let formula = match text.chars().next() {
        Some('=' | '@' | '\t' | '\r' | '\n') => true,
        Some('+' | '-') => !text.get(1..).is_some_and(number),
        _ => false,
    };
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        let cases = [
            ("a", "a"),
            ("a,b", "\"a,b\""),
            ("say \"ah\"", "\"say \"\"ah\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("=1+1", "'=1+1"),
            ("-5", "-5"),
            ("-x", "'-x"),
            ("+49 30", "+49 30"),
            ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
            ("-1-2", "'-1-2"),
            ("+1=1", "'+1=1"),
            ("\n=1", "\"'\n=1\""),
        ];
        for (text, want) in cases {
            assert_eq!(cell(text), want);
        }
    }

    #[test]
    fn sites_of_one_name_are_told_apart() {
        let site = |id: &str, name: &str| SiteName { id: id.into(), name: name.into() };
        let all = [site("0a1b2c3d-0000", "North"), site("11112222-0000", "South"), site("99998888-0000", "North")];
        let names: Vec<String> = all.iter().map(|s| named(s, &all)).collect();
        assert_eq!(names, ["North (0a1b2c3d)", "South", "North (99998888)"]);
    }

    #[test]
    fn a_search_is_the_same_after_the_way_through_an_address() {
        let w = Wanted { record: "patient:17&x=1".into(), what: "not here".into(), ..Wanted::default() };
        assert_eq!(w.query(), "record=patient%3A17%26x%3D1&what=not%20here");
    }
}
