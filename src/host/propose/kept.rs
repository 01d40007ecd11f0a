//! Columns that stay where they are: secrets, and the state of the host's own synchronization.

use super::Kept;
use super::data::Sample;
use crate::host::looks::words;
use crate::host::mapping::Affinity;
use crate::host::rows::literal;
use crate::host::schema::{HostColumn, HostTable, same};
use rusqlite::Connection;

/// What of a table is neither read nor written.
pub(super) fn columns(db: &Connection, table: &HostTable) -> Result<Vec<Kept>, rusqlite::Error> {
    let mut found = Vec::new();
    for c in table.columns.iter().filter(|c| !c.generated) {
        let key = table.key_columns().iter().any(|k| same(k, &c.name)) || table.unique.iter().any(|u| u.columns.iter().any(|k| same(k, &c.name)));
        let why = match (secret(c), own_sync(&c.name)) {
            _ if key => continue,
            (true, _) => "it looks secret",
            (_, true) => "the state of the application's own synchronization",
            _ => continue,
        };
        let fill = if c.not_null && c.default.is_none() { Some(filled(db, table, c)?) } else { None };
        found.push(Kept { column: c.name.clone(), fill, why: why.to_owned() });
    }
    Ok(found)
}

/// Whether a column holds what lets somebody in. `is_secret` says something of a note, and `secret_reason` is one.
fn secret(c: &HostColumn) -> bool {
    let w = words(&c.name);
    let has = |x: &[&str]| w.iter().any(|w| x.contains(&w.as_str()));
    if c.affinity == Affinity::Integer || has(&["is", "has", "changed", "expires", "expiry", "at", "date", "reason", "hint"]) {
        return false;
    }
    let last = |x: &[&str]| w.last().is_some_and(|w| x.contains(&w.as_str()));
    has(&["password", "passwd", "pwd", "passphrase"])
        || last(&["pin"])
        || (has(&["pin", "otp", "token", "auth", "api", "client", "private"]) && last(&["digest", "hash", "secret", "key", "token"]))
}

fn own_sync(name: &str) -> bool {
    let said = words(name).join(" ");
    let whole = ["sync status", "sync state", "is synced", "synced", "sync flag", "last synced", "last sync", "last synced at", "synced at"];
    whole.contains(&said.as_str()) || unsent(&said)
}

/// A flag that is set while the host's server has not heard of a row.
fn unsent(said: &str) -> bool {
    ["dirty", "is dirty", "unsynced", "is unsynced", "not synced", "needs sync", "needs upload", "to sync", "pending sync", "pending upload"].contains(&said)
}

/// What an imported row gets: what rows have here that their server has not seen, else nothing.
fn filled(db: &Connection, table: &HostTable, c: &HostColumn) -> Result<String, rusqlite::Error> {
    let empty = match c.affinity {
        Affinity::Text => "''",
        Affinity::Blob => "x''",
        _ if unsent(&words(&c.name).join(" ")) => "1",
        _ => "0",
    };
    if secret(c) {
        // Nothing, in an application that compares it with what was typed, would let anybody in.
        return Ok(if c.affinity == Affinity::Blob { "randomblob(16)" } else { "lower(hex(randomblob(16)))" }.to_owned());
    }
    let texts = Sample::read(db, table, &c.name)?.texts;
    let fresh = texts.iter().find(|t| ["pending", "dirty", "new", "unsynced", "not_synced", "modified"].contains(&t.to_lowercase().as_str()));
    Ok(fresh.filter(|_| c.affinity == Affinity::Text).map_or_else(|| empty.to_owned(), |t| literal(t)))
}
