//! Charts that are one person: what waits for a person's word, who looks alike, and what can be taken apart again.

use super::asked::Asked;
use super::gate::{Posted, Session};
use super::layout::{count, csrf, empty, page, record, said, sentence, written};
use super::overview::Said;
use super::{App, Drawn, Problem};
use crate::record::SameAs;
use crate::sync::Options;
use crate::synchronizer::find::RecordName;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};

/// Pairs on a page.
const SHOWN: usize = 100;
/// The page of those who look alike.
const ALIKE: &str = "/matches/alike";

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let found = app.ask(|s| Ok((s.pairs()?, s.matched(SHOWN)?))).await;
    let (pairs, (matched, all)) = found.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! {
        (said(q.said.as_deref()))
        @if pairs.is_empty() { (empty("No pair of charts waits for a decision. Charts that may be one person, and that differ where they should agree, are listed here.")) }
        @else { p { "Two charts that may be one person. Look at both; nobody is matched until you say so, and it can be taken back." } }
        @for p in pairs.iter().take(SHOWN) { (question(&session, (&p.a, &p.b), &sentence(&p.reason), "/matches")) }
        @if pairs.len() > SHOWN { p { "And " (count((pairs.len() - SHOWN) as u64, "pair")) " more, once these are decided." } }
        p { a href=(ALIKE) { "Look for others who look like one person" } span.dim { ", by name, birth date, telephone or number" } }
        @if !matched.is_empty() {
            h2 { "Matched" }
            p { "These are one chart now. If two people were taken for one, they can be taken apart: both stand again, with what was typed since." }
            ul.list {
                @for m in &matched {
                    li {
                        p { (record(&m.a)) ", the same as " (record(&m.b)) span.dim { @match &m.written { Some(w) => { ", said " (written(w)) }, None => ", matched by itself" } } }
                        details { summary { "Take apart …" }
                            p { "At every site, with the next synchronization. They are not matched again by themselves." }
                            (form(&session, (&m.a, &m.b), "/matches", &html! { button name="do" value="undo" { "Take apart" } }))
                        }
                    }
                }
            }
            @if all > matched.len() { p.dim { "And " (count((all - matched.len()) as u64, "earlier match")) ", which " code { "cfs match A B --undo" } " takes apart." } }
        }
    };
    Ok(page(&app, &session, "Matches", "/matches", body).into_response())
}

pub(super) async fn alike(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let found = app.ask(|s| s.duplicates()).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! {
        (said(q.said.as_deref()))
        p { a href="/matches" { "Back to the matches" } }
        @if found.is_empty() { (empty("Nobody looks like somebody else, by name, birth date, telephone or number.")) }
        @else { p { (count(found.len() as u64, "pair")) " of charts that look like one person, the surest first. Nobody is matched until you say so, and it can be taken back." } }
        @for p in found.iter().take(SHOWN) {
            @let differ = if p.differ.is_empty() { String::new() } else { format!("; different: {}", p.differ.join(", ")) };
            (question(&session, (&p.a, &p.b), &sentence(&format!("{}{differ}", p.reasons.join(", "))), ALIKE))
        }
        @if found.len() > SHOWN { p { "And " (count((found.len() - SHOWN) as u64, "pair")) " more, once these are decided." } }
    };
    Ok(page(&app, &session, "Who look like one", "/matches", body).into_response())
}

/// Two charts, why they may be one, and what can be said of them.
fn question(session: &Session, of: (&RecordName, &RecordName), why: &str, from: &str) -> Markup {
    html! {
        section.about {
            div.sides { @for n in [of.0, of.1] { div.side { h2 { (record(n)) } } } }
            p { (why) }
            (form(session, of, from, &html! { div.choices { button name="do" value="same" { "One person" } button name="do" value="not" { "Two people" } } }))
        }
    }
}

fn form(session: &Session, (a, b): (&RecordName, &RecordName), from: &str, buttons: &Markup) -> Markup {
    html! {
        form method="post" action="/matches" {
            (csrf(session))
            input type="hidden" name="a" value=(a.record);
            input type="hidden" name="b" value=(b.record);
            input type="hidden" name="from" value=(from);
            (buttons)
        }
    }
}

pub(super) async fn answer(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    let fail = |f| Problem(app.clone(), session.clone(), f);
    let (says, word) = match form.get("do") {
        "same" => (SameAs::Same, "same"),
        "undo" => (SameAs::Undone, "apart"),
        _ => (SameAs::Not, "two"),
    };
    let (a, b) = (form.get("a").to_owned(), form.get("b").to_owned());
    let orders = app.ask(move |s| s.say_same(s.find(&a)?, s.find(&b)?, says));
    // What the database refused of the two before is no news of this.
    app.0.handle.sync_now(Options { orders: orders.await.map_err(fail)?, ..Options::default() }).await.map_err(fail)?;
    let back = if form.get("from") == ALIKE { ALIKE } else { "/matches" };
    Ok(Redirect::to(&format!("{back}?said={word}")).into_response())
}
