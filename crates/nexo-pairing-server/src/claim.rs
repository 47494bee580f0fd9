//! What becomes of a claim, however it came.

use std::net::IpAddr;
use std::sync::Arc;

use nexo_pairing_core::setup_code::is_device_label;
use nexo_pairing_core::{ClaimId, IssuedSession, RedeemError, Redemption};
use nexo_pairing_setup::VerifyError;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::answer::{Refusal, to_json};
use crate::peer::Peer;
use crate::session::Shown;
use crate::state::AppState;
use crate::writes::Secret;

/// How many bytes a claim may have.
pub(crate) const MAX_CLAIM_BYTES: usize = 4096;

/// What a companion presents. Other fields are for later versions, and not looked at.
#[derive(Deserialize)]
pub(crate) struct Claim {
    pub(crate) bootstrap_token: Zeroizing<String>,
    claim_id: Option<Zeroizing<String>>,
    device_label: Option<String>,
}

/// What it gets.
#[derive(Serialize)]
struct Answer<'a> {
    session_token: &'a str,
    #[serde(flatten)]
    session: Shown<'a>,
}

impl AppState {
    /// Refuses a claim of a peer that failed too often.
    pub(crate) fn hear(&self, client: IpAddr) -> Result<(), Refusal> {
        let wait = self.throttle.wait(Peer::of(client));
        wait.map_or(Ok(()), |wait| Err(self.refuse_claim(client, Refusal::Throttled(wait))))
    }

    /// Redeems a claim, and says in JSON what the companion gets for it.
    ///
    /// What was begun is finished, also when the companion goes away meanwhile: it can ask again with
    /// its claim id.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        client: IpAddr,
        claim: &[u8],
    ) -> Result<String, Refusal> {
        self.hear(client)?;
        let mut redemption =
            self.redemption(claim).map_err(|refusal| self.refuse_claim(client, refusal))?;
        redemption.peer = Some(client.into());
        let code = Secret::Code(redemption.claims.nonce.clone());
        let in_flight = self.begin_write(client, code)?;
        let (state, peer) = (Arc::clone(self), Peer::of(client));
        // It counts as failed until its outcome is known: while the database is locked, one peer could
        // otherwise take the places of all claims that wait for it.
        self.throttle.failed(peer);
        let redeemed = self.tasks.spawn(async move {
            let redeemed = state.store.redeem(redemption).await;
            drop(in_flight);
            state.throttle.take_back(peer);
            match redeemed {
                Ok(issued) => {
                    state.counters.ok.increment(1);
                    // An answer is lost now and then. More often, it is a flood of writes.
                    if issued.is_repeated {
                        state.throttle.failed(peer);
                    }
                    Ok(issued)
                }
                Err(error) => Err(state.refuse_claim(client, state.refusal(error))),
            }
        });
        let IssuedSession { session, token, .. } =
            redeemed.await.map_err(|_| Refusal::Unavailable)??;
        tracing::info!(session = %session.id, %client, "a setup code was claimed");
        to_json(&Answer { session_token: token.as_str(), session: Shown::of(&session) })
    }

    /// Counts and logs a claim that is refused.
    pub(crate) fn refuse_claim(&self, client: IpAddr, refusal: Refusal) -> Refusal {
        let peer = Peer::of(client);
        self.counters.refused(&refusal);
        match refusal {
            Refusal::Malformed(_)
            | Refusal::TooLarge
            | Refusal::Signature
            | Refusal::Cancelled
            | Refusal::Expired
            | Refusal::Replayed => self.throttle.failed(peer),
            Refusal::Origin | Refusal::Throttled(_) => {}
            _ => return refusal,
        }
        let reason = refusal.kind();
        // The store logs replays, with their session.
        if !matches!(refusal, Refusal::Replayed)
            && let Some(suppressed) = self.refused.allow((reason, peer))
        {
            tracing::warn!(%peer, reason, suppressed, "a claim was refused");
        }
        refusal
    }

    fn refusal(&self, error: RedeemError) -> Refusal {
        match error {
            RedeemError::Expired { .. } => Refusal::Expired,
            RedeemError::Replayed { .. } => Refusal::Replayed,
            RedeemError::Cancelled => Refusal::Cancelled,
            RedeemError::Store(error) => self.unavailable("redeem a setup code", &error),
            _ => Refusal::Unavailable,
        }
    }

    /// Reads a claim and verifies its token.
    fn redemption(&self, claim: &[u8]) -> Result<Redemption, Refusal> {
        let claim = parse(claim)?;
        let claims = self.issuer.verify(&claim.bootstrap_token).map_err(|error| match error {
            VerifyError::InvalidSignature => Refusal::Signature,
            VerifyError::Expired { .. } => Refusal::Expired,
            _ => Refusal::Malformed("the bootstrap token is damaged"),
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

pub(crate) fn parse(claim: &[u8]) -> Result<Claim, Refusal> {
    const FORM: &str = "a claim is a JSON object with the text bootstrap_token and, if wanted, the \
                        texts claim_id and device_label";
    // A list would be read as the fields in their order.
    if claim.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::Malformed(FORM));
    }
    let claim: Claim = serde_json::from_slice(claim).map_err(|_| Refusal::Malformed(FORM))?;
    if claim.device_label.as_deref().is_some_and(|label| !is_device_label(label)) {
        return Err(Refusal::Malformed("device_label has 1 to 128 bytes, no control characters"));
    }
    Ok(claim)
}

fn claim_id(text: &str) -> Result<ClaimId, Refusal> {
    const FORM: &str = "claim_id has 22 to 128 characters of A-Z a-z 0-9 _ -";
    ClaimId::parse(text).map_err(|_| Refusal::Malformed(FORM))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(claim: &str) -> bool {
        parse(claim.as_bytes()).is_ok()
    }

    #[test]
    fn a_claim_is_an_object_of_texts_and_other_fields_are_for_later() {
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
        // What is not looked at may be as deep as it likes.
        let (open, close) = ("[".repeat(2000), "]".repeat(2000));
        assert!(is_read(&format!(r#"{{"bootstrap_token":"t","x":{open}{close}}}"#)));
    }
}
