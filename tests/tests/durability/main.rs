//! What was acknowledged stays, and nothing is half there: whoever is killed, whatever the disk does.
//!
//! The attacks are short here; the variables that are named below make them long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crash;
mod disk;
mod story;
