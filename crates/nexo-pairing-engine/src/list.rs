//! Lists requests and grants.

use nexo_pairing_core::{AllowedSender, Filter, PendingRequest, SenderKey};
use serde_json::Value;
use time::OffsetDateTime;

use crate::port::{PortResult, RequestRow, Rows, at};
use crate::state::{grant_validity, request_validity};

/// Whether a sender holds a live grant and is not blocked.
pub(crate) fn is_allowed(rows: &dyn Rows, key: &SenderKey) -> PortResult<bool> {
    let life = rows.grant(key)?.as_ref().and_then(grant_validity);
    Ok(life.is_some_and(|life| life.holds(now(rows))) && !rows.has_block(&Filter::from(key))?)
}

/// The live requests, oldest first.
pub(crate) fn pending(rows: &dyn Rows, filter: &Filter) -> PortResult<Vec<PendingRequest>> {
    let (now, mut requests) = (now(rows), rows.requests(filter)?);
    requests.retain(|request| request_validity(request).holds(now));
    requests.sort_by_key(|request| request.created_at);
    let pending = requests.into_iter().map(
        |RequestRow { key, code, created_at, expires_at, meta, .. }| {
            let meta = serde_json::from_str(&meta).unwrap_or(Value::Null);
            PendingRequest::new(key, code, at(created_at), at(expires_at), meta)
        },
    );
    Ok(pending.collect())
}

/// Calls `each` for each grant.
pub(crate) fn each_allowed(
    rows: &dyn Rows,
    filter: &Filter,
    include_revoked: bool,
    mut each: impl FnMut(AllowedSender),
) -> PortResult<()> {
    let now = now(rows);
    rows.visit_grants(filter, &mut |mut grant| {
        grant.revoked_at = ended(&grant, now);
        if include_revoked || grant.revoked_at.is_none() {
            each(grant);
        }
    })
}

/// When a grant ended, if it did: an expired one may not be marked yet.
fn ended(grant: &AllowedSender, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let life = grant_validity(grant);
    if grant.revoked_at.is_some() || life.is_some_and(|life| life.holds(now)) {
        return grant.revoked_at;
    }
    // One from the future, by a clock that was set back since, ended now.
    Some(grant.expires_at.map_or(now, |until| until.min(now)))
}

fn now(rows: &dyn Rows) -> OffsetDateTime {
    at(rows.now().unix_timestamp())
}
