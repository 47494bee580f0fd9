//! The steps of `cargo xtask`, one module each.

mod advisories;
mod bench_bus;
mod bench_peer;
mod cargo;
mod deny;
mod docs;
mod documents;
mod features;
mod fuzz;
mod generated;
mod instructions;
mod layers;
mod minimal;
mod msrv;
mod mutants;
mod package;
mod public_api;
mod readme;
mod scratch;
mod tools;
mod unused;

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
        about: "Links in README.md and docs/ lead somewhere, decisions have no gaps, keys are listed.",
        run: docs::run,
    },
    Step {
        name: "fuzz",
        about: "Each fuzz target finds nothing, in 30 s or NEXO_PAIRING_FUZZ_SECONDS.",
        run: fuzz::run,
    },
];

/// Those of them that a release check runs as well.
pub(crate) const RELEASE_TOO: [&str; 6] =
    ["clippy", "features", "deny", "layers", "readme", "docs"];

/// Those that only a release has to pass: they take long, or need a nightly compiler.
pub(crate) const RELEASE: &[Step] = &[
    Step { name: "unused", about: "Every dependency is used.", run: unused::run },
    Step {
        name: "public-api",
        about: "What the libraries show is what docs/public-api/ says, and names no other crates.",
        run: public_api::run,
    },
    Step {
        name: "minimal",
        about: "The oldest versions that the manifests allow are enough.",
        run: minimal::run,
    },
    Step {
        name: "msrv",
        about: "The oldest compiler that the manifests allow is enough.",
        run: msrv::run,
    },
    Step {
        name: "package",
        about: "Every crate packs, with its licences, and builds from what was packed.",
        run: package::run,
    },
    Step {
        name: "advisories",
        about: "No dependency has a known vulnerability.",
        run: advisories::run,
    },
];

/// Those that nothing else runs.
pub(crate) const OTHERS: &[Step] = &[
    Step {
        name: "mutants",
        about: "Every change of the code makes a test fail; takes hours.",
        run: mutants::run,
    },
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

/// The steps that a name stands for: `ci`, `release-check`, or one of them.
pub(crate) fn named(name: &str) -> Option<Vec<&'static Step>> {
    let of_both = |step: &&Step| RELEASE_TOO.contains(&step.name);
    match name {
        "ci" => Some(STEPS.iter().collect()),
        "release-check" => Some(STEPS.iter().filter(of_both).chain(RELEASE).collect()),
        _ => {
            let mut all = STEPS.iter().chain(RELEASE).chain(OTHERS);
            all.find(|step| step.name == name).map(|step| vec![step])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_passes_what_both_have_and_what_is_its_own() {
        let names = |name: &str| -> Vec<&str> {
            named(name).unwrap().iter().map(|step| step.name).collect()
        };
        assert_eq!(names("fuzz"), ["fuzz"]);
        assert_eq!(names("ci").len(), STEPS.len());
        let release = names("release-check");
        assert_eq!(release.len(), RELEASE_TOO.len() + RELEASE.len());
        assert!(RELEASE_TOO.iter().all(|name| release.contains(name)));
        assert!(named("nothing").is_none());
    }
}
