//! The checks of nexo-pairing, as `cargo xtask`.

fn main() {}
