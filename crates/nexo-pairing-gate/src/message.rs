//! Reads the ids of a message: once, before anything is decided.

use std::time::Duration;

use nexo_pairing_core::limits::MAX_RAW_ID_BYTES;
use nexo_pairing_core::{
    AccountId, ChannelId, Inbound, PairingChannelAdapter, PairingError, PairingPolicy, SenderId,
};
use serde_json::Value;

use crate::ids::{Sender, Senders};
use crate::telemetry::{Warning, Warnings};

/// How long an adapter may take to resolve an id.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A message as it came.
pub(crate) struct Raw<'a> {
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    sender: &'a str,
    alt: &'a [String],
    is_group: bool,
    pub(crate) meta: &'a Value,
    pub(crate) policy: &'a PairingPolicy,
}

impl<'a> Raw<'a> {
    pub(crate) fn direct(
        channel: &'a str,
        account: &'a str,
        sender: &'a str,
        policy: &'a PairingPolicy,
    ) -> Self {
        let (alt, is_group, meta) = (&[], false, &Value::Null);
        Self { channel, account, sender, alt, is_group, meta, policy }
    }

    pub(crate) fn of(inbound: &'a Inbound, policy: &'a PairingPolicy) -> Self {
        let Inbound { channel, account, raw_sender, alt, is_group, meta, .. } = inbound;
        Self { channel, account, sender: raw_sender, alt, is_group: *is_group, meta, policy }
    }

    /// Whether channel and account are ids at all.
    pub(crate) fn check(&self) -> Result<(), PairingError> {
        ChannelId::check(self.channel)?;
        AccountId::check(self.account)?;
        Ok(())
    }

    /// Whether there are more other ids than are looked at.
    #[inline]
    fn has_too_many_ids(&self) -> bool {
        self.alt.len() > Inbound::MAX_ALT && self.others().nth(Inbound::MAX_ALT).is_some()
    }

    /// The other ids; an empty one is none.
    #[inline]
    fn others(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.alt.iter().map(String::as_str).filter(|id| !id.is_empty())
    }
}

/// A message with its ids read.
pub(crate) struct Message<'a> {
    pub(crate) raw: &'a Raw<'a>,
    /// The canonical ids of who wrote: his own first, unless he is nobody.
    pub(crate) senders: Senders<'a>,
    /// Whether the adapter makes no sender of who wrote.
    pub(crate) is_nobody: bool,
    /// Whether no canonical id could be made of one of the ids: it may be anybody's.
    pub(crate) has_unreadable_id: bool,
    pub(crate) is_direct: bool,
    ids_read: usize,
}

impl<'a> Message<'a> {
    /// A message of which no id is read yet.
    pub(crate) fn of(raw: &'a Raw<'a>) -> Self {
        Self {
            raw,
            senders: Senders::default(),
            is_nobody: false,
            has_unreadable_id: raw.has_too_many_ids(),
            is_direct: !raw.is_group,
            ids_read: 0,
        }
    }

    /// Reads the ids up to the first that the adapter has to ask somebody else for; `false` when there
    /// is one.
    #[inline]
    pub(crate) fn read(&mut self, adapter: Option<&dyn PairingChannelAdapter>) -> bool {
        while let Some(id) = self.next_id() {
            let Some(sender) = canonical(id, adapter) else { return false };
            self.take(id, sender, adapter);
        }
        true
    }

    /// Reads the ids that are not read yet; the adapter asks whom it has to ask.
    pub(crate) async fn resolve(
        &mut self,
        adapter: Option<&dyn PairingChannelAdapter>,
        warnings: &Warnings,
    ) {
        while let Some(id) = self.next_id() {
            let sender = self.ask(id, adapter, warnings).await;
            self.take(id, sender, adapter);
        }
    }

    /// The next id to read: that of who wrote first.
    #[inline]
    fn next_id(&self) -> Option<&'a str> {
        match self.ids_read {
            0 => Some(self.raw.sender),
            read @ 1..=Inbound::MAX_ALT => self.raw.others().nth(read - 1),
            _ => None,
        }
    }

    /// Takes what the adapter makes of the next id: a sender, or nobody.
    // Every message passes here, as it does through `canonical`.
    #[inline(always)]
    fn take(
        &mut self,
        id: &str,
        sender: Option<Sender<'a>>,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) {
        if self.ids_read == 0 {
            match (&sender, adapter) {
                (None, _) => self.is_nobody = true,
                (Some(sender), Some(adapter)) => {
                    self.is_direct &= !adapter.is_group(sender.as_str());
                }
                (Some(_), None) => {}
            }
        }
        self.ids_read += 1;
        match sender {
            Some(sender) => self.senders.add(sender),
            None => self.has_unreadable_id |= !is_channel_account(id, adapter),
        }
    }

    /// The canonical form of a raw id; the adapter asks for it where it has to.
    async fn ask(
        &self,
        id: &'a str,
        adapter: Option<&dyn PairingChannelAdapter>,
        warnings: &Warnings,
    ) -> Option<Sender<'a>> {
        let adapter = match (canonical(id, adapter), adapter) {
            (None, Some(adapter)) => adapter,
            (sender, _) => return sender.flatten(),
        };
        let asked = tokio::time::timeout(RESOLVE_TIMEOUT, adapter.resolve_sender(id)).await;
        let late = |_| Err(PairingError::delivery("the adapter did not answer for 5 s"));
        match asked.unwrap_or_else(late) {
            Ok(sender) => sender.and_then(Sender::parse),
            Err(error) => {
                let channel = self.raw.channel;
                let error = &error as &dyn std::error::Error;
                if let Some(suppressed) = warnings.allow(Warning::Unresolved(channel.to_owned())) {
                    tracing::warn!(channel, error, suppressed, "a sender could not be resolved");
                }
                None
            }
        }
    }

    /// Who wrote, if he can be paired.
    pub(crate) fn sender(&self) -> Option<SenderId> {
        let sender = self.senders.first().filter(|_| !self.is_nobody)?;
        SenderId::parse(sender.as_str()).ok()
    }
}

/// Whether an id that cannot be paired is the channel's own.
#[cold]
pub(crate) fn is_channel_account(raw: &str, adapter: Option<&dyn PairingChannelAdapter>) -> bool {
    raw.len() <= MAX_RAW_ID_BYTES && adapter.is_some_and(|adapter| adapter.is_channel_account(raw))
}

/// The canonical form of a raw id, if it is somebody's that can be paired; `None` when the adapter
/// has to ask somebody else.
// Every message passes here: left to the compiler, a call takes 2 % of a decision.
#[inline(always)]
pub(crate) fn canonical<'a>(
    id: &'a str,
    adapter: Option<&dyn PairingChannelAdapter>,
) -> Option<Option<Sender<'a>>> {
    if id.len() > MAX_RAW_ID_BYTES {
        return Some(None);
    }
    Some(match adapter {
        None => Sender::parse(id),
        Some(adapter) => Sender::parse(adapter.normalize_sender(id)?),
    })
}
