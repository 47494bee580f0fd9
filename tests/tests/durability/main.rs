//! Acknowledged commands persist, and none is half done: whatever is killed, whatever the disk does.
//!
//! The attacks are short here; the variables below make them long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crash;
mod disk;
mod story;
