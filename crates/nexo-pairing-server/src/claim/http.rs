//! `/pair`: claims, over a WebSocket or in a request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout_at;
use zeroize::Zeroizing;

use super::MAX_CLAIM_BYTES;
use crate::connection::Connection;
use crate::error::{ApiError, json_response};
use crate::origin;
use crate::state::AppState;
use crate::websocket::{self, CloseCode, ReadError};

/// How many bytes of a body are read at most.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// `POST /pair`.
pub(crate) async fn post(
    State(state): State<Arc<AppState>>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let client = admit(&state, &connection, &parts.headers)?;
    if !is_json(&parts.headers) {
        return Err(ApiError::NotJson);
    }
    let claim = timeout_at(connection.deadline(), read_body(body)).await;
    connection.begin_response()?;
    let claim = claim.map_err(|_| ApiError::Timeout)??;
    let claim = claim.ok_or_else(|| state.reject_claim(client, ApiError::TooLarge))?;
    let reply = state.claim(client, &claim).await?;
    Ok(json_response(StatusCode::OK, reply))
}

/// `GET /pair`.
pub(crate) async fn upgrade(
    State(state): State<Arc<AppState>>,
    Extension(connection): Extension<Arc<Connection>>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let client = admit(&state, &connection, request.headers())?;
    let response = websocket::accept(&request)?;
    let upgrade = hyper::upgrade::on(&mut request);
    connection.switch_to(move |connection| serve_websocket(state, client, upgrade, connection));
    Ok(response)
}

/// Serves one claim over a WebSocket.
async fn serve_websocket(
    state: Arc<AppState>,
    client: IpAddr,
    upgrade: OnUpgrade,
    connection: Arc<Connection>,
) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut io = TokioIo::new(upgraded);
    let claim = timeout_at(connection.deadline(), websocket::read_claim(&mut io)).await;
    let timed_out = ReadError { close: CloseCode::POLICY_VIOLATION, error: ApiError::Timeout };
    let Some(claim) = claim.unwrap_or(Err(timed_out)).transpose() else { return };
    if connection.begin_response().is_err() {
        return;
    }
    let (reply, close) = match claim {
        Ok(claim) => {
            let reply = state.claim(client, &claim).await;
            (Some(reply.unwrap_or_else(|error| error.json())), CloseCode::NORMAL_CLOSURE)
        }
        Err(ReadError { close, error }) => {
            let error = state.reject_claim(client, error);
            ((close != CloseCode::PROTOCOL_ERROR).then(|| error.json()), close)
        }
    };
    // A client that does not read the reply, or does not close, must not hold a slot that another one
    // needs. It can claim again.
    connection.end_response(websocket::LINGER);
    let _ = websocket::write_reply(&mut io, reply, close).await;
}

/// The address of a client that may send a claim.
fn admit(
    state: &AppState,
    connection: &Connection,
    headers: &HeaderMap,
) -> Result<IpAddr, ApiError> {
    let client = state.client(connection.peer, headers);
    if !origin::may_claim(headers, &state.settings().allowed_origins) {
        return Err(state.reject_claim(client, ApiError::Origin));
    }
    state.check_rate_limit(client).map(|()| client)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = value.split(|&byte| byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Reads a body; `None` if it is larger than a claim. A little more is read and discarded, since
/// closing a connection with unread data could lose the response.
async fn read_body(mut body: Body) -> Result<Option<Zeroizing<Vec<u8>>>, ApiError> {
    let mut claim = Zeroizing::new(Vec::with_capacity(MAX_CLAIM_BYTES));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::Malformed("the body is damaged or incomplete"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= MAX_CLAIM_BYTES {
            claim.extend_from_slice(&data);
        } else if length > MAX_BODY_BYTES {
            break;
        }
    }
    Ok((length <= MAX_CLAIM_BYTES).then_some(claim))
}
