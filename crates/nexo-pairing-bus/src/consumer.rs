//! Takes the messages of one subscription, and decides at once on those that it can.

use std::sync::Arc;

use nexo_pairing_nats::{BusState, Message, Subscription};
use tokio::sync::watch;

use crate::dispatcher::Dispatcher;
use crate::event::{self, Envelope, Event};
use crate::queue::ChannelQueues;

/// Takes messages until the subscription ends. Asked to stop, it unsubscribes, and takes what the server
/// has sent until then.
pub(crate) async fn consume(
    mut subscription: Subscription,
    mut state: watch::Receiver<BusState>,
    dispatcher: Arc<Dispatcher>,
    queues: Arc<ChannelQueues>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let message = tokio::select! {
            biased;
            Ok(_) = stopping.wait_for(|stop| *stop) => break,
            message = subscription.next() => message,
        };
        match message {
            Some(message) => dispatch(&message, &dispatcher, &queues).await,
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
            Some(message) => dispatch(&message, &dispatcher, &queues).await,
            None => return,
        }
    }
}

async fn dispatch(message: &Message, dispatcher: &Dispatcher, queues: &ChannelQueues) {
    dispatcher.handle().stats().taken();
    let envelope = Envelope::from(message);
    let inbound = match event::read(envelope) {
        Ok(Event::Message(inbound)) => inbound,
        Ok(Event::Notice(address, notice)) => {
            return dispatcher.screen_notice(address, &notice, envelope).await;
        }
        Err(reason) => return dispatcher.reject(envelope, &reason).await,
    };
    let key = queues.ordering_key(&inbound);
    // What its sender wrote before comes first.
    if !queues.is_in_flight(key)
        && let Some(result) = dispatcher.try_cached(&inbound)
    {
        queues.remember(key, &result);
        return dispatcher.apply(&inbound, envelope, result).await;
    }
    if !queues.enqueue(key, &inbound, envelope) {
        dispatcher.overloaded(envelope).await;
    }
}
