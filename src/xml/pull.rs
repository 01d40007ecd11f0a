//! The strict reader under all file kinds: elements, attributes and text, nothing else.

use crate::planted;
use crate::record::Unknown;
use crate::xml::text::{DECLARATION, NAMESPACE, escaped_len, first_bad_char, is_name, is_xml_char, unbase64};
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesRef, BytesStart, BytesText, Event};
use std::borrow::Cow;

/// How deep elements may nest.
const MAX_DEPTH: usize = 32;
/// How deep an element of a later format may nest below itself: with it a record is never too
/// deep in one kind of file and not in another.
const MAX_DEPTH_UNKNOWN: usize = 16;
/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 64;
/// How long an attribute may be, in bytes. Names of tables and columns stand in attributes.
const MAX_ATTRIBUTE_BYTES: usize = 64 << 10;

const UNDECLARED: &str = "a namespace prefix that its element does not declare";

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
pub struct Tag<'a> {
    /// Its name as written; empty for an element whose own `xmlns` is not ours, which is none of
    /// those we know, whatever it is called.
    pub name: &'a str,
    /// Its name as written.
    pub(crate) written: &'a str,
    attributes: Vec<(&'a str, Cow<'a, str>)>,
    start: usize,
}

impl<'a> Tag<'a> {
    /// Takes an attribute out.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.take_if(|n| n == name)
    }

    /// Takes the first attribute out whose name will do.
    pub(super) fn take_if(&mut self, name: impl Fn(&str) -> bool) -> Option<Cow<'a, str>> {
        let i = self.attributes.iter().position(|(n, _)| name(n))?;
        Some(self.attributes.remove(i).1)
    }

    fn declares(&self, prefix: &str) -> bool {
        prefix == "xml" || self.attributes.iter().any(|(n, _)| n.strip_prefix("xmlns:") == Some(prefix))
    }

    /// The prefixes that the element uses, for itself and for its attributes.
    fn prefixes(&self) -> impl Iterator<Item = &'a str> {
        let names = std::iter::once(self.written).chain(self.attributes.iter().map(|(n, _)| *n));
        names.filter_map(|n| n.split_once(':')).map(|(p, _)| p).filter(|p| *p != "xmlns")
    }
}

/// A document being read.
#[derive(Debug)]
pub struct Pull<'a> {
    source: &'a str,
    reader: Reader<&'a [u8]>,
    depth: usize,
    pub(super) held: Option<Tag<'a>>,
}

impl<'a> Pull<'a> {
    /// Starts reading; gives the root element.
    pub fn document(source: &'a str, root: &str) -> Result<(Self, Tag<'a>), Bad> {
        let mut reader = Reader::from_str(source);
        reader.config_mut().expand_empty_elements = true;
        let mut p = Pull { source, reader, depth: 0, held: None };
        if !source.starts_with(DECLARATION) {
            return Err(p.bad("the XML declaration is missing or another"));
        }
        // Once for the whole document, names and what is carried unread included.
        if let Some(at) = first_bad_char(source) {
            return Err(p.bad_at(at, "a control character"));
        }
        let tag = p.child()?.ok_or_else(|| p.bad("no root element"))?;
        if tag.written != root {
            return Err(p.bad(format!("the root element is not <{root}>")));
        }
        Ok((p, tag))
    }

    /// An error at the present place.
    pub fn bad(&self, what: impl Into<String>) -> Bad {
        self.bad_at(self.position(), what)
    }

    fn bad_at(&self, at: usize, what: impl Into<String>) -> Bad {
        let before = self.source.as_bytes().get(..at.min(self.source.len())).unwrap_or_default();
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        Bad { what: what.into(), line, column }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The next child of the element being read; `None` at its end.
    pub fn child(&mut self) -> Result<Option<Tag<'a>>, Bad> {
        if let Some(t) = self.held.take() {
            return Ok(Some(t));
        }
        loop {
            let start = self.position();
            match self.event()? {
                Event::Start(e) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(self.bad("elements nest too deeply"));
                    }
                    return Ok(Some(self.tag(&e, start)?));
                }
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(None);
                }
                Event::Text(t) if t.bytes().all(|c| matches!(c, b' ' | b'\n')) => {}
                Event::Eof => return Err(self.bad("the document ends too early")),
                _ => return Err(self.bad("text between elements")),
            }
        }
    }

    /// The start of an element, its attributes checked.
    fn tag(&self, e: &BytesStart<'_>, start: usize) -> Result<Tag<'a>, Bad> {
        // The event borrows from itself; the same text in the source lives as long as that does.
        let inside = self.source.get(start + 1..start + 1 + e.len()).filter(|s| *s == &**e).ok_or_else(|| self.bad("not well-formed XML"))?;
        let len = e.name().0.len();
        let written = &inside[..len];
        if !is_name(written) {
            return Err(self.bad("not an element's name"));
        }
        let mut tag = Tag { name: written, written, attributes: Vec::new(), start };
        for a in Attributes::new(inside, len) {
            let a = a.map_err(|_| self.bad("an attribute is malformed or given twice"))?;
            let (name, raw) = (a.key.0, a.value.as_ref());
            if tag.attributes.len() == MAX_ATTRIBUTES {
                return Err(self.bad("too many attributes"));
            }
            if raw.len() > MAX_ATTRIBUTE_BYTES {
                return Err(self.bad("an attribute is too long"));
            }
            // quick-xml lets these pass, and other readers would then refuse the whole file.
            let at = name.as_ptr() as usize - inside.as_ptr() as usize;
            if !is_name(name) || raw.contains('<') || !inside[..at].ends_with([' ', '\n', '\t']) {
                return Err(self.bad("an attribute is malformed or given twice"));
            }
            let value = a.normalized_value(XmlVersion::default()).map_err(|_| self.bad("an unknown entity in an attribute"))?;
            if matches!(value, Cow::Owned(_)) && !value.chars().all(is_xml_char) {
                return Err(self.bad("a control character in an attribute"));
            }
            // Other quotes and other escapes may be shorter than ours: what is read must be readable when it is written.
            if escaped_len(&value) > MAX_ATTRIBUTE_BYTES {
                return Err(self.bad("an attribute is too long"));
            }
            let value = match value {
                // Not changed, so it stands in the source.
                Cow::Borrowed(b) => {
                    let from = b.as_ptr() as usize - inside.as_ptr() as usize;
                    Cow::Borrowed(inside.get(from..from + b.len()).unwrap_or_default())
                }
                Cow::Owned(o) => Cow::Owned(o),
            };
            if name == "xmlns" && value != NAMESPACE {
                tag.name = "";
            }
            if name.starts_with("xmlns:") && (value == NAMESPACE || value.is_empty()) {
                return Err(self.bad("a namespace prefix for nothing or for this format"));
            }
            tag.attributes.push((name, value));
        }
        Ok(tag)
    }

    fn event(&mut self) -> Result<Event<'a>, Bad> {
        let start = self.position();
        let e = self.reader.read_event().map_err(|_| self.bad("not well-formed XML"))?;
        match e {
            Event::DocType(_) => Err(self.bad("a DOCTYPE")),
            Event::PI(_) => Err(self.bad("a processing instruction")),
            Event::Decl(_) if start == 0 => self.event(),
            Event::Decl(_) => Err(self.bad("a second XML declaration")),
            Event::Comment(_) => Err(self.bad("a comment")),
            Event::CData(_) => Err(self.bad("a CDATA section")),
            Event::Text(t) if t.contains("]]>") => Err(self.bad("not well-formed XML")),
            e => Ok(e),
        }
    }

    /// The character that a reference stands for.
    fn reference(&self, r: &BytesRef<'_>) -> Result<char, Bad> {
        match &**r {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "quot" => Ok('"'),
            "apos" => Ok('\''),
            number if number.starts_with('#') => match r.resolve_char_ref() {
                Ok(Some(c)) if is_xml_char(c) => Ok(c),
                _ => Err(self.bad("a reference to a character that XML cannot hold")),
            },
            _ => Err(self.bad("an unknown entity")),
        }
    }

    /// The text of the element being read, to its end. Child elements are an error.
    pub fn text(&mut self) -> Result<Cow<'a, str>, Bad> {
        let mut out = Cow::Borrowed("");
        loop {
            match self.event()? {
                Event::Text(t) if out.is_empty() => out = BytesText::into_inner(t),
                Event::Text(t) => out.to_mut().push_str(&t),
                Event::GeneralRef(_) if planted::bug("entity-lost") => {}
                Event::GeneralRef(r) => out.to_mut().push(self.reference(&r)?),
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(out);
                }
                Event::Eof => return Err(self.bad("the document ends too early")),
                _ => return Err(self.bad("an element where text is expected")),
            }
        }
    }

    /// The content of a text element, by its `enc` attribute.
    pub fn bytes(&mut self, tag: &mut Tag<'a>) -> Result<Cow<'a, [u8]>, Bad> {
        let enc = tag.take("enc");
        let text = self.text()?;
        match enc.as_deref() {
            None => Ok(match text {
                Cow::Borrowed(s) => Cow::Borrowed(s.as_bytes()),
                Cow::Owned(s) => Cow::Owned(s.into_bytes()),
            }),
            Some("base64") => unbase64(&text).map(Cow::Owned).ok_or_else(|| self.bad("not base64")),
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

    /// Skips the element whose start was read; gives it as it stands in the source. It must be
    /// well-formed by itself: it will stand in other documents.
    pub fn skip(&mut self, tag: &Tag<'a>) -> Result<&'a str, Bad> {
        let depth = self.depth;
        let mut scope: Vec<Tag<'a>> = Vec::new();
        self.declared(tag)?;
        while self.depth >= depth {
            let start = self.position();
            match self.event()? {
                Event::Start(e) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH || self.depth - depth > MAX_DEPTH_UNKNOWN {
                        return Err(self.bad("elements nest too deeply"));
                    }
                    let inner = self.tag(&e, start)?;
                    scope.push(inner);
                    let declared = |p| tag.declares(p) || scope.iter().any(|t| t.declares(p));
                    if !scope.last().into_iter().flat_map(Tag::prefixes).all(declared) {
                        return Err(self.bad(UNDECLARED));
                    }
                }
                Event::End(_) => {
                    self.depth -= 1;
                    scope.pop();
                }
                Event::GeneralRef(r) => {
                    self.reference(&r)?;
                }
                Event::Eof => return Err(self.bad("the document ends too early")),
                _ => {}
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
                Event::Text(t) if t.bytes().all(|c| c == b'\n') => {}
                _ => return Err(self.bad("something after the root element")),
            }
        }
    }

    /// An element's attributes must use no prefix that it does not declare itself: it will stand
    /// in other documents.
    fn declared(&self, tag: &Tag<'a>) -> Result<(), Bad> {
        if tag.prefixes().all(|p| tag.declares(p)) { Ok(()) } else { Err(self.bad(UNDECLARED)) }
    }

    /// What has not been taken: attributes of a later format, carried.
    pub fn unknown(&self, tag: Tag<'a>) -> Result<Unknown, Bad> {
        self.declared(&tag)?;
        if tag.attributes.len() > crate::record::MAX_UNKNOWN {
            return Err(self.bad("too many attributes"));
        }
        Ok(tag.attributes.into_iter().map(|(n, v)| (n.to_owned(), v.into_owned())).collect())
    }

    /// Refuses attributes that this format has for the same element elsewhere: carried, they would stand
    /// there twice.
    pub(super) fn not_here(&self, tag: &Tag<'a>, names: &[&str]) -> Result<(), Bad> {
        if tag.attributes.iter().any(|(n, _)| names.contains(n)) { Err(self.bad(format!("<{}> has an attribute out of its place", tag.written))) } else { Ok(()) }
    }

    /// The end of the attributes of an element that carries none of a later format: refusing the
    /// file loses nothing, reading on would.
    pub fn no_more(&self, tag: &Tag<'a>) -> Result<(), Bad> {
        if tag.attributes.is_empty() { Ok(()) } else { Err(self.bad(format!("<{}> has an attribute that this format does not know", tag.written))) }
    }
}
