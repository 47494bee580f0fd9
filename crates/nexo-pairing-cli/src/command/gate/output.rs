//! The output for programs: JSON, one object per line.

use nexo_pairing::gate::ScreenedNotice;
use nexo_pairing::{Decision, Inbound, Screened};
use serde::Serialize;
use serde_json::Value;

use crate::json;

/// How much of an id without a canonical form is shown, in bytes.
const MAX_RAW_SHOWN: usize = 256;

/// A decision.
#[derive(Serialize)]
pub(super) struct DecisionLine<'a> {
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    channel: &'a str,
    account: &'a str,
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// The part of a plugin event that is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Value>,
    /// The number of the input line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

impl<'a> DecisionLine<'a> {
    /// The decision on a message, with the code of a challenge if `shows_code`.
    pub(super) fn new(inbound: &'a Inbound, screened: &'a Screened, shows_code: bool) -> Self {
        let raw = inbound.raw_sender.as_str();
        let raw = &raw[..raw.floor_char_boundary(MAX_RAW_SHOWN)];
        Self {
            decision: screened.decision.as_str(),
            reason: match &screened.decision {
                Decision::Drop(reason) => Some(reason.as_str()),
                _ => None,
            },
            channel: &inbound.channel,
            account: &inbound.account,
            sender: Some(screened.sender.as_ref().map_or(raw, |id| id.as_str())),
            code: match &screened.decision {
                Decision::Challenge { code } if shows_code => Some(code.as_str()),
                _ => None,
            },
            event: None,
            line: None,
        }
    }

    /// The decision on a plugin event.
    pub(super) fn notice(channel: &'a str, account: &'a str, screened: &'a ScreenedNotice) -> Self {
        let reason = match &screened.decision {
            Decision::Drop(reason) => reason.as_str(),
            _ => "notice",
        };
        let (decision, reason) = (screened.decision.as_str(), Some(reason));
        let (event, line) = (screened.event.as_ref(), None);
        Self { decision, reason, channel, account, sender: None, code: None, event, line }
    }
}

/// Lines that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// Whether a line could not be decided.
    pub(super) has_errors: bool,
}

#[derive(Serialize)]
struct OutboundLine<'a> {
    outbound: Published<'a>,
    line: u64,
}

#[derive(Serialize)]
struct Published<'a> {
    topic: &'a str,
    payload: &'a Value,
}

#[derive(Serialize)]
pub(super) struct ErrorLine<T> {
    pub(super) error: T,
}

#[derive(Serialize)]
struct LineError<'a> {
    line: u64,
    kind: &'a str,
    message: &'a str,
}

impl Output {
    pub(super) fn append(&mut self, other: Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.has_errors |= other.has_errors;
    }

    pub(super) fn decided(&mut self, line: u64, decision: DecisionLine<'_>) {
        self.push(&DecisionLine { line: Some(line), ..decision });
    }

    pub(super) fn outbound(&mut self, line: u64, topic: &str, payload: &Value) {
        self.push(&OutboundLine { outbound: Published { topic, payload }, line });
    }

    /// Reports that nothing was decided on a line.
    pub(super) fn undecided(&mut self, line: u64, kind: &str, message: &str) {
        self.has_errors = true;
        self.push(&ErrorLine { error: LineError { line, kind, message } });
    }

    fn push(&mut self, line: &impl Serialize) {
        push_line(&mut self.bytes, line);
    }
}

/// Adds a value as one line of JSON.
pub(super) fn push_line(into: &mut Vec<u8>, value: &impl Serialize) {
    // Neither writing to memory nor these types can fail.
    let _ = json::write(&mut *into, value);
    into.push(b'\n');
}
