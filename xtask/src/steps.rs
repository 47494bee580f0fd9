//! The steps of `cargo xtask ci`, one module each.

mod bench_bus;
mod bench_peer;
mod cargo;
mod deny;
mod docs;
mod documents;
mod features;
mod instructions;
mod layers;
mod readme;
mod scratch;
mod tools;

use crate::context::{Context, Outcome};

/// Something that can be checked on its own.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Context) -> Outcome,
}

/// All of them, in the order in which `ci` runs them.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "tools",
        about: "What the tests need and a plain machine may lack is there, or gets installed.",
        run: tools::run,
    },
    Step { name: "fmt", about: "The code is formatted.", run: cargo::fmt },
    Step { name: "clippy", about: "Clippy has nothing to say.", run: cargo::clippy },
    Step {
        name: "features",
        about: "Every library with features compiles with none of them and with each alone.",
        run: features::run,
    },
    Step { name: "doc", about: "The API documents build without a warning.", run: cargo::doc },
    Step {
        name: "test",
        about: "All tests and the examples in the API documents.",
        run: cargo::test,
    },
    Step {
        name: "instructions",
        about: "A decision from memory takes no more instructions and allocations than it did.",
        run: instructions::run,
    },
    Step {
        name: "deny",
        about: "Dependencies keep to deny.toml: bans, licences, sources.",
        run: deny::run,
    },
    Step {
        name: "layers",
        about: "Crates import only from the layers below their own.",
        run: layers::run,
    },
    Step {
        name: "readme",
        about: "The commands in README.md and docs/ run and print what stands there.",
        run: readme::run,
    },
    Step {
        name: "docs",
        about: "Links in README.md and docs/ lead somewhere, and decisions have no gaps.",
        run: docs::run,
    },
];

/// Those that `ci` does not run.
pub(crate) const OTHERS: &[Step] = &[
    Step {
        name: "bench-peer",
        about: "Compare this version's speed with that of 0.1.8; takes half an hour.",
        run: bench_peer::run,
    },
    Step {
        name: "bench-bus",
        about: "Measure a gate on a bus beside a plain relay; takes two minutes.",
        run: bench_bus::run,
    },
];
