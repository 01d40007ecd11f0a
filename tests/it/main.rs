//! The one binary of integration tests.

mod dsl;
mod cli;
mod init_legacy;
mod merge_laws;
mod names;
mod samples;
mod schemas;
mod xml_properties;
mod xml_vectors;
mod merge_table;
mod storm;
mod two_sites;
