//! The face to people and scripts at a terminal. It holds no sync logic.

mod init;
mod sync;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps SQLite databases of several places in step, record by record, through a shared cloud folder.
#[derive(Debug, Parser)]
#[command(name = "cfs", version, about, max_term_width = 100, after_help = "Exit codes: 0 done (held, pending and bad files are in the report); 1 failed, nothing half-done;\n2 usage or configuration; 3 another sync is running; 4 refused until --yes.")]
struct Cli {
    /// The configuration that `cfs init` wrote.
    #[arg(long, global = true, default_value = "cfs.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sets up this place: reads the schema, writes cfs.toml, prepares database and folder.
    Init(init::InitArgs),
    /// Sync Now: takes in what others wrote, and sends what changed here.
    Sync(sync::SyncArgs),
}

/// `--json`, which every command that reports takes.
#[derive(Debug, Args, Clone, Copy)]
pub(crate) struct Json {
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a command ended: its exit code and a sentence.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure with an exit code.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

impl From<crate::synchronizer::Error> for Failure {
    fn from(e: crate::synchronizer::Error) -> Self {
        Failure::new(e.exit_code(), e.to_string())
    }
}

macro_rules! through_synchronizer {
    ($($t:ty),*) => { $(impl From<$t> for Failure {
        fn from(e: $t) -> Self { crate::synchronizer::Error::from(e).into() }
    })* };
}
through_synchronizer!(crate::config::ConfigError, crate::host::schema::SchemaError, crate::state::Error, crate::sync::Error, rusqlite::Error);

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Init(args) => init::run(&args, &cli.config),
        Command::Sync(args) => sync::run(&args, &cli.config),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(f) => {
            err(&format!("cfs: {}", f.message));
            ExitCode::from(f.code)
        }
    }
}

/// Writes a line for people or programs. A closed pipe is no error of ours.
pub(crate) fn out(text: &str) {
    use std::io::Write;
    let _reader_went_away = writeln!(std::io::stdout(), "{text}");
}

/// Writes a diagnostic.
pub(crate) fn err(text: &str) {
    use std::io::Write;
    let _reader_went_away = writeln!(std::io::stderr(), "{text}");
}
