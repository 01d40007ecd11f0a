//! Changing settings in `cfs.toml` and nothing else of it: its comments and its order belong to a person.

use super::{Config, ConfigError, Source};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Value};

/// A setting of the file's first part, and its new value.
pub type Setting = (&'static str, Value);

/// The file's text with these settings. The comments beside a setting stay there.
pub fn changed(text: &str, file: &Path, settings: &[Setting]) -> Result<String, ConfigError> {
    let source = Source { file: file.to_owned(), text: text.to_owned() };
    let mut doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| ConfigError::Value { at: source.place(&[], None), what: e.message().to_owned() })?;
    for (key, value) in settings {
        let mut value = value.clone();
        match doc.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) => {
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
            // A setting that stands nowhere goes before the first section.
            None => {
                doc.insert(key, Item::Value(value));
            }
        }
    }
    let new = doc.to_string();
    // What is written can be read.
    Config::parse(&new, file)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Ours.\ndatabase = \"clinic.db\"\nfolder = \"/srv/sync\"   # the shared one\nsite = \"North\"\n\nuse_logs = true            # write change logs\n\n# ---- Types\n[type.patient]\nmatch_on = [\"a\"] # why\n";

    #[test]
    fn comments_and_order_stay() {
        let file = Path::new("/etc/cfs/cfs.toml");
        let new = changed(TEXT, file, &[("use_logs", false.into()), ("auto_sync_minutes", 15.into()), ("folder", "/mnt/x \"y\"".into())]).unwrap();
        let want = TEXT
            .replace("use_logs = true ", "use_logs = false ")
            .replace("\"/srv/sync\"", "'/mnt/x \"y\"'")
            .replace("# write change logs\n", "# write change logs\nauto_sync_minutes = 15\n");
        assert_eq!(new, want);
        let c = Config::parse(&new, file).unwrap();
        assert!(!c.use_logs && c.auto_sync_minutes == 15 && c.folder == Path::new("/mnt/x \"y\""));
        assert_eq!(changed(TEXT, file, &[]).unwrap(), TEXT);
        assert!(changed(TEXT, file, &[("use_logs", 4.into())]).is_err(), "what could not be read is not written");
        assert!(changed("a = = 1", file, &[]).is_err());
    }
}
