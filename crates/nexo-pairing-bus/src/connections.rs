//! The connections of a gate to its bus.

use nexo_pairing_nats::{Bus, NatsError, NatsOptions};

use crate::subject::Subjects;

/// How many messages of a subscription wait to be taken at most; they are taken faster than they come,
/// unless the bus does not take what is passed on.
const MAX_WAITING: usize = 16_384;

/// The connections of a gate to its bus: one for all that it publishes, and one for each subject that it
/// takes messages from.
#[derive(Debug)]
pub struct Connections {
    pub(crate) outward: Bus,
    /// A subscription has a connection of its own, on which nothing else happens: only so nothing is
    /// lost when the subscription ends.
    pub(crate) inward: Vec<(Bus, String)>,
}

impl Connections {
    /// Connects, and subscribes to nothing yet.
    /// [`subscription_capacity`](NatsOptions::subscription_capacity) is set to 16,384 messages.
    ///
    /// # Errors
    ///
    /// Those of [`Bus::connect`].
    pub async fn open(mut nats: NatsOptions, subjects: Subjects) -> Result<Self, NatsError> {
        nats.subscription_capacity = MAX_WAITING;
        let outward = Bus::connect(nats.clone()).await?;
        let mut inward = Vec::new();
        for subject in subjects.into_vec() {
            inward.push((Bus::connect(nats.clone()).await?, subject));
        }
        Ok(Self { outward, inward })
    }

    /// The connection that the gate publishes on. It is the one for adapters, too. The gate closes it
    /// when it ends.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.outward
    }

    /// The connection whose state is that of the gate.
    pub(crate) fn first(&self) -> &Bus {
        self.inward.first().map_or(&self.outward, |(bus, _)| bus)
    }

    /// How many messages were lost before they were taken.
    pub(crate) fn lost(&self) -> u64 {
        self.inward.iter().map(|(bus, _)| bus.lost()).sum()
    }
}
