//! A gate on a bus that is embedded in a program, with a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use nexo_pairing_bus::{
    BusGate, BusGateError, Connections, Observed, Observer, Settings, Status, Subjects,
};
use nexo_pairing_core::{
    AccountId, ChannelId, Decision, Mode, PairingAdapterRegistry, PairingChannelAdapter,
    PairingError, PairingPolicy,
};
use nexo_pairing_gate::PairingGate;
use nexo_pairing_nats::{Bus, NatsError, NatsOptions, NatsOutbound, Subscription};
use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_store::PairingStore;
use nexo_pairing_whatsapp::WhatsappPairingAdapter;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The time limit of each wait.
const DEADLINE: Duration = Duration::from_secs(30);

const ANA: &str = "5491155556666@c.us";
const BOB: &str = "5491155557777@c.us";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_screens_messages_and_changes_its_settings() {
    let server = NatsServer::start();
    let mut other = Other::on(&server, &["pairing.>", "plugin.outbound.>"]).await;
    let connections = open(&server).await;
    let registry = PairingAdapterRegistry::new();
    let outbound = Arc::new(NatsOutbound::new(connections.bus().clone()));
    registry.register(Arc::new(WhatsappPairingAdapter::new(outbound)));
    let settings = Settings::new(registry.clone(), PairingPolicy::new(Mode::Pairing));
    let gate = BusGate::new(connections, memory_gate().await, settings);
    let running = Running::start(gate).await;
    let gate = Arc::clone(&running.gate);

    other.publish("whatsapp.personal", ANA, "hello").await;
    let (subject, challenge) = other.next().await;
    assert_eq!(subject, "plugin.outbound.whatsapp.personal");
    assert!(challenge.to_string().contains("+5491155556666"), "{challenge}");

    let open = Settings::new(registry.clone(), PairingPolicy::new(Mode::Open));
    gate.set(open.clone());
    other.publish("whatsapp.personal", ANA, "let me in").await;
    let (subject, event) = other.next().await;
    assert_eq!(subject, "pairing.admitted.whatsapp.personal");
    assert_eq!(event["payload"]["text"], "let me in");

    let work = (ChannelId::parse("whatsapp").unwrap(), AccountId::parse("work").unwrap());
    gate.set(open.with_accounts([(work, PairingPolicy::new(Mode::Open))]));
    other.publish("whatsapp.personal", ANA, "to an unknown account").await;
    other.publish("whatsapp.work", ANA, "to a known account").await;
    let (subject, event) = other.next().await;
    assert_eq!(subject, "pairing.admitted.whatsapp.work");
    assert_eq!(event["payload"]["text"], "to a known account");

    other.bus.publish("plugin.inbound.whatsapp", "{".into()).await.unwrap();
    let (subject, rejection) = other.next().await;
    assert_eq!(subject, "pairing.rejected");
    assert_eq!((&rejection["reason"], &rejection["bytes"]), (&json!("invalid_json"), &json!(1)));

    let statuses = running.end().await.unwrap();
    let counts = gate.counts();
    assert_eq!((counts.taken, counts.admitted, counts.challenged), (5, 2, 1));
    assert_eq!((counts.dropped, counts.rejected, counts.unfinished()), (1, 1, 0));
    let last = "total: 5 messages taken, 2 admitted, 1 challenged, 1 dropped, 1 rejected";
    assert_eq!(statuses, [last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_receives_the_decisions_and_takes_no_message_from_other_gates() {
    let server = NatsServer::start();
    let mut other = Other::on(&server, &["pairing.>"]).await;
    let settings = |mode| Settings::new(PairingAdapterRegistry::new(), PairingPolicy::new(mode));
    let real = BusGate::new(open(&server).await, memory_gate().await, settings(Mode::Open));
    let real = Running::start(real).await;
    let (observer, mut seen, reader) = Recorder::new();
    let gate = BusGate::new(open(&server).await, memory_gate().await, settings(Mode::Allowlist));
    let listener = Running::start(gate.with_observer(observer)).await;

    other.publish("signal.main", "ana", "hello").await;
    other.bus.publish("plugin.inbound.signal.main", "{".into()).await.unwrap();
    let mut both = vec![next(&mut seen).await, next(&mut seen).await];
    both.sort();
    assert_eq!(both, ["drop not_allowed", "rejected invalid_json"]);
    let mut subjects = vec![other.next().await.0, other.next().await.0];
    subjects.sort();
    assert_eq!(
        subjects,
        ["pairing.admitted.signal.main", "pairing.rejected"],
        "only one gate publishes"
    );

    // No reader is left, which is not a failure.
    drop(reader);
    listener.ended().await.unwrap();
    real.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_that_fails_fails_the_gate() {
    struct Full;
    #[async_trait]
    impl Observer for Full {
        async fn observe(&self, _: Observed<'_>) {}
        async fn flush(&self) -> io::Result<()> {
            Err(io::Error::other("the disk is full"))
        }
    }
    let server = NatsServer::start();
    let settings = Settings::new(PairingAdapterRegistry::new(), PairingPolicy::default());
    let gate = BusGate::new(open(&server).await, memory_gate().await, settings);
    let running = Running::start(gate.with_observer(Arc::new(Full))).await;
    assert!(matches!(running.end().await, Err(BusGateError::Observer(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_cannot_finish_reports_how_many_messages_are_left() {
    let (asked, mut is_asked) = mpsc::unbounded_channel();
    let server = NatsServer::start();
    let other = Other::on(&server, &["pairing.>"]).await;
    let registry = PairingAdapterRegistry::new();
    registry.register(Arc::new(Hanging(asked)));
    let settings = Settings::new(registry, PairingPolicy::new(Mode::Pairing));
    let gate = BusGate::new(open(&server).await, memory_gate().await, settings);
    let running = Running::start(gate.with_grace(Duration::ZERO)).await;
    other.publish("test.main", "ana", "hello").await;
    next(&mut is_asked).await;
    let ended = running.end().await;
    assert!(matches!(ended, Err(BusGateError::Unfinished { messages: 1 })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taken_messages_are_finished_within_the_grace_period() {
    let server = NatsServer::start();
    let mut other = Other::on(&server, &["pairing.admitted.>"]).await;
    let settings = Settings::new(PairingAdapterRegistry::new(), PairingPolicy::new(Mode::Open));
    let gate = BusGate::new(open(&server).await, memory_gate().await, settings);
    let running = Running::start(gate).await;
    let gate = Arc::clone(&running.gate);
    let count = 1000;
    for number in 0..count {
        other.publish("test.main", BOB, &number.to_string()).await;
    }
    other.next().await;
    running.end().await.unwrap();
    let counts = gate.counts();
    assert_eq!((counts.admitted, counts.unfinished()), (counts.taken, 0));
    for number in 1..counts.admitted {
        assert_eq!(other.next().await.1["payload"]["text"], number.to_string());
    }
}

#[tokio::test]
async fn a_queue_group_with_a_space_is_refused() {
    let server = NatsServer::start();
    let settings = Settings::new(PairingAdapterRegistry::new(), PairingPolicy::default());
    let gate = BusGate::new(open(&server).await, memory_gate().await, settings);
    let gate = Arc::new(gate.with_queue_group("two words"));
    let refused = gate.run(std::future::pending()).await;
    assert!(matches!(refused, Err(BusGateError::Nats(NatsError::Subject { .. }))), "{refused:?}");
}

/// A gate that runs in a task.
struct Running {
    gate: Arc<BusGate>,
    task: JoinHandle<Result<(), BusGateError>>,
    stop: oneshot::Sender<()>,
    statuses: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts a gate, which takes messages once this returns.
    async fn start(gate: BusGate) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let (ready, statuses) = (Mutex::new(Some(ready)), Arc::new(Mutex::new(Vec::new())));
        let reported = Arc::clone(&statuses);
        let gate = gate.with_status(move |status| match status {
            Status::Subscribed(line) => {
                let (group, listens) = (
                    "subscribed to plugin.inbound.> (queue group nexo-pairing)",
                    "listening to plugin.inbound.>; nothing is published",
                );
                assert!(line == group || line == listens, "{line}");
                let ready = ready.lock().unwrap().take();
                ready.unwrap().send(()).unwrap();
            }
            other => reported.lock().unwrap().push(other.to_string()),
        });
        let gate = Arc::new(gate);
        let task = tokio::spawn(Arc::clone(&gate).run(async {
            let _ = stopped.await;
        }));
        timeout(DEADLINE, is_ready).await.unwrap().unwrap();
        Self { gate, task, stop, statuses }
    }

    /// Shuts the gate down. Returns its statuses.
    async fn end(self) -> Result<Vec<String>, BusGateError> {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap()?;
        Ok(self.statuses.lock().unwrap().clone())
    }

    /// Waits until the gate ends by itself.
    async fn ended(self) -> Result<(), BusGateError> {
        timeout(DEADLINE, self.task).await.unwrap().unwrap()
    }
}

/// Another client on the bus.
struct Other {
    bus: Bus,
    messages: mpsc::UnboundedReceiver<(String, Value)>,
}

impl Other {
    async fn on(server: &NatsServer, subjects: &[&str]) -> Self {
        let bus = Bus::connect(options(server)).await.unwrap();
        let (other, messages) = mpsc::unbounded_channel();
        for subject in subjects {
            let mut subscription: Subscription = bus.subscribe(subject).await.unwrap();
            let other = other.clone();
            tokio::spawn(async move {
                while let Some(message) = subscription.next().await {
                    let value = serde_json::from_slice(message.payload()).unwrap();
                    let _ = other.send((message.subject().to_owned(), value));
                }
            });
        }
        bus.flush().await.unwrap();
        Self { bus, messages }
    }

    async fn next(&mut self) -> (String, Value) {
        next(&mut self.messages).await
    }

    /// Publishes a direct message, as a plugin does.
    async fn publish(&self, to: &str, from: &str, text: &str) {
        let topic = format!("plugin.inbound.{to}");
        let event = json!({
            "id": "0198c2f4-5f0e-7a41-9d0c-0f4be7a8c001", "timestamp": "2026-03-01T09:15:00Z",
            "topic": topic, "source": "plugin", "session_id": null,
            "payload": {"kind": "message", "from": from, "text": text, "is_group": false},
        });
        self.bus.publish(&topic, event.to_string().into()).await.unwrap();
    }
}

/// Records decisions while the reader is held.
struct Recorder {
    seen: mpsc::UnboundedSender<String>,
    reader: mpsc::Sender<()>,
}

impl Recorder {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<String>, mpsc::Receiver<()>) {
        let (seen, are_seen) = mpsc::unbounded_channel();
        let (reader, is_read) = mpsc::channel(1);
        (Arc::new(Self { seen, reader }), are_seen, is_read)
    }
}

#[async_trait]
impl Observer for Recorder {
    async fn observe(&self, observed: Observed<'_>) {
        let seen = match observed {
            Observed::Message { screened, .. } => match &screened.decision {
                Decision::Drop(reason) => format!("drop {reason}"),
                other => other.as_str().to_owned(),
            },
            Observed::Rejected(rejection) => format!("rejected {}", rejection.reason),
            other => format!("{other:?}"),
        };
        self.seen.send(seen).unwrap();
    }

    async fn closed(&self) {
        self.reader.closed().await;
    }
}

/// An adapter that reports when it is to send a message, and never finishes.
struct Hanging(mpsc::UnboundedSender<()>);

#[async_trait]
impl PairingChannelAdapter for Hanging {
    fn channel_id(&self) -> &'static str {
        "test"
    }

    fn normalize_sender(&self, raw: &str) -> Option<String> {
        Some(raw.to_owned())
    }

    async fn send_reply(&self, _: &str, _: &str, _: &str) -> Result<(), PairingError> {
        self.0.send(()).unwrap();
        std::future::pending().await
    }
}

async fn open(server: &NatsServer) -> Connections {
    Connections::open(options(server), Subjects::default()).await.unwrap()
}

fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions::new([server.url()]).unwrap()
}

async fn memory_gate() -> PairingGate {
    PairingGate::new(PairingStore::open_memory().await.unwrap())
}

async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(DEADLINE, receiver.recv()).await.unwrap().unwrap()
}
