//! The door as a named pipe of Windows. Its name stands in a file of the owner's; who is neither the
//! owner nor an administrator may not write to it (the default of `CreateNamedPipe`), and nobody from another computer.

use super::{Handle, note, serve};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

/// `ERROR_PIPE_BUSY`: each end that serves is taken; the next one is being made.
const BUSY: i32 = 231;
/// How long to wait for the next one.
const PATIENCE: Duration = Duration::from_secs(5);
/// `SECURITY_IDENTIFICATION`: who serves may know who asks, and cannot act in their name.
const IDENTIFY_ONLY: u32 = 0x0001_0000;

/// How long the proof is, in bytes.
const PROOF: usize = 64;

/// The pipe, which is gone with its last end. Names of pipes can be listed, and one that a killed service left in its
/// note can be taken by anybody: who serves proves first that they know what else stands in the note.
#[derive(Debug)]
pub struct Door {
    note: PathBuf,
    name: String,
    proof: String,
}

impl Door {
    /// Thinks of a name. Needs a runtime only once it is opened.
    pub(in crate::service) fn new(state_dir: &Path, config_file: &Path) -> io::Result<Door> {
        std::fs::create_dir_all(state_dir)?;
        Ok(Door { note: note(state_dir, &super::id(config_file)), name: format!(r"\\.\pipe\cfs-{}", crate::service::secret()), proof: crate::service::secret() })
    }

    /// Lets others in. A service without a door serves all the same.
    #[expect(clippy::disallowed_methods, reason = "the note is no file of the sync folder")]
    pub(in crate::service) fn open(&mut self, handle: &Handle) {
        let made = ServerOptions::new().first_pipe_instance(true).create(&self.name).and_then(|end| {
            std::fs::write(&self.note, format!("{} {}\n", self.name, self.proof))?;
            Ok(end)
        });
        match made {
            Ok(end) => drop(tokio::spawn(serve_all(end, self.name.clone(), self.proof.clone(), handle.clone()))),
            Err(e) => tracing::error!(error = %e, "commands cannot ask the service"),
        }
    }

    pub(in crate::service) fn close(&mut self) {
        drop(std::fs::remove_file(&self.note));
    }
}

/// Each who asks has an end of its own; the next one is made before the last is served.
async fn serve_all(mut end: NamedPipeServer, name: String, proof: String, handle: Handle) {
    loop {
        let came = end.connect().await;
        let next = loop {
            match ServerOptions::new().create(&name) {
                Ok(next) => break next,
                // Out of handles, say: later there may be some again.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        let stream = std::mem::replace(&mut end, next);
        if came.is_ok() {
            let (read, mut write) = tokio::io::split(stream);
            let (proof, handle) = (proof.clone(), handle.clone());
            drop(tokio::spawn(async move {
                if write.write_all(proof.as_bytes()).await.is_ok() {
                    serve(read, write, handle).await;
                }
            }));
        }
    }
}

/// A stream to who serves there; none if nobody does.
pub(super) fn knock(place: &Path) -> io::Result<Option<File>> {
    let Some((name, proof)) = place.to_str().and_then(|p| p.split_once(' ')) else { return Ok(None) };
    let start = Instant::now();
    loop {
        match OpenOptions::new().read(true).write(true).security_qos_flags(IDENTIFY_ONLY).open(name) {
            Ok(mut stream) => {
                let mut said = [0; PROOF];
                let ours = stream.read_exact(&mut said).is_ok() && proof.as_bytes() == said;
                return Ok(ours.then_some(stream));
            }
            Err(e) if e.raw_os_error() == Some(BUSY) && start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            // Who may not ask does the work alone, as where nobody serves.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
}
