//! The adapter of a channel that another process serves.

mod cache;
mod circuit;
mod options;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use data_encoding::BASE64;
use nexo_pairing_core::{
    Challenge, ChannelId, DeliveryRoute, PairingChannelAdapter, PairingError, SystemClock,
    WarningLimiter,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub use self::options::{Format, PluginOptions, Shape};

use self::cache::{Lookup, SenderCache};
use self::circuit::Circuit;
use self::wire::Method;
use crate::replies::Reply;
use crate::{Bus, NatsError};

/// The adapter of a channel that another process, the plugin, serves: it asks the plugin over the bus.
///
/// | subject | request | reply |
/// | --- | --- | --- |
/// | `<prefix>.pairing.normalize_sender` | `{"raw"}` | `{"normalized": string or null}` |
/// | `<prefix>.pairing.send_reply` | `{"account", "to", "text"}` | `{"ok": bool, "error"?}` |
/// | `<prefix>.pairing.send_qr_image` | `{"account", "to", "png_base64"}` | the same |
/// | `<prefix>.pairing.format_challenge_text` | `{"code"}` | `{"text"}` |
///
/// * A request is one message, in the shape of [`Shape`]. It is published once, so nothing is sent twice;
///   the first valid reply counts, in whichever shape.
/// * Answers about senders are cached. Without an answer nothing is cached: the message is dropped, and
///   the sender's next one asks again.
/// * A missing plugin is noticed at once. After a request that timed out, none of its kind is sent for a
///   second, and then one at a time until one is answered.
/// * Requests about senders that the plugin has not named before take at most half of the requests that
///   may be open at once. When one of them times out, only they pause.
/// * Invalid replies are ignored; they may come from another subscriber.
///
/// Clones share all of it.
#[derive(Clone)]
pub struct PluginAdapter(Arc<Inner>);

struct Inner {
    bus: Bus,
    channel: &'static str,
    options: PluginOptions,
    subjects: [String; Method::ALL.len()],
    circuits: [Circuit; Method::ALL.len()],
    in_flight: Semaphore,
    strangers: Strangers,
    senders: SenderCache,
    /// Warns that the plugin did not format a challenge.
    warnings: WarningLimiter<()>,
}

/// Limits the requests about senders that the plugin has not named before: anybody can cause any number
/// of them.
struct Strangers {
    circuit: Circuit,
    in_flight: Semaphore,
}

impl PluginAdapter {
    /// An adapter that sends its requests on `bus`. Does no I/O.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when the prefix is invalid, [`NatsError::Options`] when a number is out of
    /// range.
    pub fn new(bus: Bus, options: PluginOptions) -> Result<Self, NatsError> {
        options.check()?;
        let subject = |method: Method| format!("{}.pairing.{}", options.prefix, method.name());
        Ok(Self(Arc::new(Inner {
            bus,
            channel: intern(&options.channel),
            subjects: Method::ALL.map(subject),
            circuits: Default::default(),
            in_flight: Semaphore::new(options.max_in_flight),
            strangers: Strangers {
                circuit: Circuit::default(),
                in_flight: Semaphore::new(options.max_in_flight.div_ceil(2)),
            },
            senders: SenderCache::new(options.cache_capacity, options.cache_ttl)?,
            warnings: WarningLimiter::new(SystemClock::shared()),
            options,
        })))
    }

    async fn send(&self, method: Method, body: &Value) -> Result<(), CallError> {
        self.0.call(None, method, body, wire::sent).await
    }
}

#[async_trait]
impl PairingChannelAdapter for PluginAdapter {
    fn channel_id(&self) -> &'static str {
        self.0.channel
    }

    /// The cached answer of the plugin; `None` without one.
    fn normalize_sender(&self, raw: &str) -> Option<String> {
        self.0.senders.canonical(raw, Instant::now())
    }

    /// Asks the plugin, unless its answer is cached.
    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        let fetch = match self.0.senders.look_up(raw, Instant::now()).await {
            Lookup::Hit(canonical) => return Ok(canonical),
            Lookup::Miss(fetch) => fetch,
        };
        let strangers = fetch.is_for_stranger().then_some(&self.0.strangers);
        let (method, body) = (Method::NormalizeSender, json!({"raw": raw}));
        let answer = self.0.call(strangers, method, &body, wire::normalized).await;
        let canonical = answer.map_err(PairingError::delivery)?;
        fetch.complete(canonical.clone(), Instant::now());
        Ok(canonical)
    }

    fn format_challenge(&self, challenge: &Challenge) -> String {
        challenge.plain_text()
    }

    fn route(&self) -> DeliveryRoute {
        DeliveryRoute::Broker
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        let body = json!({"account": account, "to": to, "text": text});
        self.send(Method::SendReply, &body).await.map_err(PairingError::delivery)
    }

    async fn send_challenge(
        &self,
        account: &str,
        to: &str,
        challenge: &Challenge,
    ) -> Result<(), PairingError> {
        self.send_reply(account, to, &self.0.challenge_text(challenge).await).await
    }

    async fn send_qr_image(&self, account: &str, to: &str, png: &[u8]) -> Result<(), PairingError> {
        let body = json!({"account": account, "to": to, "png_base64": BASE64.encode(png)});
        match self.send(Method::SendQrImage, &body).await {
            Err(CallError::NoPlugin) => {
                Err(PairingError::Unsupported { channel: self.0.channel, what: "images" })
            }
            sent => sent.map_err(PairingError::delivery),
        }
    }
}

impl Inner {
    /// The text of a challenge: the plugin's if it is configured to format it and answers, else ours.
    async fn challenge_text(&self, challenge: &Challenge) -> String {
        if self.options.format == Format::Broker {
            let body = json!({"code": challenge.code.to_string()});
            match self.call(None, Method::FormatChallengeText, &body, wire::text).await {
                Ok(text) => return text,
                Err(error) => {
                    if let Some(suppressed) = self.warnings.allow(()) {
                        let channel = self.channel;
                        tracing::warn!(
                            channel, %error, suppressed,
                            "the plugin did not format the challenge; using the default text"
                        );
                    }
                }
            }
        }
        challenge.plain_text()
    }

    /// Calls a method of the plugin, within the limits for strangers if they are given.
    async fn call<T>(
        &self,
        strangers: Option<&Strangers>,
        method: Method,
        body: &Value,
        parse: fn(&Value) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let circuit = strangers.map_or(&self.circuits[method as usize], |all| &all.circuit);
        let limit = match method {
            Method::NormalizeSender | Method::FormatChallengeText => self.options.timeout,
            Method::SendReply | Method::SendQrImage => self.options.send_timeout,
        };
        if !circuit.allows(limit, Instant::now()) {
            return Err(CallError::Paused);
        }
        let mut invalid = None;
        let called = async {
            let _share = match strangers {
                Some(strangers) => {
                    Some(strangers.in_flight.acquire().await.map_err(|_| NatsError::Closed)?)
                }
                None => None,
            };
            self.call_once(method, body, parse, &mut invalid).await
        };
        let result = tokio::time::timeout(limit, called)
            .await
            .unwrap_or_else(|_| Err(invalid.unwrap_or(CallError::TimedOut(limit))));
        match &result {
            Err(CallError::TimedOut(_) | CallError::Invalid(_)) => circuit.open(Instant::now()),
            // A lost connection says nothing about the plugin.
            Ok(_) | Err(_) => circuit.close(),
        }
        result
    }

    /// Sends a request and waits for a valid reply; `invalid` is the last invalid one.
    async fn call_once<T>(
        &self,
        method: Method,
        body: &Value,
        parse: fn(&Value) -> Result<T, CallError>,
        invalid: &mut Option<CallError>,
    ) -> Result<T, CallError> {
        let _permit = self.in_flight.acquire().await.map_err(|_| NatsError::Closed)?;
        self.bus.require_connection()?;
        let subject = &self.subjects[method as usize];
        let mut replies = self.bus.pending().register(subject);
        let reply_to = match self.options.shape {
            Shape::Plain => "",
            Shape::Both | Shape::Nexo => self.bus.nexo_inbox().await?,
        };
        let request = wire::request(self.options.shape, subject, replies.id, reply_to, body);
        let inbox = self.bus.inbox_of(&replies.id);
        self.bus.send(subject, Some(&inbox), request.into()).await?;
        loop {
            let reply = tokio::select! {
                reply = replies.next() => reply,
                () = self.bus.disconnected() => return Err(NatsError::Disconnected.into()),
            };
            let result = match reply {
                Reply::Nexo(reply) => parse(&reply),
                Reply::Plain(bytes) => {
                    wire::plain_reply(&bytes, &replies.id).and_then(|reply| parse(&reply))
                }
                Reply::NoListener => Err(CallError::NoPlugin),
                Reply::Forbidden(subject) => Err(NatsError::Forbidden(subject.into()).into()),
            };
            match result {
                Err(error @ CallError::Invalid(_)) => {
                    tracing::debug!(channel = self.channel, %error, "ignoring a reply");
                    *invalid = Some(error);
                }
                result => return result,
            }
        }
    }
}

/// Why a call of a plugin failed.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("no plugin listens")]
    NoPlugin,
    #[error("the plugin did not reply within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("skipped the plugin: it did not reply a moment ago")]
    Paused,
    /// Possibly from another subscriber.
    #[error("the plugin's reply is invalid: {0}")]
    Invalid(&'static str),
    #[error("the plugin failed: {0}")]
    Failed(String),
    #[error(transparent)]
    Bus(#[from] NatsError),
}

/// The name of a channel as an adapter has to return it. The memory is never freed; each channel that
/// was ever configured takes it once.
fn intern(channel: &ChannelId) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.get(channel.as_str()) {
        return name;
    }
    let name: &'static str = Box::leak(channel.as_str().into());
    names.insert(name);
    name
}

impl fmt::Debug for PluginAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PluginAdapter").field(&self.0.options).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_name_is_interned_once() {
        let channel: ChannelId = "signal".parse().unwrap();
        assert_eq!(intern(&channel), "signal");
        assert!(std::ptr::eq(intern(&channel), intern(&channel)));
    }
}
