//! What values look like. A key of UUIDs means the same everywhere; a counted one does not.

use rusqlite::types::ValueRef;

/// Whether a text is a UUID: 32 hex digits, with or without dashes and braces.
pub fn is_uuid_text(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}")).unwrap_or(text);
    let plain = text.len() == 32 && text.iter().all(u8::is_ascii_hexdigit);
    let dashed = || {
        let place = |i: usize| matches!(i, 8 | 13 | 18 | 23);
        text.len() == 36 && text.iter().enumerate().all(|(i, b)| if place(i) { *b == b'-' } else { b.is_ascii_hexdigit() })
    };
    (plain && text.iter().any(|b| !b.is_ascii_digit())) || dashed()
}

/// Whether a value is a UUID as text or as 16 bytes.
pub fn is_uuid(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(t) => is_uuid_text(t),
        ValueRef::Blob(b) => b.len() == 16,
        _ => false,
    }
}

/// Whether a text is unique by the way it is made: a UUID, a long hexadecimal number, an OID
/// (`1.2.840.…`), or a ULID-like run of letters and digits.
pub fn is_made_unique(text: &str) -> bool {
    let bytes = text.as_bytes();
    let oid = || bytes.len() >= 12 && text.split('.').count() >= 5 && text.split('.').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let long = || {
        bytes.len() >= 20
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
            && bytes.iter().any(u8::is_ascii_alphabetic)
            && bytes.iter().any(u8::is_ascii_digit)
    };
    is_uuid_text(bytes) || oid() || long()
}

/// What the table of a model is called: `party.party` is kept in `party_party`.
pub fn model_table(model: &str) -> String {
    model.replace(['.', '-'], "_")
}

/// The words of a name, in lower case: `visitNo`, `visit_no` and `visit no` have two.
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut low = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && low) {
            words.push(String::new());
        }
        low = c.is_lowercase() || c.is_numeric();
        if let Some(last) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            last.extend(c.to_lowercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_and_the_like() {
        for yes in ["0190f5d2-1111-7000-8000-000000000001", "0190F5D2111170008000000000000001", "{0190f5d2-1111-7000-8000-000000000001}"] {
            assert!(is_uuid_text(yes.as_bytes()), "{yes}");
        }
        for no in ["", "P-0017", "0190f5d2-1111-7000-8000-00000000000", "12345678901234567890123456789012", "0190f5d2x1111-7000-8000-000000000001"] {
            assert!(!is_uuid_text(no.as_bytes()), "{no}");
        }
        assert!(is_made_unique("1.2.840.113619.2.55.3.604688119") && !is_made_unique("2019/000123") && !is_made_unique("1.2.3"));
    }

    #[test]
    fn names_have_words() {
        assert_eq!(words("visitNo"), ["visit", "no"]);
        assert_eq!(words("date of birth"), ["date", "of", "birth"]);
        assert_eq!(words("PATIENT_ID"), ["patient", "id"]);
        assert_eq!(words("ISO2Code"), ["iso2", "code"]);
    }
}
