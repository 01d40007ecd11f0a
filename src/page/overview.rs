//! How things stand, and the other sites.

use super::asked::Asked;
use super::gate::{Posted, Session};
use super::layout::{count, csrf, empty, moment, page, record, said, sentence};
use super::{App, Drawn, Problem};
use crate::config::Capture;
use crate::report::plan;
use crate::service::Now;
use crate::sync::Options;
use crate::synchronizer::account::Day;
use crate::synchronizer::status::{SiteStatus, Status};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

/// Days that the charts show.
const DAYS: usize = 14;

/// What an address may carry: a word that the page itself put there.
#[derive(Deserialize)]
pub(super) struct Said {
    pub(super) said: Option<String>,
}

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>) -> Response {
    let now = app.0.handle.now();
    let asked = app
        .ask(|s| {
            let clock = chrono::Local::now();
            let offset = i64::from(clock.offset().local_minus_utc()) / 60;
            Ok((s.status()?, s.days(clock.timestamp_millis().unsigned_abs(), offset, DAYS)?))
        })
        .await;
    let body = html! {
        (service(&now, &session))
        @if let Some(why) = asked.as_ref().ok().and_then(|(s, _)| s.folder_away.as_ref()).filter(|_| !told(&now)) {
            div.problem role="alert" { p { strong { "The sync folder is away" } ". Nothing comes or goes until it is back; nothing is lost." } p { (sentence(why)) } }
        }
        @match &asked {
            Ok((status, days)) => { (standing(status)) (charts(days)) (site_table(&status.sites, None)) (place(status, now.log.as_deref())) },
            Err(e) => p.problem role="alert" { (sentence(&e.message)) },
        }
    };
    page(&app, &session, "Overview", "/", body).into_response()
}

/// Whether the last synchronization says what is the matter already.
fn told(now: &Now) -> bool {
    now.last.as_ref().is_some_and(|l| l.failed.is_some())
}

fn service(now: &Now, session: &Session) -> Markup {
    html! {
        section aria-label="The last synchronization" {
            @match &now.last {
                Some(last) => {
                    @if let Some(f) = &last.failed {
                        div.problem role="alert" {
                            p { strong { "The last synchronization failed" } ", " (moment(&last.at)) ". Nothing was lost or half-done." }
                            p { (sentence(&f.message)) }
                        }
                    }
                    @if let Some(r) = &last.report {
                        p.lead { @if r.refused().is_some() { "Stopped " } @else { "Last synchronized " }  (moment(&last.at)) ": " (r.in_words()) "." }
                        @for n in &r.notices { (notice(n, session)) }
                    }
                },
                None => p.lead { "The first synchronization since the service started is under way." },
            }
            p.dim {
                @match &now.next {
                    Some(next) => { "The next one starts by itself: " (moment(next)) ". " },
                    None => { "Synchronizes only when you press Sync Now. " },
                }
                @if let Some(why) = &now.polling { (sentence(&crate::service::polled(why))) " " }
            }
        }
    }
}

/// What a person should know. A plan that waits for a yes has a button for it.
fn notice(text: &str, session: &Session) -> Markup {
    html! {
        @match plan(text) {
            Some((says, mark)) => div.problem role="alert" {
                // How it is said at a terminal is for there; here is a button.
                p { (sentence(says.trim_end().trim_end_matches("To write them again").trim_end())) }
                p { "If they are gone for good, they can be written again from what is known here." }
                form method="post" action="/sync" { (csrf(session)) input type="hidden" name="plan" value=(mark); button { "Yes, write them again" } }
            },
            None => p.note { (sentence(text)) },
        }
    }
}

fn standing(s: &Status) -> Markup {
    let t = &s.to_send;
    let tiles: [(&str, u64, &str, Option<&str>, bool); 8] = [
        (
            "To send",
            t.rows_touched + t.delete_requests + t.changes,
            if s.capture == Capture::Scan { "changes waiting; the next sync looks for more" } else { "rows changed here" },
            None,
            false,
        ),
        ("To apply", s.to_apply.segments, "changes announced by other sites", None, false),
        ("Pending", s.to_apply.pending, "announced, and not here yet", None, false),
        ("Held", s.held.len() as u64, "refused by the database for now", Some("/held"), true),
        ("Conflicts", s.conflicts, "charts with values to decide", Some("/conflicts"), true),
        ("Deletions", s.deletions, "charts with rows deleted here; to confirm or take back", Some("/deletions"), true),
        ("Matches", s.pairs, "pairs of charts that may be one person", Some("/matches"), true),
        ("Records", s.records, "known in all", None, false),
    ];
    html! {
        section aria-label="How things stand" {
            ul.tiles {
                @for (name, n, what, href, care) in tiles {
                    li.care[care && n > 0] {
                        span.number { (n) }
                        @match href { Some(h) => a href=(h) { (name) }, None => span.tile { (name) } }
                        span.dim { (what) }
                    }
                }
            }
            @for gone in &s.gone { p.note { (sentence(gone)) } }
            @if !s.bad_files.is_empty() {
                details open {
                    summary { (count(s.bad_files.len() as u64, "file")) " left alone" }
                    ul { @for b in &s.bad_files { li { code { (b.path) } ": " (b.reason) } } }
                }
            }
        }
    }
}

/// Records a day, as bars.
fn charts(days: &[Day]) -> Markup {
    let last = days.len().saturating_sub(1);
    let date = |i: usize| (chrono::Local::now() - chrono::Days::new((last - i) as u64)).format("%Y-%m-%d").to_string();
    html! {
        section aria-labelledby="days" {
            h2 id="days" { "The last " (days.len()) " days" }
            div.charts {
                @for (name, of) in [("Sent", (|d: &Day| d.sent) as fn(&Day) -> u64), ("Received", |d: &Day| d.received)] {
                    @let most = days.iter().map(of).max().unwrap_or(0).max(1);
                    figure {
                        figcaption { (name) ": " (count(days.iter().map(of).sum(), "record")) }
                        svg viewBox="0 0 280 60" preserveAspectRatio="none" role="img" aria-label={ (name) ", by day: " (days.iter().map(|d| of(d).to_string()).collect::<Vec<_>>().join(", ")) } {
                            @for (i, d) in days.iter().enumerate() {
                                @let n = of(d);
                                @let high = if n == 0 { 1 } else { (n * 58 / most).max(3) };
                                rect.none[n == 0] x=(i * 20 + 2) y=(60 - high) width="16" height=(high) rx="2" { title { (date(i)) ": " (n) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn place(s: &Status, log: Option<&str>) -> Markup {
    html! {
        section aria-label="This place" {
            dl {
                dt { "This site" } dd { (s.site.name) }
                dt { "Database" } dd { code { (s.database) } }
                dt { "Sync folder" } dd { code { (s.folder) } }
                @if let Some(log) = log { dt { "The service's own log" } dd { code { (log) } } }
            }
        }
    }
}

fn site_table(sites: &[SiteStatus], forms: Option<&Session>) -> Markup {
    let own = sites.iter().find(|s| s.here).map_or(0, |s| s.newest);
    let of = |read: u64, all: u64| if read >= all { "up to date".to_owned() } else { format!("{} behind", count(all - read, "part")) };
    html! {
        section aria-labelledby="sites" {
            @if forms.is_none() { h2 id="sites" { "Sites" } } @else { h2 id="sites" .hidden { "All sites" } }
            @if sites.len() < 2 { (empty("No other site has joined yet. Install cfs at the other place, share the folder, and run cfs init there.")) }
            div.scroll {
                table {
                    thead { tr { th scope="col" { "Site" } th scope="col" { "Last heard of" } th scope="col" { "Its news here" } th scope="col" { "Ours there" } @if forms.is_some() { th scope="col" { "" } } } }
                    tbody {
                        @for s in sites {
                            @let gone = s.retired || s.goes_on_as.is_some();
                            tr.dim[gone] {
                                th scope="row" { (s.site.name) @if s.here { " (here)" } @if s.retired { " (retired)" } @else if s.goes_on_as.is_some() { " (goes on as a new site)" } }
                                td data-label="Last heard of" { @match &s.last_heard { Some(t) => (moment(t)), None => "never" } @if s.silent { " " strong.care { "silent for " (count(s.days_silent, "day")) } } }
                                td data-label="Its news here" .none[s.here] { @if !s.here { @if s.logs { (of(s.read_here, s.newest)) } @else { "keeps no log" } } }
                                td data-label="Ours there" .none[s.here || gone] { @if !s.here && !gone { (of(s.has_read_ours, own)) } }
                                @if let Some(session) = forms {
                                    td .none[s.here || s.goes_on_as.is_some()] {
                                        @if !s.here && s.goes_on_as.is_none() {
                                            form method="post" action="/sites" {
                                                (csrf(session))
                                                input type="hidden" name="site" value=(s.site.id);
                                                @if s.retired {
                                                    button name="do" value="back" { "Take back" }
                                                } @else {
                                                    details { summary { "Retire …" }
                                                        p { "For a computer that is gone for good: nothing waits for it any more. If it synchronizes again all the same, it goes on as a new site, with what was typed there." }
                                                        button name="do" value="retire" { "Retire " (s.site.name) }
                                                    }
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn sync(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    match form.some("plan") {
        // The mark holds for the plan that was shown: another one is shown anew.
        Some(mark) => {
            let options = Options { full: true, confirm: Some(mark.to_owned()), ..Options::default() };
            app.0.handle.sync_now(options).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
        }
        None => app.0.handle.ask(),
    }
    Ok(Redirect::to("/").into_response())
}

pub(super) async fn sites(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let sites = app.ask(|s| s.sites()).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! { (said(q.said.as_deref())) (site_table(&sites, Some(&session))) };
    Ok(page(&app, &session, "Sites", "/sites", body).into_response())
}

pub(super) async fn retire(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    let back = form.get("do") == "back";
    let site = form.get("site").to_owned();
    app.ask(move |s| s.retire(&site, back)).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    app.0.handle.ask();
    Ok(Redirect::to(if back { "/sites?said=unretired" } else { "/sites?said=retired" }).into_response())
}

/// What a page about held records says of one.
pub(super) fn held_row(h: &crate::synchronizer::refused::HeldRecord) -> Markup {
    html! {
        li {
            p { (record(&h.name)) @if let Some(t) = &h.since { span.dim { " since " (moment(t)) } } }
            p { (sentence(&h.words)) @if let Some(o) = &h.other { " The other one is " (record(o)) "." } }
        }
    }
}
