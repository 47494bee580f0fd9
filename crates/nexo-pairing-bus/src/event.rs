//! A message of the bus, read and checked.

use bytes::Bytes;
use nexo_pairing_core::limits::MAX_EVENT_BYTES;
use nexo_pairing_core::text::error_chain;
use nexo_pairing_core::{Inbound, PairingError};
use nexo_pairing_gate::{InboundEvent, Notice};
use nexo_pairing_nats::Message;

use crate::subject::Address;

/// A message as it came.
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

/// What a message is.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A sender's.
    Message(Inbound),
    /// The plugin's own.
    Notice(Address<'a>, Notice),
}

/// Why nothing was decided on a message.
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

    /// More waits than there is room for.
    pub(crate) fn overloaded() -> Self {
        Self::new("overloaded", "more messages of the channel wait than are kept")
    }
}

impl From<&PairingError> for RejectReason {
    fn from(error: &PairingError) -> Self {
        Self::new(error.kind(), error_chain(error))
    }
}

/// Reads a message. The subject on which it came decides whose it is: what stands in it may only
/// agree. So nobody who may write to one channel passes for another.
pub(crate) fn read(envelope: Envelope<'_>) -> Result<Event<'_>, RejectReason> {
    if envelope.payload.len() > MAX_EVENT_BYTES {
        let message = format!("it is longer than {MAX_EVENT_BYTES} bytes");
        return Err(RejectReason::new("too_long", message));
    }
    let address = Address::read(envelope.subject).ok_or_else(|| {
        let message = "the subject is not plugin.inbound.<channel>[.<account>]";
        RejectReason::new("invalid_subject", message)
    })?;
    let agrees = |channel: &str, account: &str, linking: Option<&str>| {
        if (channel, account, linking) == (address.channel, address.account, address.linking) {
            return Ok(());
        }
        let message = "the topic in the event is not that of the subject it came on";
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
        Ok(_) => Err(RejectReason::new("unknown_event", "the event is of an unknown sort")),
        Err(error) => Err(RejectReason::new(error.kind(), error_chain(&error))),
    }
}
