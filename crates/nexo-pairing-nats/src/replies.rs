//! Replies to our requests: matches them with the requests that wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The longest reply that is read, in bytes.
pub(crate) const MAX_REPLY_BYTES: usize = 16 << 10;

/// How many replies to one request are kept; further ones are dropped.
const MAX_REPLIES: usize = 4;

/// A reply to a request, from a subscriber or from the server.
#[derive(Debug)]
pub(crate) enum Reply {
    /// From the server: the subject has no subscribers.
    NoListener,
    /// From the server: we may not publish on this subject.
    Forbidden(Box<str>),
    /// A message on our inbox: the reply to a plain request, or our own message.
    Plain(Bytes),
    /// The inner payload of one of Nexo's events.
    Nexo(Value),
}

/// The requests that wait for replies.
#[derive(Debug, Default)]
pub(crate) struct PendingRequests(Mutex<HashMap<Uuid, Pending>>);

#[derive(Debug)]
struct Pending {
    subject: Box<str>,
    replies: mpsc::Sender<Reply>,
}

impl PendingRequests {
    /// Registers a request, which is about to be published on a subject.
    pub(crate) fn register(self: &Arc<Self>, subject: &str) -> Replies {
        let (sender, replies) = mpsc::channel(MAX_REPLIES);
        let id = Uuid::new_v4();
        self.lock().insert(id, Pending { subject: subject.into(), replies: sender });
        Replies { id, replies, pending: Arc::clone(self) }
    }

    pub(crate) fn reply(&self, id: &Uuid, reply: Reply) {
        if let Some(pending) = self.lock().get(id) {
            // A request that did not take the first ones gets no more.
            let _ = pending.replies.try_send(reply);
        }
    }

    /// Fails all requests on a subject, because publishing there is forbidden.
    pub(crate) fn forbid(&self, subject: &str) {
        for pending in self.lock().values().filter(|pending| *pending.subject == *subject) {
            let _ = pending.replies.try_send(Reply::Forbidden(subject.into()));
        }
    }

    /// Reads our own inbox, where the last token of the subject is the id of the request.
    pub(crate) async fn read_inbox(self: Arc<Self>, mut messages: Subscriber) {
        while let Some(message) = messages.next().await {
            let Some(id) = request_id(message.subject.as_str()) else { continue };
            let reply = match message.status {
                Some(StatusCode::NO_RESPONDERS) => Reply::NoListener,
                _ => Reply::Plain(message.payload),
            };
            self.reply(&id, reply);
        }
    }

    /// Reads replies in Nexo's events, which have the id of the request in their payload.
    pub(crate) async fn read_events(self: Arc<Self>, mut messages: Subscriber) {
        #[derive(Deserialize)]
        struct Event {
            payload: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            id: Uuid,
            payload: Value,
        }
        while let Some(message) = messages.next().await {
            if message.payload.len() <= MAX_REPLY_BYTES
                && let Ok(Event { payload }) = serde_json::from_slice(&message.payload)
            {
                self.reply(&payload.id, Reply::Nexo(payload.payload));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request whose reply comes on a subject of our inbox.
pub(crate) fn request_id(subject: &str) -> Option<Uuid> {
    let (_, token) = subject.rsplit_once('.')?;
    Uuid::try_parse(token).ok()
}

/// The replies to a request. Dropping it ends the wait for them.
#[derive(Debug)]
pub(crate) struct Replies {
    pub(crate) id: Uuid,
    replies: mpsc::Receiver<Reply>,
    pending: Arc<PendingRequests>,
}

impl Replies {
    /// The next reply; without one, this waits for ever.
    pub(crate) async fn next(&mut self) -> Reply {
        match self.replies.recv().await {
            Some(reply) => reply,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.id);
    }
}
