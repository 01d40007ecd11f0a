//! What the fuzzers kept, once more: every input of `fuzz/corpus` and `fuzz/regressions`, and every
//! fixture through every reader.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::fuzzed::{ALL, Property};
use std::path::{Path, PathBuf};

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    all.sort();
    all
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a file was read; a panic names it.
fn holds(property: Property, path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap();
    std::panic::catch_unwind(|| property(&bytes)).unwrap_or_else(|_| panic!("{}", path.display()))
}

#[test]
fn what_was_once_found_stays_found() {
    let mut size_bytes = 0;
    for (target, property) in ALL {
        let mut inputs = files(&root().join("fuzz/corpus").join(target));
        assert!(inputs.len() > 3, "{target} has no corpus");
        inputs.extend(files(&root().join("fuzz/regressions").join(target)));
        size_bytes += inputs.iter().map(|p| p.metadata().unwrap().len()).sum::<u64>();
        let read = inputs.iter().filter(|p| holds(*property, p)).count();
        assert!(read > 0, "{target}: nothing of {} inputs is read", inputs.len());
    }
    assert!(size_bytes < 1 << 20, "{size_bytes} bytes: `cargo fuzz cmin`");
}

#[test]
fn fixtures_through_every_reader() {
    for kind in ["valid", "invalid"] {
        let fixtures = files(&root().join("fixtures/xml").join(kind));
        assert!(!fixtures.is_empty());
        for path in &fixtures {
            for (target, property) in ALL {
                let read = holds(*property, path);
                assert!(*target != "record" || kind != "valid" || read, "{} is not read", path.display());
            }
        }
    }
}

#[test]
fn every_target_is_built() {
    let targets = files(&root().join("fuzz/fuzz_targets"));
    let names: Vec<&str> = targets.iter().map(|p| p.file_stem().unwrap().to_str().unwrap()).collect();
    let mut want: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    want.sort_unstable();
    assert_eq!(names, want);
}
