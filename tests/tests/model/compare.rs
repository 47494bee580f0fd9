//! Compares the state of store and gate with that of the model.

use std::collections::{BTreeMap, BTreeSet};

use nexo_pairing::{
    Filter, Inbound, Mode, PairingPolicy, RedemptionState, SenderKey, Session, SessionId,
};

use crate::companion::claims;
use crate::devices::{Devices, Use};
use crate::ops::{ACCOUNTS, CHANNELS, SENDERS};
use crate::rules::{Key, Message};
use crate::world::{World, moment, named, real};

impl World {
    pub(crate) fn adapter_channel(&self) -> &'static str {
        CHANNELS[0]
    }

    /// Whether a gate would decide like the model for every sender.
    pub(crate) async fn compare_gate(&self, handle: usize) {
        let policy = PairingPolicy::new(Mode::Pairing);
        for (channel, account, id) in everybody() {
            let inbound = Inbound::direct(channel.as_str(), account.as_str(), id.as_str());
            let gate = &self.processes[handle].gate;
            let summary = gate.explain(&inbound, &policy, &self.registry).await.unwrap();
            let is_group = channel == self.adapter_channel() && id.starts_with('-');
            let key = (channel, account, id);
            let message = Message {
                key,
                alt: Vec::new(),
                has_unreadable_id: false,
                is_group,
                mode: Mode::Pairing,
                max_pending: 3,
                cooldown: 300,
            };
            let rule = self.model.evaluate(&message, &ACCOUNTS);
            assert_eq!(summary.rule, rule, "{message:?}");
        }
    }

    /// Whether the lists of both processes equal the model's.
    pub(crate) async fn compare(&mut self) {
        for handle in [0, 1] {
            self.catch_up(handle).await;
            self.compare_gate(handle).await;
            self.compare_lists(handle).await;
            self.compare_devices(handle).await;
        }
    }

    async fn compare_lists(&self, handle: usize) {
        let (store, model, all) = (&self.processes[handle].store, &self.model, Filter::all());
        let requests: BTreeSet<_> = model
            .pending()
            .map(|request| {
                (request.key.clone(), request.code.clone(), request.since, request.until)
            })
            .collect();
        let listed = store.list_pending(&all).await.unwrap().into_iter().map(|request| {
            let key = SenderKey::new(request.channel, request.account_id, request.sender_id);
            let (since, until) = (seconds(request.created_at), seconds(request.expires_at));
            (named(&key), request.code.as_str().to_owned(), since, until)
        });
        assert_eq!(listed.collect::<BTreeSet<_>>(), requests);

        for include_ended in [false, true] {
            let grants: Vec<_> = model
                .grants
                .iter()
                .map(|(key, grant)| {
                    let via = grant.via.clone();
                    (key.clone(), grant.since, via, grant.until, grant.ended(model.now))
                })
                .filter(|(.., ended)| include_ended || ended.is_none())
                .collect();
            let listed = store.list_allow(&all, include_ended).await.unwrap();
            let listed = listed.into_iter().map(|grant| {
                let key = SenderKey::new(grant.channel, grant.account_id, grant.sender_id);
                let (until, ended) = (grant.expires_at.map(seconds), grant.revoked_at.map(seconds));
                (
                    named(&key),
                    seconds(grant.approved_at),
                    grant.approved_via.to_string(),
                    until,
                    ended,
                )
            });
            assert_eq!(listed.collect::<Vec<_>>(), grants);
        }

        let listed = store.list_blocked(&all).await.unwrap().into_iter().map(|block| {
            let scope = block.account_id.as_str().to_owned();
            let key = (block.channel.to_string(), scope, block.sender_id.to_string());
            (key, (seconds(block.blocked_at), block.blocked_via.to_string(), block.reason))
        });
        assert_eq!(listed.collect::<BTreeMap<_, _>>(), model.blocks);

        for key in everybody() {
            let expected = model.is_allowed(&key) && !model.is_blocked(&key);
            assert_eq!(store.is_allowed(&real(&key)).await.unwrap(), expected, "{key:?}");
        }

        let log = store.audit(&all, 10_000).await.unwrap().into_iter().map(|event| {
            let sender = event.sender_id.map_or_else(String::new, |id| id.to_string());
            let sender = if sender.starts_with("sha256:") { "#".to_owned() } else { sender };
            let account = event.account_id.map_or_else(String::new, |scope| scope.to_string());
            let channel = event.channel.map_or_else(String::new, |id| id.to_string());
            let (actor, action) = (event.actor.to_string(), event.action.to_string());
            (seconds(event.at), actor, action, (channel, account, sender))
        });
        assert_eq!(log.collect::<Vec<_>>(), model.log);
    }

    async fn compare_devices(&self, handle: usize) {
        let (store, devices) = (&self.processes[handle].store, &self.model.devices);
        let now = self.model.now;
        for include_ended in [false, true] {
            let listed = store.list_sessions(include_ended).await.unwrap();
            let listed: Vec<_> = listed.iter().map(summary).collect();
            let is_shown = |number: &usize| include_ended || devices.all[*number].is_live(now);
            let shown = (0..devices.all.len()).filter(is_shown);
            let mut expected: Vec<_> = shown.filter_map(|number| devices.kept(number)).collect();
            expected.sort_by_key(|(_, [issued, ..], ..)| *issued);
            assert_eq!(listed, expected);
        }
        for (token, of) in &devices.tokens {
            let found = store.session(token).await.unwrap();
            let live = devices.live(*of, now);
            let expected = live.and_then(|number| devices.kept(number));
            assert_eq!(found.as_ref().map(summary), expected);
            if let (Some(found), Some(number)) = (found, live) {
                assert_eq!(found.wants_touch(moment(now)), devices.all[number].wants_touch(now));
            }
        }
        for (code, used) in devices.codes.iter().enumerate() {
            let state = store.redemption(&claims(code).nonce).await.unwrap();
            match (used, state) {
                (None, None) | (Some(Use::Cancelled), Some(RedemptionState::Cancelled)) => {}
                (Some(Use::Claimed(number, _)), Some(RedemptionState::Claimed(session))) => {
                    assert_eq!(Some(summary(&session)), devices.kept(*number));
                }
                (Some(Use::Claimed(number, _)), Some(RedemptionState::Forgotten)) => {
                    assert!(devices.all[*number].is_purged);
                }
                (used, state) => panic!("{state:?}, not {used:?}"),
            }
        }
    }
}

impl Devices {
    /// A session as the store should return it, unless it was purged.
    pub(crate) fn kept(&self, number: usize) -> Option<SessionSummary> {
        let device = &self.all[number];
        let times = [device.issued, device.expires, device.renew_until];
        let summary = (device.id.clone(), times, device.seen, device.revoked);
        Some(summary).filter(|_| !device.is_purged)
    }
}

/// Id; issued at, expires at, renew until; last seen at; revoked at.
type SessionSummary = (SessionId, [i64; 3], Option<i64>, Option<i64>);

pub(crate) fn summary(session: &Session) -> SessionSummary {
    let times = [session.issued_at, session.expires_at, session.renew_until].map(seconds);
    let (seen, revoked) = (session.last_seen_at.map(seconds), session.revoked_at.map(seconds));
    (session.id.clone(), times, seen, revoked)
}

fn everybody() -> impl Iterator<Item = Key> {
    let keys = CHANNELS.iter().flat_map(|channel| ACCOUNTS.iter().map(move |name| (channel, name)));
    keys.flat_map(|(channel, name)| {
        SENDERS.iter().map(move |id| ((*channel).into(), (*name).into(), (*id).into()))
    })
}

fn seconds(at: time::OffsetDateTime) -> i64 {
    at.unix_timestamp()
}
