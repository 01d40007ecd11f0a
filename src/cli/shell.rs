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
    named_sections(&args.dir).map_err(fail)?;
    out(&format!("Wrote the manual. To read it:  man {}", args.dir.join("cfs.1").display()));
    Ok(0)
}

/// What stands after the options is called EXTRA by who writes the pages; it is examples, and what exit codes mean.
#[expect(clippy::disallowed_methods, reason = "a manual page is no file of the sync folder")]
fn named_sections(dir: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name == "cfs.1" || name.starts_with("cfs-") && name.ends_with(".1")) {
            continue;
        }
        let text = std::fs::read_to_string(entry.path())?;
        let section = if name == "cfs.1" { ".SH \"EXIT STATUS\"" } else { ".SH EXAMPLES" };
        std::fs::write(entry.path(), text.replace(".SH EXTRA", section))?;
    }
    Ok(())
}
