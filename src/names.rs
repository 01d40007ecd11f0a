//! Names in the sync folder: our own, and what cloud clients make of them.
//!
//! A record's identity is the UUID inside its file, so a name only decides whether a file is
//! opened: whatever could be a copy of a record is, in any language and from any client. The
//! clients' patterns explain a copy in the log and decide nothing.

mod clients;
mod template;

use crate::id::{RecordId, SiteId, Uuid};
use crate::log::Segment;

/// The directory of record files.
pub const RECORDS: &str = "records";
/// The directory of change logs.
pub const LOGS: &str = "logs";
/// The directory of site files.
pub const SITES: &str = "sites";
/// The directory of large values.
pub const BLOBS: &str = "blobs";

/// The name of a table's record type in paths: lower-case ASCII letters, digits and `-`, whatever
/// the table is called, so that names cannot collide by case or Unicode form.
pub fn type_name(table: &str) -> String {
    // Windows takes these for devices, in every directory.
    let device = matches!(table, "con" | "prn" | "aux" | "nul")
        || (table.len() == 4 && (table.starts_with("com") || table.starts_with("lpt")) && table.ends_with(|c: char| c.is_ascii_digit()));
    let plain = !table.is_empty() && table.len() <= 48 && !device && table.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if plain {
        return table.replace('_', "-");
    }
    let kept: String = table.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(24).collect();
    let hash = crate::xml::sha256_hex(table.as_bytes());
    format!("{kept}-{}", &hash[..8])
}

/// The directory below its type's that a record's file lies in: its UUID's last two hex digits.
pub fn shard(id: &RecordId) -> String {
    crate::xml::hex(&id.as_bytes()[15..])
}

/// A record file's path in the sync folder; `kind` is the root table's name.
pub fn record_path(kind: &str, id: &RecordId) -> String {
    format!("{RECORDS}/{}/{}/{id}.xml", type_name(kind), shard(id))
}

/// A change log segment's path.
pub fn log_path(site: &SiteId, seq: u64) -> String {
    format!("{LOGS}/{site}/{}", Segment::file_name(seq))
}

/// A site file's path.
pub fn site_path(site: &SiteId) -> String {
    format!("{SITES}/{site}.xml")
}

/// A large value's path, by its SHA-256.
pub fn blob_path(sha256: &[u8; 32]) -> String {
    let hex = crate::xml::hex(sha256);
    format!("{BLOBS}/{}/{hex}", &hex[..2])
}

/// The name a file is written under before it is renamed; `random` is lower-case hex.
pub fn temp_name(id: &Uuid, random: &str) -> String {
    format!("~${id}.{random}.part")
}

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileName {
    /// A record's own file, in its own place.
    Canonical(RecordId),
    /// Possibly a copy of a record: to be opened and judged by its content.
    Conflict {
        /// Whose naming pattern it is, as well as that can be told.
        client: &'static str,
        /// One sentence for the log.
        explanation: String,
    },
    /// Still on its way, or about to be renamed by the client named.
    InFlight(&'static str),
    /// Stands for a file whose content is not on this computer.
    Placeholder(&'static str),
    /// A program's backup or a deleted copy it keeps.
    Backup(&'static str),
    /// What an operating system or program notes for itself.
    Metadata(&'static str),
    /// A temporary file of ours; swept when it is old.
    Ours(Uuid),
    /// An encrypted record: reserved for a later format, left alone.
    Encrypted(RecordId),
    /// Nothing that is known here.
    Other,
}

/// Says what a file in the records' directories is. `shard` is the name of its directory where
/// that is a `records/<type>/<xx>` under its own name, `None` in a twin or anywhere else.
pub fn classify_file(shard: Option<&str>, name: &str) -> FileName {
    if let Some(id) = own_name(name, ".xml") {
        if shard == Some(self::shard(&id).as_str()) {
            return FileName::Canonical(id);
        }
        return FileName::Conflict { client: clients::UNKNOWN, explanation: "a record file in a directory that is not its own".to_owned() };
    }
    if let Some(id) = own_name(name, ".xml.age") {
        return FileName::Encrypted(id);
    }
    if let Some(id) = temp_id(name) {
        return FileName::Ours(id);
    }
    if let Some(left) = clients::left_alone(name) {
        return left;
    }
    if is_candidate(name) {
        let (client, explanation) = clients::explain(name, find_uuid(name).map(|i| (i, i + 36)));
        return FileName::Conflict { client, explanation };
    }
    FileName::Other
}

/// Says what a file beside the manifest, a segment or a site file is: `stem` is its own name
/// without `.xml`. `None` for the file itself and for what has nothing to do with it.
pub fn classify_copy(stem: &str, name: &str) -> Option<FileName> {
    let at = name.find(stem)?;
    if name.strip_suffix(".xml") == Some(stem) {
        return None;
    }
    clients::left_alone(name).or_else(|| {
        let (client, explanation) = clients::explain(name, Some((at, at + stem.len())));
        is_candidate(name).then_some(FileName::Conflict { client, explanation })
    })
}

/// Reads `<uuid><ending>`, the UUID in the one spelling that we write.
fn own_name(name: &str, ending: &str) -> Option<Uuid> {
    plain_uuid(name.strip_suffix(ending)?)
}

fn plain_uuid(s: &str) -> Option<Uuid> {
    Uuid::parse_str(s).ok().filter(|u| u.to_string() == s)
}

fn temp_id(name: &str) -> Option<Uuid> {
    let (id, random) = name.strip_prefix("~$")?.strip_suffix(".part")?.split_once('.')?;
    let hex = !random.is_empty() && random.bytes().all(|b| b.is_ascii_hexdigit());
    plain_uuid(id).filter(|_| hex)
}

/// Where a UUID stands in a name, in any spelling of its letters.
fn find_uuid(name: &str) -> Option<usize> {
    let shape = |w: &[u8]| w.iter().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() });
    name.as_bytes().windows(36).position(shape)
}

/// Whether a name could be a record's copy: it ends in `.xml`, or holds `.xml` and after it what
/// clients put there, or holds a UUID and may have lost its ending.
fn is_candidate(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(".xml") || lower.rfind(".xml").is_some_and(|i| suffix_of_a_copy(&lower[i + 4..])) || find_uuid(name).is_some()
}

fn suffix_of_a_copy(after: &str) -> bool {
    let path = after.trim_start_matches('.').strip_prefix("path").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    path || after.contains("conflict") || after.starts_with([' ', '(', '[', '-', '_'])
}

/// How deep a directory lies: what its name may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// In the sync folder itself.
    Top,
    /// In `records` or a twin of it.
    Type,
    /// In a type's directory or a twin of it.
    Shard,
}

/// What a directory's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirName {
    /// A name that we give at this level.
    Own,
    /// A second directory that a client made for one of ours; read like the original.
    Twin {
        /// The name it is a twin of.
        of: String,
        /// Whose naming pattern it is, as well as that can be told.
        client: &'static str,
        /// One sentence for the log.
        explanation: String,
    },
    /// A client's own store: never read.
    Internal(&'static str),
    /// Not ours. Left alone at the top; below `records` it may hold records, and is read.
    Other,
}

/// Says what a directory of the sync folder is.
pub fn classify_dir(level: Level, name: &str) -> DirName {
    // A table may be called `rubbish`: what could be a type's own directory is nobody's store.
    let may_be_ours = level == Level::Type && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if let Some(client) = clients::internal(name).filter(|_| !may_be_ours) {
        return DirName::Internal(client);
    }
    let base = match level {
        Level::Top => [RECORDS, LOGS, SITES, BLOBS].into_iter().map(str::len).find(|n| name.get(..*n).is_some_and(|p| is_top(&p.to_ascii_lowercase()))),
        Level::Type => Some(name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count()).filter(|n| *n > 0),
        Level::Shard => Some(2).filter(|_| name.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2),
    };
    let Some((base, rest)) = base.and_then(|n| name.split_at_checked(n)) else { return DirName::Other };
    let of = base.to_ascii_lowercase();
    if rest.is_empty() && of == base {
        return DirName::Own;
    }
    // `logstash` is not a twin of `logs`, nor `a5b` of `a5`.
    if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return DirName::Other;
    }
    let (client, explanation) = clients::explain_twin(&of, rest);
    DirName::Twin { of, client, explanation }
}

fn is_top(name: &str) -> bool {
    matches!(name, RECORDS | LOGS | SITES | BLOBS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn paths_are_as_the_design_has_them() {
        let id = Uuid::parse_str("5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2").unwrap();
        assert_eq!(record_path("patient", &id), "records/patient/d2/5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2.xml");
        assert_eq!(log_path(&id, 17), "logs/5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2/00000017.xml");
        assert_eq!(site_path(&id), "sites/5b1d8f0e-2c44-4f6a-9d3e-7a1c90e4b6d2.xml");
        assert_eq!(blob_path(&[0xab; 32]), format!("blobs/ab/{}", "ab".repeat(32)));
        assert_eq!(classify_file(Some("d2"), &temp_name(&id, "9f3a")), FileName::Ours(id));
    }

    #[test]
    fn copies_of_other_files_are_told() {
        let client = |stem, name| match classify_copy(stem, name) {
            Some(FileName::Conflict { client, .. }) => client,
            _ => "",
        };
        assert_eq!(client("cloud-folder-sync", "cloud-folder-sync (North's conflicted copy 2026-03-09).xml"), "Dropbox");
        assert_eq!(client("00000017", "00000017.sync-conflict-20260925-120000-K3QXL2M.xml"), "Syncthing");
        assert_eq!(client("00000017", "00000018.xml"), "");
        assert_eq!(classify_copy("00000017", "00000017.xml"), None);
        assert_eq!(classify_copy("00000017", "00000017.xml.crdownload"), Some(FileName::InFlight("a browser")));
    }

    #[test]
    fn type_names_are_safe_on_every_system() {
        assert_eq!(type_name("patient_link"), "patient-link");
        for odd in ["aux", "com1", "Patient", "таблица", "", "a-b", &"x".repeat(200)] {
            let name = type_name(odd);
            assert!(name.contains('-') && name.len() < 48 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{odd}: {name}");
        }
        assert_ne!(type_name("Patient"), type_name("PATIENT"));
        assert_ne!(type_name("a-b"), type_name("a_b"));
    }
}
