//! Runs one of the calls a thousand times, so that its instructions can be counted, and prints how often
//! it allocated.

#![expect(clippy::print_stdout, reason = "what it prints is what it is run for")]

use std::process::ExitCode;

use nexo_pairing_warm_path::World;

/// How many senders the gate knows.
const KNOWN: u64 = 10_000;

/// How often it is called.
const CALLS: u64 = 1000;

fn main() -> ExitCode {
    let world = World::of(KNOWN);
    let (known, raw, strangers) =
        (world.canonical(CALLS), world.raw(CALLS), world.strangers(CALLS));
    let (senders, call): (_, fn(&World, &str)) = match std::env::args().nth(1).as_deref() {
        Some("try_admit") => (known, World::try_admit),
        Some("should_admit") => (known, World::should_admit),
        Some("should_admit_raw") => (raw, World::should_admit_raw),
        Some("drop_stranger") => (strangers, World::drop_stranger),
        _ => return ExitCode::from(2),
    };
    // Work that is done once is not measured.
    call(&world, &senders[0]);
    let counted = allocation_counter::measure(|| measured(&world, &senders, call));
    println!("calls: {}\nallocations: {}", senders.len(), counted.count_total);
    ExitCode::SUCCESS
}

/// The measured part, which valgrind finds by its name.
#[inline(never)]
fn measured(world: &World, senders: &[String], call: fn(&World, &str)) {
    for sender in senders {
        call(world, sender);
    }
}
