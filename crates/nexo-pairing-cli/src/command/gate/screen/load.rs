//! How much may wait in one place until it is decided.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What waits, up to a number of messages and of bytes.
#[derive(Debug)]
pub(super) struct Load {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    max_messages: usize,
    max_bytes: usize,
}

impl Load {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Self {
        let (messages, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { messages, bytes, max_messages, max_bytes }
    }

    /// Adds a message of so many bytes; `false` when there is no room for it.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let messages = self.messages.fetch_add(1, Ordering::AcqRel) + 1;
        let all = self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let has_room = messages <= self.max_messages && all <= self.max_bytes;
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
        const MESSAGES: usize = 10;
        const BYTES: usize = 100;
        let load = Load::new(MESSAGES, BYTES);
        for _ in 0..MESSAGES {
            assert!(load.add(1));
        }
        assert!(!load.add(1) && !load.add(1), "a refused message takes no room");
        load.remove(1);
        assert!(load.add(1));

        let load = Load::new(MESSAGES, BYTES);
        assert!(!load.add(BYTES + 1));
        assert!(load.add(BYTES) && !load.add(1));
        load.remove(BYTES);
        assert!(load.add(1));
    }
}
