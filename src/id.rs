//! Identities: random ones, and ones derived with the folder's key.
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

/// Where random identities come from: the operating system, or a seed in tests and simulations.
#[derive(Debug, Clone)]
pub enum Random {
    /// The operating system's generator, asked for many bits at a time.
    System(Pool),
    /// A reproducible sequence.
    Seeded(u64),
}

/// Random bits not yet used. A row needs two of them, and a call of the system for each would be
/// a tenth of a first export.
#[derive(Default)]
pub struct Pool(Vec<u64>);

/// A copy starts empty: two must never give the same bits.
impl Clone for Pool {
    fn clone(&self) -> Self {
        Pool::default()
    }
}

/// Never prints what is to come.
impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool[{}]", self.0.len())
    }
}

impl Pool {
    fn next(&mut self) -> u64 {
        if self.0.is_empty() {
            let mut b = [0u8; 2048];
            if getrandom::fill(&mut b).is_err() {
                // Without a generator the time and an address are still unlike any other
                // process's; a collision would need 122 equal bits besides.
                return Uuid::from_u64_pair(fallback(), fallback()).as_u64_pair().0;
            }
            let (words, _) = b.as_chunks::<8>();
            self.0.extend(words.iter().map(|w| u64::from_le_bytes(*w)));
        }
        self.0.pop().unwrap_or_default()
    }
}

impl Random {
    /// The operating system's generator.
    pub fn system() -> Self {
        Random::System(Pool::default())
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        match self {
            Random::System(pool) => pool.next(),
            // splitmix64 (Steele, Lea, Flood 2014)
            Random::Seeded(s) => {
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
        let mut b = [0u8; 16];
        b[..8].copy_from_slice(&self.bits().to_le_bytes());
        b[8..].copy_from_slice(&self.bits().to_le_bytes());
        uuid::Builder::from_random_bytes(b).into_uuid()
    }

    /// Lower-case hex digits, for temporary names and tokens.
    pub fn hex(&mut self) -> String {
        format!("{:016x}", self.bits())
    }
}

fn fallback() -> u64 {
    let t = std::time::Instant::now();
    let h = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), format!("{t:?}"));
    h ^ u64::from(std::process::id())
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
    fn derived_parts_are_not_concatenated() {
        assert_ne!(derive(b"k", &[b"ab", b"c"]), derive(b"k", &[b"a", b"bc"]));
        assert_ne!(derive(b"k", &[b"ab"]), derive(b"l", &[b"ab"]));
        assert_eq!(derive(b"k", &[b"ab"]), derive(b"k", &[b"ab"]));
    }

    #[test]
    fn random_uuids_are_version_4() {
        assert_eq!(Random::system().uuid().get_version_num(), 4);
        assert_eq!(Random::Seeded(1).uuid().get_version_num(), 4);
        assert_ne!(Random::Seeded(1).uuid(), Random::Seeded(2).uuid());
    }
}
