//! What an address asks for. One that cannot be read has an answer that looks like every other page.

use super::App;
use super::gate::Session;
use super::layout::{outside, page};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::de::DeserializeOwned;

/// The last part of an address.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

/// What stands behind the question mark.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(t)) => Ok(Named(t)),
            Err(_) => Err(nothing(app, parts.extensions.get::<Session>(), StatusCode::NOT_FOUND)),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(t)) => Ok(Asked(t)),
            Err(_) => Err(nothing(app, parts.extensions.get::<Session>(), StatusCode::BAD_REQUEST)),
        }
    }
}

/// There is no such page.
pub(super) fn nothing(app: &App, session: Option<&Session>, status: StatusCode) -> Response {
    let Some(session) = session else { return (status, outside("There is no such page.")).into_response() };
    let body = html! {
        p.problem role="alert" { "Look at the address, or begin anew." }
        p { a href="/" { "Back to the overview" } }
    };
    (status, page(app, session, "There is no such page", "", body)).into_response()
}
