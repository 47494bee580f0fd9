//! Parses the messages of the bus.

use bytes::Bytes;
use nexo_pairing_core::limits::MAX_EVENT_BYTES;
use nexo_pairing_core::text::error_chain;
use nexo_pairing_core::{Inbound, PairingError};
use nexo_pairing_gate::{InboundEvent, Notice};
use nexo_pairing_nats::Message;

use crate::subject::Address;

/// A message as received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Envelope<'a> {
    pub(crate) subject: &'a str,
    pub(crate) payload: &'a Bytes,
}

impl<'a> From<&'a Message> for Envelope<'a> {
    fn from(message: &'a Message) -> Self {
        Self { subject: message.subject(), payload: message.payload() }
    }
}

/// A parsed message.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// Of a sender.
    Message(Inbound),
    /// Of the plugin itself.
    Notice(Address<'a>, Notice),
}

/// Why a message has no decision.
#[derive(Debug)]
pub(crate) struct RejectReason {
    /// The stable name of the reason.
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

impl RejectReason {
    fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }

    pub(crate) fn overloaded() -> Self {
        Self::new("overloaded", "too many messages of the channel are waiting")
    }
}

impl From<&PairingError> for RejectReason {
    fn from(error: &PairingError) -> Self {
        Self::new(error.kind(), error_chain(error))
    }
}

/// Parses a message. Its subject determines channel and account, and the content has to agree: a plugin
/// that may publish for one channel cannot pass for another.
pub(crate) fn parse(envelope: Envelope<'_>) -> Result<Event<'_>, RejectReason> {
    if envelope.payload.len() > MAX_EVENT_BYTES {
        let message = format!("it is longer than {MAX_EVENT_BYTES} bytes");
        return Err(RejectReason::new("too_long", message));
    }
    let address = Address::parse(envelope.subject).ok_or_else(|| {
        let message = "the subject is not plugin.inbound.<channel>[.<account>]";
        RejectReason::new("invalid_subject", message)
    })?;
    let agrees = |channel: &str, account: &str, linking: Option<&str>| {
        if (channel, account, linking) == (address.channel, address.account, address.linking) {
            return Ok(());
        }
        let message = "the topic of the event does not match its subject";
        Err(RejectReason::new("topic_mismatch", message))
    };
    match InboundEvent::parse(envelope.payload) {
        Ok(InboundEvent::Message(inbound)) => {
            agrees(&inbound.channel, &inbound.account, None)?;
            Ok(Event::Message(inbound))
        }
        Ok(InboundEvent::Notice { channel, account, kind, notice }) => {
            agrees(&channel, &account, notice.is_linking().then_some(kind.as_str()))?;
            Ok(Event::Notice(address, notice))
        }
        Ok(_) => Err(RejectReason::new("unknown_event", "the event is of an unknown kind")),
        Err(error) => Err(RejectReason::new(error.kind(), error_chain(&error))),
    }
}
