//! What attributes mean: names, numbers, UUIDs, stamps, each in the one spelling that is written.

use crate::id::Uuid;
use crate::shared::Name;
use crate::stamp::{Stamp, Time};
use crate::xml::Sites;
use crate::xml::pull::{Bad, Pull, Tag};
use crate::xml::text::{is_xml_char, unbase64};
use std::borrow::Cow;

impl<'a> Pull<'a> {
    /// A required attribute.
    pub fn need(&self, tag: &mut Tag<'a>, name: &str) -> Result<String, Bad> {
        Ok(self.required(tag, name)?.into_owned())
    }

    fn required(&self, tag: &mut Tag<'a>, name: &str) -> Result<Cow<'a, str>, Bad> {
        tag.take(name).ok_or_else(|| self.bad(format!("<{}> lacks `{name}`", tag.written)))
    }

    /// A required name of a table or column; see [`crate::xml::Out::name`].
    pub fn name(&self, tag: &mut Tag<'a>, name: &str) -> Result<Name, Bad> {
        let encoded = tag.take_if(|n| n.strip_suffix("-base64") == Some(name));
        let Some(encoded) = encoded else { return Ok(Name::of(&self.required(tag, name)?)) };
        let plain = unbase64(&encoded).and_then(|b| String::from_utf8(b).ok());
        plain.filter(|s| !s.chars().all(is_xml_char) && tag.take(name).is_none()).map(Name::from).ok_or_else(|| self.bad(format!("`{name}-base64` is not a name that needs it")))
    }

    /// A required UUID, lower case with hyphens.
    pub fn uuid(&self, tag: &mut Tag<'a>, name: &str) -> Result<Uuid, Bad> {
        let s = self.required(tag, name)?;
        self.parse_uuid(&s, name)
    }

    /// A UUID in the one spelling that is written; `name` says where it stands.
    pub(crate) fn parse_uuid(&self, s: &str, name: &str) -> Result<Uuid, Bad> {
        crate::id::spelt(s.as_bytes()).ok_or_else(|| self.bad(format!("`{name}` is not a UUID")))
    }

    /// A required whole number.
    pub fn whole(&self, tag: &mut Tag<'a>, name: &str) -> Result<u64, Bad> {
        let s = self.required(tag, name)?;
        s.parse().ok().filter(|n: &u64| n.to_string() == s).ok_or_else(|| self.bad(format!("`{name}` is not a number")))
    }

    /// An optional `yes`.
    pub fn yes(&self, tag: &mut Tag<'a>, name: &str) -> Result<bool, Bad> {
        match tag.take(name).as_deref() {
            None => Ok(false),
            Some("yes") => Ok(true),
            Some(_) => Err(self.bad(format!("`{name}` is not `yes`"))),
        }
    }

    /// The stamp in `s` and `t`, if they are there.
    pub fn stamp(&self, tag: &mut Tag<'a>, sites: &Sites) -> Result<Option<Stamp>, Bad> {
        match (tag.take("s"), tag.take("t")) {
            (None, None) => Ok(None),
            (Some(s), Some(t)) => self.parse_stamp(&s, &t, sites).map(Some),
            _ => Err(self.bad("half a stamp")),
        }
    }

    /// A stamp of a site's number and a time.
    pub(crate) fn parse_stamp(&self, s: &str, t: &str, sites: &Sites) -> Result<Stamp, Bad> {
        let site = sites.site(s).ok_or_else(|| self.bad("an unknown site number"))?;
        let time = Time::parse(t).ok_or_else(|| self.bad("not a stamp"))?;
        Ok(Stamp { time, site })
    }

    /// A required stamp.
    pub fn need_stamp(&self, tag: &mut Tag<'a>, sites: &Sites) -> Result<Stamp, Bad> {
        self.stamp(tag, sites)?.ok_or_else(|| self.bad(format!("<{}> lacks its stamp", tag.written)))
    }

    /// Reads the `<site>` elements at the head of a document.
    pub fn sites(&mut self) -> Result<Sites, Bad> {
        let mut list = std::collections::BTreeSet::new();
        while let Some(mut tag) = self.child()? {
            if tag.name != "site" {
                self.held = Some(tag);
                break;
            }
            let n = self.whole(&mut tag, "n")?;
            let id = self.uuid(&mut tag, "id")?;
            if list.last().is_some_and(|l| *l >= id) || !list.insert(id) || list.len() as u64 != n {
                return Err(self.bad("sites are not in order"));
            }
            self.no_more(&tag)?;
            self.empty()?;
        }
        Ok(Sites::new(list))
    }
}
