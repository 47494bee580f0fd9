//! Helpers of the end-to-end tests, which run the built program `nexo-pair` with real files.
//!
//! Nothing here sleeps until something has probably happened: it polls, and fails at a deadline.

#![expect(clippy::missing_panics_doc, reason = "a helper that panics fails its test, as it should")]

mod files;
mod gate;
mod home;
mod python;
mod server;
mod shim;
mod terminal;
mod user;
mod write_lock;

use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use files::{FileState, files_below};
pub use gate::{Gate, line_of};
pub use home::{Home, Output, sqlite};
pub use python::python;
pub use server::{Client, Server, claim_elsewhere};
pub use shim::{Fault, Shim};
pub use terminal::{Terminal, scan};
pub use user::User;
pub use write_lock::WriteLock;

/// How long a test waits for something before it fails; generous, for busy machines.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A database written by 0.1.8: use a copy, see [`Home::with_old_database`].
pub const OLD_DATABASE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/nexo-pairing-0.1.8.db");

/// A database with schema 3, written by an earlier 0.2.0: use a copy.
pub const EARLIER_DATABASE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/nexo-pairing-store/tests/fixtures/pairing-schema-3.db"
);

/// The built program.
#[must_use]
pub fn program() -> PathBuf {
    const NAME: &str = "nexo-pair-under-test";
    let reply = std::env::var_os(format!("CARGO_BIN_EXE_{NAME}"));
    reply.map(PathBuf::from).unwrap_or_else(|| {
        // Test executables are in `deps`, one folder below the programs.
        let test = std::env::current_exe().expect("the test has a path");
        let folder = test.ancestors().nth(2).expect("the test lies in a target folder");
        let program = folder.join(NAME);
        assert!(program.is_file(), "{} is not built", program.display());
        program
    })
}

/// A direct message in the short form.
#[must_use]
pub fn message(channel: &str, account: &str, from: &str) -> Value {
    json!({"channel": channel, "account": account, "from": from, "text": "hello"})
}

/// Waits until `found` returns a value.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(since.elapsed() < DEADLINE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The resident memory of a process (`VmRSS`), in kilobytes.
fn memory_of(child: &Child) -> u64 {
    memory(child, "VmRSS:")
}

/// The peak resident memory of a process (`VmHWM`), in kilobytes.
#[must_use]
pub fn peak_memory_of(child: &Child) -> u64 {
    memory(child, "VmHWM:")
}

fn memory(child: &Child, field: &str) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let status = std::fs::read_to_string(path).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the system reports it")
}

/// The CPU time of a process so far.
fn cpu_time_of(child: &Child) -> Duration {
    let path = format!("/proc/{}/stat", child.id());
    let stat = std::fs::read_to_string(path).expect("the process runs");
    // Only numbers follow the name of the program, which may contain anything.
    let numbers = stat.rsplit_once(')').map(|(_, numbers)| numbers).unwrap_or_default();
    let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>().expect("the system reports it");
    // A tick is 10 ms on every Linux.
    Duration::from_millis(ticks * 10)
}

/// How many rounds of an attack there are: `usual`, unless the variable is set, for long runs.
#[must_use]
pub fn rounds(variable: &str, usual: u32) -> u32 {
    match std::env::var(variable) {
        Ok(reply) => {
            reply.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {reply}"))
        }
        Err(_) => usual,
    }
}

/// Runs the example of the guide to writing an adapter.
#[cfg(doctest)]
#[doc = include_str!("../../docs/writing-an-adapter.md")]
struct WritingAnAdapter;

/// Runs the example of the guide to migrating from 0.1.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migrating-from-0.1.md")]
struct Migrating;
