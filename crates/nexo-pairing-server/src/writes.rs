//! How many requests may wait for the store to write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexo_pairing_core::SessionId;

use crate::peer::Peer;

/// The requests that wait for a write: claims, renewals and logouts.
///
/// Their connections are never evicted, and a write waits for as long as another process holds the
/// database. So they have a share of the places, and further ones are refused at once. Half of the share
/// is for whoever comes first. The other half is for requests whose peer and whose session or code have
/// no other write in flight: one token cannot use it up, however many addresses present it.
#[derive(Debug)]
pub(crate) struct Writes {
    max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    all: usize,
    /// Writes in flight; no number is 0.
    by: HashMap<Holder, usize>,
}

/// Whose write it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Peer(Peer),
    Secret(Secret),
}

/// What the client presented, by a name that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Secret {
    /// The token of a live session.
    Session(SessionId),
    /// A setup code, by its nonce.
    Code(String),
    /// A token of no live session: all of these count as one.
    Unknown,
}

/// A write in flight. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct InFlight {
    writes: Arc<Writes>,
    holders: [Holder; 2],
}

impl Writes {
    /// The share of a server with so many places for connections: a quarter.
    pub(crate) fn of(places: usize) -> Arc<Self> {
        Arc::new(Self { max: (places / 4).max(1), table: Mutex::default() })
    }

    /// Begins a write; `None` when too many are in flight.
    pub(crate) fn begin(self: &Arc<Self>, peer: Peer, secret: Secret) -> Option<InFlight> {
        let holders = [Holder::Peer(peer), Holder::Secret(secret)];
        let mut table = self.table();
        let has_none = holders.iter().all(|holder| !table.by.contains_key(holder));
        let max = if has_none { self.max } else { self.max.div_ceil(2) };
        if table.all >= max {
            return None;
        }
        table.all += 1;
        for holder in &holders {
            *table.by.entry(holder.clone()).or_default() += 1;
        }
        drop(table);
        Some(InFlight { writes: Arc::clone(self), holders })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut table = self.writes.table();
        table.all -= 1;
        for holder in &self.holders {
            if let Some(count) = table.by.get_mut(holder) {
                *count -= 1;
                if *count == 0 {
                    table.by.remove(holder);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(number: u32) -> Secret {
        Secret::Code(number.to_string())
    }

    #[test]
    fn one_peer_or_one_secret_has_half_and_the_rest_is_for_those_who_have_none() {
        let writes = Writes::of(64);
        for is_one_peer in [true, false] {
            let begin = |number: u32| {
                let (peer, secret) = if is_one_peer { (0, number) } else { (number, 0) };
                writes.begin(Peer::V4(peer), code(secret))
            };
            let crowd: Vec<_> = (0..100).filter_map(begin).collect();
            assert_eq!(crowd.len(), 8);
            let others: Vec<_> = (1000..1100)
                .filter_map(|number| writes.begin(Peer::V4(number), code(number)))
                .collect();
            assert_eq!(others.len(), 8);
            assert!(writes.begin(Peer::V4(2000), code(2000)).is_none());
            drop(others);
            assert!(begin(200).is_none());
            drop(crowd);
            assert!(begin(200).is_some());
            assert!(writes.table().by.is_empty());
        }
    }

    #[test]
    fn a_server_with_few_places_writes_all_the_same() {
        let writes = Writes::of(1);
        let first = writes.begin(Peer::V4(1), Secret::Unknown);
        assert!(first.is_some());
        assert!(writes.begin(Peer::V4(2), code(1)).is_none());
        drop(first);
        assert!(writes.begin(Peer::V4(2), code(1)).is_some());
    }
}
