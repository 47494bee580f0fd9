//! Periodic maintenance, in transactions so small that nobody waits long for the lock.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nexo_pairing_engine::{Caller, Maintenance, Progress};

use super::Shared;
use crate::rows::sqlite_error;
use crate::space;
use crate::worker::{self, WorkQueue};
use crate::{StoreError, StoreErrorKind};

/// The pause between transactions, so that other writers get the lock: twice their retry interval.
const PAUSE: Duration = Duration::from_millis(2);

impl Shared {
    /// Runs the maintenance in the background, unless it is running.
    pub(super) fn run_maintenance(self: &Arc<Self>, writer: &WorkQueue) {
        // On a nearly full disk it would use up the rest of the WAL.
        if self.space.low(&self.path).is_some() || self.is_maintaining.swap(true, Ordering::AcqRel)
        {
            return;
        }
        // Another program may have truncated the WAL.
        space::reserve(&self.path);
        let (shared, writer) = (Arc::clone(self), writer.clone());
        let started = worker::spawn("pairing-purge", move || {
            let done = shared.maintain(&writer, Maintenance::all(shared.options.audit_days));
            shared.is_maintaining.store(false, Ordering::Release);
            match done {
                // The writer has shut down.
                Ok(_) | Err(StoreError { kind: StoreErrorKind::Closed, .. }) => {}
                Err(error) => tracing::warn!(%error, "failed to expire overdue rows"),
            }
        });
        if let Err(error) = started {
            self.is_maintaining.store(false, Ordering::Release);
            tracing::warn!(%error, "failed to expire overdue rows");
        }
    }

    /// Runs a maintenance in one transaction after the other, with pauses.
    pub(super) fn maintain(
        self: &Arc<Self>,
        writer: &WorkQueue,
        maintenance: Maintenance,
    ) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        loop {
            let mut answered = self.queue.push(Caller::Operator, move |rows| {
                maintenance.step(rows, progress).map_err(sqlite_error)
            });
            // Answered by the job, which is dropped with the writer; the queue is not.
            let (done, outcome) = mpsc::channel();
            let shared = Arc::clone(self);
            writer.send(move |db| {
                shared.write(db);
                let answer = answered.as_mut().and_then(|answered| answered.try_recv().ok());
                let _ = done.send(answer);
            })?;
            let has_more;
            match outcome.recv().map_err(|_| StoreError::closed())? {
                Some(answer) => (progress, has_more) = answer?,
                // It was not in this transaction, among very many writes.
                None => has_more = true,
            }
            if !has_more {
                return Ok(progress);
            }
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests;
