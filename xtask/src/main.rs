//! The checks of nexo-pairing, as `cargo xtask`.
//!
//! `cargo xtask ci` runs what every change has to pass, in order, and stops at the first failure;
//! `cargo xtask release-check` runs the further checks of a release; `cargo xtask <step>` runs one
//! step; `cargo xtask` lists them.

mod context;
mod markdown;
mod steps;

use std::process::ExitCode;
use std::time::Instant;

use context::{Context, Outcome};
use steps::{OTHERS, RELEASE, RELEASE_TOO, STEPS, Step};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen = match arguments.as_slice() {
        [] => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        [name] => match steps::named(name) {
            Some(steps) => steps,
            None => return misused(&format!("no such step: '{name}'")),
        },
        _ => return misused("one step at a time, or `ci`, or `release-check`"),
    };
    match run(&chosen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn misused(problem: &str) -> ExitCode {
    eprint!("xtask: {problem}\n\n{}", usage());
    ExitCode::from(2)
}

fn run(chosen: &[&Step]) -> Outcome {
    let context = Context::new()?;
    let started = Instant::now();
    let mut times = Vec::new();
    for Step { name, run, .. } in chosen {
        println!("== {name}");
        let started = Instant::now();
        let outcome = run(&context);
        let elapsed = started.elapsed().as_secs_f64();
        let result = if outcome.is_ok() { "done" } else { "failed" };
        println!("-- {name} {result} after {elapsed:.1} s");
        outcome.map_err(|error| format!("{name} failed: {error}"))?;
        times.push(format!("   {name:<13} {elapsed:>7.1} s"));
    }
    for what in context.unchecked() {
        println!("== NOT checked: {what}");
    }
    if chosen.len() > 1 {
        println!("== all {} steps done in {:.1} s", chosen.len(), started.elapsed().as_secs_f64());
        println!("{}", times.join("\n"));
    }
    Ok(())
}

fn usage() -> String {
    let list = |steps: &[Step]| -> String {
        steps.iter().map(|step| format!("  {:<13} {}\n", step.name, step.about)).collect()
    };
    format!(
        "Usage: cargo xtask <step>\n\n{}\n  ci            all of these, in this order\n\n{}\n  \
         release-check {}, and then these\n\nNot part of either:\n\n{}",
        list(STEPS),
        list(RELEASE),
        RELEASE_TOO.join(", "),
        list(OTHERS)
    )
}
