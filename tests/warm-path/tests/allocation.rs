//! What a decision from memory allocates: nothing, where its caller gives it the canonical id.

use allocation_counter::{AllocationInfo, measure};
use nexo_pairing_warm_path::World;

/// What a call allocates for each of these senders; once for all is not counted.
fn count(senders: &[String], call: impl Fn(&str)) -> AllocationInfo {
    call(&senders[0]);
    measure(|| senders.iter().for_each(|sender| call(sender)))
}

#[test]
fn a_known_sender_is_admitted_without_an_allocation() {
    let world = World::of(10_000);
    let known = world.canonical(1000);
    assert_eq!(count(&known, |id| world.try_admit(id)).count_total, 0);
    assert_eq!(count(&known, |id| world.should_admit(id)).count_total, 0);
}

#[test]
fn an_adapter_allocates_the_canonical_id_and_the_gate_nothing() {
    let world = World::of(10_000);
    let raw = world.raw(1000);
    assert_eq!(count(&raw, |id| world.should_admit_raw(id)).count_total, 1000);
}

#[test]
fn a_million_strangers_before_a_full_account_leave_nothing_behind() {
    let world = World::of(10_000);
    let strangers = world.strangers(1000);
    assert_eq!(count(&strangers, |id| world.drop_stranger(id)).count_total, 0);
    let kept = measure(|| {
        for number in 0..1_000_000_u32 {
            world.drop_stranger(&format!("+3462{number:07}"));
        }
    });
    // Nor was there ever more than the text of one id.
    assert_eq!((kept.count_current, kept.bytes_current), (0, 0));
    assert!(kept.bytes_max < 100, "{} bytes", kept.bytes_max);
}

#[test]
fn a_million_known_senders_take_60_mb() {
    let mut world = None;
    let kept = measure(|| world = Some(World::of(1_000_000)));
    assert!(kept.bytes_current < 60_000_000, "{} bytes", kept.bytes_current);
    // And while they are loaded half as much again, for a table that grows.
    assert!(kept.bytes_max < 90_000_000, "{} bytes", kept.bytes_max);
    let world = world.expect("it was made");
    world.try_admit(&world.canonical(2)[1]);
}
