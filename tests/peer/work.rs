//! The work that is measured, the same for both versions: each is a program that does one piece of
//! work, named by its first argument, in the folder that its second argument names, and prints what it
//! measured, a number a line: `name value`.

use std::future::Future;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The account that has the senders.
pub const ACCOUNT: &str = "personal";

/// The answer of a gate.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Admit,
    Challenge(String),
    Drop,
}

/// A version of the library.
pub trait Peer: Send + Sync + Sized + 'static {
    /// A store at a path, and a gate before it that challenges strangers.
    fn open(path: &Path) -> impl Future<Output = Self> + Send;
    fn seed(&self, senders: &[String]) -> impl Future<Output = ()> + Send;
    fn admit(&self, account: &str, sender: &str) -> impl Future<Output = Answer> + Send;
    fn approve(&self, code: &str) -> impl Future<Output = ()> + Send;
    /// How many requests of the account are pending.
    fn pending(&self) -> impl Future<Output = usize> + Send;
}

/// The setup codes of a version of the library.
pub trait Codes: Sized {
    fn open(key: &Path) -> Self;
    /// A payload and its token.
    fn issue(&self) -> (String, String);
    fn verify(&self, token: &str);
    fn decode(payload: &str);
    fn png(payload: &str) -> Vec<u8>;
    fn text(payload: &str) -> String;
}

/// The measured figures, to be printed.
#[derive(Debug, Default)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    pub fn add(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value));
    }

    /// The time of one of `count`, in seconds.
    pub fn add_each(&mut self, name: &str, count: usize, took: Duration) {
        self.add(name, took.as_secs_f64() / count as f64);
    }

    pub fn print(&self) {
        for (name, value) in &self.0 {
            println!("{name} {value:e}");
        }
    }
}

/// The piece of work that the arguments name, or `None` for one that only this version knows.
pub async fn run<P: Peer, C: Codes>(work: &str, folder: &Path) -> Option<Figures> {
    let mut figures = Figures::default();
    let (name, size) = work.split_once(' ').unwrap_or((work, "0"));
    let size: usize = size.parse().expect("a number");
    let path = folder.join("pairing.db");
    match name {
        "warm_admit" => warm_admit::<P>(&path, size, &mut figures).await,
        "first_admit" => first_admit::<P>(&path, size, &mut figures).await,
        "unknown_sender" => unknown_sender::<P>(&path, size, &mut figures).await,
        "new_challenge" => new_challenge::<P>(&path, size, &mut figures).await,
        "approve" => approve::<P>(&path, size, &mut figures).await,
        "accounts" => accounts::<P>(&path, size, &mut figures).await,
        "challenges" => challenges::<P>(&path, size, &mut figures).await,
        "seed" => seed::<P>(&path, size, &mut figures).await,
        "strangers" => strangers::<P>(&path, size, &mut figures).await,
        "codes" => codes::<C>(folder, size, &mut figures),
        _ => return None,
    }
    Some(figures)
}

/// `number` in the form of WhatsApp's canonical ids.
pub fn sender(number: usize) -> String {
    format!("+54911{number:08}")
}

pub fn senders(count: usize) -> Vec<String> {
    (0..count).map(sender).collect()
}

/// Numbers below `count` in no order.
pub fn shuffled(count: usize) -> impl Iterator<Item = usize> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % count as u64) as usize
    })
}

/// The resident memory of the process, in bytes.
pub fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kilobytes: f64 = line.trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes * 1024.0
}

/// The size of a database and the files beside it, in bytes.
fn disk(database: &Path) -> f64 {
    let folder = database.parent().expect("a folder");
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len() as f64).sum()
}

async fn opened<P: Peer>(path: &Path, count: usize) -> (Arc<P>, Vec<String>) {
    let (peer, senders) = (P::open(path).await, senders(count));
    peer.seed(&senders).await;
    (Arc::new(peer), senders)
}

/// Known senders, in random order, all seen before: on 1, 2 and 8 threads.
async fn warm_admit<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let (peer, senders) = opened::<P>(path, count).await;
    for sender in &senders {
        assert_eq!(peer.admit(ACCOUNT, sender).await, Answer::Admit);
    }
    let senders: Arc<Vec<String>> = Arc::new(shuffled(count).take(100_000).map(sender).collect());
    for threads in [1, 2, 8] {
        let tasks: Vec<_> = (0..threads)
            .map(|_| {
                let (peer, senders) = (Arc::clone(&peer), Arc::clone(&senders));
                tokio::spawn(async move {
                    let started = Instant::now();
                    for _ in 0..5 {
                        for sender in &*senders {
                            black_box(peer.admit(ACCOUNT, sender).await);
                        }
                    }
                    started.elapsed()
                })
            })
            .collect();
        let mut longest = Duration::ZERO;
        for task in tasks {
            longest = longest.max(task.await.expect("a task"));
        }
        figures.add_each(&format!("each_{threads}"), 5 * senders.len(), longest);
    }
}

/// Known senders that this process has not seen yet.
async fn first_admit<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let (peer, senders) = opened::<P>(path, count).await;
    // The very first decision, which loads the lists, is not counted.
    peer.admit(ACCOUNT, "+15550000000").await;
    let started = Instant::now();
    for sender in &senders {
        assert_eq!(peer.admit(ACCOUNT, sender).await, Answer::Admit);
    }
    figures.add_each("each", count, started.elapsed());
}

/// Different strangers, while the account is full.
async fn unknown_sender<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let peer = P::open(path).await;
    for number in 0..3 {
        let answer = peer.admit(ACCOUNT, &sender(number)).await;
        assert!(matches!(answer, Answer::Challenge(_)), "{answer:?}");
    }
    for number in 3..103 {
        assert_eq!(peer.admit(ACCOUNT, &sender(number)).await, Answer::Drop);
    }
    let (before, on_disk) = (memory(), disk(path));
    let started = Instant::now();
    for number in 103..count + 103 {
        black_box(peer.admit(ACCOUNT, &sender(number)).await);
    }
    figures.add_each("each", count, started.elapsed());
    let grown = (memory() - before).max(0.0);
    figures.add("bytes", grown / count as f64);
    figures.add("all_bytes", grown);
    figures.add("disk_bytes", disk(path) - on_disk);
}

/// New strangers, each on another account, so that no account is full.
async fn new_challenge<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let peer = P::open(path).await;
    let started = Instant::now();
    for number in 0..count {
        let answer = peer.admit(&format!("account-{number}"), &sender(number)).await;
        assert!(matches!(answer, Answer::Challenge(_)), "{answer:?}");
    }
    figures.add_each("each", count, started.elapsed());
}

async fn request_and_approve<P: Peer>(peer: &P, account: &str, number: usize) {
    match peer.admit(account, &sender(number)).await {
        Answer::Challenge(code) => peer.approve(&code).await,
        other => panic!("{other:?}"),
    }
}

/// New strangers who are approved, one after the other.
async fn approve<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let peer = P::open(path).await;
    let started = Instant::now();
    for number in 0..count {
        request_and_approve(&peer, ACCOUNT, number).await;
    }
    figures.add_each("each", count, started.elapsed());
}

/// The same from 64 accounts at once; `count` of them in all.
async fn accounts<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    const ACCOUNTS: usize = 64;
    let peer = Arc::new(P::open(path).await);
    let started = Instant::now();
    let tasks: Vec<_> = (0..ACCOUNTS)
        .map(|account| {
            let peer = Arc::clone(&peer);
            tokio::spawn(async move {
                for number in 0..count / ACCOUNTS {
                    let account = format!("account-{account}");
                    request_and_approve(&*peer, &account, number).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    figures.add_each("each", count / ACCOUNTS * ACCOUNTS, started.elapsed());
}

/// New strangers on so many accounts at once, each on an account of its own.
async fn challenges<P: Peer>(path: &Path, at_once: usize, figures: &mut Figures) {
    const STRANGERS: usize = 1280;
    let peer = Arc::new(P::open(path).await);
    let started = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let peer = Arc::clone(&peer);
            tokio::spawn(async move {
                for number in (task..STRANGERS).step_by(at_once) {
                    let answer = peer.admit(&format!("account-{number}"), &sender(number)).await;
                    assert!(matches!(answer, Answer::Challenge(_)), "{answer:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    figures.add_each("each", STRANGERS, started.elapsed());
}

async fn seed<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let (peer, senders) = (P::open(path).await, senders(count));
    let started = Instant::now();
    peer.seed(&senders).await;
    figures.add("all", started.elapsed().as_secs_f64());
}

/// Strangers who all write at once on an account where three may be pending.
async fn strangers<P: Peer>(path: &Path, count: usize, figures: &mut Figures) {
    let peer = Arc::new(P::open(path).await);
    let ask = |number| {
        let peer = Arc::clone(&peer);
        tokio::spawn(async move { drop(peer.admit(ACCOUNT, &sender(number)).await) })
    };
    for task in (0..count).map(ask).collect::<Vec<_>>() {
        task.await.expect("a task");
    }
    figures.add("pending", peer.pending().await as f64);
}

/// A setup code: issued, verified, decoded and drawn.
fn codes<C: Codes>(folder: &Path, count: usize, figures: &mut Figures) {
    let key: PathBuf = folder.join("pairing.key");
    let codes = C::open(&key);
    let (payload, token) = codes.issue();
    let mut measure = |name: &str, count: usize, work: &dyn Fn()| {
        let started = Instant::now();
        (0..count).for_each(|_| work());
        figures.add_each(name, count, started.elapsed());
    };
    // Of microseconds it takes many, or one interruption by the machine is half of the figure.
    measure("issue", 50 * count, &|| drop(black_box(codes.issue())));
    measure("verify", 50 * count, &|| codes.verify(black_box(&token)));
    measure("decode", 50 * count, &|| C::decode(black_box(&payload)));
    measure("png", count / 10, &|| drop(black_box(C::png(black_box(&payload)))));
    measure("text", count / 10, &|| drop(black_box(C::text(black_box(&payload)))));
    figures.add("png_bytes", C::png(&payload).len() as f64);
    let text = C::text(&payload);
    figures.add("text_lines", text.lines().count() as f64);
}
