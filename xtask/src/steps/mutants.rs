//! `mutants`: no change of the code goes unnoticed by its tests.
//!
//! First what `cargo mutants` changes in the crates below store and server. Then what it has no change
//! for: any single line of the gate's decision and of the store's transactions is taken out. What is
//! missed and why that does no harm stands in `.cargo/mutants.toml` and in `mutants/explained.txt`.

mod cuts;
mod lines;

use super::documents;
use super::tools::{self, CargoTool};
use crate::context::{self, Context, Failure, Outcome};

const TOOL: CargoTool = CargoTool { name: "cargo-mutants", version: "27.1.0" };

/// Whose code `cargo mutants` changes. Each is tested by its own tests.
const PACKAGES: [&str; 5] = [
    "nexo-pairing-core",
    "nexo-pairing-gate",
    "nexo-pairing-setup",
    "nexo-pairing-telegram",
    "nexo-pairing-whatsapp",
];

/// A part of a file's path: only files that have it are changed.
const VARIABLE: &str = "NEXO_PAIRING_MUTANTS";

pub(crate) fn run(context: &Context) -> Outcome {
    tools::run(context)?;
    tools::ensure(context, &TOOL)?;
    let part = std::env::var(VARIABLE).unwrap_or_default();
    let files = documents::files(context)?;
    if !files.iter().any(|file| file.to_string_lossy().contains(&part)) {
        return Err(Failure::new(format!("{VARIABLE}={part}: no file has this in its path")));
    }
    let mut problems = Vec::new();
    for package in PACKAGES {
        if let Err(failure) = change(context, package, &part) {
            problems.push(failure.to_string());
        }
    }
    if let Err(failure) = lines::run(context, &files, &part) {
        problems.push(failure.to_string());
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::list(&problems)) }
}

fn change(context: &Context, package: &str, part: &str) -> Outcome {
    let output = context.metadata()?.target_directory.join("xtask").join("mutants").join(package);
    std::fs::create_dir_all(&output)
        .map_err(|error| Failure::new(format!("{}: {error}", output.display())))?;
    let mut mutants = context.cargo(&["mutants", "--all-features", "--package", package]);
    mutants.arg("--output").arg(&output).args(["--jobs", "2", "--colors", "never"]);
    if !part.is_empty() {
        // In the name of the file, or in that of a folder.
        mutants.args(["--file", &format!("**/*{part}*"), "--file", &format!("**/*{part}*/**")]);
    }
    // Nextest ends what hangs, as a failure; if cargo-mutants did, it would be one of this step.
    mutants.args(["--test-tool", "nextest", "--minimum-test-timeout", "3600"]);
    context::run(mutants.env("NEXTEST_PROFILE", "mutants").env("CARGO_PROFILE_DEV_DEBUG", "0"))
}
