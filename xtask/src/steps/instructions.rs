//! `instructions`: a decision from memory takes no more instructions and allocations than the committed
//! figures.
//!
//! Valgrind counts them, so that a busy machine counts the same. The figures are those of CI's
//! compiler; another one may need others.

use cargo_metadata::camino::Utf8Path;

use super::tools;
use crate::context::{Context, Outcome, fail_on};

/// The committed figures, from the root.
const FIGURES: &str = "crates/nexo-pairing-gate/warm-path.txt";

/// The program that makes the calls, and its package.
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
    let committed = figures(&context.shell.read_file(FIGURES)?)?;
    let build = context.cargo("build --release --locked --package").arg(PROGRAM);
    // An incremental build optimises less across its pieces.
    build.env("CARGO_INCREMENTAL", "0").run()?;
    let program = context.metadata.target_directory.join("release").join(PROGRAM);
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
    fail_on(&problems)
}

/// Makes a call under valgrind, many times.
fn count(context: &Context, program: &Utf8Path, call: &str) -> Outcome<Figure> {
    let valgrind = context.shell.cmd("valgrind").quiet();
    // One `memcmp` for all machines: the C library chooses it by the processor.
    let tunables = "glibc.cpu.hwcaps=-AVX2,-AVX512VL,-AVX512BW,-SSE4_1,-ERMS";
    let valgrind = valgrind.env("GLIBC_TUNABLES", tunables);
    let valgrind = valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    // Only the calls, not their preparation.
    let valgrind = valgrind.args(["--log-fd=1", "--toggle-collect=*::measured*"]);
    let output = valgrind.arg(program).arg(call).read()?;
    let nothing = || format!("valgrind counted nothing for `{call}`:\n{output}").into();
    counted(call, &output).ok_or_else(nothing)
}

/// The figure in the output of valgrind and of the program.
fn counted(call: &str, output: &str) -> Option<Figure> {
    let number = |line: &str| line.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let after = |name: &str| output.lines().find_map(|line| number(line.split_once(name)?.1));
    let (calls, allocations) = (after("calls:")?, after("allocations:")?);
    let per_call = |total: u64| total.checked_add(calls / 2)?.checked_div(calls);
    Some(Figure {
        call: call.to_owned(),
        instructions: per_call(after("Collected :")?).filter(|&counted| counted > 0)?,
        allocations: allocations.div_ceil(calls),
    })
}

/// The problem with a figure, if it grew too much.
fn problem(committed: &Figure, counted: &Figure) -> Option<String> {
    let grew = |committed: u64, counted: u64| counted * 100 > committed * (100 + TOLERANCE);
    let is_more = grew(committed.instructions, counted.instructions)
        || grew(committed.allocations, counted.allocations);
    let Figure { call, instructions, allocations } = counted;
    is_more.then(|| {
        format!(
            "{call} grew by more than {TOLERANCE} %; if that is intended, write `{call} \
             {instructions} {allocations}` into {FIGURES}"
        )
    })
}

/// The figures in the file: a call a line, with its instructions and its allocations.
fn figures(text: &str) -> Outcome<Vec<Figure>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let figure = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [call, instructions, allocations] => Some(Figure {
            call: call.to_owned(),
            instructions: instructions.parse().ok()?,
            allocations: allocations.parse().ok()?,
        }),
        _ => None,
    };
    let wrong = |line: &str| format!("{FIGURES}: `{line}` is not a figure").into();
    lines.map(|line| figure(line).ok_or_else(|| wrong(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(instructions: u64, allocations: u64) -> Figure {
        Figure { call: "try_admit".to_owned(), instructions, allocations }
    }

    #[test]
    fn reads_the_output_of_valgrind_and_the_program() {
        let output = "==12== Callgrind, a call-graph generating cache profiler\n\
                    calls: 1000\nallocations: 1000\n\
                    ==12== Events    : Ir\n==12== Collected : 1074321\n";
        assert_eq!(counted("try_admit", output), Some(of(1074, 1)));
        assert_eq!(counted("try_admit", &output.replace("1074321", "0")), None);
        assert_eq!(counted("try_admit", &output.replace("calls: 1000", "calls: 0")), None);
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
