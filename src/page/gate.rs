//! Who may see the page: whoever was given an address by `cfs open`, on this computer, in the browser that
//! opened it. Everybody else gets a sentence that says how.

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an address can be used to enter.
const ENTER: Duration = Duration::from_secs(5 * 60);
/// How long a browser may be idle.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// How many of each are kept.
const MOST: usize = 32;
/// A form is no larger than this: a note that a person edits is the largest thing in one.
const FORM: usize = 1 << 20;

/// What a browser was let in with.
#[derive(Clone)]
pub(super) struct Session {
    id: String,
    /// What every form must carry.
    pub(super) csrf: String,
    /// Whom this browser looks for: a name, which no address may hold.
    pub(super) asked: Arc<str>,
    seen: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// The keys that were given out.
#[derive(Debug, Default)]
struct Keys {
    entrances: Vec<(String, Instant)>,
    sessions: Vec<Session>,
}

/// Lets browsers in.
#[derive(Debug)]
pub(super) struct Gate {
    port: u16,
    keys: Mutex<Keys>,
}

/// Whether two secrets are the same, in a time that does not say where they differ.
fn same(a: &str, b: &str) -> bool {
    !a.is_empty() && a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

impl Gate {
    pub(super) fn new(port: u16) -> Self {
        Gate { port, keys: Mutex::default() }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address by which one browser can enter once.
    pub(super) fn entrance(&self) -> String {
        let key = crate::service::secret();
        let mut keys = self.keys();
        keys.entrances.retain(|(_, made)| made.elapsed() < ENTER);
        if keys.entrances.len() >= MOST {
            keys.entrances.remove(0);
        }
        keys.entrances.push((key.clone(), Instant::now()));
        format!("http://127.0.0.1:{}/enter?key={key}", self.port)
    }

    /// Uses up a key; gives the cookie of a new session.
    pub(super) fn enter(&self, key: &str) -> Option<String> {
        let mut keys = self.keys();
        let at = keys.entrances.iter().position(|(k, made)| same(k, key) && made.elapsed() < ENTER)?;
        keys.entrances.remove(at);
        keys.sessions.retain(|s| s.seen.elapsed() < IDLE);
        if keys.sessions.len() >= MOST {
            keys.sessions.remove(0);
        }
        let session = Session { id: crate::service::secret(), csrf: crate::service::secret(), asked: Arc::default(), seen: Instant::now() };
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), session.id);
        keys.sessions.push(session);
        Some(cookie)
    }

    /// Keeps whom a browser looks for, for as long as it is let in.
    pub(super) fn remember(&self, session: &Session, text: &str) {
        if let Some(s) = self.keys().sessions.iter_mut().find(|s| s.id == session.id) {
            s.asked = text.trim().chars().take(100).collect::<String>().into();
        }
    }

    /// Cookies know no ports: each service has a name of its own.
    fn cookie_name(&self) -> String {
        format!("cfs-{}", self.port)
    }

    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let name = self.cookie_name();
        let cookies = headers.get_all(header::COOKIE);
        let ids: Vec<&str> = cookies.iter().filter_map(|c| c.to_str().ok()).flat_map(|c| c.split("; ")).filter_map(|c| c.strip_prefix(&name)?.strip_prefix('=')).collect();
        let mut keys = self.keys();
        let found = keys.sessions.iter_mut().find(|s| s.seen.elapsed() < IDLE && ids.iter().any(|id| same(&s.id, id)))?;
        found.seen = Instant::now();
        Some(found.clone())
    }

    /// Whether the request was meant for this page: another name for this address is another site's (DNS
    /// rebinding).
    fn meant(&self, headers: &HeaderMap) -> Option<String> {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let ours = [format!("127.0.0.1:{}", self.port), format!("localhost:{}", self.port)];
        ours.contains(&host.to_owned()).then(|| format!("http://{host}"))
    }
}

/// Stands before every page.
pub(super) async fn guard(State(app): State<super::App>, mut request: Request, next: Next) -> Response {
    let gate = &app.0.gate;
    let headers = request.headers();
    let Some(origin) = gate.meant(headers) else { return refuse(StatusCode::MISDIRECTED_REQUEST, "This address is not the page's own.") };
    let said = |name| headers.get(name).map(HeaderValue::as_bytes);
    let path = request.uri().path().to_owned();
    // A page of another origin, even on this computer, neither shows nor drives this one.
    if said("sec-fetch-site").is_some_and(|s| s != b"same-origin" && s != b"none") || said("origin").is_some_and(|o| o != origin.as_bytes()) {
        return refuse(StatusCode::FORBIDDEN, "Another page asked for this one.");
    }
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::POST if said("origin").is_some() => {}
        Method::POST => return refuse(StatusCode::FORBIDDEN, "The browser did not say where the form came from."),
        _ => return refuse(StatusCode::METHOD_NOT_ALLOWED, "There is no such thing to do here."),
    }
    let session = gate.session(headers);
    let inside = session.is_some();
    match session {
        Some(session) => drop(request.extensions_mut().insert(session)),
        None if path == "/enter" || path == "/favicon.ico" || path.starts_with("/assets/") => {}
        None => return refuse(StatusCode::FORBIDDEN, "This browser was not let in. Run `cfs open` on this computer: it opens the page."),
    }
    let mut response = dress(next.run(request).await);
    if !inside {
        stay_no_longer(&mut response);
    }
    response
}

/// Who was not let in keeps no connection: there are few.
fn stay_no_longer(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Headers that every answer has.
fn dress(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let mut response = dress((status, super::layout::outside(why)).into_response());
    stay_no_longer(&mut response);
    response
}

/// A form that this page itself made for this browser.
#[derive(Debug)]
pub(super) struct Posted(BTreeMap<String, String>);

impl Posted {
    /// A field of the form; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field of the form that was filled in.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|v| !v.is_empty())
    }
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let session = request.extensions().get::<Session>().cloned();
        let Ok(axum::Form(form)) = axum::Form::<Vec<(String, String)>>::from_request(request, state).await else {
            return Err(refuse(StatusCode::BAD_REQUEST, "The form could not be read."));
        };
        let form: BTreeMap<String, String> = form.into_iter().collect();
        match session {
            Some(s) if form.get("csrf").is_some_and(|c| same(c, &s.csrf)) => Ok(Posted(form)),
            _ => Err(refuse(StatusCode::FORBIDDEN, "The form is not one of this browser's. Go back, load the page again, and repeat.")),
        }
    }
}

/// The largest form that is taken.
pub(super) fn form_limit() -> axum::extract::DefaultBodyLimit {
    axum::extract::DefaultBodyLimit::max(FORM)
}
