//! Takes the messages of a subscription, and decides at once where memory is enough.

use std::sync::Arc;

use nexo_pairing_nats::{BusState, Message, Subscription};
use tokio::sync::watch;

use crate::event::{self, Envelope, Event};
use crate::queue::ChannelQueues;

/// Takes messages until the subscription ends. When asked to stop, it unsubscribes and takes the messages
/// that the server has sent until then.
pub(crate) async fn consume(
    mut subscription: Subscription,
    mut state: watch::Receiver<BusState>,
    queues: Arc<ChannelQueues>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut is_stopping = false;
    loop {
        let message = tokio::select! {
            biased;
            () = async { drop(stopping.wait_for(|stop| *stop).await) }, if !is_stopping => {
                is_stopping = true;
                // Fails if the connection is closed, which ends the messages too.
                let _ = subscription.stop().await;
                continue;
            }
            message = subscription.next() => message,
            // Messages on their way are lost with the connection.
            () = async {
                drop(state.wait_for(|state| *state != BusState::Connected).await);
            }, if is_stopping => return,
        };
        match message {
            Some(message) => dispatch(&message, &queues).await,
            None => return,
        }
    }
}

async fn dispatch(message: &Message, queues: &ChannelQueues) {
    let gate = queues.gate();
    gate.stats.taken();
    let envelope = Envelope::from(message);
    let inbound = match event::parse(envelope) {
        Ok(Event::Message(inbound)) => inbound,
        Ok(Event::Notice(address, notice)) => {
            return gate.screen_notice(address, &notice, envelope).await;
        }
        Err(reason) => return gate.reject(envelope, &reason).await,
    };
    let key = queues.ordering_key(&inbound);
    // Earlier messages of the sender come first.
    if !queues.is_in_flight(key)
        && let Some(result) = gate.try_cached(&inbound)
    {
        queues.remember(key, &result);
        return gate.apply(&inbound, envelope, result).await;
    }
    if !queues.enqueue(key, &inbound, envelope) {
        gate.overloaded(envelope).await;
    }
}
