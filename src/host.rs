//! The door to the host database: its schema, what of it is synchronized, rows in and out.

pub mod apply;
pub mod capture;
pub mod derived;
pub mod events;
pub mod image;
pub mod key;
pub mod local;
pub mod looks;
pub mod loose;
pub mod mapping;
pub mod propose;
pub mod quiet;
pub mod resolve;
pub mod rows;
pub mod schema;
pub mod signs;
pub mod upgraded;

/// What the host database could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused, in its own words (which name tables and columns, never values).
    #[error("{}", in_words(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// The host's constraints or triggers refuse this record for now.
    #[error("{0}")]
    Refused(String),
    /// A look-up in our own tables failed.
    #[error("{0}")]
    State(Box<dyn std::error::Error + Send + Sync>),
}

/// What SQLite says, and what to do where that is known.
pub(crate) fn in_words(e: &rusqlite::Error) -> String {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            format!("{e}: another program has been writing to it for too long, or keeps it to itself. Nothing is half-done; save or close what is open there, and try again")
        }
        _ => e.to_string(),
    }
}

impl Error {
    /// Whether the host's constraints or triggers refused, so that the record is held and the rest
    /// goes on; and what they said.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Error::Refused(why) => Some(why.clone()),
            Error::Sqlite(rusqlite::Error::SqliteFailure(e, message)) => {
                use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch, Unknown};
                let held = matches!(e.code, ConstraintViolation | TooBig | TypeMismatch) || (e.code == Unknown && e.extended_code == 1);
                held.then(|| message.clone().unwrap_or_else(|| e.to_string()))
            }
            _ => None,
        }
    }
}
