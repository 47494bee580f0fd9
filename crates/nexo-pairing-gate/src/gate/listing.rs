//! Which list a sender is on, for callers who serve known senders first.

use nexo_pairing_core::{Inbound, PairingAdapterRegistry};

use super::PairingGate;
use crate::ids::{Sender, Senders};
use crate::lists::Listing;
use crate::message::canonical;

impl PairingGate {
    /// Says which list of its account the sender of a message is on, by any of the ids in it; `None`
    /// for all others. An id that the adapter cannot make canonical without asking is looked up as it
    /// is.
    ///
    /// It is answered from memory, also while the store cannot be read. It tells a caller with a queue
    /// whom to serve first, and decides nothing.
    #[must_use]
    pub fn listing(&self, inbound: &Inbound, registry: &PairingAdapterRegistry) -> Option<Listing> {
        let adapter = registry.get(&inbound.channel);
        let mut senders = Senders::default();
        for id in inbound.ids() {
            let sender = canonical(id, adapter.as_deref()).unwrap_or_else(|| Sender::parse(id));
            sender.into_iter().for_each(|sender| senders.add(sender));
        }
        let state = self.roster.read();
        state.lists.find(&inbound.channel, &inbound.account).known(&senders).listing()
    }
}
