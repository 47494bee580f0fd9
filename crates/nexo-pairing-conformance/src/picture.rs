//! The visible state of a store, without random values.

use nexo_pairing_core::Filter;

use crate::prelude::*;

impl<S: Storage> World<S> {
    /// Every list and the audit log, one line per row.
    pub(crate) async fn picture(&self) -> Vec<String> {
        let all = Filter::all();
        let mut lines = Vec::new();
        for grant in self.store.list_allow(&all, true).await.unwrap() {
            lines.push(format!("{grant:?}"));
        }
        for block in self.store.list_blocked(&all).await.unwrap() {
            lines.push(format!("{block:?}"));
        }
        for request in self.store.list_pending(&all).await.unwrap() {
            lines.push(format!("{request:?}"));
        }
        for session in self.store.list_sessions(true).await.unwrap() {
            let (label, revoked) = (session.device_label, session.revoked_at);
            lines.push(format!("session {label:?} {:?} {revoked:?}", session.expires_at));
        }
        for event in self.store.audit(&all, 10_000).await.unwrap() {
            let sender = event.sender_id.map_or_else(String::new, |id| id.to_string());
            // A pseudonym differs each time.
            let sender = sender.split_once(':').map_or(&*sender, |(kind, _)| kind);
            let (at, actor, action) = (event.at, event.actor, event.action);
            lines.push(format!("{at} {actor} {action} {:?} {sender}", event.account_id));
        }
        lines
    }
}
