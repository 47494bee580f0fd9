//! Searches of the audit log find the same entries as a scan.

use nexo_pairing_core::{
    AccountId, AccountScope, Actor, AuditAction, AuditEvent, AuditQuery, ChannelId, Filter,
    SenderId,
};

use nexo_pairing_engine::{AuditRow, Caller};
use serde_json::json;

use crate::prelude::*;
use crate::testing::redemption;
use crate::world::{START, World, minutes, moment};

/// Adds 400 entries whose times are not in order.
async fn add_entries<S: Storage>(world: &World<S>) {
    let added = world.store.storage().write(Caller::Operator, |rows| {
        rows.lock(&[])?;
        for i in 1_i64..=400 {
            let of_sender = |names: [&str; 2]| names.get((i % 3) as usize).map(|&it| it.to_owned());
            let action =
                [AuditAction::Request, AuditAction::Replay].into_iter().nth((i % 5) as usize);
            let action = action.unwrap_or(AuditAction::Expire);
            let (at, detail) = (moment(START + (i * 37) % 400), json!({ "i": i }));
            let mut event = AuditEvent::new(0, at, Actor::gate(), action, detail);
            event.channel = of_sender(["whatsapp", "telegram"]).map(ChannelId::from_stored);
            event.account_id = of_sender(["personal", "work"]).map(AccountScope::from_stored);
            event.sender_id = (i % 3 != 2).then(|| SenderId::from_stored(format!("+{}", i % 7)));
            let session = (i % 3 == 2).then(|| format!("{:016x}", i % 4));
            let device_label = (i % 6 == 2).then(|| format!("phone{}", i % 2));
            rows.append_audit(&AuditRow { event, session, device_label })?;
        }
        Ok(())
    });
    added.await.unwrap();
}

/// Whether an entry matches. A device is known by its sessions here.
fn matches(query: &AuditQuery, event: &AuditEvent, sessions: &[String]) -> bool {
    let AuditQuery { filter, action, since, until, before, .. } = query;
    let is = |wanted: Option<&str>, found: Option<&str>| wanted.is_none() || wanted == found;
    let number = event.detail["i"].as_i64().unwrap();
    let session = (number % 3 == 2).then(|| format!("{:016x}", number % 4));
    let channel = event.channel.as_ref().map(ChannelId::as_str);
    let account = event.account_id.as_ref().map(AccountScope::as_str);
    let sender = event.sender_id.as_ref().map(SenderId::as_str);
    is(filter.channel.as_ref().map(ChannelId::as_str), channel)
        && is(filter.account.as_ref().map(AccountId::as_str), account)
        && is(filter.sender.as_ref().map(SenderId::as_str), sender)
        && is(action.as_ref().map(AuditAction::as_str), Some(event.action.as_str()))
        && since.is_none_or(|since| event.at >= since)
        && until.is_none_or(|until| event.at < until)
        && before.is_none_or(|before| event.seq < before)
        && (query.device.is_none() || session.is_some_and(|id| sessions.contains(&id)))
}

pub async fn every_combination_of_filters_matches_a_full_scan<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    add_entries(&world).await;
    let all = world.store.audit(&Filter::all(), 1000).await.unwrap();
    assert_eq!(all.len(), 400);
    let middle = Some(all[199].seq);
    let id = |number: u64| format!("{number:016x}");
    let devices = [
        (None, vec![]),
        (Some(id(2)), vec![id(2)]),
        (Some("phone0".to_owned()), vec![id(0), id(2)]),
        (Some("phone'; --".to_owned()), vec![]),
    ];
    let filters = [
        Filter::all(),
        Filter::all().with_channel(ChannelId::parse("telegram").unwrap()),
        Filter::all().with_account(AccountId::parse("personal").unwrap()),
        Filter::all().with_sender(SenderId::parse("+3").unwrap()),
    ];
    let times = [(None, None), (Some(100), None), (None, Some(250)), (Some(100), Some(250))];
    let mut found_some = 0;
    for (device, sessions) in &devices {
        for filter in &filters {
            for action in [None, Some(AuditAction::Replay), Some(AuditAction::Expire)] {
                for (since, until) in times {
                    for (before, limit) in [(None, 1000), (None, 7), (middle, 1000), (middle, 3)] {
                        let mut query = AuditQuery::newest(limit);
                        query.device.clone_from(device);
                        query.filter = filter.clone();
                        query.action.clone_from(&action);
                        query.since = since.map(|after| moment(START + after));
                        query.until = until.map(|after| moment(START + after));
                        query.before = before;
                        let found = world.store.audit_log(&query).await.unwrap();
                        let is_match = |event: &&AuditEvent| matches(&query, event, sessions);
                        let expected: Vec<_> = all.iter().filter(is_match).cloned().collect();
                        let skipped = expected.len().saturating_sub(limit as usize);
                        assert_eq!(found, expected[skipped..], "{query:?}");
                        found_some += usize::from(!found.is_empty());
                    }
                }
            }
        }
    }
    assert!(found_some > 200, "{found_some}");
}

pub async fn pages_neither_skip_nor_repeat_entries_during_writes<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    add_entries(&world).await;
    let mut query = AuditQuery::newest(30);
    query.action = Some(AuditAction::Expire);
    let mut pages = Vec::new();
    loop {
        let page = world.store.audit_log(&query).await.unwrap();
        // Entries written meanwhile are newer.
        add_entries(&world).await;
        let Some(oldest) = page.first() else { break };
        query.before = Some(oldest.seq);
        pages.splice(0..0, page);
    }
    assert_eq!(pages.len(), 240);
    assert!(pages.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

pub async fn fractions_of_a_second_leave_no_gap_between_two_ranges<S: Storage>(suite: &Suite<S>) {
    let world = World::new(suite).await;
    world.code("+1").await;
    let after = AuditQuery::newest(10).with_since(moment(START) + time::Duration::milliseconds(1));
    assert!(world.store.audit_log(&after).await.unwrap().is_empty());
    let mut before = AuditQuery::newest(10);
    before.until = after.since;
    assert_eq!(world.store.audit_log(&before).await.unwrap().len(), 1);
}

pub async fn a_device_is_found_by_label_after_its_session_was_deleted<S: Storage>(
    suite: &Suite<S>,
) {
    let world = World::new(suite).await;
    let mut first = redemption(1, None);
    first.session_ttl = minutes(60);
    let session = world.store.redeem(first).await.unwrap().session;
    world.device(2).await;
    world.redeem(None).await.unwrap_err();
    world.pass(minutes(60 * 24 * 40));
    world.store.purge_sessions().await.unwrap();
    assert!(world.store.list_sessions(true).await.unwrap().is_empty());
    for (device, actions) in [
        (session.id.as_str(), vec!["session_issued", "replay"]),
        ("Ana's phone", vec!["session_issued", "session_issued", "replay"]),
        ("Ana's", vec![]),
    ] {
        let query = AuditQuery::newest(10).with_device(device);
        let found = world.store.audit_log(&query).await.unwrap();
        assert_eq!(
            found.iter().map(|event| event.action.as_str()).collect::<Vec<_>>(),
            actions,
            "{device}"
        );
    }
}
