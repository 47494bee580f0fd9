//! Takes the messages of one subscription, and decides at once on those that it can.

use std::sync::Arc;

use nexo_pairing_nats::{BusState, Message, Subscription};
use tokio::sync::watch;

use crate::desk::Desk;
use crate::event::{self, Event, Letter};
use crate::lane::Lanes;

/// Takes messages until the subscription ends. Asked to stop, it unsubscribes, and takes what the server
/// has sent until then.
pub(crate) async fn take(
    mut subscription: Subscription,
    mut state: watch::Receiver<BusState>,
    desk: Arc<Desk>,
    lanes: Arc<Lanes>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let message = tokio::select! {
            biased;
            Ok(_) = stopping.wait_for(|stop| *stop) => break,
            message = subscription.next() => message,
        };
        match message {
            Some(message) => take_one(&message, &desk, &lanes).await,
            None => return,
        }
    }
    // It fails when the connection was closed: then nothing more comes either.
    let _ = subscription.stop().await;
    loop {
        let message = tokio::select! {
            biased;
            message = subscription.next() => message,
            // What the server had for us went with the connection.
            _ = state.wait_for(|state| *state != BusState::Connected) => return,
        };
        match message {
            Some(message) => take_one(&message, &desk, &lanes).await,
            None => return,
        }
    }
}

async fn take_one(message: &Message, desk: &Desk, lanes: &Lanes) {
    desk.handle().stats().taken();
    let letter = Letter::from(message);
    let inbound = match event::read(letter) {
        Ok(Event::Message(inbound)) => inbound,
        Ok(Event::Notice(address, notice)) => return desk.notice(address, &notice, letter).await,
        Err(refusal) => return desk.reject(letter, &refusal).await,
    };
    let place = lanes.place(&inbound);
    // What its sender wrote before comes first.
    if !lanes.waits(place)
        && let Some(result) = desk.glance(&inbound)
    {
        lanes.decided(place, &result);
        return desk.conclude(&inbound, letter, result).await;
    }
    if !lanes.queue(place, &inbound, letter) {
        desk.overloaded(letter).await;
    }
}
