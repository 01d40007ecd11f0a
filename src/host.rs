//! The door to the host database: its schema, what of it is synchronized, rows in and out.

pub mod looks;
pub mod mapping;
pub mod propose;
pub mod resolve;
pub mod schema;
