//! `fuzz`: every fuzz target runs for a while on inputs that it makes up, from the committed ones on.
//!
//! The targets are instrumented as `cargo fuzz` does it, and by the compiler that builds everything
//! else: what would need a nightly one, the address sanitizer, has nothing to look for where no code is
//! unsafe.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::context::{self, Context, Failure, Outcome, lock, output};

/// The package of the targets, from the root.
const PACKAGE: &str = "tests/fuzz";

/// How many seconds each target runs unless the variable says otherwise.
const SECONDS: u64 = 30;
const VARIABLE: &str = "NEXO_PAIRING_FUZZ_SECONDS";

/// What the compiler is told: to count how often each edge is taken, and to show what is compared.
const FLAGS: [&str; 8] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

pub(crate) fn run(context: &Context) -> Outcome {
    let seconds = match std::env::var(VARIABLE) {
        Ok(told) => told.parse().map_err(|_| Failure::new(format!("{VARIABLE}={told}")))?,
        Err(_) => SECONDS,
    };
    let targets = targets(&context.root().join(PACKAGE).join("fuzz_targets"))?;
    let built = build(context)?;
    // Corpora grow there; what is committed stays as it is.
    let work = context.metadata()?.target_directory.join("xtask").join("fuzz");
    let (queue, ended) = (Mutex::new(VecDeque::from(targets)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(name) = lock(&queue).pop_front() else { break };
                    let fuzzed = fuzz(context, &name, &built, &work.join(&name), seconds);
                    match &fuzzed {
                        Ok(done) => println!("{name}: {done}"),
                        Err(_) => println!("{name}: FAILED"),
                    }
                    lock(&ended).push(fuzzed);
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    let problems = ended.into_iter().filter_map(|fuzzed| fuzzed.err()).map(|it| it.to_string());
    let problems: Vec<String> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::list(&problems)) }
}

/// The names of the targets: one a file.
fn targets(folder: &Path) -> Outcome<Vec<String>> {
    let failed = |error| Failure::new(format!("{}: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the targets; says in which folder they are.
fn build(context: &Context) -> Outcome<PathBuf> {
    let told = output(context.command("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new("rustc does not say what it is for"))?;
    let target_directory = context.metadata()?.target_directory.join("fuzz");
    // With a target, the flags are not for what runs at build time.
    let what = ["build", "--release", "--locked", "--bins", "--target", host];
    let mut build = context.cargo(&what);
    build.arg("--manifest-path").arg(Path::new(PACKAGE).join("Cargo.toml"));
    build.arg("--target-dir").arg(&target_directory);
    // Segment by piece, what is built would be instrumented piece by piece.
    build.env("RUSTFLAGS", FLAGS.join(" ")).env("CARGO_INCREMENTAL", "0");
    context::run(&mut build)?;
    Ok(target_directory.join(host).join("release"))
}

/// Runs a target; says what it has done.
fn fuzz(context: &Context, name: &str, built: &Path, work: &Path, seconds: u64) -> Outcome<String> {
    let failed = |error| Failure::new(format!("{name}: {error}"));
    let corpus = work.join("corpus");
    fs::create_dir_all(&corpus).map_err(failed)?;
    let log_path = work.join("log");
    let log = File::create(&log_path).map_err(failed)?;
    let mut command = context.command(&built.join(name).to_string_lossy());
    command.arg(format!("-max_total_time={seconds}"));
    // An input that takes longer than this, or more memory, is found as well.
    command.args(["-timeout=25", "-rss_limit_mb=1024"]);
    command.arg(format!("-artifact_prefix={}/", work.display()));
    command.arg(&corpus).arg(context.root().join(PACKAGE).join("seeds").join(name));
    command.stdout(log.try_clone().map_err(failed)?).stderr(log);
    let status = command.status().map_err(failed)?;
    let said = fs::read(&log_path).map_err(failed)?;
    let said = String::from_utf8_lossy(&said);
    match done(&said) {
        Some(done) if status.success() => Ok(done.to_owned()),
        _ => {
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            Err(Failure::new(format!("{name}: {status}\n{last}\nAll: {}", log_path.display())))
        }
    }
}

/// The line by which libFuzzer ends.
fn done(said: &str) -> Option<&str> {
    said.lines().rev().find_map(|line| line.strip_prefix("Done "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_source_file() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.rs", "a.rs", "notes.md"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(targets(folder.path()).unwrap(), ["a", "b"]);
        assert!(targets(&folder.path().join("none")).is_err());
    }

    #[test]
    fn libfuzzer_says_what_it_has_done_unless_it_found_something() {
        let said = "#512\tNEW    cov: 12\nDone 512 runs in 3 second(s)\nstat::x: 1\n";
        assert_eq!(done(said), Some("512 runs in 3 second(s)"));
        assert_eq!(done("==1== ERROR: libFuzzer: deadly signal\n"), None);
    }
}
