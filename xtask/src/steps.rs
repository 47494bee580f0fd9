//! The steps of `cargo xtask`, one module each.

mod bench_bus;
mod bench_peer;
mod cargo;
mod compat;
mod deny;
mod docs;
mod documents;
mod features;
mod fuzz;
mod instructions;
mod minimal;
mod msrv;
mod mutants;
mod package;
mod public_api;
mod readme;
mod reference;
mod scratch;
mod tools;

use crate::context::{Context, Outcome};

/// A check that can be run by its name.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What holds once it has passed, in one sentence.
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Context) -> Outcome,
}

/// What `ci` runs, in this order.
pub(crate) const STEPS: &[Step] = &[
    step("tools", "The programs that the tests call are installed.", tools::run),
    step("fmt", "The code is formatted.", cargo::fmt),
    step("clippy", "Clippy reports nothing.", cargo::clippy),
    step("features", "Libraries compile without features and with each one alone.", features::run),
    step("doc", "The API documentation builds without a warning.", cargo::doc),
    step("test", "All tests pass, and the examples in the API documentation.", cargo::test),
    step("instructions", "Warm-path instruction counts are within bounds.", instructions::run),
    step("deny", "Dependencies satisfy deny.toml: bans, licences, sources.", deny::run),
    step("layers", "Crates depend on lower layers only.", deny::layers),
    step("compat", "The package 0.1.9 passes its checks and the tests of 0.1.8.", compat::run),
    step("readme", "Commands in README.md and docs/ run and print what is shown.", readme::run),
    step("docs", "Links resolve, decisions are numbered, generated text is current.", docs::run),
    step("fuzz", "Fuzz targets find nothing in 30 s, or NEXO_PAIRING_FUZZ_SECONDS.", fuzz::run),
];

/// Those of them that a release check repeats.
pub(crate) const RELEASE_TOO: [&str; 6] =
    ["clippy", "features", "deny", "layers", "readme", "docs"];

/// What only a release has to pass: these take long, or need a nightly compiler.
pub(crate) const RELEASE: &[Step] = &[
    step("unused", "Every dependency is used.", cargo::unused),
    step("public-api", "The public API is as listed and names no other crates.", public_api::run),
    step("compat-api", "The package 0.1.9 has the public API of 0.1.8.", compat::api),
    step("minimal", "The oldest dependency versions allowed compile.", minimal::run),
    step("msrv", "The oldest compiler allowed compiles the workspace.", msrv::run),
    step("package", "Every crate packs, with its licences, and builds as packed.", package::run),
    step("advisories", "No dependency has a known vulnerability.", deny::advisories),
];

/// What neither runs.
pub(crate) const OTHERS: &[Step] = &[
    step("mutants", "Every mutation of the code fails a test; takes hours.", mutants::run),
    step("bench-peer", "Compare speed with 0.1.8; takes half an hour.", bench_peer::run),
    step("bench-bus", "Measure a gate on a bus; takes two minutes.", bench_bus::run),
];

const fn step(name: &'static str, about: &'static str, run: fn(&Context) -> Outcome) -> Step {
    Step { name, about, run }
}

/// The steps that a name selects: `ci`, `release-check`, or a single step.
pub(crate) fn named(name: &str) -> Option<Vec<&'static Step>> {
    let is_repeated = |step: &&Step| RELEASE_TOO.contains(&step.name);
    match name {
        "ci" => Some(STEPS.iter().collect()),
        "release-check" => Some(STEPS.iter().filter(is_repeated).chain(RELEASE).collect()),
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
    fn names_select_one_step_or_those_of_ci_or_of_a_release() {
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
