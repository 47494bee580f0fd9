//! How requests and grants end, and how long that is remembered.

use crate::rules::{DAY, Entry, HOUR, Key, LEEWAY, Model, Request, holds};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    Approved,
    Rejected,
    Blocked,
    Expired,
}

/// A request that ended.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) key: Key,
    pub(crate) code: String,
    pub(crate) outcome: Outcome,
    pub(crate) at: i64,
    /// How many codes of this sender had expired in a row.
    strikes: usize,
}

/// How long a sender waits after so many expired codes in a row: an hour from the second on, then
/// twice as long each time, at most a day.
fn wait_after(strikes: usize) -> i64 {
    [0, 0, 1, 2, 4, 8, 16].get(strikes).map_or(DAY, |hours| hours * HOUR)
}

impl Model {
    /// How many requests expired and were not counted before.
    pub(crate) fn purge(&mut self) -> u64 {
        let before = self.requests.len();
        self.expire();
        let (now, day_ago, year_ago) = (self.now, self.now - DAY, self.now - 365 * DAY);
        self.finished.retain(|Finished { at, outcome, .. }| {
            *at > day_ago - if *outcome == Outcome::Expired { 2 * DAY } else { 0 }
        });
        self.attempts.retain(|attempt| attempt.at > day_ago);
        // The log before the first entry that is kept; entries from the future do not count.
        let is_kept = |(at, ..): &Entry| year_ago < *at && *at <= now + LEEWAY;
        let first = self.log.iter().position(is_kept).unwrap_or(self.log.len());
        let mut index = 0..;
        self.log
            .retain(|(at, ..)| index.next().is_some_and(|index| index >= first || *at > year_ago));
        self.purge_devices();
        u64::try_from(before - self.requests.len()).unwrap()
    }

    /// Expires overdue rows, and requests from the future.
    pub(crate) fn expire(&mut self) {
        let now = self.now;
        let is_due = |request: &&Request| request.until <= now || request.since > now + LEEWAY;
        let due: Vec<Request> = self.requests.iter().filter(is_due).cloned().collect();
        for request in due {
            let at = request.until.min(now);
            // After a day without messages, the count of a sender starts again.
            let before = self.last_of(&request.key).filter(|last| {
                let span = wait_after(last.strikes) + DAY;
                last.outcome == Outcome::Expired && request.since < last.at + span
            });
            let strikes = before.map_or(0, |last| last.strikes) + usize::from(request.since <= at);
            self.finish(&request, Outcome::Expired, at, strikes);
            self.note("gate", "expire", &request.key);
        }
        for grant in self.grants.values_mut().filter(|grant| grant.revoked.is_none()) {
            grant.revoked = grant.until.filter(|until| *until <= now);
        }
    }

    /// Removes a request.
    pub(crate) fn finish(&mut self, request: &Request, outcome: Outcome, at: i64, strikes: usize) {
        self.requests.retain(|other| other != request);
        let (key, code) = (request.key.clone(), request.code.clone());
        self.finished.push(Finished { key, code, outcome, at, strikes });
    }

    fn last_of(&self, key: &Key) -> Option<&Finished> {
        self.finished.iter().rfind(|finished| finished.key == *key)
    }

    /// Whether a sender was rejected within a day, or has to wait after expired codes.
    pub(crate) fn waits(&self, key: &Key) -> bool {
        self.last_of(key).is_some_and(|last| {
            let seconds = match last.outcome {
                Outcome::Rejected => DAY,
                Outcome::Expired => wait_after(last.strikes),
                Outcome::Approved | Outcome::Blocked => 0,
            };
            seconds > 0 && holds(self.now, last.at, last.at + seconds)
        })
    }
}
