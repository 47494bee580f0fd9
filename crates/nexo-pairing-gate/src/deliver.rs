//! Brings a code to its stranger, and says what became of it.

use std::time::Duration;

use nexo_pairing_core::{
    AccountId, Challenge, DeliveryRoute, PairingAdapterRegistry, PairingChannelAdapter,
    PairingError, SenderId,
};

/// How long an adapter may take to hand a challenge over.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a challenge.
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// The channel's adapter took it.
    DeliveredViaAdapter,
    /// The channel's plugin, in another process, said that it sent it.
    DeliveredViaBroker,
    /// The channel's adapter did not take it. The sender's next message, from 10 seconds on, is
    /// challenged again.
    PublishFailed(PairingError),
    /// The channel has no adapter: only the operator, who can list the request, knows the code.
    NoAdapterNoBrokerTopic,
}

pub(crate) async fn deliver(
    challenge: &Challenge,
    channel: &str,
    account: &AccountId,
    sender: &SenderId,
    registry: &PairingAdapterRegistry,
) -> Delivery {
    let Some(adapter) = registry.get(channel) else { return Delivery::NoAdapterNoBrokerTopic };
    match send(&*adapter, challenge, account, sender).await {
        Ok(()) if adapter.route() == DeliveryRoute::Broker => Delivery::DeliveredViaBroker,
        Ok(()) => Delivery::DeliveredViaAdapter,
        Err(error) => Delivery::PublishFailed(error),
    }
}

async fn send(
    adapter: &dyn PairingChannelAdapter,
    challenge: &Challenge,
    account: &AccountId,
    sender: &SenderId,
) -> Result<(), PairingError> {
    let sent = adapter.send_challenge(account.as_str(), sender.as_str(), challenge);
    tokio::time::timeout(DELIVERY_TIMEOUT, sent)
        .await
        .unwrap_or_else(|_| Err(PairingError::delivery("the adapter did not answer for 10 s")))
}
