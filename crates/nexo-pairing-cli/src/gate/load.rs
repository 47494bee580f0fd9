//! How much may wait in one place until it is decided.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most messages that wait.
pub(super) const MAX_MESSAGES: usize = 1024;

/// The most bytes that wait.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// What waits, up to [`MAX_MESSAGES`] and [`MAX_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Load {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    /// Adds a message of so many bytes; `false` when there is no room for it.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let messages = self.messages.fetch_add(1, Ordering::AcqRel) + 1;
        let all = self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let has_room = messages <= MAX_MESSAGES && all <= MAX_BYTES;
        if !has_room {
            self.remove(bytes);
        }
        has_room
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.messages.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_bytes_are_bounded() {
        let load = Load::default();
        for _ in 0..MAX_MESSAGES {
            assert!(load.add(1));
        }
        assert!(!load.add(1) && !load.add(1), "a refused message takes no room");
        load.remove(1);
        assert!(load.add(1));

        let load = Load::default();
        assert!(!load.add(MAX_BYTES + 1));
        assert!(load.add(MAX_BYTES) && !load.add(1));
        load.remove(MAX_BYTES);
        assert!(load.add(1));
    }
}
