//! A setup code that is ready to be presented to its gateway.

use std::fmt;

use nexo_pairing_core::setup_code::{UnverifiedToken, is_device_label};
use nexo_pairing_core::{ClaimId, OsRandom, RandomSource, SetupCode};
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use crate::{ClientError, Gateway};

/// A setup code, as this device presents it to the gateway that the code names.
///
/// It has an id of its own, which makes it idempotent: presenting the *same* claim again, while the
/// setup code has not expired, returns the session that the first attempt created. The setup code and
/// the id are wiped from memory when the claim is dropped.
pub struct Claim {
    pub(crate) code: SetupCode,
    pub(crate) gateway: Gateway,
    id: ClaimId,
    profile: Option<String>,
    label_in_code: Option<String>,
    own_label: Option<String>,
}

impl Claim {
    /// A claim of this setup code, with a new random id.
    ///
    /// Does not check the expiry of the code: the gateway's clock decides. To fail early, use
    /// [`SetupCode::has_expired`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Url`] when the URL in the code is invalid, and [`ClientError::Random`] when the
    /// operating system provides no randomness.
    pub fn new(code: &SetupCode) -> Result<Self, ClientError> {
        let gateway = Gateway::parse(&code.url)?;
        let claims =
            UnverifiedToken::parse(&code.bootstrap_token).and_then(|token| token.read_claims());
        let (profile, label) =
            claims.ok().map(|claims| (claims.profile, claims.device_label)).unzip();
        let mut id = Zeroizing::new([0; 24]);
        OsRandom::default().fill(&mut *id)?;
        Ok(Self {
            code: code.clone(),
            gateway,
            id: ClaimId::from_random(&id),
            profile,
            label_in_code: label.flatten(),
            own_label: None,
        })
    }

    /// The name that the device gives itself, used where the setup code does not name the device. See
    /// [`LABEL_FORM`](nexo_pairing_core::limits::LABEL_FORM) for its form. Default: none.
    ///
    /// # Errors
    ///
    /// [`ClientError::DeviceLabel`] when its form is invalid.
    pub fn with_device_label(mut self, label: impl Into<String>) -> Result<Self, ClientError> {
        let label = label.into();
        if !is_device_label(&label) {
            return Err(ClientError::DeviceLabel);
        }
        self.own_label = Some(label);
        Ok(self)
    }

    /// Replaces the random id by one that was kept, to resume the claim after a restart. Use an id for
    /// one setup code only.
    #[must_use]
    pub fn with_id(mut self, id: ClaimId) -> Self {
        self.id = id;
        self
    }

    /// The id. Where it is kept to resume the claim later, treat it as a password.
    #[must_use]
    pub fn id(&self) -> &ClaimId {
        &self.id
    }

    /// The gateway in the setup code.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The profile in the setup code. It is unverified: only the gateway can check the signature.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The name of the device: the unverified label in the setup code, or else the one that the device
    /// gives itself.
    #[must_use]
    pub fn device_label(&self) -> Option<&str> {
        self.label_in_code.as_deref().or(self.own_label.as_deref())
    }

    /// The claim in its wire format.
    pub(crate) fn to_json(&self) -> Zeroizing<String> {
        #[derive(Serialize)]
        struct Request<'a> {
            bootstrap_token: &'a str,
            claim_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            device_label: Option<&'a str>,
        }
        let request = Request {
            bootstrap_token: &self.code.bootstrap_token,
            claim_id: self.id.as_str(),
            device_label: self.own_label.as_deref(),
        };
        // Text is always valid JSON.
        Zeroizing::new(serde_json::to_string(&request).unwrap_or_default())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.code.bootstrap_token.zeroize();
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("gateway", &self.gateway)
            .field("expires_at", &self.code.expires_at)
            .field("profile", &self.profile)
            .field("device_label", &self.device_label())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use nexo_pairing_core::setup_code::{SetupCodeFormat, TokenClaims, UnsignedSetupCode};
    use serde_json::Value;
    use time::OffsetDateTime;

    use super::*;

    fn code(label: Option<&str>) -> SetupCode {
        let expires_at = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
        let label = label.map(str::to_owned);
        let claims = TokenClaims::new("companion-v1".into(), expires_at, "5a".repeat(12), label);
        let url = "wss://nexo.example.com/pair";
        UnsignedSetupCode::new(SetupCodeFormat::V2, url, &claims).unwrap().sign_with(&[7; 32])
    }

    #[test]
    fn a_claim_has_an_id_of_its_own() {
        let code = code(None);
        let sent = |claim: &Claim| -> Value { serde_json::from_str(&claim.to_json()).unwrap() };
        let first = Claim::new(&code).unwrap();
        let second = Claim::new(&code).unwrap().with_device_label("phone").unwrap();
        assert_eq!(sent(&first)["bootstrap_token"], code.bootstrap_token);
        assert_eq!(sent(&first).as_object().unwrap().len(), 2);
        assert_eq!(sent(&second)["device_label"], "phone");
        assert_eq!(sent(&first)["claim_id"].as_str().unwrap().len(), 32);
        assert_ne!(sent(&first)["claim_id"], sent(&second)["claim_id"]);

        let again = Claim::new(&code).unwrap().with_id(first.id().clone());
        assert_eq!(sent(&again), sent(&first));
    }

    #[test]
    fn the_label_in_the_code_takes_precedence() {
        let own = |code: &SetupCode| Claim::new(code).unwrap().with_device_label("mine").unwrap();
        assert_eq!(own(&code(None)).device_label(), Some("mine"));
        let claim = own(&code(Some("phone")));
        assert_eq!((claim.device_label(), claim.profile()), (Some("phone"), Some("companion-v1")));
    }

    #[test]
    fn an_invalid_label_is_refused() {
        for label in ["", "a\nb", &"x".repeat(129)] {
            let claim = Claim::new(&code(None)).unwrap();
            assert_eq!(claim.with_device_label(label).unwrap_err().kind(), "device_label");
        }
    }

    #[test]
    fn a_claim_shows_no_secret() {
        let code = code(Some("phone"));
        let claim = Claim::new(&code).unwrap();
        let shown = format!("{claim:?}");
        assert!(shown.contains("phone") && shown.contains("nexo.example.com"), "{shown}");
        for secret in [code.bootstrap_token.as_str(), claim.id().as_str()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
