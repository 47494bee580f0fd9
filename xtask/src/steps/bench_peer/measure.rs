//! Builds the programs, has them work in turn, and keeps what they measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::context::{self, Context, Failure, Outcome};

/// How many times all the work is done.
const ROUNDS: usize = 3;

/// Which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Theirs,
    Ours,
}

/// The programs that work, and where they do it.
#[derive(Debug)]
pub(crate) struct Programs {
    theirs: PathBuf,
    ours: PathBuf,
    /// `nexo-pair`, as it is released.
    pub(crate) nexo_pair: PathBuf,
    folder: PathBuf,
}

/// What was measured in each round, by program, work and name.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<(Program, String, String), Vec<f64>>);

impl Programs {
    pub(crate) fn build(context: &Context) -> Outcome<Self> {
        let target = context.metadata()?.target_directory;
        let build = |name: &str| {
            let folder = target.join("peer").join(name);
            let manifest = format!("tests/peer/{name}/Cargo.toml");
            let mut cargo = context.cargo(&["build", "--release", "--locked", "--manifest-path"]);
            cargo.arg(manifest).arg("--target-dir").arg(&folder);
            context::run(&mut cargo)?;
            Ok(folder.join("release").join(format!("nexo-pairing-peer-{name}")))
        };
        let (theirs, ours) = (build("theirs")?, build("ours")?);
        let package = ["build", "--release", "--locked", "-p", "nexo-pairing-cli"];
        context::run(&mut context.cargo(&package))?;
        let nexo_pair = target.join("release").join("nexo-pair");
        Ok(Self { theirs, ours, nexo_pair, folder: target.join("peer").join("work") })
    }

    /// Has both do their work, one after the other, so that what the machine does besides meets both.
    pub(crate) fn measure<'a>(
        &self,
        theirs: impl Iterator<Item = &'a str>,
        ours: impl Iterator<Item = &'a str>,
    ) -> Outcome<Figures> {
        let mut work: Vec<(&str, Program)> = theirs.map(|work| (work, Program::Theirs)).collect();
        work.extend(ours.map(|work| (work, Program::Ours)));
        // The same work of both stands side by side, and once.
        work.sort_unstable();
        work.dedup();
        let mut figures = Figures::default();
        for round in 1..=ROUNDS {
            for (work, program) in &work {
                println!("round {round} of {ROUNDS}: {program:?} {work}");
                figures.add(*program, work, &self.work(*program, work)?);
            }
        }
        Ok(figures)
    }

    /// Has our program do work of each size.
    pub(crate) fn measure_sizes(&self, work: &str, sizes: &[u32]) -> Outcome<Figures> {
        let work: Vec<String> = sizes.iter().map(|size| format!("{work} {size}")).collect();
        self.measure(std::iter::empty(), work.iter().map(String::as_str))
    }

    /// An empty folder.
    pub(crate) fn fresh_folder(&self) -> Outcome<&Path> {
        let failed = |error| Failure::new(format!("{}: {error}", self.folder.display()));
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(failed)?;
        }
        fs::create_dir_all(&self.folder).map_err(failed)?;
        Ok(&self.folder)
    }

    fn work(&self, program: Program, work: &str) -> Outcome<String> {
        let folder = self.fresh_folder()?;
        let program = match program {
            Program::Theirs => &self.theirs,
            Program::Ours => &self.ours,
        };
        let run = || context::output(Command::new(program).arg(work).arg(folder));
        if work.starts_with("many ") {
            // Another process makes the database, so that this one begins with nothing of it.
            run()?;
        }
        run()
    }
}

impl Figures {
    fn add(&mut self, program: Program, work: &str, printed: &str) {
        for line in printed.lines() {
            if let Some((name, value)) = line.split_once(' ')
                && let Ok(value) = value.parse()
            {
                let key = (program, work.to_owned(), name.to_owned());
                self.0.entry(key).or_default().push(value);
            }
        }
    }

    /// The median of the rounds.
    pub(crate) fn median(&self, program: Program, work: &str, name: &str) -> Outcome<f64> {
        let key = (program, work.to_owned(), name.to_owned());
        let mut values = self.0.get(&key).cloned().unwrap_or_default();
        values.sort_by(f64::total_cmp);
        let missing = || Failure::new(format!("{program:?} did not measure `{name}` of `{work}`"));
        values.get(values.len() / 2).copied().ok_or_else(missing)
    }
}
