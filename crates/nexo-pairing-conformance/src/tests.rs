//! Tests of the suite: a storage with a deliberate fault fails the cases for it.

use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use nexo_pairing_core::{PairingError, Replica, SenderState};
use nexo_pairing_engine::RequestCounts;
use nexo_pairing_memory::MemoryStorage;

use crate::intercept::{Hooks, Intercepted};
use crate::{Capabilities, Opened, Suite};

/// The cases that fail on a memory storage with a fault.
fn failures<H: Hooks>(fault: impl Fn() -> H + Send + Sync + 'static) -> Vec<&'static str> {
    let open = move |environment: crate::Environment| {
        let storage = MemoryStorage::new(environment.clock);
        ready(Opened::new(Intercepted::new(storage, Arc::new(fault()))))
    };
    Suite::new(open, Capabilities::default()).failures()
}

fn assert_fails(failures: &[&str], cases: &[&str]) {
    for case in cases {
        assert!(failures.contains(case), "{case} is not among {failures:?}");
    }
}

struct NoFault;

impl Hooks for NoFault {}

#[test]
fn a_storage_without_a_fault_fails_nothing() {
    assert_eq!(failures(|| NoFault), [""; 0]);
}

/// Counts requests before taking the locks: each count is the previous one.
#[derive(Default)]
struct UnlockedCap(Mutex<RequestCounts>);

impl Hooks for UnlockedCap {
    fn counted(&self, counts: RequestCounts) -> RequestCounts {
        std::mem::replace(&mut self.0.lock().unwrap(), counts)
    }
}

#[test]
fn a_cap_that_is_not_locked_fails() {
    let failures = failures(UnlockedCap::default);
    assert_fails(
        &failures,
        &["order::the_last_place_is_given_once", "request::all_accounts_together_have_a_cap"],
    );
}

/// Forgets which setup codes were used.
struct ForgetsNonces;

impl Hooks for ForgetsNonces {
    fn knows_nonces(&self) -> bool {
        false
    }
}

#[test]
fn a_setup_code_that_can_be_used_twice_fails() {
    let failures = failures(|| ForgetsNonces);
    assert_fails(
        &failures,
        &["order::redeem_and_redeem", "redeem::another_client_with_the_same_code_ends_the_session"],
    );
}

/// Loses every third entry of the audit log.
#[derive(Default)]
struct LosesEntries(AtomicU32);

impl Hooks for LosesEntries {
    fn is_logged(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) % 3 != 2
    }
}

#[test]
fn an_entry_that_is_lost_fails() {
    let failures = failures(LosesEntries::default);
    assert_fails(&failures, &["audit::every_change_is_audited_in_order"]);
}

/// Skips every third update of a replica.
#[derive(Default)]
struct SkipsChanges(Mutex<Vec<Arc<dyn Replica>>>);

impl Hooks for SkipsChanges {
    fn replica(&self, replica: Weak<dyn Replica>) -> Weak<dyn Replica> {
        let skipping: Arc<dyn Replica> = Arc::new(Skipping { replica, updates: AtomicU32::new(0) });
        let weak = Arc::downgrade(&skipping);
        self.0.lock().unwrap().push(skipping);
        weak
    }
}

struct Skipping {
    replica: Weak<dyn Replica>,
    updates: AtomicU32,
}

impl Replica for Skipping {
    fn position(&self) -> Option<i64> {
        self.replica.upgrade()?.position()
    }

    fn replace(
        &self,
        states: &mut dyn Iterator<Item = Result<SenderState, PairingError>>,
        position: i64,
    ) -> Result<(), PairingError> {
        self.replica.upgrade().map_or(Ok(()), |replica| replica.replace(states, position))
    }

    fn update(&self, states: Vec<SenderState>, position: i64) {
        let is_skipped = self.updates.fetch_add(1, Ordering::SeqCst) % 3 == 2;
        let states = if is_skipped { Vec::new() } else { states };
        self.replica
            .upgrade()
            .into_iter()
            .for_each(|replica| replica.update(states.clone(), position));
    }

    fn now(&self) -> Duration {
        self.replica.upgrade().map_or(Duration::ZERO, |replica| replica.now())
    }

    fn heartbeat(&self, as_of: Duration) {
        self.replica.upgrade().into_iter().for_each(|replica| replica.heartbeat(as_of));
    }

    fn invalidate(&self) {
        self.replica.upgrade().into_iter().for_each(|replica| replica.invalidate());
    }
}

#[test]
fn a_change_feed_that_skips_fails() {
    let failures = failures(SkipsChanges::default);
    assert_fails(&failures, &["replica::a_change_through_this_handle_is_visible_on_return"]);
}

/// The compiler does not report a case that the list leaves out.
#[test]
fn every_case_is_listed() {
    let list = include_str!("list.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cases");
    for file in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for case in source.split("pub async fn ").skip(1) {
            let name = &case[..case.find(['<', '(']).unwrap()];
            assert!(list.contains(&format!(" {name}")), "{name} is not in the list of cases");
        }
    }
}
