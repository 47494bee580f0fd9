//! Background tasks.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::SessionBackend;
use nexo_pairing_setup::SetupCodeIssuer;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// How often the key ring is reloaded.
const KEY_INTERVAL: Duration = Duration::from_secs(1);

/// How often sessions are expired and old ones deleted.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Reloads the key ring: another process may rotate or retire a key. It is a few small files; checking
/// whether they changed would cost as much. If the ring cannot be read, the previous one stays in use.
pub(crate) async fn reload_keys(issuer: Arc<SetupCodeIssuer>) {
    let mut last_error = None;
    let mut ticks = every(KEY_INTERVAL);
    loop {
        ticks.tick().await;
        let issuer = Arc::clone(&issuer);
        let Ok(reloaded) = spawn_blocking(move || issuer.reload()).await else { continue };
        match reloaded {
            Ok(has_changed) => {
                if has_changed || last_error.is_some() {
                    tracing::info!("reloaded the key ring");
                }
                last_error = None;
            }
            Err(error) => {
                let message = error.to_string();
                if last_error.as_ref() != Some(&message) {
                    let error: &dyn Error = &error;
                    tracing::warn!(
                        error,
                        "failed to reload the key ring; the previous one stays in use"
                    );
                }
                last_error = Some(message);
            }
        }
    }
}

/// Expires overdue sessions; deletes sessions and used setup codes past retention.
pub(crate) async fn purge_sessions(store: Arc<dyn SessionBackend>) {
    let mut ticks = every(PURGE_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = store.purge_sessions().await {
            let error: &dyn Error = &error;
            tracing::warn!(error, "failed to expire or delete old sessions");
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
