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

use crate::answers::{Answer, Answers, Waiting};
use crate::events::{self, BusState, Shared};
use crate::inbox;
use crate::subscription::Subscription;
use crate::{NatsError, NatsOptions, Subject, connect};

/// How long a refusal of the server may come after its confirmation, which travels on another way
/// through the client.
const REFUSAL_GRACE: Duration = Duration::from_millis(20);

/// A connection to the bus. Clones share it; when the last of them and of its subscriptions is dropped,
/// it ends, with what was [published](Self::publish) and not [flushed](Self::flush).
///
/// A connection that breaks is made again, for ever, with pauses that grow to at most a second; what is
/// subscribed then is subscribed again. What others published meanwhile is lost, as NATS has it.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    client: Client,
    shared: Arc<Shared>,
    /// What our inbox is called; the answer to a question comes on the token of its id beneath.
    inbox: String,
    /// The subject on which Nexo's answers come, once there is somebody to ask.
    nexo_inbox: OnceCell<String>,
    confirm_timeout: Duration,
    /// They end with the last clone.
    readers: Mutex<JoinSet<()>>,
}

impl Bus {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`NatsError::Connect`] when no server is there, or none lets us in and confirms what we publish
    /// to ourselves; not with [`NatsOptions::wait_for_server`]. [`NatsError::File`] when a file of the
    /// options cannot be used, [`NatsError::Options`] when they do not go together.
    pub async fn connect(options: NatsOptions) -> Result<Self, NatsError> {
        options.check()?;
        let servers = options.servers();
        let failed = |source| NatsError::Connect { servers: servers.to_string(), source };
        let inbox = format!("{}.{}", options.inbox_prefix, Uuid::new_v4().simple());
        let shared = Arc::new(Shared::new(&inbox));
        let connect = events::watched(connect::prepare(&options).await?, &shared);
        let addresses = servers.addresses().map_err(|error| failed(error.into()))?;
        let longest = options.connect_timeout.saturating_mul(servers.count());
        let client = timeout(longest, connect.connect(addresses))
            .await
            .map_err(|late| failed(late.into()))?
            // Its text has the whole chain of causes, and would be repeated by them.
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
        bus.read(inbox::read_plain(own, Arc::clone(bus.answers())));
        if !options.wait_for_server {
            bus.0.shared.state.send_replace(BusState::Connected);
            bus.flush().await.map_err(|error| failed(error.into()))?;
        }
        Ok(bus)
    }

    /// Publishes without waiting for the server; [`flush`](Self::flush) does. While there is no
    /// connection, messages wait for one; when there are 2,048 of them, so does this.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], [`NatsError::TooLong`], [`NatsError::Closed`].
    pub async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        Subject::check(subject)?;
        self.send(subject, None, payload).await
    }

    /// Publishes, and waits until the server has taken the message for somebody who listens.
    ///
    /// The message says where to answer, so that the server tells us at once when nobody is there; no
    /// answer is waited for.
    ///
    /// # Errors
    ///
    /// [`NatsError::Disconnected`] at once while there is no connection: the message was not sent, and
    /// will not be. [`NatsError::NoListener`] when nobody listens on the subject,
    /// [`NatsError::Forbidden`] when the server does not let us publish there. When the connection
    /// breaks or the server says nothing in time, [`NatsError::Unconfirmed`]: then nobody knows whether
    /// the message arrived. And those of [`publish`](Self::publish).
    pub async fn deliver(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        Subject::check(subject)?;
        self.require_connection()?;
        let mut waiting = self.answers().expect(subject);
        let inbox = self.inbox_of(&waiting.id);
        let confirmed = async {
            self.send(subject, Some(&inbox), payload).await?;
            self.send(&inbox, None, Bytes::new()).await?;
            confirmation(&mut waiting, subject).await
        };
        self.in_time(confirmed).await?;
        let proven = &self.0.shared.proven;
        if !proven.contains(subject) {
            if let Ok(Answer::Forbidden(subject)) = timeout(REFUSAL_GRACE, waiting.next()).await {
                return Err(NatsError::Forbidden(subject.into()));
            }
            proven.add(subject);
        }
        Ok(())
    }

    /// Waits until the server has taken all that was published before.
    ///
    /// # Errors
    ///
    /// [`NatsError::Disconnected`], [`NatsError::Unconfirmed`], [`NatsError::Closed`].
    pub async fn flush(&self) -> Result<(), NatsError> {
        self.require_connection()?;
        let mut waiting = self.answers().expect("");
        let inbox = self.inbox_of(&waiting.id);
        let confirmed = async {
            self.send(&inbox, None, Bytes::new()).await?;
            confirmation(&mut waiting, &inbox).await
        };
        self.in_time(confirmed).await
    }

    /// Subscribes to a subject, in which `*` stands for any token and a `>` at the end for one or more.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], [`NatsError::Closed`].
    pub async fn subscribe(&self, subject: &str) -> Result<Subscription, NatsError> {
        Subject::check_pattern(subject)?;
        Ok(Subscription::new(self.subscribe_any(subject, None).await?, self.state()))
    }

    /// Subscribes as one of a group: each message goes to one of those in it.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`], also when the name of the group is no token; [`NatsError::Closed`].
    pub async fn subscribe_queue(
        &self,
        subject: &str,
        group: &str,
    ) -> Result<Subscription, NatsError> {
        Subject::check_pattern(subject)?;
        Subject::check(group)?;
        Ok(Subscription::new(self.subscribe_any(subject, Some(group)).await?, self.state()))
    }

    /// Whether there is a connection; the receiver is told when that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BusState> {
        self.0.shared.state.subscribe()
    }

    /// How many messages were lost because a subscription of this connection was full. It may be more
    /// when they were very many at once.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until the server has taken what was published, and ends the connection, also for the
    /// clones. Subscriptions end.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush). The connection is ended all the same.
    pub async fn close(&self) -> Result<(), NatsError> {
        let flushed = self.flush().await;
        self.0.shared.state.send_replace(BusState::Closed);
        // It fails only when that was done before.
        let _ = self.0.client.drain().await;
        flushed
    }

    pub(crate) fn answers(&self) -> &Arc<Answers> {
        &self.0.shared.answers
    }

    /// Where the answer to a question comes.
    pub(crate) fn inbox_of(&self, question: &Uuid) -> String {
        format!("{}.{}", self.0.inbox, question.simple())
    }

    /// Where the answer to a question in one of Nexo's events comes; its id is in the answer.
    pub(crate) async fn nexo_inbox(&self) -> Result<&str, NatsError> {
        let subscribe = || async {
            let subject = format!("_inbox.req.{}", Uuid::new_v4());
            let messages = self.subscribe_any(&subject, None).await?;
            self.read(inbox::read_events(messages, Arc::clone(self.answers())));
            Ok(subject)
        };
        self.0.nexo_inbox.get_or_try_init(subscribe).await.map(String::as_str)
    }

    /// Says at once whether there is a connection.
    pub(crate) fn require_connection(&self) -> Result<(), NatsError> {
        let shared = &self.0.shared;
        let is_connected = self.0.client.connection_state() == State::Connected;
        // The client forgets to tell when it has very much to tell.
        shared.become_state(if is_connected {
            BusState::Connected
        } else {
            BusState::Disconnected
        });
        match *shared.state.borrow() {
            BusState::Closed => Err(NatsError::Closed),
            _ if is_connected => Ok(()),
            _ => Err(NatsError::Disconnected),
        }
    }

    /// Returns when there is no connection any more.
    pub(crate) async fn disconnected(&self) {
        let mut state = self.state();
        let _ = state.wait_for(|state| *state != BusState::Connected).await;
    }

    /// Hands a message to the client.
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
            // Subjects were checked.
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

    fn read(&self, reader: impl Future<Output = ()> + Send + 'static) {
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).spawn(reader);
    }
}

/// Waits until our own message, which follows another, comes back. The server takes and sends in
/// order: by then it has said what there was to say about the other one.
async fn confirmation(waiting: &mut Waiting, subject: &str) -> Result<(), NatsError> {
    match waiting.next().await {
        // Who answers a message has got it.
        Answer::Plain(_) | Answer::Nexo(_) => Ok(()),
        Answer::NoListener => Err(NatsError::NoListener(subject.to_owned())),
        Answer::Forbidden(subject) => Err(NatsError::Forbidden(subject.into())),
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("state", &*self.0.shared.state.borrow()).finish_non_exhaustive()
    }
}
