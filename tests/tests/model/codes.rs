//! The rules for an operator's codes: their effect, their errors, and the cost of guessing.

use crate::ends::Outcome;
use crate::rules::{DAY, Key, LEEWAY, Model, Request};

const WINDOW: i64 = 600;

/// The kind of a wrong code, and its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Unknown,
    Mistyped,
    Lockout,
}

/// A wrong code of an actor.
#[derive(Debug)]
pub(crate) struct Attempt {
    actor: String,
    pub(crate) at: i64,
    kind: Kind,
}

impl Attempt {
    fn counts(&self, now: i64) -> bool {
        now - WINDOW < self.at && self.at <= now + LEEWAY
    }
}

/// The error for an operator's code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    Mistyped,
    Unknown { left: usize },
    LockedOut { remaining: i64 },
    Used(Outcome, Key, i64),
}

/// A code as typed, and whether its check character fits.
pub(crate) type Typed<'a> = (&'a str, bool);

impl Model {
    pub(crate) fn approve(
        &mut self,
        code: Typed<'_>,
        actor: &str,
        limit: Option<i64>,
    ) -> Result<Key, Refusal> {
        let request = self.find(code, actor)?;
        self.grant(&request.key, actor, limit.map(|limit| self.now + limit));
        self.finish(&request, Outcome::Approved, self.now, 0);
        self.note(actor, "approve", &request.key);
        Ok(request.key)
    }

    pub(crate) fn reject(&mut self, code: Typed<'_>, actor: &str) -> Result<Key, Refusal> {
        let request = self.find(code, actor)?;
        self.finish(&request, Outcome::Rejected, self.now, 0);
        self.note(actor, "reject", &request.key);
        Ok(request.key)
    }

    pub(crate) fn unlock(&mut self, locked: &str, actor: &str) -> bool {
        let now = self.now;
        let mut of_his = self.attempts.iter().filter(|attempt| attempt.actor == locked);
        let is_anything = of_his.any(|attempt| attempt.counts(now));
        self.attempts.retain(|attempt| attempt.actor != locked);
        if is_anything {
            self.note(actor, "unlock", &Key::default());
        }
        is_anything
    }

    /// The request with the code, or the error for its actor.
    fn find(&mut self, (code, is_consistent): Typed<'_>, actor: &str) -> Result<Request, Refusal> {
        let now = self.now;
        if let Some(since) = self.counting(actor, Kind::Lockout).max() {
            return Err(Refusal::LockedOut { remaining: since + WINDOW - now });
        }
        self.expire();
        if let Some(request) = self.requests.iter().find(|request| request.code == code) {
            return Ok(request.clone());
        }
        let summary = self.finished.iter().rfind(|finished| {
            let is_lately = now - DAY < finished.at && finished.at <= now + LEEWAY;
            finished.code == code && is_lately
        });
        if let Some(summary) = summary {
            // Blocks are not revealed.
            let outcome = match summary.outcome {
                Outcome::Blocked => Outcome::Rejected,
                outcome => outcome,
            };
            return Err(Refusal::Used(outcome, summary.key.clone(), summary.at));
        }
        if !is_consistent && self.counting(actor, Kind::Mistyped).count() < 30 {
            self.attempt(actor, Kind::Mistyped);
            return Err(Refusal::Mistyped);
        }
        let attempts = self.counting(actor, Kind::Unknown).count() + 1;
        if attempts < 5 {
            self.attempt(actor, Kind::Unknown);
            return Err(Refusal::Unknown { left: 5 - attempts });
        }
        self.attempts.retain(|attempt| attempt.actor != actor);
        self.attempt(actor, Kind::Lockout);
        self.note(actor, "lockout", &Key::default());
        Err(Refusal::LockedOut { remaining: WINDOW })
    }

    /// The times of an actor's wrong codes of a kind that count now.
    fn counting(&self, actor: &str, kind: Kind) -> impl Iterator<Item = i64> {
        let now = self.now;
        let counting = self.attempts.iter().filter(move |attempt| {
            attempt.actor == actor && attempt.kind == kind && attempt.counts(now)
        });
        counting.map(|attempt| attempt.at)
    }

    fn attempt(&mut self, actor: &str, kind: Kind) {
        self.attempts.push(Attempt { actor: actor.to_owned(), at: self.now, kind });
    }
}
