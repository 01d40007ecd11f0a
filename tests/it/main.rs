//! The one binary of integration tests.

mod init_legacy;
mod names;
mod samples;
mod xml_vectors;
mod xml_properties;
mod merge_laws;
