//! Authentication and permissions.

use std::fs;
use std::path::PathBuf;

use futures_util::StreamExt;
use nexo_pairing_core::PairingChannelAdapter;
use nexo_pairing_nats::{Bus, NatsError, PluginAdapter, PluginOptions};
use nexo_pairing_nats_server::NatsServer;

use crate::support::{options, within};

const SECRET: &str = "correct-horse-battery";

pub(crate) fn file(server: &NatsServer, text: &str) -> PathBuf {
    let path = server.path("secret");
    fs::write(&path, text).unwrap();
    path
}

pub(crate) fn refused(bus: Result<Bus, NatsError>) {
    let error = bus.unwrap_err();
    let NatsError::Connect { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("authorization violation"), "{source}");
    assert!(!format!("{error:?} {source}").contains(SECRET), "{error:?}");
}

#[tokio::test]
async fn a_user_with_a_password() {
    let user = format!("authorization {{ user: pairing, password: {SECRET:?} }}");
    let server = NatsServer::with(|_| user);
    let mut options = options(&server);
    refused(within(Bus::connect(options.clone())).await);
    options.user = Some(("pairing".into(), file(&server, "wrong\n")));
    refused(within(Bus::connect(options.clone())).await);
    // With the newline that editors write.
    options.user = Some(("pairing".into(), file(&server, &format!("{SECRET}\r\n"))));
    within(Bus::connect(options.clone())).await.unwrap().flush().await.unwrap();
    assert!(!format!("{options:?}").contains(SECRET));
}

#[tokio::test]
async fn a_token() {
    let server = NatsServer::with(|_| format!("authorization {{ token: {SECRET:?} }}"));
    let mut options = options(&server);
    refused(within(Bus::connect(options.clone())).await);
    options.token_file = Some(file(&server, SECRET));
    within(Bus::connect(options)).await.unwrap().flush().await.unwrap();
}

#[tokio::test]
async fn a_missing_or_empty_file_is_named() {
    let server = NatsServer::start();
    let mut options = options(&server);
    for (path, why) in [(server.path("none"), "No such file"), (file(&server, "\n"), "empty")] {
        options.token_file = Some(path.clone());
        let error = Bus::connect(options.clone()).await.unwrap_err();
        let NatsError::File { path: named, source } = error else { panic!("{error:?}") };
        assert_eq!(named, path);
        assert!(source.to_string().contains(why), "{source}");
    }
}

/// The configuration that `docs/operating.md` recommends.
fn documented() -> String {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");
    let text = fs::read_to_string(document).unwrap();
    let (_, rest) = text.split_once("\nauthorization {\n").unwrap();
    let (users, _) = rest.split_once("```").unwrap();
    let passwords = ["PAIRING", "AGENT", "WHATSAPP", "PIGEON"];
    let variables: String = passwords.map(|name| format!("{name}_PASSWORD: secret\n")).concat();
    format!("{variables}authorization {{\n{users}")
}

#[tokio::test]
async fn the_documented_permissions_allow_the_work_of_each_process_and_no_more() {
    let server = NatsServer::with(|_| documented());
    let secret = file(&server, "secret");
    let as_user = |name: &str| {
        let mut options = options(&server);
        options.user = Some((name.to_owned(), secret.clone()));
        Bus::connect(options)
    };
    let bus = as_user("pairing").await.unwrap();
    let login = |name: &str| {
        let options = async_nats::ConnectOptions::new();
        options.user_and_password(name.to_owned(), "secret".to_owned()).connect(server.url())
    };

    // A plugin that answers requests.
    let pigeon = login("pigeon").await.unwrap();
    let subject = "plugin.pigeon.pairing.normalize_sender";
    let mut requests = pigeon.subscribe(subject).await.unwrap();
    // One that only receives messages.
    let whatsapp = login("whatsapp").await.unwrap();
    let mut outbound = whatsapp.subscribe("plugin.outbound.whatsapp.>").await.unwrap();
    pigeon.flush().await.unwrap();
    whatsapp.flush().await.unwrap();

    let options = PluginOptions::new("pigeon".parse().unwrap(), "plugin.pigeon");
    let adapter = PluginAdapter::new(bus.clone(), options).unwrap();
    let answer = async {
        let request = within(requests.next()).await.unwrap();
        let answer = r#"{"normalized": "ana"}"#;
        pigeon.publish(request.reply.unwrap(), answer.into()).await.unwrap();
    };
    // The server may not have seen the subscription yet.
    let ask = async {
        loop {
            match adapter.resolve_sender("Ana").await {
                Err(error) if format!("{error:?}").contains("no plugin listens") => {}
                said => break said,
            }
        }
    };
    let (said, ()) = within(async { tokio::join!(ask, answer) }).await;
    assert_eq!(said.unwrap().as_deref(), Some("ana"));

    let deadline = std::time::Instant::now() + crate::support::LIMIT;
    while let Err(error) = bus.deliver("plugin.outbound.whatsapp.personal", "1".into()).await {
        assert!(std::time::Instant::now() < deadline, "{error:?}");
    }
    assert_eq!(within(outbound.next()).await.unwrap().payload, "1");

    // No process can publish as another.
    let mut inbound = bus.subscribe("plugin.inbound.>").await.unwrap();
    bus.flush().await.unwrap();
    whatsapp.publish("plugin.inbound.pigeon", "forged".into()).await.unwrap();
    whatsapp.publish("plugin.outbound.telegram", "forged".into()).await.unwrap();
    whatsapp.publish("plugin.inbound.whatsapp.personal", "2".into()).await.unwrap();
    assert_eq!(within(inbound.next()).await.unwrap().payload().as_ref(), b"2");
}

#[tokio::test]
async fn a_forbidden_message_is_a_failure() {
    let restricted = "authorization { users: [
        { user: pairing, password: secret, permissions: {
            publish: [ \"plugin.outbound.whatsapp\", \"_INBOX.>\" ],
            subscribe: [ \"_INBOX.>\", \"plugin.inbound.>\" ] } },
        { user: plugin, password: secret } ] }";
    let server = NatsServer::with(|_| restricted.to_owned());
    let mut options = options(&server);
    options.user = Some(("pairing".into(), file(&server, "secret")));
    let bus = Bus::connect(options.clone()).await.unwrap();
    options.user = Some(("plugin".into(), file(&server, "secret")));
    let plugin = Bus::connect(options.clone()).await.unwrap();
    let _messages = plugin.subscribe("plugin.outbound.>").await.unwrap();
    plugin.flush().await.unwrap();

    bus.deliver("plugin.outbound.whatsapp", "".into()).await.unwrap();
    for _ in 0..3 {
        let refused = bus.deliver("plugin.outbound.telegram", "".into()).await;
        let is_named = matches!(&refused, Err(NatsError::Forbidden(subject))
            if subject == "plugin.outbound.telegram");
        assert!(is_named, "{refused:?}");
    }
    bus.deliver("plugin.outbound.whatsapp", "".into()).await.unwrap();
}

#[tokio::test]
async fn connecting_fails_without_permission_to_receive_replies() {
    let deaf = "authorization { users: [ { user: pairing, password: secret,
        permissions: { publish: [ \"plugin.outbound.>\" ], subscribe: [ \"_INBOX.>\" ] } } ] }";
    let server = NatsServer::with(|_| deaf.to_owned());
    let mut options = options(&server);
    options.user = Some(("pairing".into(), file(&server, "secret")));
    let error = within(Bus::connect(options)).await.unwrap_err();
    let NatsError::Connect { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("not allow publishing on _INBOX."), "{source}");
}
