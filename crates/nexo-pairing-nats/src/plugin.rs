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
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

pub use self::options::{Format, PluginOptions, Shape};

use self::cache::{Lookup, SenderCache};
use self::circuit::Circuit;
use self::wire::{Question, Unusable};
use crate::answers::Answer;
use crate::{Bus, NatsError};

/// The adapter of a channel that another process serves: it asks the plugin on the bus.
///
/// | asked on | says | is answered |
/// | --- | --- | --- |
/// | `<prefix>.pairing.normalize_sender` | `{"raw"}` | `{"normalized": string or null}` |
/// | `<prefix>.pairing.send_reply` | `{"account", "to", "text"}` | `{"ok": bool, "error"?}` |
/// | `<prefix>.pairing.send_qr_image` | `{"account", "to", "png_base64"}` | the same |
/// | `<prefix>.pairing.format_challenge_text` | `{"code"}` | `{"text"}` |
///
/// * A question is one message, in the shapes of [`Shape`]. It is published once, so nothing is sent
///   twice; whichever way the plugin answers first counts.
/// * The plugin's word on a sender is kept for a while: then nobody waits. What the plugin does not say
///   is not kept: the message whose sender it was is dropped, and the next one asks again.
/// * Where nobody listens on the subject, that is known at once. A plugin that listens and does not
///   answer in time is left alone for a second, then one question at a time tries again.
/// * Questions about senders whom the plugin has not named before take at most half of the questions
///   that may be open at once. After one of them was not answered in time, only they pause.
/// * An answer that is not one is passed over; somebody else may have sent it.
///
/// Clones share all of it.
#[derive(Clone)]
pub struct PluginAdapter(Arc<Inner>);

struct Inner {
    bus: Bus,
    channel: &'static str,
    options: PluginOptions,
    subjects: [String; 4],
    circuits: [Circuit; 4],
    in_flight: Semaphore,
    strangers: Strangers,
    senders: SenderCache,
    /// That the plugin worded no challenge.
    warnings: WarningLimiter<()>,
}

/// The questions about senders whom the plugin has not named before. Anybody can cause any number of
/// them.
struct Strangers {
    circuit: Circuit,
    in_flight: Semaphore,
}

impl PluginAdapter {
    /// An adapter that asks on `bus`. Nothing is asked before there is something to ask.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when the prefix makes no subjects, [`NatsError::Options`] when a number
    /// is out of its range.
    pub fn new(bus: Bus, options: PluginOptions) -> Result<Self, NatsError> {
        options.check()?;
        let subject =
            |question: Question| format!("{}.pairing.{}", options.prefix, question.name());
        Ok(Self(Arc::new(Inner {
            bus,
            channel: intern(&options.channel),
            subjects: Question::ALL.map(subject),
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
}

#[async_trait]
impl PairingChannelAdapter for PluginAdapter {
    fn channel_id(&self) -> &'static str {
        self.0.channel
    }

    /// The plugin's last answer about this sender; `None` when it has to be asked.
    fn normalize_sender(&self, raw: &str) -> Option<String> {
        self.0.senders.canonical(raw, Instant::now())
    }

    /// Asks the plugin, unless it answered not long ago.
    async fn resolve_sender(&self, raw: &str) -> Result<Option<String>, PairingError> {
        let fetch = match self.0.senders.look_up(raw, Instant::now()).await {
            Lookup::Hit(canonical) => return Ok(canonical),
            Lookup::Miss(fetch) => fetch,
        };
        let strangers = fetch.is_for_stranger().then_some(&self.0.strangers);
        let (question, body) = (Question::NormalizeSender, object(json!({"raw": raw})));
        let answer = self.0.ask_of(strangers, question, body, wire::normalized).await;
        let canonical = answer.map_err(PairingError::delivery)?;
        fetch.complete(canonical.clone(), Instant::now());
        Ok(canonical)
    }

    async fn word_challenge(&self, challenge: &Challenge) -> String {
        if self.0.options.format == Format::Broker {
            let body = object(json!({"code": challenge.code.to_string()}));
            match self.0.ask(Question::FormatChallengeText, body, wire::text).await {
                Ok(text) => return text,
                Err(error) => {
                    if let Some(suppressed) = self.0.warnings.allow(()) {
                        let channel = self.0.channel;
                        tracing::warn!(
                            channel, %error, suppressed,
                            "the plugin worded no challenge; we do"
                        );
                    }
                }
            }
        }
        challenge.plain_text()
    }

    fn format_challenge(&self, challenge: &Challenge) -> String {
        challenge.plain_text()
    }

    fn route(&self) -> DeliveryRoute {
        DeliveryRoute::Broker
    }

    async fn send_reply(&self, account: &str, to: &str, text: &str) -> Result<(), PairingError> {
        let body = object(json!({"account": account, "to": to, "text": text}));
        self.0.ask(Question::SendReply, body, wire::sent).await.map_err(PairingError::delivery)
    }

    async fn send_qr_image(&self, account: &str, to: &str, png: &[u8]) -> Result<(), PairingError> {
        let image = BASE64.encode(png);
        let body = object(json!({"account": account, "to": to, "png_base64": image}));
        match self.0.ask(Question::SendQrImage, body, wire::sent).await {
            Err(AskError::Away) => {
                Err(PairingError::Unsupported { channel: self.0.channel, what: "images" })
            }
            sent => sent.map_err(PairingError::delivery),
        }
    }
}

impl Inner {
    /// Asks the plugin and waits for an answer that is one.
    async fn ask<T>(
        &self,
        question: Question,
        body: Map<String, Value>,
        understood: fn(&Value) -> Result<T, Unusable>,
    ) -> Result<T, AskError> {
        self.ask_of(None, question, body, understood).await
    }

    /// [`ask`](Self::ask), as one of the questions about strangers or as any other.
    async fn ask_of<T>(
        &self,
        strangers: Option<&Strangers>,
        question: Question,
        body: Map<String, Value>,
        understood: fn(&Value) -> Result<T, Unusable>,
    ) -> Result<T, AskError> {
        let circuit = strangers.map_or(&self.circuits[question as usize], |all| &all.circuit);
        let longest = match question {
            Question::NormalizeSender | Question::FormatChallengeText => self.options.timeout,
            Question::SendReply | Question::SendQrImage => self.options.send_timeout,
        };
        if !circuit.may_ask(longest, Instant::now()) {
            return Err(AskError::Resting);
        }
        let mut invalid = None;
        let asked = async {
            let _share = match strangers {
                Some(strangers) => {
                    Some(strangers.in_flight.acquire().await.map_err(|_| NatsError::Closed)?)
                }
                None => None,
            };
            self.ask_once(question, body, understood, &mut invalid).await
        };
        let answer = tokio::time::timeout(longest, asked).await.unwrap_or_else(|_| {
            Err(invalid.map_or(AskError::TimedOut(longest), AskError::Invalid))
        });
        match &answer {
            Err(AskError::TimedOut(_) | AskError::Invalid(_)) => circuit.timed_out(Instant::now()),
            // A bus that is away says nothing about the plugin.
            Ok(_) | Err(_) => circuit.answered(),
        }
        answer
    }

    async fn ask_once<T>(
        &self,
        question: Question,
        body: Map<String, Value>,
        understood: fn(&Value) -> Result<T, Unusable>,
        invalid: &mut Option<&'static str>,
    ) -> Result<T, AskError> {
        let _permit = self.in_flight.acquire().await.map_err(|_| NatsError::Closed)?;
        self.bus.require_connection()?;
        let subject = &self.subjects[question as usize];
        let mut waiting = self.bus.answers().expect(subject);
        let reply_to = match self.options.shape {
            Shape::Plain => "",
            Shape::Both | Shape::Nexo => self.bus.nexo_inbox().await?,
        };
        let request = wire::request(self.options.shape, subject, waiting.id, reply_to, &body);
        let inbox = self.bus.inbox_of(&waiting.id);
        self.bus.send(subject, Some(&inbox), request.into()).await?;
        loop {
            let answer = tokio::select! {
                answer = waiting.next() => answer,
                () = self.bus.disconnected() => return Err(NatsError::Disconnected.into()),
            };
            let answer = match answer {
                Answer::Nexo(answer) => Ok(answer),
                Answer::Plain(bytes) => wire::plain_answer(&bytes, &waiting.id),
                Answer::NoListener => return Err(AskError::Away),
                Answer::Forbidden(subject) => {
                    return Err(NatsError::Forbidden(subject.into()).into());
                }
            };
            match answer.map_err(Unusable::Invalid).and_then(|answer| understood(&answer)) {
                Ok(answer) => return Ok(answer),
                Err(Unusable::Failed(error)) => return Err(AskError::Failed(error)),
                Err(Unusable::Invalid(why)) => {
                    tracing::debug!(channel = self.channel, why, "an answer is passed over");
                    *invalid = Some(why);
                }
            }
        }
    }
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

/// Why a plugin's answer could not be had.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no plugin listens")]
    Away,
    #[error("the plugin did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("the plugin did not answer a moment ago, and is left alone")]
    Resting,
    #[error("the plugin's answer is not one: {0}")]
    Invalid(&'static str),
    #[error("the plugin failed: {0}")]
    Failed(String),
    #[error(transparent)]
    Bus(#[from] NatsError),
}

/// The object that `json!` made.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
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
