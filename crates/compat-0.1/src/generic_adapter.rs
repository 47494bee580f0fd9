//! The adapter of a channel that a plugin in another process serves, over the broker.
//!
//! | subject | request | reply |
//! | --- | --- | --- |
//! | `<prefix>.pairing.normalize_sender` | `{"raw"}` | `{"normalized": string or null}` |
//! | `<prefix>.pairing.send_reply` | `{"account", "to", "text"}` | `{"ok": bool, "error"?}` |
//! | `<prefix>.pairing.send_qr_image` | `{"account", "to", "png_base64"}` | the same |
//! | `<prefix>.pairing.format_challenge_text` | `{"code"}` | `{"text"}` |
//!
//! The last one is only sent where the manifest has `format_challenge_text_kind = "broker"`.

use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use data_encoding::BASE64;
use nexo_broker::{AnyBroker, BrokerError, BrokerHandle as _, Message};
use nexo_pairing_core::limits::MAX_RAW_ID_BYTES;
use nexo_plugin_manifest::pairing::PairingAdapterSection;
use quick_cache::sync::Cache;
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::adapter::{self, PairingChannelAdapter};

/// How long a plugin may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many answers about senders are kept: anybody can write, so there is a limit.
const MAX_ANSWERS: usize = 10_000;

/// The adapter of a channel that a plugin in another process serves.
///
/// Answers about senders are cached, for as long as the manifest says. Without an answer, a sender has no
/// canonical id for 30 s.
///
/// [`normalize_sender`](PairingChannelAdapter::normalize_sender) blocks its thread while the plugin answers,
/// which needs a Tokio runtime with several threads. On any other it knows cached answers only.
pub struct GenericBrokerPairingAdapter {
    channel_id: &'static str,
    broker: AnyBroker,
    topic_prefix: String,
    plugin_formats: bool,
    answer_ttl: Option<Duration>,
    answers: Cache<String, Answer>,
}

/// The canonical id of a sender, and until when it counts; `None` for ever.
type Answer = (Option<String>, Option<Instant>);

impl GenericBrokerPairingAdapter {
    /// The adapter that the section `[plugin.pairing.adapter]` of a manifest describes. The memory of its
    /// channel id is never freed.
    #[must_use]
    pub fn from_manifest(broker: AnyBroker, adapter: &PairingAdapterSection) -> Self {
        Self {
            channel_id: Box::leak(adapter.channel_id.clone().into_boxed_str()),
            broker,
            topic_prefix: adapter.broker_topic_prefix.clone(),
            plugin_formats: adapter.format_challenge_text_kind.as_deref() == Some("broker"),
            answer_ttl: adapter.normalize_cache_ttl_seconds.map(Duration::from_secs),
            answers: Cache::new(MAX_ANSWERS),
        }
    }

    async fn call(&self, method: &str, body: Value) -> Result<Value, BrokerError> {
        let topic = format!("{}.pairing.{method}", self.topic_prefix);
        let request = Message::new(topic.as_str(), body);
        self.broker.request(&topic, request, TIMEOUT).await.map(|reply| reply.payload)
    }

    /// [`call`](Self::call) from code that is not async; `None` if it fails.
    fn call_blocking(&self, method: &'static str, body: Value) -> Option<Value> {
        let called = match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| runtime.block_on(self.call(method, body)))
                    .map_err(|error| error.to_string())
            }
            _ => Err("not in a Tokio runtime with several threads".to_owned()),
        };
        called
            .inspect_err(|error| {
                tracing::warn!(
                    channel = self.channel_id,
                    method,
                    error,
                    "the plugin was not asked"
                );
            })
            .ok()
    }

    async fn send(&self, method: &str, body: Value) -> anyhow::Result<()> {
        let reply = self.call(method, body).await;
        let reply =
            reply.map_err(|error| anyhow::anyhow!("pairing.{method} broker error: {error}"))?;
        if reply["ok"] == Value::Bool(true) {
            return Ok(());
        }
        let error = reply["error"].as_str().unwrap_or("the plugin did not say why");
        anyhow::bail!("pairing.{method}: {error}")
    }
}

#[async_trait]
impl PairingChannelAdapter for GenericBrokerPairingAdapter {
    fn channel_id(&self) -> &'static str {
        self.channel_id
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        if raw.len() > MAX_RAW_ID_BYTES {
            return None;
        }
        let is_current = |until: Option<Instant>| until.is_none_or(|until| Instant::now() < until);
        if let Some((canonical, until)) = self.answers.get(raw)
            && is_current(until)
        {
            return canonical;
        }
        let reply = self.call_blocking("normalize_sender", json!({ "raw": raw }));
        let ttl = if reply.is_some() { self.answer_ttl } else { Some(TIMEOUT) };
        let canonical = reply.and_then(|reply| Some(reply["normalized"].as_str()?.to_owned()));
        let until = ttl.and_then(|ttl| Instant::now().checked_add(ttl));
        self.answers.insert(raw.to_owned(), (canonical.clone(), until));
        canonical
    }

    fn format_challenge_text(&self, code: &str) -> String {
        let reply = self
            .plugin_formats
            .then(|| self.call_blocking("format_challenge_text", json!({ "code": code })))
            .flatten();
        let text = reply.and_then(|reply| Some(reply["text"].as_str()?.to_owned()));
        text.unwrap_or_else(|| adapter::challenge_text(code))
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> anyhow::Result<()> {
        self.send("send_reply", json!({ "account": account, "to": to, "text": text })).await
    }

    async fn send_qr_image(&self, account: &str, to: &str, png: &[u8]) -> anyhow::Result<()> {
        let png = BASE64.encode(png);
        let body = json!({ "account": account, "to": to, "png_base64": png });
        self.send("send_qr_image", body).await
    }
}

impl fmt::Debug for GenericBrokerPairingAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("GenericBrokerPairingAdapter");
        debug.field("channel_id", &self.channel_id).finish_non_exhaustive()
    }
}
