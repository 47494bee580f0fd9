//! The work of `cargo xtask bench-peer` on nexo-pairing 0.1.8.

#[path = "../../work.rs"]
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing::setup_code::{decode_setup_code, encode_setup_code};
use nexo_pairing::{
    Decision, PairingError, PairingGate, PairingPolicy, PairingStore, SetupCodeIssuer, qr,
};
use work::{ACCOUNT, Answer, Codes, Peer};

const URL: &str = "wss://nexo.example.com/pair";
const POLICY: PairingPolicy = PairingPolicy { auto_challenge: true };

struct Theirs {
    store: Arc<PairingStore>,
    gate: PairingGate,
}

impl Peer for Theirs {
    async fn open(path: &Path) -> Self {
        let path = path.to_str().expect("UTF-8");
        let store = Arc::new(PairingStore::open(path).await.expect("a store"));
        Self { gate: PairingGate::new(Arc::clone(&store)), store }
    }

    async fn seed(&self, senders: &[String]) {
        self.store.seed("whatsapp", ACCOUNT, senders).await.expect("seeded");
    }

    async fn admit(&self, account: &str, sender: &str) -> Answer {
        loop {
            match self.gate.should_admit("whatsapp", account, sender, &POLICY, None).await {
                Ok(Decision::Admit) => return Answer::Admit,
                Ok(Decision::Challenge { code }) => return Answer::Challenge(code),
                Ok(Decision::Drop) => return Answer::Drop,
                Err(error) => try_again(&error).await,
            }
        }
    }

    async fn approve(&self, code: &str) {
        while let Err(error) = self.store.approve(code).await {
            try_again(&error).await;
        }
    }

    async fn pending(&self) -> usize {
        self.store.list_pending(None).await.expect("a list").len()
    }
}

/// Many at once fail with "database is locked": its users have to retry.
async fn try_again(error: &PairingError) {
    assert!(error.to_string().contains("locked"), "{error}");
    tokio::time::sleep(Duration::from_millis(1)).await;
}

struct TheirCodes(SetupCodeIssuer);

impl Codes for TheirCodes {
    fn open(key: &Path) -> Self {
        Self(SetupCodeIssuer::open_or_create(key).expect("a key"))
    }

    fn issue(&self) -> (String, String) {
        let ttl = Duration::from_secs(600);
        let code = self.0.issue(URL, "companion-v1", ttl, Some("Ana's iPhone")).expect("a code");
        (encode_setup_code(&code).expect("a payload"), code.bootstrap_token)
    }

    fn verify(&self, token: &str) {
        self.0.verify(token).expect("a good token");
    }

    fn decode(payload: &str) {
        decode_setup_code(payload).expect("a setup code");
    }

    fn png(payload: &str) -> Vec<u8> {
        qr::render_png(payload).expect("a picture")
    }

    fn text(payload: &str) -> String {
        qr::render_ansi(payload).expect("a drawing")
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, folder] = &arguments[..] else { panic!("usage: WORK FOLDER") };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let run = async {
        tokio::spawn({
            let (work, folder) = (work.clone(), folder.clone());
            async move { work::run::<Theirs, TheirCodes>(&work, Path::new(&folder)).await }
        })
        .await
    };
    let figures = runtime.block_on(run).expect("no panic");
    figures.unwrap_or_else(|| panic!("there is no work `{work}`")).print();
}
