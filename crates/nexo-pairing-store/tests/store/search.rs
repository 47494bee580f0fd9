//! Searches of the audit log find what a look at every entry finds.

use nexo_pairing_core::{AccountId, AuditEvent, AuditQuery, ChannelId, Filter, SenderId};

use crate::support::{START, World, moment};

/// 400 entries; their times go up and down.
const ENTRIES: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
    INSERT INTO pairing_audit(at, actor, action, channel, account_id, sender_id, detail_json,
            session_id, device_label)
        SELECT 1800000000 + (i * 37) % 400, 'gate',
            CASE i % 5 WHEN 0 THEN 'request' WHEN 1 THEN 'replay' ELSE 'expire' END,
            CASE i % 3 WHEN 0 THEN 'whatsapp' WHEN 1 THEN 'telegram' END,
            CASE i % 3 WHEN 0 THEN 'personal' WHEN 1 THEN 'work' END,
            CASE i % 3 WHEN 2 THEN NULL ELSE '+' || (i % 7) END,
            json_object('i', i),
            CASE i % 3 WHEN 2 THEN printf('%016x', i % 4) END,
            CASE i % 6 WHEN 2 THEN 'phone' || (i % 2) END
        FROM n";

/// Whether an entry matches, by a look at it. Of a device here it is enough to know the sessions.
fn matches(query: &AuditQuery, event: &AuditEvent, sessions: &[String]) -> bool {
    let AuditQuery { filter, action, since, until, before, .. } = query;
    let is = |wanted: Option<&str>, found: Option<&str>| wanted.is_none() || wanted == found;
    let number = event.detail["i"].as_i64().unwrap();
    let session = (number % 3 == 2).then(|| format!("{:016x}", number % 4));
    is(filter.channel.as_ref().map(ChannelId::as_str), event.channel.as_deref())
        && is(filter.account.as_ref().map(AccountId::as_str), event.account_id.as_deref())
        && is(filter.sender.as_ref().map(SenderId::as_str), event.sender_id.as_deref())
        && is(action.as_deref(), Some(&event.action))
        && since.is_none_or(|since| event.at >= since)
        && until.is_none_or(|until| event.at < until)
        && before.is_none_or(|before| event.seq < before)
        && (query.device.is_none() || session.is_some_and(|id| sessions.contains(&id)))
}

#[tokio::test]
async fn every_combination_of_filters_finds_what_a_look_at_each_entry_finds() {
    let world = World::new().await;
    world.shell().execute(ENTRIES, ()).unwrap();
    let all = world.store.audit(&Filter::all(), 1000).await.unwrap();
    assert_eq!(all.len(), 400);
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
            for action in [None, Some("replay"), Some("expire")] {
                for (since, until) in times {
                    for (before, limit) in
                        [(None, 1000), (None, 7), (Some(200), 1000), (Some(200), 3)]
                    {
                        let mut query = AuditQuery::newest(limit);
                        query.device.clone_from(device);
                        query.filter = filter.clone();
                        query.action = action.map(str::to_owned);
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

#[tokio::test]
async fn pages_leave_nothing_out_and_repeat_nothing_while_others_write() {
    let world = World::new().await;
    world.shell().execute(ENTRIES, ()).unwrap();
    let mut query = AuditQuery::newest(30);
    query.action = Some("expire".to_owned());
    let mut pages = Vec::new();
    loop {
        let page = world.store.audit_log(&query).await.unwrap();
        // What comes meanwhile is newer.
        world.shell().execute(ENTRIES, ()).unwrap();
        let Some(oldest) = page.first() else { break };
        query.before = Some(oldest.seq);
        pages.splice(0..0, page);
    }
    assert_eq!(pages.len(), 240);
    assert!(pages.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}
