//! Setup codes that are sent over a chat.

use std::time::Duration;

use data_encoding::BASE64;
use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::Home;
use serde_json::json;

use crate::support::{Heard, plugin};

fn start(home: &Home, server: &NatsServer, via: &str) -> serde_json::Value {
    let url = ["--public-url", "wss://nexo.example.com"];
    home.json(&[&["start", "--nats", &server.url(), "--send-via", via], &url[..]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_channel_without_images_gets_the_code_as_text() {
    let (server, home) = (NatsServer::start(), Home::new());
    let outbound = Heard::on(&server, "plugin.outbound.>").await;
    let issued = start(&home, &server, "whatsapp:personal:5491155556666@c.us");
    let sent = json!({
        "as": "text", "channel": "whatsapp", "account_id": "personal", "to": "+5491155556666",
    });
    assert_eq!(issued["sent"], sent);
    let telegram = start(&home, &server, "telegram:bot:123456789");
    let reply = outbound.wait_for_json(2);
    assert_eq!(reply[0].0, "plugin.outbound.whatsapp.personal");
    assert_eq!(reply[0].1["payload"]["to"], "+5491155556666");
    assert_eq!(reply[0].1["payload"]["text"], issued["payload"]);
    let text = format!("`{}`", telegram["payload"].as_str().unwrap());
    assert_eq!(reply[1].1["payload"]["text"], text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plugin_gets_the_code_as_an_image() {
    let server = NatsServer::start();
    let home = Home::configured("adapters: [{ channel: signal, prefix: plugin.signal }]");
    let asked = Heard::on(&server, "plugin.signal.pairing.send_qr_image").await;
    let _signal = plugin(&server, "plugin.signal", Some(Duration::ZERO)).await;
    let issued = start(&home, &server, "signal:main:ana");
    assert_eq!((&issued["sent"]["as"], &issued["sent"]["to"]), (&json!("image"), &json!("id-ana")));
    let request = asked.wait_for_json(1).remove(0).1;
    assert_eq!((&request["account"], &request["to"]), (&json!("main"), &json!("id-ana")));
    let png = BASE64.decode(request["png_base64"].as_str().unwrap().as_bytes()).unwrap();
    assert!(png == nexo_pairing::qr::render_png(issued["payload"].as_str().unwrap()).unwrap());
}

#[test]
fn an_undelivered_code_is_cancelled() {
    let (server, home) = (NatsServer::start(), Home::new());
    let url = ["--public-url", "wss://nexo.example.com", "--qr-png"];
    let image = home.beside("code.png");
    let via = ["--send-via", "whatsapp:personal:5491155556666"];
    let nats = ["start", "--nats", &server.url()];
    let output = home.run(&[&nats[..], &via, &url, &[image.to_str().unwrap()]].concat());
    assert_eq!((output.code, output.stdout.as_str()), (3, ""), "{output:?}");
    assert!(output.stderr.contains("is cancelled"), "{output:?}");
    assert_eq!(
        home.sqlite("SELECT count(*) FROM pairing_redemptions WHERE session_id IS NULL"),
        "1\n"
    );

    for (via, code) in [
        ("nonsense", 2),
        ("signal:main:ana", 1),
        ("whatsapp:personal:nobody", 1),
        ("whatsapp:a.b:5491155556666", 2),
    ] {
        let args = [&nats[..], &["--send-via", via], &url[..2]].concat();
        assert_eq!(home.run(&args).code, code, "{via}");
    }
    assert_eq!(
        home.sqlite("SELECT count(*) FROM pairing_redemptions"),
        "1\n",
        "no other was issued"
    );
}
