//! The settings, as the original's dialog had them.

use super::asked::Asked;
use super::gate::{Posted, Session};
use super::layout::{csrf, page, said, sentence};
use super::overview::Said;
use super::{App, Drawn, Problem};
use crate::config::{Config, Deletes, real};
use crate::service::Failed;
use crate::synchronizer::settings::{Retention, Settings, mark, save as write};
use crate::synchronizer::{Error, settings};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};
use std::path::{Path, PathBuf};

/// The most days that deleted content is kept.
const LONGEST: u32 = 3650;

pub(super) async fn show(State(app): State<App>, Extension(session): Extension<Session>, Asked(q): Asked<Said>) -> Drawn {
    let config = load(app.0.handle.config()).map_err(|f| Problem(app.clone(), session.clone(), f))?;
    let days = app.ask(|s| s.retention_days()).await.ok().map(|d| (d, d));
    let body = html! { (said(q.said.as_deref())) (form(&session, &config, &Settings::of(&config), &mark(&config), app.0.handle.config(), days)) };
    Ok(page(&app, &session, "Settings", "/settings", body).into_response())
}

fn load(file: &Path) -> Result<Config, Failed> {
    Config::load(file).map_err(|e| Failed::from(Error::from(e)))
}

fn form(session: &Session, config: &Config, s: &Settings, seen: &str, file: &Path, days: Option<Retention>) -> Markup {
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
            @if let Some((seen, days)) = days {
                div.field {
                    label for="days" { "Keep what was deleted for … days" }
                    input type="hidden" name="days_seen" value=(seen);
                    input #days name="retention_days" type="number" min="1" max=(LONGEST) value=(days) required;
                    p.dim { "So long it can be restored from the trash. This holds for all sites, as soon as they hear of it. What is older goes for good with each site's daily look at all files." }
                }
            }
            button.main type="submit" { "Save" }
            p.dim { "Written to " code { (file.display()) } "; what else stands there stays as it is." }
        }
    }
}

pub(super) async fn save(State(app): State<App>, Extension(session): Extension<Session>, posted: Posted) -> Drawn {
    let file = app.0.handle.config().to_owned();
    let (wanted, days) = match read(&posted).and_then(|s| Ok((s, retention(&posted)?))) {
        Ok(all) => all,
        Err(what) => return again(&app, &session, &posted, what),
    };
    let seen = posted.get("mark").to_owned();
    let done = tokio::task::spawn_blocking(move || write(&file, &seen, &wanted, days)).await;
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
    let body = html! { p.problem role="alert" { (sentence(&what)) } (form(session, &config, &shown, posted.get("mark"), app.0.handle.config(), retention(posted).unwrap_or_default())) p { a href="/settings" { "Read the settings again" } } };
    Ok((StatusCode::BAD_REQUEST, page(app, session, "Settings", "/settings", body)).into_response())
}

fn number(posted: &Posted, name: &str, what: &str, least: u32, most: u32) -> Result<u32, String> {
    let n: Option<u32> = posted.get(name).trim().parse().ok();
    n.filter(|n| (least..=most).contains(n)).ok_or_else(|| format!("{what}: a number from {least} to {most} is needed"))
}

/// How long deleted content is to be kept; nothing where the folder was away and nobody was asked.
fn retention(posted: &Posted) -> Result<Option<Retention>, String> {
    let Some(seen) = posted.some("days_seen").and_then(|d| d.parse().ok()) else { return Ok(None) };
    let days = number(posted, "retention_days", "days that deleted content is kept", 1, LONGEST)?;
    Ok(Some((seen, u64::from(days))))
}

fn read(posted: &Posted) -> Result<Settings, String> {
    let folder = posted.get("folder").trim();
    if folder.is_empty() {
        return Err("the sync folder is needed".into());
    }
    Ok(Settings {
        folder: PathBuf::from(folder),
        use_logs: posted.some("use_logs").is_some(),
        delete_conflicts: posted.some("delete_conflicts").is_some(),
        auto_sync_minutes: number(posted, "auto_sync_minutes", "minutes between two synchronizations", 0, 10_080)?,
        local_deletes: match posted.get("local_deletes") {
            "ask" => Deletes::Ask,
            "restore" => Deletes::Restore,
            _ => return Err("what happens to a row that is deleted in your application: one of the two is needed".into()),
        },
    })
}
