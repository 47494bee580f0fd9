//! What a server does beside the requests.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::SessionBackend;
use nexo_pairing_setup::SetupCodeIssuer;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// How often the key ring is read.
const KEYS: Duration = Duration::from_secs(1);

/// How often sessions that have run out are ended for good, and what is long over is deleted.
const PURGE: Duration = Duration::from_secs(60);

/// Reads the key ring again and again: another process may rotate or retire a key. It is a few small
/// files; to look first whether they have changed would cost as much. A ring that cannot be read
/// leaves the one before in use.
pub(crate) async fn read_keys(issuer: Arc<SetupCodeIssuer>) {
    let mut told = None;
    let mut ticks = every(KEYS);
    loop {
        ticks.tick().await;
        let issuer = Arc::clone(&issuer);
        let Ok(reloaded) = spawn_blocking(move || issuer.reload()).await else { continue };
        match reloaded {
            Ok(has_changed) => {
                if has_changed || told.is_some() {
                    tracing::info!("the key ring was read again");
                }
                told = None;
            }
            Err(error) => {
                let message = error.to_string();
                if told.as_ref() != Some(&message) {
                    let error: &dyn Error = &error;
                    tracing::warn!(error, "the key ring cannot be read; it is used as it was");
                }
                told = Some(message);
            }
        }
    }
}

/// Ends sessions that have run out; deletes them and used setup codes when they are long over.
pub(crate) async fn purge(store: Arc<dyn SessionBackend>) {
    let mut ticks = every(PURGE);
    loop {
        ticks.tick().await;
        if let Err(error) = store.purge_sessions().await {
            let error: &dyn Error = &error;
            tracing::warn!(error, "what is long over was not deleted");
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
