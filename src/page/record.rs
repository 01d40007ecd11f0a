//! A chart as the folder and the database have it, with its history.

use super::asked::Named;
use super::gate::Session;
use super::layout::{moment, page, record as record_name, sentence, value, written};
use super::{App, Drawn, Problem};
use crate::synchronizer::show::{RecordView, RowView};
use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse;
use maud::{Markup, html};

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>, Named(id): Named<String>) -> Drawn {
    let view = app.ask(move |s| s.show(s.find(&id)?, true)).await.map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let short = view.name.record.get(..8).unwrap_or_default().to_owned();
    Ok(page(&app, &session, &format!("Record {short}"), "/record", draw(&view)).into_response())
}

fn draw(v: &RecordView) -> Markup {
    html! {
        p.lead { (record_name(&v.name)) @if v.state != "live" { " " strong.care { (v.state) } } }
        @if let Some(why) = &v.held_words { p.problem { "Held: " (sentence(why)) } }
        @if v.waiting { p.note { "Rows point to a record that is not here yet." } }
        dl {
            dt { "File" } dd { code { (v.file.path) } " " span.dim { (v.file.note) } }
            dt { "Known up to" } dd { ul.plain { @for w in &v.version { li { (w.site.name) ", " (moment(&w.time)) } } } }
            @for s in &v.same_as { dt { "Matched" } dd { a href={ "/record/" (s.record) } { (s.record.get(..8).unwrap_or_default()) } " " (s.says) } }
        }
        @for r in &v.rows { (row(r)) }
        @if let Some(history) = v.history.as_ref().filter(|h| !h.is_empty()) {
            h2 { "History" }
            @for run in history.chunk_by(|a, b| a.run == b.run) {
                @if let Some(first) = run.first() { p.dim { a href={ "/logs/" (first.run) } { (moment(&first.time)) } } }
                (super::logs::table(run.iter()))
            }
        }
    }
}

fn row(r: &RowView) -> Markup {
    let state = match r.state {
        "live" => "",
        "deleted here" => "deleted here, waits for a decision",
        "not here" => "not in the database; the next synchronization brings it",
        other => other,
    };
    html! {
        section.about {
            h2 { (r.table) " " span.dim { (r.key.as_deref().unwrap_or("")) } @if !state.is_empty() { " " strong.care { (state) } } }
            @if let Some(t) = &r.tombstone {
                p.note {
                    "Deleted by " (t.by) " (" (written(&t.written)) ")" @if !t.why.is_empty() { ": " (t.why) }
                    @if r.state != "deleted" { "; it is back since" }
                    @if t.bare { "; its content is gone for good" }
                }
            }
            div.scroll {
                table.fields {
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Value" } th scope="col" { "Written" } } }
                    tbody {
                        @for f in &r.fields {
                            tr {
                                th scope="row" { (f.field) @if let Some(p) = &f.place { span.dim { " at " (p.name) } } }
                                td data-label="Value" {
                                    (value(Some(&f.value)))
                                    @if f.differs { br; span.care { "in the database: " (value(f.database.as_deref())) } }
                                    @for s in &f.superseded { br; span.care { "also written: " (value(Some(&s.value))) } " " span.dim { (written(&s.written)) } }
                                }
                                td.dim data-label="Written" { (written(&f.written)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
