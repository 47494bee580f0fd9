//! Delivers a challenge, and tells the result.

use std::time::Duration;

use nexo_pairing_core::text::{error_chain, truncate};
use nexo_pairing_core::{AccountId, Challenge, DeliveryRoute, Inbound, PairingError, SenderId};

use crate::message::{Adapter, answer_within};

/// How long an adapter may take to hand a challenge over.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of delivering a challenge.
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// The channel's adapter took it.
    DeliveredViaAdapter,
    /// The channel's plugin, in another process, reported that it sent it.
    DeliveredViaBroker,
    /// The channel's adapter did not take it. The sender's next message, from 10 seconds on, is
    /// challenged again.
    PublishFailed(PairingError),
    /// The channel has no adapter: only the operator, who can list the request, knows the code.
    NoAdapterNoBrokerTopic,
}

impl Delivery {
    /// A warning that the sender of `inbound` got no code, and why; `None` if they got it.
    #[must_use]
    pub fn warning(&self, inbound: &Inbound) -> Option<String> {
        let reason = match self {
            Self::DeliveredViaAdapter | Self::DeliveredViaBroker => return None,
            Self::PublishFailed(error) => error_chain(error),
            Self::NoAdapterNoBrokerTopic => "there is no adapter for this channel".to_owned(),
        };
        let (channel, account) = (truncate(&inbound.channel, 32), truncate(&inbound.account, 64));
        Some(format!("no code was sent on {channel}/{account}: {reason}"))
    }
}

pub(crate) async fn deliver(
    challenge: &Challenge,
    adapter: Adapter<'_>,
    account: &AccountId,
    to: &SenderId,
) -> Delivery {
    let Some(adapter) = adapter else { return Delivery::NoAdapterNoBrokerTopic };
    let sent = adapter.send_challenge(account.as_str(), to.as_str(), challenge);
    match answer_within(DELIVERY_TIMEOUT, sent).await {
        Ok(()) if adapter.route() == DeliveryRoute::Broker => Delivery::DeliveredViaBroker,
        Ok(()) => Delivery::DeliveredViaAdapter,
        Err(error) => Delivery::PublishFailed(error),
    }
}
