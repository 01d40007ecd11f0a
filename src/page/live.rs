//! What goes on, told to the browser as it happens.

use super::App;
use crate::service::{Event, Now, Step};
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

pub(super) async fn events(State(app): State<App>) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    // First listen, then say what goes on: a synchronization that ends between the two is told twice, and not never.
    let events = BroadcastStream::new(app.0.handle.events());
    let first = tokio_stream::once(present(&app.0.handle.now()));
    let told = events.map(move |e| match e {
        Ok(Event::Started(_)) => json!({ "state": "started" }),
        Ok(Event::Progress(s)) => step(&s),
        Ok(Event::Done(r)) => json!({ "state": "done", "changed": r.run > 0, "said": r.in_words() }),
        Ok(Event::Failed(_)) => json!({ "state": "failed" }),
        // It fell behind, and may have missed an end.
        Err(_) => present(&app.0.handle.now()),
    });
    let all = first.chain(told).map(|data| Ok(sse::Event::default().data(data.to_string())));
    Sse::new(all).keep_alive(KeepAlive::new().interval(Duration::from_secs(20)))
}

fn step(s: &Step) -> Value {
    json!({ "state": "progress", "what": s.what, "done": s.done, "total": s.total })
}

/// What goes on at this moment, and how many synchronizations have ended: a page that was drawn before is older.
fn present(now: &Now) -> Value {
    match (&now.running, &now.step) {
        (Some(_), Some(s)) => step(s),
        (Some(_), None) => json!({ "state": "started" }),
        (None, _) => json!({ "state": "idle", "runs": now.runs }),
    }
}
