//! A running `nexo-pair gate`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::home::exit_code;
use crate::{DEADLINE, Output, cpu_time_of, memory_of, wait_for};

/// A running `nexo-pair gate`, which ends with its handle.
#[derive(Debug)]
pub struct Gate {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<(Instant, String)>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    marks: u32,
    /// How many lines were written, and the start of the next one.
    lines: u64,
    begun: Vec<u8>,
    /// The lines without an answer yet.
    unanswered: RefCell<BTreeSet<u64>>,
}

impl Gate {
    /// Starts the command.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let mut pipe = child.stderr.take().expect("standard error is a pipe");
        let (answered, answers) = mpsc::channel();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&stderr);
        let readers = vec![
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let line = line.expect("the gate writes UTF-8");
                    // The test has ended, and receives no more.
                    if answered.send((Instant::now(), line)).is_err() {
                        return;
                    }
                }
            }),
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    shared.extend_from_slice(&chunk[..length]);
                }
            }),
        ];
        let input = child.stdin.take();
        let (lines, begun, unanswered) = (0, Vec::new(), RefCell::default());
        Self { child, input, answers, stderr, readers, marks: 0, lines, begun, unanswered }
    }

    /// Sends a message and returns all answers to it.
    pub fn send(&mut self, message: &Value) -> Vec<Value> {
        self.write(format!("{message}\n"));
        self.sync()
    }

    /// Sends a message that has one answer.
    pub fn ask(&mut self, message: &Value) -> Value {
        let mut answers = self.send(message);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// Repeats a message until its decision differs from `old`, because another process has changed
    /// the database: a gate may take 50 ms to notice. Returns all answers to the last one.
    pub fn send_until_not(&mut self, old: &Value, message: &Value) -> Vec<Value> {
        wait_for("another decision", || {
            let answers = self.send(message);
            (answers[0]["decision"] != old["decision"] || answers[0]["reason"] != old["reason"])
                .then_some(answers)
        })
    }

    /// All answers to the lines written so far, in the order of the lines.
    pub fn sync(&mut self) -> Vec<Value> {
        let mut answers = Vec::new();
        loop {
            self.read_until_marked(&mut answers);
            if self.unanswered.borrow().is_empty() {
                break;
            }
            // A line waits for the store. Messages sent with its decision come before the next mark.
            while !self.unanswered.borrow().is_empty() {
                answers.push(self.read());
            }
        }
        answers.sort_by_key(line_of);
        answers
    }

    /// Writes a notice, whose answer is known, and reads the answers before it.
    fn read_until_marked(&mut self, answers: &mut Vec<Value>) {
        self.marks += 1;
        let mark = self.marks.to_string();
        let topic = format!("plugin.inbound.mark.{mark}");
        let line = json!({"topic": topic, "payload": {"kind": "connected"}});
        self.write(format!("{line}\n"));
        loop {
            let answer = self.read();
            if answer["channel"] == "mark" && answer["account"] == mark.as_str() {
                return;
            }
            answers.push(answer);
        }
    }

    /// Writes bytes to its standard input.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        for part in bytes.as_ref().split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if self.begun.ends_with(b"\n") {
                self.lines += 1;
                if !self.begun.trim_ascii().is_empty() {
                    self.unanswered.borrow_mut().insert(self.lines);
                }
                self.begun.clear();
            }
        }
        let input = self.input.as_mut().expect("standard input is open");
        let written = input.write_all(bytes.as_ref()).and_then(|()| input.flush());
        written.unwrap_or_else(|error| panic!("{error}; the gate said: {}", self.stderr()));
    }

    /// The next answer.
    #[must_use]
    pub fn read(&self) -> Value {
        self.read_timed().1
    }

    /// The next answer, and when it came.
    #[must_use]
    pub fn read_timed(&self) -> (Instant, Value) {
        match self.answers.recv_timeout(DEADLINE) {
            Ok((at, line)) => (at, self.json(&line)),
            Err(RecvTimeoutError::Timeout) => {
                panic!("waited in vain for an answer; the gate said: {}", self.stderr())
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!("the gate has ended; it said: {}", self.stderr())
            }
        }
    }

    /// Waits until this is on standard error, so many times.
    pub fn wait_for_stderr(&self, what: &str, times: usize) {
        wait_for(what, || (self.stderr().matches(what).count() >= times).then_some(()));
    }

    /// The answers that have come and were not read.
    #[must_use]
    pub fn unread(&self) -> Vec<Value> {
        self.answers.try_iter().map(|(_, line)| self.json(&line)).collect()
    }

    /// Counts a line as an answer.
    fn json(&self, line: &str) -> Value {
        let answer = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.unanswered.borrow_mut().remove(&line_of(&answer));
        answer
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&stderr).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the gate runs");
    }

    /// Its resident memory (`VmRSS`), in kilobytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        memory_of(&self.child)
    }

    /// Its CPU time so far.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        cpu_time_of(&self.child)
    }

    /// Closes its input and returns its exit status and remaining output.
    #[must_use]
    pub fn end(mut self) -> Output {
        self.input = None;
        self.wait()
    }

    /// Waits for its end, with its input open, and returns its exit status and remaining output.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let status = wait_for("the gate's end", || self.child.try_wait().expect("it is a child"));
        for reader in self.readers.drain(..) {
            reader.join().expect("its streams can be read");
        }
        let stdout = self.answers.try_iter().map(|(_, line)| line + "\n").collect();
        Output { code: exit_code(status), stdout, stderr: self.stderr() }
    }
}

/// The number of the line that an answer belongs to; 0 for a gate on a bus.
#[must_use]
pub fn line_of(answer: &Value) -> u64 {
    let line = answer.get("error").map_or(&answer["line"], |error| &error["line"]);
    line.as_u64().unwrap_or_default()
}

impl Drop for Gate {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
