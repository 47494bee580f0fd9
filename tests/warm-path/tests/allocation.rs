//! What a decision from memory allocates: nothing if the caller has the canonical id.

use allocation_counter::{AllocationInfo, measure};
use nexo_pairing_warm_path::World;

/// What the calls for these senders allocate, without what is allocated once.
fn count(senders: &[String], call: impl Fn(&str)) -> AllocationInfo {
    call(&senders[0]);
    measure(|| senders.iter().for_each(|sender| call(sender)))
}

#[test]
fn admits_a_known_sender_without_allocating() {
    let world = World::of(10_000);
    let known = world.canonical(1000);
    assert_eq!(count(&known, |id| world.try_admit(id)).count_total, 0);
    assert_eq!(count(&known, |id| world.should_admit(id)).count_total, 0);
}

#[test]
fn only_the_adapter_allocates_for_a_raw_id() {
    let world = World::of(10_000);
    let raw = world.raw(1000);
    assert_eq!(count(&raw, |id| world.should_admit_raw(id)).count_total, 1000);
}

#[test]
fn dropping_a_million_strangers_keeps_no_memory() {
    let world = World::of(10_000);
    let strangers = world.strangers(1000);
    assert_eq!(count(&strangers, |id| world.drop_stranger(id)).count_total, 0);
    let kept = measure(|| {
        for number in 0..1_000_000_u32 {
            world.drop_stranger(&format!("+3462{number:07}"));
        }
    });
    // At no time more than the text of one id.
    assert_eq!((kept.count_current, kept.bytes_current), (0, 0));
    assert!(kept.bytes_max < 100, "{} bytes", kept.bytes_max);
}

#[test]
fn a_million_known_senders_take_less_than_60_mb() {
    let mut world = None;
    let kept = measure(|| world = Some(World::of(1_000_000)));
    assert!(kept.bytes_current < 60_000_000, "{} bytes", kept.bytes_current);
    // During the load half as much again, for a table that grows.
    assert!(kept.bytes_max < 90_000_000, "{} bytes", kept.bytes_max);
    let world = world.expect("it was made");
    world.try_admit(&world.canonical(2)[1]);
}
