//! A message, and the canonical ids of its sender.

use std::borrow::Cow;
use std::iter;
use std::time::Duration;

use nexo_pairing_core::limits::MAX_RAW_ID_BYTES;
use nexo_pairing_core::{
    AccountId, ChannelId, Inbound, PairingChannelAdapter, PairingError, PairingPolicy, SenderId,
};
use serde_json::Value;
use smallvec::SmallVec;

use crate::telemetry::{Warning, Warnings};

/// How long an adapter may take to resolve an id.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) type Adapter<'a> = Option<&'a dyn PairingChannelAdapter>;

/// Canonical ids of one sender. Most have one, which needs no allocation.
pub(crate) type SenderIds<'a> = SmallVec<[Cow<'a, str>; 1]>;

/// A message, with the ids of its sender as far as they were read.
pub(crate) struct Message<'a> {
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    pub(crate) policy: &'a PairingPolicy,
    pub(crate) adapter: Adapter<'a>,
    pub(crate) meta: &'a Value,
    raw_sender: &'a str,
    alt: &'a [String],
    ids_read: usize,
    /// The canonical ids. The first is that of `raw_sender` if the message is pairable.
    pub(crate) ids: SenderIds<'a>,
    /// Whether `raw_sender` has a canonical id.
    pub(crate) is_pairable: bool,
    /// Whether one of the raw ids has no canonical one: it may be a blocked sender's.
    pub(crate) has_unreadable_id: bool,
    pub(crate) is_direct: bool,
}

impl<'a> Message<'a> {
    /// A direct message, with no id read yet.
    pub(crate) fn direct(
        channel: &'a str,
        account: &'a str,
        raw_sender: &'a str,
        policy: &'a PairingPolicy,
        adapter: Adapter<'a>,
    ) -> Self {
        Self {
            channel,
            account,
            policy,
            adapter,
            meta: &Value::Null,
            raw_sender,
            alt: &[],
            ids_read: 0,
            ids: SenderIds::new(),
            is_pairable: true,
            has_unreadable_id: false,
            is_direct: true,
        }
    }

    /// Any message, with no id read yet.
    pub(crate) fn new(
        inbound: &'a Inbound,
        policy: &'a PairingPolicy,
        adapter: Adapter<'a>,
    ) -> Self {
        let Inbound { channel, account, raw_sender, alt, is_group, meta, .. } = inbound;
        let direct = Self::direct(channel, account, raw_sender, policy, adapter);
        let mut message = Self { meta, alt, is_direct: !is_group, ..direct };
        // Ids beyond the limit are not read.
        message.has_unreadable_id = message.raw_ids().nth(1 + Inbound::MAX_ALT).is_some();
        message
    }

    /// Whether the names of channel and account are valid.
    pub(crate) fn check_names(&self) -> Result<(), PairingError> {
        ChannelId::check(self.channel)?;
        AccountId::check(self.account)?;
        Ok(())
    }

    fn raw_ids(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let others = self.alt.iter().map(String::as_str).filter(|id| !id.is_empty());
        iter::once(self.raw_sender).chain(others)
    }

    fn next_raw_id(&self) -> Option<&'a str> {
        self.raw_ids().take(1 + Inbound::MAX_ALT).nth(self.ids_read)
    }

    /// Reads the ids up to the first that has to be resolved; `false` if there is one.
    pub(crate) fn try_read_ids(&mut self) -> bool {
        while let Some(raw) = self.next_raw_id() {
            let Ok(id) = canonical(raw, self.adapter) else { return false };
            self.add(raw, id);
        }
        true
    }

    /// Reads the remaining ids, and has the adapter resolve those that it cannot read at once.
    pub(crate) async fn read_ids(&mut self, warnings: &Warnings) {
        while let Some(raw) = self.next_raw_id() {
            let id = match canonical(raw, self.adapter) {
                Ok(id) => id,
                Err(adapter) => resolve(raw, self.channel, adapter, warnings).await,
            };
            self.add(raw, id);
        }
    }

    // Inlined as `canonical` and `Snapshot::view` are: decision 022 has what that saves.
    #[inline]
    fn add(&mut self, raw: &str, id: Option<Cow<'a, str>>) {
        let is_first = self.ids_read == 0;
        self.ids_read += 1;
        if let Some(id) = id {
            if is_first && self.adapter.is_some_and(|adapter| adapter.is_group(&id)) {
                self.is_direct = false;
            }
            if !self.ids.contains(&id) {
                self.ids.push(id);
            }
        } else {
            self.is_pairable &= !is_first;
            self.has_unreadable_id |= !is_channel_account(raw, self.adapter);
        }
    }

    /// The canonical id of `raw_sender`.
    pub(crate) fn sender(&self) -> Option<SenderId> {
        let id = self.ids.first().filter(|_| self.is_pairable)?;
        SenderId::parse(id).ok()
    }
}

/// The canonical form of a raw id; `None` if it has none, and the adapter as the error if that has to
/// [resolve](PairingChannelAdapter::resolve_sender) it.
#[inline]
pub(crate) fn canonical<'a>(
    raw: &'a str,
    adapter: Adapter<'a>,
) -> Result<Option<Cow<'a, str>>, &'a dyn PairingChannelAdapter> {
    if raw.len() > MAX_RAW_ID_BYTES {
        return Ok(None);
    }
    let id = match adapter {
        None => Cow::Borrowed(raw),
        Some(adapter) => Cow::Owned(adapter.normalize_sender(raw).ok_or(adapter)?),
    };
    Ok(SenderId::check(&id).is_ok().then_some(id))
}

async fn resolve<'a>(
    raw: &str,
    channel: &str,
    adapter: &dyn PairingChannelAdapter,
    warnings: &Warnings,
) -> Option<Cow<'a, str>> {
    match answer_within(RESOLVE_TIMEOUT, adapter.resolve_sender(raw)).await {
        Ok(id) => id.filter(|id| SenderId::check(id).is_ok()).map(Cow::Owned),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            if let Some(suppressed) = warnings.allow(Warning::Unresolved(channel.to_owned())) {
                tracing::warn!(channel, error, suppressed, "failed to resolve a sender");
            }
            None
        }
    }
}

/// What an adapter answers, or an error if it takes too long.
pub(crate) async fn answer_within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, PairingError>>,
) -> Result<T, PairingError> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        Err(PairingError::delivery(format!("the adapter did not answer for {} s", limit.as_secs())))
    })
}

/// Whether an id without a canonical form is the channel's own.
pub(crate) fn is_channel_account(raw: &str, adapter: Adapter<'_>) -> bool {
    raw.len() <= MAX_RAW_ID_BYTES && adapter.is_some_and(|adapter| adapter.is_channel_account(raw))
}
