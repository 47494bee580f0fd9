//! Which handler answers which request.

use std::sync::Arc;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use tokio::time::timeout;

use crate::answer::{Refusal, json_response};
use crate::state::AppState;
use crate::{pair, session};

/// How long a caller waits for the health of the store. One that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The handlers of claims, sessions and health.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/pair", get(pair::websocket).post(pair::post))
        .route("/session", get(session::show).delete(session::end))
        .route("/session/renew", post(session::renew))
        .route("/healthz", get(healthz))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .with_state(state)
}

/// `GET /healthz`: whether the store can be read and written. The connection may be evicted meanwhile,
/// unlike those of other requests that are answered: it waits for as long as the database is locked, and
/// anybody may ask.
async fn healthz(State(state): State<Arc<AppState>>) -> Result<Response, Refusal> {
    match timeout(PATIENCE, state.is_well()).await {
        Ok(true) => Ok(json_response(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())),
        _ => Err(Refusal::Unavailable),
    }
}
