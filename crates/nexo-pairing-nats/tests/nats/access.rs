//! Who is let in, and what he may do.

use std::fs;
use std::path::PathBuf;

use nexo_pairing_nats::{Bus, NatsError};
use nexo_pairing_nats_server::NatsServer;

use crate::support::{options, within};

const SECRET: &str = "correct-horse-battery";

fn file(server: &NatsServer, text: &str) -> PathBuf {
    let path = server.path("secret");
    fs::write(&path, text).unwrap();
    path
}

fn refused(bus: Result<Bus, NatsError>) {
    let error = bus.unwrap_err();
    let NatsError::Connect { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("authorization violation"), "{source}");
    assert!(!format!("{error:?} {source}").contains(SECRET), "{error:?}");
}

#[tokio::test]
async fn a_user_with_his_password() {
    let user = format!("authorization {{ user: pairing, password: {SECRET:?} }}");
    let server = NatsServer::with(|_| user);
    let mut options = options(&server);
    refused(within(Bus::connect(options.clone())).await);
    options.user = Some(("pairing".into(), file(&server, "wrong\n")));
    refused(within(Bus::connect(options.clone())).await);
    // With the end of line that editors write.
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
async fn a_file_that_is_not_there_or_holds_nothing_is_named() {
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

#[cfg(feature = "nkeys")]
#[tokio::test]
async fn an_nkey() {
    let pair = nkeys::KeyPair::new_user();
    let user = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    let server = NatsServer::with(|_| user);
    let mut options = options(&server);
    refused(within(Bus::connect(options.clone())).await);
    options.nkey_file = Some(file(&server, &pair.seed().unwrap()));
    within(Bus::connect(options)).await.unwrap().flush().await.unwrap();
}

#[tokio::test]
async fn what_is_not_permitted_is_a_failure() {
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
async fn who_may_not_hear_the_server_is_told_when_he_connects() {
    let deaf = "authorization { users: [ { user: pairing, password: secret,
        permissions: { publish: [ \"plugin.outbound.>\" ], subscribe: [ \"_INBOX.>\" ] } } ] }";
    let server = NatsServer::with(|_| deaf.to_owned());
    let mut options = options(&server);
    options.user = Some(("pairing".into(), file(&server, "secret")));
    let error = within(Bus::connect(options)).await.unwrap_err();
    let NatsError::Connect { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("not allow publishing on _INBOX."), "{source}");
}
