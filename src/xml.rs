//! Record files and the other files of the folder as XML: a strict reader and a canonical writer.
//!
//! `docs/FORMAT.md` is the description. A state has exactly one byte sequence: no choice of
//! spelling is left to the writer, so two sites that hold the same state write the same bytes.

mod own;
mod pull;
mod read;
mod text;
mod typed;
mod write;

pub use pull::{Bad, Pull, Tag};
pub(crate) use read::{format_and_folder, head};
pub use read::{read_delta, read_foreign, read_hand, read_record};
pub use text::{NAMESPACE, Out, number};
pub(crate) use write::{sites_of, write_sites};
pub use write::{write_delta, write_record};

use crate::id::{SiteId, Uuid};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The format that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// The largest file that is read, in bytes. Larger values live under `blobs/`.
pub const MAX_FILE_BYTES: usize = 32 << 20;

/// Why a file of the folder was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Torn, truncated or still arriving: its hash is missing or does not match.
    #[error("incomplete: {0}")]
    Incomplete(&'static str),
    /// Complete, but not what the format allows.
    #[error("not valid: {0}")]
    Bad(#[from] Bad),
    /// Written by a newer program.
    #[error("format {0} is newer than this program understands (it reads up to {FORMAT}); update cfs here")]
    TooNew(u32),
    /// Another folder's file.
    #[error("belongs to another sync folder ({0})")]
    OtherFolder(Uuid),
    /// Larger than what is read.
    #[error("too large: {0} bytes (limit {MAX_FILE_BYTES})")]
    TooLarge(usize),
}

/// SHA-256 as lower-case hex.
pub fn sha256_hex(b: &[u8]) -> String {
    hex(&Sha256::digest(b))
}

/// Lower-case hex.
pub fn hex(b: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    b.iter().flat_map(|x| [DIGITS[usize::from(x >> 4)], DIGITS[usize::from(x & 15)]]).map(char::from).collect()
}

/// Reads lower-case hex.
pub fn unhex(s: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    s.as_bytes().chunks(2).map(|p| Some(digit(*p.first()?)? << 4 | digit(*p.get(1)?)?)).collect()
}

/// Numbers the sites that occur in a file, in UUID order.
#[derive(Debug, Default, Clone)]
pub struct Sites {
    by_id: BTreeMap<SiteId, usize>,
    list: Vec<SiteId>,
}

impl Sites {
    /// Numbers the sites from 1.
    pub fn new(sites: BTreeSet<SiteId>) -> Self {
        let list: Vec<SiteId> = sites.into_iter().collect();
        Sites { by_id: list.iter().enumerate().map(|(i, s)| (*s, i + 1)).collect(), list }
    }

    /// The number of a site; 0 for one that does not occur.
    pub fn number(&self, id: &SiteId) -> usize {
        self.by_id.get(id).copied().unwrap_or(0)
    }

    /// The site with a number.
    pub fn site(&self, n: &str) -> Option<SiteId> {
        // One spelling only: no sign, no leading zero.
        let i: usize = n.parse().ok().filter(|i: &usize| i.to_string() == n)?;
        self.list.get(i.checked_sub(1)?).copied()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &SiteId> {
        self.list.iter()
    }
}

/// Ends a document: hash over the bytes so far, then the closing tag of the root.
pub fn seal(mut bytes: Vec<u8>, root: &str) -> Vec<u8> {
    let hash = sha256_hex(&bytes);
    bytes.extend_from_slice(format!(" <sha256>{hash}</sha256>\n</{root}>\n").as_bytes());
    bytes
}

/// The hash inside a sealed document, unchecked.
pub fn seal_of(bytes: &[u8]) -> String {
    let tail = bytes.len().saturating_sub(200);
    let text = String::from_utf8_lossy(bytes.get(tail..).unwrap_or_default()).into_owned();
    text.rsplit_once("<sha256>").and_then(|(_, h)| h.get(..64)).unwrap_or_default().to_owned()
}

/// Checks a document's own hash; gives the document as text, and its hash.
pub fn unseal<'a>(bytes: &'a [u8], root: &str) -> Result<(&'a str, &'a str), Error> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Error::TooLarge(bytes.len()));
    }
    if bytes.is_empty() {
        return Err(Error::Incomplete("the file is empty"));
    }
    // A newer format may end otherwise: look at the root's `format` first.
    if let Some(format) = peek_format(bytes).filter(|f| *f > FORMAT) {
        return Err(Error::TooNew(format));
    }
    const OPEN: &[u8] = b" <sha256>";
    let tail_len = OPEN.len() + 64 + "</sha256>\n</>\n".len() + root.len();
    let at = bytes.len().checked_sub(tail_len).ok_or(Error::Incomplete("the file is cut off"))?;
    let (body, tail) = bytes.split_at(at);
    let hash = tail.strip_prefix(OPEN).and_then(|t| t.strip_suffix(format!("</sha256>\n</{root}>\n").as_bytes()));
    let hash = hash.and_then(|h| std::str::from_utf8(h).ok()).ok_or(Error::Incomplete("the end of the file is missing or damaged"))?;
    if sha256_hex(body) != hash && !crate::planted::bug("hash-not-checked") {
        return Err(Error::Incomplete("the content does not match its SHA-256"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Incomplete("not UTF-8"))?;
    Ok((text, hash))
}

/// The `format` attribute of a document's root, without reading the document.
fn peek_format(bytes: &[u8]) -> Option<u32> {
    let head = String::from_utf8_lossy(bytes.get(..bytes.len().min(512))?).into_owned();
    let root = head.split_once(NAMESPACE_PREFIX)?.1;
    let after = root.split_once(" format=\"")?.1;
    after.split_once('"')?.0.parse().ok()
}

const NAMESPACE_PREFIX: &str = "urn:cloud-folder-sync:";
