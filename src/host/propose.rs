//! Proposes.
