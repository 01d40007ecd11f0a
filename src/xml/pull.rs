//! The strict reader under all file kinds: elements, attributes and text, nothing else.

use crate::id::Uuid;
use crate::stamp::{Stamp, Time};
use crate::xml::Sites;
use crate::xml::text::{is_xml_char, unbase64};
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::Event;

/// How deep elements may nest.
const MAX_DEPTH: usize = 32;
/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 64;

/// What is wrong with a file, and where. Never holds content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (line {line}, column {column})")]
pub struct Bad {
    /// What is wrong.
    pub what: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

/// An element's start.
#[derive(Debug)]
pub struct Tag {
    /// Its name as written.
    pub name: String,
    attributes: Vec<(String, String)>,
    start: usize,
}

impl Tag {
    /// Takes an attribute out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let i = self.attributes.iter().position(|(n, _)| n == name)?;
        Some(self.attributes.remove(i).1)
    }

    /// What has not been taken: attributes of a later format.
    pub fn rest(self) -> std::collections::BTreeMap<String, String> {
        self.attributes.into_iter().collect()
    }
}

/// A document being read.
#[derive(Debug)]
pub struct Pull<'a> {
    source: &'a str,
    reader: Reader<&'a [u8]>,
    depth: usize,
    held: Option<Tag>,
}

impl<'a> Pull<'a> {
    /// Starts reading; gives the root element.
    pub fn document(source: &'a str, root: &str) -> Result<(Self, Tag), Bad> {
        let mut reader = Reader::from_str(source);
        reader.config_mut().expand_empty_elements = true;
        let mut p = Pull { source, reader, depth: 0, held: None };
        let tag = p.child()?.ok_or_else(|| p.bad("no root element"))?;
        if tag.name != root {
            return Err(p.bad(format!("the root element is not <{root}>")));
        }
        Ok((p, tag))
    }

    /// An error at the present place.
    pub fn bad(&self, what: impl Into<String>) -> Bad {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(0).min(self.source.len());
        let before = self.source.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        Bad { what: what.into(), line, column }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The next child of the element being read; `None` at its end.
    pub fn child(&mut self) -> Result<Option<Tag>, Bad> {
        if let Some(t) = self.held.take() {
            return Ok(Some(t));
        }
        loop {
            let start = self.position();
            match self.event()? {
                Event::Start(e) => {
                    let name = e.name().as_ref().to_owned();
                    let mut attributes: Vec<(String, String)> = Vec::new();
                    for a in e.attributes() {
                        let a = a.map_err(|_| self.bad("an attribute is malformed or given twice"))?;
                        let value = a.normalized_value(XmlVersion::default()).map_err(|_| self.bad("an unknown entity in an attribute"))?;
                        if !value.chars().all(is_xml_char) {
                            return Err(self.bad("a control character in an attribute"));
                        }
                        attributes.push((a.key.as_ref().to_owned(), value.into_owned()));
                        if attributes.len() > MAX_ATTRIBUTES {
                            return Err(self.bad("too many attributes"));
                        }
                    }
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(self.bad("elements nest too deeply"));
                    }
                    return Ok(Some(Tag { name, attributes, start }));
                }
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(None);
                }
                Event::Text(t) if t.chars().all(|c| matches!(c, ' ' | '\n')) => {}
                Event::Decl(_) if start == 0 => {}
                Event::Eof => return Err(self.bad("the document ends too early")),
                _ => return Err(self.bad("text between elements")),
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, Bad> {
        let e = self.reader.read_event().map_err(|_| self.bad("not well-formed XML"))?;
        match e {
            Event::DocType(_) => Err(self.bad("a DOCTYPE")),
            Event::PI(_) => Err(self.bad("a processing instruction")),
            Event::Comment(_) => Err(self.bad("a comment")),
            Event::CData(_) => Err(self.bad("a CDATA section")),
            e => Ok(e),
        }
    }

    /// The text of the element being read, to its end. Child elements are an error.
    pub fn text(&mut self) -> Result<String, Bad> {
        let mut out = String::new();
        loop {
            match self.event()? {
                Event::Text(t) => {
                    let t = t.into_inner();
                    if !t.chars().all(|c| is_xml_char(c) && c != '\r') {
                        return Err(self.bad("a control character"));
                    }
                    out.push_str(&t);
                }
                Event::GeneralRef(r) => out.push(match &*r.xml10_content() {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => match r.resolve_char_ref() {
                        Ok(Some(c)) if is_xml_char(c) => c,
                        _ => return Err(self.bad("an unknown entity")),
                    },
                }),
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(out);
                }
                _ => return Err(self.bad("an element where text is expected")),
            }
        }
    }

    /// The content of a text element, by its `enc` attribute.
    pub fn bytes(&mut self, tag: &mut Tag) -> Result<Vec<u8>, Bad> {
        let enc = tag.take("enc");
        let text = self.text()?;
        match enc.as_deref() {
            None => Ok(text.into_bytes()),
            Some("base64") => unbase64(&text).ok_or_else(|| self.bad("not base64")),
            Some(_) => Err(self.bad("an unknown encoding")),
        }
    }

    /// The end of an element that has no content.
    pub fn empty(&mut self) -> Result<(), Bad> {
        match self.child()? {
            None => Ok(()),
            Some(_) => Err(self.bad("an element where none is expected")),
        }
    }

    /// Skips the element whose start was read; gives it as it stands in the source.
    pub fn skip(&mut self, tag: &Tag) -> Result<&'a str, Bad> {
        let depth = self.depth;
        while self.depth >= depth {
            match self.event()? {
                Event::Start(_) => self.depth += 1,
                Event::End(_) => self.depth -= 1,
                Event::Eof => return Err(self.bad("the document ends too early")),
                _ => {}
            }
            if self.depth > MAX_DEPTH {
                return Err(self.bad("elements nest too deeply"));
            }
        }
        let end = self.position();
        self.source.get(tag.start..end).ok_or_else(|| self.bad("not well-formed XML"))
    }

    /// The end of the document: nothing may follow the root.
    pub fn end(&mut self) -> Result<(), Bad> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Text(t) if t.chars().all(|c| c == '\n') => {}
                _ => return Err(self.bad("something after the root element")),
            }
        }
    }

    /// A required attribute.
    pub fn need(&self, tag: &mut Tag, name: &str) -> Result<String, Bad> {
        tag.take(name).ok_or_else(|| self.bad(format!("<{}> lacks `{name}`", tag.name)))
    }

    /// A required UUID, lower case with hyphens.
    pub fn uuid(&self, tag: &mut Tag, name: &str) -> Result<Uuid, Bad> {
        let s = self.need(tag, name)?;
        Uuid::parse_str(&s).ok().filter(|u| u.to_string() == s).ok_or_else(|| self.bad(format!("`{name}` is not a UUID")))
    }

    /// A required whole number.
    pub fn whole(&self, tag: &mut Tag, name: &str) -> Result<u64, Bad> {
        let s = self.need(tag, name)?;
        s.parse().ok().filter(|n: &u64| n.to_string() == s).ok_or_else(|| self.bad(format!("`{name}` is not a number")))
    }

    /// An optional `yes`.
    pub fn yes(&self, tag: &mut Tag, name: &str) -> Result<bool, Bad> {
        match tag.take(name).as_deref() {
            None => Ok(false),
            Some("yes") => Ok(true),
            Some(_) => Err(self.bad(format!("`{name}` is not `yes`"))),
        }
    }

    /// The stamp in `s` and `t`, if they are there.
    pub fn stamp(&self, tag: &mut Tag, sites: &Sites) -> Result<Option<Stamp>, Bad> {
        let (s, t) = match (tag.take("s"), tag.take("t")) {
            (None, None) => return Ok(None),
            (Some(s), Some(t)) => (s, t),
            _ => return Err(self.bad("half a stamp")),
        };
        let site = sites.site(&s).ok_or_else(|| self.bad("an unknown site number"))?;
        let time = Time::parse(&t).ok_or_else(|| self.bad("not a stamp"))?;
        Ok(Some(Stamp { time, site }))
    }

    /// A required stamp.
    pub fn need_stamp(&self, tag: &mut Tag, sites: &Sites) -> Result<Stamp, Bad> {
        self.stamp(tag, sites)?.ok_or_else(|| self.bad(format!("<{}> lacks its stamp", tag.name)))
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
            self.empty()?;
        }
        Ok(Sites::new(list))
    }
}
