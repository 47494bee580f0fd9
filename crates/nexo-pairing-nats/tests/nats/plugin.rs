//! Channels that another process serves.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nexo_pairing_core::{
    Challenge, DeliveryRoute, PairingChannelAdapter, PairingCode, PairingError,
};
use nexo_pairing_nats::{Bus, BusState, Format, PluginAdapter, PluginOptions, Shape};
use nexo_pairing_nats_server::NatsServer;
use serde_json::{Value, json};

use crate::support::{
    LIMIT, Plugin, Speaks, adapter, bus, listener, next_json, options, plugin_options, say,
    wait_for, within,
};

const NORMALIZE: &str = "normalize_sender";

fn normalizes() -> Vec<(&'static str, Value)> {
    vec![(NORMALIZE, json!({"normalized": "<raw>"}))]
}

fn says(error: &PairingError) -> String {
    match error {
        PairingError::Delivery(cause) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plugin_of_either_shape_is_understood_and_asked_once() {
    for speaks in [Speaks::Nexo, Speaks::Plain] {
        let server = NatsServer::start();
        let ok = json!({"ok": true});
        let answers = [
            (NORMALIZE, json!({"normalized": "<raw>"})),
            ("send_reply", ok.clone()),
            ("send_qr_image", ok),
        ];
        let plugin = Plugin::start(&server, speaks, &answers).await;
        let adapter = adapter(&server).await;
        assert_eq!(adapter.channel_id(), "signal");
        assert_eq!(adapter.route(), DeliveryRoute::Broker);

        assert_eq!(adapter.normalize_sender("+1"), None);
        assert_eq!(adapter.resolve_sender("+1").await.unwrap().as_deref(), Some("+1"));
        assert_eq!(adapter.normalize_sender("+1").as_deref(), Some("+1"));
        adapter.send_reply("personal", "+1", "hello").await.unwrap();
        adapter.send_qr_image("personal", "+1", b"\x89PNG").await.unwrap();

        let asked = plugin.asked();
        let names: Vec<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [NORMALIZE, "send_reply", "send_qr_image"], "{speaks:?}");
        for (body, expected) in [
            (&asked[0].1, json!({"raw": "+1"})),
            (&asked[1].1, json!({"account": "personal", "to": "+1", "text": "hello"})),
            (&asked[2].1, json!({"account": "personal", "to": "+1", "png_base64": "iVBORw=="})),
        ] {
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(body.get(key), Some(value), "{speaks:?} {key}");
            }
        }
    }
}

#[tokio::test]
async fn a_plugin_that_takes_only_one_shape_is_asked_in_it() {
    for (shape, speaks) in [(Shape::Nexo, Speaks::Nexo), (Shape::Plain, Speaks::Plain)] {
        let server = NatsServer::start();
        let mut spy = listener(&server, "plugin.signal.pairing.normalize_sender").await;
        let _plugin = Plugin::start(&server, speaks, &normalizes()).await;
        let mut options = plugin_options();
        options.shape = shape;
        let adapter = PluginAdapter::new(bus(&server).await, options).unwrap();
        assert_eq!(adapter.resolve_sender("+1").await.unwrap().as_deref(), Some("+1"));
        let request = next_json(&mut spy).await;
        assert_eq!(request.get("raw").is_some(), shape == Shape::Plain, "{request}");
        assert_eq!(request.get("payload").is_some(), shape == Shape::Nexo, "{request}");
    }
}

#[tokio::test]
async fn a_cached_answer_is_not_asked_again() {
    let server = NatsServer::start();
    let plugin = Plugin::start(&server, Speaks::Plain, &normalizes()).await;
    let adapter = adapter(&server).await;
    for _ in 0..5 {
        assert_eq!(adapter.resolve_sender("+1").await.unwrap().as_deref(), Some("+1"));
    }
    assert_eq!(plugin.times_asked(NORMALIZE), 1);
    plugin.end().await;
    assert_eq!(adapter.normalize_sender("+1").as_deref(), Some("+1"), "it needs the plugin");

    let unpairable = [(NORMALIZE, json!({"normalized": null}))];
    let plugin = Plugin::start(&server, Speaks::Plain, &unpairable).await;
    for _ in 0..5 {
        assert_eq!(adapter.normalize_sender("bot"), None);
        assert_eq!(adapter.resolve_sender("bot").await.unwrap(), None);
    }
    assert_eq!(plugin.times_asked(NORMALIZE), 1);
}

#[tokio::test]
async fn concurrent_lookups_of_a_sender_ask_once() {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.normalize_sender").await;
    let adapter = adapter(&server).await;
    let all = async {
        let asked = std::iter::repeat_with(|| adapter.resolve_sender("+1")).take(50);
        futures_util::future::join_all(asked).await
    };
    let answer = async {
        let request = within(requests.next()).await.unwrap();
        say(&server, request.reply.unwrap(), r#"{"normalized": "+1"}"#).await;
    };
    let (answers, ()) = tokio::join!(all, answer);
    for answer in answers {
        assert_eq!(answer.unwrap().as_deref(), Some("+1"));
    }
    adapter.resolve_sender("+2").await.unwrap_err();
    let second = next_json(&mut requests).await;
    assert_eq!(second["raw"], "+2", "it was asked more than once");
}

#[tokio::test]
async fn a_missing_plugin_is_reported_at_once() {
    let server = NatsServer::start();
    let adapter = adapter(&server).await;
    let started = Instant::now();
    for number in 0..20 {
        let error = adapter.resolve_sender(&number.to_string()).await.unwrap_err();
        assert_eq!(says(&error), "no plugin listens");
    }
    // The time limit of one is 2 s.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // Once there is a plugin, it is asked.
    let _plugin = Plugin::start(&server, Speaks::Nexo, &normalizes()).await;
    assert_eq!(adapter.resolve_sender("+1").await.unwrap().as_deref(), Some("+1"));
}

#[tokio::test]
async fn a_hanging_plugin_costs_one_time_out_and_is_asked_again_later() {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.>").await;
    let mut options = plugin_options();
    options.timeout = Duration::from_millis(200);
    let adapter = PluginAdapter::new(bus(&server).await, options).unwrap();
    let started = Instant::now();
    let error = adapter.resolve_sender("+1").await.unwrap_err();
    assert!(says(&error).contains("did not reply within 0.2 s"), "{error:?}");
    let waited = started.elapsed();
    for number in 0..100 {
        let error = adapter.resolve_sender(&number.to_string()).await.unwrap_err();
        assert!(says(&error).contains("skipped the plugin"), "{error:?}");
    }
    // A hundred time-outs would take 20 s.
    assert!(started.elapsed() < waited + Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(next_json(&mut requests).await["raw"], "+1");
    drop(requests);

    let _plugin = Plugin::start(&server, Speaks::Nexo, &normalizes()).await;
    let deadline = Instant::now() + LIMIT;
    while adapter.resolve_sender("+1").await.is_err() {
        assert!(Instant::now() < deadline, "it is not asked again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn time_outs_on_strangers_do_not_block_known_senders() {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.normalize_sender").await;
    let mut options = plugin_options();
    options.cache_ttl = Duration::from_secs(1);
    let adapter = PluginAdapter::new(bus(&server).await, options).unwrap();
    let mut answer_friend = async || {
        loop {
            let request = within(requests.next()).await.unwrap();
            let asked: Value = serde_json::from_slice(&request.payload).unwrap();
            if asked["raw"] == "friend" {
                return say(&server, request.reply.unwrap(), r#"{"normalized": "7"}"#).await;
            }
        }
    };
    let (friend, ()) = tokio::join!(adapter.resolve_sender("friend"), answer_friend());
    assert_eq!(friend.unwrap().as_deref(), Some("7"));
    let deadline = Instant::now() + LIMIT;
    while adapter.normalize_sender("friend").is_some() {
        assert!(Instant::now() < deadline, "the answer does not expire");
        tokio::task::yield_now().await;
    }
    let error = adapter.resolve_sender("stranger").await.unwrap_err();
    assert!(says(&error).contains("did not reply within 2 s"), "{error:?}");
    let error = adapter.resolve_sender("another").await.unwrap_err();
    assert!(says(&error).contains("skipped the plugin"), "{error:?}");

    let (friend, ()) = tokio::join!(adapter.resolve_sender("friend"), answer_friend());
    assert_eq!(friend.unwrap().as_deref(), Some("7"));
}

#[tokio::test]
async fn a_plugin_that_hangs_in_one_method_is_asked_for_the_others() {
    let server = NatsServer::start();
    let _hangs = listener(&server, "plugin.signal.pairing.format_challenge_text").await;
    let plugin = Plugin::start(&server, Speaks::Nexo, &[("send_reply", json!({"ok": true}))]).await;
    let mut options = plugin_options();
    options.format = Format::Broker;
    options.timeout = Duration::from_millis(200);
    let adapter = PluginAdapter::new(bus(&server).await, options).unwrap();
    let challenge = Challenge::new(PairingCode::parse("K7M9-PQ2X").unwrap(), 60);
    adapter.send_challenge("default", "+1", &challenge).await.unwrap();
    assert_eq!(plugin.asked()[0].1["text"], challenge.plain_text());
}

#[tokio::test]
async fn a_plugin_formats_the_challenge_if_configured() {
    let server = NatsServer::start();
    let sends = ("send_reply", json!({"ok": true}));
    let words = ("format_challenge_text", json!({"text": "*K7M9-PQ2X*"}));
    let plugin = Plugin::start(&server, Speaks::Plain, &[words, sends.clone()]).await;
    let bus = bus(&server).await;
    let challenge = Challenge::new(PairingCode::parse("K7M9-PQ2X").unwrap(), 60);

    let ours = PluginAdapter::new(bus.clone(), plugin_options()).unwrap();
    ours.send_challenge("default", "+1", &challenge).await.unwrap();
    assert_eq!(plugin.asked()[0].1["text"], challenge.plain_text());
    assert_eq!(plugin.times_asked("format_challenge_text"), 0);

    let mut options = plugin_options();
    options.format = Format::Broker;
    let theirs = PluginAdapter::new(bus, options).unwrap();
    theirs.send_challenge("default", "+1", &challenge).await.unwrap();
    let asked = plugin.asked();
    assert_eq!(asked[1].1["code"], "K7M9-PQ2X");
    assert_eq!(asked[2].1["text"], "*K7M9-PQ2X*");
    plugin.end().await;
    let plugin = Plugin::start(&server, Speaks::Plain, &[sends]).await;
    theirs.send_challenge("default", "+1", &challenge).await.unwrap();
    assert_eq!(plugin.asked()[0].1["text"], challenge.plain_text());
}

#[tokio::test]
async fn the_reason_of_a_failed_send_is_reported() {
    let server = NatsServer::start();
    let answers = [("send_reply", json!({"ok": false, "error": "not registered\n"}))];
    for speaks in [Speaks::Nexo, Speaks::Plain] {
        let plugin = Plugin::start(&server, speaks, &answers).await;
        let adapter = adapter(&server).await;
        let error = adapter.send_reply("default", "+1", "text").await.unwrap_err();
        assert_eq!(says(&error), "the plugin failed: not registered\\n");
        // It replied, so it is asked again.
        adapter.send_reply("default", "+1", "text").await.unwrap_err();
        assert_eq!(plugin.times_asked("send_reply"), 2);
        plugin.end().await;
    }
}

#[tokio::test]
async fn a_plugin_without_images_cannot_send_them() {
    let server = NatsServer::start();
    let adapter = adapter(&server).await;
    let error = adapter.send_qr_image("default", "+1", b"png").await.unwrap_err();
    assert!(matches!(error, PairingError::Unsupported { channel: "signal", what: "images" }));
}

#[tokio::test]
async fn a_slow_plugin_delays_only_its_own_channel() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let _hangs = listener(&server, "plugin.matrix.pairing.>").await;
    let channel = "matrix".parse().unwrap();
    let options = PluginOptions::new(channel, "plugin.matrix").with_max_in_flight(2);
    let slow = PluginAdapter::new(bus.clone(), options).unwrap();
    let _plugin = Plugin::start(&server, Speaks::Plain, &normalizes()).await;
    let quick = PluginAdapter::new(bus, plugin_options()).unwrap();

    let stuck: Vec<_> = (0..100)
        .map(|number: u32| {
            let slow = slow.clone();
            tokio::spawn(async move { slow.resolve_sender(&number.to_string()).await })
        })
        .collect();
    let started = Instant::now();
    for number in 0..100 {
        quick.resolve_sender(&number.to_string()).await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    for task in stuck {
        within(task).await.unwrap().unwrap_err();
    }
    // All of them together took no longer than one time-out.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_lost_connection_is_reported_at_once_and_does_not_open_the_circuit() {
    let mut server = NatsServer::start();
    let mut options = options(&server);
    options.connect_timeout = Duration::from_secs(1);
    let bus = Bus::connect(options).await.unwrap();
    let adapter = PluginAdapter::new(bus.clone(), plugin_options()).unwrap();
    server.kill();
    wait_for(&bus, BusState::Disconnected).await;
    let started = Instant::now();
    let error = adapter.resolve_sender("+1").await.unwrap_err();
    assert_eq!(says(&error), "not connected to a NATS server");
    assert!(started.elapsed() < Duration::from_secs(1));
    server.start_again();
    wait_for(&bus, BusState::Connected).await;
    let _plugin = Plugin::start(&server, Speaks::Nexo, &normalizes()).await;
    assert_eq!(adapter.resolve_sender("+1").await.unwrap().as_deref(), Some("+1"));
}

#[tokio::test]
async fn options_out_of_range_are_refused() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let wrong: [fn(&mut PluginOptions); 6] = [
        |options| options.prefix = "plugin.*".into(),
        |options| options.prefix = String::new(),
        |options| options.cache_ttl = Duration::ZERO,
        |options| options.cache_capacity = 0,
        |options| options.timeout = Duration::ZERO,
        |options| options.max_in_flight = 0,
    ];
    for change in wrong {
        let mut options = plugin_options();
        change(&mut options);
        assert!(PluginAdapter::new(bus.clone(), options.clone()).is_err(), "{options:?}");
    }
}
