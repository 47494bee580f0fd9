//! Claims: what a companion presents, and the session that it gets.

pub(crate) mod http;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use nexo_pairing_core::limits::LABEL_FORM;
use nexo_pairing_core::setup_code::is_device_label;
use nexo_pairing_core::{ClaimId, IssuedSession, RedeemError, Redemption};
use nexo_pairing_setup::VerifyError;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{ApiError, to_json};
use crate::peer::Peer;
use crate::session::SessionView;
use crate::state::AppState;
use crate::writes::Credential;

/// The largest claim, in bytes.
pub(crate) const MAX_CLAIM_BYTES: usize = 4096;

/// What a companion presents. Unknown fields are reserved for later versions and ignored.
#[derive(Deserialize)]
pub(crate) struct Claim {
    pub(crate) bootstrap_token: Zeroizing<String>,
    claim_id: Option<Zeroizing<String>>,
    device_label: Option<String>,
}

/// The reply to an accepted claim.
#[derive(Serialize)]
struct Claimed<'a> {
    session_token: &'a str,
    #[serde(flatten)]
    session: SessionView<'a>,
}

impl AppState {
    /// Rejects a claim of a peer that failed too often.
    pub(crate) fn check_rate_limit(&self, client: IpAddr) -> Result<(), ApiError> {
        let wait = self.throttle.retry_after(Peer::of(client));
        wait.map_or(Ok(()), |wait| Err(self.reject_claim(client, ApiError::Throttled(wait))))
    }

    /// Redeems a claim and returns the reply as JSON.
    ///
    /// Once begun, it is finished even if the companion disconnects: the companion can repeat it with its
    /// claim id.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        client: IpAddr,
        claim: &[u8],
    ) -> Result<String, ApiError> {
        self.check_rate_limit(client)?;
        let mut redemption =
            self.redemption(claim).map_err(|error| self.reject_claim(client, error))?;
        redemption.peer = Some(client.into());
        let code = Credential::Code(redemption.claims.nonce.clone());
        let permit = self.begin_write(client, code)?;
        let (state, peer) = (Arc::clone(self), Peer::of(client));
        // It counts as failed until its outcome is known: while the database is locked, one peer could
        // otherwise take the permits of all claims that wait for it.
        self.throttle.record_failure(peer);
        let redeemed = self.tasks.tracker.spawn(async move {
            let redeemed = state.store.redeem(redemption).await;
            drop(permit);
            state.throttle.revert_failure(peer);
            match redeemed {
                Ok(issued) => {
                    state.claim_metrics.ok.increment(1);
                    // A reply is lost now and then. Repeated more often, it is a flood of writes.
                    if issued.is_repeated {
                        state.throttle.record_failure(peer);
                    }
                    Ok(issued)
                }
                Err(error) => Err(state.reject_claim(client, state.redeem_error(error))),
            }
        });
        let IssuedSession { session, token, .. } =
            redeemed.await.map_err(|_| ApiError::Unavailable)??;
        tracing::info!(session = %session.id, %client, "a setup code was claimed");
        to_json(&Claimed { session_token: token.as_str(), session: SessionView::of(&session) })
    }

    /// Counts and logs a rejected claim.
    pub(crate) fn reject_claim(&self, client: IpAddr, error: ApiError) -> ApiError {
        let Some((counter, is_failure)) = self.claim_metrics.rejected(&error) else { return error };
        counter.increment(1);
        let (peer, reason) = (Peer::of(client), error.kind());
        if is_failure {
            self.throttle.record_failure(peer);
        }
        // The backend logs replays, with their session.
        if error != ApiError::Replayed
            && let Some(suppressed) = self.rejected.allow((reason, peer))
        {
            tracing::warn!(%peer, reason, suppressed, "a claim was refused");
        }
        error
    }

    fn redeem_error(&self, error: RedeemError) -> ApiError {
        match error {
            RedeemError::Expired { .. } => ApiError::Expired,
            RedeemError::Replayed { .. } => ApiError::Replayed,
            RedeemError::Cancelled => ApiError::Cancelled,
            RedeemError::Store(error) => self.unavailable("redeem a setup code", &error),
            _ => ApiError::Unavailable,
        }
    }

    /// Parses a claim and verifies its token.
    fn redemption(&self, claim: &[u8]) -> Result<Redemption, ApiError> {
        let claim = parse(claim)?;
        let claims = self.issuer.verify(&claim.bootstrap_token).map_err(|error| match error {
            VerifyError::InvalidSignature => ApiError::Signature,
            VerifyError::Expired { .. } => ApiError::Expired,
            _ => ApiError::Malformed("the bootstrap token is damaged"),
        })?;
        let settings = self.settings();
        let mut redemption = Redemption::new(claims)
            .with_session_ttl(settings.session_ttl)
            .with_renew_for(settings.renew_for)
            .with_on_replay(settings.on_replay);
        redemption.claim_id = claim.claim_id.as_deref().map(|id| claim_id(id)).transpose()?;
        redemption.device_label = claim.device_label;
        Ok(redemption)
    }
}

pub(crate) fn parse(claim: &[u8]) -> Result<Claim, ApiError> {
    const FORM: &str = "a claim is a JSON object with the text bootstrap_token and the optional texts \
                        claim_id and device_label";
    // Serde would accept an array of the fields in their order.
    if claim.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::Malformed(FORM));
    }
    let claim: Claim = serde_json::from_slice(claim).map_err(|_| ApiError::Malformed(FORM))?;
    if claim.device_label.as_deref().is_some_and(|label| !is_device_label(label)) {
        static FORM: LazyLock<String> = LazyLock::new(|| format!("device_label has {LABEL_FORM}"));
        return Err(ApiError::Malformed(&FORM));
    }
    Ok(claim)
}

fn claim_id(text: &str) -> Result<ClaimId, ApiError> {
    const FORM: &str = "claim_id has 22 to 128 characters of A-Z a-z 0-9 _ -";
    ClaimId::parse(text).map_err(|_| ApiError::Malformed(FORM))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(claim: &str) -> bool {
        parse(claim.as_bytes()).is_ok()
    }

    #[test]
    fn a_claim_is_an_object_of_texts_and_unknown_fields_are_ignored() {
        assert!(is_read(r#"{"bootstrap_token":"t"}"#));
        assert!(is_read(
            " {\"bootstrap_token\":\"t\",\"claim_id\":null,\"device_label\":\"Ana\"}\n"
        ));
        assert!(is_read(r#"{"bootstrap_token":"t","version":2,"more":{"a":[1]}}"#));
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            r#""t""#,
            r#"["t"]"#,
            r#"["t",null,null]"#,
            r#"{"bootstrap_token":1}"#,
            r#"{"bootstrap_token":null}"#,
            r#"{"bootstrap_token":"t"}x"#,
            r#"{"bootstrap_token":"t"}{}"#,
            r#"{"bootstrap_token":"t","bootstrap_token":"u"}"#,
            r#"{"bootstrap_token":"t","claim_id":7}"#,
            r#"{"bootstrap_token":"t","device_label":""}"#,
            r#"{"bootstrap_token":"t","device_label":"a\nb"}"#,
        ] {
            assert!(!is_read(bad), "{bad}");
        }
        // Ignored fields may be nested deeply.
        let (open, close) = ("[".repeat(2000), "]".repeat(2000));
        assert!(is_read(&format!(r#"{{"bootstrap_token":"t","x":{open}{close}}}"#)));
    }
}
