//! The one binary of integration tests.

mod capi;
mod cli;
mod drills;
mod dsl;
mod fuzz_corpus;
mod fuzzed;
mod hosts;
mod init_legacy;
mod merge_laws;
mod merge_table;
mod names;
mod page;
mod real_data;
mod samples;
mod schemas;
mod service;
mod storm;
mod tidy;
mod two_sites;
mod xml_properties;
mod xml_vectors;
