//! Words the figures, as a table and as `docs/performance.md`.

use super::measure::{Figures, Program};
use crate::context::Outcome;

/// What a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Time,
    Bytes,
    Count,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// So many times faster than 0.1.8.
    Faster(f64),
    AtMost(f64),
    Exactly(f64),
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) theirs: Option<f64>,
    pub(crate) ours: f64,
    pub(crate) goals: &'static [Goal],
}

impl Line {
    pub(crate) fn is_reached(&self) -> bool {
        self.goals.iter().all(|goal| match *goal {
            Goal::Faster(times) => self.ratio().is_some_and(|ratio| ratio >= times),
            Goal::AtMost(most) => self.ours <= most,
            Goal::Exactly(figure) => self.ours == figure,
        })
    }

    fn ratio(&self) -> Option<f64> {
        self.theirs.map(|theirs| theirs / self.ours.max(f64::MIN_POSITIVE))
    }

    fn cells(&self) -> String {
        let ratio = match self.ratio() {
            Some(ratio) if self.unit == Unit::Time => format!("{} ×", rounded(ratio)),
            _ => String::new(),
        };
        let theirs = self.theirs.map(|theirs| self.unit.show(theirs)).unwrap_or_default();
        let goals: Vec<String> = self.goals.iter().map(|goal| goal.show(self.unit)).collect();
        let reached = match (self.goals, self.is_reached()) {
            ([], _) => "",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        let (title, ours) = (&self.title, self.unit.show(self.ours));
        format!("| {title} | {theirs} | {ours} | {ratio} | {} | {reached} |\n", goals.join(", "))
    }
}

impl Goal {
    fn show(self, unit: Unit) -> String {
        match self {
            Self::Faster(1.0) => "not slower".to_owned(),
            Self::Faster(times) => format!("{times} ×"),
            Self::AtMost(most) => format!("at most {}", unit.show(most)),
            Self::Exactly(figure) => format!("exactly {}", unit.show(figure)),
        }
    }
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::Count if figure.fract() == 0.0 => format!("{figure}"),
            Self::Count => format!("{figure:.2}"),
            Self::Time if figure < 1e-6 => format!("{} ns", rounded(figure * 1e9)),
            Self::Time if figure < 1e-3 => format!("{} µs", rounded(figure * 1e6)),
            Self::Time if figure < 1.0 => format!("{} ms", rounded(figure * 1e3)),
            Self::Time => format!("{} s", rounded(figure)),
            Self::Bytes if figure < 10_000.0 => format!("{} B", rounded(figure)),
            Self::Bytes if figure < 1e6 => format!("{} kB", rounded(figure / 1e3)),
            Self::Bytes => format!("{} MB", rounded(figure / 1e6)),
        }
    }
}

/// Three digits, which is more than can be relied on.
fn rounded(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}

pub(crate) fn table(lines: &[Line]) -> String {
    let head = "| | 0.1.8 | this version | ratio | to reach | reached |\n\
                | --- | --- | --- | --- | --- | --- |\n";
    lines.iter().fold(head.to_owned(), |table, line| table + &line.cells())
}

/// How the figures of a work grow with its size, as a table and a plot of the first of them.
pub(crate) fn growth(
    work: &str,
    sizes: &[u32],
    measured: &[(&str, Unit)],
    figures: &Figures,
) -> Outcome<String> {
    let (title, of) = match work {
        "many" => ("Known senders, any of so many", ["each", "memory", "start"]),
        "unknown_sender" => {
            ("Strangers, so many one after the other, when the account is full", ["each", "", ""])
        }
        _ => ("New challenges of so many accounts at once", ["each", "", ""]),
    };
    let names = of.iter().take(measured.len()).copied().collect::<Vec<_>>().join(" | ");
    let mut text =
        format!("### {title}\n\n| | {names} |\n| ---{} |\n", " | ---".repeat(measured.len()));
    let mut plotted = Vec::new();
    for size in sizes {
        let mut cells = Vec::new();
        for (name, unit) in measured {
            let figure = figures.median(Program::Ours, &format!("{work} {size}"), name)?;
            if cells.is_empty() {
                plotted.push(figure);
            }
            cells.push(unit.show(figure));
        }
        text += &format!("| {} | {} |\n", thousands(*size), cells.join(" | "));
    }
    let (unit, factor) =
        if plotted.iter().all(|figure| *figure < 1e-5) { ("ns", 1e9) } else { ("µs", 1e6) };
    let sizes: Vec<String> = sizes.iter().map(|size| format!("\"{}\"", thousands(*size))).collect();
    let values: Vec<String> = plotted.iter().map(|figure| rounded(figure * factor)).collect();
    text += &format!(
        "\n```mermaid\nxychart-beta\n    x-axis [{}]\n    y-axis \"{unit} each\" 0 --> {:.0}\n    \
         line [{}]\n```\n",
        sizes.join(", "),
        plotted.iter().copied().fold(0.0, f64::max) * factor * 1.2,
        values.join(", ")
    );
    Ok(text)
}

fn thousands(size: u32) -> String {
    match size {
        1_000_000.. => format!("{}M", size / 1_000_000),
        1_000.. => format!("{}k", size / 1_000),
        _ => size.to_string(),
    }
}

pub(crate) fn document(lines: &[Line], growth: &[String]) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "# Performance\n\n\
         Written by `cargo xtask bench-peer`, which does the same work with nexo-pairing 0.1.8 and with \
         this version, in turn, three times over, on real files; each figure is the median. This run was \
         on {cores} cores. Figures of another machine differ, their ratios less so.\n\n\
         {}\n\
         A ratio of n × means n times faster. What has no figure of 0.1.8 it cannot do, or not in the time \
         that there is.\n\n\
         ## How the cost grows\n\n{}",
        table(lines),
        growth.join("\n")
    )
}
