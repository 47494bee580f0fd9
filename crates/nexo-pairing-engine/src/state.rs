//! The state of a sender, from rows.

use nexo_pairing_core::rules::EndedRequest;
use nexo_pairing_core::{AccountScope, AllowedSender, Filter, SenderKey, SenderState, Validity};

use crate::port::{PortResult, RequestRow, Rows, at};

/// The complete state of a sender, for a storage that updates its replicas by keys that changed. A block on
/// all accounts has a key on the account `*`.
///
/// # Errors
///
/// [`PortError`](crate::PortError) when the storage fails.
pub fn sender_state(rows: &dyn Rows, key: &SenderKey, is_blocked: bool) -> PortResult<SenderState> {
    let SenderKey { channel, account_id, sender_id } = key.clone();
    let mut state = SenderState::stranger(
        channel,
        AccountScope::from_stored(account_id.as_str().to_owned()),
        sender_id,
    );
    state.blocked = Some(is_blocked);
    state.allowed = rows.grant(key)?.as_ref().and_then(grant_validity);
    let request = rows.requests(&Filter::from(key))?.pop();
    state.pending = request.map(|row| (request_validity(&row), at(row.challenged_at)));
    state.waiting = rows.last_outcome(key)?.as_ref().and_then(EndedRequest::wait);
    Ok(state)
}

/// When a grant is valid; `None` if it was revoked.
pub(crate) fn grant_validity(grant: &AllowedSender) -> Option<Validity> {
    let life = grant
        .expires_at
        .map_or(Validity::Always, |until| Validity::Between(grant.approved_at, until));
    grant.revoked_at.is_none().then_some(life)
}

/// When a request is live.
pub(crate) fn request_validity(request: &RequestRow) -> Validity {
    Validity::Between(at(request.created_at), at(request.expires_at))
}
