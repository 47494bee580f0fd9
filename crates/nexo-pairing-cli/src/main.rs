//! The program `nexo-pair`.

fn main() {}
