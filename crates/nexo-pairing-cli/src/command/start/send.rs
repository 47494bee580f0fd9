//! Sends a setup code over a chat channel.
//!
//! Anybody who reads that chat can use the code: it is a secret like any other that is sent there. It
//! works once and for a minute, and it is cancelled when it cannot be delivered.

use std::str::FromStr;
use std::sync::Arc;

use nexo_pairing::config::Config;
use nexo_pairing::nats::NatsOutbound;
use nexo_pairing::{AccountId, ChannelId, PairingChannelAdapter, PairingError, SenderId};
use serde::Serialize;

use crate::channels::{adapters, plugin};
use crate::nats;
use crate::target::sender_of;
use crate::{CliError, Result};

/// Where to send a code: `CHANNEL:ACCOUNT:TO`. Split at the first two colons; a recipient may have more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    channel: String,
    account: String,
    to: String,
}

impl FromStr for Destination {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(channel), Some(account), Some(to)) if !to.is_empty() => {
                Ok(Self { channel, account, to })
            }
            _ => Err("write channel, account and recipient with colons between them, \
                      such as whatsapp:personal:+5491155556666"),
        }
    }
}

/// Sends a code to one recipient.
pub(super) struct ChatSender {
    adapter: Arc<dyn PairingChannelAdapter>,
    channel: ChannelId,
    account: AccountId,
    to: SenderId,
}

/// What was sent, and to whom.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    /// `image` or `text`.
    #[serde(rename = "as")]
    pub(super) form: &'static str,
    pub(super) channel: ChannelId,
    pub(super) account_id: AccountId,
    pub(super) to: SenderId,
}

impl ChatSender {
    /// Resolves the recipient, before there is a code.
    pub(super) async fn new(to: &Destination, config: &Config) -> Result<Self> {
        let channel = ChannelId::parse(&to.channel)?;
        let account = AccountId::parse(&to.account)?;
        let bus = nats::connect(config).await?;
        let registry = adapters(Arc::new(NatsOutbound::new(bus.clone())));
        if let Some(served) = config.adapters().iter().find(|served| served.channel == channel) {
            registry.register(plugin(&bus, served)?);
        }
        let to = sender_of(&registry, &channel, &to.to, false).await?;
        let adapter = registry
            .get(channel.as_str())
            .ok_or_else(|| CliError::no_adapter(channel.as_str(), &registry))?;
        Ok(Self { adapter, channel, account, to })
    }

    /// Sends a code as an image or, if the channel supports none, as text.
    pub(super) async fn send(self, payload: &str) -> Result<Sent> {
        let Self { adapter, channel, account, to } = self;
        let png = nexo_pairing::qr::render_png(payload)?;
        let form = match adapter.send_qr_image(account.as_str(), to.as_str(), &png).await {
            Ok(()) => "image",
            Err(PairingError::Unsupported { .. }) => {
                let text = adapter.format_verbatim(payload);
                adapter.send_reply(account.as_str(), to.as_str(), &text).await?;
                "text"
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Sent { form, channel, account_id: account, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_three_parts() {
        let via =
            |text: &str| text.parse::<Destination>().map(|via| (via.channel, via.account, via.to));
        let parts = |channel: &str, account: &str, to: &str| {
            Ok((channel.to_owned(), account.to_owned(), to.to_owned()))
        };
        assert_eq!(via("telegram:bot:123"), parts("telegram", "bot", "123"));
        assert_eq!(via("whatsapp:a:lid:1"), parts("whatsapp", "a", "lid:1"));
        for text in ["", "telegram", "telegram:bot", "telegram:bot:"] {
            assert!(via(text).is_err(), "{text}");
        }
    }
}
