//! The folder's own file, `cloud-folder-sync.xml`: its id, its key, what it holds.

use crate::id::Uuid;
use crate::stamp::Time;
use crate::xml::{self, Error, Out, Pull};
use std::collections::BTreeSet;

/// The manifest's name at the top of the sync folder.
pub const FILE_NAME: &str = "cloud-folder-sync.xml";

/// What the folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The folder's id.
    pub folder: Uuid,
    /// The key that derived identities depend on, so that they say nothing outside this folder.
    pub key: Vec<u8>,
    /// When it was set up.
    pub created: Time,
    /// How many days deleted content is kept.
    pub retention_days: u64,
    /// The record types in it.
    pub types: BTreeSet<String>,
    /// What the place that set the folder up synchronizes, as the tables of its `cfs.toml`: who joins
    /// proposes the same (decision 0016). Empty where nothing is said.
    pub mapping: String,
}

impl Manifest {
    /// The bytes of the manifest.
    pub fn write(&self) -> Vec<u8> {
        let mut o = Out::document("cloud-folder-sync", &self.folder);
        o.attr("key", &xml::hex(&self.key)).attr("created", &self.created.text()).attr("retention-days", &self.retention_days.to_string()).raw(">\n");
        for t in &self.types {
            o.open(1, "type").name("name", t).raw("/>\n");
        }
        if !self.mapping.is_empty() {
            o.text_element(1, "mapping", self.mapping.as_bytes());
        }
        xml::seal(o.bytes, "cloud-folder-sync")
    }

    /// Reads a manifest. The folder's id is what it says.
    pub fn read(bytes: &[u8]) -> Result<Manifest, Error> {
        let (text, _) = xml::unseal(bytes, "cloud-folder-sync")?;
        let (mut p, mut root) = Pull::document(text, "cloud-folder-sync")?;
        let folder = xml::format_and_folder(&p, &mut root)?;
        let key = p.need(&mut root, "key")?;
        let key = xml::unhex(&key).ok_or_else(|| p.bad("`key` is not hex"))?;
        let created = p.need(&mut root, "created")?;
        let created = Time::parse(&created).ok_or_else(|| p.bad("not a stamp"))?;
        let retention_days = p.whole(&mut root, "retention-days")?;
        let (mut types, mut mapping) = (BTreeSet::new(), None);
        while let Some(mut tag) = p.child()? {
            match tag.name {
                "type" => {
                    types.insert(p.name(&mut tag, "name")?.to_string());
                    p.empty()?;
                }
                "mapping" => {
                    let text = String::from_utf8(p.bytes(&mut tag)?.into_owned()).map_err(|_| p.bad("not UTF-8"))?;
                    if mapping.replace(text).is_some() {
                        return Err(p.bad("an element that stands twice").into());
                    }
                }
                _ => drop(p.skip(&tag)?),
            }
        }
        p.end()?;
        Ok(Manifest { folder, key, created, retention_days, types, mapping: mapping.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(mapping: &str) -> Manifest {
        Manifest { folder: Uuid::nil(), key: vec![1], created: Time::default(), retention_days: 30, types: BTreeSet::from(["patient".to_owned()]), mapping: mapping.to_owned() }
    }

    #[test]
    fn a_mapping_that_xml_cannot_hold_reads_back() {
        for mapping in ["", "[type.patient]\n", "[leave_out]\nlog = \"\u{ffff}\u{1}\"\n"] {
            let m = manifest(mapping);
            assert_eq!(Manifest::read(&m.write()), Ok(m));
        }
    }

    #[test]
    fn there_is_one_mapping() {
        let bytes = String::from_utf8(manifest("[type.a]\n").write()).unwrap();
        let body = bytes.split(" <sha256>").next().unwrap();
        let twice = xml::seal(format!("{body} <mapping/>\n").into_bytes(), "cloud-folder-sync");
        assert!(Manifest::read(&twice).unwrap_err().to_string().contains("an element that stands twice"));
    }
}
