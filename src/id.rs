//! Identities: random ones, ones that count up from a random one, and ones derived with the folder's key.
//!
//! A derived identity is what lets two sites that meet the same doctor, or the same person by
//! national id, give the same UUID without having heard of each other (decision 0004).

use sha2::{Digest, Sha256};
pub use uuid::Uuid;

/// The UUID of a record; also the UUID of its root row.
pub type RecordId = Uuid;
/// The UUID of one row of a record.
pub type RowId = Uuid;
/// The UUID of a site.
pub type SiteId = Uuid;

/// Where new identities come from: the operating system, or a seed in tests and simulations.
pub struct Random {
    bits: Bits,
    /// The first of the row identities that count up from one another, and how many were given after it.
    rows: Option<(u128, u32)>,
}

enum Bits {
    /// The operating system's generator, and what it gave that is not yet used: a call for each number would be a tenth of
    /// a first export.
    System(Vec<u64>),
    /// A reproducible sequence.
    Seeded(u64),
}

/// A copy begins anew: two must never give the same bits of the system, nor the same row.
impl Clone for Random {
    fn clone(&self) -> Self {
        match self.bits {
            Bits::System(_) => Random::system(),
            Bits::Seeded(s) => Random::seeded(s),
        }
    }
}

/// Never prints what is to come.
impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}

impl Random {
    /// The operating system's generator.
    pub fn system() -> Self {
        Random { bits: Bits::System(Vec::new()), rows: None }
    }

    /// A reproducible sequence.
    pub fn seeded(seed: u64) -> Self {
        Random { bits: Bits::Seeded(seed), rows: None }
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        match &mut self.bits {
            Bits::System(unused) => from_system(unused),
            // splitmix64 (Steele, Lea, Flood 2014)
            Bits::Seeded(s) => {
                *s = s.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *s;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            }
        }
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A version 8 UUID (RFC 9562 §5.8) for a row of a record: 122 random bits for the first, and then
    /// one more in the last 32 bits for each. What counts up packs well (decision 0027).
    pub fn row(&mut self) -> RowId {
        // Whoever has given them all begins anew.
        let (first, given) = match self.rows.filter(|(_, given)| *given < u32::MAX) {
            Some((first, given)) => (first, given + 1),
            None => (uuid::Builder::from_custom_bytes(self.bytes()).into_uuid().as_u128(), 0),
        };
        self.rows = Some((first, given));
        let low = u128::from(u32::MAX);
        Uuid::from_u128((first & !low) | (first.wrapping_add(u128::from(given)) & low))
    }

    fn bytes(&mut self) -> [u8; 16] {
        let mut b = [0u8; 16];
        b[..8].copy_from_slice(&self.bits().to_le_bytes());
        b[8..].copy_from_slice(&self.bits().to_le_bytes());
        b
    }

    /// Lower-case hex digits, for temporary names and tokens.
    pub fn hex(&mut self) -> String {
        format!("{:016x}", self.bits())
    }
}

fn from_system(unused: &mut Vec<u64>) -> u64 {
    if unused.is_empty() {
        let mut b = [0u8; 2048];
        if getrandom::fill(&mut b).is_err() {
            // Without a generator the time and an address are still unlike any other
            // process's; a collision would need 122 equal bits besides.
            return Uuid::from_u64_pair(fallback(), fallback()).as_u64_pair().0;
        }
        let (words, _) = b.as_chunks::<8>();
        unused.extend(words.iter().map(|w| u64::from_le_bytes(*w)));
    }
    unused.pop().unwrap_or_default()
}

fn fallback() -> u64 {
    let t = std::time::Instant::now();
    let h = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), format!("{t:?}"));
    h ^ u64::from(std::process::id())
}

/// A UUID in the one spelling that is written: lower case, with hyphens.
#[inline]
pub(crate) fn spelt(text: &[u8]) -> Option<Uuid> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0u8; 16];
    let mut at = 0;
    for (n, byte) in bytes.iter_mut().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            (text.get(at) == Some(&b'-')).then_some(())?;
            at += 1;
        }
        *byte = digit(*text.get(at)?)? << 4 | digit(*text.get(at + 1)?)?;
        at += 2;
    }
    (at == text.len()).then(|| Uuid::from_bytes(bytes))
}

/// Derives a version 8 UUID (RFC 9562 §5.8) from the folder's key and the given parts.
///
/// Each part is length-prefixed, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub fn derive(folder_key: &[u8], parts: &[&[u8]]) -> Uuid {
    let mut h = Sha256::new();
    h.update(b"cloud-folder-sync/1/id");
    for p in std::iter::once(&folder_key).chain(parts) {
        h.update((p.len() as u64).to_le_bytes());
        h.update(p);
    }
    let d = h.finalize();
    let mut b = [0u8; 16];
    b.copy_from_slice(&d[..16]);
    uuid::Builder::from_custom_bytes(b).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_spelling() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let text = id.to_string();
        assert_eq!(spelt(text.as_bytes()), Some(id));
        let short = &text[1..];
        for other in
            [&text.to_uppercase(), &format!("{text}0"), short, "", &text.replace('-', ""), &format!("{{{text}}}"), &text.replacen('-', "0", 1), &text.replacen('0', "g", 1)]
        {
            assert_eq!(spelt(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn derived_parts_are_not_concatenated() {
        assert_ne!(derive(b"k", &[b"ab", b"c"]), derive(b"k", &[b"a", b"bc"]));
        assert_ne!(derive(b"k", &[b"ab"]), derive(b"l", &[b"ab"]));
        assert_eq!(derive(b"k", &[b"ab"]), derive(b"k", &[b"ab"]));
    }

    #[test]
    fn random_uuids_are_version_4() {
        assert_eq!(Random::system().uuid().get_version_num(), 4);
        assert_eq!(Random::seeded(1).uuid().get_version_num(), 4);
        assert_ne!(Random::seeded(1).uuid(), Random::seeded(2).uuid());
    }

    #[test]
    fn row_ids_count_up_and_no_two_givers_meet() {
        let mut r = Random::system();
        let ids: Vec<Uuid> = (0..300).map(|_| r.row()).collect();
        assert!(ids.iter().all(|u| u.get_version_num() == 8 && u.get_variant() == uuid::Variant::RFC4122));
        let steps = |w: &[Uuid]| (w[1].as_u128() as u32).wrapping_sub(w[0].as_u128() as u32);
        assert!(ids.windows(2).all(|w| w[0].as_u128() >> 32 == w[1].as_u128() >> 32 && steps(w) == 1));
        // A copy, and another giver, begin somewhere else.
        assert_ne!(r.clone().row().as_u128() >> 32, ids[0].as_u128() >> 32);
        assert_ne!(Random::system().row().as_u128() >> 32, ids[0].as_u128() >> 32);
        // At the end of the 32 bits they go round, and once all are given they begin anew.
        let first = u128::from(u32::MAX) - 1;
        r.rows = Some((first, 0));
        assert_eq!([r.row(), r.row(), r.row()].map(|u| u.as_u128()), [first + 1, 0, 1]);
        r.rows = Some((first, u32::MAX));
        assert_ne!(r.row().as_u128() >> 32, 0);
    }
}
