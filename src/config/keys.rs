//! Which keys there are. Checked before the values are read, so that a slip of the pen is answered
//! with the name that was meant.

use super::{ConfigError, Source};
use toml::de::{DeTable, DeValue};

const TOP: [&str; 15] = [
    "database",
    "folder",
    "site",
    "use_logs",
    "delete_conflicts",
    "auto_sync_minutes",
    "sync_at",
    "page_port",
    "local_deletes",
    "capture",
    "state_dir",
    "retention_days",
    "type",
    "table",
    "leave_out",
];
const TYPE: [&str; 4] = ["match_on", "match_check", "where", "shared"];
const TABLE: [&str; 14] =
    ["owner", "keys", "local", "references", "references_by", "references_in_text", "ignore", "fill", "renamed", "review", "rules", "single", "rewrites", "local_deletes"];
const LOCAL: [&str; 3] = ["assign", "count", "keep_if_free"];

/// The candidate most like a name, if one is like it at all.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name = name.to_lowercase();
    let scored = candidates.into_iter().map(|c| (strsim::jaro_winkler(&name, &c.to_lowercase()), c));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 >= 0.75).then(|| best.1.to_owned())
}

/// Finds the first key that nothing knows.
pub(super) fn check(source: &Source) -> Result<(), ConfigError> {
    let parsed = DeTable::parse(&source.text).map_err(|e| source.broken(&e))?;
    let root = parsed.get_ref();
    known(source, root, &TOP, "")?;
    for (section, keys) in [("type", TYPE.as_slice()), ("table", TABLE.as_slice())] {
        let Some(tables) = root.iter().find(|(k, _)| k.get_ref() == section).and_then(|(_, v)| v.get_ref().as_table()) else { continue };
        for (name, value) in tables {
            let Some(table) = value.get_ref().as_table() else { continue };
            known(source, table, keys, &format!(" of [{section}.{}]", name.get_ref()))?;
            let locals = table.iter().find(|(k, _)| k.get_ref() == "local").and_then(|(_, v)| v.get_ref().as_table());
            for (_, local) in locals.into_iter().flatten() {
                if let DeValue::Table(local) = local.get_ref() {
                    known(source, local, &LOCAL, " of a local column")?;
                }
            }
        }
    }
    Ok(())
}

fn known(source: &Source, table: &DeTable<'_>, keys: &[&str], section: &str) -> Result<(), ConfigError> {
    let unknown = table.iter().filter(|(k, _)| !keys.contains(&k.get_ref().as_ref())).min_by_key(|(k, _)| k.span().start);
    let Some((key, _)) = unknown else { return Ok(()) };
    Err(ConfigError::UnknownKey {
        at: source.at(source.line(key.span().start)),
        section: section.to_owned(),
        key: key.get_ref().to_string(),
        near: nearest(key.get_ref(), keys.iter().copied()),
    })
}
