//! The naming habits of cloud clients, operating systems and editors.

use super::FileName;
use super::template::{Found, matches};

/// The client of a copy that nobody's pattern explains.
pub(super) const UNKNOWN: &str = "unknown";
/// A copy that a person made in a file manager.
const PERSON: &str = "a person";
/// Several clients count copies in brackets.
const COUNTING: &str = "OneDrive, Google Drive, MEGA or Yandex Disk";

/// The pattern of each client; `@` is the record's UUID, and after a first copy's ending any text
/// that stands before. The first that matches is named, so the narrow ones come first.
const PATTERNS: &[(&str, &str)] = &[
    ("rclone bisync", "@.xml.conflict{n}"),
    ("rclone bisync", "@.xml..path{n}"),
    ("rclone bisync", "@.xml.path{n}"),
    ("rclone bisync", "@.xml.{date}-conflict{n}"),
    ("Proton Drive", "@ (# Edit conflict {date} {x} #)"),
    ("Proton Drive", "@ (# Name clash {date} {x} #)"),
    ("Syncthing", "@.sync-conflict-{day}-{n}-{x}"),
    ("Syncthing", "@.sync-conflict-{day}-{n}-"),
    ("Syncthing", "@.sync-conflict-{day}-{n}"),
    ("Seafile", "@ (SFConflict {date}-{time})"),
    ("Seafile", "@ (SFConflict {who} {date}-{time})"),
    ("ownCloud", "@ (conflicted copy {date} {n})"),
    ("Nextcloud", "@ (conflicted copy {who} {date} {n})"),
    ("Nextcloud", "@ (case clash from {date} {n})"),
    ("ownCloud or Nextcloud", "@_conflict-{day}-{n}"),
    ("kDrive", "@_conflict_{day}_{n}_{x}"),
    ("kDrive", "@_orphan_{day}_{n}_{x}"),
    ("Obsidian Sync", "@ (Conflicted copy {who} {day}{n})"),
    ("Dropbox", "@ (conflicted copy)"),
    ("Dropbox", "@ ({who}'s conflicted copy {date})"),
    ("Dropbox", "@ ({who}’s conflicted copy {date})"),
    ("Dropbox", "@ ({who}'s conflicted copy {date} {n})"),
    ("Dropbox", "@ ({who}’s conflicted copy {date} {n})"),
    ("Dropbox", "@ (In Konflikt stehende Kopie von {who} {date})"),
    ("Dropbox", "@ ({who}s in Konflikt stehende Kopie {date})"),
    ("Dropbox", "@ (Copia en conflicto de {who} {date})"),
    ("Dropbox", "@ (copia en conflicto de {who} {date})"),
    ("Dropbox", "@ (Copia in conflitto di {who} {date})"),
    ("Dropbox", "@ (Cópia em conflito de {who} {date})"),
    ("Dropbox", "@ (Copie en conflit de {who} {date})"),
    ("Dropbox", "@ ({who} の競合コピー {date})"),
    ("Dropbox", "@ ({who} 上の問題のあるコピー {date})"),
    ("Dropbox", "@ ({who} 的冲突副本 {date})"),
    ("Dropbox", "@ ({who} 的衝突複本 {date})"),
    ("Dropbox", "@ (Case Conflict {n})"),
    ("Dropbox", "@ (Case Conflict)"),
    ("Dropbox", "@ (Conflicto de mayúsculas y minúsculas)"),
    ("Dropbox", "@ (Selective Sync Conflict)"),
    ("Dropbox", "@ (Ignored Item Conflict)"),
    ("Dropbox", "@ (무시된 항목 충돌 {date})"),
    ("Maestral", "@ (conflicting copy)"),
    ("Maestral", "@ ({who}'s conflicting copy {date})"),
    ("Maestral", "@ (case conflict)"),
    ("Maestral", "@ (normalization conflict)"),
    ("Maestral", "@ (selective sync conflict)"),
    ("Resilio Sync", "@.Conflict"),
    ("Resilio Sync", "@.Conflict{n}"),
    ("pCloud", "@ (conflicted)"),
    ("pCloud", "@ (conflicted {n})"),
    ("pCloud", "@ [conflicted {n}]"),
    ("Synology Drive", "@_{who}_{time}_Conflict"),
    ("Synology Drive", "@_{who}_{time}_Conflict_{n}"),
    ("Synology Drive", "@_{who}_{time}_{who}Conflict"),
    ("Synology Drive", "@_{who}_{time}_{who}Conflict_{n}"),
    ("Synology Drive", "@_{who}_{x}-{time}_Conflict"),
    ("Synology Drive", "@_{who}_{x}-{time}_Conflict_{n}"),
    ("Synology Drive", "@_{who}_{x}-{time}_{who}Conflict"),
    ("Synology Drive", "@_{who}_{x}-{time}_{who}Conflict_{n}"),
    ("Egnyte", "@ (conflict copy from {who})"),
    ("FileCloud", "@(Conflict_{who} ({who})_{date}-{time})"),
    ("HCP Anywhere", "@ (edits by {who} not merged {date})"),
    ("HCP Anywhere", "@ ({who}’s conflict on {date})"),
    ("HCP Anywhere", "@ ({who}'s conflict on {date})"),
    ("Jungle Disk", "@ - Conflict {n}"),
    ("Unison", "@ (conflict_on_{date})"),
    ("Unison", "@ (conflict_on_{date}_was_deleted)"),
    ("git-annex", "@.variant-{x}"),
    ("Nutstore", "@-冲突"),
    ("Nutstore", "@-NSConflict"),
    ("Box Sync", "@-copy of"),
    ("Sync.com", "@ conflict"),
    (PERSON, "@ - Copy"),
    (PERSON, "@ - Copy ({n})"),
    (PERSON, "@ - Kopie"),
    (PERSON, "@ - Kopie ({n})"),
    (PERSON, "@ - Copie"),
    (PERSON, "@ - copia"),
    (PERSON, "@ (copy)"),
    (PERSON, "@ (copy {n})"),
    (PERSON, "@ (Kopie)"),
    (PERSON, "@ copy"),
    (PERSON, "@ copy {n}"),
    (PERSON, "Copy of @"),
    (PERSON, "Kopie von @"),
    (PERSON, "Copie de @"),
    (PERSON, "Copia de @"),
    (PERSON, "Copia di @"),
    (PERSON, "Cópia de @"),
    (COUNTING, "@ ({n})"),
    ("iCloud Drive or Google Drive", "@ {n}"),
    ("onedrive-d", "@ ({x})"),
    ("OneDrive", "@-Cópia em conflito de {who} {date}"),
    ("OneDrive", "@-LAPTOP-{x}"),
    ("OneDrive", "@-DESKTOP-{x}"),
    ("Azure File Sync", "@-Cloud"),
    ("Azure File Sync", "@-{who}-{n}"),
    ("OneDrive", "@-{who}"),
];

/// Longer names are not taken apart: no client makes them, and matching must stay quick.
const LONGEST: usize = 400;

/// Whose copy a file is, and a sentence that says so. `own` is what stands in the name of the
/// file's own: where it starts and ends.
pub(super) fn explain(name: &str, own: Option<(usize, usize)>) -> (&'static str, String) {
    let Some((before, after)) = own.and_then(|(from, to)| Some((name.get(..from)?, name.get(to..)?))) else { return unknown(name) };
    let marked = format!("{before}@{after}");
    // The ending is put off, in whatever case it is written, so that the patterns need not say it.
    let end = marked.len().saturating_sub(4);
    let bare = match marked.get(end..) {
        Some(ending) if ending.eq_ignore_ascii_case(".xml") => marked.get(..end).unwrap_or_default(),
        _ => marked.as_str(),
    };
    sentence(bare).unwrap_or_else(|| unknown(name))
}

/// Whose twin a directory is, and a sentence that says so.
pub(super) fn explain_twin(of: &str, rest: &str) -> (&'static str, String) {
    if rest.is_empty() {
        return (UNKNOWN, format!("a second directory for `{of}`, spelt in other case"));
    }
    match find(&format!("@{rest}")) {
        Some((client, _)) => (client, format!("a second directory for `{of}` made by {client}")),
        None => (UNKNOWN, format!("a second directory for `{of}` made by an unknown program")),
    }
}

fn unknown(name: &str) -> (&'static str, String) {
    let lower = name.to_lowercase();
    let what = if ["conflict", "konflikt", "conflit", "冲突", "衝突", "競合", "충돌"].iter().any(|w| lower.contains(w)) { "conflict copy" } else { "a copy" };
    (UNKNOWN, format!("{what} made by an unknown program"))
}

fn sentence(bare: &str) -> Option<(&'static str, String)> {
    let (client, found) = find(bare)?;
    let what = if client == PERSON { "a copy" } else { "conflict copy" };
    let details: Vec<String> = found.who.into_iter().chain(found.date).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    Some((client, format!("{what} made by {client}{details}")))
}

fn find(bare: &str) -> Option<(&'static str, Found)> {
    if bare.len() > LONGEST {
        return None;
    }
    let whole = PATTERNS.iter().find_map(|(client, p)| Some((*client, matches(p, bare)?)));
    // A copy of a copy: the last client's pattern is at the end.
    whole.or_else(|| {
        let starts = bare.char_indices().skip(2).filter(|(_, c)| matches!(c, ' ' | '_' | '.' | '(' | '-')).map(|(i, _)| i);
        starts.into_iter().find_map(|i| {
            let end = bare.get(i..)?;
            PATTERNS.iter().find_map(|(client, p)| Some((*client, matches(p.strip_prefix('@')?, end)?)))
        })
    })
}

/// Names that are never opened, and who they belong to.
pub(super) fn left_alone(name: &str) -> Option<FileName> {
    use FileName::{Backup, InFlight, Metadata, Placeholder};
    let lower = name.to_lowercase();
    let starts = |s: &str| lower.starts_with(s);
    let ends = |s: &str| lower.ends_with(s);
    let after = |mark: &str| lower.rsplit_once(mark).map(|(_, a)| a.to_owned());
    Some(match () {
        // Proton names a file twice within one operation; the second name is the one that stays.
        () if lower.contains("(# temporary renamed ") => InFlight("Proton Drive"),
        () if lower.contains("(# deleted ") => Backup("Proton Drive"),
        () if starts("._") => Metadata("macOS"),
        () if starts("~$") => Metadata("Microsoft Office"),
        () if starts(".~lock.") => Metadata("LibreOffice"),
        () if starts(".#") => Metadata("Emacs"),
        () if starts(".nfs") || starts(".fuse_hidden") => Metadata("the file system"),
        () if matches!(lower.as_str(), ".ds_store" | "icon\r" | ".localized") => Metadata("macOS"),
        () if matches!(lower.as_str(), "desktop.ini" | "thumbs.db") => Metadata("Windows"),
        () if matches!(lower.as_str(), ".dropbox" | ".dropbox.attr") => Metadata("Dropbox"),
        () if matches!(lower.as_str(), ".owncloudsync.log" | ".nextcloudsync.log") || starts("._sync_") || starts(".sync_") => Metadata("ownCloud or Nextcloud"),
        () if starts(".syncthing.") && ends(".tmp") || starts("~syncthing~") => InFlight("Syncthing"),
        () if starts(".~") && ends(".tmp") => InFlight("Proton Drive"),
        () if starts(".") && after(".~").is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_hexdigit())) => InFlight("ownCloud or Nextcloud"),
        () if ends("-old.part") => InFlight("pCloud"),
        () if ends("-safebackup-0001.xml.partial") => InFlight("onedrive for Linux"),
        () if ends(".partial") => InFlight("rclone"),
        () if ends(".crdownload") || ends(".download") => InFlight("a browser"),
        () if ends(".!sync") || ends(".bts") => InFlight("Resilio Sync"),
        () if ends(".getxfer.mega") || ends(".mega") => InFlight("MEGA"),
        () if ends(".part") || ends(".tmp") || ends(".temp") || ends(".filepart") => InFlight("an unknown program"),
        () if starts(".goutputstream-") => InFlight("GNOME"),
        () if ends(".nextcloud") => Placeholder("Nextcloud"),
        () if ends(".owncloud") => Placeholder("ownCloud"),
        () if starts(".") && ends(".icloud") => Placeholder("iCloud Drive"),
        () if ends(".cloudf") || ends(".cloud") => Placeholder("ExpanDrive or odrive"),
        () if starts(".bak.") => Backup("Unison"),
        () if ends(".sbak") => Backup("Seafile"),
        () if ends(".bak") || ends("~") || ends(".orig") || ends(".swp") => Backup("an editor"),
        () if starts("#") && ends("#") => Backup("Emacs"),
        () => return None,
    })
}

/// Whose own store a directory is.
pub(super) fn internal(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    Some(match lower.as_str() {
        ".tmp.driveupload" | ".tmp.drivedownload" => "Google Drive",
        ".debris" | "rubbish" => "MEGA",
        ".dropbox.cache" | ".dropbox" => "Dropbox",
        ".sync" => "Resilio Sync",
        ".stfolder" | ".stversions" => "Syncthing",
        ".owncloudsync" | ".nextcloudsync" => "ownCloud or Nextcloud",
        ".seafile-data" | ".seafile" => "Seafile",
        ".synologyworkingdirectory" | "@eadir" | "#recycle" | "#snapshot" => "Synology Drive",
        ".git" | ".svn" | ".hg" => "a version control program",
        ".trash" | ".trashes" | "$recycle.bin" | ".recycle" | "system volume information" | "lost+found" => "the operating system",
        ".spotlight-v100" | ".fseventsd" | ".temporaryitems" | ".documentrevisions-v100" => "macOS",
        ".unison" => "Unison",
        ".ds_store" => "macOS",
        _ if lower.starts_with(".trash-") => "the operating system",
        _ if lower.starts_with(".stfolder") => "Syncthing",
        _ if lower.starts_with(".dropbox.cache") => "Dropbox",
        _ if lower.starts_with(".sync_") || lower.starts_with("._sync_") => "ownCloud or Nextcloud",
        _ => return None,
    })
}
