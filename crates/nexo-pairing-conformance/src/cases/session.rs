//! The life of a session: used, renewed, ended, deleted.

use std::net::IpAddr;
use std::time::Duration;

use nexo_pairing_core::{
    Actor, Filter, PairingError, PeerAddress, RedemptionState, Session, SessionId, SessionToken,
    SetupEvent,
};
use serde_json::json;

use crate::prelude::*;
use crate::testing::{claims, redemption};
use crate::world::{START, World, hours, minutes, moment};

const DAY: i64 = 86_400;

/// The last entry of the audit log: actor, action and detail.
async fn last_entry<S: Storage>(world: &World<S>) -> (String, String, serde_json::Value) {
    let event = world.store.audit(&Filter::all(), 1).await.unwrap().remove(0);
    (event.actor.to_string(), event.action.to_string(), event.detail)
}

pub async fn an_unknown_token_has_no_session<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let session = world.device(1).await.session;
    let unknown = SessionToken::parse("unknown-token").unwrap();
    assert_eq!(world.store.session(&unknown).await.unwrap(), None);
    assert_eq!(world.store.renew_session(&unknown, hours(1)).await.unwrap(), None);
    assert!(!world.store.end_session(&unknown).await.unwrap());
    // The id is not a token.
    let id = SessionToken::parse(session.id.as_str()).unwrap();
    assert_eq!(world.store.session(&id).await.unwrap(), None);
}

pub async fn an_expired_session_can_be_neither_revoked_nor_ended<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    world.pass(hours(24));
    let revoked = world.store.revoke_session(&issued.session.id, &Actor::cli()).await;
    assert_eq!(revoked.unwrap(), None);
    assert!(!world.store.end_session(&issued.token).await.unwrap());
    assert_eq!(world.audit().await, ["device session_issued"]);
}

pub async fn a_session_from_the_future_is_not_live_but_can_be_revoked<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    world.clock.set(moment(START - 6));
    assert!(!world.accepts(&issued).await && world.live().await.is_empty());
    assert_eq!(world.store.renew_session(&issued.token, hours(1)).await.unwrap(), None);
    world.store.touch(&issued.session.id, None).await.unwrap();
    assert_eq!(world.store.list_sessions(true).await.unwrap()[0].last_seen_at, None);
    let revoked = world.store.revoke_session(&issued.session.id, &Actor::cli()).await.unwrap();
    assert!(revoked.is_some());
    world.clock.set(moment(START));
    assert!(!world.accepts(&issued).await);
}

pub async fn a_device_ends_its_own_session<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (one, two) = (world.device(1).await, world.device(2).await);
    assert!(world.store.end_session(&one.token).await.unwrap());
    assert!(!world.store.end_session(&one.token).await.unwrap());
    assert!(!world.accepts(&one).await && world.accepts(&two).await);
    assert_eq!(world.audit().await[2..], ["device session_ended"]);
}

pub async fn a_session_is_renewed_up_to_its_last_day<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    let renew = |ttl| world.store.renew_session(&issued.token, ttl);
    let expiry = |session: Option<Session>| session.unwrap().expires_at;
    world.pass(hours(12));
    assert_eq!(expiry(renew(hours(24)).await.unwrap()), moment(START + DAY * 3 / 2));
    assert_eq!(
        expiry(renew(hours(1)).await.unwrap()),
        moment(START + DAY * 3 / 2),
        "never shorter"
    );
    let found = world.store.session(&issued.token).await.unwrap();
    assert_eq!(expiry(found), moment(START + DAY * 3 / 2));
    assert_eq!(expiry(renew(hours(365 * 24)).await.unwrap()), moment(START + 30 * DAY));
    world.clock.set(moment(START + 30 * DAY - 1));
    assert_eq!(expiry(renew(hours(24)).await.unwrap()), moment(START + 30 * DAY), "and not beyond");
    world.clock.set(moment(START + 30 * DAY));
    assert_eq!(renew(hours(24)).await.unwrap(), None);
}

pub async fn a_renewal_out_of_range_is_refused<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    for ttl in [Duration::ZERO, hours(365 * 24) + Duration::from_secs(1)] {
        let told = world.store.renew_session(&issued.token, ttl).await.unwrap_err();
        assert!(matches!(told, PairingError::Invalid { name: "ttl", .. }), "{told:?}");
    }
}

pub async fn the_last_use_is_written_once_a_minute<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    let seen = || async { world.live().await.remove(0) };
    assert!(seen().await.wants_touch(moment(START)));
    for (after, noted) in [(0, 0), (59, 0), (60, 60), (61, 60), (3600, 3600)] {
        world.clock.set(moment(START + after));
        world.store.touch(&issued.session.id, None).await.unwrap();
        let session = seen().await;
        assert_eq!(session.last_seen_at, Some(moment(START + noted)), "after {after} s");
        assert!(!session.wants_touch(moment(START + after)));
    }
    assert!(seen().await.wants_touch(moment(START + 3660)));
    // A timestamp from the future does not count.
    world.clock.set(moment(START + 3594));
    assert!(seen().await.wants_touch(moment(START + 3594)));
    world.store.touch(&issued.session.id, None).await.unwrap();
    assert_eq!(seen().await.last_seen_at, Some(moment(START + 3594)));
    world.store.touch(&SessionId::parse("0123456789abcdef").unwrap(), None).await.unwrap();
    assert_eq!(world.audit().await.len(), 1, "and it is not audited");
}

pub async fn sessions_are_listed_oldest_first<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(world.device(number).await.session.id);
        world.pass(minutes(1));
    }
    let list = |include_ended| async move {
        let sessions = world.store.list_sessions(include_ended).await.unwrap();
        (world, sessions.into_iter().map(|session| session.id).collect::<Vec<_>>())
    };
    let (world, listed) = list(false).await;
    assert_eq!(listed, ids);
    world.store.revoke_session(&ids[1], &Actor::cli()).await.unwrap().unwrap();
    let live: Vec<_> = world.live().await.into_iter().map(|session| session.id).collect();
    assert_eq!(live, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(world.store.list_sessions(true).await.unwrap().len(), 3);
}

pub async fn a_session_as_json_has_rfc_3339_times_and_no_token<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let session = world.device(1).await.session;
    let told = serde_json::to_value(&session).unwrap();
    let expected = json!({
        "id": session.id.as_str(),
        "profile": "companion-v1",
        "device_label": "Ana's phone",
        "named_by_device": false,
        "issued_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-16T08:00:00Z",
        "renew_until": "2027-02-14T08:00:00Z",
        "last_seen_at": null,
        "revoked_at": null,
        "claim_peer": null,
        "last_peer": null,
    });
    assert_eq!(told, expected);
}

pub async fn ids_are_sixteen_digits<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let id = world.device(1).await.session.id;
    assert_eq!(SessionId::parse(id.as_str()).unwrap(), id);
    assert_eq!(id.to_string().len(), 16);
    for bad in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeé"]
    {
        assert!(SessionId::parse(bad).is_err(), "{bad}");
    }
}

pub async fn changes_of_codes_and_keys_are_audited<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let cli = Actor::cli();
    let record = |event| world.store.record(&cli, event);
    record(SetupEvent::CodeIssued {
        profile: "companion-v1".into(),
        device_label: None,
        expires_at: moment(START + 60),
        url: "wss://nexo.example.com/pair".into(),
    })
    .await
    .unwrap();
    let detail = json!({
        "profile": "companion-v1",
        "device_label": null,
        "expires_at": "2027-01-15T08:01:00Z",
        "url": "wss://nexo.example.com/pair",
    });
    assert_eq!(last_entry(&world).await, ("cli".into(), "code_issued".into(), detail));
    record(SetupEvent::KeyRotated { key_id: "0a1b2c3d".into() }).await.unwrap();
    let detail = json!({ "key_id": "0a1b2c3d" });
    assert_eq!(last_entry(&world).await, ("cli".into(), "key_rotated".into(), detail.clone()));
    record(SetupEvent::KeyRetired { key_id: "0a1b2c3d".into() }).await.unwrap();
    assert_eq!(last_entry(&world).await, ("cli".into(), "key_retired".into(), detail));
}

pub async fn sessions_are_deleted_thirty_days_after_their_end<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let (expiring, revoked) = (world.device(1).await, world.device(2).await);
    let lasting = {
        let mut redemption = redemption(3, None);
        redemption.session_ttl = hours(24 * 90);
        world.store.redeem(redemption).await.unwrap()
    };
    for issued in [&revoked, &lasting] {
        world.store.revoke_session(&issued.session.id, &Actor::cli()).await.unwrap().unwrap();
    }
    for (days, purged) in [(29, 0), (30, 1), (31, 1), (89, 0), (90, 1), (91, 0)] {
        world.clock.set(moment(START + days * DAY));
        assert_eq!(world.store.purge_sessions().await.unwrap(), purged, "on day {days}");
    }
    let state = world.store.redemption(&claims(1).nonce).await.unwrap();
    assert_eq!(state, Some(RedemptionState::Forgotten));
    assert!(world.store.list_sessions(true).await.unwrap().is_empty());
    drop(expiring);
}

pub async fn an_expired_session_is_not_revived_by_a_clock_set_back<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    world.clock.set(moment(START + DAY - 1));
    world.store.purge_sessions().await.unwrap();
    assert!(world.accepts(&issued).await);
    world.clock.set(moment(START + DAY));
    world.store.purge_sessions().await.unwrap();
    world.clock.set(moment(START + 60));
    assert!(!world.accepts(&issued).await);
    assert_eq!(world.store.renew_session(&issued.token, hours(1)).await.unwrap(), None);
    let listed = world.store.list_sessions(true).await.unwrap().remove(0);
    assert_eq!(listed.revoked_at, Some(listed.expires_at));
    assert_eq!(world.audit().await, ["device session_issued"], "an expiry has no actor");
}

pub async fn maintenance_deletes_sessions<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.device(1).await;
    world.clock.set(moment(START + 31 * DAY));
    world.store.purge_expired().await.unwrap();
    assert!(world.store.list_sessions(true).await.unwrap().is_empty());
}

pub async fn a_used_code_stays_used_when_the_clock_jumps_by_ten_years_and_back<S: Storage>(
    suite: &Suite<S>,
) {
    for is_cancelled in [false, true] {
        let world = World::new(suite).await;
        let told = if is_cancelled {
            world.store.cancel(&claims(1), &Actor::cli()).await.unwrap();
            "cancelled"
        } else {
            world.device(1).await;
            "replayed"
        };
        world.clock.set(moment(START + 3653 * DAY));
        world.store.purge_sessions().await.unwrap();
        world.store.purge_expired().await.unwrap();
        world.clock.set(moment(START + 60));
        assert_eq!(world.redeem(None).await.unwrap_err().kind(), told);
    }
}

pub async fn a_session_shows_where_it_was_claimed_and_used_from<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let peer = |text: &str| Some(PeerAddress::from(text.parse::<IpAddr>().unwrap()));
    let mut redemption = redemption(1, None);
    redemption.peer = peer("::ffff:203.0.113.7");
    let issued = world.store.redeem(redemption).await.unwrap();
    assert_eq!((issued.session.claim_peer, issued.session.last_peer), (peer("203.0.113.7"), None));
    world.store.touch(&issued.session.id, peer("2001:db8::7")).await.unwrap();
    // Within a minute nothing is written, not even a new address.
    world.store.touch(&issued.session.id, peer("2001:db8::8")).await.unwrap();
    let found = world.live().await.remove(0);
    assert_eq!((found.claim_peer, found.last_peer), (peer("203.0.113.7"), peer("2001:db8::7")));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(
        (&json["claim_peer"], &json["last_peer"]),
        (&"203.0.113.7".into(), &"2001:db8::7".into())
    );
    let told = world.redeem(None).await.unwrap_err();
    assert!(!format!("{told:?} {found:?}").contains("203.0.113"), "personal: {told:?}");
}

pub async fn a_revoked_session_is_refused_by_every_handle_at_once<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    let issued = world.device(1).await;
    let other = world.another();
    assert!(other.session(&issued.token).await.unwrap().is_some());
    let id = &issued.session.id;
    let revoked = world.store.revoke_session(id, &Actor::cli()).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(moment(START)));
    assert_eq!(other.session(&issued.token).await.unwrap(), None);
    assert_eq!(world.store.session(&issued.token).await.unwrap(), None);
    assert_eq!(world.store.revoke_session(id, &Actor::cli()).await.unwrap(), None, "only once");
    let detail = json!({ "session": id, "profile": "companion-v1", "device_label": "Ana's phone" });
    assert_eq!(last_entry(&world).await, ("cli".into(), "session_revoked".into(), detail));
}
