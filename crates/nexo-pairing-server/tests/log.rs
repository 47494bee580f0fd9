//! No secret is logged, at any level and by any crate.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

#[path = "server/certificate.rs"]
mod certificate;
#[path = "server/support.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

use certificate::Certificate;
use support::{
    CLAIM_ID, Running, World, bearer, claim_with_id, exchange, frame, post, upgrade,
    websocket_answer,
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Receives the records of crates that use `log`.
impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        writeln!(self.clone(), "log: {} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn no_token_claim_id_or_nonce_is_logged() {
    let log = Log::default();
    let into = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || into.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log::set_boxed_logger(Box::new(log.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    tracing::trace!("whatever is traced");

    let world = World::new().await;
    let cleartext = world.serve().await;
    let certificate = Certificate::new(&world, "tls");
    let mut options = world.options();
    options.tls = Some(certificate.files.clone());
    let tls = Running::start(options).await;

    let mut secrets = vec![CLAIM_ID.to_owned()];
    for server in [&cleartext, &tls] {
        for by_websocket in [false, true] {
            let code = world.code();
            let claim = claim_with_id(&code);
            // Accepted, repeated with the claim id, rejected as a replay, and interrupted.
            let replay = claim.replace(CLAIM_ID, "another-1d-of-128-random-bits");
            let half = &claim[..claim.len() / 2];
            for claim in [&claim, &claim, &replay, half] {
                let answer = if server.address == tls.address {
                    say(certificate.connect(server).await.unwrap(), claim, by_websocket).await
                } else {
                    say(server.connect().await, claim, by_websocket).await
                };
                if let Some(token) = answer["session_token"].as_str() {
                    secrets.push(token.to_owned());
                    if server.address == cleartext.address {
                        cleartext.session(token).await;
                        cleartext.send(&bearer("POST", "/session/renew", token)).await;
                    }
                }
            }
            let claims = world.issuer.verify(&code.bootstrap_token).unwrap();
            let (signed, signature) = code.bootstrap_token.split_once('.').unwrap();
            secrets.extend([claims.nonce, signed.to_owned(), signature.to_owned()]);
        }
    }
    assert_eq!(secrets.len(), 1 + 4 * (2 + 3));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for said in ["whatever is traced", "a setup code was claimed", "a claim was refused", "log: "] {
        assert!(log.contains(said), "`{said}` is missing: this is not all that is logged");
    }
    for secret in secrets {
        let shown = log.lines().find(|line| line.contains(&secret));
        assert_eq!(shown, None);
    }
}

/// Presents a claim and reads the reply.
async fn say(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    claim: &str,
    by_websocket: bool,
) -> Value {
    if !by_websocket {
        return exchange(stream, &post(claim)).await.json();
    }
    let sent = [upgrade().into_bytes(), frame(0x81, claim.as_bytes())].concat();
    stream.write_all(&sent).await.unwrap();
    websocket_answer(&mut stream).await.0.unwrap()
}
