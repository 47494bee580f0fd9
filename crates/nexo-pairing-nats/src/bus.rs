//! A connection to the bus.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::client::PublishErrorKind;
use async_nats::connection::State;
use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::events::{self, BusState, Shared};
use crate::replies::{PendingRequests, Replies, Reply};
use crate::subscription::Subscription;
use crate::{NatsError, NatsOptions, check_subject, check_subject_pattern, connect};

/// How long a refusal of the server may come after its confirmation, which takes another way through the
/// client.
const REFUSAL_GRACE: Duration = Duration::from_millis(20);

/// A connection to the bus. Clones share it. It ends when the last of them and of its subscriptions is
/// dropped; messages that were [published](Self::publish) and not [flushed](Self::flush) are lost then.
///
/// A broken connection is re-established, without limit, with pauses that grow to a second. Subscriptions
/// are renewed. Messages of others in the meantime are lost, as usual with NATS.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    client: Client,
    shared: Arc<Shared>,
    /// The prefix of our inbox; the last token of a reply's subject is the id of the request.
    inbox: String,
    /// The subject of replies in Nexo's events, from the first request on.
    nexo_inbox: OnceCell<String>,
    confirm_timeout: Duration,
    /// The tasks that read replies; they end with the last clone.
    readers: Mutex<JoinSet<()>>,
}

impl Bus {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`NatsError::Connect`] when no server accepts us and confirms a message to ourselves; not with
    /// [`NatsOptions::wait_for_server`]. [`NatsError::File`] when a file of the options cannot be used,
    /// [`NatsError::Options`] when the options are invalid.
    pub async fn connect(options: NatsOptions) -> Result<Self, NatsError> {
        options.check()?;
        let failed = |source| NatsError::Connect { servers: options.servers(), source };
        let inbox = format!("{}.{}", options.inbox_prefix, Uuid::new_v4().simple());
        let shared = Arc::new(Shared::new(&inbox));
        let connect = events::watched(connect::prepare(&options).await?, &shared);
        let addresses = options.addresses().map_err(|error| failed(error.into()))?;
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let longest = options.connect_timeout.saturating_mul(count);
        let client = timeout(longest, connect.connect(addresses))
            .await
            .map_err(|late| failed(late.into()))?
            // As text: it has the whole chain of causes already.
            .map_err(|error| failed(error.to_string().into()))?;
        let bus = Self(Arc::new(Inner {
            client,
            shared,
            inbox,
            nexo_inbox: OnceCell::new(),
            confirm_timeout: options.confirm_timeout,
            readers: Mutex::new(JoinSet::new()),
        }));
        let own = bus.subscribe_any(&format!("{}.*", bus.0.inbox), None).await?;
        bus.spawn(Arc::clone(bus.pending()).read_inbox(own));
        if !options.wait_for_server {
            bus.0.shared.state.send_replace(BusState::Connected);
            bus.flush().await.map_err(|error| failed(error.into()))?;
        }
        Ok(bus)
    }

    /// Publishes without waiting for the server; [`flush`](Self::flush) does. While disconnected, up to
    /// 2,048 messages are buffered; then this waits.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], [`NatsError::TooLong`], [`NatsError::Closed`].
    pub async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        check_subject(subject)?;
        self.send(subject, None, payload).await
    }

    /// Publishes, and waits until the server has accepted the message for a subscriber.
    ///
    /// The message has a reply subject, so that the server reports at once that there is no subscriber;
    /// this does not wait for a reply.
    ///
    /// # Errors
    ///
    /// [`NatsError::Disconnected`], at once, while disconnected: the message was not sent, and will not
    /// be. [`NatsError::NoListener`] when the subject has no subscriber, [`NatsError::Forbidden`] when
    /// the server does not allow publishing there. [`NatsError::Unconfirmed`] when the connection breaks
    /// or the server does not confirm in time: the message may have arrived. And those of
    /// [`publish`](Self::publish).
    pub async fn deliver(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        check_subject(subject)?;
        self.require_connection()?;
        let mut replies = self.pending().register(subject);
        let inbox = self.inbox_of(&replies.id);
        let confirmed = async {
            self.send(subject, Some(&inbox), payload).await?;
            self.send(&inbox, None, Bytes::new()).await?;
            confirmation(&mut replies, subject).await
        };
        self.in_time(confirmed).await?;
        let allowed = &self.0.shared.allowed;
        if !allowed.contains_key(subject) {
            if let Ok(Reply::Forbidden(subject)) = timeout(REFUSAL_GRACE, replies.next()).await {
                return Err(NatsError::Forbidden(subject.into()));
            }
            allowed.insert(subject.to_owned(), ());
        }
        Ok(())
    }

    /// Waits until the server has accepted all messages that were published before.
    ///
    /// # Errors
    ///
    /// [`NatsError::Disconnected`], [`NatsError::Unconfirmed`], [`NatsError::Closed`].
    pub async fn flush(&self) -> Result<(), NatsError> {
        self.require_connection()?;
        let mut replies = self.pending().register("");
        let inbox = self.inbox_of(&replies.id);
        let confirmed = async {
            self.send(&inbox, None, Bytes::new()).await?;
            confirmation(&mut replies, &inbox).await
        };
        self.in_time(confirmed).await
    }

    /// Subscribes to a subject; `*` matches any token, and a `>` at the end one or more.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], [`NatsError::Closed`].
    pub async fn subscribe(&self, subject: &str) -> Result<Subscription, NatsError> {
        check_subject_pattern(subject)?;
        Ok(Subscription::new(self.subscribe_any(subject, None).await?, self.state()))
    }

    /// Subscribes as a member of a queue group: each message goes to one of its members.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], also when the name of the group is invalid; [`NatsError::Closed`].
    pub async fn subscribe_queue(
        &self,
        subject: &str,
        group: &str,
    ) -> Result<Subscription, NatsError> {
        check_subject_pattern(subject)?;
        check_subject(group)?;
        Ok(Subscription::new(self.subscribe_any(subject, Some(group)).await?, self.state()))
    }

    /// The state of the connection, and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BusState> {
        self.0.shared.state.subscribe()
    }

    /// How many messages were lost because a subscription of this connection was full. In a burst, some
    /// may not be counted.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.shared.lost.load(Ordering::Relaxed)
    }

    /// [Flushes](Self::flush), and closes the connection, also for the clones. Subscriptions end.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush). The connection is closed in any case.
    pub async fn close(&self) -> Result<(), NatsError> {
        let flushed = self.flush().await;
        self.0.shared.state.send_replace(BusState::Closed);
        // Fails only if it was closed before.
        let _ = self.0.client.drain().await;
        flushed
    }

    pub(crate) fn pending(&self) -> &Arc<PendingRequests> {
        &self.0.shared.pending
    }

    /// The subject of the replies to a request.
    pub(crate) fn inbox_of(&self, request: &Uuid) -> String {
        format!("{}.{}", self.0.inbox, request.simple())
    }

    /// The subject of the replies to requests in Nexo's events; the replies have the id in their payload.
    pub(crate) async fn nexo_inbox(&self) -> Result<&str, NatsError> {
        let subscribe = || async {
            let subject = format!("_inbox.req.{}", Uuid::new_v4());
            let messages = self.subscribe_any(&subject, None).await?;
            self.spawn(Arc::clone(self.pending()).read_events(messages));
            Ok(subject)
        };
        self.0.nexo_inbox.get_or_try_init(subscribe).await.map(String::as_str)
    }

    /// Fails at once while disconnected.
    pub(crate) fn require_connection(&self) -> Result<(), NatsError> {
        let shared = &self.0.shared;
        let is_connected = self.0.client.connection_state() == State::Connected;
        // The client drops events when there are many at once.
        shared.set_state(match is_connected {
            true => BusState::Connected,
            false => BusState::Disconnected,
        });
        match *shared.state.borrow() {
            BusState::Closed => Err(NatsError::Closed),
            _ if is_connected => Ok(()),
            _ => Err(NatsError::Disconnected),
        }
    }

    /// Waits until disconnected or closed.
    pub(crate) async fn disconnected(&self) {
        let mut state = self.state();
        let _ = state.wait_for(|state| *state != BusState::Connected).await;
    }

    /// Passes a message to the client.
    pub(crate) async fn send(
        &self,
        subject: &str,
        reply: Option<&str>,
        payload: Bytes,
    ) -> Result<(), NatsError> {
        let (client, subject, bytes) = (&self.0.client, subject.to_owned(), payload.len());
        let sent = match reply {
            Some(reply) => client.publish_with_reply(subject, reply.to_owned(), payload).await,
            None => client.publish(subject, payload).await,
        };
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                NatsError::TooLong { bytes, max: client.max_payload() }
            }
            // The subject is valid.
            PublishErrorKind::InvalidSubject | PublishErrorKind::Send => NatsError::Closed,
        })
    }

    async fn subscribe_any(
        &self,
        subject: &str,
        group: Option<&str>,
    ) -> Result<async_nats::Subscriber, NatsError> {
        let (client, subject) = (&self.0.client, subject.to_owned());
        let subscribed = match group {
            Some(group) => client.queue_subscribe(subject, group.to_owned()).await,
            None => client.subscribe(subject).await,
        };
        subscribed.map_err(|_| NatsError::Closed)
    }

    async fn in_time(
        &self,
        confirmed: impl Future<Output = Result<(), NatsError>>,
    ) -> Result<(), NatsError> {
        let late = self.0.confirm_timeout;
        tokio::select! {
            confirmed = timeout(late, confirmed) => {
                confirmed.unwrap_or(Err(NatsError::Unconfirmed("in time")))
            }
            () = self.disconnected() => Err(NatsError::Unconfirmed("before the connection broke")),
        }
    }

    fn spawn(&self, reader: impl Future<Output = ()> + Send + 'static) {
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).spawn(reader);
    }
}

/// Waits for our own message, which follows another, to come back. The server keeps the order: it has
/// reported any failure of the other message before.
async fn confirmation(replies: &mut Replies, subject: &str) -> Result<(), NatsError> {
    match replies.next().await {
        // A subscriber that replies has received the message.
        Reply::Plain(_) | Reply::Nexo(_) => Ok(()),
        Reply::NoListener => Err(NatsError::NoListener(subject.to_owned())),
        Reply::Forbidden(subject) => Err(NatsError::Forbidden(subject.into())),
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("state", &*self.0.shared.state.borrow()).finish_non_exhaustive()
    }
}
