//! The door as a Unix socket, in a directory that only its owner can enter.

use super::{Handle, note, serve};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixListener;

/// A socket's path may be no longer than this on any Unix.
const LONGEST: usize = 100;

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
        // Whoever asks may stand in another directory than the service did.
        let dir = std::path::absolute(&dir)?;
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
                    Ok((stream, _)) => {
                        let (read, write) = stream.into_split();
                        drop(tokio::spawn(serve(read, write, handle.clone())));
                    }
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

/// A stream to who serves there; none if nobody does.
pub(super) fn knock(socket: &Path) -> io::Result<Option<UnixStream>> {
    Ok(UnixStream::connect(socket).ok())
}
