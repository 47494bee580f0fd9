//! Any sequence of operations, by two processes, on a clock that jumps, follows the rules: store
//! and gate are played against a model of them.
//!
//! `NEXO_PAIRING_STEPS` sets how many operations there are in all, `NEXO_PAIRING_SEED` which ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod codes;
mod companion;
mod compare;
mod devices;
mod ends;
mod ops;
mod play;
mod rules;
mod world;

use nexo_pairing_tests::rounds;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::world::{Place, World};

/// How many operations there are in one play at most.
const MOST: usize = 400;

#[test]
fn store_and_gate_follow_the_rules() {
    play(|number| if number % 4 == 0 { Place::SqliteMemory } else { Place::File });
}

#[test]
fn a_store_in_memory_and_its_gates_follow_the_rules() {
    play(|_| Place::Memory);
}

/// Plays the requested number of operations, each play on a new database.
fn play(place: impl Fn(u32) -> Place) {
    let (steps, seed) = (rounds("NEXO_PAIRING_STEPS", 100_000), rounds("NEXO_PAIRING_SEED", 1));
    let config = Config {
        rng_seed: RngSeed::Fixed(seed.into()),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut runner, plays) = (TestRunner::new(config), ops::plays(MOST));
    let (mut done, mut number) = (0, 0_u32);
    while done < steps {
        number += 1;
        let play = plays.new_tree(&mut runner).unwrap();
        let counted = std::cell::Cell::new(0);
        let played = runner.run_one(play, |steps| {
            counted.set(steps.len());
            runtime.block_on(async {
                let mut world = World::new(place(number)).await;
                for step in &steps {
                    world.play(step).await;
                }
                world.compare().await;
            });
            Ok(())
        });
        if let Err(error) = played {
            panic!("play {number}: {error}");
        }
        done += u32::try_from(counted.get()).unwrap();
    }
    println!("{done} operations in {number} plays, seed {seed}");
}
