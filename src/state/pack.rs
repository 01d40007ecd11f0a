//! Packing: how record states lie in our tables.
//!
//! A chart as XML is mostly names and UUIDs, and too small for a compressor to learn them from it:
//! packed with a sample of other charts at hand it takes half the room. The sample, a *dictionary*,
//! is taken once for each record type from the first large sync, and stays.

use super::Error;
use crate::xml;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::sync::Arc;

/// How much of a sample is taken, in bytes.
pub const SAMPLE_BYTES: usize = 24 << 10;
/// How every frame begins (RFC 8878 §3.1.1): as a dictionary's number it would be 40, which no hash gives.
const FRAME: [u8; 4] = zstd::zstd_safe::MAGICNUMBER.to_le_bytes();
/// How many dictionaries a thread keeps ready.
const READY: usize = 16;

/// A sample of what is packed.
#[derive(Debug, Clone)]
pub struct Dictionary {
    id: u64,
    bytes: Arc<[u8]>,
}

impl Dictionary {
    /// From a sample.
    pub fn new(bytes: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let (head, _) = hash.split_first_chunk::<8>().map_or(([0; 8], &[][..]), |(h, t)| (*h, t));
        // What has no dictionary says 0, and SQLite's integers have a sign.
        Dictionary { id: (u64::from_le_bytes(head) >> 1).max(1), bytes: bytes.into() }
    }

    /// Its number: a part of its hash.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The sample.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

type Ready<T> = RefCell<Vec<(u64, T)>>;

thread_local! {
    // Their buffers are larger than what they pack: made once, not once a record.
    static PACKERS: Ready<zstd::bulk::Compressor<'static>> = const { RefCell::new(Vec::new()) };
    static UNPACKERS: Ready<zstd::bulk::Decompressor<'static>> = const { RefCell::new(Vec::new()) };
}

fn with<T, R>(ready: &mut Vec<(u64, T)>, id: u64, make: impl FnOnce() -> Result<T, Error>, work: impl FnOnce(&mut T) -> Result<R, Error>) -> Result<R, Error> {
    if !ready.iter().any(|(n, _)| *n == id) {
        if ready.len() >= READY {
            ready.remove(0);
        }
        ready.push((id, make()?));
    }
    match ready.iter_mut().find(|(n, _)| *n == id) {
        Some((_, t)) => work(t),
        None => Err(Error::Damaged("compression")),
    }
}

/// Packs bytes of ours.
pub fn pack(bytes: &[u8], dictionary: Option<&Dictionary>) -> Result<Vec<u8>, Error> {
    let damaged = |_| Error::Damaged("compression");
    let id = dictionary.map_or(0, Dictionary::id);
    let make = || zstd::bulk::Compressor::with_dictionary(1, dictionary.map_or(&[], Dictionary::bytes)).map_err(damaged);
    let frame = PACKERS.with_borrow_mut(|p| with(p, id, make, |p| p.compress(bytes).map_err(damaged)))?;
    let mut out = Vec::with_capacity(frame.len() + 9);
    crate::host::key::varint(&mut out, id);
    out.extend(frame);
    Ok(out)
}

/// Unpacks bytes of ours; `find` gives a dictionary by its number.
pub(super) fn unpack(mut packed: &[u8], find: &dyn Fn(u64) -> Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    let damaged = |_| Error::Damaged("compression");
    // Layout 1 had no dictionaries, and began with the frame itself.
    let id = if packed.starts_with(&FRAME) { 0 } else { crate::host::key::unvarint(&mut packed).ok_or(Error::Damaged("compression"))? };
    // The frame says how long its content is; what it says is bounded, since it is only our own.
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().and_then(|n| usize::try_from(n).ok()).unwrap_or(xml::MAX_FILE_BYTES).min(xml::MAX_FILE_BYTES * 2);
    let make = || {
        let dictionary = if id == 0 { Vec::new() } else { find(id)? };
        zstd::bulk::Decompressor::with_dictionary(&dictionary).map_err(damaged)
    };
    UNPACKERS.with_borrow_mut(|p| with(p, id, make, |p| p.decompress(packed, size).map_err(damaged)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bytes_come_back() {
        let none = |_| Err(Error::Damaged("dictionary"));
        let text = "<row table=\"visit\"><f n=\"reason\">cough</f></row>".repeat(3).into_bytes();
        let d = Dictionary::new(&text);
        for sample in [&b""[..], b"x", &text] {
            assert_eq!(unpack(&pack(sample, None).unwrap(), &none).unwrap(), sample);
            let packed = pack(sample, Some(&d)).unwrap();
            assert_eq!(unpack(&packed, &|id| if id == d.id() { Ok(d.bytes().to_vec()) } else { none(id) }).unwrap(), sample);
        }
        assert!(pack(&text, Some(&d)).unwrap().len() < pack(&text, None).unwrap().len());
        let other = Dictionary::new(b"another");
        assert!(unpack(&pack(&text, Some(&other)).unwrap(), &none).is_err());
        assert!(unpack(&[], &none).is_err());
        // As layout 1 packed.
        assert_eq!(unpack(&zstd::bulk::compress(&text, 1).unwrap(), &none).unwrap(), text);
    }
}
