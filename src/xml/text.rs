//! Spelling: how names, text and numbers stand in a file.

use crate::planted;
use crate::stamp::Stamp;
use crate::xml::Sites;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The namespace of everything in the folder.
pub const NAMESPACE: &str = "urn:cloud-folder-sync:1";

/// How every document begins.
pub(crate) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A document being written.
#[derive(Debug, Default)]
pub struct Out {
    /// The bytes so far.
    pub bytes: Vec<u8>,
    /// The stamp written last, its site's number and how both are spelt.
    last: Option<(Stamp, usize, String)>,
}

impl Out {
    /// Starts a document with its root's first attributes.
    pub fn document(root: &str, folder: &crate::id::Uuid) -> Self {
        let mut o = Out { bytes: Vec::with_capacity(8 << 10), last: None };
        o.raw(DECLARATION).raw("<").raw(root);
        o.attr("xmlns", NAMESPACE).attr("format", &super::FORMAT.to_string()).attr("folder", &folder.to_string());
        o
    }

    /// Adds bytes as they are.
    pub fn raw(&mut self, s: &str) -> &mut Self {
        self.bytes.extend_from_slice(s.as_bytes());
        self
    }

    /// Starts a line with an element's opening.
    pub fn open(&mut self, depth: usize, name: &str) -> &mut Self {
        const BLANKS: &str = "                ";
        self.raw(&BLANKS[..depth.min(BLANKS.len())]).raw("<").raw(name)
    }

    /// Adds an attribute.
    pub fn attr(&mut self, name: &str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"");
        self.escape(value, true);
        self.raw("\"")
    }

    /// Adds the name of a table or column, which may hold any character: as `<name>-base64` where
    /// XML cannot hold it.
    pub fn name(&mut self, name: &str, value: &str) -> &mut Self {
        if is_xml(value) {
            return self.attr(name, value);
        }
        self.raw(" ").raw(name).raw("-base64=\"").base64(value.as_bytes()).raw("\"")
    }

    /// Adds a UUID as an attribute.
    pub fn uuid(&mut self, name: &str, id: &crate::id::Uuid) -> &mut Self {
        let mut buf = uuid::Uuid::encode_buffer();
        self.raw(" ").raw(name).raw("=\"").raw(id.hyphenated().encode_lower(&mut buf)).raw("\"")
    }

    /// Adds a stamp: site number and time. Most of what stands in a document was written at a few moments: each is spelt once.
    pub fn stamp(&mut self, s: &Stamp, sites: &Sites) -> &mut Self {
        let n = sites.number(&s.site);
        let last = self.last.take().filter(|(stamp, number, _)| stamp == s && *number == n);
        let (_, _, text) = &*self.last.insert(last.unwrap_or_else(|| (*s, n, format!(" s=\"{n}\" t=\"{}\"", s.time.text()))));
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Text content, escaped.
    pub fn text(&mut self, s: &str) -> &mut Self {
        self.escape(s, false);
        self
    }

    /// An element with text, on a line of its own; base64 where XML cannot hold the bytes.
    pub fn text_element(&mut self, depth: usize, name: &str, content: &[u8]) -> &mut Self {
        self.open(depth, name);
        self.content(content, name)
    }

    /// The rest of an element whose attributes are written: its content and its end.
    pub fn content(&mut self, content: &[u8], name: &str) -> &mut Self {
        if content.is_empty() {
            return self.raw("/>\n");
        }
        match std::str::from_utf8(content) {
            Ok(s) if is_xml(s) => self.raw(">").text(s),
            _ => self.attr("enc", "base64").raw(">").base64(content),
        };
        self.raw("</").raw(name).raw(">\n")
    }

    /// Base64 content.
    pub fn base64(&mut self, b: &[u8]) -> &mut Self {
        let mut s = String::with_capacity(b.len() * 4 / 3 + 4);
        STANDARD.encode_string(b, &mut s);
        self.raw(&s)
    }

    fn escape(&mut self, s: &str, attribute: bool) {
        if is_plain(s) {
            self.raw(s);
            return;
        }
        let mut from = 0;
        for (i, b) in s.bytes().enumerate() {
            let Some(with) = escaped(b, attribute) else { continue };
            self.bytes.extend_from_slice(&s.as_bytes()[from..i]);
            self.bytes.extend_from_slice(with.as_bytes());
            from = i + 1;
        }
        self.bytes.extend_from_slice(&s.as_bytes()[from..]);
    }
}

/// Whether nothing but ASCII stands there that is written as it is, as in most values. Compilers make a few wide instructions of it.
fn is_plain(s: &str) -> bool {
    s.as_bytes().iter().fold(true, |plain, c| plain & matches!(c, b' '..=b'~') & !matches!(c, b'&' | b'<' | b'>' | b'"'))
}

/// How a byte is written that cannot stand as it is.
fn escaped(b: u8, attribute: bool) -> Option<&'static str> {
    Some(match b {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;",
        // XML readers turn these into a blank or a line feed unless they are spelt out.
        b'\r' if !planted::bug("carriage-return-raw") => "&#13;",
        b'\n' if attribute => "&#10;",
        b'\t' if attribute => "&#9;",
        b'"' if attribute => "&quot;",
        _ => return None,
    })
}

/// How many bytes an attribute's value has when it is written.
pub(crate) fn escaped_len(value: &str) -> usize {
    value.bytes().map(|b| escaped(b, true).map_or(1, str::len)).sum()
}

/// Reads base64 content; one spelling only.
pub(crate) fn unbase64(s: &str) -> Option<Vec<u8>> {
    STANDARD.decode(s).ok()
}

/// Whether XML 1.0 can hold the text.
fn is_xml(s: &str) -> bool {
    is_plain(s) || s.chars().all(is_xml_char)
}

/// Whether XML 1.0 can hold the character (§2.2 of the recommendation).
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// Where the first character stands that no document of ours holds: those XML forbids, and the
/// carriage return, which readers turn into something else unless it is spelt out.
pub(crate) fn first_bad_char(s: &str) -> Option<usize> {
    let b = s.as_bytes();
    // Most chunks are clean, and compilers turn this loop into a few wide instructions.
    let suspect = |chunk: &[u8]| chunk.iter().fold(false, |any, c| any | (*c < 0x20 && !matches!(c, b'\t' | b'\n')) | (*c == 0xEF));
    // U+FFFE and U+FFFF are the only ones above the blank that UTF-8 can hold and XML cannot.
    let bad = |i: &usize| match b.get(*i..) {
        Some([0xEF, 0xBF, 0xBE | 0xBF, ..]) => true,
        Some([b'\t' | b'\n', ..]) => false,
        Some([c, ..]) => *c < 0x20,
        _ => false,
    };
    b.chunks(64).enumerate().filter(|(_, chunk)| suspect(chunk)).find_map(|(n, chunk)| (n * 64..n * 64 + chunk.len()).find(bad))
}

/// Whether this can be an element's or attribute's name, with one prefix at most. Above ASCII no
/// distinction is made.
pub(crate) fn is_name(s: &str) -> bool {
    let part = |p: &str| {
        let start = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b >= 0x80;
        p.bytes().next().is_some_and(start) && p.bytes().all(|b| start(b) || b.is_ascii_digit() || b == b'-' || b == b'.')
    };
    match s.split_once(':') {
        None => part(s),
        Some((prefix, local)) => part(prefix) && part(local),
    }
}

/// A real in its shortest spelling that reads back to the same bits; `INF` and `-INF` as in XML
/// Schema.
pub fn number(r: f64) -> String {
    if r.is_infinite() {
        return if r > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    format!("{r:?}")
}

/// Reads what [`number`] wrote.
pub(crate) fn unnumber(s: &str) -> Option<f64> {
    let r = match s {
        "INF" => f64::INFINITY,
        "-INF" => f64::NEG_INFINITY,
        _ => s.parse().ok()?,
    };
    // SQLite has no NaN: it would come out of the host as NULL, which is another value.
    (number(r) == s && !r.is_nan()).then_some(r)
}
