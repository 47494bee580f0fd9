//! `nexo-pair serve` as its operator uses it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr};

use nexo_pairing_tests::{Client, Home, claim_elsewhere, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server whose standard error is read.
struct Serve {
    child: Child,
    reply: Value,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Serve {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut child = home.command(&[&["serve", "--json"], args].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let reply = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"));
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, reply, stderr }
    }

    fn address(&self, of: &str) -> SocketAddr {
        self.reply[of].as_str().unwrap().parse().unwrap()
    }

    /// The next line on standard error.
    fn remark(&mut self) -> Value {
        serde_json::from_str(&self.stderr.next().unwrap().unwrap()).unwrap()
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The payload of a new setup code.
fn payload(home: &Home, server: &Serve) -> String {
    let url = format!("ws://{}", server.address("listen"));
    home.json(&["start", "--public-url", &url])["payload"].as_str().unwrap().to_owned()
}

/// Claims a new code and returns the lifetime of its session, in seconds.
fn claimed_for(home: &Home, server: &Serve) -> i64 {
    let url = format!("ws://{}", server.address("listen"));
    let code = home.json(&["start", "--public-url", &url]);
    let claim = serde_json::json!({ "bootstrap_token": code["bootstrap_token"] });
    let mut client = Client::connect(LOCAL, server.address("listen")).unwrap();
    let (status, reply) = client.claim(&claim).unwrap();
    assert_eq!(status, 200, "{reply}");
    let at = |field: &str| {
        let text = reply[field].as_str().unwrap();
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap()
    };
    (at("expires_at") - at("issued_at")).whole_seconds()
}

#[test]
fn it_reports_its_address_and_ends_on_a_signal() {
    let home = Home::new();
    let mut server =
        Serve::start(&home, &["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
    let database = home.database();
    assert_eq!(server.reply["database"].as_str(), database.to_str());
    assert_eq!(server.reply["tls"], false);
    let mut client = Client::connect(LOCAL, server.address("listen")).unwrap();
    assert_eq!(client.request("GET /healthz", "", "").unwrap().0, 200);
    assert_eq!(client.request("GET /metrics", "", "").unwrap().0, 404);
    let mut client = Client::connect(LOCAL, server.address("metrics")).unwrap();
    assert_eq!(client.request("GET /metrics", "", "").unwrap().0, 200);
    server.send(Signal::TERM);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reload_with_a_bad_configuration_changes_nothing() {
    let home = Home::configured("session_ttl_secs: 3600");
    let mut server = Serve::start(&home, &["--listen", "127.0.0.1:0"]);
    assert_eq!(claimed_for(&home, &server), 3600);
    home.configure("session_ttl_secs: soon");
    server.send(Signal::HUP);
    let warning = server.remark();
    assert_eq!(warning["warning"]["kind"], "config", "{warning}");
    // The commands read it, too.
    home.configure("session_ttl_secs: 3600");
    assert_eq!(claimed_for(&home, &server), 3600);
    home.configure("session_ttl_secs: 7200");
    server.send(Signal::HUP);
    wait_for("the new configuration", || (claimed_for(&home, &server) == 7200).then_some(()));
}

#[test]
fn a_lost_configuration_leaves_the_old_one_in_force() {
    let home = Home::configured(
        "session_ttl_secs: 3600\non_replay: refuse\npublic_url: wss://nexo.example.com/pair\n\
         trusted_proxies: [127.0.0.1]",
    );
    let file = home.path().join("config").join("pairing.yaml");
    let mut server = Serve::start(&home, &["--listen", "127.0.0.1:0"]);
    let url = format!("ws://{}", server.address("listen"));
    let losses: [&dyn Fn(); 6] = [
        &|| fs::remove_file(&file).unwrap(),
        &|| fs::write(&file, "").unwrap(),
        &|| fs::write(&file, "# pairing:\n").unwrap(),
        &|| fs::write(&file, "pairing:\n").unwrap(),
        &|| fs::write(&file, "pairing:\n  gate:\n").unwrap(),
        &|| fs::write(&file, "pairing:\n  trusted_proxies: [10.0.0.1]\n  on_rep").unwrap(),
    ];
    for (lost, lose) in losses.iter().enumerate() {
        lose();
        server.send(Signal::HUP);
        // Besides, the log has the earlier replay.
        while server.remark()["warning"]["kind"] != "config" {}

        fs::remove_file(&file).unwrap_or_default();
        let code = home.json(&["start", "--public-url", &url]);
        let claim = serde_json::json!({ "bootstrap_token": code["bootstrap_token"] }).to_string();
        // As the page at the public URL does, through the proxy.
        let headers = "Origin: https://nexo.example.com\r\nX-Forwarded-For: 203.0.113.7\r\n";
        let mut client = Client::connect(LOCAL, server.address("listen")).unwrap();
        let (status, reply) = client.request("POST /pair", headers, &claim).unwrap();
        assert_eq!(status, 200, "{lost}: {reply}");
        assert_ne!(client.request("POST /pair", headers, &claim).unwrap().0, 200, "a replay");
        let (status, _) = client.session(reply["session_token"].as_str().unwrap()).unwrap();
        assert_eq!(status, 200, "{lost}: the replay was only rejected");
        let device = &home.json(&["devices", "list"])["devices"][lost];
        assert_eq!(device["claim_peer"], "203.0.113.7", "{lost}: {device}");
    }
}

#[test]
fn a_lost_value_stays_in_force_until_a_restart() {
    let all = "session_ttl_secs: 600\non_replay: refuse\ntrusted_proxies: [127.0.0.1]\n\
               public_url: wss://nexo.example.com/pair\n";
    let home = Home::configured(all);
    let mut server = Serve::start(&home, &["--listen", "127.0.0.1:0"]);
    // Cut at the end of its first line.
    home.configure("on_replay: refuse");
    server.send(Signal::HUP);
    let lost = ["session_ttl_secs", "public_url", "trusted_proxies"];
    for key in lost {
        let warning = server.remark();
        assert_eq!(warning["warning"]["kind"], "kept", "{warning}");
        assert!(warning["warning"]["message"].as_str().unwrap().contains(key), "{warning}");
    }
    assert_eq!(claimed_for(&home, &server), 600);
    home.configure(&all.replace("600", "900"));
    server.send(Signal::HUP);
    wait_for("words", || (claimed_for(&home, &server) == 900).then_some(()));
}

#[test]
fn a_running_server_accepts_a_new_key() {
    let home = Home::new();
    let server = Serve::start(&home, &["--listen", "127.0.0.1:0"]);
    let _ = home.json(&["keys", "rotate"]);
    let payload = payload(&home, &server);
    wait_for("the new key", || {
        // A few failures at most: a second is enough.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let (_, claimed) = claim_elsewhere(&payload);
        assert!(claimed.code == 0 || claimed.error()["kind"] == "invalid_signature", "{claimed:?}");
        (claimed.code == 0).then_some(())
    });
}

#[test]
fn serving_cleartext_beyond_loopback_warns() {
    let home = Home::new();
    let mut server = Serve::start(&home, &["--listen", "0.0.0.0:0"]);
    assert_eq!(server.remark()["warning"]["kind"], "cleartext");
}

#[test]
fn a_failed_start_names_its_cause() {
    let home = Home::new();
    let taken = TcpListener::bind((LOCAL, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, error) = home.error(&["serve", "--listen", &address]);
    assert_eq!((code, error["kind"].as_str()), (3, Some("listen")));
    assert!(error["message"].as_str().unwrap().contains(&address), "{error}");

    let (cert, key) = (home.beside("tls.crt"), home.beside("tls.key"));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let (code, error) = home.error(&["serve", "--tls-cert", cert]);
    assert_eq!((code, error["kind"].as_str()), (2, Some("usage")));
    let tls = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key];
    let (code, error) = home.error(&tls);
    assert_eq!((code, error["kind"].as_str()), (3, Some("tls")));
    fs::write(cert, "nonsense").unwrap();
    let (code, error) = home.error(&tls);
    assert_eq!((code, error["kind"].as_str()), (2, Some("tls")));
    assert!(error["message"].as_str().unwrap().contains(cert), "{error}");
    fs::write(cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(key, "nonsense").unwrap();
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, error) = home.error(&tls);
    assert_eq!(error["hint"], format!("chmod g-w,o= {key}"), "{error}");
}
