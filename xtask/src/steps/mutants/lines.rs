//! Takes single lines out of the code, each by itself, and runs the tests: one of them has to fail.
//!
//! A line that begins something, such as a block or a chain of calls, goes with all of it.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::context::{Context, Failure, Outcome};
use crate::steps::{documents, scratch};

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

/// Lines to take out of a file, and what stays in their place.
#[derive(Debug, PartialEq)]
struct Cut {
    lines: Range<usize>,
    left: String,
}

struct Job {
    part: &'static Part,
    file: PathBuf,
    cut: Cut,
}

#[derive(Debug, Default)]
struct Counted {
    unbuildable: usize,
    caught: usize,
    missed: BTreeSet<String>,
}

impl Counted {
    fn total(&self) -> usize {
        self.unbuildable + self.caught + self.missed.len()
    }
}

#[derive(Debug, PartialEq)]
enum Fate {
    Unbuildable,
    Caught,
    Missed,
}

pub(super) fn run(context: &Context, only: &str) -> Outcome {
    let files = documents::files(context)?;
    let mut jobs = VecDeque::new();
    for part in &PARTS {
        let is_asked = |path: &&PathBuf| path.to_string_lossy().contains(only);
        for file in files.iter().filter(|file| part.has(file)).filter(is_asked) {
            let text = read(&context.root().join(file))?;
            jobs.extend(cuts(&text).into_iter().map(|cut| Job { part, file: file.clone(), cut }));
        }
    }
    println!("{} lines to take out", jobs.len());
    let folder = context.metadata()?.target_directory.join("xtask").join("lines");
    let (queue, counted) = (Mutex::new(jobs), Mutex::new(Counted::default()));
    let work = |number: usize| -> Outcome {
        let bench = Bench { context, folder: folder.join(number.to_string()) };
        bench.prepare(&files)?;
        loop {
            let Some(job) = lock(&queue).pop_front() else { return Ok(()) };
            let fate = bench.try_cut(&job)?;
            let mut counted = lock(&counted);
            match fate {
                Fate::Unbuildable => counted.unbuildable += 1,
                Fate::Caught => counted.caught += 1,
                Fate::Missed => {
                    let missed = job.describe(&bench.checkout())?;
                    println!("missed: {missed}");
                    counted.missed.insert(missed);
                }
            }
            if counted.total() % 100 == 0 {
                println!("{} tried", counted.total());
            }
        }
    };
    thread::scope(|scope| {
        let work = &work;
        let numbers = 0..thread::available_parallelism().map_or(1, usize::from);
        let started: Vec<_> = numbers.map(|number| scope.spawn(move || work(number))).collect();
        let stopped = |_| Err(Failure::new("a worker stopped"));
        started.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(stopped))
    })?;
    let Counted { unbuildable, caught, missed } =
        counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    let explained = explained(&read(&context.root().join(EXPLAINED))?);
    println!("{caught} noticed, {} missed, {unbuildable} do not compile", missed.len());
    let problems: Vec<String> = missed.difference(&explained).cloned().collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::list(&problems)) }
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
        for part in &PARTS {
            match self.judge(part)? {
                Fate::Missed => (),
                other => {
                    let said = self.folder.join("said");
                    return Err(Failure::new(format!(
                        "with nothing taken out, {} is {other:?}: see {}",
                        part.package,
                        said.display()
                    )));
                }
            }
        }
        Ok(())
    }

    fn try_cut(&self, job: &Job) -> Outcome<Fate> {
        let path = self.checkout().join(&job.file);
        let whole = read(&path)?;
        write(&path, &job.cut.apply(&whole))?;
        let fate = self.judge(job.part);
        write(&path, &whole)?;
        fate
    }

    fn judge(&self, part: &Part) -> Outcome<Fate> {
        if !self.passes(&["check", "--quiet", "--locked", "-p", part.package])? {
            return Ok(Fate::Unbuildable);
        }
        for tests in part.tests {
            let arguments =
                ["nextest", "run", "--profile", "mutants", "--locked", "--all-features"];
            if !self.passes(&[&arguments[..], tests].concat())? {
                return Ok(Fate::Caught);
            }
        }
        Ok(Fate::Missed)
    }

    fn passes(&self, arguments: &[&str]) -> Outcome<bool> {
        let failed = |error| Failure::new(format!("{}: {error}", self.folder.display()));
        let said = fs::File::create(self.folder.join("said")).map_err(failed)?;
        let mut command = self.context.cargo(arguments);
        command.current_dir(self.checkout()).env("CARGO_TARGET_DIR", self.folder.join("target"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("NEXO_PAIRING_STEPS", STEPS);
        command.stdin(Stdio::null()).stdout(said.try_clone().map_err(failed)?).stderr(said);
        Ok(command.status().map_err(failed)?.success())
    }

    fn checkout(&self) -> PathBuf {
        self.folder.join("checkout")
    }
}

impl Job {
    /// The path, the function and the line, in a checkout as it was when the job was made.
    fn describe(&self, checkout: &Path) -> Outcome<String> {
        let text = read(&checkout.join(&self.file))?;
        let lines: Vec<&str> = text.lines().collect();
        let (before, from) = lines.split_at(self.cut.lines.start);
        let function = before.iter().rev().find_map(|line| function(line)).unwrap_or_default();
        let line = from.first().map(|line| line.trim()).unwrap_or_default();
        Ok(format!("{} {function}: {line}", self.file.display()))
    }
}

impl Cut {
    fn apply(&self, text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let (before, after) = (&lines[..self.lines.start], &lines[self.lines.end..]);
        let mut cut = [before, &[self.left.as_str()], after].concat().join("\n");
        cut.push('\n');
        cut
    }
}

/// What can be taken out of a formatted source file, its tests aside.
fn cuts(text: &str) -> Vec<Cut> {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len());
    let lines = &lines[..end];
    (0..end).filter(|&at| is_code(lines[at].trim())).map(|at| cut(lines, at)).collect()
}

/// The line, and what belongs to it: lines further in, and the closing one after them.
fn cut(lines: &[&str], at: usize) -> Cut {
    let line = lines[at];
    let own = indent(line);
    let belongs = |line: &&&str| {
        indent(line) > own || line.is_empty() || indent(line) == own && closes(line.trim())
    };
    let mut end = at + 1 + lines[at + 1..].iter().take_while(belongs).count();
    let is_open_text = line.matches('"').count() % 2 == 1;
    let left = match line.trim() {
        // SQL of several lines stays a text without its first or its last one.
        text if is_open_text && text.starts_with('"') => "\"",
        text if is_open_text && text.ends_with("\",") => "\",",
        _ => "",
    };
    if is_open_text {
        end = at + 1;
    }
    while lines[end - 1].is_empty() {
        end -= 1;
    }
    Cut { lines: at..end, left: left.to_owned() }
}

/// Whether a line, trimmed, does something: what declares only, or closes, is not taken out.
fn is_code(line: &str) -> bool {
    let declares =
        ["//", "#[", "use ", "mod ", "pub", "fn ", "async fn ", "impl", "struct ", "enum "];
    !line.is_empty() && !closes(line) && !declares.iter().any(|start| line.starts_with(start))
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let begins = before.split_whitespace().all(|word| word.starts_with("pub") || word == "async");
    after.split(['(', '<']).next().filter(|_| begins && !before.contains("//"))
}

fn closes(line: &str) -> bool {
    line.starts_with(['}', ')', ']']) || line.starts_with("where") || line == "{"
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = r#"//! About.
use std::fmt;

fn count(write: &Write) -> Result<i64> {
    let now = write.now();
    if now > 3 {
        note(now);
    } else {
        forget();
    }
    write
        .tx
        .prepare(
            "SELECT count(*) FROM t
                WHERE at = ?1
                AND kind = 'x'",
        )?
        .query(now)
}

#[cfg(test)]
mod tests {
    fn no_code() {
        assert!(true);
    }
}
"#;

    #[test]
    fn what_a_line_begins_goes_with_it() {
        let taken: Vec<String> = cuts(CODE)
            .iter()
            .map(|cut| {
                let taken: Vec<&str> = CODE.lines().collect();
                taken[cut.lines.clone()]
                    .iter()
                    .map(|line| line.trim())
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect();
        assert_eq!(
            taken,
            [
                "let now = write.now();",
                "if now > 3 {|note(now);|} else {|forget();|}",
                "note(now);",
                "forget();",
                "write|.tx|.prepare(|\"SELECT count(*) FROM t|WHERE at = ?1|AND kind = 'x'\",|)?|.query(now)",
                ".tx",
                ".prepare(|\"SELECT count(*) FROM t|WHERE at = ?1|AND kind = 'x'\",|)?",
                "\"SELECT count(*) FROM t",
                "WHERE at = ?1",
                "AND kind = 'x'\",",
                ".query(now)",
            ]
        );
    }

    #[test]
    fn a_text_stays_one_without_its_first_or_its_last_line() {
        let of = |start: &str| {
            let at = CODE.lines().position(|line| line.trim() == start).unwrap();
            let cut = cuts(CODE).into_iter().find(|cut| cut.lines.start == at).unwrap();
            cut.apply(CODE)
        };
        assert!(of("\"SELECT count(*) FROM t").contains("prepare(\n\"\n                WHERE at"));
        assert!(of("AND kind = 'x'\",").contains("WHERE at = ?1\n\",\n        )?"));
        assert!(of("note(now);").contains("if now > 3 {\n\n    } else {"));
    }

    #[test]
    fn a_function_is_known_by_its_first_line() {
        assert_eq!(function("    pub(crate) async fn look(&self) {"), Some("look"));
        assert_eq!(function("fn sum<T>(of: T) {"), Some("sum"));
        assert_eq!(function("    let holds = |fn_name| 1;"), None);
        assert_eq!(function("    // the fn (below)"), None);
        assert_eq!(function("    let f: fn (u8) = g;"), None);
    }

    #[test]
    fn a_line_that_may_be_taken_out_stands_after_the_reason() {
        let text = "# Only saves time.\na/b.rs find: return None;\n\n";
        assert_eq!(explained(text), BTreeSet::from(["a/b.rs find: return None;".to_owned()]));
    }
}
