//! The connections of a gate.

use nexo_pairing_nats::{Bus, NatsError, NatsOptions};

use crate::subject::Subjects;

/// The most messages that a subscription buffers. They are handled faster than they arrive, unless the bus
/// is slow to accept the admitted ones.
const MAX_BUFFERED: usize = 16_384;

/// The connections of a gate: one to publish on, and one for each subject that it subscribes to.
#[derive(Debug)]
pub struct Connections {
    outward: Bus,
    /// Each subscription has a connection of its own, unused otherwise: only then no message is lost when
    /// the subscription ends.
    pub(crate) inward: Vec<(Bus, String)>,
}

impl Connections {
    /// Connects, without subscribing yet.
    /// [`subscription_capacity`](NatsOptions::subscription_capacity) is set to 16,384 messages.
    ///
    /// # Errors
    ///
    /// Those of [`Bus::connect`].
    pub async fn open(mut nats: NatsOptions, subjects: Subjects) -> Result<Self, NatsError> {
        nats.subscription_capacity = MAX_BUFFERED;
        let outward = Bus::connect(nats.clone()).await?;
        let mut inward = Vec::new();
        for subject in subjects.into_vec() {
            inward.push((Bus::connect(nats.clone()).await?, subject));
        }
        Ok(Self { outward, inward })
    }

    /// The connection that the gate publishes on. Adapters should use it, too. The gate closes it when it
    /// ends.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.outward
    }

    /// The connection whose state counts as that of the gate.
    pub(crate) fn first(&self) -> &Bus {
        self.inward.first().map_or(&self.outward, |(bus, _)| bus)
    }

    /// How many messages were lost because a buffer was full.
    pub(crate) fn lost(&self) -> u64 {
        self.inward.iter().map(|(bus, _)| bus.lost()).sum()
    }
}
