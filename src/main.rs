//! The command line, `cfs`.

fn main() -> std::process::ExitCode {
    cloud_folder_sync::cli::run()
}
