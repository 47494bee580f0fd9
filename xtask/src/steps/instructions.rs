//! `instructions`: a decision from memory takes no more instructions and allocations than the figures
//! that are committed.
//!
//! Valgrind counts them, so that a machine which is busy with something else tells the same. The
//! figures are those of the compiler that CI has: another may need others.

use std::fs;
use std::path::Path;

use super::tools;
use crate::context::{self, Context, Failure, Outcome, output};

/// The committed figures, from the root.
const FIGURES: &str = "crates/nexo-pairing-gate/warm-path.txt";

/// The program that makes the calls, and the package that it is built from.
const PROGRAM: &str = "nexo-pairing-warm-path";

/// By how much a figure may grow, in percent.
const TOLERANCE: u64 = 5;

/// What a call takes.
#[derive(Debug, PartialEq, Eq)]
struct Figure {
    call: String,
    instructions: u64,
    allocations: u64,
}

pub(crate) fn run(context: &Context) -> Outcome {
    tools::ensure_packaged(context, "valgrind", "it counts instructions")?;
    let text = fs::read_to_string(context.root().join(FIGURES))
        .map_err(|error| Failure::new(format!("{FIGURES}: {error}")))?;
    let committed = figures(&text)?;
    let mut build = context.cargo(&["build", "--release", "--locked", "--package", PROGRAM]);
    // What is built piece by piece is optimised piece by piece.
    context::run(build.env("CARGO_INCREMENTAL", "0"))?;
    let program = context.metadata()?.target_directory.join("release").join(PROGRAM);
    let mut problems = Vec::new();
    for committed in &committed {
        let counted = count(context, &program, &committed.call)?;
        let Figure { call, instructions, allocations } = &counted;
        println!(
            "{call:<17} {instructions:>5} instructions ({} committed), {allocations} allocations ({})",
            committed.instructions, committed.allocations
        );
        problems.extend(problem(committed, &counted));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::list(&problems)) }
}

/// Makes a call under valgrind, many times.
fn count(context: &Context, program: &Path, call: &str) -> Outcome<Figure> {
    let mut command = context.command("valgrind");
    // One `memcmp` for all: the C library chooses it by the processor.
    command.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX512VL,-AVX512BW,-SSE4_1,-ERMS");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]);
    // Only what the calls do, not what comes before them.
    command.arg("--toggle-collect=*::measured*").arg(program).arg(call);
    let said = output(&mut command)?;
    counted(call, &said)
        .ok_or_else(|| Failure::new(format!("valgrind counted nothing for `{call}`:\n{said}")))
}

/// What valgrind and the program say.
fn counted(call: &str, said: &str) -> Option<Figure> {
    let number = |line: &str| line.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let after = |name: &str| said.lines().find_map(|line| number(line.split_once(name)?.1));
    let (calls, allocations) = (after("calls:")?, after("allocations:")?);
    let per_call = |total: u64| total.checked_add(calls / 2)?.checked_div(calls);
    Some(Figure {
        call: call.to_owned(),
        instructions: per_call(after("Collected :")?).filter(|&counted| counted > 0)?,
        allocations: allocations.div_ceil(calls),
    })
}

/// What is wrong with a figure, if anything is.
fn problem(committed: &Figure, counted: &Figure) -> Option<String> {
    let grew = |committed: u64, counted: u64| counted * 100 > committed * (100 + TOLERANCE);
    let is_more = grew(committed.instructions, counted.instructions)
        || grew(committed.allocations, counted.allocations);
    is_more.then(|| {
        let Figure { call, instructions, allocations } = counted;
        format!(
            "{call} grew by more than {TOLERANCE} %; if that is what it is worth, write `{call} \
             {instructions} {allocations}` into {FIGURES}"
        )
    })
}

/// The figures in the file: a call a line, with its instructions and its allocations.
fn figures(text: &str) -> Outcome<Vec<Figure>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let figure = |line: &str| {
        let mut words = line.split_whitespace();
        let call = words.next()?.to_owned();
        let (instructions, allocations) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words.next().is_none().then_some(Figure { call, instructions, allocations })
    };
    let wrong = |line: &str| Failure::new(format!("{FIGURES}: `{line}` is no figure"));
    lines.map(|line| figure(line).ok_or_else(|| wrong(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(instructions: u64, allocations: u64) -> Figure {
        Figure { call: "try_admit".to_owned(), instructions, allocations }
    }

    #[test]
    fn reads_what_valgrind_and_the_program_say() {
        let said = "==12== Callgrind, a call-graph generating cache profiler\n\
                    calls: 1000\nallocations: 1000\n\
                    ==12== Events    : Ir\n==12== Collected : 1074321\n";
        assert_eq!(counted("try_admit", said), Some(of(1074, 1)));
        assert_eq!(counted("try_admit", &said.replace("1074321", "0")), None);
        assert_eq!(counted("try_admit", &said.replace("calls: 1000", "calls: 0")), None);
        assert_eq!(counted("try_admit", "valgrind: cannot run it"), None);
    }

    #[test]
    fn a_figure_may_grow_by_five_percent() {
        assert_eq!(problem(&of(1000, 0), &of(1050, 0)), None);
        assert_eq!(problem(&of(1000, 1), &of(500, 0)), None);
        assert!(problem(&of(1000, 0), &of(1051, 0)).is_some());
        let problem = problem(&of(1000, 0), &of(1000, 1)).unwrap();
        assert!(problem.contains("`try_admit 1000 1`"), "{problem}");
    }

    #[test]
    fn figures_are_lines_of_a_name_and_two_numbers() {
        let text = "# name, instructions, allocations\n\ntry_admit 1000 0\n";
        assert_eq!(figures(text).unwrap(), [of(1000, 0)]);
        for wrong in ["try_admit", "try_admit 1000", "try_admit 1 2 3", "try_admit a 0"] {
            assert!(figures(wrong).is_err(), "{wrong}");
        }
    }
}
