//! `nexo-pair gate` on a pipe: a million messages of known senders, on one core.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::Programs;
use super::report::{Goal, Line, Unit};
use crate::context::{Failure, Outcome};

const MESSAGES: u32 = 1_000_000;
const SENDERS: u32 = 10_000;
const ROUNDS: usize = 3;

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn measure(programs: &Programs) -> Outcome<[Line; 2]> {
    let home = programs.fresh_folder()?;
    let failed = |error| Failure::new(format!("{}: {error}", home.display()));
    let input = home.join("messages.jsonl");
    write(&input).map_err(failed)?;
    let ids: String = (0..SENDERS).map(|number| id(number) + "\n").collect();
    let senders = home.join("senders.txt");
    fs::write(&senders, ids).map_err(failed)?;
    let folder = home.join("config");
    fs::create_dir(&folder).map_err(failed)?;
    let config = "pairing: { gate: { mode: pairing } }\n";
    fs::write(folder.join("pairing.yaml"), config).map_err(failed)?;
    let mut seed = Command::new(&programs.nexo_pair);
    seed.env("NEXO_HOME", home).args(["seed", "whatsapp", "personal", "--file"]).arg(&senders);
    crate::context::output(&mut seed)?;

    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        println!("round {round} of {ROUNDS}: gate");
        rounds.push(gate(programs, home, &input)?);
    }
    rounds.sort_unstable();
    let (took, kilobytes) = rounds[ROUNDS / 2];
    let line = |title: &str, unit, ours, goals| Line {
        title: title.to_owned(),
        unit,
        theirs: None,
        ours,
        goals,
    };
    Ok([
        line(
            "`gate` on a pipe, known senders, one core: a line",
            Unit::Time,
            took.as_secs_f64() / f64::from(MESSAGES),
            &[Goal::AtMost(1e-6)],
        ),
        line(
            "its memory with 10,000 senders",
            Unit::Bytes,
            f64::from(kilobytes) * 1024.0,
            &[Goal::AtMost(40e6)],
        ),
    ])
}

fn id(number: u32) -> String {
    format!("+54911{number:08}")
}

fn write(path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..MESSAGES {
        // In no order: the step has no factor in common with the number of senders.
        let digits = &id(number.wrapping_mul(7919) % SENDERS)[1..];
        writeln!(
            file,
            r#"{{"channel":"whatsapp","account":"personal","from":"{digits}@c.us","text":"hello"}}"#
        )?;
    }
    file.flush()
}

/// How long the gate takes for all messages, and the most memory it has, in kilobytes.
fn gate(programs: &Programs, home: &Path, input: &Path) -> Outcome<(Duration, u32)> {
    let failed = |error| Failure::new(format!("gate: {error}"));
    let output = home.join("answers.jsonl");
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(&programs.nexo_pair).arg("gate").env("NEXO_HOME", home);
    command.stdin(File::open(input).map_err(failed)?);
    command.stdout(File::create(&output).map_err(failed)?).stderr(Stdio::inherit());
    let started = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        most = most.max(memory(&child).unwrap_or_default());
        std::thread::sleep(LOOK);
    };
    let took = started.elapsed();
    let answers = fs::read_to_string(&output).map_err(failed)?;
    let admitted =
        answers.lines().filter(|line| line.starts_with(r#"{"decision":"admit""#)).count();
    if !status.success() || admitted != MESSAGES as usize {
        return Err(Failure::new(format!("gate: {status}, {admitted} of {MESSAGES} admitted")));
    }
    Ok((took, most))
}

fn memory(child: &Child) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
