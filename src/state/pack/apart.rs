//! UUIDs and blobs apart from the rest: half of a packed chart would be random digits, which no
//! compressor makes smaller than the bytes that they spell (decision 0027).
//!
//! What is left, the *rest*, has marks in their places. It reads back byte for byte, whatever the
//! bytes were: nothing here knows of XML but what is usual in it.

use crate::host::key::{take_bytes, unvarint, unzigzag, varint, zigzag};
use crate::id::spelt;
use crate::shared::HashMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// Stands for the next UUID of the list.
const NEXT: u8 = 1;
/// Stands for one that was there before; its number in the list follows.
const AGAIN: u8 = 2;
/// Stands for base64; its content, preceded by its length, follows.
const BLOB: u8 = 3;
/// What precedes base64 in a record's file.
const BEFORE_BLOB: &[u8] = b"type=\"blob\">";
/// A UUID's length as text.
const TEXT: usize = 36;
/// Where its first hyphen is.
const HYPHEN: usize = 8;

/// Bytes in two parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Apart {
    /// With marks instead of UUIDs, and the bytes that base64 spells.
    pub(super) rest: Vec<u8>,
    /// Each UUID once, in the order in which they come.
    pub(super) ids: Vec<u8>,
}

/// Takes bytes apart: `None` if one of them is a mark, which no XML has (XML 1.0 §2.2).
pub(super) fn apart(bytes: &[u8]) -> Option<Apart> {
    if memchr::memchr3(NEXT, AGAIN, BLOB, bytes).is_some() {
        return None;
    }
    let mut out = Apart { rest: Vec::with_capacity(bytes.len()), ids: Vec::new() };
    let mut ids = Writer::default();
    let mut from = 0;
    for at in memchr::memmem::find_iter(bytes, BEFORE_BLOB) {
        let at = at + BEFORE_BLOB.len();
        // The beginning of one may lie in what the one before it enclosed.
        let Some((text, content)) = bytes.get(from..at).zip(bytes.get(at..)) else { continue };
        // Base64 has one spelling that is read: the one that is written.
        let Some((length, raw)) = memchr::memchr(b'<', content).and_then(|n| Some((n, STANDARD.decode(content.get(..n)?).ok()?))) else { continue };
        ids.take(text, &mut out);
        out.rest.push(BLOB);
        varint(&mut out.rest, raw.len() as u64);
        out.rest.extend(raw);
        from = at + length;
    }
    ids.take(bytes.get(from..)?, &mut out);
    Some(out)
}

/// Puts together what [`apart`] took apart: `None` if it did not.
pub(super) fn together(rest: &[u8], mut ids: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rest.len() + rest.len() / 2);
    let (mut left, mut read) = (rest, Reader::default());
    while let Some(at) = memchr::memchr3(NEXT, AGAIN, BLOB, left) {
        let (text, mark) = left.split_at_checked(at)?;
        out.extend(text);
        let (mark, after) = mark.split_first()?;
        left = after;
        match *mark {
            BLOB => out.extend(STANDARD.encode(take_bytes(&mut left)?).as_bytes()),
            NEXT => spell(&read.next(&mut ids)?, &mut out),
            _ => spell(read.given.get(usize::try_from(unvarint(&mut left)?).ok()?)?, &mut out),
        }
    }
    out.extend(left);
    ids.is_empty().then_some(out)
}

fn spell(id: &Uuid, out: &mut Vec<u8>) {
    out.extend(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
}

/// How UUIDs are written: one that shares its beginning with one before it by the number of that beginning from 1, and how
/// far it counts on from the last with it; any other by 0 and its bytes.
#[derive(Default)]
struct Writer {
    given: HashMap<u128, u64>,
    beginnings: HashMap<u128, (u64, u32)>,
}

impl Writer {
    /// Appends text, its UUIDs apart.
    fn take(&mut self, text: &[u8], out: &mut Apart) {
        let mut from = 0;
        for hyphen in memchr::memchr_iter(b'-', text) {
            let Some(at) = hyphen.checked_sub(HYPHEN).filter(|at| *at >= from) else { continue };
            let Some(id) = text.get(at..at + TEXT).and_then(spelt) else { continue };
            out.rest.extend(text.get(from..at).unwrap_or_default());
            from = at + TEXT;
            let (id, next) = (id.as_u128(), self.given.len() as u64);
            match self.given.entry(id) {
                Entry::Occupied(n) => {
                    out.rest.push(AGAIN);
                    varint(&mut out.rest, *n.get());
                }
                Entry::Vacant(n) => {
                    n.insert(next);
                    out.rest.push(NEXT);
                    self.write(id, &mut out.ids);
                }
            }
        }
        out.rest.extend(text.get(from..).unwrap_or_default());
    }

    fn write(&mut self, id: u128, out: &mut Vec<u8>) {
        let (number, low) = (self.beginnings.len() as u64, low(id));
        match self.beginnings.entry(id >> 32) {
            Entry::Occupied(mut known) => {
                let (n, last) = known.get_mut();
                varint(out, *n + 1);
                varint(out, zigzag(i64::from(low.wrapping_sub(*last).cast_signed())));
                *last = low;
            }
            Entry::Vacant(new) => {
                new.insert((number, low));
                varint(out, 0);
                out.extend(id.to_be_bytes());
            }
        }
    }
}

#[derive(Default)]
struct Reader {
    given: Vec<Uuid>,
    beginnings: Vec<(u128, u32)>,
}

impl Reader {
    fn next(&mut self, ids: &mut &[u8]) -> Option<Uuid> {
        let id = match unvarint(ids)? {
            0 => {
                let (id, rest) = ids.split_first_chunk::<16>()?;
                *ids = rest;
                let id = u128::from_be_bytes(*id);
                self.beginnings.push((id >> 32, low(id)));
                id
            }
            n => {
                let (beginning, last) = self.beginnings.get_mut(usize::try_from(n - 1).ok()?)?;
                *last = last.wrapping_add_signed(i32::try_from(unzigzag(unvarint(ids)?)).ok()?);
                (*beginning << 32) | u128::from(*last)
            }
        };
        self.given.push(Uuid::from_u128(id));
        self.given.last().copied()
    }
}

fn low(id: u128) -> u32 {
    (id & u128::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Random;
    use proptest::prelude::*;

    fn back(bytes: &[u8]) -> Option<Vec<u8>> {
        let a = apart(bytes)?;
        Some(together(&a.rest, &a.ids).expect("what was taken apart comes together"))
    }

    #[test]
    fn ids_that_count_up_take_two_bytes_and_what_is_repeated_two() {
        let mut random = Random::system();
        let ids: Vec<String> = (0..100).map(|_| random.row().to_string()).collect();
        let text = ids.iter().chain(&ids).map(|id| format!("<row id=\"{id}\"/>")).collect::<String>().into_bytes();
        let a = apart(&text).unwrap();
        assert_eq!((a.ids.len(), a.rest.len()), (17 + 99 * 2, text.len() - 200 * 36 + 100 + 100 * 2));
        assert_eq!(together(&a.rest, &a.ids).unwrap(), text);
        // Cut short anywhere, it is not taken for something else.
        (0..a.ids.len()).for_each(|n| assert_eq!(together(&a.rest, &a.ids[..n]), None));
        assert_eq!(together(&a.rest, &[&a.ids[..], &[0]].concat()), None);
        assert_eq!(together(&[AGAIN, 0], &[]), None);
        assert_eq!(together(&[BLOB, 2, 0], &[]), None);
        assert_eq!(together(&[NEXT], &[1, 0]), None);
    }

    #[test]
    fn blobs_lie_as_they_are() {
        let a = apart(b"<f type=\"blob\">aGVsbG8=</f><f type=\"blob\"></f>").unwrap();
        assert_eq!(a.rest, b"<f type=\"blob\">\x03\x05hello</f><f type=\"blob\">\x03\x00</f>");
        // Spelt otherwise, without an end, or with a UUID's hyphens: as it stands.
        for text in ["<f type=\"blob\">aGVsbG9=</f>", "<f type=\"blob\">aGVs", "type=\"blob\">type=\"blob\">aGVs<", "type=\"blob\">00000000-0000-0000-0000-000000000000<"] {
            assert_eq!(back(text.as_bytes()).unwrap(), text.as_bytes());
        }
        // Raw bytes that look like marks or like a UUID are neither.
        let raw = b"\x01\x02\x03 00000000-0000-0000-0000-000000000000";
        let text = format!("<f type=\"blob\">{}</f>", STANDARD.encode(raw));
        assert_eq!(back(text.as_bytes()).unwrap(), text.as_bytes());
        assert_eq!(apart(b"a\x02"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        // Pieces of what it looks for, whole, broken and in each other.
        #[test]
        fn any_bytes_come_back(pieces in prop::collection::vec(prop_oneof![
            Just("00000000-0000-8000-8000-0000000000".to_owned()), "[0-9a-f]{2}", "-", Just("type=\"blob\">".to_owned()), "[A-Za-z0-9+/]{0,5}={0,2}", Just("<".to_owned()),
            "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", ".{0,3}", Just("\u{1}".to_owned()),
        ], 0..12)) {
            let text = pieces.concat();
            prop_assert_eq!(back(text.as_bytes()).is_none(), text.contains(['\u{1}', '\u{2}', '\u{3}']));
            if let Some(b) = back(text.as_bytes()) {
                prop_assert_eq!(b, text.as_bytes());
            }
        }

        #[test]
        fn what_is_not_ours_is_refused_or_read_and_never_stops(rest in prop::collection::vec(0u8..6, 0..12), ids in prop::collection::vec(any::<u8>(), 0..40)) {
            together(&rest, &ids);
        }
    }
}
