//! Decides on events of the plugin itself, from memory.

use nexo_pairing_core::rules::SenderFacts;
use nexo_pairing_core::{
    AccountId, ChannelId, Decision, DeliveryRoute, DropReason, PairingAdapterRegistry, PairingError,
};
use serde_json::Value;

use super::PairingGate;
use crate::event::Notice;
use crate::message::{SenderIds, canonical, is_channel_account};

/// The decision on a notice.
#[derive(Debug)]
#[non_exhaustive]
pub struct ScreenedNotice {
    /// [`Decision::Admit`], or [`Decision::Drop`] if the account is unknown or one of those that the
    /// notice names is, or may be, blocked.
    pub decision: Decision,
    /// The event to pass on, rebuilt from what was checked; `None` if it is dropped.
    pub event: Option<Value>,
}

impl PairingGate {
    /// Decides on an event of the plugin itself, which has no sender: whether its account is known. It
    /// does not look at what is in the event: see [`screen_notice`](Self::screen_notice).
    ///
    /// # Errors
    ///
    /// [`PairingError::Id`] if the channel or account id is invalid.
    pub fn screen_lifecycle_event(
        &self,
        channel: &str,
        account: &str,
    ) -> Result<Decision, PairingError> {
        ChannelId::check(channel)?;
        AccountId::check(account)?;
        if self.replica.read().is_known(channel, account) {
            Ok(Decision::Admit)
        } else {
            Ok(Decision::Drop(DropReason::UnknownAccount))
        }
    }

    /// Decides on a notice, and rebuilds the event that may be passed on. It has free text only if
    /// the notice names a chat or an author with a live grant on this account, and no blocked sender.
    /// Only memory is read; while it may be stale, no sender counts as allowed. An id that a plugin
    /// has not resolved yet may be a blocked sender's while any sender on the channel is blocked.
    ///
    /// # Errors
    ///
    /// [`PairingError::Id`] if the channel or account id is invalid.
    pub fn screen_notice(
        &self,
        notice: &Notice,
        registry: &PairingAdapterRegistry,
    ) -> Result<ScreenedNotice, PairingError> {
        let (channel, account) = (notice.channel.as_str(), notice.account.as_str());
        let decision = self.screen_lifecycle_event(channel, account)?;
        if decision != Decision::Admit {
            return Ok(ScreenedNotice { decision, event: None });
        }
        let adapter = registry.get(channel);
        let adapter = adapter.as_deref();
        // Only the plugin knows whose an id is that it has not resolved.
        let is_remote = adapter.is_some_and(|adapter| adapter.route() == DeliveryRoute::Broker);
        let mut ids = SenderIds::new();
        let mut has_unresolved_id = false;
        for raw in &notice.named {
            match canonical(raw, adapter) {
                Ok(Some(id)) => ids.push(id),
                _ => has_unresolved_id |= is_remote && !is_channel_account(raw, adapter),
            }
        }
        let state = self.replica.read();
        let sender = state.snapshot.view(channel, account, &ids);
        if sender.is_blocked() || has_unresolved_id && sender.has_blocks() {
            let decision = Decision::Drop(DropReason::Blocked);
            return Ok(ScreenedNotice { decision, event: None });
        }
        let now = || self.options.clock.now();
        let is_allowed = self.is_fresh(&state) && sender.grants().any(|grant| grant.holds(now()));
        Ok(ScreenedNotice { decision, event: Some(notice.event(is_allowed)) })
    }
}
