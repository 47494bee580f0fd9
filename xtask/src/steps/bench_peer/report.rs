//! Formats the figures, as a table and as `docs/performance.md`.

use serde::Deserialize;

use super::Growth;
use super::measure::{Figures, Program};
use crate::context::Outcome;

/// What a figure measures.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Time,
    Bytes,
    Count,
}

/// The target of a figure.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// So many times faster than 0.1.8.
    Faster(f64),
    AtMost(f64),
    Exactly(f64),
}

/// A row of the table.
pub(crate) struct Line {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) theirs: Option<f64>,
    pub(crate) ours: f64,
    pub(crate) goals: Vec<Goal>,
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
        let reached = match self.is_reached() {
            _ if self.goals.is_empty() => "",
            true => "yes",
            false => "**no**",
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

/// With three digits, which is more than can be relied on.
fn rounded(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}

pub(crate) fn table(lines: &[Line]) -> String {
    let head = "| | 0.1.8 | this version | ratio | target | reached |\n\
                | --- | --- | --- | --- | --- | --- |\n";
    lines.iter().fold(head.to_owned(), |table, line| table + &line.cells())
}

/// How the figures of a work grow with its size, as a table and a plot of the first of them.
pub(crate) fn growth(growth: &Growth, figures: &Figures) -> Outcome<String> {
    let names: Vec<&str> = growth.figures.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!(
        "### {}\n\n| | {} |\n| ---{} |\n",
        growth.title,
        names.join(" | "),
        " | ---".repeat(names.len())
    );
    let mut plotted = Vec::new();
    for &size in &growth.sizes {
        let median = |name: &str| figures.median(Program::Ours, &growth.of_size(size), name);
        let medians = names.iter().map(|name| median(name)).collect::<Outcome<Vec<f64>>>()?;
        plotted.extend(medians.first());
        let cells = growth.figures.iter().zip(medians).map(|((_, unit), figure)| unit.show(figure));
        let cells: Vec<String> = cells.collect();
        text += &format!("| {} | {} |\n", thousands(size), cells.join(" | "));
    }
    let most = plotted.iter().copied().fold(0.0, f64::max);
    let (unit, factor) = if most < 1e-5 { ("ns", 1e9) } else { ("µs", 1e6) };
    let sizes: Vec<String> = growth.sizes.iter().map(|&size| thousands(size)).collect();
    let values: Vec<String> = plotted.iter().map(|figure| rounded(figure * factor)).collect();
    text += &format!(
        "\n```mermaid\nxychart-beta\n    x-axis {sizes:?}\n    y-axis \"{unit} each\" 0 --> {:.0}\n    \
         line [{}]\n```\n",
        most * factor * 1.2,
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
         Written by `cargo xtask bench-peer`, which runs the same work on nexo-pairing 0.1.8 and on this\n\
         version, alternately, three times each, on real files; each figure is the median of three. This\n\
         run was on {cores} cores. Figures vary between machines, ratios less so.\n\n\
         {}\n\
         A ratio of n × means n times faster. Where 0.1.8 has no figure, it cannot do that work, or not\n\
         in a reasonable time.\n\n\
         ## How the cost grows\n\n{}",
        table(lines),
        growth.join("\n")
    )
}
