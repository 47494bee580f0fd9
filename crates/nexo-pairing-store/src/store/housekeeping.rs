//! Ends and deletes what is over, in transactions so small that nobody waits long for the lock.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nexo_pairing_core::PairingError;

use super::{PairingStore, Shared};
use crate::StoreError;
use crate::op::Write;
use crate::op::purge::Progress;
use crate::space;
use crate::worker::{self, Caller, Jobs};

/// How long a purge lets others have the lock between its transactions: twice as long as they wait
/// before they try again.
const PAUSE: Duration = Duration::from_millis(2);

/// A part of a purge, which says whether there may be more to do.
pub(crate) type Piece = fn(&mut Write<'_>, &mut Progress) -> rusqlite::Result<bool>;

impl PairingStore {
    /// Runs `piece` in one transaction after the other until it says that there is no more to do. A purge
    /// whose caller is gone goes on.
    pub(crate) async fn purge(&self, piece: Piece) -> Result<Progress, PairingError> {
        let (shared, writer) = (Arc::clone(&self.inner.shared), self.inner.writer.jobs().clone());
        Ok(worker::once("pairing-purge", move || shared.purge(&writer, piece)).await?)
    }
}

impl Shared {
    /// Ends and deletes what is over, behind the caller. One such purge runs at a time.
    pub(super) fn keep_house(self: &Arc<Self>, writer: &Jobs) {
        // On a disk that is nearly full it would take up what is left of the WAL.
        if self.space.low(&self.path).is_some() || self.is_purging.swap(true, Ordering::AcqRel) {
            return;
        }
        // Another program may have cut the WAL short.
        space::reserve(&self.path);
        let (shared, writer) = (Arc::clone(self), writer.clone());
        let started = worker::spawn("pairing-purge", move || {
            let purged = shared.purge(&writer, |write, progress| write.purge(progress));
            shared.is_purging.store(false, Ordering::Release);
            match purged {
                // A writer that is gone needs no house.
                Ok(_) | Err(StoreError::Closed) => {}
                Err(error) => tracing::warn!(%error, "what has run out could not be put away"),
            }
        });
        if let Err(error) = started {
            self.is_purging.store(false, Ordering::Release);
            tracing::warn!(%error, "what has run out could not be put away");
        }
    }

    /// Runs `piece` in one transaction after the other, with a pause in which others get the lock.
    fn purge(self: &Arc<Self>, writer: &Jobs, piece: Piece) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        loop {
            let mut answered = self.queue.push(Caller::Operator, move |write| {
                let has_more = piece(write, &mut progress)?;
                Ok((progress, has_more))
            });
            // Answered by the job, which is dropped with the writer: the queue is not.
            let (done, outcome) = mpsc::channel();
            let shared = Arc::clone(self);
            writer.send(move |opened| {
                shared.write(opened);
                let answer = answered.as_mut().and_then(|answered| answered.try_recv().ok());
                let _ = done.send(answer);
            })?;
            let has_more;
            match outcome.recv().map_err(|_| StoreError::Closed)? {
                Some(answer) => (progress, has_more) = answer?,
                // It did not have its turn among very many.
                None => has_more = true,
            }
            if !has_more {
                return Ok(progress);
            }
            thread::sleep(PAUSE);
        }
    }
}
