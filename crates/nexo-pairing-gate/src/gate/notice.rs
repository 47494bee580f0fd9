//! Decides on events of a plugin itself, from memory.

use std::sync::atomic::Ordering;

use nexo_pairing_core::rules::SenderFacts;
use nexo_pairing_core::{
    AccountId, ChannelId, Decision, DeliveryRoute, DropReason, PairingAdapterRegistry, PairingError,
};
use serde_json::Value;

use super::PairingGate;
use crate::event::Notice;
use crate::ids::Senders;
use crate::message::{canonical, is_channel_account};

/// What was decided on a notice.
#[derive(Debug)]
#[non_exhaustive]
pub struct ScreenedNotice {
    /// [`Decision::Admit`], or [`Decision::Drop`] where the account is unknown or one of those whom
    /// the notice names is, or may be, blocked.
    pub decision: Decision,
    /// The event to pass on, made anew from what was checked; `None` where it is dropped.
    pub event: Option<Value>,
}

impl PairingGate {
    /// Decides on an event of a plugin itself, which has no sender: whether its account is known. It
    /// says nothing of what is in the event: see [`screen_notice`](Self::screen_notice).
    ///
    /// # Errors
    ///
    /// [`PairingError::Id`] when channel or account is invalid.
    pub fn notice(&self, channel: &str, account: &str) -> Result<Decision, PairingError> {
        ChannelId::check(channel)?;
        AccountId::check(account)?;
        if self.roster.read().is_known(channel, account) {
            Ok(Decision::Admit)
        } else {
            Ok(Decision::Drop(DropReason::UnknownAccount))
        }
    }

    /// Decides on a notice, and makes the event anew that may be passed on. Free text is in it only
    /// where the notice names a chat or an author who holds a live grant on this account, and nobody
    /// who is blocked. Looks at memory only; where the lists may be old, nobody is taken for allowed.
    /// An id that a plugin has not resolved yet may be a blocked person's while there is one on the
    /// channel.
    ///
    /// # Errors
    ///
    /// [`PairingError::Id`] when channel or account is invalid.
    pub fn screen_notice(
        &self,
        notice: &Notice,
        registry: &PairingAdapterRegistry,
    ) -> Result<ScreenedNotice, PairingError> {
        let (channel, account) = (notice.channel.as_str(), notice.account.as_str());
        let decision = self.notice(channel, account)?;
        if decision != Decision::Admit {
            return Ok(ScreenedNotice { decision, event: None });
        }
        let adapter = registry.get(channel);
        let adapter = adapter.as_deref();
        // Of an id that only a plugin can read, nobody here knows whose it is.
        let is_elsewhere = adapter.is_some_and(|adapter| adapter.route() == DeliveryRoute::Broker);
        let mut named = Senders::default();
        let mut has_unresolved_id = false;
        for id in &notice.named {
            match canonical(id, adapter) {
                Some(Some(sender)) => named.add(sender),
                _ => has_unresolved_id |= is_elsewhere && !is_channel_account(id, adapter),
            }
        }
        let must_refresh = self.must_refresh.load(Ordering::Acquire);
        let is_fresh = !must_refresh && self.roster.is_fresh(self.options.max_staleness);
        let state = self.roster.read();
        let known = state.lists.find(channel, account).known(&named);
        if known.is_blocked() || has_unresolved_id && known.has_blocks() {
            let decision = Decision::Drop(DropReason::Blocked);
            return Ok(ScreenedNotice { decision, event: None });
        }
        let is_allowed =
            is_fresh && known.grants().any(|span| span.holds(self.options.clock.now()));
        Ok(ScreenedNotice { decision, event: Some(notice.event(is_allowed)) })
    }
}
