//! Whether this place and the one that set the folder up take the same tables for records of their own. Rows that are
//! part of a patient's record here and records themselves elsewhere would each lie where the other never looks.

use super::Error;
use crate::config::Config;
use crate::host::mapping::Mapping;
use crate::manifest::Manifest;
use crate::state::State;
use sha2::{Digest as _, Sha256};

/// Refuses what would not meet. What was found to agree is remembered: this costs a hash of the folder's mapping.
pub(super) fn agrees(state: &State<'_>, manifest: &Manifest, mapping: &Mapping) -> Result<(), Error> {
    if manifest.mapping.is_empty() {
        return Ok(());
    }
    let mut seen = Sha256::new_with_prefix(manifest.mapping.as_bytes());
    for t in &mapping.tables {
        seen.update([u8::from(t.owner.is_none())]);
        seen.update(t.name.as_bytes());
        seen.update([0]);
    }
    let seen: Vec<u8> = seen.finalize().to_vec();
    let agreed = state.meta::<Vec<u8>>("agrees")?;
    if agreed.as_ref() == Some(&seen) {
        return Ok(());
    }
    // What places did in common before anybody compared goes on.
    if agreed.is_some() || !state.any()? {
        differs(manifest, mapping)?;
    }
    Ok(state.set_meta("agrees", seen)?)
}

/// The same, without remembering it.
pub fn differs(manifest: &Manifest, mapping: &Mapping) -> Result<(), Error> {
    // A mapping of a later version says what we cannot read; each place goes by its own.
    let Ok(theirs) = Config::of_shared(&manifest.mapping) else { return Ok(()) };
    for t in &mapping.tables {
        let there = theirs.types.keys().any(|n| n.eq_ignore_ascii_case(&t.name));
        let part = theirs.table(&t.name).is_some() && !there;
        let (root, out) = (t.owner.is_none(), theirs.left_out(&t.name));
        if !out && (root && part || !root && there) {
            let kind = mapping.types.get(t.kind).map_or("", |k| &k.name);
            return Err(Error::OtherRecords { table: t.name.to_string(), here: if root { String::new() } else { kind.to_owned() } });
        }
    }
    Ok(())
}
