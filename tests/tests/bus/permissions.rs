//! The permissions in docs/operating.md: each user has enough of them, and no more.

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::Home;

use crate::support::{Rude, message};

const OPERATING: &str = include_str!("../../../docs/operating.md");

/// The server that the document describes; a user's password is the user name.
fn server() -> NatsServer {
    let (_, rest) = OPERATING.split_once("```text\n# nats-server.conf\n").expect("it is there");
    let (settings, _) = rest.split_once("```").unwrap();
    let mut settings: String = settings
        .lines()
        .filter(|line| !line.starts_with("listen:"))
        .map(|l| format!("{l}\n"))
        .collect();
    for user in ["pairing", "agent", "whatsapp", "pigeon"] {
        let variable = format!("${}_PASSWORD", user.to_uppercase());
        assert!(settings.contains(&variable), "{variable}");
        settings = settings.replace(&variable, &format!("\"the word of {user}\""));
    }
    NatsServer::with(|_| settings)
}

fn enter(server: &NatsServer, user: &str) -> Rude {
    Rude::connect_as(server, user, &format!("the word of {user}"))
}

#[test]
fn every_user_has_the_permissions_they_need() {
    let server = server();
    let home = Home::new();
    std::fs::write(home.beside("password"), "the word of pairing\n").unwrap();
    home.configure(&format!(
        "nats: {{ servers: ['{}'], user: pairing, password_file: '{}' }}\n\
         gate: {{ mode: pairing }}",
        server.url(),
        home.beside("password").display()
    ));
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let gate = home.gate(&["--nats"]);
    gate.wait_for_stderr("subscribed to ", 1);

    let mut agent = enter(&server, "agent");
    assert!(agent.subscribe("pairing.admitted.>"));
    let mut whatsapp = enter(&server, "whatsapp");
    assert!(whatsapp.subscribe("plugin.outbound.whatsapp.>"));
    let topic = "plugin.inbound.whatsapp.personal";
    let known = message(topic, "5491155556666@c.us", "good").to_string();
    let stranger = message(topic, "5491155550001@c.us", "let me in").to_string();
    assert!(whatsapp.may_publish(topic, stranger.as_bytes()));
    assert!(whatsapp.may_publish(topic, known.as_bytes()));
    assert_eq!(agent.receive(), ("pairing.admitted.whatsapp.personal".to_owned(), known));
    let (subject, challenge) = whatsapp.receive();
    assert_eq!(subject, "plugin.outbound.whatsapp.personal");
    assert!(challenge.contains("+5491155550001"), "{challenge}");
    gate.signal(rustix::process::Signal::TERM);
    assert_eq!(gate.wait().code, 0);
}

#[test]
fn no_user_can_impersonate_another() {
    let server = server();
    for (user, foreign) in [
        ("whatsapp", "plugin.inbound.telegram.bot"),
        ("whatsapp", "plugin.inbound.pigeon.loft"),
        ("whatsapp", "pairing.admitted.whatsapp.personal"),
        ("whatsapp", "pairing.rejected"),
        ("whatsapp", "pairing.notices.whatsapp.personal"),
        ("agent", "pairing.notices.whatsapp.personal"),
        ("whatsapp", "plugin.outbound.whatsapp.personal"),
        ("whatsapp", "plugin.pigeon.pairing.normalize_sender"),
        ("whatsapp", "_INBOX.somebody"),
        ("pigeon", "plugin.inbound.whatsapp.personal"),
        ("pigeon", "pairing.admitted.pigeon.loft"),
        ("pigeon", "_INBOX.somebody"),
        ("agent", "plugin.inbound.whatsapp.personal"),
        ("agent", "pairing.admitted.whatsapp.personal"),
        ("pairing", "plugin.inbound.whatsapp.personal"),
    ] {
        assert!(!enter(&server, user).may_publish(foreign, b"{}"), "{user} to {foreign}");
    }
    for (user, foreign) in [
        ("whatsapp", "plugin.inbound.>"),
        ("whatsapp", "plugin.outbound.>"),
        ("whatsapp", "pairing.>"),
        ("whatsapp", ">"),
        ("pigeon", "plugin.*.pairing.>"),
        ("pigeon", "_INBOX.>"),
        ("agent", "plugin.inbound.>"),
        ("agent", "plugin.outbound.>"),
        // It may not see the codes that link accounts.
        ("agent", "pairing.notices.>"),
    ] {
        assert!(!enter(&server, user).subscribe(foreign), "{user} from {foreign}");
    }
}
