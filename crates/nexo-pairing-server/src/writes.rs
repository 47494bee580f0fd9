//! Limits the requests that wait for the backend to write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexo_pairing_core::SessionId;

use crate::peer::Peer;

/// Limits writes in progress: claims, renewals and logouts.
///
/// Their connections are never evicted, and a write waits as long as another process holds the
/// database. So they may take a share of the connections, and further ones are rejected at once. Half
/// of the share is first come, first served. The other half is for requests whose peer and whose
/// credential have no other write in progress: one token cannot use it up, from any number of addresses.
#[derive(Debug)]
pub(crate) struct WriteLimiter {
    max: usize,
    writes: Mutex<Writes>,
}

#[derive(Debug, Default)]
struct Writes {
    next_id: u64,
    in_progress: BTreeMap<u64, (Peer, Credential)>,
}

/// What the client presented, by a name that is not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The token of a live session.
    Session(SessionId),
    /// A setup code, by its nonce.
    Code(String),
    /// Any token without a live session: all of these count as one.
    Unknown,
}

/// A write in progress. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct WritePermit {
    limiter: Arc<WriteLimiter>,
    id: u64,
}

impl WriteLimiter {
    /// Limits writes to a quarter of `max_connections`.
    pub(crate) fn new(max_connections: usize) -> Arc<Self> {
        Arc::new(Self { max: (max_connections / 4).max(1), writes: Mutex::default() })
    }

    /// A permit for a write; `None` if too many are in progress.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        peer: Peer,
        credential: Credential,
    ) -> Option<WritePermit> {
        let mut writes = self.writes();
        let mut others = writes.in_progress.values();
        let is_first = others.all(|other| other.0 != peer && other.1 != credential);
        let max = if is_first { self.max } else { self.max.div_ceil(2) };
        if writes.in_progress.len() >= max {
            return None;
        }
        let id = writes.next_id;
        writes.next_id += 1;
        writes.in_progress.insert(id, (peer, credential));
        Some(WritePermit { limiter: Arc::clone(self), id })
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WritePermit {
    fn drop(&mut self) {
        self.limiter.writes().in_progress.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(number: u32) -> Credential {
        Credential::Code(number.to_string())
    }

    #[test]
    fn one_peer_or_one_credential_gets_half_and_the_rest_is_for_the_others() {
        let limiter = WriteLimiter::new(64);
        for is_one_peer in [true, false] {
            let begin = |number: u32| {
                let (peer, credential) = if is_one_peer { (0, number) } else { (number, 0) };
                limiter.acquire(Peer::V4(peer), code(credential))
            };
            let crowd: Vec<_> = (0..100).filter_map(begin).collect();
            assert_eq!(crowd.len(), 8);
            let others: Vec<_> = (1000..1100)
                .filter_map(|number| limiter.acquire(Peer::V4(number), code(number)))
                .collect();
            assert_eq!(others.len(), 8);
            assert!(limiter.acquire(Peer::V4(2000), code(2000)).is_none());
            drop(others);
            assert!(begin(200).is_none());
            drop(crowd);
            assert!(begin(200).is_some());
            assert!(limiter.writes().in_progress.is_empty());
        }
    }

    #[test]
    fn a_server_with_few_connections_still_writes() {
        let limiter = WriteLimiter::new(1);
        let first = limiter.acquire(Peer::V4(1), Credential::Unknown);
        assert!(first.is_some());
        assert!(limiter.acquire(Peer::V4(2), code(1)).is_none());
        drop(first);
        assert!(limiter.acquire(Peer::V4(2), code(1)).is_some());
    }
}
