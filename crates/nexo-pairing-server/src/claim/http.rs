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

use crate::answer::{Refusal, json_response};
use crate::claim::MAX_CLAIM_BYTES;
use crate::connection::Connection;
use crate::origin;
use crate::state::AppState;
use crate::websocket::{self, CloseCode, Unasked};

/// How much of a body is read at most, in bytes.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;

/// `POST /pair`.
pub(crate) async fn post(
    State(state): State<Arc<AppState>>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let client = admitted(&state, &connection, &parts.headers)?;
    if !is_json(&parts.headers) {
        return Err(Refusal::NotJson);
    }
    let claim = timeout_at(connection.deadline(), read(body)).await;
    connection.answer_begins()?;
    let claim = claim.map_err(|_| Refusal::Timeout)??;
    let claim = claim.ok_or_else(|| state.refuse_claim(client, Refusal::TooLarge))?;
    let answer = state.claim(client, &claim).await?;
    Ok(json_response(StatusCode::OK, answer))
}

/// `GET /pair`.
pub(crate) async fn websocket(
    State(state): State<Arc<AppState>>,
    Extension(connection): Extension<Arc<Connection>>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let client = admitted(&state, &connection, request.headers())?;
    let response = websocket::accept(&request)?;
    let upgrade = hyper::upgrade::on(&mut request);
    connection.switch_to(move |connection| claim(state, client, upgrade, connection));
    Ok(response)
}

/// Runs a WebSocket to its end.
async fn claim(
    state: Arc<AppState>,
    client: IpAddr,
    upgrade: OnUpgrade,
    connection: Arc<Connection>,
) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut io = TokioIo::new(upgraded);
    let late = Unasked::Refused { close: CloseCode::POLICY_VIOLATION, refusal: Refusal::Timeout };
    let question = timeout_at(connection.deadline(), websocket::question(&mut io)).await;
    let (answer, close) = match question.unwrap_or(Err(late)) {
        Ok(claim) => {
            if connection.answer_begins().is_err() {
                return;
            }
            let claimed = state.claim(client, &claim).await;
            (Some(claimed.unwrap_or_else(|refusal| refusal.json())), CloseCode::NORMAL_CLOSURE)
        }
        Err(Unasked::Refused { close, refusal }) => {
            if connection.answer_begins().is_err() {
                return;
            }
            let refusal = state.refuse_claim(client, refusal);
            ((close != CloseCode::PROTOCOL_ERROR).then(|| refusal.json()), close)
        }
        Err(Unasked::Gone) => return,
    };
    // Whoever does not take the answer, or does not close, must not hold a place that another needs.
    // They can ask again.
    connection.answered_for(websocket::LINGER);
    let _ = websocket::answer(&mut io, answer, close).await;
}

/// The address of a client that may send a claim.
fn admitted(
    state: &AppState,
    connection: &Connection,
    headers: &HeaderMap,
) -> Result<IpAddr, Refusal> {
    let client = state.client(connection.peer, headers);
    if !origin::may_claim(headers, &state.settings().allowed_origins) {
        return Err(state.refuse_claim(client, Refusal::Origin));
    }
    state.hear(client).map(|()| client)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = value.split(|&byte| byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Reads a body; `None` when it is larger than a claim. A little more is read and thrown away, since
/// to close a connection that has something to say could lose the answer.
async fn read(mut body: Body) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let mut claim = Zeroizing::new(Vec::with_capacity(MAX_CLAIM_BYTES));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Malformed("the body is damaged, or cut off"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= MAX_CLAIM_BYTES {
            claim.extend_from_slice(&data);
        } else if length > MAX_DISCARDED_BYTES {
            break;
        }
    }
    Ok((length <= MAX_CLAIM_BYTES).then_some(claim))
}
