//! The rules for setup codes and their sessions.

use nexo_pairing::{SessionId, SessionToken};

use crate::rules::{DAY, Key, LEEWAY, Model, holds};

/// How many setup codes there are.
pub(crate) const CODES: usize = 4;

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) id: SessionId,
    pub(crate) issued: i64,
    pub(crate) expires: i64,
    pub(crate) renew_until: i64,
    pub(crate) seen: Option<i64>,
    pub(crate) revoked: Option<i64>,
    pub(crate) is_purged: bool,
}

impl Device {
    pub(crate) fn is_live(&self, now: i64) -> bool {
        !self.is_purged && self.revoked.is_none() && holds(now, self.issued, self.expires)
    }

    pub(crate) fn wants_touch(&self, now: i64) -> bool {
        self.seen.is_none_or(|seen| now < seen - LEEWAY || now >= seen + 60)
    }

    /// It is live, or will be once a clock that was set back is right again.
    fn can_end(&self, now: i64) -> bool {
        !self.is_purged && self.revoked.is_none() && now < self.expires
    }
}

/// The end of a setup code: cancelled, or used for a session (by its number) with a claim id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    Cancelled,
    Claimed(usize, Option<u64>),
}

/// The effect of redeeming a setup code.
#[derive(Debug)]
pub(crate) enum Redeemed {
    Expired,
    Cancelled,
    /// A new session.
    Issued,
    /// The session with this number gets another token.
    Reissued(usize),
    /// It was used for this session before, which this replay ended or not.
    Replayed(usize, bool),
}

/// Repeated claims of a code, for one action of the audit log: the first five have an entry
/// each, later ones share one a minute.
#[derive(Debug, Default)]
struct Repeats {
    total: u64,
    audited: u64,
    audited_at: Option<i64>,
}

impl Repeats {
    fn is_due(&self, now: i64) -> bool {
        self.total <= 5 || self.audited_at.is_none_or(|at| now < at || now >= at + 60)
    }
}

/// The actions that have [`Repeats`], in the order in which they are audited.
const REPEATS: [&str; 2] = ["replay", "session_reissued"];

#[derive(Debug, Default)]
pub(crate) struct Devices {
    repeats: [[Repeats; REPEATS.len()]; CODES],
    pub(crate) codes: [Option<Use>; CODES],
    pub(crate) all: Vec<Device>,
    /// Every token ever issued, and its session; `None` if there is a newer one.
    pub(crate) tokens: Vec<(SessionToken, Option<usize>)>,
}

impl Devices {
    /// Expires overdue sessions, and forgets those that ended a month ago.
    fn purge(&mut self, now: i64) -> u64 {
        let month_ago = now - 30 * DAY;
        let mut purged = 0;
        for device in self.all.iter_mut().filter(|device| !device.is_purged) {
            if device.revoked.is_none() && device.expires <= now {
                device.revoked = Some(device.expires);
            }
            let ended_long_ago = device.revoked.is_some_and(|at| at <= month_ago);
            device.is_purged = ended_long_ago && device.expires <= now;
            purged += u64::from(device.is_purged);
        }
        purged
    }

    /// The device of a token, if its session is live.
    pub(crate) fn live(&self, of: Option<usize>, now: i64) -> Option<usize> {
        of.filter(|number| self.all[*number].is_live(now))
    }
}

impl Model {
    pub(crate) fn redeem(
        &mut self,
        code: usize,
        expires: i64,
        claim: Option<u64>,
        refuse: bool,
    ) -> Redeemed {
        let now = self.now;
        if now >= expires {
            return Redeemed::Expired;
        }
        match self.devices.codes[code] {
            None => {
                self.note_device("session_issued");
                Redeemed::Issued
            }
            Some(Use::Cancelled) => Redeemed::Cancelled,
            Some(Use::Claimed(number, first)) => {
                let device = &mut self.devices.all[number];
                let is_same = claim.is_some() && claim == first;
                if is_same && device.is_live(now) {
                    self.repeated(code, 1, false);
                    return Redeemed::Reissued(number);
                }
                let ends = !is_same && !refuse && device.can_end(now);
                if ends {
                    device.revoked = Some(now);
                }
                self.repeated(code, 0, ends);
                Redeemed::Replayed(number, ends)
            }
        }
    }

    /// Adds the session of a setup code.
    pub(crate) fn issued(&mut self, code: usize, claim: Option<u64>, device: Device) -> usize {
        let number = self.devices.all.len();
        self.devices.all.push(device);
        self.devices.codes[code] = Some(Use::Claimed(number, claim));
        number
    }

    pub(crate) fn touch(&mut self, number: usize) {
        let now = self.now;
        let device = &mut self.devices.all[number];
        if device.is_live(now) && device.wants_touch(now) {
            device.seen = Some(now);
        }
    }

    pub(crate) fn renew(&mut self, of: Option<usize>, ttl: i64) -> Option<usize> {
        let live = self.devices.live(of, self.now);
        if let Some(number) = live {
            let device = &mut self.devices.all[number];
            device.expires = device.expires.max((self.now + ttl).min(device.renew_until));
        }
        live
    }

    /// Ends a session, if it can be ended.
    pub(crate) fn end(&mut self, number: usize, actor: &str, action: &str) -> bool {
        let (now, device) = (self.now, &mut self.devices.all[number]);
        let ends = device.can_end(now);
        if ends {
            device.revoked = Some(now);
            self.note(actor, action, &Key::default());
        }
        ends
    }

    /// Counts a repeated claim.
    fn repeated(&mut self, code: usize, action: usize, is_audited: bool) {
        let repeats = &mut self.devices.repeats[code][action];
        repeats.total += 1;
        if is_audited || repeats.is_due(self.now) {
            self.audit_repeats(code, action);
        }
    }

    fn audit_repeats(&mut self, code: usize, action: usize) {
        let repeats = &mut self.devices.repeats[code][action];
        repeats.audited = repeats.total;
        repeats.audited_at = Some(self.now);
        self.note_device(REPEATS[action]);
    }

    /// Audits counted claims without an entry, and forgets what ended a month ago.
    pub(crate) fn purge_devices(&mut self) -> u64 {
        for code in 0..CODES {
            for action in 0..REPEATS.len() {
                let repeats = &self.devices.repeats[code][action];
                if repeats.total > repeats.audited && repeats.is_due(self.now) {
                    self.audit_repeats(code, action);
                }
            }
        }
        self.devices.purge(self.now)
    }

    fn note_device(&mut self, action: &str) {
        self.note("device", action, &Key::default());
    }
}
