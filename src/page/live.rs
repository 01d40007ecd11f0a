//! What goes on, told to the browser as it happens.

use super::App;
use crate::service::Event;
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

pub(super) async fn events(State(app): State<App>) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let events = BroadcastStream::new(app.0.handle.events());
    let told = events.filter_map(|e| {
        let data = match e.ok()? {
            Event::Started(_) => serde_json::json!({ "state": "started" }),
            Event::Progress(s) => serde_json::json!({ "state": "progress", "what": s.what, "done": s.done, "total": s.total }),
            Event::Done(r) => serde_json::json!({ "state": "done", "changed": r.run > 0, "said": r.in_words() }),
            Event::Failed(_) => serde_json::json!({ "state": "failed" }),
        };
        Some(Ok(sse::Event::default().data(data.to_string())))
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(20)))
}
