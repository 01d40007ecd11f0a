//! Two sites, one folder: one test for each thing that must work.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod anew;
mod compared;
mod conflicts;
mod deletion;
mod edits;
mod folder;
mod found;
mod held;
mod identity;
mod large;
mod large_faults;
mod loose;
mod matching;
mod matching_storm;
mod meanwhile;
mod nested;
mod notes;
mod quiet;
mod retired;
mod saving;
mod threads;
