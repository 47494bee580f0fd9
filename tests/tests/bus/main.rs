//! `gate --nats`, on a real `nats-server`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crowd;
mod delivery;
mod drain;
mod group;
mod hostile;
mod notices;
mod outage;
mod permissions;
mod plugin;
mod python;
mod rehearsal;
mod reload;
mod send;
mod support;
