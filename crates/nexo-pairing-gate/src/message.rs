//! Reads the ids of a message: once, before anything is decided.

use std::borrow::Cow;
use std::time::Duration;

use nexo_pairing_core::{
    AccountId, ChannelId, Inbound, PairingChannelAdapter, PairingError, PairingPolicy, SenderId,
};
use serde_json::Value;

/// The longest raw id that an adapter is asked about, in bytes.
const MAX_RAW_BYTES: usize = 1024;

/// How long an adapter may take to resolve an id.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A message with its ids read.
pub(crate) struct Message<'a> {
    pub(crate) channel: ChannelId,
    pub(crate) account: AccountId,
    /// The canonical ids of who wrote: his own first, unless he is nobody.
    pub(crate) senders: Vec<Cow<'a, str>>,
    /// Whether the adapter makes no sender of who wrote.
    pub(crate) is_nobody: bool,
    /// Whether an id could not be read: nobody knows whose it is.
    pub(crate) is_unresolved: bool,
    pub(crate) is_direct: bool,
    pub(crate) meta: Value,
    pub(crate) policy: &'a PairingPolicy,
}

impl<'a> Message<'a> {
    pub(crate) async fn read_inbound(
        inbound: &'a Inbound,
        policy: &'a PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Self, PairingError> {
        let Inbound { channel, account, raw_sender, alt, is_group, meta, .. } = inbound;
        let mut message = Self::read(channel, account, raw_sender, alt, policy, adapter).await?;
        message.is_direct &= !is_group;
        if !meta.is_null() && meta.to_string().len() <= Inbound::MAX_META_BYTES {
            message.meta = meta.clone();
        }
        Ok(message)
    }

    pub(crate) async fn read(
        channel: &str,
        account: &str,
        raw_sender: &'a str,
        alt: &'a [String],
        policy: &'a PairingPolicy,
        adapter: Option<&dyn PairingChannelAdapter>,
    ) -> Result<Self, PairingError> {
        let mut message = Self {
            channel: ChannelId::parse(channel)?,
            account: AccountId::parse(account)?,
            senders: Vec::with_capacity(1 + alt.len().min(Inbound::MAX_ALT)),
            is_nobody: false,
            is_unresolved: alt.len() > Inbound::MAX_ALT,
            is_direct: true,
            meta: Value::Null,
            policy,
        };
        message.add(raw_sender, adapter).await;
        match (message.senders.first(), adapter) {
            (Some(sender), Some(adapter)) => message.is_direct = !adapter.is_group(sender),
            (Some(_), None) => {}
            (None, _) => message.is_nobody = true,
        }
        for raw in alt.iter().take(Inbound::MAX_ALT) {
            message.add(raw, adapter).await;
        }
        Ok(message)
    }

    /// Who wrote, if he can be paired.
    pub(crate) fn sender(&self) -> Option<SenderId> {
        let sender = self.senders.first().filter(|_| !self.is_nobody)?;
        SenderId::parse(sender).ok()
    }

    async fn add(&mut self, raw: &'a str, adapter: Option<&dyn PairingChannelAdapter>) {
        match canonical(raw, adapter).await {
            Ok(Some(sender)) if !self.senders.contains(&sender) => self.senders.push(sender),
            Ok(_) => {}
            Err(error) => {
                let channel = self.channel.as_str();
                tracing::warn!(channel, %error, "a sender could not be resolved");
                self.is_unresolved = true;
            }
        }
    }
}

/// The canonical form of a raw id, if it is somebody's that can be paired.
async fn canonical<'a>(
    raw: &'a str,
    adapter: Option<&dyn PairingChannelAdapter>,
) -> Result<Option<Cow<'a, str>>, PairingError> {
    if raw.len() > MAX_RAW_BYTES {
        return Ok(None);
    }
    let sender = match adapter {
        None => Some(Cow::Borrowed(raw)),
        Some(adapter) => match adapter.normalize_sender(raw) {
            Some(sender) => Some(Cow::Owned(sender)),
            None => resolve(raw, adapter).await?.map(Cow::Owned),
        },
    };
    Ok(sender.filter(|sender| SenderId::check(sender).is_ok()))
}

async fn resolve(
    raw: &str,
    adapter: &dyn PairingChannelAdapter,
) -> Result<Option<String>, PairingError> {
    tokio::time::timeout(RESOLVE_TIMEOUT, adapter.resolve_sender(raw))
        .await
        .unwrap_or_else(|_| Err(PairingError::delivery("the adapter did not answer for 5 s")))
}
