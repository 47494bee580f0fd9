//! `mutants`: `cargo mutants` finds no change of the code that every test accepts.
//!
//! The exceptions, with the reason for each, are in `.cargo/mutants.toml`.

use super::tools::{self, CargoTool};
use crate::context::{Context, Outcome, fail_on};

const TOOL: CargoTool = CargoTool { name: "cargo-mutants", version: "27.1.0" };

/// The packages that are changed, and those whose tests have to notice besides their own.
const PACKAGES: [(&str, &[&str]); 7] = [
    ("nexo-pairing-core", &[]),
    // It has the conformance suite run on the engine.
    ("nexo-pairing-engine", &["nexo-pairing-memory"]),
    ("nexo-pairing-gate", &[]),
    ("nexo-pairing-setup", &[]),
    ("nexo-pairing-store", &[]),
    ("nexo-pairing-telegram", &[]),
    ("nexo-pairing-whatsapp", &[]),
];

/// A part of a file's path: only files that have it are changed.
const VARIABLE: &str = "NEXO_PAIRING_MUTANTS";

pub(crate) fn run(context: &Context) -> Outcome {
    tools::run(context)?;
    tools::ensure(context, &TOOL)?;
    let part = std::env::var(VARIABLE).unwrap_or_default();
    let mut problems = Vec::new();
    for (package, others) in PACKAGES {
        let output = context.shell.create_dir(context.work_folder("mutants").join(package))?;
        let mut mutants = context.cargo("mutants --all-features --jobs 2 --colors never");
        mutants = mutants.args(["--package", package, "--test-package", package]);
        mutants = mutants.args(others.iter().flat_map(|other| ["--test-package", other]));
        mutants = mutants.arg("--output").arg(output);
        if !part.is_empty() {
            // In the name of the file, or in that of a folder.
            mutants = mutants.args([
                "--file",
                &format!("**/*{part}*"),
                "--file",
                &format!("**/*{part}*/**"),
            ]);
        }
        // Nextest ends a test that hangs, as a failure; cargo-mutants would end the step as one.
        mutants = mutants.args(["--test-tool", "nextest", "--minimum-test-timeout", "3600"]);
        mutants = mutants.env("NEXTEST_PROFILE", "mutants").env("CARGO_PROFILE_DEV_DEBUG", "0");
        problems.extend(mutants.run().err().map(|error| error.to_string()));
    }
    fail_on(&problems)
}
