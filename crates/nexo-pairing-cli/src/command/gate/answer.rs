//! A decision, as it is written for programs.

use nexo_pairing::{Decision, Inbound, Screened, ScreenedNotice};
use serde::Serialize;
use serde_json::Value;

/// How much is repeated of an id of which no canonical one could be made, in bytes.
const MAX_RAW_SHOWN: usize = 256;

/// A decision on a message.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    decision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    channel: &'a str,
    account: &'a str,
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// What passes of an event of the plugin itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Value>,
    /// The line of the input that it answers, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

impl<'a> Answer<'a> {
    /// What was decided on a message, with the code of a challenge if `shows_code`.
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

    /// What was decided on an event of the plugin itself.
    pub(super) fn notice(channel: &'a str, account: &'a str, screened: &'a ScreenedNotice) -> Self {
        let reason = match &screened.decision {
            Decision::Drop(reason) => reason.as_str(),
            _ => "notice",
        };
        let (decision, reason) = (screened.decision.as_str(), Some(reason));
        let (event, line) = (screened.event.as_ref(), None);
        Self { decision, reason, channel, account, sender: None, code: None, event, line }
    }

    /// The same answer, to a line of the input.
    pub(super) fn for_line(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }
}
