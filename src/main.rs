//! The command line, `cfs`.

fn main() {}
