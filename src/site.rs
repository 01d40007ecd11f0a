//! Site files: who a site is, its newest segment, what it has seen of the others.

use crate::id::{SiteId, Uuid};
use crate::stamp::Time;
use crate::xml::{self, Error, Out, Pull};
use std::collections::{BTreeMap, BTreeSet};

/// What a site says of itself. Only that site writes its file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// The site.
    pub id: SiteId,
    /// The name a person chose.
    pub name: String,
    /// When the file was written.
    pub written: Time,
    /// The program's version.
    pub program: String,
    /// Whether it writes change logs.
    pub logs: bool,
    /// Its newest segment; 0 where it has none.
    pub newest: u64,
    /// The hash inside its newest segment.
    pub newest_sha256: String,
    /// Its oldest segment still kept.
    pub oldest: u64,
    /// What it has read of the others: per site, the last segment of the unbroken row.
    pub read: BTreeMap<SiteId, u64>,
    /// Segments it withdrew because a record in them was erased.
    pub withdrawn: BTreeSet<u64>,
    /// Sites that a person here retired.
    pub retired: BTreeSet<SiteId>,
    /// How many columns it synchronizes; 0 where it does not say.
    pub columns: u64,
    /// The id this site had before it found itself restored or copied.
    pub before: Option<SiteId>,
}

impl Site {
    /// The site file's name.
    pub fn file_name(id: &SiteId) -> String {
        format!("{id}.xml")
    }

    /// The bytes of the site file.
    pub fn write(&self, folder: &Uuid) -> Vec<u8> {
        let mut o = Out::document("site", folder);
        o.uuid("id", &self.id).attr("name", &self.name).attr("written", &self.written.text()).attr("program", &self.program);
        o.attr("logs", if self.logs { "yes" } else { "no" }).attr("newest", &self.newest.to_string()).attr("newest-sha256", &self.newest_sha256);
        o.attr("oldest", &self.oldest.to_string());
        if let Some(b) = &self.before {
            o.uuid("before", b);
        }
        if self.columns > 0 {
            o.attr("columns", &self.columns.to_string());
        }
        o.raw(">\n");
        for (site, upto) in &self.read {
            o.open(1, "read").uuid("site", site).attr("upto", &upto.to_string()).raw("/>\n");
        }
        for seq in &self.withdrawn {
            o.open(1, "withdrawn").attr("seq", &seq.to_string()).raw("/>\n");
        }
        for site in &self.retired {
            o.open(1, "retired").uuid("site", site).raw("/>\n");
        }
        xml::seal(o.bytes, "site")
    }

    /// Reads a site file.
    pub fn read(bytes: &[u8], folder: &Uuid) -> Result<Site, Error> {
        let (text, _) = xml::unseal(bytes, "site")?;
        let (mut p, mut root) = Pull::document(text, "site")?;
        xml::head(&p, &mut root, folder)?;
        let mut s = Site { id: p.uuid(&mut root, "id")?, name: p.need(&mut root, "name")?, ..Site::default() };
        let written = p.need(&mut root, "written")?;
        s.written = Time::parse(&written).ok_or_else(|| p.bad("not a stamp"))?;
        s.program = p.need(&mut root, "program")?;
        s.logs = p.need(&mut root, "logs")? == "yes";
        s.newest = p.whole(&mut root, "newest")?;
        s.newest_sha256 = p.need(&mut root, "newest-sha256")?;
        s.oldest = p.whole(&mut root, "oldest")?;
        s.before = root.take("before").and_then(|b| Uuid::parse_str(&b).ok());
        s.columns = root.take("columns").and_then(|n| n.parse().ok()).unwrap_or(0);
        while let Some(mut tag) = p.child()? {
            match tag.name {
                "read" => {
                    let site = p.uuid(&mut tag, "site")?;
                    let upto = p.whole(&mut tag, "upto")?;
                    s.read.insert(site, upto);
                    p.empty()?;
                }
                "withdrawn" => {
                    s.withdrawn.insert(p.whole(&mut tag, "seq")?);
                    p.empty()?;
                }
                "retired" => {
                    s.retired.insert(p.uuid(&mut tag, "site")?);
                    p.empty()?;
                }
                _ => {
                    p.skip(&tag)?;
                }
            }
        }
        p.end()?;
        Ok(s)
    }
}
