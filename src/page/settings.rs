//! The settings, as the original's dialog had them.

use super::asked::Asked;
use super::gate::{Posted, Session};
use super::layout::{count, csrf, page, said, sentence};
use super::overview::Said;
use super::{App, Drawn, Problem};
use crate::config::{Config, Deletes, real};
use crate::service::Failed;
use crate::synchronizer::settings::{Settings, mark, save as write};
use crate::synchronizer::{Error, settings};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};
use std::path::{Path, PathBuf};

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let config = load(app.0.handle.config()).map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let days = app.ask(|s| s.retention_days()).await.ok();
    let body = html! { (said(q.said.as_deref())) (form(&session, &config, &Settings::of(&config), &mark(&config), app.0.handle.config(), days)) };
    Ok(page(&app, &session, "Settings", "/settings", body).into_response())
}

fn load(file: &Path) -> Result<Config, Failed> {
    Config::load(file).map_err(|e| Failed::from(Error::from(e)))
}

fn form(session: &Session, config: &Config, s: &Settings, seen: &str, file: &Path, days: Option<u64>) -> Markup {
    let check = |name: &str, on: bool, text: &str, more: &str| {
        html! { div.field { label.check { input type="checkbox" name=(name) value="yes" checked[on]; " " (text) } p.dim { (more) } } }
    };
    html! {
        form.settings method="post" action="/settings" {
            (csrf(session))
            input type="hidden" name="mark" value=(seen);
            div.field {
                label for="folder" { "Sync folder" }
                input #folder name="folder" value=(real(&s.folder).display()) required spellcheck="false";
                p.dim { "The folder that your cloud client keeps in step. It can be moved: copy all of it, then say here where it is." }
            }
            (check("use_logs", s.use_logs, "Use logs", "A synchronization then costs what has changed, not what exists."))
            (check("delete_conflicts", s.delete_conflicts, "Automatically delete conflict files", "Only once everything in them is in the chart's own file."))
            div.field {
                label for="minutes" { "Synchronize automatically every … minutes" }
                input #minutes name="auto_sync_minutes" type="number" min="0" max="10080" value=(s.auto_sync_minutes) required;
                p.dim {
                    "And a few seconds after a change here or there. 0: only with Sync Now. "
                    @if !config.sync_at.0.is_empty() { strong { "At the moment sync_at in cfs.toml says the times: " } code { (config.sync_at.0.join(", ")) } }
                }
            }
            fieldset {
                legend { "When a row is deleted in your application" }
                label.check { input type="radio" name="local_deletes" value="restore" checked[s.local_deletes == Deletes::Restore]; " It comes back with the next synchronization" }
                label.check { input type="radio" name="local_deletes" value="ask" checked[s.local_deletes == Deletes::Ask]; " It stays away here, and waits under Deletions until a person confirms" }
            }
            @if let Some(days) = days {
                div.field {
                    p { strong { "What was deleted stays in the trash for " (count(days, "day")) "." } }
                    p.dim { "That holds for all sites: who set up the sync folder said so, with " code { "retention_days" } " in cfs.toml, and since then the folder itself says it. It can be said anew only with a new folder." }
                }
            }
            button.main type="submit" { "Save" }
            p.dim { "Written to " code { (file.display()) } "; what else stands there stays as it is." }
        }
    }
}

pub(super) async fn save(State(app): State<App>, Extension(session): Extension<Session>, posted: Posted) -> Drawn {
    let file = app.0.handle.config().to_owned();
    let wanted = match read(&posted) {
        Ok(s) => s,
        Err(what) => return again(&app, &session, &posted, what),
    };
    let seen = posted.get("mark").to_owned();
    let done = tokio::task::spawn_blocking(move || write(&file, &seen, &wanted)).await;
    match done {
        Ok(Ok(())) => {
            // The service takes the new settings with its next synchronization.
            app.0.handle.ask();
            Ok(Redirect::to("/settings?said=saved").into_response())
        }
        Ok(Err(e)) => again(&app, &session, &posted, e.to_string()),
        Err(_) => again(&app, &session, &posted, "the settings could not be saved".into()),
    }
}

/// The form with what the person typed, and what is wrong with it.
fn again(app: &App, session: &Session, posted: &Posted, what: String) -> Drawn {
    let config = load(app.0.handle.config()).map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let shown = read(posted).unwrap_or_else(|_| settings::Settings::of(&config));
    let body = html! { p.problem role="alert" { (sentence(&what)) } (form(session, &config, &shown, posted.get("mark"), app.0.handle.config(), None)) p { a href="/settings" { "Read the settings again" } } };
    Ok((StatusCode::BAD_REQUEST, page(app, session, "Settings", "/settings", body)).into_response())
}

fn read(posted: &Posted) -> Result<Settings, String> {
    let number = |name: &str, what: &str, least: u32, most: u32| {
        let n: Option<u32> = posted.get(name).trim().parse().ok();
        n.filter(|n| (least..=most).contains(n)).ok_or_else(|| format!("{what}: a number from {least} to {most} is needed"))
    };
    let folder = posted.get("folder").trim();
    if folder.is_empty() {
        return Err("the sync folder is needed".into());
    }
    Ok(Settings {
        folder: PathBuf::from(folder),
        use_logs: posted.some("use_logs").is_some(),
        delete_conflicts: posted.some("delete_conflicts").is_some(),
        auto_sync_minutes: number("auto_sync_minutes", "minutes between two synchronizations", 0, 10_080)?,
        local_deletes: match posted.get("local_deletes") {
            "ask" => Deletes::Ask,
            "restore" => Deletes::Restore,
            _ => return Err("what happens to a row that is deleted in your application: one of the two is needed".into()),
        },
    })
}
