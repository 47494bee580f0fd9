//! Connections, other clients on the bus, and a plugin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::subject::ToSubject;
use futures_util::StreamExt;
use nexo_pairing_core::ChannelId;
use nexo_pairing_nats::{Bus, BusState, NatsOptions, PluginAdapter, PluginOptions};
use nexo_pairing_nats_server::NatsServer;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The time limit of each wait.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions::new([server.url()]).unwrap()
}

pub(crate) async fn bus(server: &NatsServer) -> Bus {
    Bus::connect(options(server)).await.unwrap()
}

/// The connection of another client.
pub(crate) async fn client(server: &NatsServer) -> async_nats::Client {
    async_nats::connect(server.url()).await.unwrap()
}

/// A subscription of another client, which is active on return.
pub(crate) async fn listener(server: &NatsServer, subject: &str) -> async_nats::Subscriber {
    let client = client(server).await;
    let messages = client.subscribe(subject.to_owned()).await.unwrap();
    round_trip(&client).await;
    messages
}

/// Publishes from another connection.
pub(crate) async fn say(server: &NatsServer, subject: impl ToSubject, words: &'static str) {
    let client = client(server).await;
    client.publish(subject, words.into()).await.unwrap();
    round_trip(&client).await;
}

/// Waits until the server has handled everything that this client sent.
pub(crate) async fn round_trip(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    within(echo.next()).await.unwrap();
}

pub(crate) async fn next_json(messages: &mut async_nats::Subscriber) -> Value {
    let message = within(messages.next()).await.unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it did not happen in time")
}

pub(crate) async fn wait_for(bus: &Bus, wanted: BusState) {
    let mut state = bus.state();
    within(state.wait_for(|state| *state == wanted)).await.unwrap();
}

/// The kinds of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// Takes Nexo's events and replies with one on their `reply_to`.
    Nexo,
    /// Takes NATS requests and replies to them.
    Plain,
}

/// A plugin with a connection of its own, as in another process.
pub(crate) struct Plugin {
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    task: JoinHandle<()>,
    pub(crate) client: async_nats::Client,
}

impl Plugin {
    /// A plugin for `plugin.signal` with these replies; it does not subscribe to other methods.
    pub(crate) async fn start(
        server: &NatsServer,
        speaks: Speaks,
        answers: &[(&str, Value)],
    ) -> Self {
        let answers: HashMap<String, Value> =
            answers.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).collect();
        let client = client(server).await;
        let mut streams = Vec::new();
        for name in answers.keys() {
            let subject = format!("plugin.signal.pairing.{name}");
            streams.push(client.subscribe(subject).await.unwrap());
        }
        round_trip(&client).await;
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (log, connection) = (Arc::clone(&asked), client.clone());
        let task = tokio::spawn(async move {
            let mut requests = futures_util::stream::select_all(streams);
            while let Some(request) = requests.next().await {
                let name = request.subject.rsplit('.').next().unwrap().to_owned();
                let body: Value = serde_json::from_slice(&request.payload).unwrap();
                let inner = match speaks {
                    Speaks::Nexo => body["payload"]["payload"].clone(),
                    Speaks::Plain => body.clone(),
                };
                let answer = filled_in(&answers[&name], &inner);
                log.lock().unwrap().push((name, inner));
                let (subject, answer) = match speaks {
                    Speaks::Plain => (request.reply.unwrap().to_string(), answer),
                    Speaks::Nexo => {
                        let reply_to = body["payload"]["reply_to"].as_str().unwrap().to_owned();
                        let id = body["payload"]["id"].clone();
                        let event = json!({
                            "id": Uuid::new_v4(), "timestamp": "2026-01-01T00:00:00Z",
                            "topic": reply_to, "source": "plugin.signal", "session_id": null,
                            "payload": {"id": id, "topic": reply_to, "payload": answer},
                        });
                        (reply_to, event)
                    }
                };
                connection.publish(subject, answer.to_string().into()).await.unwrap();
            }
        });
        Self { asked, task, client }
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn times_asked(&self, name: &str) -> usize {
        self.asked().iter().filter(|(asked, _)| asked == name).count()
    }

    /// Ends it; afterwards its subjects have no listener.
    pub(crate) async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
        round_trip(&self.client).await;
    }
}

/// Replaces `"<raw>"` in a reply by the id of the request.
fn filled_in(answer: &Value, asked: &Value) -> Value {
    match answer["normalized"].as_str() {
        Some("<raw>") => json!({"normalized": asked["raw"]}),
        _ => answer.clone(),
    }
}

pub(crate) fn plugin_options() -> PluginOptions {
    PluginOptions::new(ChannelId::parse("signal").unwrap(), "plugin.signal")
}

pub(crate) async fn adapter(server: &NatsServer) -> PluginAdapter {
    PluginAdapter::new(bus(server).await, plugin_options()).unwrap()
}
