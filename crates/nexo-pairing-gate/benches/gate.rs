//! What a decision from memory costs, at two sizes, alone and on two threads; and what a start costs.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use nexo_pairing_core::{
    AccountId, Actor, ChannelId, Decision, Mode, PairingBackend, PairingPolicy, SenderId,
};
use nexo_pairing_gate::PairingGate;
use nexo_pairing_store::PairingStore;
use tokio::runtime::Runtime;

/// A gate before a file of many grants, and their senders in no order.
struct World {
    _folder: tempfile::TempDir,
    runtime: Runtime,
    gate: PairingGate,
    policy: PairingPolicy,
    senders: Vec<String>,
}

/// A file of grants.
async fn file_of(path: &Path, senders: usize) -> PairingStore {
    let store = PairingStore::open(path).await.expect("a new file");
    let channel = ChannelId::parse("whatsapp").expect("a channel");
    let account = AccountId::parse("personal").expect("an account");
    let ids: Vec<_> = (0..senders).map(sender).collect();
    for ids in ids.chunks(100_000) {
        let ids: Vec<_> = ids.iter().map(|id| SenderId::parse(id).expect("a sender")).collect();
        store.seed(&channel, &account, &ids, &Actor::seed()).await.expect("room on the disk");
    }
    store
}

fn sender(number: usize) -> String {
    format!("+54911{:08}", number * 37)
}

impl World {
    fn of(senders: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = Runtime::new().expect("a runtime");
        let store = runtime.block_on(file_of(&folder.path().join("pairing.db"), senders));
        let store = Arc::new(store);
        let gate = PairingGate::new(store.clone());
        runtime.block_on(store.refresh()).expect("the file can be read");
        // A stride that has no divisor in common with their number: each comes once, in no order.
        let senders = (0..senders).map(|n| sender(n * 7919 % senders)).collect();
        Self { _folder: folder, runtime, gate, policy: PairingPolicy::new(Mode::Pairing), senders }
    }

    /// How long it takes to admit `count` senders, one after the other, from the `start`th on.
    fn admit(&self, start: usize, count: u64) -> Duration {
        let mut senders = self.senders[start..].iter().chain(self.senders.iter().cycle());
        self.runtime.block_on(async {
            let since = Instant::now();
            for sender in senders.by_ref().take(count as usize) {
                let admitted = self.gate.should_admit(
                    "whatsapp",
                    "personal",
                    black_box(sender),
                    &self.policy,
                    None,
                );
                assert_eq!(admitted.await.expect("it is fresh"), Decision::Admit);
            }
            since.elapsed()
        })
    }

    /// The same on several threads at once: the time of the slowest.
    fn admit_on(&self, threads: usize, count: u64) -> Duration {
        std::thread::scope(|scope| {
            let start = |n: usize| self.senders.len() / threads * n;
            let threads: Vec<_> =
                (0..threads).map(|n| scope.spawn(move || self.admit(start(n), count))).collect();
            threads.into_iter().map(|t| t.join().expect("it admits")).max().unwrap_or_default()
        })
    }
}

fn admit(criterion: &mut Criterion) {
    for senders in [10_000, 1_000_000] {
        let world = World::of(senders);
        let mut group = criterion.benchmark_group("should_admit");
        for threads in [1, 2] {
            let id = BenchmarkId::new(format!("{senders} senders"), format!("{threads} threads"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|count| world.admit_on(threads, count));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, admit);
criterion_main!(benches);
