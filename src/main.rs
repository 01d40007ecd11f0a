//! The command line, `cfs`.

/// A chart is thousands of small values: the system's allocator takes a fifth of the time of a sync.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cloud_folder_sync::cli::run()
}
