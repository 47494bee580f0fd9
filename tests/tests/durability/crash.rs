//! All processes on a database are killed at once, at random moments, again and again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nexo_pairing_tests::{Home, Output, message, rounds};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::story::{STEPS, States, Story, is_sound, reference};

/// How many stories run at once, beside a gate without a pause.
const TELLERS: u32 = 3;

/// Processes that are killed together.
struct Group {
    leader: Child,
    is_over: AtomicBool,
}

impl Group {
    fn new() -> Self {
        let mut leader = Command::new("sleep");
        let leader = leader.arg("1000").process_group(0).spawn().unwrap();
        Self { leader, is_over: AtomicBool::new(false) }
    }

    /// Adds a command to them; none is started any more once they are killed.
    fn with(&self, mut command: Command) -> Option<Command> {
        command.process_group(self.leader.id().try_into().unwrap());
        (!self.is_over.load(Ordering::SeqCst)).then_some(command)
    }

    /// Kills them all; to be repeated until no thread is left that could start one.
    fn kill(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        kill_process_group(Pid::from_child(&self.leader), Signal::KILL).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // As a zombie, it stays in the group until then.
        let _ = self.leader.wait();
    }
}

/// Pseudo-random moments, the same in each run of the same length.
struct Moments(u64);

impl Default for Moments {
    fn default() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }
}

impl Moments {
    /// At most so many milliseconds.
    fn next(&mut self, most: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % (1000 * most))
    }
}

/// Runs stories until all are killed.
fn tell(home: &Home, group: &Group, names: &AtomicU64) -> Vec<Story> {
    let mut stories = Vec::new();
    loop {
        let mut story = Story::new(format!("s{}", names.fetch_add(1, Ordering::Relaxed)));
        while story.done < STEPS {
            let (args, input) = story.next();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let command = group.with(home.command(&args));
            let output = command.and_then(|command| Output::of_with(command, input).ok());
            let Some(output) = output else {
                stories.push(story);
                return stories;
            };
            if !story.answered(&output) {
                assert_eq!(output.code, -9, "{args:?} failed by itself: {output:?}");
            }
            if story.is_open {
                stories.push(story);
                return stories;
            }
        }
        stories.push(story);
    }
}

/// A gate challenges one stranger after the other until it is killed; returns their accounts and codes.
fn challenge(home: &Home, group: &Group, names: &AtomicU64) -> Vec<(String, String)> {
    let mut challenged = Vec::new();
    let Some(mut command) = group.with(home.command(&["gate", "--auto-challenge"])) else {
        return challenged;
    };
    let Ok(mut gate) = command.stdin(Stdio::piped()).spawn() else { return challenged };
    let mut input = gate.stdin.take().unwrap();
    let mut output = BufReader::new(gate.stdout.take().unwrap()).lines();
    loop {
        let account = format!("g{}", names.fetch_add(1, Ordering::Relaxed));
        let said = writeln!(input, "{}", message("telegram", &account, "1"));
        let answer = output.next().and_then(Result::ok).filter(|_| said.is_ok());
        let answer: Option<Value> = answer.and_then(|line| serde_json::from_str(&line).ok());
        let Some(answer) = answer else { break };
        assert_eq!(answer["decision"], "challenge", "{answer}");
        challenged.push((account, answer["code"].as_str().unwrap().to_owned()));
        // The message that would be sent.
        if output.next().is_none() {
            break;
        }
    }
    gate.wait().unwrap();
    challenged
}

/// `NEXO_PAIRING_KILLS` sets how often they are killed.
#[test]
fn acknowledged_commands_survive_the_death_of_all_processes() {
    let (home, names, reference) = (Home::new(), AtomicU64::new(0), reference());
    home.json(&["seed", "telegram", "first", "1"]);
    let mut moments = Moments::default();
    let (mut stories, mut codes) = (Vec::new(), Vec::new());
    let (mut acknowledged, mut cut_off, mut kept) = (0, 0, 0);
    for _ in 0..rounds("NEXO_PAIRING_KILLS", 50) {
        let group = Group::new();
        let (mut reply, mut challenged) = (Vec::new(), Vec::new());
        thread::scope(|scope| {
            let (home, group, names) = (&home, &group, &names);
            let gate = scope.spawn(move || challenge(home, group, names));
            let tell = || scope.spawn(move || tell(home, group, names));
            let tellers: Vec<_> = (0..TELLERS).map(|_| tell()).collect();
            thread::sleep(moments.next(300));
            group.kill();
            while !(gate.is_finished() && tellers.iter().all(|teller| teller.is_finished())) {
                group.kill();
                thread::sleep(Duration::from_millis(1));
            }
            reply = tellers.into_iter().flat_map(|teller| teller.join().unwrap()).collect();
            challenged = gate.join().unwrap();
        });
        drop(group);
        let states = States::read(&home);
        for mut story in reply {
            let (done, was_open) = (story.done, story.is_open);
            story.settle(&states, &reference);
            acknowledged += done;
            cut_off += u32::from(was_open);
            kept += u32::from(story.done > done);
            stories.push(story);
        }
        acknowledged += challenged.len();
        codes.extend(challenged);
        is_sound(&home);
    }
    // And what survived one kill survived the later ones, too.
    let states = States::read(&home);
    stories.iter_mut().for_each(|story| story.settle(&states, &reference));
    let pending = home.sqlite("SELECT account_id || ' ' || code FROM pairing_pending");
    let pending: std::collections::HashSet<&str> = pending.lines().collect();
    for (account, code) in &codes {
        assert!(pending.contains(format!("{account} {code}").as_str()), "{account} {code} is lost");
    }
    println!(
        "{acknowledged} operations were acknowledged, {cut_off} were cut off, of which {kept} are done"
    );
    assert!(acknowledged > 0 && cut_off > 0, "the attack had no effect");
    let doctor = home.run(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
}

/// `NEXO_PAIRING_KILLS` sets how often one is killed.
#[test]
fn the_next_command_finishes_an_unfinished_database() {
    let mut moments = Moments::default();
    let (mut finished, mut begun) = (0, 0);
    // Earlier after one that was done, later after one that had not begun: so it adapts to any machine.
    let mut most = 64;
    for _ in 0..rounds("NEXO_PAIRING_KILLS", 50) {
        let home = Home::new();
        let mut first = home.command(&["seed", "telegram", "first", "1"]).spawn().unwrap();
        thread::sleep(moments.next(most));
        first.kill().unwrap();
        let first = first.wait_with_output().unwrap();
        let has_begun = home.database().exists();
        begun += u32::from(has_begun);
        home.json(&["seed", "telegram", "second", "2"]);
        let listed = home.json(&["list", "--all"]);
        let allowed = listed["allow"].as_array().unwrap().len();
        if String::from_utf8(first.stdout).unwrap().contains("written to") {
            finished += 1;
            most = (most * 3 / 4).max(1);
            assert_eq!(allowed, 2, "{listed}");
        } else {
            assert!(matches!(allowed, 1 | 2), "{listed}");
        }
        if !has_begun {
            most = (most * 2).min(2000);
        }
        is_sound(&home);
    }
    println!("{begun} databases were begun, {finished} finished, the last within {most} ms");
    assert!(begun > finished, "the attack had no effect");
}
