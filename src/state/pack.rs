//! Packing: how record states lie in our tables.
//!
//! A chart as XML is mostly names and UUIDs. UUIDs and blobs are taken apart first (`apart`); and since a chart is too small
//! for a compressor to learn the names from it, it is packed with a sample of other charts at hand. The sample, a
//! *dictionary*, is taken once for each record type from the first large sync, and stays.

mod apart;

use super::Error;
use crate::host::key::{take_bytes, unvarint, varint};
use crate::xml;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::sync::Arc;

/// How much of a sample is taken, in bytes.
const SAMPLE_BYTES: usize = 24 << 10;
/// How every frame begins (RFC 8878 §3.1.1): as a dictionary's number it would be 40, which no hash gives.
const FRAME: [u8; 4] = zstd::zstd_safe::MAGICNUMBER.to_le_bytes();
/// Begins what was taken apart before it was packed; no hash gives it either.
const APART: u64 = 3;
/// How many dictionaries a thread keeps ready.
const READY: usize = 16;

/// A sample of what is packed.
#[derive(Debug, Clone)]
pub struct Dictionary {
    id: u64,
    bytes: Arc<[u8]>,
}

impl Dictionary {
    /// From charts without what anybody typed, as many of them as there is room for.
    pub fn of_charts(charts: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut sample = Vec::new();
        for bytes in charts {
            let rest = apart::apart(&bytes).map_or(bytes, |a| a.rest);
            if sample.len() + rest.len() <= SAMPLE_BYTES {
                sample.extend(rest);
            }
        }
        Dictionary::new(&sample)
    }

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
    let parts = apart::apart(bytes);
    let rest = parts.as_ref().map_or(bytes, |a| &a.rest);
    let frame = PACKERS.with_borrow_mut(|p| with(p, id, make, |p| p.compress(rest).map_err(damaged)))?;
    let ids = parts.as_ref().map_or(&[][..], |a| &a.ids);
    let mut out = Vec::with_capacity(frame.len() + ids.len() + 16);
    if parts.is_some() {
        varint(&mut out, APART);
        varint(&mut out, ids.len() as u64);
        out.extend(ids);
    }
    varint(&mut out, id);
    out.extend(frame);
    Ok(out)
}

/// Unpacks bytes of ours; `find` gives a dictionary by its number.
pub(super) fn unpack(mut packed: &[u8], find: &dyn Fn(u64) -> Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    let damaged = || Error::Damaged("compression");
    // Layout 1 had no dictionaries, and began with the frame itself; layout 2 took nothing apart.
    let first = if packed.starts_with(&FRAME) { 0 } else { unvarint(&mut packed).ok_or_else(damaged)? };
    if first != APART {
        return inflate(packed, first, find);
    }
    let ids = take_bytes(&mut packed).ok_or_else(damaged)?;
    let id = unvarint(&mut packed).ok_or_else(damaged)?;
    apart::together(&inflate(packed, id, find)?, ids).ok_or_else(damaged)
}

fn inflate(frame: &[u8], id: u64, find: &dyn Fn(u64) -> Result<Vec<u8>, Error>) -> Result<Vec<u8>, Error> {
    let damaged = |_| Error::Damaged("compression");
    // The frame says how long its content is; what it says is bounded, since it is only our own.
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().and_then(|n| usize::try_from(n).ok()).unwrap_or(xml::MAX_FILE_BYTES).min(xml::MAX_FILE_BYTES * 2);
    let make = || {
        let dictionary = if id == 0 { Vec::new() } else { find(id)? };
        zstd::bulk::Decompressor::with_dictionary(&dictionary).map_err(damaged)
    };
    UNPACKERS.with_borrow_mut(|p| with(p, id, make, |p| p.decompress(frame, size).map_err(damaged)))
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
        // As layout 1 packed, and layout 2.
        let frame = zstd::bulk::compress(&text, 1).unwrap();
        assert_eq!(unpack(&frame, &none).unwrap(), text);
        assert_eq!(unpack(&[&[0], &frame[..]].concat(), &none).unwrap(), text);
        // What no XML has is packed all the same.
        assert_eq!(unpack(&pack(b"\x01\x02", None).unwrap(), &none).unwrap(), b"\x01\x02");
        // Cut short, it is damaged.
        let packed = pack(b"00000000-0000-8000-8000-000000000000 00000000-0000-8000-8000-000000000000", None).unwrap();
        (0..packed.len()).for_each(|n| assert!(unpack(&packed[..n], &none).is_err(), "{n}"));
    }
}
