//! Bugs that can be planted, to see that the tests find them: each is one line, at the rule that it breaks.
//!
//! Only a build with `--cfg cfs_planted` has them; in any other nothing is left of it. `tests/planted.py`
//! plants one after the other.

/// Whether a bug is planted: the one that `CFS_PLANTED` names.
#[cfg(cfs_planted)]
pub(crate) fn bug(name: &str) -> bool {
    static PLANTED: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("CFS_PLANTED").ok());
    PLANTED.as_deref() == Some(name)
}

/// Never.
#[cfg(not(cfs_planted))]
#[inline(always)]
pub(crate) const fn bug(_name: &str) -> bool {
    false
}
