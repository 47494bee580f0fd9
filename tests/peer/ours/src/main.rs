//! The work of `cargo xtask bench-peer` on this version of nexo-pairing.

mod pipe;
#[path = "../../work.rs"]
mod work;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_pairing::setup_code::decode_setup_code;
use nexo_pairing::{
    AccountId, AccountScope, Actor, ChannelId, Decision, Filter, Grant, Mode,
    PairingGate, PairingPolicy, PairingStore, SenderId, SetupCode, SetupCodeIssuer, Target, qr,
};
use work::{ACCOUNT, Answer, Codes, Figures, Peer, memory, sender, shuffled};

const URL: &str = "wss://nexo.example.com/pair";

struct Ours {
    store: PairingStore,
    gate: PairingGate,
    policy: PairingPolicy,
}

impl Peer for Ours {
    async fn open(path: &Path) -> Self {
        let store = PairingStore::open(path).await.expect("a store");
        let gate = PairingGate::new(store.clone());
        Self { store, gate, policy: PairingPolicy::new(Mode::Pairing) }
    }

    async fn seed(&self, senders: &[String]) {
        let (channel, account) = (ChannelId::parse("whatsapp"), AccountId::parse(ACCOUNT));
        let senders: Vec<_> =
            senders.iter().map(|id| SenderId::parse(id).expect("an id")).collect();
        let (channel, account) = (channel.expect("an id"), account.expect("an id"));
        let seeded = self.store.seed(&channel, &account, &senders, &Actor::seed()).await;
        seeded.expect("seeded");
    }

    async fn admit(&self, account: &str, sender: &str) -> Answer {
        match self.gate.should_admit("whatsapp", account, sender, &self.policy, None).await {
            Ok(Decision::Admit) => Answer::Admit,
            Ok(Decision::Challenge { code }) => Answer::Challenge(code.as_str().to_owned()),
            Ok(_) => Answer::Drop,
            Err(error) => panic!("{error}"),
        }
    }

    async fn approve(&self, code: &str) {
        let approved = self.store.approve(code, &Actor::cli(), Grant::unlimited()).await;
        approved.expect("approved");
    }

    async fn pending(&self) -> usize {
        self.store.list_pending(&Filter::all()).await.expect("a list").len()
    }
}

/// Setup codes of version 1, or compact ones.
struct OurCodes<const COMPACT: bool>(SetupCodeIssuer);

impl<const COMPACT: bool> Codes for OurCodes<COMPACT> {
    fn open(key: &Path) -> Self {
        Self(SetupCodeIssuer::open_or_create(key).expect("a key"))
    }

    fn issue(&self) -> (String, String) {
        let (ttl, label) = (Duration::from_secs(600), Some("Ana's iPhone"));
        let code: SetupCode = match COMPACT {
            true => self.0.issue_compact(URL, "companion-v1", ttl, label).expect("a code"),
            false => self.0.issue(URL, "companion-v1", ttl, label).expect("a code"),
        };
        (code.payload().expect("a payload"), code.bootstrap_token)
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

/// Work that 0.1.8 cannot do, or not in reasonable time.
async fn run_ours(work: &str, folder: &Path) -> Option<Figures> {
    let mut figures = Figures::default();
    let (name, size) = work.split_once(' ').unwrap_or((work, "0"));
    let size: usize = size.parse().expect("a number");
    match name {
        "compact" => work::run::<Ours, OurCodes<true>>(&format!("codes {size}"), folder).await,
        "many" => {
            many(&folder.join("pairing.db"), size, &mut figures).await;
            Some(figures)
        }
        "changes" => {
            changes(&folder.join("pairing.db"), size, &mut figures).await;
            Some(figures)
        }
        "beside_writer" => {
            beside_writer(folder, size, &mut figures).await;
            Some(figures)
        }
        "pipe" => {
            pipe::run(folder, size, &mut figures);
            Some(figures)
        }
        "writer" => {
            writer(&folder.join("pairing.db")).await;
            Some(figures)
        }
        _ => None,
    }
}

/// A start with so many grants, and decisions on random ones; uses the database at the path, if any.
async fn many(path: &Path, count: usize, figures: &mut Figures) {
    if !path.exists() {
        Ours::open(path).await.seed(&work::senders(count)).await;
        // This process would have parts of it in memory.
        return;
    }
    let before = memory();
    let started = Instant::now();
    let peer = Ours::open(path).await;
    assert_eq!(peer.admit(ACCOUNT, &sender(0)).await, Answer::Admit);
    figures.add("start", started.elapsed().as_secs_f64());
    figures.add("bytes", memory() - before);
    let senders: Vec<String> = shuffled(count).take(200_000).map(sender).collect();
    let started = Instant::now();
    for sender in &senders {
        assert_eq!(peer.admit(ACCOUNT, sender).await, Answer::Admit);
    }
    figures.add_each("each", senders.len(), started.elapsed());
}

/// How long a gate takes to see a change through its own store, and one by another program; the worst
/// of so many.
async fn changes(path: &Path, count: usize, figures: &mut Figures) {
    let peer = Ours::open(path).await;
    assert_ne!(peer.admit(ACCOUNT, &sender(0)).await, Answer::Admit);
    let mut worst = Duration::ZERO;
    for number in 1..=count {
        peer.seed(&[sender(number)]).await;
        assert_eq!(peer.admit(ACCOUNT, &sender(number)).await, Answer::Admit, "the next call");
        let sql = format!(
            "PRAGMA busy_timeout = 5000; UPDATE pairing_allow_from SET revoked_at = 1 \
             WHERE sender_id = '{}'",
            sender(number)
        );
        let done = Command::new("sqlite3").arg(path).arg(sql).output().expect("sqlite3");
        assert!(done.status.success(), "{done:?}");
        let since = Instant::now();
        while peer.admit(ACCOUNT, &sender(number)).await == Answer::Admit {
            tokio::task::yield_now().await;
        }
        worst = worst.max(since.elapsed());
    }
    figures.add("same_handle", 0.0);
    figures.add("other_process", worst.as_secs_f64());
}

/// How much slower the median admit of so many known senders is, both cores busy with them, while
/// another process approves and revokes.
async fn beside_writer(folder: &Path, count: usize, figures: &mut Figures) {
    let peer = Arc::new(Ours::open(&folder.join("pairing.db")).await);
    let senders = Arc::new(work::senders(count));
    peer.seed(&senders).await;
    // In turn, so that other work of the machine affects both alike.
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        quiet.push(median_admit(&peer, &senders, || false).await);
        let this = std::env::current_exe().expect("a program");
        let mut writer = Command::new(this).arg("writer").arg(folder).spawn().expect("a process");
        let is_over = || writer.try_wait().expect("a process").is_some();
        busy.push(median_admit(&peer, &senders, is_over).await);
        assert!(writer.wait().expect("a process").success());
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (quiet, busy) = (median(quiet), median(busy));
    figures.add("quiet", quiet);
    figures.add("busy", busy);
    figures.add("ratio", busy / quiet);
}

/// The median of an admit, in seconds, of two threads that do nothing else for three seconds. The
/// concurrent work must outlast them. A hundred admits are timed together: reading the clock takes as long as one.
async fn median_admit(
    peer: &Arc<Ours>,
    senders: &Arc<Vec<String>>,
    mut is_over: impl FnMut() -> bool,
) -> f64 {
    const TOGETHER: usize = 100;
    let until = Instant::now() + Duration::from_secs(3);
    let tasks: Vec<_> = (0..2)
        .map(|task| {
            let (peer, senders) = (Arc::clone(peer), Arc::clone(senders));
            tokio::spawn(async move {
                let mut took = Vec::new();
                let mut next = senders.iter().cycle().skip(task * senders.len() / 2);
                while Instant::now() < until {
                    let started = Instant::now();
                    for sender in next.by_ref().take(TOGETHER) {
                        assert_eq!(peer.admit(ACCOUNT, sender).await, Answer::Admit);
                    }
                    took.push(started.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.expect("a task"));
    }
    // The writer outlasts the admits, so that it ran beside all of them.
    assert!(!is_over(), "the writer was there to the end");
    took.sort_unstable();
    took[took.len() / 2].as_secs_f64() / TOGETHER as f64
}

/// A hundred approvals and as many revokes a second, for four seconds.
async fn writer(path: &Path) {
    let peer = Ours::open(path).await;
    let started = Instant::now();
    for number in 0..400 {
        let due = started + number * Duration::from_millis(10);
        tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
        let stranger = format!("+34600{number:06}");
        let Answer::Challenge(code) = peer.admit(ACCOUNT, &stranger).await else { continue };
        peer.approve(&code).await;
        let target = Target::new(
            ChannelId::parse("whatsapp").expect("an id"),
            AccountScope::One(AccountId::parse(ACCOUNT).expect("an id")),
            SenderId::parse(&stranger).expect("an id"),
        );
        let revoked = peer.store.revoke(&target, &Actor::cli()).await.expect("revoked");
        assert_eq!(revoked.len(), 1);
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
            async move {
                let folder = Path::new(&folder);
                match run_ours(&work, folder).await {
                    Some(figures) => Some(figures),
                    None => work::run::<Ours, OurCodes<false>>(&work, folder).await,
                }
            }
        })
        .await
    };
    let figures = runtime.block_on(run).expect("no panic");
    figures.unwrap_or_else(|| panic!("there is no work `{work}`")).print();
}
