//! Many processes open one database at once: all of them work.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Instant;

use nexo_pairing_tests::Home;

const PROCESSES: usize = 20;

const ROUNDS: usize = 50;

#[test]
fn twenty_processes_open_a_new_database_at_once() {
    race("a new database", Home::new, 0);
}

#[test]
fn twenty_processes_open_a_database_of_0_1_8_at_once() {
    race("a database of 0.1.8", Home::with_old_database, 7);
}

/// Each process seeds a sender of its own; `before` is how many grants there were.
fn race(what: &str, home: fn() -> Home, before: usize) {
    let started = Instant::now();
    for round in 0..ROUNDS {
        let home = home();
        let processes: Vec<Child> = (0..PROCESSES).map(|_| seed(&home)).collect();
        let mut inputs = Vec::new();
        // They wait for the end of their input and open the database after that.
        let processes: Vec<Child> = processes
            .into_iter()
            .enumerate()
            .map(|(number, mut process)| {
                let mut input = process.stdin.take().unwrap();
                writeln!(input, "+5491155{number:06}").unwrap();
                inputs.push(input);
                process
            })
            .collect();
        drop(inputs);
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {output:?}");
            let reply = String::from_utf8(output.stdout).unwrap();
            assert_eq!(reply, "{\"inserted\":1,\"reactivated\":0,\"unchanged\":0}\n");
        }
        let count = home.sqlite("SELECT count(*) FROM pairing_allow_from; PRAGMA integrity_check");
        assert_eq!(count, format!("{}\nok\n", before + PROCESSES), "round {round}");
    }
    println!("{what}: {ROUNDS} times {PROCESSES} processes in {:.1?}", started.elapsed());
}

fn seed(home: &Home) -> Child {
    let mut command = home.command(&["seed", "whatsapp", "personal", "--file", "-", "--json"]);
    command.stdin(Stdio::piped()).spawn().unwrap()
}
