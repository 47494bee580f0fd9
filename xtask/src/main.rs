//! The checks of nexo-pairing, as `cargo xtask`.
//!
//! `cargo xtask ci` runs what every change has to pass, in order, and stops at the first that fails;
//! `cargo xtask release-check` what a release has to pass besides; `cargo xtask <step>` runs one;
//! `cargo xtask` lists them.

mod context;
mod expect;
mod markdown;
mod metadata;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use context::{Context, Outcome};
use steps::{OTHERS, RELEASE, RELEASE_TOO, STEPS, Step};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&Step> = match arguments.as_slice() {
        [] => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        [name] => match steps::named(name) {
            Some(steps) => steps,
            None => return misused(&format!("there is no step '{name}'")),
        },
        _ => return misused("one step at a time, or `ci`, or `release-check`"),
    };
    run(&chosen)
}

fn run(chosen: &[&Step]) -> ExitCode {
    let context = Context::new();
    let started = Instant::now();
    let mut seconds = Vec::new();
    for step in chosen {
        match timed(step, &context) {
            Ok(elapsed) => seconds.push((step.name, elapsed)),
            Err(failure) => {
                eprintln!("xtask: {} failed: {failure}", step.name);
                return ExitCode::FAILURE;
            }
        }
    }
    for what in context.left_unchecked() {
        println!("== NOT checked: {what}");
    }
    if chosen.len() > 1 {
        println!("== all {} steps done in {:.1} s", chosen.len(), started.elapsed().as_secs_f64());
        for (name, elapsed) in seconds {
            println!("   {name:<13} {elapsed:>7.1} s");
        }
    }
    ExitCode::SUCCESS
}

/// Runs one step and returns how many seconds it took.
fn timed(step: &Step, context: &Context) -> Outcome<f64> {
    println!("== {}", step.name);
    let started = Instant::now();
    let outcome = (step.run)(context);
    let elapsed = started.elapsed().as_secs_f64();
    let word = if outcome.is_ok() { "done" } else { "failed" };
    println!("-- {} {word} after {elapsed:.1} s", step.name);
    outcome.map(|()| elapsed)
}

fn misused(problem: &str) -> ExitCode {
    eprint!("xtask: {problem}\n\n{}", usage());
    ExitCode::from(2)
}

fn usage() -> String {
    let list = |steps: &[Step]| -> String {
        steps.iter().map(|step| format!("  {:<13} {}\n", step.name, step.about)).collect()
    };
    format!(
        "Usage: cargo xtask <step>\n\n{}\n  ci            all of these, in this order\n\n{}\n  \
         release-check {}, and then these\n\nand, besides:\n\n{}",
        list(STEPS),
        list(RELEASE),
        RELEASE_TOO.join(", "),
        list(OTHERS)
    )
}
