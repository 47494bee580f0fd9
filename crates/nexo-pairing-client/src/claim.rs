//! A setup code, made ready to be presented.

use std::fmt;

use nexo_pairing_core::setup_code::{UnverifiedToken, is_device_label};
use nexo_pairing_core::{ClaimId, OsRandom, RandomSource, SetupCode};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{ClientError, Gateway};

/// A setup code, as this device presents it to the gateway that the code names.
///
/// It has an id of its own, by which the gateway knows it again: presenting the *same* claim another
/// time, while the setup code has not expired, gives the session that it has made already.
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
    /// Whether the code has expired is not looked at: the gateway's clock decides. Where a companion
    /// wants to say so without asking, there is [`SetupCode::has_expired`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Url`] when the code leads to no place that there is, and
    /// [`ClientError::Random`] when the operating system gives no random bytes.
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

    /// What the device calls itself: see [`LABEL_FORM`](nexo_pairing_core::limits::LABEL_FORM). The
    /// gateway takes it where the setup code does not name the device. Default: nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::DeviceLabel`] when it is of another form.
    pub fn with_device_label(mut self, label: impl Into<String>) -> Result<Self, ClientError> {
        let label = label.into();
        if !is_device_label(&label) {
            return Err(ClientError::DeviceLabel);
        }
        self.own_label = Some(label);
        Ok(self)
    }

    /// Another id: one that was kept, so that the claim can be taken up again after a restart. It has
    /// to be random, and belongs to this setup code alone.
    #[must_use]
    pub fn with_id(mut self, id: ClaimId) -> Self {
        self.id = id;
        self
    }

    /// The id, to be kept like a password for as long as the setup code is good.
    #[must_use]
    pub fn id(&self) -> &ClaimId {
        &self.id
    }

    /// Where the setup code leads.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What the device will be, as the setup code has it, for which nobody vouches.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// What the device will be called: as the setup code has it, for which nobody vouches, or else as
    /// it calls itself.
    #[must_use]
    pub fn device_label(&self) -> Option<&str> {
        self.label_in_code.as_deref().or(self.own_label.as_deref())
    }

    /// The claim as it is sent.
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
        // Three strings can always be written.
        Zeroizing::new(serde_json::to_string(&request).unwrap_or_default())
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
    fn the_code_names_the_device_before_it_names_itself() {
        let own = |code: &SetupCode| Claim::new(code).unwrap().with_device_label("mine").unwrap();
        assert_eq!(own(&code(None)).device_label(), Some("mine"));
        let claim = own(&code(Some("phone")));
        assert_eq!((claim.device_label(), claim.profile()), (Some("phone"), Some("companion-v1")));
    }

    #[test]
    fn a_label_that_a_gateway_would_refuse_is_refused_before() {
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
