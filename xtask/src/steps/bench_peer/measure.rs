//! Builds the programs, has them work in turn, and keeps what they measured.

use std::collections::BTreeMap;

use cargo_metadata::camino::Utf8PathBuf;

use crate::context::{Context, Outcome};

/// How many times all the work is done.
const ROUNDS: usize = 3;

/// Which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Theirs,
    Ours,
}

/// The programs that work, and where they do it.
pub(crate) struct Programs {
    theirs: Utf8PathBuf,
    ours: Utf8PathBuf,
    /// `nexo-pair`, as it is released.
    nexo_pair: Utf8PathBuf,
    folder: Utf8PathBuf,
}

/// What was measured in each round, by program, work and name.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<(Program, String, String), Vec<f64>>);

impl Programs {
    pub(crate) fn build(context: &Context) -> Outcome<Self> {
        let target = &context.metadata.target_directory;
        let build = |name: &str| -> Outcome<_> {
            let folder = target.join("peer").join(name);
            let build = context.cargo("build --release --locked --manifest-path");
            let build = build.arg(format!("tests/peer/{name}/Cargo.toml"));
            build.arg("--target-dir").arg(&folder).run()?;
            Ok(folder.join("release").join(format!("nexo-pairing-peer-{name}")))
        };
        let (theirs, ours) = (build("theirs")?, build("ours")?);
        context.cargo("build --release --locked -p nexo-pairing-cli").run()?;
        let nexo_pair = target.join("release/nexo-pair");
        Ok(Self { theirs, ours, nexo_pair, folder: target.join("peer/work") })
    }

    /// Has both do their work in turn, so that other work of the machine affects both alike.
    pub(crate) fn measure(
        &self,
        context: &Context,
        mut work: Vec<(String, Program)>,
    ) -> Outcome<Figures> {
        // The same work of both is side by side, and once.
        work.sort_unstable();
        work.dedup();
        let mut figures = Figures::default();
        for round in 1..=ROUNDS {
            for (work, program) in &work {
                println!("round {round} of {ROUNDS}: {program:?} {work}");
                figures.add(*program, work, &self.run(context, *program, work)?);
            }
        }
        Ok(figures)
    }

    /// Runs a program in an empty folder and returns its output.
    fn run(&self, context: &Context, program: Program, work: &str) -> Outcome<String> {
        context.shell.remove_path(&self.folder)?;
        context.shell.create_dir(&self.folder)?;
        let path = match program {
            Program::Theirs => &self.theirs,
            Program::Ours => &self.ours,
        };
        let command = context.shell.cmd(path).arg(work).arg(&self.folder).quiet();
        let command = command.env("NEXO_PAIR", &self.nexo_pair);
        if work.starts_with("many ") {
            // A process of its own makes the database: the measured one has nothing of it in memory.
            command.run()?;
        }
        Ok(command.read()?)
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
        let missing = || format!("{program:?} did not measure `{name}` of `{work}`").into();
        values.get(values.len() / 2).copied().ok_or_else(missing)
    }
}
