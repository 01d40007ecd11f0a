//! `cfs completions` and `cfs man`: for the shell, and for `man`.

use super::{Cli, Failure, out};
use clap::{Args, CommandFactory};
use std::path::PathBuf;

/// Flags of `cfs completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Flags of `cfs man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Where the pages go: cfs.1, cfs-sync.1 and so on.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cfs", &mut text);
    out(String::from_utf8_lossy(&text).trim_end());
    0
}

pub(super) fn man(args: &ManArgs) -> Result<u8, Failure> {
    let fail = |e: std::io::Error| Failure::new(1, format!("{}: {e}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(fail)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(fail)?;
    out(&format!("Wrote the manual. To read it:  man {}", args.dir.join("cfs.1").display()));
    Ok(0)
}
