//! Operations on setup codes and sessions: the same on store and model, with their answers compared.

use nexo_pairing::{Cancellation, ClaimId, OnReplay, RedeemError, Redemption, TokenClaims};

use crate::compare::summary;
use crate::devices::{CODES, Device, Redeemed, Use};
use crate::ops::Op;
use crate::play::seconds;
use crate::rules::{DAY, Key};
use crate::world::{START, World, actor, moment};

/// How long after the start the setup codes expire.
const CODES_EXPIRE: [i64; CODES] = [600, DAY, 40 * DAY, 400 * DAY];

impl World {
    pub(crate) async fn setup_code(&mut self, handle: usize, op: &Op) {
        let store = self.store(handle);
        let now = self.model.now;
        match *op {
            Op::Redeem { code, claim, ttl, renew_for, refuse } => {
                let mut redemption = Redemption::new(claims(code));
                redemption.claim_id = claim.map(claim_id);
                redemption.session_ttl = seconds(ttl);
                redemption.renew_for = seconds(renew_for);
                redemption.on_replay = if refuse { OnReplay::Refuse } else { OnReplay::Revoke };
                let answer = store.redeem(redemption).await;
                let expires = START + CODES_EXPIRE[code];
                match self.model.redeem(code, expires, claim, refuse) {
                    Redeemed::Expired => assert_eq!(answer.unwrap_err().kind(), "expired"),
                    Redeemed::Cancelled => assert_eq!(answer.unwrap_err().kind(), "cancelled"),
                    Redeemed::Issued => {
                        let issued = answer.unwrap();
                        let device = Device {
                            id: issued.session.id.clone(),
                            issued: now,
                            expires: now + ttl,
                            renew_until: now + renew_for.max(ttl),
                            seen: None,
                            revoked: None,
                            is_purged: false,
                        };
                        let number = self.model.issued(code, claim, device);
                        self.model.devices.tokens.push((issued.token, Some(number)));
                        assert_eq!(Some(summary(&issued.session)), self.model.devices.kept(number));
                    }
                    Redeemed::Reissued(number) => {
                        let issued = answer.unwrap();
                        let devices = &mut self.model.devices;
                        assert_eq!(Some(summary(&issued.session)), devices.kept(number));
                        let voided =
                            devices.tokens.iter_mut().filter(|(_, of)| *of == Some(number));
                        voided.for_each(|(_, of)| *of = None);
                        devices.tokens.push((issued.token, Some(number)));
                    }
                    Redeemed::Replayed(number, ends) => {
                        let Err(RedeemError::Replayed { session, revoked }) = answer else {
                            panic!("{answer:?}")
                        };
                        let answer = (session.as_deref().map(summary), revoked);
                        assert_eq!(answer, (self.model.devices.kept(number), ends));
                    }
                }
            }
            Op::Cancel { code } => {
                let answer = store.cancel(&claims(code), &actor("cli")).await.unwrap();
                match (self.model.devices.codes[code], answer) {
                    (None, Cancellation::Cancelled) => {
                        self.model.devices.codes[code] = Some(Use::Cancelled);
                        self.model.note("cli", "code_cancelled", &Key::default());
                    }
                    (Some(Use::Cancelled), Cancellation::AlreadyCancelled) => {}
                    (Some(Use::Claimed(number, _)), Cancellation::AlreadyUsed(session)) => {
                        assert_eq!(session.as_ref().map(summary), self.model.devices.kept(number));
                    }
                    (used, answer) => panic!("{op:?}: {answer:?}, not {used:?}"),
                }
            }
            _ => {}
        }
    }

    pub(crate) async fn device(&mut self, handle: usize, op: &Op) {
        let (devices, tokens) = (self.model.devices.all.len(), self.model.devices.tokens.len());
        if devices == 0 {
            return;
        }
        let store = self.store(handle);
        let model = &mut self.model;
        match *op {
            Op::Touch(number) => {
                let number = number % devices;
                store.touch(&model.devices.all[number].id, None).await.unwrap();
                model.touch(number);
            }
            Op::Renew(number, ttl) => {
                let (token, of) = model.devices.tokens[number % tokens].clone();
                let answer = store.renew_session(&token, seconds(ttl)).await.unwrap();
                let renewed = model.renew(of, ttl);
                let expected = renewed.and_then(|number| model.devices.kept(number));
                assert_eq!(answer.as_ref().map(summary), expected, "{op:?}");
            }
            Op::End(number) => {
                let (token, of) = model.devices.tokens[number % tokens].clone();
                let answer = store.end_session(&token).await.unwrap();
                let ends = of.is_some_and(|number| model.end(number, "device", "session_ended"));
                assert_eq!(answer, ends, "{op:?}");
            }
            Op::RevokeDevice(number) => {
                let number = number % devices;
                let id = model.devices.all[number].id.clone();
                let answer = store.revoke_session(&id, &actor("cli")).await.unwrap();
                let ends = model.end(number, "cli", "session_revoked");
                let expected = model.devices.kept(number).filter(|_| ends);
                assert_eq!(answer.as_ref().map(summary), expected, "{op:?}");
            }
            _ => {}
        }
    }
}

pub(crate) fn claims(code: usize) -> TokenClaims {
    let (profile, expires_at) = ("companion-v1".to_owned(), moment(START + CODES_EXPIRE[code]));
    TokenClaims::new(profile, expires_at, format!("{code:032x}"), None)
}

fn claim_id(number: u64) -> ClaimId {
    ClaimId::parse(&format!("claim-{number:022}")).unwrap()
}
