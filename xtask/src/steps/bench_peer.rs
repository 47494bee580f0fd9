//! `bench-peer`: the same work by nexo-pairing 0.1.8 and by this version, in turn, several rounds; the
//! medians go into `docs/performance.md`.
//!
//! It is no part of `ci`: 0.1.8 takes minutes to build, and a machine that does something else
//! meanwhile measures that.

mod measure;
mod pipe;
mod report;

use std::fs;

use crate::context::{Context, Failure, Outcome};
use measure::{Program, Programs};
use report::{Goal, Line, Unit};

/// What is compared. The work of both may have different sizes, since the figures are for one of them;
/// 0.1.8 would take too long with ours.
struct Comparison {
    title: &'static str,
    unit: Unit,
    /// The work and the figure of 0.1.8, if it has any.
    theirs: Option<(&'static str, &'static str)>,
    ours: (&'static str, &'static str),
    goals: &'static [Goal],
}

const COMPARISONS: &[Comparison] = &[
    compare(
        "known sender, 10,000 of them, 1 thread",
        Unit::Time,
        ("warm_admit 10000", "each_1"),
        ("warm_admit 10000", "each_1"),
        &[Goal::Faster(2.0), Goal::AtMost(120e-9)],
    ),
    compare(
        "the same, 2 threads, each",
        Unit::Time,
        ("warm_admit 10000", "each_2"),
        ("warm_admit 10000", "each_2"),
        &[],
    ),
    compare(
        "the same, 8 threads, each",
        Unit::Time,
        ("warm_admit 10000", "each_8"),
        ("warm_admit 10000", "each_8"),
        &[],
    ),
    alone(
        "known sender, 1,000,000 of them, in no order",
        Unit::Time,
        ("many 1000000", "each"),
        &[Goal::AtMost(400e-9)],
    ),
    alone(
        "memory for 1,000,000 grants",
        Unit::Bytes,
        ("many 1000000", "bytes"),
        &[Goal::AtMost(100e6)],
    ),
    alone(
        "start with 1,000,000 grants until the first decision",
        Unit::Time,
        ("many 1000000", "start"),
        &[Goal::AtMost(2.0)],
    ),
    compare(
        "known sender, for the first time",
        Unit::Time,
        ("first_admit 10000", "each"),
        ("first_admit 10000", "each"),
        &[Goal::Faster(300.0)],
    ),
    compare(
        "stranger, when as many as may be are pending",
        Unit::Time,
        ("unknown_sender 2000", "each"),
        ("unknown_sender 1000000", "each"),
        &[Goal::Faster(1000.0)],
    ),
    compare(
        "memory that each of these takes for ever",
        Unit::Bytes,
        ("unknown_sender 2000", "bytes"),
        ("unknown_sender 1000000", "bytes"),
        // A page or two of a million is what the system does, not the gate.
        &[Goal::AtMost(1.0)],
    ),
    alone(
        "memory that a million of these take together",
        Unit::Bytes,
        ("unknown_sender 1000000", "all_bytes"),
        &[Goal::AtMost(1e6)],
    ),
    alone(
        "disk that they take",
        Unit::Bytes,
        ("unknown_sender 1000000", "disk_bytes"),
        &[Goal::Exactly(0.0)],
    ),
    compare(
        "new challenge",
        Unit::Time,
        ("new_challenge 300", "each"),
        ("new_challenge 300", "each"),
        &[Goal::Faster(10.0)],
    ),
    compare(
        "request and approval, one at a time",
        Unit::Time,
        ("approve 300", "each"),
        ("approve 300", "each"),
        &[Goal::Faster(10.0)],
    ),
    compare(
        "request and approval, 64 accounts at once, each",
        Unit::Time,
        ("accounts 640", "each"),
        ("accounts 6400", "each"),
        &[Goal::Faster(40.0)],
    ),
    compare(
        "seed 10,000 senders",
        Unit::Time,
        ("seed 10000", "all"),
        ("seed 10000", "all"),
        &[Goal::Faster(200.0)],
    ),
    alone(
        "a change is seen: by another program's, at the latest of 20",
        Unit::Time,
        ("changes 20", "other_process"),
        &[Goal::AtMost(0.05)],
    ),
    alone(
        "median admit on two cores beside 100 approvals and revokes a second: so many times as long",
        Unit::Count,
        ("beside_writer 10000", "ratio"),
        &[Goal::AtMost(1.1)],
    ),
    compare(
        "50 strangers at once: requests that are pending (the cap is 3)",
        Unit::Count,
        ("strangers 50", "pending"),
        ("strangers 50", "pending"),
        &[Goal::Exactly(3.0)],
    ),
    compare(
        "issue a setup code",
        Unit::Time,
        ("codes 2000", "issue"),
        ("codes 2000", "issue"),
        &[],
    ),
    compare("verify one", Unit::Time, ("codes 2000", "verify"), ("codes 2000", "verify"), &[]),
    compare("decode one", Unit::Time, ("codes 2000", "decode"), ("codes 2000", "decode"), &[]),
    compare(
        "QR code of version 1, for a terminal",
        Unit::Time,
        ("codes 2000", "text"),
        ("codes 2000", "text"),
        &[Goal::Faster(1.0)],
    ),
    compare(
        "QR code of version 1, as PNG",
        Unit::Time,
        ("codes 2000", "png"),
        ("codes 2000", "png"),
        &[Goal::Faster(1.0)],
    ),
    compare(
        "its size",
        Unit::Bytes,
        ("codes 2000", "png_bytes"),
        ("codes 2000", "png_bytes"),
        &[Goal::AtMost(4096.0)],
    ),
    compare(
        "QR code of a compact payload, for a terminal (0.1.8: version 1)",
        Unit::Time,
        ("codes 2000", "text"),
        ("compact 2000", "text"),
        &[Goal::Faster(3.0)],
    ),
    compare(
        "its lines",
        Unit::Count,
        ("codes 2000", "text_lines"),
        ("compact 2000", "text_lines"),
        &[Goal::AtMost(25.0)],
    ),
    compare(
        "QR code of a compact payload, as PNG (0.1.8: version 1)",
        Unit::Bytes,
        ("codes 2000", "png_bytes"),
        ("compact 2000", "png_bytes"),
        &[Goal::AtMost(1536.0)],
    ),
];

/// How the cost grows: the work, its sizes, and the figures of each size.
struct Growth {
    work: &'static str,
    sizes: &'static [u32],
    figures: &'static [(&'static str, Unit)],
}

const THOUSANDS: &[u32] = &[1_000, 10_000, 100_000, 1_000_000];

const GROWTH: &[Growth] = &[
    Growth {
        work: "many",
        sizes: THOUSANDS,
        figures: &[("each", Unit::Time), ("bytes", Unit::Bytes), ("start", Unit::Time)],
    },
    Growth { work: "unknown_sender", sizes: THOUSANDS, figures: &[("each", Unit::Time)] },
    Growth { work: "challenges", sizes: &[1, 4, 16, 64], figures: &[("each", Unit::Time)] },
];

const fn compare(
    title: &'static str,
    unit: Unit,
    theirs: (&'static str, &'static str),
    ours: (&'static str, &'static str),
    goals: &'static [Goal],
) -> Comparison {
    Comparison { title, unit, theirs: Some(theirs), ours, goals }
}

const fn alone(
    title: &'static str,
    unit: Unit,
    ours: (&'static str, &'static str),
    goals: &'static [Goal],
) -> Comparison {
    Comparison { title, unit, theirs: None, ours, goals }
}

pub(crate) fn run(context: &Context) -> Outcome {
    let programs = Programs::build(context)?;
    let wanted = |program: Program| {
        COMPARISONS.iter().filter_map(move |comparison| match program {
            Program::Theirs => comparison.theirs.map(|(work, _)| work),
            Program::Ours => Some(comparison.ours.0),
        })
    };
    let figures = programs.measure(wanted(Program::Theirs), wanted(Program::Ours))?;
    let mut lines = Vec::new();
    for comparison in COMPARISONS {
        let theirs = match comparison.theirs {
            Some((work, figure)) => Some(figures.median(Program::Theirs, work, figure)?),
            None => None,
        };
        let (work, figure) = comparison.ours;
        let ours = figures.median(Program::Ours, work, figure)?;
        let Comparison { title, unit, goals, .. } = *comparison;
        lines.push(Line { title: title.to_owned(), unit, theirs, ours, goals });
    }
    lines.extend(pipe::measure(&programs)?);
    let mut growth = Vec::new();
    for Growth { work, sizes, figures: measured } in GROWTH {
        let figures = programs.measure_sizes(work, sizes)?;
        growth.push(report::growth(work, sizes, measured, &figures)?);
    }
    let document = report::document(&lines, &growth);
    print!("{}", report::table(&lines));
    let path = context.root().join("docs").join("performance.md");
    let written = fs::write(&path, document);
    written.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    println!("written to {}", path.display());
    let missed = lines.iter().filter(|line| !line.is_reached()).count();
    match missed {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{missed} figures are not reached"))),
    }
}
