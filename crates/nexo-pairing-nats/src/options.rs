//! Where to connect to, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use crate::NatsError;

/// Where to connect to, and as whom.
///
/// Secrets are never given as such, but as the file that holds them: what stands in an argument or in
/// an environment variable is seen by others. Files are read when the connection is made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NatsOptions {
    /// `nats://host:port` or `tls://host:port`, without user info. Several are servers of one
    /// cluster: the client connects to one of them, and goes to another when it dies.
    pub servers: Vec<String>,
    /// A `.creds` file: a JWT and the seed of an nkey.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey (`SU…`).
    pub nkey_file: Option<PathBuf>,
    /// A user and the file that holds his password.
    pub user: Option<(String, PathBuf)>,
    /// A file that holds a token.
    pub token_file: Option<PathBuf>,
    /// The certificates of the authorities that may vouch for the server, PEM; the system's if not
    /// given.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key, PEM, for servers that ask for one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Whether a server that speaks no TLS is refused. A `tls://` URL asks for it, too.
    pub require_tls: bool,
    /// What the server calls the connection. `nexo-pairing` by default.
    pub name: String,
    /// Whether [`Bus::connect`](crate::Bus::connect) waits for a server that is not there yet,
    /// instead of failing. `false` by default.
    pub wait_for_server: bool,
    /// How long one attempt to connect may take. 5 s by default.
    pub connect_timeout: Duration,
    /// How long a server may take to confirm a message. 5 s by default.
    pub confirm_timeout: Duration,
    /// How many messages a subscription holds that nobody took yet; more are lost, and counted by
    /// [`Bus::lost`](crate::Bus::lost). 65,536 by default.
    pub subscription_capacity: usize,
    /// The first token of the subjects on which answers come. `_INBOX` by default.
    pub inbox_prefix: String,
}

impl NatsOptions {
    /// Options for a list of servers, without authentication.
    ///
    /// # Errors
    ///
    /// [`NatsError::Server`] when one is no `nats://` or `tls://` URL, or holds user info.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Result<Self, NatsError> {
        let options = Self {
            servers: servers.into_iter().map(Into::into).collect(),
            credentials_file: None,
            nkey_file: None,
            user: None,
            token_file: None,
            ca_file: None,
            client_certificate: None,
            require_tls: false,
            name: "nexo-pairing".to_owned(),
            wait_for_server: false,
            connect_timeout: Duration::from_secs(5),
            confirm_timeout: Duration::from_secs(5),
            subscription_capacity: 65_536,
            inbox_prefix: "_INBOX".to_owned(),
        };
        Ok(options)
    }
}
