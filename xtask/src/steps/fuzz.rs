//! `fuzz`: every fuzz target runs for a while, starting from the committed inputs.
//!
//! The targets are instrumented as `cargo fuzz` does it, but by the stable compiler. Only the address
//! sanitizer would need a nightly one, and it has nothing to find where `unsafe` is forbidden.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::thread::available_parallelism;

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use crate::context::{Context, Outcome, fail_on};

/// The package of the targets, from the root.
const PACKAGE: &str = "tests/fuzz";

/// How many seconds each target runs unless the variable is set.
const SECONDS: u64 = 30;
const VARIABLE: &str = "NEXO_PAIRING_FUZZ_SECONDS";

/// Counts how often each edge is taken, and reports the operands of comparisons.
const FLAGS: &str = "--cfg fuzzing \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// A target that runs.
struct Running {
    name: String,
    log: Utf8PathBuf,
    child: Child,
}

pub(crate) fn run(context: &Context) -> Outcome {
    let seconds = match std::env::var(VARIABLE) {
        Ok(value) => value.parse().map_err(|error| format!("{VARIABLE}={value}: {error}"))?,
        Err(_) => SECONDS,
    };
    let targets = targets(context)?;
    let built = build(context)?;
    let mut problems = Vec::new();
    // As many at once as there are processors: they all take equally long.
    for targets in targets.chunks(available_parallelism().map_or(1, usize::from)) {
        let running: Vec<Running> = targets
            .iter()
            .map(|name| start(context, name, &built, seconds))
            .collect::<Outcome<_>>()?;
        for running in running {
            let name = running.name.clone();
            match finish(running)? {
                Ok(done) => println!("{name}: {done}"),
                Err(problem) => {
                    println!("{name}: FAILED");
                    problems.push(problem);
                }
            }
        }
    }
    fail_on(&problems)
}

/// The names of the targets, one for each source file.
fn targets(context: &Context) -> Outcome<Vec<String>> {
    let files = context.shell.read_dir(format!("{PACKAGE}/fuzz_targets"))?;
    let sources = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    Ok(sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
}

/// Builds the targets and returns the folder that they are in.
fn build(context: &Context) -> Outcome<Utf8PathBuf> {
    let version = context.shell.cmd("rustc").arg("-vV").quiet().read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not name its host")?;
    let target_directory = context.metadata.target_directory.join("fuzz");
    // With a target, the flags do not apply to build scripts.
    let build = context.cargo("build --release --locked --bins --target").arg(host);
    let build = build.arg("--manifest-path").arg(format!("{PACKAGE}/Cargo.toml"));
    let build = build.arg("--target-dir").arg(&target_directory);
    // An incremental build would be instrumented piece by piece.
    build.env("RUSTFLAGS", FLAGS).env("CARGO_INCREMENTAL", "0").run()?;
    Ok(target_directory.join(host).join("release"))
}

fn start(context: &Context, name: &str, built: &Utf8Path, seconds: u64) -> Outcome<Running> {
    // Corpora grow here; the committed inputs stay as they are.
    let work = context.work_folder("fuzz").join(name);
    let corpus = context.shell.create_dir(work.join("corpus"))?;
    let log = work.join("log");
    let output = File::create(&log)?;
    let mut command = Command::new(built.join(name));
    command.current_dir(&context.metadata.workspace_root);
    command.arg(format!("-max_total_time={seconds}"));
    // An input that takes longer than this, or more memory, is a finding as well.
    command.args(["-timeout=25", "-rss_limit_mb=1024"]);
    command.arg(format!("-artifact_prefix={work}/"));
    command.arg(&corpus).arg(format!("{PACKAGE}/seeds/{name}"));
    let child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
    Ok(Running { name: name.to_owned(), log, child })
}

/// Waits for a target and returns what it has done, or the end of its log.
fn finish(mut running: Running) -> Outcome<Result<String, String>> {
    let status = running.child.wait()?;
    let Running { name, log, .. } = running;
    let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    Ok(match done(&output) {
        Some(done) if status.success() => Ok(done.to_owned()),
        _ => {
            let lines: Vec<&str> = output.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            Err(format!("{name}: {status}\n{last}\nAll: {log}"))
        }
    })
}

/// The line with which libFuzzer ends.
fn done(output: &str) -> Option<&str> {
    output.lines().rev().find_map(|line| line.strip_prefix("Done "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libfuzzer_reports_its_runs_unless_it_found_something() {
        let output = "#512\tNEW    cov: 12\nDone 512 runs in 3 second(s)\nstat::x: 1\n";
        assert_eq!(done(output), Some("512 runs in 3 second(s)"));
        assert_eq!(done("==1== ERROR: libFuzzer: deadly signal\n"), None);
    }
}
