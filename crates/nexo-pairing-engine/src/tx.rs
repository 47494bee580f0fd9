//! The transaction of an operation: time, locks, the audit log, and the end of requests and grants.

use std::time::Duration;

use nexo_pairing_core::rules::{EndedRequest, RequestEnd};
use nexo_pairing_core::{
    AccountScope, Actor, AuditAction, AuditEvent, ChannelId, Filter, PairingCode, PeerAddress,
    SenderId, SenderKey, Session, Target, limits, metric,
};
use serde_json::{Value, json};

use crate::port::{
    AuditRow, GrantEnd, LockKey, OutcomeRow, Overdue, PortResult, RequestRow, Rows, Sha256, at,
};

/// The most overdue requests, and grants, that a transaction ends beside those that it decides on. A request
/// costs a deletion, an outcome and an entry in the audit log.
pub(crate) const SHARE: u64 = 50;

/// An operation in its transaction.
pub(crate) struct Tx<'a> {
    pub(crate) rows: &'a mut dyn Rows,
    /// UTC seconds, as of the last lock.
    pub(crate) now: i64,
}

/// The subject of an entry of the audit log.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    pub(crate) channel: Option<ChannelId>,
    pub(crate) account: Option<AccountScope>,
    pub(crate) sender: Option<SenderId>,
    pub(crate) session: Option<&'a str>,
    pub(crate) device_label: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A sender on an account.
    pub(crate) fn key(key: &SenderKey) -> Self {
        Self::target(&key.clone().into())
    }

    /// A sender on an account, or on all.
    pub(crate) fn target(target: &Target) -> Self {
        let Target { channel, scope, sender, .. } = target.clone();
        let (channel, account, sender) = (Some(channel), Some(scope), Some(sender));
        Self { channel, account, sender, ..Self::default() }
    }

    /// A session, and the label of its device.
    pub(crate) fn session(id: &'a str, device_label: Option<&'a str>) -> Self {
        Self { session: Some(id), device_label, ..Self::default() }
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(rows: &'a mut dyn Rows) -> Self {
        let now = rows.now().unix_timestamp();
        Self { rows, now }
    }

    /// Locks what the operation decides on from here on. Earlier locks come first in the order of keys.
    /// Returns whether earlier reads of these keys may be stale.
    pub(crate) fn lock(&mut self, keys: impl IntoIterator<Item = LockKey>) -> PortResult<bool> {
        let mut keys: Vec<LockKey> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let is_stale = self.rows.lock(&keys)?;
        // It may have waited.
        self.now = self.rows.now().unix_timestamp();
        Ok(is_stale)
    }

    /// Which requests are overdue.
    pub(crate) fn overdue(&self) -> Overdue {
        Overdue { until: self.now, future: self.now + seconds(limits::TIMESTAMP_LEEWAY) }
    }

    /// Adds an entry to the audit log. `detail` never holds a code.
    pub(crate) fn audit(
        &mut self,
        actor: &Actor,
        action: AuditAction,
        subject: Subject<'_>,
        detail: Value,
    ) -> PortResult<()> {
        let Subject { channel, account, sender, session, device_label } = subject;
        let mut event = AuditEvent::new(0, at(self.now), actor.clone(), action, detail);
        (event.channel, event.account_id, event.sender_id) = (channel, account, sender);
        let (session, device_label) = (session.map(Into::into), device_label.map(Into::into));
        self.rows.append_audit(&AuditRow { event, session, device_label })
    }

    /// Adds an entry about a session to the audit log.
    pub(crate) fn audit_session(
        &mut self,
        actor: &Actor,
        action: AuditAction,
        session: &Session,
        peer: Option<PeerAddress>,
    ) -> PortResult<()> {
        let Session { id, profile, device_label, .. } = session;
        let mut detail = json!({ "session": id, "profile": profile, "device_label": device_label });
        if let Some(peer) = peer {
            detail["peer"] = json!(peer);
        }
        let subject = Subject::session(id.as_str(), device_label.as_deref());
        self.audit(actor, action, subject, detail)
    }

    /// Ends a share of the overdue requests and grants, once a transaction. Decisions do not depend on it:
    /// an operation first ends the overdue rows that it decides on.
    pub(crate) fn expire(&mut self) -> PortResult<()> {
        if self.rows.claim_maintenance() {
            self.expire_requests(SHARE)?;
            self.expire_grants(&Filter::all(), SHARE)?;
        }
        Ok(())
    }

    /// Ends all overdue requests and grants that match, and a share of the rest.
    pub(crate) fn expire_of(&mut self, filter: &Filter) -> PortResult<()> {
        self.expire()?;
        let (overdue, mut due) = (self.overdue(), self.rows.requests(filter)?);
        due.retain(|request| overdue.includes(request));
        self.expire_each(due)?;
        self.expire_grants(filter, u64::MAX).map(drop)
    }

    /// Ends at most so many requests; returns how many.
    pub(crate) fn expire_requests(&mut self, limit: u64) -> PortResult<u64> {
        let due = self.rows.overdue_requests(self.overdue(), limit)?;
        self.expire_each(due)
    }

    /// Ends at most so many grants; returns how many.
    pub(crate) fn expire_grants(&mut self, filter: &Filter, limit: u64) -> PortResult<u64> {
        let end = GrantEnd::Expired { until: self.now, limit };
        Ok(self.rows.end_grants(filter, end)?.len() as u64)
    }

    /// Ends overdue requests. Returns how many were still there: senders that are not locked may have lost
    /// theirs meanwhile. One from the future, by a clock that was set back since, is overdue too.
    pub(crate) fn expire_each(&mut self, due: Vec<RequestRow>) -> PortResult<u64> {
        let mut count = 0;
        for request in due {
            // A request that ends because the clock was set back does not count against its sender.
            let at = self.now.min(request.expires_at);
            let is_theirs = request.created_at <= at;
            let strikes = self.strikes(&request.key, request.created_at)? + u32::from(is_theirs);
            if self.close(&request.key, &request.code, RequestEnd::Expired, at, strikes)? {
                let actor = Actor::gate();
                self.audit(&actor, AuditAction::Expire, Subject::key(&request.key), Value::Null)?;
                count += 1;
            }
        }
        if count > 0 {
            let tell = move || metrics::counter!(metric::CODES_EXPIRED_TOTAL).increment(count);
            self.rows.after_commit(Box::new(tell));
        }
        Ok(count)
    }

    /// Deletes a request and adds its outcome. Returns whether it was there.
    pub(crate) fn close(
        &mut self,
        key: &SenderKey,
        code: &PairingCode,
        end: RequestEnd,
        moment: i64,
        strikes: u32,
    ) -> PortResult<bool> {
        let was_there = self.rows.delete_request(key, code)?;
        if was_there {
            let (key, code) = (key.clone(), code.clone());
            let ended = EndedRequest { end, at: at(moment), strikes };
            self.rows.insert_outcome(&OutcomeRow { key, code, ended })?;
        }
        Ok(was_there)
    }

    /// How many codes of a sender had expired in a row before the one that was made at `created_at`.
    fn strikes(&self, key: &SenderKey, created_at: i64) -> PortResult<u32> {
        let last = self.rows.last_outcome(key)?;
        Ok(last.map_or(0, |last| last.strikes_before(at(created_at))))
    }
}

/// The hash that is stored in place of a token or a claim id.
pub(crate) fn sha256(secret: &str) -> Sha256 {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// Whole seconds, as in rows.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}

pub(crate) fn describe_metrics() {
    metrics::describe_counter!(metric::APPROVALS_TOTAL, "Codes passed to approve, by result.");
    metrics::describe_counter!(metric::CODES_EXPIRED_TOTAL, "Codes that expired unused.");
}
