//! Finding a chart by a name. What is typed goes neither into an address nor into the browser's history.

use super::gate::{Posted, Session};
use super::layout::{csrf, empty, page, record};
use super::{App, Drawn, Problem};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};

/// Charts on a page.
const SHOWN: usize = 50;

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>) -> Drawn {
    let text = session.asked.clone();
    // One more says that there are more.
    let found = app.ask(move |s| s.people(&text, SHOWN + 1)).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! {
        (form(&session))
        @if session.asked.is_empty() { (empty("Names, in any order and as much of them as you know; or the number that your application shows.")) }
        @else if found.is_empty() { (empty("No chart here has that name or number. A part of the name is enough; what was entered a moment ago is found after the next synchronization.")) }
        @else {
            ul.list {
                @for m in found.iter().take(SHOWN) {
                    li { (record(&m.name)) @if m.deleted { " " span.care { "deleted, in the trash" } } " · " a href={ "/logs?record=" (m.name.record) } { "its log" } }
                }
            }
            @if found.len() > SHOWN { p { "There are more. Say more of the name." } }
        }
    };
    Ok(page(&app, &session, "Find a chart", "/find", body).into_response())
}

/// Where a name is typed.
pub(super) fn form(session: &Session) -> Markup {
    html! {
        form.filter method="post" action="/find" {
            (csrf(session))
            label { "Name or number" input name="text" type="search" value=(session.asked) autocomplete="off" maxlength="100"; }
            button type="submit" { "Find" }
        }
    }
}

pub(super) async fn ask(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    app.0.gate.remember(&session, form.get("text"));
    Ok(Redirect::to("/find").into_response())
}
