//! A story: what an operator and a gate do on one account, one command after the other. An undisturbed
//! story gives the expected database after each command.

use std::collections::BTreeMap;

use nexo_pairing_tests::{Home, Output, message};
use serde_json::Value;

/// How many commands there are in a story.
pub(crate) const STEPS: usize = 9;

/// All that the database has on an account, without codes and times.
pub(crate) type State = Vec<String>;

/// A story and its progress.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) account: String,
    /// How many of its commands were acknowledged.
    pub(crate) done: usize,
    /// Whether the next one was started and its result is unknown.
    pub(crate) is_open: bool,
    code: String,
}

impl Story {
    pub(crate) fn new(account: String) -> Self {
        Self { account, done: 0, is_open: false, code: String::new() }
    }

    /// The next command: its arguments and its standard input.
    pub(crate) fn next(&self) -> (Vec<String>, String) {
        let of = |id: &str| format!("telegram:{id}");
        let request = |from: &str| format!("{}\n", message("telegram", &self.account, from));
        let (one, account) = (["--account", &self.account], self.account.as_str());
        let seed = ["seed", "telegram", account, "2", "3", "4", "5", "6"];
        let (args, input) = match self.done {
            0 => (vec!["gate", "--auto-challenge"], request("1")),
            1 => (vec!["approve", &self.code, "--for", "7d"], String::new()),
            2 => (seed.to_vec(), String::new()),
            3 => ([&["block", "telegram:2"], &one[..]].concat(), String::new()),
            4 => ([&["revoke", "telegram:3"], &one[..]].concat(), String::new()),
            5 => ([&["unblock", "telegram:2"], &one[..]].concat(), String::new()),
            6 => (vec!["gate", "--auto-challenge"], request("7")),
            7 => (vec!["reject", &self.code], String::new()),
            8 => ([&["forget", "telegram:4"], &one[..]].concat(), String::new()),
            _ => panic!("the story is over: {}", of(account)),
        };
        let mut args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        args.push("--json".to_owned());
        (args, input)
    }

    /// Processes the result of a command and returns whether it was acknowledged.
    pub(crate) fn answered(&mut self, output: &Output) -> bool {
        let answer = output.stdout.lines().next().unwrap_or_default();
        // Written at once; a part of it is not valid JSON.
        let answer: Option<Value> = serde_json::from_str(answer).ok();
        let is_request = matches!(self.done, 0 | 6);
        let is_done = answer.as_ref().is_some_and(|answer| {
            answer.get("error").is_none() && (!is_request || answer["decision"] == "challenge")
        });
        self.is_open = !is_done;
        if is_done {
            if let (true, Some(code)) =
                (is_request, answer.and_then(|it| Some(it["code"].as_str()?.to_owned())))
            {
                self.code = code;
            }
            self.done += 1;
        }
        is_done
    }

    /// Compares the database with the allowed states, and notes the progress of the story.
    pub(crate) fn settle(&mut self, states: &States, reference: &[State]) {
        let state = states.of(&self.account);
        let may_be = [self.done, (self.done + usize::from(self.is_open)).min(STEPS)];
        let found = may_be.into_iter().find(|done| state == reference[*done]);
        self.done = found.unwrap_or_else(|| {
            panic!("{self:?}: {state:#?}, not one of {:#?}", may_be.map(|done| &reference[done]))
        });
        self.is_open = false;
    }

    /// Finds the code of a request whose answer was lost.
    pub(crate) fn look_up(&mut self, home: &Home) {
        if matches!(self.done, 1 | 7) {
            let sql =
                format!("SELECT code FROM pairing_pending WHERE account_id = '{}'", self.account);
            self.code = home.sqlite(&sql).trim().to_owned();
        }
    }
}

/// The database before a story and after each of its commands.
pub(crate) fn reference() -> Vec<State> {
    let home = Home::new();
    let mut story = Story::new("reference".to_owned());
    let mut states = vec![State::new()];
    for _ in 0..STEPS {
        let (args, input) = story.next();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = home.run_with(&args, input);
        assert!(output.code == 0 && story.answered(&output), "{args:?}: {output:?}");
        states.push(States::read(&home).of("reference"));
    }
    for (before, after) in states.iter().zip(&states[1..]) {
        assert_ne!(before, after, "each command leaves a trace");
    }
    states
}

/// What the database has on every account.
pub(crate) struct States(BTreeMap<String, State>);

impl States {
    pub(crate) fn read(home: &Home) -> Self {
        let reply = home.sqlite(
            "SELECT account_id || ' pending ' || sender_id || ' ' || (expires_at - created_at)
                FROM pairing_pending
            UNION ALL SELECT account_id || ' grant ' || sender_id
                    || CASE WHEN revoked_at IS NULL THEN '' ELSE ' revoked by ' || revoked_via END
                    || coalesce(' for ' || (expires_at - approved_at), '')
                FROM pairing_allow_from
            UNION ALL SELECT account_id || ' block ' || sender_id FROM pairing_blocked
            UNION ALL SELECT account_id || ' finished ' || sender_id || ' ' || outcome
                FROM pairing_finished
            UNION ALL SELECT account_id || ' log ' || action || ' ' || actor || ' '
                    || CASE WHEN sender_id LIKE 'sha256:%' THEN '#' ELSE coalesce(sender_id, '') END
                FROM pairing_audit WHERE account_id IS NOT NULL
            ORDER BY 1",
        );
        let mut states = BTreeMap::<String, State>::new();
        for line in reply.lines() {
            let (account, state) = line.split_once(' ').unwrap();
            states.entry(account.to_owned()).or_default().push(state.to_owned());
        }
        Self(states)
    }

    pub(crate) fn of(&self, account: &str) -> State {
        self.0.get(account).cloned().unwrap_or_default()
    }
}

/// Asserts that the file is sound.
pub(crate) fn is_sound(home: &Home) {
    assert_eq!(home.sqlite("PRAGMA integrity_check").trim(), "ok");
}
