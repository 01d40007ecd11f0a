//! Brakes: when so much is gone or changed at once that a person must look first.

/// What to do about missing files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Go,
    /// Stop until a person says so.
    Hold,
}

/// More than 20 files and more than 2 % of those known gone: a wrong, emptied or half-loaded folder
/// is likelier than a person who deleted them one by one.
pub fn missing(gone: u64, known: u64) -> Verdict {
    if gone > 20 && gone * 50 > known && !crate::planted::bug("no-brake") { Verdict::Hold } else { Verdict::Go }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_files_are_refilled_and_many_are_held() {
        assert_eq!(missing(20, 20), Verdict::Go);
        assert_eq!(missing(21, 21), Verdict::Hold);
        assert_eq!(missing(21, 1050), Verdict::Go);
        assert_eq!(missing(22, 1050), Verdict::Hold);
        assert_eq!(missing(0, 0), Verdict::Go);
    }
}
