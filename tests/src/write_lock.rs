//! Another process that holds the write lock of a database.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::Home;

/// The program `sqlite3` in a transaction that makes every other writer wait.
#[derive(Debug)]
pub struct WriteLock {
    process: Child,
}

impl WriteLock {
    /// Takes the write lock of a home's database; it is held once this returns.
    #[must_use]
    pub fn take(home: &Home) -> Self {
        let mut command = Command::new("sqlite3");
        command.args(["-batch", "-bail", "-init", "/dev/null", "-cmd", ".timeout 10000"]);
        command.arg(home.database()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("sqlite3 is installed");
        let mut input = process.stdin.as_ref().expect("standard input is a pipe");
        input.write_all(b"BEGIN IMMEDIATE;\n.print held\n").expect("sqlite3 reads");
        let mut answer = String::new();
        let output = process.stdout.as_mut().expect("standard output is a pipe");
        BufReader::new(output).read_line(&mut answer).expect("sqlite3 answers");
        assert_eq!(answer, "held\n");
        Self { process }
    }

    /// Releases it; nothing was changed.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // The end of its input ends the program and its transaction.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
