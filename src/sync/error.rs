//! Why a synchronization did not happen.

use crate::id::Uuid;
use crate::{folder, manifest, state};

/// Why a synchronization did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host database refused.
    #[error("the host database: {0}")]
    Host(#[from] crate::host::Error),
    /// Our tables in it.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The sync folder.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// SQLite.
    #[error("the host database: {}", crate::host::in_words(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// There is no manifest where the folder should be.
    #[error(
        "{place} is not this clinic's sync folder: it has no {}. Is the drive mounted, the cloud client signed in? Nothing was read as missing and nothing was written. If that folder is lost for good, `cfs sync --rebuild` makes it again from what is known here",
        manifest::FILE_NAME
    )]
    NoFolder {
        /// Where it was looked for.
        place: String,
    },
    /// Another folder stands there.
    #[error("{place} is another sync folder ({found}, not {wanted}). Nothing was written. Point `folder` in cfs.toml to the right one")]
    OtherFolder {
        /// Where it was looked for.
        place: String,
        /// The folder the database belongs to.
        wanted: Uuid,
        /// The folder found.
        found: Uuid,
    },
    /// The manifest does not read.
    #[error("the file {} in {place} cannot be read ({source}); it is left alone", manifest::FILE_NAME)]
    Manifest {
        /// Where.
        place: String,
        /// Why.
        source: crate::xml::Error,
    },
    /// A table is a record of its own at one place and part of a record at another.
    #[error(
        "{}. One of them must change: bring cfs.toml in line with the place that set the folder up (`cfs init` at a new place proposes that by itself), or begin a new folder. Nothing was read or written",
        if here.is_empty() { format!("rows of `{table}` are records of their own in cfs.toml ([type.{table}]), and parts of another record in this folder") }
        else { format!("rows of `{table}` are part of `{here}` in cfs.toml, and records of their own in this folder ([type.{table}])") }
    )]
    OtherRecords {
        /// The table.
        table: String,
        /// What it is part of here; empty for a record.
        here: String,
    },
    /// The database was not set up.
    #[error("this database was not set up for synchronization; run `cfs init`")]
    NotSetUp,
    /// Another account of this computer synchronizes the database.
    #[error(
        "this database is synchronized on this computer already, with its state in {dir}: by another account, or with other settings of HOME or XDG_STATE_HOME. Let all of them use one directory that each may write: `state_dir = \"…\"` in cfs.toml"
    )]
    OtherAccount {
        /// Where its state is.
        dir: String,
    },
    /// The small file outside the database.
    #[error("the state file {path}: {source}")]
    Keeper {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}
