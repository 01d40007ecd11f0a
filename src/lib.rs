//! Record-level synchronization of SQLite databases through a shared cloud folder.

pub mod alike;
pub mod cli;
pub mod config;
pub mod demo;
pub mod folder;
pub mod host;
pub mod id;
pub mod keeper;
pub mod log;
pub mod manifest;
pub mod merge;
pub mod names;
mod planted;
pub mod record;
pub mod report;
pub mod safety;
pub mod setup;
pub mod shared;
pub mod site;
pub mod stamp;
pub mod state;
pub mod sync;
pub mod synchronizer;
pub mod value;
pub mod version;
pub mod xml;
