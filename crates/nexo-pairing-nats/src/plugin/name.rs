//! Names that live as long as the process.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use nexo_pairing_core::ChannelId;

/// The name of a channel as an adapter has to give it. The memory is never given back; there is one
/// piece for each channel that was ever configured.
pub(super) fn lasting(channel: &ChannelId) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.get(channel.as_str()) {
        return name;
    }
    let name: &'static str = Box::leak(channel.as_str().into());
    names.insert(name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_kept_once() {
        let channel: ChannelId = "signal".parse().unwrap();
        assert_eq!(lasting(&channel), "signal");
        assert!(std::ptr::eq(lasting(&channel), lasting(&channel)));
    }
}
