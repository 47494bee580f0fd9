//! `nexo-pair gate` on a pipe: messages of known senders, on one core.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::work::Figures;

const SENDERS: usize = 10_000;

/// How often the memory of the gate is read.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long the gate takes for so many messages, and its peak memory.
pub(crate) fn run(home: &Path, messages: usize, figures: &mut Figures) {
    let nexo_pair = std::env::var_os("NEXO_PAIR").expect("NEXO_PAIR names the program");
    let (input, output) = (home.join("messages.jsonl"), home.join("answers.jsonl"));
    write_messages(&input, messages).expect("messages");
    let senders = home.join("senders.txt");
    let ids: String = (0..SENDERS).map(|number| id(number) + "\n").collect();
    fs::write(&senders, ids).expect("senders");
    fs::create_dir(home.join("config")).expect("a folder");
    let config = "pairing: { gate: { mode: pairing } }\n";
    fs::write(home.join("config/pairing.yaml"), config).expect("a configuration");
    let mut seed = Command::new(&nexo_pair);
    seed.env("NEXO_HOME", home).args(["seed", "whatsapp", "personal", "--file"]).arg(&senders);
    assert!(seed.stdout(Stdio::null()).status().expect("nexo-pair").success());

    let mut gate = Command::new("taskset");
    gate.args(["-c", "0"]).arg(&nexo_pair).arg("gate").env("NEXO_HOME", home);
    gate.stdin(File::open(&input).expect("messages"));
    gate.stdout(File::create(&output).expect("answers"));
    let started = Instant::now();
    let mut gate = gate.spawn().expect("taskset");
    let mut peak = 0.0;
    let status = loop {
        if let Some(status) = gate.try_wait().expect("a process") {
            break status;
        }
        peak = memory(gate.id()).unwrap_or(peak);
        thread::sleep(INTERVAL);
    };
    let took = started.elapsed();
    let answers = fs::read_to_string(&output).expect("answers");
    let admitted = answers.lines().filter(|line| line.starts_with(r#"{"decision":"admit""#));
    assert!(status.success() && admitted.count() == messages, "gate: {status}");
    figures.add_each("each", messages, took);
    figures.add("bytes", peak);
}

fn id(number: usize) -> String {
    format!("+54911{number:08}")
}

fn write_messages(path: &Path, count: usize) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..count {
        // In no order: the step has no factor in common with the number of senders.
        let digits = &id(number * 7919 % SENDERS)[1..];
        writeln!(
            file,
            r#"{{"channel":"whatsapp","account":"personal","from":"{digits}@c.us","text":"hello"}}"#
        )?;
    }
    file.flush()
}

/// The peak memory of a process, in bytes.
fn memory(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}
