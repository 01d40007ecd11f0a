//! Change log segments: one site's deltas, written once, by that site only.

use crate::id::{RecordId, SiteId, Uuid};
use crate::record::Delta;
use crate::shared::Name;
use crate::stamp::{Stamp, Time};
use crate::xml::{self, Error, Out, Pull, Sites};
use std::collections::BTreeSet;

/// A delta larger than this travels as [`Item::Named`] instead, in bytes.
pub const MAX_DELTA_BYTES: usize = 16 << 10;
/// A segment is closed before it grows beyond this, in bytes.
pub const MAX_SEGMENT_BYTES: usize = 1 << 20;

/// One entry of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// What changed, whole.
    Delta(Box<Delta>),
    /// Large and bulk changes: only which record file has them.
    Named {
        /// The record's type.
        kind: Name,
        /// The record.
        id: RecordId,
        /// The hash inside the record file as the writer wrote it.
        sha256: String,
        /// The newest stamp of the writer in it: met when a version covers it.
        stamp: Stamp,
    },
}

impl Item {
    /// The type of the record it is about.
    pub fn kind(&self) -> &Name {
        match self {
            Item::Delta(d) => &d.part.kind,
            Item::Named { kind, .. } => kind,
        }
    }

    /// As bytes that hold nothing else.
    pub fn alone(&self, folder: &Uuid) -> Vec<u8> {
        Segment { site: SiteId::nil(), seq: 0, previous: String::new(), items: vec![self.clone()] }.write(folder)
    }

    /// The newest stamp of a site in it.
    pub fn newest(&self, of: &SiteId) -> Option<Time> {
        match self {
            Item::Delta(d) => d.part.version.0.get(of).copied(),
            Item::Named { stamp, .. } => (stamp.site == *of).then_some(stamp.time),
        }
    }

    /// The record it is about.
    pub fn record(&self) -> RecordId {
        match self {
            Item::Delta(d) => d.part.id,
            Item::Named { id, .. } => *id,
        }
    }
}

impl Item {
    /// A named record in one line, for our own tables: a first export has one for each record.
    /// `None` for a delta.
    pub fn line(&self) -> Option<String> {
        let Item::Named { kind, sha256, stamp, .. } = self else { return None };
        Some(format!("{sha256} {} {} {kind}", stamp.site, stamp.time.text()))
    }

    /// Reads what [`Item::line`] wrote about a record.
    pub fn of_line(id: RecordId, line: &str) -> Option<Item> {
        let mut parts = line.splitn(4, ' ');
        let sha256 = parts.next()?.to_owned();
        let site = SiteId::parse_str(parts.next()?).ok()?;
        let time = Time::parse(parts.next()?)?;
        Some(Item::Named { kind: parts.next()?.into(), id, sha256, stamp: Stamp { time, site } })
    }
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Whose log.
    pub site: SiteId,
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// The hash inside the segment before; empty for the first.
    pub previous: String,
    /// What changed.
    pub items: Vec<Item>,
}

impl Segment {
    /// The segment's file name.
    pub fn file_name(seq: u64) -> String {
        format!("{seq:08}.xml")
    }

    /// The number in a segment's file name; `None` for any other name.
    pub fn number(name: &str) -> Option<u64> {
        let n: u64 = name.strip_suffix(".xml")?.parse().ok()?;
        (Self::file_name(n) == name).then_some(n)
    }

    /// The segment as the bytes of its file.
    pub fn write(&self, folder: &Uuid) -> Vec<u8> {
        let mut all = BTreeSet::new();
        for item in &self.items {
            match item {
                Item::Delta(d) => {
                    xml::sites_of(&d.part, &mut all);
                    all.extend(d.before.0.keys());
                }
                Item::Named { stamp, .. } => {
                    all.insert(stamp.site);
                }
            }
        }
        let sites = Sites::new(all);
        let mut o = Out::document("log", folder);
        o.uuid("site", &self.site).attr("seq", &self.seq.to_string()).attr("previous", &self.previous).raw(">\n");
        xml::write_sites(&mut o, &sites);
        for item in &self.items {
            match item {
                Item::Delta(d) => xml::write_delta(&mut o, d, &sites),
                Item::Named { kind, id, sha256, stamp } => {
                    o.open(1, "named").name("type", kind).uuid("id", id).stamp(stamp, &sites).attr("sha256", sha256).raw("/>\n");
                }
            }
        }
        xml::seal(o.bytes, "log")
    }

    /// Reads a segment; gives it and the hash inside it.
    pub fn read(bytes: &[u8], folder: &Uuid) -> Result<(Segment, String), Error> {
        let (text, hash) = xml::unseal(bytes, "log")?;
        let (mut p, mut root) = Pull::document(text, "log")?;
        xml::head(&p, &mut root, folder)?;
        let mut s = Segment { site: p.uuid(&mut root, "site")?, seq: p.whole(&mut root, "seq")?, previous: p.need(&mut root, "previous")?, items: Vec::new() };
        let sites = p.sites()?;
        while let Some(mut tag) = p.child()? {
            match tag.name {
                "record" => s.items.push(Item::Delta(xml::read_delta(&mut p, tag, &sites)?.into())),
                "named" => {
                    let kind = p.name(&mut tag, "type")?;
                    let id = p.uuid(&mut tag, "id")?;
                    let stamp = p.need_stamp(&mut tag, &sites)?;
                    let sha256 = p.need(&mut tag, "sha256")?;
                    if sha256.len() != 64 || xml::unhex(&sha256).is_none() {
                        return Err(p.bad("not a SHA-256").into());
                    }
                    p.empty()?;
                    s.items.push(Item::Named { kind, id, sha256, stamp });
                }
                // What a later format adds to a segment is for later programs.
                _ => {
                    p.skip(&tag)?;
                }
            }
        }
        p.end()?;
        Ok((s, hash.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_record_has_the_hash_of_a_file() {
        let site = SiteId::from_bytes([7; 16]);
        let read = |sha256: &str| {
            let item = Item::Named { kind: "patient".into(), id: RecordId::from_bytes([1; 16]), sha256: sha256.to_owned(), stamp: Stamp { time: Time::default(), site } };
            Segment::read(&item.alone(&Uuid::nil()), &Uuid::nil()).map(|(s, _)| s.items == [item])
        };
        assert_eq!(read(&"ab".repeat(32)), Ok(true));
        for other in ["", "ab", "a b", &"AB".repeat(32), &"g".repeat(64)] {
            assert!(read(other).unwrap_err().to_string().contains("not a SHA-256"));
        }
    }

    #[test]
    fn a_delta_has_no_attribute_that_its_record_file_has() {
        let delta = Item::Delta(Delta { before: Default::default(), part: crate::record::Record::new("patient", RecordId::from_bytes([1; 16])) }.into());
        let bytes = String::from_utf8(delta.alone(&Uuid::nil())).unwrap();
        let body = bytes.split(" <sha256>").next().unwrap();
        for (attribute, fine) in [("", true), (" later=\"1\"", true), (" folder=\"1\"", false), (" format=\"1\"", false), (" xmlns=\"urn:cloud-folder-sync:1\"", false)] {
            let with = body.replace(" partial=\"yes\"", &format!(" partial=\"yes\"{attribute}"));
            let read = Segment::read(&xml::seal(with.into_bytes(), "log"), &Uuid::nil());
            assert_eq!(read.is_ok(), fine, "{attribute}");
        }
    }
}
