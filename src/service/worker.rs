//! The one thread that synchronizes.

use super::timing::Why;
use super::watch::{self, Looks};
use super::{Event, Failed, Handle, Step};
use crate::config::Config;
use crate::report::Report;
use crate::sync::Options;
use crate::synchronizer::{Error, Synchronizer, patiently};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc as async_mpsc, oneshot};

/// How often those who listen are told how far it is.
const TELL: Duration = Duration::from_millis(100);
/// How long it waits while another process synchronizes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A synchronization to be run.
pub(super) struct Job {
    pub(super) options: Options,
    pub(super) replies: Vec<oneshot::Sender<Result<Arc<Report>, Failed>>>,
    pub(super) why: Why,
}

/// One that has ended.
pub(super) struct Done {
    pub(super) well: bool,
    /// The configuration it ran with, if it could be read.
    pub(super) config: Option<Config>,
    /// Rows that the host wrote while it ran.
    pub(super) left: u64,
    /// How the database's files look now.
    pub(super) looks: Looks,
}

/// Starts the thread. It ends when nothing can be asked of it any more.
pub(super) fn start(handle: Handle) -> (mpsc::Sender<Job>, async_mpsc::UnboundedReceiver<Done>) {
    let (jobs, todo) = mpsc::channel::<Job>();
    let (tell, done) = async_mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for job in todo {
            if tell.send(one(&handle, job)).is_err() {
                break;
            }
        }
    });
    (jobs, done)
}

fn one(handle: &Handle, job: Job) -> Done {
    let failed = handle.now().last.is_some_and(|l| l.failed.is_some());
    handle.tell(Event::Started(job.why));
    let start = Instant::now();
    let (mut config, mut left) = (None, 0);
    // A fault in one synchronization must not end those after it.
    let result = catch_unwind(AssertUnwindSafe(|| synchronize(handle, &job.options, &mut config, &mut left)));
    let looks = config.as_ref().map(|c| watch::looks(&c.database)).unwrap_or_default();
    let seconds = start.elapsed().as_secs_f64();
    let result = match result {
        Ok(done) => done.map_err(Failed::from),
        Err(_) => Err(Failed { code: 1, message: "an error inside cfs; nothing was half-done, the next synchronization finishes what was begun".into() }),
    };
    let answer = match result {
        Ok(report) => {
            let r = Arc::new(report);
            log(&r, job.why, failed);
            handle.tell(Event::Done(r.clone()));
            Ok(r)
        }
        Err(failed) => {
            tracing::error!(why = ?job.why, seconds, code = failed.code, error = %failed.message, "synchronization failed");
            handle.tell(Event::Failed(failed.clone()));
            Err(failed)
        }
    };
    let well = answer.is_ok();
    for reply in job.replies {
        drop(reply.send(answer.clone()));
    }
    Done { well, config, left, looks }
}

fn synchronize(handle: &Handle, options: &Options, config: &mut Option<Config>, left: &mut u64) -> Result<Report, Error> {
    let loaded = Config::load(handle.config())?;
    *config = Some(loaded.clone());
    let s = Synchronizer::open(loaded)?;
    let mut told = Instant::now();
    let mut progress = |what, done, total| {
        if done == total || told.elapsed() >= TELL {
            told = Instant::now();
            handle.tell(Event::Progress(Step { what, done, total }));
        }
    };
    // A command that a person typed has the lock for moments: it is waited for.
    let report = patiently(PATIENCE, || s.sync_now(options, &mut progress))?;
    *left = s.state()?.brief()?.touched;
    Ok(report)
}

/// A line in the service's own log. Numbers and ids only.
fn log(r: &Report, why: Why, failed: bool) {
    if let Some(plan) = r.refused() {
        // Without the mark by which a person says yes at a terminal.
        let reason = crate::report::plan(plan).map_or(plan, |(says, _)| says);
        tracing::warn!(?why, run = r.run, seconds = r.seconds, %reason, "nothing was done: a person has to say yes");
        return;
    }
    let did = r.exported + r.imported + r.merged + r.files_written + r.tombstones.sent + r.tombstones.applied + r.decided > 0;
    if did || !r.notices.is_empty() {
        tracing::info!(
            ?why,
            run = r.run,
            seconds = r.seconds,
            exported = r.exported,
            imported = r.imported,
            merged = r.merged,
            superseded = r.superseded,
            held = r.held.len(),
            pending = r.pending,
            bad_files = r.bad_files.len(),
            files_read = r.files_read,
            files_written = r.files_written,
            "synchronized"
        );
    } else if failed {
        tracing::info!(?why, seconds = r.seconds, "synchronized, after a failure; nothing to do");
    } else {
        tracing::debug!(?why, seconds = r.seconds, "nothing to do");
    }
}
