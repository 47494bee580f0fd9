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
    remarks: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    marks: u32,
    /// How many lines were written, and the beginning of the next one.
    lines: u64,
    begun: Vec<u8>,
    /// The lines that have no answer yet.
    unanswered: RefCell<BTreeSet<u64>>,
}

impl Gate {
    /// Starts the command.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let mut stderr = child.stderr.take().expect("standard error is a pipe");
        let (answered, answers) = mpsc::channel();
        let remarks = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&remarks);
        let readers = vec![
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let line = line.expect("the gate writes UTF-8");
                    // A test that has ended wants no more.
                    if answered.send((Instant::now(), line)).is_err() {
                        return;
                    }
                }
            }),
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(length @ 1..) = stderr.read(&mut chunk) {
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.extend_from_slice(&chunk[..length]);
                }
            }),
        ];
        let input = child.stdin.take();
        let (lines, begun, unanswered) = (0, Vec::new(), RefCell::default());
        Self { child, input, answers, remarks, readers, marks: 0, lines, begun, unanswered }
    }

    /// Says a message; everything that is answered to it.
    pub fn say(&mut self, message: &Value) -> Vec<Value> {
        self.write(format!("{message}\n"));
        self.sync()
    }

    /// Says a message that has one answer.
    pub fn ask(&mut self, message: &Value) -> Value {
        let mut answers = self.say(message);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// Says a message again and again until its decision is another one than `old`, because another
    /// process has changed the database: a gate may take 50 ms to see that. Everything that is
    /// answered the last time.
    pub fn say_until_not(&mut self, old: &Value, message: &Value) -> Vec<Value> {
        wait_for("another decision", || {
            let answers = self.say(message);
            (answers[0]["decision"] != old["decision"] || answers[0]["reason"] != old["reason"])
                .then_some(answers)
        })
    }

    /// Everything that is answered to what was written before, in the order of its lines.
    pub fn sync(&mut self) -> Vec<Value> {
        let mut answers = Vec::new();
        loop {
            self.read_until_marked(&mut answers);
            if self.unanswered.borrow().is_empty() {
                break;
            }
            // A line waits for the store. What is sent with its decision comes before the next mark.
            while !self.unanswered.borrow().is_empty() {
                answers.push(self.read());
            }
        }
        answers.sort_by_key(line_of);
        answers
    }

    /// Writes a line of a plugin's own, whose answer is known, and reads what is answered before it.
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
        written.unwrap_or_else(|error| panic!("{error}; the gate said: {}", self.remarks()));
    }

    /// The next line that it answers.
    #[must_use]
    pub fn read(&self) -> Value {
        self.read_timed().1
    }

    /// The next line that it answers, and when it came.
    #[must_use]
    pub fn read_timed(&self) -> (Instant, Value) {
        match self.answers.recv_timeout(DEADLINE) {
            Ok((at, line)) => (at, self.json(&line)),
            Err(RecvTimeoutError::Timeout) => {
                panic!("waited in vain for an answer; the gate said: {}", self.remarks())
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!("the gate has ended; it said: {}", self.remarks())
            }
        }
    }

    /// Waits until it has said this on standard error, so many times.
    pub fn wait_until_it_says(&self, what: &str, times: usize) {
        wait_for(what, || (self.remarks().matches(what).count() >= times).then_some(()));
    }

    /// What it has answered until now, and was not read.
    #[must_use]
    pub fn answered(&self) -> Vec<Value> {
        self.answers.try_iter().map(|(_, line)| self.json(&line)).collect()
    }

    /// An answer, which is noted as one.
    fn json(&self, line: &str) -> Value {
        let answer = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.unanswered.borrow_mut().remove(&line_of(&answer));
        answer
    }

    /// What it has said on standard error until now.
    #[must_use]
    pub fn remarks(&self) -> String {
        let remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&remarks).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the gate runs");
    }

    /// The memory that it has in use (`VmRSS`), in kilobytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        memory_of(&self.child)
    }

    /// How long it has kept a processor busy until now.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        cpu_time_of(&self.child)
    }

    /// Ends its input; how it ended and what it still answered.
    #[must_use]
    pub fn end(mut self) -> Output {
        self.input = None;
        self.ended()
    }

    /// Waits for its end, with its input open; how it ended and what it still answered.
    #[must_use]
    pub fn ended(mut self) -> Output {
        let status = wait_for("the gate's end", || self.child.try_wait().expect("it is a child"));
        for reader in self.readers.drain(..) {
            reader.join().expect("its streams can be read");
        }
        let stdout = self.answers.try_iter().map(|(_, line)| line + "\n").collect();
        Output { code: exit_code(status), stdout, stderr: self.remarks() }
    }
}

/// The number of the line that an answer of a gate on a pipe belongs to; 0 for one on a bus.
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
