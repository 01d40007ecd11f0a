//! The service's own log: what it did and when, for whoever looks after the computer. Numbers, ids and paths, never
//! a value of a patient's field; what was synchronized is in `cfs log`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;

/// Days that its files are kept.
const DAYS: usize = 30;

/// Where the log of a database's service lies.
pub fn directory(state_dir: &Path, database: &str) -> PathBuf {
    state_dir.join(format!("{database}.log"))
}

/// Writes the log to a file a day in a directory, and to the terminal; as JSON if that is asked for.
pub fn start(dir: &Path, json: bool) -> Result<(), InitError> {
    // Where it cannot be made, the appender says so.
    drop(std::fs::create_dir_all(dir));
    // The two forms do not stand in one file: nothing could read it.
    let suffix = if json { "jsonl" } else { "log" };
    let files = RollingFileAppender::builder().rotation(Rotation::DAILY).filename_prefix("cfs").filename_suffix(suffix).max_log_files(DAYS).build(dir)?;
    private(dir);
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    let base = tracing_subscriber::registry().with(level);
    // A second service in one process, as in a test, keeps the first one's log.
    // A host that starts the service and never reads its stderr would stop it, once the pipe is full.
    let terminal = std::io::stderr().is_terminal();
    drop(if json {
        tracing::subscriber::set_global_default(base.with(fmt::layer().json().with_writer(files)).with(terminal.then(|| fmt::layer().json().with_writer(std::io::stderr))))
    } else {
        tracing::subscriber::set_global_default(
            base.with(fmt::layer().with_ansi(false).with_target(false).with_writer(files))
                .with(terminal.then(|| fmt::layer().with_ansi(false).with_target(false).with_writer(std::io::stderr))),
        )
    });
    Ok(())
}

/// Nobody else need read it.
fn private(dir: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        drop(std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)));
    }
    #[cfg(not(unix))]
    let _elsewhere = dir;
}
