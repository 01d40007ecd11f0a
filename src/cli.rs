//! The face to people and scripts at a terminal. It holds no sync logic.

mod conflicts;
mod deletions;
mod demo;
mod detach;
mod doctor;
mod duplicates;
mod init;
mod log;
mod match_;
mod run;
mod shell;
mod show;
mod status;
mod sync;
pub(crate) mod text;
mod trash;
mod verify;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps SQLite databases of several places in step, record by record, through a shared cloud folder.
#[derive(Debug, Parser)]
#[command(
    name = "cfs",
    bin_name = "cfs",
    version,
    about,
    max_term_width = 100,
    after_help = "Exit codes:\n  0  done (held, pending and bad files are in the report)\n  1  failed, nothing half-done\n  2  usage or configuration\n  3  another synchronization is running\n  4  refused until --yes"
)]
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
    #[command(
        after_help = "Examples:\n  cfs init --database clinic.db --folder ~/Clinics --site North\n  cfs init --database clinic.db --folder ~/Clinics --site South --match-on id_no"
    )]
    Init(init::InitArgs),
    /// Sync Now: takes in what others wrote, and sends what changed here.
    #[command(after_help = "Examples:\n  cfs sync\n  cfs --config /srv/north/cfs.toml sync --full --json")]
    Sync(sync::SyncArgs),
    /// The service: synchronizes by itself, and shows a page on this computer.
    ///
    /// It synchronizes every few minutes, and a few seconds after a change here or in the folder, until it is stopped
    /// or, with --while-pid, the host application ends. `cfs sync` asks a running service.
    #[command(after_help = "Examples:\n  cfs run\n  cfs run --while-pid 4711 --no-page\n  cfs run --stop")]
    Run(run::RunArgs),
    /// Opens the page of the running service in a browser.
    #[command(after_help = "Examples:\n  cfs open\n  cfs open --print")]
    Open(run::OpenArgs),
    /// How things stand: to send, to apply, held, to decide, and the other sites.
    #[command(after_help = "Examples:\n  cfs status\n  cfs status --json")]
    Status(status::StatusArgs),
    /// The sites, and when they were last heard of; retires one that is gone.
    #[command(after_help = "Examples:\n  cfs sites\n  cfs sites retire \"Old laptop\"")]
    Sites(status::SitesArgs),
    /// What was synchronized: record, field, old and new value, from which site.
    #[command(after_help = "Examples:\n  cfs log --last 3\n  cfs log --run 12\n  cfs log --record patient:17")]
    Log(log::LogArgs),
    /// One record as the folder and the database have it.
    #[command(after_help = "Examples:\n  cfs show patient:17\n  cfs show 5b1d8f0e --history")]
    Show(show::ShowArgs),
    /// Values that lost against an edit elsewhere, for a person to decide.
    #[command(
        after_help = "Examples:\n  cfs conflicts\n  cfs conflicts keep patient:17 patient phone\n  cfs conflicts keep patient:17 prescription:31 dose --value 2\n  cfs conflicts discard patient:17"
    )]
    Conflicts(conflicts::ConflictsArgs),
    /// Two records that are one person: says so, or that they are not, or takes that back.
    #[command(after_help = "Examples:\n  cfs match\n  cfs match patient:17 5b1d8f0e\n  cfs match patient:17 5b1d8f0e --not\n  cfs match 0c4e 5b1d8f0e --undo")]
    Match(match_::MatchArgs),
    /// People who look like one, by name, birth date, telephone or identity number; matches nobody.
    #[command(after_help = "Examples:\n  cfs duplicates\n  cfs duplicates --json")]
    Duplicates(duplicates::DuplicatesArgs),
    /// Deletes a record, or a row of it, at every site. It can be restored from the trash.
    #[command(after_help = "Examples:\n  cfs delete patient:17 --why \"entered twice\"\n  cfs delete patient:17 --row prescription:31")]
    Delete(deletions::DeleteArgs),
    /// Rows deleted in the host application that wait for a decision.
    #[command(after_help = "Examples:\n  cfs deletions\n  cfs deletions confirm patient:17\n  cfs deletions restore patient:17")]
    Deletions(deletions::DeletionsArgs),
    /// What was deleted: lists, shows, restores, purges.
    #[command(after_help = "Examples:\n  cfs trash\n  cfs trash show 5b1d8f0e\n  cfs trash restore 5b1d8f0e\n  cfs trash restore patient:17 --row prescription:9c0d11ab")]
    Trash(trash::TrashArgs),
    /// Erases a record for good, everywhere: a patient's right to erasure.
    #[command(after_help = "Example:\n  cfs erase patient:17 --yes --by \"Dr. Lee, on the patient's request\"")]
    Erase(trash::EraseArgs),
    /// Reads everything on both sides and says every difference.
    #[command(after_help = "Exit code 1 if there are differences.\n\nExamples:\n  cfs verify\n  cfs verify --repair")]
    Verify(verify::VerifyArgs),
    /// Finds what will go wrong: client, folder, placeholders, clock, schema, permissions.
    #[command(after_help = "Exit code 1 if something fails.\n\nExample:\n  cfs --config north/cfs.toml doctor")]
    Doctor(doctor::DoctorArgs),
    /// Removes our tables and triggers; the host database is as before.
    #[command(after_help = "Example:\n  cfs sync && cfs detach --yes")]
    Detach(detach::DetachArgs),
    /// Prints what completes commands in a shell.
    #[command(after_help = "Examples:\n  cfs completions bash > ~/.local/share/bash-completion/completions/cfs\n  cfs completions fish > ~/.config/fish/completions/cfs.fish")]
    Completions(shell::CompletionsArgs),
    /// Writes the manual pages.
    #[command(after_help = "Example:\n  cfs man ~/.local/share/man/man1")]
    Man(shell::ManArgs),
    /// Two clinics on invented data, end to end, with what to look at next.
    #[command(after_help = "Example:\n  cfs demo ./try")]
    Demo(demo::DemoArgs),
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
        Command::Run(args) => run::run(&args, &cli.config),
        Command::Open(args) => run::open(&args, &cli.config),
        Command::Status(args) => status::status(&args, &cli.config),
        Command::Sites(args) => status::sites(&args, &cli.config),
        Command::Log(args) => log::run(&args, &cli.config),
        Command::Show(args) => show::run(&args, &cli.config),
        Command::Conflicts(args) => conflicts::run(&args, &cli.config),
        Command::Match(args) => match_::run(&args, &cli.config),
        Command::Duplicates(args) => duplicates::run(&args, &cli.config),
        Command::Delete(args) => deletions::delete(&args, &cli.config),
        Command::Deletions(args) => deletions::deletions(&args, &cli.config),
        Command::Trash(args) => trash::trash(&args, &cli.config),
        Command::Erase(args) => trash::erase(&args, &cli.config),
        Command::Verify(args) => verify::run(&args, &cli.config),
        Command::Doctor(args) => doctor::run(&args, &cli.config),
        Command::Detach(args) => detach::run(&args, &cli.config),
        Command::Completions(args) => Ok(shell::completions(&args)),
        Command::Man(args) => shell::man(&args),
        Command::Demo(args) => demo::run(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(f) => {
            err(&format!("cfs: {}", f.message));
            ExitCode::from(f.code)
        }
    }
}

/// Opens the site that a configuration describes.
fn open(config: &std::path::Path) -> Result<crate::synchronizer::Synchronizer, Failure> {
    Ok(crate::synchronizer::Synchronizer::open(crate::config::Config::load(config)?)?)
}

/// A document for programs.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
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
