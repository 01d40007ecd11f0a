//! The door to the host database: its schema, what of it is synchronized, rows in and out.

pub mod mapping;
