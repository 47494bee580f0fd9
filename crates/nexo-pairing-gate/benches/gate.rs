//! The cost of decisions from memory, and of a start up to the first decision.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use nexo_pairing_core::{
    AccountId, Actor, ChannelId, Decision, DropReason, Mode, PairingPolicy, SenderId,
};
use nexo_pairing_gate::PairingGate;
use nexo_pairing_store::PairingStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A file with many grants, and its gate.
struct World {
    // Dropped before the file.
    gate: PairingGate,
    store: Arc<PairingStore>,
    folder: TempDir,
    runtime: Runtime,
    policy: PairingPolicy,
    /// The known senders, shuffled.
    known: Vec<String>,
}

impl World {
    fn of(senders: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = Runtime::new().expect("a runtime");
        let store = runtime.block_on(PairingStore::open(folder.path().join("pairing.db")));
        let store = Arc::new(store.expect("a new file"));
        let channel = ChannelId::parse("whatsapp").expect("a channel");
        let account = AccountId::parse("personal").expect("an account");
        let seed = Actor::seed();
        let ids: Vec<_> = (0..senders).map(id).collect();
        for ids in ids.chunks(100_000) {
            let ids: Vec<_> = ids.iter().map(|id| SenderId::parse(id).expect("a sender")).collect();
            let seeded = store.seed(&channel, &account, &ids, &seed);
            runtime.block_on(seeded).expect("there is room on the disk");
        }
        let gate = PairingGate::new(store.clone());
        runtime.block_on(store.refresh()).expect("the file can be read");
        // A stride without a common divisor visits each once.
        let known = (0..senders).map(|n| id(n * 7919 % senders)).collect();
        let policy = PairingPolicy::new(Mode::Pairing);
        Self { gate, store, folder, runtime, policy, known }
    }

    fn try_admit(&self, sender: &str) -> Option<Decision> {
        let sender = black_box(sender);
        let decided = self.gate.try_admit("whatsapp", "personal", sender, &self.policy, None);
        decided.expect("they are ids")
    }

    async fn should_admit(&self, sender: &str) -> Decision {
        let sender = black_box(sender);
        let decided = self.gate.should_admit("whatsapp", "personal", sender, &self.policy, None);
        decided.await.expect("the lists are fresh")
    }

    /// The time of `count` decisions on known senders on each of several threads.
    fn admit(&self, threads: usize, count: u64, decide: impl Fn(&str) + Sync) -> Duration {
        let run = |thread: usize| {
            let start = self.known.len() / threads * thread;
            let mut senders = self.known[start..].iter().chain(self.known.iter().cycle());
            let since = Instant::now();
            senders.by_ref().take(count as usize).for_each(|sender| decide(sender));
            since.elapsed()
        };
        std::thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
            let took = threads.into_iter().map(|thread| thread.join().expect("it decides"));
            took.max().unwrap_or_default()
        })
    }
}

fn id(number: usize) -> String {
    format!("+54911{:08}", number * 37)
}

fn admit(criterion: &mut Criterion) {
    for senders in [10_000, 1_000_000] {
        let world = World::of(senders);
        let mut group = criterion.benchmark_group(format!("admit one of {senders}"));
        // The measure of the others: the least that an admit has to do.
        let (ids, admits): (HashSet<_>, _) = (world.known.iter().collect(), AtomicU64::new(0));
        group.bench_function("bare look-up", |bencher| {
            let mut senders = world.known.iter().cycle();
            bencher.iter(|| {
                assert!(senders.next().is_some_and(|sender| ids.contains(sender)));
                admits.fetch_add(1, Ordering::Relaxed);
                coarsetime::Instant::now_without_cache_update()
            });
        });
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new("try_admit", threads), |bencher| {
                bencher.iter_custom(|count| {
                    world.admit(threads, count, |sender| {
                        assert_eq!(world.try_admit(sender), Some(Decision::Admit));
                    })
                });
            });
        }
        group.bench_function("should_admit", |bencher| {
            let mut senders = world.known.iter().cycle();
            bencher.iter_custom(|count| {
                world.runtime.block_on(async {
                    let since = Instant::now();
                    for sender in senders.by_ref().take(count as usize) {
                        assert_eq!(world.should_admit(sender).await, Decision::Admit);
                    }
                    since.elapsed()
                })
            });
        });
        group.finish();
    }
}

/// Strangers, on an account with the maximum of requests.
fn drop_stranger(criterion: &mut Criterion) {
    let world = World::of(10_000);
    let strangers: Vec<_> = (0..100_000).map(|number| format!("+3460{number:07}")).collect();
    for stranger in &strangers[..world.policy.max_pending as usize] {
        let asked = world.runtime.block_on(world.should_admit(stranger));
        assert_eq!(asked.as_str(), "challenge");
    }
    let mut strangers = strangers[10..].iter().cycle();
    criterion.bench_function("drop a stranger, cap full", |bencher| {
        bencher.iter(|| {
            let dropped = strangers.next().and_then(|stranger| world.try_admit(stranger));
            assert_eq!(dropped, Some(Decision::Drop(DropReason::PendingFull)));
        });
    });
}

/// From an open file to a first decision.
fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10);
    for senders in [10_000, 1_000_000] {
        let World { gate, store, folder, runtime, policy, known } = World::of(senders);
        drop((gate, store));
        let path = folder.path().join("pairing.db");
        group.bench_function(format!("{senders} grants"), |bencher| {
            bencher.iter_custom(|count| {
                let starts = (0..count).map(|_| {
                    runtime.block_on(async {
                        let store = PairingStore::open(&path).await.expect("it is there");
                        let since = Instant::now();
                        let gate = PairingGate::new(store);
                        let first = &known[0];
                        let admit = gate.should_admit("whatsapp", "personal", first, &policy, None);
                        assert_eq!(admit.await.expect("it is read"), Decision::Admit);
                        since.elapsed()
                    })
                });
                starts.sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, admit, drop_stranger, start);
criterion_main!(benches);
