//! The checks of nexo-pairing, as `cargo xtask`.
//!
//! `cargo xtask ci` runs all of them in order and stops at the first that fails; `cargo xtask
//! <step>` runs one; `cargo xtask` lists them.

mod context;
mod expect;
mod markdown;
mod metadata;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use context::{Context, Outcome};
use steps::{OTHERS, STEPS, Step};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&Step> = match arguments.as_slice() {
        [] => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        [name] if name == "ci" => STEPS.iter().collect(),
        [name] => match STEPS.iter().chain(OTHERS).find(|step| step.name == name.as_str()) {
            Some(step) => vec![step],
            None => return misused(&format!("there is no step '{name}'")),
        },
        _ => return misused("one step at a time, or `ci` for all of them"),
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
    if chosen.len() > 1 {
        println!("== all {} steps done in {:.1} s", chosen.len(), started.elapsed().as_secs_f64());
        for (name, elapsed) in seconds {
            println!("   {name:<12} {elapsed:>7.1} s");
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
    let mut text = String::from("Usage: cargo xtask <step>\n\n");
    text.push_str(&format!("  {:<12} {}\n", "ci", "all of the following, in this order"));
    for step in STEPS {
        text.push_str(&format!("  {:<12} {}\n", step.name, step.about));
    }
    text.push_str("\nand, besides:\n\n");
    for step in OTHERS {
        text.push_str(&format!("  {:<12} {}\n", step.name, step.about));
    }
    text
}
