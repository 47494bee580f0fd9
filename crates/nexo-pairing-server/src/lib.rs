//! An HTTP server where companion devices claim setup codes, and services check their sessions.
//!
//! A companion presents the token of a setup code at `/pair`, over a WebSocket or in a `POST`, and
//! gets a session token for it, once. Services and proxies check session tokens at `/session`. The
//! project's `docs/protocol.md` specifies the protocol.
//!
//! ```no_run
//! use nexo_pairing_server::{Server, ServerOptions};
//! use nexo_pairing_setup::SetupCodeIssuer;
//! use nexo_pairing_store::PairingStore;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PairingStore::open("/var/lib/nexo/pairing/pairing.db").await?;
//! let issuer = SetupCodeIssuer::open_or_create("/var/lib/nexo/pairing/pairing.key")?;
//! let options = ServerOptions::new(store, issuer);
//! let server = Server::bind(options).await?;
//! println!("listening on {}", server.local_addr());
//! server.run(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod background;
mod claim;
mod claim_metrics;
mod connection;
mod connections;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod listener;
mod metrics_server;
mod options;
mod origin;
mod peer;
mod prometheus;
mod routes;
mod server;
mod session;
mod state;
mod tasks;
mod throttle;
mod tls;
mod websocket;
mod writes;

pub use error::ServerError;
pub use metrics_server::{MetricsOptions, MetricsServer};
pub use options::{DEFAULT_LISTEN, ServerOptions, Settings};
pub use prometheus::{PrometheusRecorder, RecorderError};
pub use server::{Server, ServerHandle};
pub use tls::{TlsError, TlsFiles};
