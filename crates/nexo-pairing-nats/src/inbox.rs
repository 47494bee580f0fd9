//! Reads the answers that come, for those who wait for them.

use std::sync::Arc;

use async_nats::{StatusCode, Subscriber};
use futures_util::StreamExt;
use uuid::Uuid;

use crate::answers::{Answer, Answers};

/// Reads our own inbox, where the last token of the subject names the question.
pub(crate) async fn read_plain(mut messages: Subscriber, answers: Arc<Answers>) {
    while let Some(message) = messages.next().await {
        let Some(id) = question(message.subject.as_str()) else { continue };
        let answer = if message.status == Some(StatusCode::NO_RESPONDERS) {
            Answer::NoListener
        } else {
            Answer::Plain(message.payload)
        };
        answers.give(&id, answer);
    }
}

/// Reads the answers that come in Nexo's events.
pub(crate) async fn read_events(mut messages: Subscriber, answers: Arc<Answers>) {
    while let Some(message) = messages.next().await {
        answers.take_event(&message.payload);
    }
}

/// The question that is answered on a subject of our inbox.
pub(crate) fn question(subject: &str) -> Option<Uuid> {
    let (_, token) = subject.rsplit_once('.')?;
    Uuid::try_parse(token).ok()
}
