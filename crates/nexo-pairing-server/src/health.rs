//! `GET /healthz`: whether the store can be read and written.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::answer::{Refusal, json_response};
use crate::app::App;

/// How long a finding is told again, so that nobody loads the store by asking.
const FRESH: Duration = Duration::from_secs(1);

/// How long a caller waits for a finding. A store that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found last.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// When, and whether the store was well.
    found: Arc<Mutex<Option<(Duration, bool)>>>,
}

/// `GET /healthz`. The connection may be evicted meanwhile, unlike those of other requests that are
/// answered: it waits for as long as the database is locked, and anybody may ask.
pub(crate) async fn show(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    match timeout(PATIENCE, is_well(app)).await {
        Ok(true) => Ok(json_response(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())),
        _ => Err(Refusal::Unavailable),
    }
}

/// Looks at the store, unless somebody just did. One looks at a time, and does so to the end.
async fn is_well(app: Arc<App>) -> bool {
    let mut found = Arc::clone(&app.health.found).lock_owned().await;
    if let Some((at, is_well)) = *found
        && app.clock.elapsed().saturating_sub(at) < FRESH
    {
        return is_well;
    }
    let looking = tokio::spawn(async move {
        let probe = app.store.probe().await;
        let is_well = probe.map_err(|error| app.unavailable("use the store", &error)).is_ok();
        *found = Some((app.clock.elapsed(), is_well));
        is_well
    });
    looking.await.unwrap_or(false)
}
