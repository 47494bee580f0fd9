//! A gate on a bus, its publishers and its subscribers.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nexo_pairing::nats::{Bus, NatsOptions};
use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::{DEADLINE, Gate, Home, wait_for};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Starts `gate --nats`; it is subscribed once this returns.
pub(crate) fn start(home: &Home, server: &NatsServer, args: &[&str]) -> Gate {
    let gate = home.gate(&[&["--nats", &server.url()], args].concat());
    gate.wait_for_stderr("subscribed to ", 1);
    gate
}

/// One of Nexo's events.
pub(crate) fn event(topic: &str, payload: Value) -> Value {
    json!({
        "id": "0198c2f4-5f0e-7a41-9d0c-0f4be7a8c001", "timestamp": "2026-03-01T09:15:00Z",
        "topic": topic, "source": "plugin", "session_id": null, "payload": payload,
    })
}

/// A direct message as a plugin publishes it.
pub(crate) fn message(topic: &str, from: &str, text: &str) -> Value {
    event(topic, json!({"kind": "message", "from": from, "text": text, "is_group": false}))
}

/// A client on the bus.
pub(crate) async fn connect(server: &NatsServer) -> Bus {
    Bus::connect(NatsOptions::new([server.url()]).unwrap()).await.unwrap()
}

/// Publishes a JSON value.
pub(crate) async fn publish(bus: &Bus, subject: &str, value: &Value) {
    bus.publish(subject, value.to_string().into()).await.unwrap();
}

/// Publishes a message on a channel's account, in the envelope.
pub(crate) async fn send_message(bus: &Bus, to: &str, from: &str, text: &str) {
    let topic = format!("plugin.inbound.{to}");
    publish(bus, &topic, &message(&topic, from, text)).await;
}

/// A message: its subject, and its payload.
type Published = (String, Vec<u8>);

/// All messages on a subject, from now on.
pub(crate) struct Heard {
    messages: Arc<Mutex<Vec<Published>>>,
    task: JoinHandle<()>,
    _bus: Bus,
}

impl Heard {
    /// Subscribes on a connection of its own.
    pub(crate) async fn on(server: &NatsServer, subject: &str) -> Self {
        let bus = connect(server).await;
        let mut subscription = bus.subscribe(subject).await.unwrap();
        bus.flush().await.unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&messages);
        let task = tokio::spawn(async move {
            while let Some(message) = subscription.next().await {
                let message = (message.subject().to_owned(), message.payload().to_vec());
                heard.lock().unwrap().push(message);
            }
        });
        Self { messages, task, _bus: bus }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// Waits until there are so many and returns all.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Published> {
        let what = format!("{count} messages");
        wait_for(&what, || (self.count() >= count).then_some(()));
        self.messages.lock().unwrap().clone()
    }

    /// Waits until there are so many and returns all, as JSON.
    pub(crate) fn wait_for_json(&self, count: usize) -> Vec<(String, Value)> {
        let json = |(subject, bytes): Published| (subject, serde_json::from_slice(&bytes).unwrap());
        self.wait_for(count).into_iter().map(json).collect()
    }

    /// Waits until there are so many and returns the texts of those in the envelope.
    pub(crate) fn wait_for_texts(&self, count: usize) -> Vec<String> {
        let text = |(_, event): (String, Value)| {
            event["payload"]["text"].as_str().unwrap_or_default().to_owned()
        };
        self.wait_for_json(count).into_iter().map(text).collect()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A plugin in this process, with a connection of its own, that answers after this time; `None` is never.
/// `nobody` is not a valid sender.
pub(crate) async fn plugin(server: &NatsServer, prefix: &str, takes: Option<Duration>) -> Plugin {
    plugin_of(server, prefix, move |_| takes).await
}

/// See [`plugin`]: one whose time depends on the raw id in the question.
pub(crate) async fn plugin_of(
    server: &NatsServer,
    prefix: &str,
    takes: impl Fn(&str) -> Option<Duration> + Send + 'static,
) -> Plugin {
    let bus = connect(server).await;
    let mut asked = bus.subscribe(&format!("{prefix}.pairing.*")).await.unwrap();
    bus.flush().await.unwrap();
    let questions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&questions);
    let task = tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let request: Value = serde_json::from_slice(message.payload()).unwrap();
            let answer = match request["raw"].as_str() {
                Some("nobody") => json!({"normalized": null}),
                Some(raw) => json!({"normalized": format!("id-{raw}")}),
                None => json!({"ok": true}),
            };
            let takes = takes(request["raw"].as_str().unwrap_or_default());
            let (Some(takes), Some(reply)) = (takes, message.reply().map(str::to_owned)) else {
                continue;
            };
            let bus = bus.clone();
            tokio::spawn(async move {
                tokio::time::sleep(takes).await;
                publish(&bus, &reply, &answer).await;
            });
        }
    });
    Plugin { questions, task }
}

/// See [`plugin`]; it is gone when this is dropped.
pub(crate) struct Plugin {
    questions: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Plugin {
    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client that can send what no library would send.
pub(crate) struct Rude {
    stream: BufReader<TcpStream>,
    heard: VecDeque<(String, String)>,
}

impl Rude {
    pub(crate) fn connect(server: &NatsServer) -> Self {
        Self::enter(server, "")
    }

    pub(crate) fn connect_as(server: &NatsServer, user: &str, password: &str) -> Self {
        let mut client =
            Self::enter(server, &format!(",\"user\":\"{user}\",\"pass\":\"{password}\""));
        assert_eq!(client.answer(), None, "{user} is let in");
        client
    }

    fn enter(server: &NatsServer, who: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self { stream: BufReader::new(stream), heard: VecDeque::new() };
        assert!(client.line().starts_with("INFO "));
        let options = format!("\"verbose\":false,\"pedantic\":false,\"protocol\":1{who}");
        client.write(format!("CONNECT {{{options}}}\r\n").as_bytes());
        client
    }

    /// Whether the server lets it subscribe.
    pub(crate) fn subscribe(&mut self, subject: &str) -> bool {
        self.write(format!("SUB {subject} 1\r\n").as_bytes());
        self.answer().is_none()
    }

    /// Publishes and returns whether the server allows it.
    pub(crate) fn may_publish(&mut self, subject: &str, payload: &[u8]) -> bool {
        self.publish(subject, payload);
        self.answer().is_none()
    }

    /// The next message of its subscriptions: subject and payload.
    pub(crate) fn receive(&mut self) -> (String, String) {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return message;
            }
            self.read();
        }
    }

    /// Publishes any payload on any subject.
    pub(crate) fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.write(format!("PUB {subject} {}\r\n", payload.len()).as_bytes());
        self.write(payload);
        self.write(b"\r\n");
    }

    /// Waits until the server has processed everything.
    pub(crate) fn flush(&mut self) {
        assert_eq!(self.answer(), None);
    }

    /// Waits until the server has processed everything and returns what it rejected.
    fn answer(&mut self) -> Option<String> {
        self.write(b"PING\r\n");
        let mut refused = None;
        loop {
            let line = self.read();
            if line.starts_with("-ERR") {
                refused = Some(line);
            } else if line == "PONG" {
                return refused;
            }
        }
    }

    /// Reads a line and the payload that follows it.
    fn read(&mut self) -> String {
        let line = self.line();
        if line == "PING" {
            self.write(b"PONG\r\n");
        } else if let Some(head) = line.strip_prefix("MSG ") {
            let words: Vec<&str> = head.split(' ').collect();
            let mut bytes = vec![0; words.last().unwrap().parse::<usize>().unwrap() + 2];
            self.stream.read_exact(&mut bytes).unwrap();
            let text = String::from_utf8(bytes).unwrap().trim_end().to_owned();
            self.heard.push_back((words[0].to_owned(), text));
        }
        line
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the server closed the connection");
        line.trim_end().to_owned()
    }
}
