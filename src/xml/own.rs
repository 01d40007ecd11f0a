//! A reader of our own hand: it takes exactly what [`super::write_record`] writes of an ordinary
//! record, byte by byte, and leaves everything else to the strict reader.
//!
//! Nearly every file was written by this program, and nearly every line of it is a field. Because it
//! takes nothing but the one spelling, what it takes is known to be what we would write: nobody has
//! to write it again to find that out.

use crate::id::{SiteId, Uuid, spelt};
use crate::record::{Entry, Field, FieldKey, Record, Row, RowKey, SortedMap, Unknown};
use crate::shared::Name;
use crate::stamp::{Stamp, Time};
use crate::value::{MAX_INLINE_BYTES, Reference, Value};
use crate::xml::text::{DECLARATION, NAMESPACE, first_bad_char, unbase64, unnumber};
use crate::xml::{FORMAT, unhex};
use std::borrow::Cow;

/// No attribute of ours is longer; the strict reader says what of such a file.
const MAX_ATTRIBUTE_BYTES: usize = 4 << 10;

/// Reads a record's document whose hash was checked, up to that. `None`: the strict reader is to read it.
pub(super) fn read(text: &str, folder: &Uuid) -> Option<Record> {
    if first_bad_char(text).is_some() {
        return None;
    }
    let mut h = Hand { rest: text.strip_prefix(DECLARATION)?, sites: Vec::new(), used: Vec::new(), time: ("", Time::default()) };
    h.take("<record xmlns=\"")?;
    h.take(NAMESPACE)?;
    h.take("\" format=\"")?;
    (h.attribute()? == FORMAT.to_string()).then_some(())?;
    h.take(" folder=\"")?;
    (h.uuid()? == *folder).then_some(())?;
    h.take("\" type=\"")?;
    let kind = Name::of(h.attribute()?);
    h.take(" id=\"")?;
    let mut r = Record::new(kind, h.uuid()?);
    h.take("\">\n")?;
    while h.after(" <site n=\"") {
        let n = h.attribute()?;
        h.take(" id=\"")?;
        let id = h.uuid()?;
        h.take("\"/>\n")?;
        (h.sites.last().is_none_or(|l| *l < id) && n == (h.sites.len() + 1).to_string()).then_some(())?;
        h.sites.push(id);
    }
    h.used = vec![false; h.sites.len()];
    let mut last: Option<SiteId> = None;
    while h.after(" <seen") {
        let seen = h.stamp()?;
        h.take("/>\n")?;
        last.is_none_or(|l| l < seen.site).then_some(())?;
        last = Some(seen.site);
        r.version.0.insert(seen.site, seen.time);
    }
    let mut rows: Vec<(RowKey, Row)> = Vec::new();
    while h.after(" <row table=\"") {
        let row = h.row()?;
        rows.last().is_none_or(|(l, _)| *l < row.0).then_some(())?;
        rows.push(row);
    }
    r.rows = rows.into_iter().collect();
    // Nothing but the hash, which was checked. A site that does not occur would not stand here.
    let ends = h.rest.starts_with(" <sha256>") && h.rest.len() == " <sha256></sha256>\n</record>\n".len() + 64;
    (ends && h.used.iter().all(|u| *u)).then_some(r)
}

struct Hand<'a> {
    rest: &'a str,
    sites: Vec<SiteId>,
    /// Which of them occurred.
    used: Vec<bool>,
    /// The time read last: most of a file has the same.
    time: (&'a str, Time),
}

impl<'a> Hand<'a> {
    fn after(&mut self, s: &str) -> bool {
        match self.rest.strip_prefix(s) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, s: &str) -> Option<()> {
        self.after(s).then_some(())
    }

    fn split(&mut self, at: usize) -> Option<&'a str> {
        let (head, tail) = self.rest.split_at_checked(at)?;
        self.rest = tail;
        Some(head)
    }

    /// An attribute's value without anything that is spelt out, and the quote after it.
    fn attribute(&mut self) -> Option<&'a str> {
        let b = self.rest.as_bytes();
        let end = b.iter().position(|c| matches!(c, b'"' | b'&' | b'<' | b'>' | b'\n' | b'\t')).filter(|n| *n <= MAX_ATTRIBUTE_BYTES)?;
        let value = self.split(end)?;
        self.take("\"")?;
        Some(value)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        spelt(self.split(36)?.as_bytes())
    }

    fn site(&mut self) -> Option<SiteId> {
        let n = self.attribute()?;
        let at = whole(n)?.checked_sub(1).and_then(|n| usize::try_from(n).ok())?;
        *self.used.get_mut(at)? = true;
        self.sites.get(at).copied()
    }

    fn stamp(&mut self) -> Option<Stamp> {
        self.take(" s=\"")?;
        let site = self.site()?;
        self.take(" t=\"")?;
        let text = self.attribute()?;
        if self.time.0 != text {
            self.time = (text, Time::parse(text)?);
        }
        Some(Stamp { time: self.time.1, site })
    }

    fn row(&mut self) -> Option<(RowKey, Row)> {
        let table = Name::of(self.attribute()?);
        self.take(" id=\"")?;
        let key = RowKey { table, id: self.uuid()? };
        self.take("\"")?;
        let mut row = Row::new(self.stamp()?);
        self.take(">\n")?;
        let mut fields: Vec<(FieldKey, Field)> = Vec::new();
        // The values of a field, the current one first.
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            if self.after("  <f n=\"") {
                if let Some((_, f)) = fields.last_mut() {
                    f.0.extend(entries.drain(..).rev());
                }
                let key = self.field()?;
                fields.last().is_none_or(|(l, _)| *l < key).then_some(())?;
                entries.push(self.entry("</f>\n", row.stamp)?);
                fields.push((key, Field::default()));
            } else if self.after("  <was n=\"") {
                let key = self.field()?;
                let entry = self.entry("</was>\n", row.stamp)?;
                (fields.last().is_some_and(|(l, _)| *l == key) && entries.last().is_some_and(|l| entry < *l)).then_some(())?;
                entries.push(entry);
            } else {
                break;
            }
        }
        if let Some((_, f)) = fields.last_mut() {
            f.0.extend(entries.drain(..).rev());
        }
        self.take(" </row>\n")?;
        row.fields = fields.into_iter().collect::<SortedMap<_, _>>();
        Some((key, row))
    }

    fn field(&mut self) -> Option<FieldKey> {
        let name = Name::of(self.attribute()?);
        let place = if self.after(" place=\"") { Some(self.site()?) } else { None };
        Some(FieldKey { name, place })
    }

    fn entry(&mut self, end: &str, row: Stamp) -> Option<Entry> {
        let mut stamp = row;
        if self.rest.starts_with(" s=\"") {
            stamp = self.stamp()?;
            // What was written with the row does not say so.
            (stamp != row).then_some(())?;
        }
        let kind = if self.after(" type=\"") { Some(self.attribute()?) } else { None };
        let value = match kind {
            None => Value::Text(match self.content(end)? {
                Cow::Borrowed(s) => s.as_bytes().into(),
                Cow::Owned(s) => s.into(),
            }),
            Some("null") => {
                self.take("/>\n")?;
                Value::Null
            }
            Some("integer") => Value::Integer(integer(self.plain(end)?)?),
            Some("real") => Value::Real(unnumber(self.plain(end)?)?),
            Some("ref") => {
                self.take(" table=\"")?;
                let table = Name::of(self.attribute()?);
                let mut record = None;
                if self.after(" record=\"") {
                    record = Some(self.uuid()?);
                    self.take("\"")?;
                }
                let owner = self.after(" owner=\"yes\"");
                self.take(">")?;
                let row = self.uuid()?;
                self.take(end)?;
                Value::Ref(Reference { table, row, record, owner })
            }
            Some(kind @ ("blob" | "text")) if self.after(" sha256=\"") => {
                let sha256 = unhex(self.attribute()?)?.try_into().ok()?;
                self.take(" size=\"")?;
                let size_bytes = whole(self.attribute()?).filter(|n| *n > MAX_INLINE_BYTES as u64)?;
                self.take("/>\n")?;
                Value::Stored { text: kind == "text", sha256, size_bytes }
            }
            Some("blob") => match self.after("/>\n") {
                true => Value::Blob(Vec::new().into()),
                false => Value::Blob(unbase64(self.plain(end)?)?.into()),
            },
            Some(_) => return None,
        };
        Some(Entry { stamp, value, unknown: Unknown::new() })
    }

    /// Content that is there, without anything spelt out.
    fn plain(&mut self, end: &str) -> Option<&'a str> {
        self.take(">")?;
        let at = memchr::memchr3(b'<', b'&', b'>', self.rest.as_bytes()).filter(|n| *n > 0)?;
        let content = self.split(at)?;
        self.take(end)?;
        Some(content)
    }

    /// Text content, in the spelling of [`super::text::Out::content`].
    fn content(&mut self, end: &str) -> Option<Cow<'a, str>> {
        if self.after("/>\n") {
            return Some(Cow::Borrowed(""));
        }
        self.take(">")?;
        let mut out = Cow::Borrowed("");
        loop {
            let at = memchr::memchr3(b'<', b'&', b'>', self.rest.as_bytes())?;
            let piece = self.split(at)?;
            match &mut out {
                Cow::Borrowed("") => out = Cow::Borrowed(piece),
                more => more.to_mut().push_str(piece),
            }
            if self.after(end) {
                return Some(out).filter(|o| !o.is_empty());
            }
            let spelt = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&#13;", '\r')];
            let c = spelt.iter().find(|(s, _)| self.after(s)).map(|(_, c)| *c)?;
            out.to_mut().push(c);
        }
    }
}

/// A number without a sign, in the one spelling.
fn whole(s: &str) -> Option<u64> {
    let plain = s.bytes().all(|b| b.is_ascii_digit()) && (s.len() == 1 || !s.starts_with('0'));
    s.parse().ok().filter(|_| plain)
}

/// An integer in the one spelling.
fn integer(s: &str) -> Option<i64> {
    let digits = s.strip_prefix('-').unwrap_or(s);
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (s == "0" || !digits.starts_with('0'));
    s.parse().ok().filter(|_| plain)
}
