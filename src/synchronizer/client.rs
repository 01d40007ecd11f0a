//! Which cloud client keeps a directory in step, by the marks that clients leave.

use std::path::{Path, PathBuf};

/// Files and directories that a client leaves in the top of what it keeps.
const MARKS: [(&str, &str); 9] = [
    (".dropbox", "Dropbox"),
    (".dropbox.cache", "Dropbox"),
    (".stfolder", "Syncthing"),
    (".sync_", "Nextcloud"),
    (".owncloudsync.log", "ownCloud"),
    (".nextcloudsync.log", "Nextcloud"),
    (".tmp.driveupload", "Google Drive"),
    (".849C9593-D756-4E56-8D6E-42412F2A707B", "OneDrive"),
    (".seafile-data", "Seafile"),
];
/// How clients name the directory that they keep.
const NAMES: [(&str, &str); 8] = [
    ("dropbox", "Dropbox"),
    ("onedrive", "OneDrive"),
    ("google drive", "Google Drive"),
    ("my drive", "Google Drive"),
    ("nextcloud", "Nextcloud"),
    ("icloud drive", "iCloud"),
    ("com~apple~clouddocs", "iCloud"),
    ("seafile", "Seafile"),
];

/// The directory at or above `path` that a cloud client keeps, and the client.
pub fn cloud_client(path: &Path) -> Option<(PathBuf, &'static str)> {
    path.ancestors().find_map(|dir| {
        let name = dir.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let by_name = NAMES.iter().find(|(n, _)| name == *n || name.starts_with(&format!("{n} - ")));
        // A marker in a home directory says where a client's folder is, not that this is it.
        let by_mark = || MARKS.iter().find(|(m, _)| dir.join(m).exists()).filter(|_| !is_home(dir));
        by_name.or_else(by_mark).map(|(_, client)| (dir.to_owned(), *client))
    })
}

fn is_home(dir: &Path) -> bool {
    etcetera::home_dir().is_ok_and(|h| h == dir) || dir.parent().is_none()
}
