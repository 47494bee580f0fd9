//! Takes single lines out of the code, each by itself, and runs the tests: one of them has to fail.
//!
//! A line that begins something, such as a block or a chain of calls, goes with all of it.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::cuts::{Cut, cuts};
use crate::context::{Context, Failure, Outcome, lock};
use crate::steps::scratch;

/// Code from which lines are taken out, and the tests that have to notice.
struct Part {
    /// Files and folders, from the root.
    code: &'static [&'static str],
    /// The package that has to compile before a test is worth the time.
    package: &'static str,
    /// What nextest is told, the quickest first.
    tests: &'static [&'static [&'static str]],
}

impl Part {
    fn has(&self, file: &Path) -> bool {
        self.code.iter().any(|code| file.starts_with(code))
    }
}

const MODEL: &[&str] = &["-p", "nexo-pairing-tests", "--test", "model"];

const PARTS: [Part; 2] = [
    Part {
        code: &[
            "crates/nexo-pairing-gate/src/gate.rs",
            "crates/nexo-pairing-gate/src/gate",
            "crates/nexo-pairing-gate/src/ids.rs",
            "crates/nexo-pairing-gate/src/lists.rs",
            "crates/nexo-pairing-gate/src/message.rs",
            "crates/nexo-pairing-gate/src/roster.rs",
        ],
        package: "nexo-pairing-gate",
        tests: &[&["-p", "nexo-pairing-gate"], MODEL],
    },
    Part {
        code: &["crates/nexo-pairing-store/src/batch.rs", "crates/nexo-pairing-store/src/op"],
        package: "nexo-pairing-store",
        tests: &[&["-p", "nexo-pairing-store"], MODEL],
    },
];

/// How many operations the model plays for each line: most show within the first hundred.
const STEPS: &str = "20000";

/// What may be taken out unnoticed: the path, the function and the line, and before it, after `#`, why.
const EXPLAINED: &str = "xtask/src/steps/mutants/explained.txt";

struct Job {
    part: &'static Part,
    file: PathBuf,
    text: Arc<str>,
    cut: Cut,
}

#[derive(Debug, Default)]
struct Counted {
    unbuildable: usize,
    caught: usize,
    missed: BTreeSet<String>,
}

#[derive(Debug, PartialEq)]
enum Fate {
    Unbuildable,
    Caught,
    Missed,
}

/// Tries what stands in those of these files that have `only` in their paths.
pub(super) fn run(context: &Context, files: &BTreeSet<PathBuf>, only: &str) -> Outcome {
    let mut jobs = VecDeque::new();
    for part in &PARTS {
        let is_asked = |path: &&PathBuf| path.to_string_lossy().contains(only);
        for file in files.iter().filter(|file| part.has(file)).filter(is_asked) {
            let text: Arc<str> = read(&context.root().join(file))?.into();
            jobs.extend(cuts(&text).into_iter().map(|cut| {
                let (file, text) = (file.clone(), Arc::clone(&text));
                Job { part, file, text, cut }
            }));
        }
    }
    println!("{} lines to take out", jobs.len());
    let workers = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let folder = context.metadata()?.target_directory.join("xtask").join("lines");
    let (queue, counted) = (Mutex::new(jobs), Mutex::new(Counted::default()));
    let try_all = |number: usize| -> Outcome {
        let bench = Bench { context, folder: folder.join(number.to_string()) };
        bench.prepare(files)?;
        while let Some(job) = next(&queue) {
            let fate = bench.try_cut(&job)?;
            lock(&counted).add(fate, &job);
        }
        // If a bench broke on the way, what it said since is worth nothing.
        bench.passes_all()
    };
    // The others need not go on when one cannot.
    let work = &|number| try_all(number).inspect_err(|_| lock(&queue).clear());
    let failures: Vec<String> = thread::scope(|scope| {
        let started: Vec<_> =
            (0..workers).map(|number| scope.spawn(move || work(number))).collect();
        let stopped = |_| Err(Failure::new("a worker stopped"));
        let ended = started.into_iter().map(|worker| worker.join().unwrap_or_else(stopped));
        ended.filter_map(Result::err).map(|failure| failure.to_string()).collect()
    });
    let Counted { unbuildable, caught, missed } =
        counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{caught} noticed, {} missed, {unbuildable} do not compile", missed.len());
    let explained = explained(&read(&context.root().join(EXPLAINED))?);
    let unexplained = missed.difference(&explained).map(|line| format!("missed: {line}"));
    let mut problems: Vec<String> = failures.into_iter().chain(unexplained).collect();
    if only.is_empty() {
        let outdated = explained.difference(&missed);
        problems.extend(outdated.map(|line| format!("explained, but not missed: {line}")));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::list(&problems)) }
}

fn next(queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    lock(queue).pop_front()
}

impl Counted {
    fn add(&mut self, fate: Fate, job: &Job) {
        match fate {
            Fate::Unbuildable => self.unbuildable += 1,
            Fate::Caught => self.caught += 1,
            Fate::Missed => {
                let missed = format!("{} {}", job.file.display(), job.cut.name);
                println!("missed: {missed}");
                self.missed.insert(missed);
            }
        }
        let total = self.unbuildable + self.caught + self.missed.len();
        if total.is_multiple_of(100) {
            println!("{total} tried");
        }
    }
}

/// A copy of the checkout in which one worker tries.
struct Bench<'a> {
    context: &'a Context,
    folder: PathBuf,
}

impl Bench<'_> {
    /// Copies the checkout; without a change, all tests pass.
    fn prepare(&self, files: &BTreeSet<PathBuf>) -> Outcome {
        let checkout = self.checkout();
        if checkout.exists() {
            fs::remove_dir_all(&checkout)
                .map_err(|error| Failure::new(format!("{}: {error}", checkout.display())))?;
        }
        scratch::copy_files(self.context.root(), files, &checkout).map_err(|error| {
            Failure::new(format!("the copy in {}: {error}", checkout.display()))
        })?;
        // A copy is as old as what it was made of, and cargo would take what it built of the last cut for newer.
        for file in files.iter().filter(|file| PARTS.iter().any(|part| part.has(file))) {
            let path = checkout.join(file);
            write(&path, &read(&path)?)?;
        }
        self.passes_all()
    }

    /// With nothing taken out, all tests pass.
    fn passes_all(&self) -> Outcome {
        for part in &PARTS {
            let fate = self.judge(part)?;
            if fate != Fate::Missed {
                let said = self.said().display().to_string();
                let about = format!("with nothing taken out, {} is {fate:?}: {said}", part.package);
                return Err(Failure::new(about));
            }
        }
        Ok(())
    }

    fn try_cut(&self, job: &Job) -> Outcome<Fate> {
        let path = self.checkout().join(&job.file);
        write(&path, &job.cut.apply(&job.text))?;
        let fate = self.judge(job.part);
        write(&path, &job.text)?;
        fate
    }

    fn judge(&self, part: &Part) -> Outcome<Fate> {
        if self.exit(&["check", "--quiet", "--locked", "-p", part.package])? != 0 {
            return Ok(Fate::Unbuildable);
        }
        for tests in part.tests {
            let arguments =
                ["nextest", "run", "--profile", "mutants", "--locked", "--all-features"];
            match self.exit(&[&arguments[..], tests].concat())? {
                0 => (),
                // These two are nextest's own: a test failed, or they do not compile.
                100 => return Ok(Fate::Caught),
                101 => return Ok(Fate::Unbuildable),
                other => {
                    let said = self.said().display().to_string();
                    return Err(Failure::new(format!("nextest ended with {other}: {said}")));
                }
            }
        }
        Ok(Fate::Missed)
    }

    fn exit(&self, arguments: &[&str]) -> Outcome<i32> {
        let failed = |error| Failure::new(format!("{}: {error}", self.folder.display()));
        let said = fs::File::create(self.said()).map_err(failed)?;
        let mut command = self.context.cargo(arguments);
        command.current_dir(self.checkout()).env("CARGO_TARGET_DIR", self.folder.join("target"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("NEXO_PAIRING_STEPS", STEPS);
        command.stdin(Stdio::null()).stdout(said.try_clone().map_err(failed)?).stderr(said);
        let status = command.status().map_err(failed)?;
        status.code().ok_or_else(|| Failure::new(format!("cargo was ended: {status}")))
    }

    /// What the last command wrote.
    fn said(&self) -> PathBuf {
        self.folder.join("said")
    }

    fn checkout(&self) -> PathBuf {
        self.folder.join("checkout")
    }
}

/// The lines that may be taken out.
fn explained(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_may_be_taken_out_stands_after_the_reason() {
        let text = "# Only saves time.\na/b.rs find: return None;\n\n";
        assert_eq!(explained(text), BTreeSet::from(["a/b.rs find: return None;".to_owned()]));
    }
}
