//! The local door of a running service, which only its owner can open: a Unix socket, or a named pipe on Windows.
//! One line of JSON asks, lines of JSON answer. Nothing of it goes over a network.

#[cfg(unix)]
#[path = "door/socket.rs"]
mod sys;
#[cfg(windows)]
#[path = "door/pipe.rs"]
mod sys;

use super::{Event, Failed, Handle, Now};
use crate::config::{Config, real};
use crate::keeper::DirKeeper;
use crate::report::Report;
use crate::sync::Options;
use crate::synchronizer::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Question {
    /// Synchronize, and tell how far it is.
    Sync {
        /// Look at every file.
        #[serde(default)]
        full: bool,
        /// Read every row of the database, too.
        #[serde(default)]
        scan: bool,
        /// A person's yes to a plan.
        #[serde(default)]
        confirm: Option<String>,
        /// Say where the time went.
        #[serde(default)]
        timings: bool,
    },
    /// What the service is doing.
    Status,
    /// An address by which the page can be opened once.
    Page,
    /// End.
    Stop,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It goes on.
    Progress {
        /// What is being done.
        what: String,
        /// How much of it.
        done: u64,
        /// Of how much.
        total: u64,
    },
    /// It is done.
    Report(Box<Report>),
    /// It has failed.
    Failed(Failed),
    /// What the service is doing, as JSON.
    Now(serde_json::Value),
    /// The address; none where the service shows no page.
    Page(Option<String>),
    /// It ends.
    Stopping,
}

impl From<Now> for Answer {
    fn from(now: Now) -> Self {
        Answer::Now(serde_json::to_value(now).unwrap_or_default())
    }
}

/// A question is a line of this length at most, in bytes.
const QUESTION: u64 = 4096;

/// The file that says where the door is. It goes by the configuration: a database that is put back or replaced
/// while the service runs has another id.
fn note(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.door"))
}

/// The name of a configuration's door.
pub(super) fn id(config_file: &Path) -> String {
    crate::xml::hex(&Sha256::digest(real(config_file).as_os_str().as_encoded_bytes()))[..32].to_owned()
}

/// Asks the service of a configured site, if one is running. Each step on the way is given to `progress`.
pub fn ask(config: &Config, question: &Question, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<Option<Answer>, Error> {
    let keeper = DirKeeper::new(config.state_dir.as_deref())?;
    let Ok(place) = std::fs::read_to_string(note(keeper.dir(), &id(&config.source.file))) else { return Ok(None) };
    let place = place.trim_end();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::Ended,
        _ => Error::Service { source },
    };
    // A service that was killed leaves its note.
    let Some(stream) = sys::knock(Path::new(place)).map_err(failed)? else { return Ok(None) };
    talk(stream, question, progress).map(Some).map_err(failed)
}

pub use sys::Door;

/// Answers one question; who asked for a synchronization is told of each step.
async fn serve(read: impl AsyncRead + Unpin, mut write: impl AsyncWrite + Unpin, handle: Handle) {
    let mut line = String::new();
    let asked = tokio::time::timeout(Duration::from_secs(10), tokio::io::BufReader::new(read.take(QUESTION)).read_line(&mut line)).await;
    let Ok(Ok(_)) = asked else { return };
    let answer = match serde_json::from_str::<Question>(&line) {
        Ok(Question::Sync { full, scan, confirm, timings }) => {
            let mut events = handle.events();
            let sync = handle.sync_now(Options { full, scan, confirm, timings, ..Options::default() });
            tokio::pin!(sync);
            loop {
                tokio::select! {
                    done = &mut sync => break match done {
                        Ok(report) => Answer::Report(Box::new((*report).clone())),
                        Err(failed) => Answer::Failed(failed),
                    },
                    event = events.recv() => {
                        if let Ok(Event::Progress(step)) = event
                            && say(&mut write, &Answer::Progress { what: step.what.to_owned(), done: step.done, total: step.total }).await.is_err()
                        {
                            // Who asked went away; the synchronization goes on.
                            return;
                        }
                    }
                }
            }
        }
        Ok(Question::Status) => handle.now().into(),
        Ok(Question::Page) => Answer::Page(handle.entrance()),
        Ok(Question::Stop) => {
            handle.stop();
            Answer::Stopping
        }
        Err(e) => Answer::Failed(Failed { code: 2, message: format!("the service does not understand: {e}") }),
    };
    drop(say(&mut write, &answer).await);
}

async fn say(write: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await?;
    write.flush().await
}

/// Asks, and waits for the answer.
fn talk(mut stream: impl io::Read + io::Write, question: &Question, progress: &mut dyn FnMut(&str, u64, u64)) -> io::Result<Answer> {
    let mut line = serde_json::to_string(question)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    for line in io::BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            Answer::Progress { what, done, total } => progress(&what, done, total),
            answer => return Ok(answer),
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the service ended"))
}
