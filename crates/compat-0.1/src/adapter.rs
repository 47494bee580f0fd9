//! The trait of channel adapters.

use async_trait::async_trait;

/// The parts of pairing that differ between channels.
#[async_trait]
pub trait PairingChannelAdapter: Send + Sync {
    /// The channel id, such as `whatsapp`.
    fn channel_id(&self) -> &'static str;

    /// The canonical id of a sender. Where this is `None`, the gate uses the raw id.
    fn normalize_sender(&self, raw: &str) -> Option<String>;

    /// The text that carries a code to a stranger, in the channel's markup. Default: plain English text.
    fn format_challenge_text(&self, code: &str) -> String {
        challenge_text(code)
    }

    /// Sends a text to a canonical id.
    async fn send_reply(&self, account: &str, to: &str, text: &str) -> anyhow::Result<()>;

    /// Sends a QR code as a PNG image. Default: an error.
    async fn send_qr_image(&self, _account: &str, _to: &str, _png: &[u8]) -> anyhow::Result<()> {
        anyhow::bail!("send_qr_image not supported by this channel adapter")
    }
}

/// The default text of a challenge.
pub(crate) fn challenge_text(code: &str) -> String {
    format!("🔐 Pairing required.\nAsk the operator to run:\n  nexo pair approve {code}")
}
