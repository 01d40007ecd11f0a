//! What waits for a person: values to decide, held charts, deletions, the trash.

use super::asked::Asked;
use super::gate::{Posted, Session};
use super::layout::{count, csrf, empty, moment, page, record, said, sentence, value, written};
use super::overview::{Said, held_row};
use super::{App, Drawn, Problem};
use crate::service::Failed;
use crate::synchronizer::conflicts::{Choice, Conflict, by_column};
use crate::synchronizer::history::ChangeView;
use crate::synchronizer::show::ValueView;
use crate::synchronizer::{Error, Synchronizer};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Fields on a page of conflicts.
const SHOWN: usize = 100;

pub(super) async fn conflicts(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let found = app
        .ask(|s| {
            let mut found = s.conflicts(None)?;
            let columns = by_column(&found);
            found.sort_by_key(|c| !c.review);
            let all = found.len();
            found.truncate(SHOWN);
            let mut histories: BTreeMap<String, Vec<ChangeView>> = BTreeMap::new();
            for c in &found {
                if !histories.contains_key(&c.name.record) {
                    histories.insert(c.name.record.clone(), s.history(s.find(&c.name.record)?)?);
                }
            }
            Ok((found, all, histories, columns))
        })
        .await;
    let (found, all, histories, columns) = found.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! {
        (said(q.said.as_deref()))
        @if found.is_empty() { (empty("No value waits for a decision. When two sites change the same field before they hear of each other, the later one is in use, and both are shown here.")) }
        @else { p { "Two sites changed the same field before they heard of each other. The later value is in use; nothing of the other is lost until you decide." } }
        @for c in columns.iter().filter(|c| c.are_many()) {
            form.about method="post" action="/conflicts" {
                (csrf(&session))
                input type="hidden" name="column" value=(c.column);
                input type="hidden" name="mark" value=(c.mark);
                details {
                    summary { (count(c.fields as u64, "field")) " of " strong { (c.column) } " …" }
                    p { "All of these are of one column. If the values that are in use are right, they can be kept together; what lost goes, at every site." }
                    button name="keep" value="0" { "Keep what is in use in all " (c.fields) }
                }
            }
        }
        @for c in &found { (conflict(&session, c, histories.get(&c.name.record).map_or(&[], Vec::as_slice))) }
        @if all > found.len() { p { "And " (count((all - found.len()) as u64, "field")) " more, once these are decided." } }
    };
    Ok(page(&app, &session, "Conflicts", "/conflicts", body).into_response())
}

/// A value, if there is one.
fn of(v: &ValueView) -> Option<&str> {
    Some(v.value.as_str()).filter(|_| !v.null)
}

fn conflict(session: &Session, c: &Conflict, history: &[ChangeView]) -> Markup {
    let about = |h: &&ChangeView| h.field.as_deref() == Some(&c.field) && h.table.as_deref() == Some(&c.table) && (h.row.as_deref() == Some(&c.row) || h.row == c.row_key);
    let between: Vec<&ChangeView> = history.iter().filter(about).collect();
    // What is typed over is the value itself; where there is none, nothing.
    let prefilled = if c.current.null { "" } else { &c.current.value };
    let long = [&c.current].into_iter().chain(&c.superseded).any(|v| v.value.len() > 60 || v.value.contains('\n'));
    let which = html! {
        (csrf(session))
        input type="hidden" name="record" value=(c.name.record);
        input type="hidden" name="row" value={ (c.table) ":" (c.row) };
        input type="hidden" name="field" value=(c.field);
        input type="hidden" name="mark" value=(c.mark);
    };
    html! {
        section.about.care[c.review] {
            h2 { (record(&c.name)) " " @if c.table != c.name.r#type { span.dim { (c.table) " " (c.row_key.as_deref().unwrap_or("")) } " " } strong { (c.field) } }
            @if c.review { p.care { "To be looked at with care." } }
            form method="post" action="/conflicts" {
                (which)
                div.sides {
                    div.side { h3 { "In use" } div.text { (value(of(&c.current))) } p.dim { (written(&c.current.written)) } button name="keep" value="0" aria-label={ "Keep this " (c.field) ", " (c.current.written.site.name) } { "Keep this" } }
                    @for (i, v) in c.superseded.iter().enumerate() {
                        div.side { h3 { "Also written" } div.text { (value(of(v))) } p.dim { (written(&v.written)) } button name="keep" value=(i + 1) aria-label={ "Use this " (c.field) ", " (v.written.site.name) } { "Use this" } }
                    }
                }
            }
            // A form of its own: the Enter key presses the first button of a form.
            @if c.editable {
                details {
                    summary { "Write it anew" }
                    form method="post" action="/conflicts" {
                        (which)
                        @if long { textarea name="text" rows="6" aria-label="The new value" { "\n" (prefilled) } } @else { input name="text" value=(prefilled) aria-label="The new value" autocomplete="off"; }
                        button name="keep" value="text" { "Save" }
                    }
                }
            }
            @if !between.is_empty() { details { summary { "What happened to this field" } (super::logs::table(between.into_iter())) } }
        }
    }
}

pub(super) async fn decide(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    // What was typed is not lost with a refusal.
    let typed = form.some("text").filter(|_| form.get("keep") == "text").map(str::to_owned);
    let fail = |f: Failed| {
        let typed = typed.as_ref().map_or_else(String::new, |t| format!("\nWhat you typed: {t}"));
        Problem(app.clone(), session.clone(), Failed { code: f.code, message: format!("{}{typed}", sentence(&f.message)) })
    };
    let (id, row, field, mark) = (form.get("record").to_owned(), form.get("row").to_owned(), form.get("field").to_owned(), form.get("mark").to_owned());
    let choice = match form.get("keep") {
        "text" => Choice::Text(form.get("text").replace("\r\n", "\n")),
        n => Choice::Listed(n.parse().unwrap_or(usize::MAX)),
    };
    let column = form.some("column").map(str::to_owned);
    let orders = app.ask(move |s| match &column {
        Some(column) => s.discard_column(column, Some(&mark)),
        None => s.decide(s.find(&id)?, &row, &field, &mark, choice.clone()),
    });
    let orders = orders.await.map_err(fail)?;
    app.carry_out(orders).await.map_err(fail)?;
    Ok(Redirect::to("/conflicts?said=kept").into_response())
}

pub(super) async fn held(State(app): State<App>, Extension(session): Extension<Session>) -> Drawn {
    let status = app.ask(Synchronizer::status).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let (held, waiting): (Vec<_>, Vec<_>) = status.held.iter().partition(|h| h.state == "held");
    let body = html! {
        @if status.held.is_empty() { (empty("Nothing is held: the database has taken everything that came.")) }
        @if !held.is_empty() {
            p { "Your application's database refuses these charts as they came. They are kept whole, and tried again with each synchronization. Change what the reason names, here or where the chart comes from; then press Sync Now." }
            ul.list { @for h in held { (held_row(h)) } }
        }
        @if !waiting.is_empty() {
            h2 { "Waiting for another chart" }
            p { "Rows of these point to a chart that has not arrived yet. They are applied when it does." }
            ul.list { @for h in waiting { (held_row(h)) } }
        }
    };
    Ok(page(&app, &session, "Held", "/held", body).into_response())
}

pub(super) async fn deletions(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let found = app.ask(|s| s.deletions()).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! {
        (said(q.said.as_deref()))
        @if found.is_empty() { (empty("No deletion waits for a decision. Where settings say so, rows deleted in your application wait here until somebody confirms.")) }
        @else { p { "These rows were deleted in your application here. The other sites still have them." } }
        @for of_one in found.chunk_by(|a, b| a.name.record == b.name.record) {
            @if let Some(first) = of_one.first() {
                section.about {
                    h2 { (record(&first.name)) }
                    ul { @for d in of_one { li { (d.table) " " (d.row_key.as_deref().unwrap_or("")) @if d.rows > 1 { " and " (count(d.rows as u64 - 1, "row")) " below it" } } } }
                    form method="post" action="/deletions" {
                        (csrf(&session))
                        input type="hidden" name="record" value=(first.name.record);
                        input type="hidden" name="rows" value=(of_one.iter().map(|d| format!("{}:{}", d.table, d.row)).collect::<Vec<_>>().join("\n"));
                        button name="do" value="restore" { "Bring back here" }
                        details { summary { "Delete at every site …" }
                            p { "What is listed here is deleted at the other sites as well. It can be restored from the trash for the retention time." }
                            button.danger name="do" value="confirm" { "Delete at every site" }
                        }
                    }
                }
            }
        }
    };
    Ok(page(&app, &session, "Deletions", "/deletions", body).into_response())
}

pub(super) async fn answer_deletion(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    let fail = |f| Problem(app.clone(), session.clone(), f);
    let confirm = form.get("do") == "confirm";
    let (id, seen) = (form.get("record").to_owned(), form.get("rows").to_owned());
    let orders = app.ask(move |s| {
        let id = s.find(&id)?;
        let waiting: Vec<String> = s.deletions()?.into_iter().filter(|d| d.name.record == id.to_string()).map(|d| format!("{}:{}", d.table, d.row)).collect();
        if waiting.join("\n") != seen.replace("\r\n", "\n") {
            Err(changed())
        } else if confirm {
            s.confirm(id)
        } else {
            s.take_back(id)
        }
    });
    app.carry_out(orders.await.map_err(fail)?).await.map_err(fail)?;
    Ok(Redirect::to(if confirm { "/deletions?said=deleted" } else { "/deletions?said=back" }).into_response())
}

fn changed() -> Error {
    Error::Usage("it has changed since you looked; look again, then decide".into())
}

pub(super) async fn trash(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let found = app.ask(|s| Ok((s.trash(None)?, s.retention_days()?))).await;
    let (found, days) = found.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let body = html! {
        (said(q.said.as_deref()))
        @if found.is_empty() { (empty("The trash is empty. What is deleted at every site waits here for some days and can be restored: records deleted with cfs delete, and rows deleted in your application once a person has confirmed that under Deletions.")) } @else { p { "What was deleted can be restored for " (count(days, "day")) " after every site has heard of it." } }
        @for t in &found {
            section.about {
                h2 { (record(&t.name)) span.dim { ", " @if t.whole { "the whole record" } @else { (t.table) } ", " (count(t.rows as u64, "row")) } }
                @if let Some(tomb) = &t.tombstone { p { "Deleted by " (tomb.by) ", " (moment(&tomb.written.time)) @if !tomb.why.is_empty() { ": " (tomb.why) } } }
                details { summary { "What it held" } dl { @for (k, v) in &t.fields { dt { (k) } dd { (value(Some(v))) } } } }
                form method="post" action="/trash" {
                    (csrf(&session))
                    input type="hidden" name="record" value=(t.name.record);
                    input type="hidden" name="row" value={ (t.table) ":" (t.row) };
                    input type="hidden" name="mark" value=(t.mark);
                    button name="do" value="restore" { "Restore" }
                    details { summary { "Purge …" }
                        p { "What is listed here goes for good: at this site now, at the others with their daily look at all files. There is no way back." }
                        button.danger name="do" value="purge" { "Purge for good" }
                    }
                }
            }
        }
    };
    Ok(page(&app, &session, "Trash", "/trash", body).into_response())
}

pub(super) async fn answer_trash(State(app): State<App>, Extension(session): Extension<Session>, form: Posted) -> Drawn {
    let fail = |f| Problem(app.clone(), session.clone(), f);
    let purge = form.get("do") == "purge";
    let (id, row, mark) = (form.get("record").to_owned(), form.get("row").to_owned(), form.get("mark").to_owned());
    let orders = app.ask(move |s| {
        let id = s.find(&id)?;
        if purge { s.purge(id, &row, &mark) } else { s.restore(id, Some(&row)) }
    });
    app.carry_out(orders.await.map_err(fail)?).await.map_err(fail)?;
    Ok(Redirect::to(if purge { "/trash?said=purged" } else { "/trash?said=restored" }).into_response())
}
