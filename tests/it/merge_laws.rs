//! The merge law, held by seeded histories: `MERGE_SEED=n` replays one, `MERGE_CASES=n` runs more.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod clones;
mod denies;
mod named;
mod oracle;
mod site;
mod storm;

use std::sync::atomic::{AtomicU64, Ordering};

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the histories of seeds `0..n` on two threads and gives the number of checks made.
fn run(n: u64) -> u64 {
    let checks = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let checks = &checks;
            scope.spawn(move || {
                for seed in (0..n).filter(|s| s % 2 == half) {
                    let made = std::panic::catch_unwind(|| storm::history(seed));
                    let made = made.unwrap_or_else(|_| panic!("replay with MERGE_SEED={seed}"));
                    checks.fetch_add(made, Ordering::Relaxed);
                }
            });
        }
    });
    checks.into_inner()
}

#[test]
fn states_that_histories_reach_obey_the_law() {
    if let Some(seed) = env("MERGE_SEED") {
        storm::history(seed);
        return;
    }
    let histories = env("MERGE_CASES").unwrap_or(12_000);
    let checks = run(histories);
    eprintln!("{histories} histories, {checks} checks");
    assert!(checks > 10 * histories, "{checks} checks in {histories} histories");
}
