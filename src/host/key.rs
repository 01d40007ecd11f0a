//! How the host names rows, as bytes that can be compared and indexed.

use crate::value::Value;

/// The values of a row's key columns.
pub type HostKey = Vec<Value>;

/// A key as bytes: distinct keys give distinct bytes.
pub fn encode(key: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    for v in key {
        match v {
            Value::Null | Value::Ref(_) | Value::Stored { .. } => out.push(0),
            Value::Integer(i) => {
                out.push(1);
                // Zigzag and base 128: small numbers, the usual keys, take a byte or two.
                varint(&mut out, zigzag(*i));
            }
            Value::Real(r) => {
                out.push(2);
                out.extend(r.to_bits().to_be_bytes());
            }
            Value::Text(b) | Value::Blob(b) => {
                out.push(if matches!(v, Value::Text(_)) { 3 } else { 4 });
                varint(&mut out, b.len() as u64);
                out.extend(b.iter());
            }
        }
    }
    out
}

/// Reads what [`encode`] wrote.
pub fn decode(mut bytes: &[u8]) -> Option<HostKey> {
    let mut key = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        key.push(match tag {
            0 => Value::Null,
            1 => Value::Integer(unzigzag(unvarint(&mut bytes)?)),
            2 => {
                let (b, rest) = bytes.split_first_chunk::<8>()?;
                bytes = rest;
                Value::Real(f64::from_bits(u64::from_be_bytes(*b)))
            }
            3 | 4 => {
                let b = take_bytes(&mut bytes)?;
                if *tag == 3 { Value::Text(b.into()) } else { Value::Blob(b.into()) }
            }
            _ => return None,
        });
    }
    Some(key)
}

/// The integer that a key is, if it is one.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    let (1, mut rest) = bytes.split_first().map(|(tag, rest)| (*tag, rest))? else { return None };
    let n = unzigzag(unvarint(&mut rest)?);
    rest.is_empty().then_some(n)
}

/// The text that a key is, if it is one.
pub fn text(bytes: &[u8]) -> Option<&[u8]> {
    let (3, mut rest) = bytes.split_first().map(|(tag, rest)| (*tag, rest))? else { return None };
    let text = take_bytes(&mut rest)?;
    rest.is_empty().then_some(text)
}

/// Appends a number in base 128.
pub(crate) fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads what [`varint`] wrote.
pub(crate) fn unvarint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (b, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// Small numbers of either sign as small ones without.
pub(crate) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// The number that [`zigzag`] was given.
pub(crate) fn unzigzag(z: u64) -> i64 {
    (z >> 1).cast_signed() ^ -((z & 1).cast_signed())
}

/// Reads a length and as many bytes.
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let n = usize::try_from(unvarint(bytes)?).ok()?;
    let (b, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip() {
        for key in [
            vec![],
            vec![Value::Integer(0), Value::Integer(-1), Value::Integer(i64::MIN), Value::Integer(i64::MAX)],
            vec![Value::Null, Value::Real(-0.0), Value::Text(vec![0xff, 0].into()), Value::Blob(vec![].into())],
        ] {
            assert_eq!(decode(&encode(&key)), Some(key));
        }
    }

    #[test]
    fn damaged_keys_are_refused() {
        assert_eq!(decode(&[9]), None);
        assert_eq!(decode(&[3, 200]), None);
        assert_eq!(decode(&[2, 1]), None);
    }
}
