//! The local door of a running service: a Unix socket that only its owner can open. One line of JSON
//! asks, lines of JSON answer. Nothing of it goes over a network.

use super::{Failed, Handle, Now};
use crate::config::{Config, real};
use crate::keeper::DirKeeper;
use crate::report::Report;
use crate::synchronizer::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::{Path, PathBuf};

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

/// The file that says where the socket is. It goes by the configuration: a database that is put back or replaced
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
    let Ok(socket) = std::fs::read_to_string(note(keeper.dir(), &id(&config.source.file))) else { return Ok(None) };
    sys::call(Path::new(socket.trim_end()), question, progress).map_err(|source| crate::sync::Error::Keeper { path: socket.trim_end().to_owned(), source }.into())
}

pub use sys::Door;

#[cfg(unix)]
mod sys {
    use super::{Answer, Failed, Handle, Question, io, note};
    use crate::service::Event;
    use crate::sync::Options;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    use std::os::unix::net::UnixStream as Blocking;
    use std::path::{Path, PathBuf};
    use std::time::Duration;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader as AsyncReader};
    use tokio::net::{UnixListener, UnixStream};

    /// A socket's path may be no longer than this on any Unix.
    const LONGEST: usize = 100;
    /// A question is a line of this length at most.
    const QUESTION: u64 = 4096;

    /// The socket, which is gone when it is closed.
    #[derive(Debug)]
    pub struct Door {
        note: PathBuf,
        dir: PathBuf,
    }

    impl Door {
        /// Makes the socket, in a directory that only its owner can enter. Needs a runtime only once it is opened.
        pub(in crate::service) fn new(state_dir: &Path, config_file: &Path) -> io::Result<Door> {
            let id = super::id(config_file);
            let mut dir = state_dir.join(format!("{id}.run"));
            if dir.as_os_str().len() + "/door".len() > LONGEST {
                dir = std::env::temp_dir().join(format!("cfs-{}", crate::service::secret().get(..16).unwrap_or_default()));
            }
            // What a service that was killed left.
            drop(std::fs::remove_dir_all(&dir));
            std::fs::create_dir_all(state_dir)?;
            std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
            Ok(Door { note: note(state_dir, &id), dir })
        }

        /// Lets others in. A service without a door serves all the same.
        #[expect(clippy::disallowed_methods, reason = "the note is no file of the sync folder")]
        pub(in crate::service) fn open(&mut self, handle: &Handle) {
            let socket = self.dir.join("door");
            let made = UnixListener::bind(&socket).and_then(|l| {
                std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
                std::fs::write(&self.note, format!("{}\n", socket.display()))?;
                std::fs::set_permissions(&self.note, std::fs::Permissions::from_mode(0o600))?;
                Ok(l)
            });
            let listener = match made {
                Ok(l) => l,
                Err(e) => {
                    tracing::error!(error = %e, "commands cannot ask the service");
                    return;
                }
            };
            let handle = handle.clone();
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => drop(tokio::spawn(serve(stream, handle.clone()))),
                        // Out of descriptors, say: later there may be some again.
                        Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                    }
                }
            });
        }

        pub(in crate::service) fn close(&mut self) {
            drop(std::fs::remove_file(&self.note));
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }

    async fn serve(stream: UnixStream, handle: Handle) {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let asked = tokio::time::timeout(Duration::from_secs(10), AsyncReader::new(tokio::io::AsyncReadExt::take(read, QUESTION)).read_line(&mut line)).await;
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

    async fn say(write: &mut tokio::net::unix::OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_string(answer)?;
        line.push('\n');
        write.write_all(line.as_bytes()).await
    }

    pub(super) fn call(socket: &Path, question: &Question, progress: &mut dyn FnMut(&str, u64, u64)) -> io::Result<Option<Answer>> {
        // A service that was killed leaves its note.
        let Ok(mut stream) = Blocking::connect(socket) else { return Ok(None) };
        let mut line = serde_json::to_string(question)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        for line in BufReader::new(stream).lines() {
            match serde_json::from_str(&line?)? {
                Answer::Progress { what, done, total } => progress(&what, done, total),
                answer => return Ok(Some(answer)),
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the service ended before it answered; run the command again"))
    }
}

#[cfg(not(unix))]
mod sys {
    use super::{Answer, Handle, Question, io};
    use std::path::Path;

    /// There is none on this system yet: commands work by themselves, between the service's own synchronizations.
    #[derive(Debug)]
    pub struct Door;

    impl Door {
        pub(in crate::service) fn new(_state_dir: &Path, _config_file: &Path) -> io::Result<Door> {
            Ok(Door)
        }

        pub(in crate::service) fn open(&mut self, _handle: &Handle) {}

        pub(in crate::service) fn close(&mut self) {}
    }

    pub(super) fn call(_socket: &Path, _question: &Question, _progress: &mut dyn FnMut(&str, u64, u64)) -> io::Result<Option<Answer>> {
        Ok(None)
    }
}
