//! Connections: how they start, break, reconnect and end.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nexo_pairing_nats::{Bus, BusState, NatsError, NatsOptions};
use nexo_pairing_nats_server::NatsServer;

use crate::support::{LIMIT, bus, client, listener, options, round_trip, say, wait_for, within};

#[tokio::test]
async fn a_missing_server_is_reported_at_once() {
    let mut server = NatsServer::start();
    server.kill();
    let started = Instant::now();
    let error = Bus::connect(options(&server)).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    let NatsError::Connect { servers, source } = error else { panic!("{error:?}") };
    assert_eq!(servers, format!("127.0.0.1:{}", server.port()));
    assert!(source.to_string().to_lowercase().contains("refused"), "{source}");
}

#[tokio::test]
async fn a_connection_can_wait_for_its_server() {
    let mut server = NatsServer::start();
    server.kill();
    let mut options = options(&server);
    options.wait_for_server = true;
    let bus = Bus::connect(options).await.unwrap();
    assert!(matches!(bus.flush().await, Err(NatsError::Disconnected)));
    let mut messages = bus.subscribe("a.*").await.unwrap();
    server.start_again();
    wait_for(&bus, BusState::Connected).await;
    bus.flush().await.unwrap();
    say(&server, "a.b", "early").await;
    assert_eq!(within(messages.next()).await.unwrap().payload().as_ref(), b"early");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reconnects_within_two_seconds_ten_times() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    let mut messages = bus.subscribe_queue("in.>", "gate").await.unwrap();
    for round in 0..10 {
        server.kill();
        wait_for(&bus, BusState::Disconnected).await;
        server.start_again();
        let there = Instant::now();
        wait_for(&bus, BusState::Connected).await;
        bus.flush().await.unwrap();
        let took = there.elapsed();
        assert!(took < Duration::from_secs(2), "round {round}: {took:?}");
        let subject = format!("in.{round}");
        bus.deliver(&subject, "again".into()).await.unwrap();
        assert_eq!(within(messages.next()).await.unwrap().subject(), subject);
    }
}

#[tokio::test]
async fn another_server_takes_over() {
    let mut first = NatsServer::start();
    let second = NatsServer::start();
    let servers = format!("{}, {}", first.url(), second.url());
    // It may connect to either server first: until it is the one that dies, so that it has to change.
    let bus = loop {
        let bus = Bus::connect(NatsOptions::new([&servers]).unwrap()).await.unwrap();
        let _listener = listener(&first, "where").await;
        match bus.deliver("where", "".into()).await {
            Ok(()) => break bus,
            Err(NatsError::NoListener(_)) => bus.close().await.unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    };
    let mut messages = bus.subscribe("in").await.unwrap();
    first.kill();
    wait_for(&bus, BusState::Disconnected).await;
    wait_for(&bus, BusState::Connected).await;
    bus.flush().await.unwrap();
    say(&second, "in", "there").await;
    assert_eq!(within(messages.next()).await.unwrap().payload().as_ref(), b"there");
}

#[tokio::test]
async fn a_queue_group_shares_the_messages() {
    let server = NatsServer::start();
    let (one, other) = (bus(&server).await, bus(&server).await);
    let mut first = one.subscribe_queue("in.>", "gate").await.unwrap();
    let mut second = other.subscribe_queue("in.>", "gate").await.unwrap();
    one.flush().await.unwrap();
    other.flush().await.unwrap();
    let publisher = client(&server).await;
    for number in 0..200 {
        publisher.publish(format!("in.{number}"), "".into()).await.unwrap();
    }
    round_trip(&publisher).await;
    let mut seen = Vec::new();
    while seen.len() < 200 {
        let message = tokio::select! {
            message = first.next() => message,
            message = second.next() => message,
            () = tokio::time::sleep(LIMIT) => panic!("only {}", seen.len()),
        };
        seen.push(message.unwrap().subject().to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 200);
}

#[tokio::test]
async fn a_stopped_subscription_returns_its_messages_and_ends() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut messages = bus.subscribe("in").await.unwrap();
    for number in 0..1000 {
        bus.publish("in", format!("{number}").into()).await.unwrap();
    }
    // Once this is confirmed, the messages have arrived.
    bus.flush().await.unwrap();
    messages.stop().await.unwrap();
    for number in 0..1000 {
        let message = within(messages.next()).await.unwrap();
        assert_eq!(message.payload().as_ref(), format!("{number}").as_bytes());
    }
    assert!(within(messages.next()).await.is_none());
    bus.flush().await.unwrap();
    assert!(matches!(bus.deliver("in", "".into()).await, Err(NatsError::NoListener(_))));
}

#[tokio::test]
async fn messages_published_before_the_close_arrive() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut own = bus.subscribe("something").await.unwrap();
    let mut messages = listener(&server, "out").await;
    for number in 0..1000 {
        bus.publish("out", format!("{number}").into()).await.unwrap();
    }
    bus.close().await.unwrap();
    for number in 0..1000 {
        let message = within(messages.next()).await.unwrap();
        assert_eq!(message.payload, format!("{number}"));
    }
    assert!(within(own.next()).await.is_none());
    assert!(matches!(bus.flush().await, Err(NatsError::Closed)));
    assert!(matches!(bus.close().await, Err(NatsError::Closed)));
}

#[tokio::test]
async fn a_connection_ends_with_its_last_user() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let messages = bus.subscribe("in").await.unwrap();
    bus.flush().await.unwrap();
    let clone = bus.clone();
    drop(bus);
    clone.deliver("in", "".into()).await.unwrap();
    drop((clone, messages));
    let other = crate::support::bus(&server).await;
    let deadline = Instant::now() + LIMIT;
    while other.deliver("in", "".into()).await.is_ok() {
        assert!(Instant::now() < deadline, "the subscription is still there");
    }
}

#[tokio::test]
async fn lost_messages_are_counted() {
    let server = NatsServer::start();
    let mut options = options(&server);
    options.subscription_capacity = 8;
    let bus = Bus::connect(options).await.unwrap();
    let mut messages = bus.subscribe("in").await.unwrap();
    for _ in 0..20 {
        bus.publish("in", "".into()).await.unwrap();
        bus.flush().await.unwrap();
    }
    let deadline = Instant::now() + LIMIT;
    while bus.lost() < 12 {
        assert!(Instant::now() < deadline, "only {} are said to be lost", bus.lost());
        tokio::task::yield_now().await;
    }
    for _ in 0..8 {
        within(messages.next()).await.unwrap();
    }
    bus.publish("in", "taken again".into()).await.unwrap();
    assert_eq!(within(messages.next()).await.unwrap().payload().as_ref(), b"taken again");
}

#[tokio::test]
async fn the_debug_output_of_a_message_hides_its_content() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut messages = bus.subscribe("in").await.unwrap();
    bus.publish("in", "K7M9-PQ2X".into()).await.unwrap();
    let message = within(messages.next()).await.unwrap();
    assert!(!format!("{message:?} {bus:?} {messages:?}").contains("K7M9"));
}
