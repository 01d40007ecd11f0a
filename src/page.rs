//! The page of a running service, for people: on this computer only, drawn on the server, with nothing loaded from
//! anywhere else.

mod asked;
mod decide;
mod find;
mod gate;
mod layout;
mod listen;
mod live;
mod logs;
mod matches;
mod overview;
mod record;
mod settings;

use crate::service::{Failed, Handle};
use crate::sync::{Options, Order};
use crate::synchronizer::{Error, Synchronizer, patiently};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use gate::{Gate, Session};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long a question waits for a synchronization that is running.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every page is drawn from.
#[derive(Debug, Clone)]
struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: Handle,
    gate: Gate,
}

/// Shows the page of a service on a port of this computer, 0 for any that is free. Gives the port.
pub async fn serve(handle: Handle, port: u16) -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let port = listener.local_addr()?.port();
    let app = App(Arc::new(Inner { handle: handle.clone(), gate: Gate::new(port) }));
    let entrance = app.clone();
    handle.set_entrance(move || entrance.0.gate.entrance());
    let router = router(app);
    tokio::spawn(async move {
        if let Err(e) = axum::serve(listen::Few::new(listener), router).await {
            tracing::error!(error = %e, "the page has ended");
        }
    });
    Ok(port)
}

fn router(app: App) -> Router {
    Router::new()
        .route("/", get(overview::show))
        // Whoever only looks whether it is there must not use the address up.
        .route("/enter", get(enter).head(async || StatusCode::NO_CONTENT))
        .route("/events", get(live::events))
        .route("/sync", post(overview::sync).get(async || Redirect::to("/")))
        .route("/settings", get(settings::show).post(settings::save))
        .route("/logs", get(logs::show))
        .route("/logs/{run}", get(logs::one))
        .route("/logs.csv", get(logs::csv))
        .route("/conflicts", get(decide::conflicts).post(decide::decide))
        .route("/held", get(decide::held))
        .route("/matches", get(matches::show).post(matches::answer))
        .route("/matches/alike", get(matches::alike))
        .route("/find", get(find::show).post(find::ask))
        .route("/deletions", get(decide::deletions).post(decide::answer_deletion))
        .route("/trash", get(decide::trash).post(decide::answer_trash))
        .route("/sites", get(overview::sites).post(overview::retire))
        .route("/record/{id}", get(record::show))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .route("/assets/page.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page/page.css"))))
        .route("/assets/page.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page/page.js"))))
        .fallback(async |State(app): State<App>, session: Option<Extension<Session>>| asked::nothing(&app, session.as_deref(), StatusCode::NOT_FOUND))
        .layer(axum::middleware::from_fn_with_state(app.clone(), gate::guard))
        .layer(gate::form_limit())
        .with_state(app)
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    key: String,
}

async fn enter(State(app): State<App>, Query(key): Query<Key>) -> Response {
    match app.0.gate.enter(&key.key) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        None => (StatusCode::FORBIDDEN, layout::outside("This address was used already, or is too old. Run `cfs open` again.")).into_response(),
    }
}

impl App {
    /// Asks the site something, beside the thread that answers browsers.
    async fn ask<T: Send + 'static>(&self, question: impl Fn(&Synchronizer) -> Result<T, Error> + Send + 'static) -> Result<T, Failed> {
        let handle = self.0.handle.clone();
        // What changes something waits for a synchronization that is running.
        let answer = tokio::task::spawn_blocking(move || patiently(PATIENCE, || handle.open().and_then(|s| question(&s)))).await;
        answer.map_err(|_| Failed { code: 1, message: "the question could not be answered; the service's log says more".into() })?.map_err(Failed::from)
    }

    /// Carries out what a person decided, with a synchronization.
    async fn carry_out(&self, orders: Vec<(crate::id::RecordId, Order)>) -> Result<(), Failed> {
        let ids: Vec<String> = orders.iter().map(|(id, _)| id.to_string()).collect();
        let report = self.0.handle.sync_now(Options { orders, ..Options::default() }).await?;
        if let Some(plan) = report.refused() {
            let says = crate::report::plan(plan).map_or(plan, |(says, _)| says);
            return Err(Failed { code: 4, message: format!("nothing was decided, because the synchronization waits for a yes on the overview: {says}") });
        }
        report.refused_by_host(&ids).map_or(Ok(()), |message| Err(Failed { code: 1, message }))
    }
}

/// A page, or why it cannot be drawn.
type Drawn = Result<Response, Problem>;

/// A failure, for the browser that is let in.
struct Problem(App, Session, Failed);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = if self.2.code == 2 { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
        let body = maud::html! {
            p.problem role="alert" { (layout::sentence(&self.2.message)) }
            p { a href="/" { "Back to the overview" } }
        };
        (status, layout::page(&self.0, &self.1, "It did not work", "", body)).into_response()
    }
}
