//! `bench-peer`: the same work by nexo-pairing 0.1.8 and by this version, in turn, several rounds; the
//! medians go into `docs/performance.md`.
//!
//! It is not part of `ci`: 0.1.8 takes minutes to build, and on a busy machine it measures the other
//! work.

mod measure;
mod report;

use serde::Deserialize;

use crate::context::{Context, Outcome};
use measure::{Program, Programs};
use report::{Goal, Line, Unit};

/// What is measured, from the root.
const COMPARISONS: &str = "tests/peer/comparisons.json";
const DOCUMENT: &str = "docs/performance.md";

#[derive(Deserialize)]
struct Plan {
    comparisons: Vec<Comparison>,
    growth: Vec<Growth>,
}

/// A row of the table. The two versions may do work of different sizes, since a figure is for one of
/// them: 0.1.8 would take too long with ours.
#[derive(Deserialize)]
struct Comparison {
    title: String,
    unit: Unit,
    /// The work and the figure of 0.1.8, if it has any.
    theirs: Option<(String, String)>,
    ours: (String, String),
    goals: Vec<Goal>,
}

/// How the cost of a work grows: its sizes, and the figures of each size.
#[derive(Deserialize)]
struct Growth {
    title: String,
    work: String,
    sizes: Vec<u32>,
    figures: Vec<(String, Unit)>,
}

impl Growth {
    fn of_size(&self, size: u32) -> String {
        format!("{} {size}", self.work)
    }
}

pub(crate) fn run(context: &Context) -> Outcome {
    let plan: Plan = serde_json::from_str(&context.shell.read_file(COMPARISONS)?)?;
    let mut work = Vec::new();
    for Comparison { theirs, ours, .. } in &plan.comparisons {
        work.extend(theirs.iter().map(|(work, _)| (work.clone(), Program::Theirs)));
        work.push((ours.0.clone(), Program::Ours));
    }
    for growth in &plan.growth {
        work.extend(growth.sizes.iter().map(|&size| (growth.of_size(size), Program::Ours)));
    }
    let figures = Programs::build(context)?.measure(context, work)?;
    let mut lines = Vec::new();
    for Comparison { title, unit, theirs, ours, goals } in plan.comparisons {
        let theirs = theirs.map(|(work, name)| figures.median(Program::Theirs, &work, &name));
        let (theirs, ours) =
            (theirs.transpose()?, figures.median(Program::Ours, &ours.0, &ours.1)?);
        lines.push(Line { title, unit, theirs, ours, goals });
    }
    let growth = plan.growth.iter().map(|growth| report::growth(growth, &figures));
    let growth: Vec<String> = growth.collect::<Outcome<_>>()?;
    print!("{}", report::table(&lines));
    context.shell.write_file(DOCUMENT, report::document(&lines, &growth))?;
    println!("written to {DOCUMENT}");
    match lines.iter().filter(|line| !line.is_reached()).count() {
        0 => Ok(()),
        missed => Err(format!("{missed} figures are not reached").into()),
    }
}
