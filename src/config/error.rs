//! What can be wrong with `cfs.toml`, in sentences that say what to do.

use super::Source;
use std::fmt;
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}; make one with `cfs init`, or name it with --config", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML, or a value is of the wrong kind.
    #[error("{at}: {message}")]
    Toml {
        /// Where.
        at: Place,
        /// What the parser said.
        message: String,
    },
    /// A key nobody knows.
    #[error("{at}: `{key}` is not a setting{section}{}", guess(near))]
    UnknownKey {
        /// Where.
        at: Place,
        /// ` of [type.patient]` or the like; empty at the top.
        section: String,
        /// The key as written.
        key: String,
        /// The nearest known key.
        near: Option<String>,
    },
    /// A table that the database does not have.
    #[error("{at}: the database has no table `{name}`{}", guess(near))]
    UnknownTable {
        /// Where.
        at: Place,
        /// The name as written.
        name: String,
        /// The nearest table.
        near: Option<String>,
    },
    /// A column that the table does not have.
    #[error("{at}: table `{table}` has no column `{name}`{}", guess(near))]
    UnknownColumn {
        /// Where.
        at: Place,
        /// The table.
        table: String,
        /// The name as written.
        name: String,
        /// The nearest column.
        near: Option<String>,
    },
    /// A value that cannot be meant.
    #[error("{at}: {what}")]
    Value {
        /// Where.
        at: Place,
        /// What is wrong and what to do.
        what: String,
    },
    /// The database could not be asked.
    #[error("the host database could not be read: {0}")]
    Sql(#[from] rusqlite::Error),
}

impl ConfigError {
    /// The exit code: 2 for what a person wrote, 1 for what the database said.
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Sql(_) => 1,
            _ => 2,
        }
    }
}

fn guess(near: &Option<String>) -> String {
    near.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

/// A line of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file's name, without its directory.
    pub file: String,
    /// The line, from 1; 0 if it is not known.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file),
            line => write!(f, "{}, line {line}", self.file),
        }
    }
}

impl Source {
    /// The place of the key with this path and, below it, of a string or key that says `value`.
    pub fn place(&self, path: &[&str], value: Option<&str>) -> Place {
        let root = DeTable::parse(&self.text).ok();
        let mut line = 0;
        let mut here = root.as_ref().map(|t| t.get_ref());
        let mut last = None;
        for name in path {
            let Some((key, below)) = here.and_then(|t| t.iter().find(|(k, _)| k.get_ref().eq_ignore_ascii_case(name))) else { break };
            line = self.line(key.span().start);
            here = below.get_ref().as_table();
            last = Some(below);
        }
        if let (Some(value), Some(last)) = (value, last)
            && let Some(at) = find(last.get_ref(), last.span().start, value)
        {
            line = self.line(at);
        }
        self.at(line)
    }

    /// A place of this file.
    pub(super) fn at(&self, line: usize) -> Place {
        let file = self.file.file_name().map_or_else(|| "cfs.toml".to_owned(), |n| n.to_string_lossy().into_owned());
        Place { file, line }
    }

    /// The line that a byte is on.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|b| *b == b'\n').count()
    }

    /// An error of the parser, without its copy of the text.
    pub(super) fn broken(&self, e: &toml::de::Error) -> ConfigError {
        let line = e.span().map_or(0, |s| self.line(s.start));
        ConfigError::Toml { at: self.at(line), message: e.message().trim().replace('\n', ", ") }
    }
}

/// Where a value says `wanted`, in itself or somewhere below.
fn find(value: &DeValue<'_>, at: usize, wanted: &str) -> Option<usize> {
    match value {
        DeValue::String(s) => s.eq_ignore_ascii_case(wanted).then_some(at),
        DeValue::Array(list) => list.iter().find_map(|v| find(v.get_ref(), v.span().start, wanted)),
        DeValue::Table(t) => t.iter().find_map(|(k, v)| {
            let here = k.get_ref().eq_ignore_ascii_case(wanted).then(|| k.span().start);
            here.or_else(|| find(v.get_ref(), v.span().start, wanted))
        }),
        _ => None,
    }
}
