//! `bench-bus`: a gate on a bus beside a relay that passes everything on, each with one processor; the
//! figures go into `docs/performance-bus.md`.
//!
//! It is no part of `ci`: a machine that does something else meanwhile measures that.

use std::fs;
use std::thread::available_parallelism;

use crate::context::{self, Context, Failure, Outcome, output};

use super::tools;

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure_packaged(context, "nats-server", "messages go through a real one")?;
    let cores = available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return Err(Failure::new("the gate needs a processor of its own, and there is only one"));
    }
    let package = ["--release", "--locked", "--package", "nexo-pairing-tests"];
    let build = [&["build"][..], &package, &["--bins", "--example", "bench_bus"]].concat();
    context::run(&mut context.cargo(&build))?;
    let run = [&["run", "--quiet"][..], &package, &["--example", "bench_bus", "--"]].concat();
    // The last processor: the first one has the interrupts.
    let (gate, others) = ((cores - 1).to_string(), format!("0-{}", cores - 2));
    let mut command = context.cargo(&run);
    let table = output(command.args([&gate, &others]))?;
    print!("{table}");
    let text = format!(
        "# Performance on a bus\n\nWritten by `cargo xtask bench-bus`: messages of 10,000 known senders, \
         in Nexo's envelope, through a\n`nats-server` on the same machine. The relay subscribes and \
         publishes as the gate does, and reads nothing; gate and\nrelay have one processor, all others \
         share {} more.\n\n{table}",
        cores - 1
    );
    let path = context.root().join("docs/performance-bus.md");
    fs::write(&path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
