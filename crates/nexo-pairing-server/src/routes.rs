//! The router: paths and their handlers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use tokio::time::timeout;

use crate::claim::http as claim;
use crate::error::{ApiError, json_response};
use crate::session;
use crate::state::AppState;

/// How long a health check may take. A slower backend is not healthy.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The handlers of claims, sessions and health.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/pair", get(claim::upgrade).post(claim::post))
        .route("/session", get(session::show).delete(session::end))
        .route("/session/renew", post(session::renew))
        .route("/healthz", get(healthz))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(state)
}

/// `GET /healthz`: whether the backend can be read and written. Unlike for other requests, the connection
/// may be evicted meanwhile: it waits as long as the database is locked, and anyone may ask.
async fn healthz(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    match timeout(HEALTH_TIMEOUT, state.is_healthy()).await {
        Ok(true) => Ok(json_response(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())),
        _ => Err(ApiError::Unavailable),
    }
}
