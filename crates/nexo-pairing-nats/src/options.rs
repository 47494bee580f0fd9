//! Options of a connection: servers, authentication, TLS.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use derive_setters::Setters;
use url::Url;

use crate::{NatsError, check_subject};

/// Options of a connection: servers, authentication, TLS.
///
/// Secrets are given as the files that hold them, never as values: other users can see arguments and
/// environment variables. Files are read once, when the connection is made.
///
/// ```
/// use nexo_pairing_nats::NatsOptions;
///
/// let options = NatsOptions::new(["tls://nats-1.example.com,tls://nats-2.example.com"])?
///     .with_user("pairing", "/etc/nexo/nats.password");
/// assert_eq!(options.servers(), "nats-1.example.com:4222, nats-2.example.com:4222");
///
/// let refused = NatsOptions::new(["nats://pairing:hunter2@nats.example.com"]).unwrap_err();
/// assert!(!refused.to_string().contains("hunter2"));
/// # Ok::<(), nexo_pairing_nats::NatsError>(())
/// ```
#[derive(Debug, Clone, Setters)]
#[non_exhaustive]
#[setters(prefix = "with_", strip_option)]
pub struct NatsOptions {
    #[setters(skip)]
    servers: Vec<Url>,
    /// A `.creds` file: a JWT and the seed of an nkey. Default `None`.
    #[cfg(feature = "nkeys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "nkeys")))]
    #[setters(into)]
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey (`SU…`). Default `None`.
    #[cfg(feature = "nkeys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "nkeys")))]
    #[setters(into)]
    pub nkey_file: Option<PathBuf>,
    /// A user, and the file that has the password. Default `None`.
    #[setters(skip)]
    pub user: Option<(String, PathBuf)>,
    /// A file with a token. Default `None`.
    #[setters(into)]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the certificate authorities to trust. Default: those of the system.
    #[setters(into)]
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key, as PEM files, for servers that require one. Default `None`.
    #[setters(skip)]
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Whether TLS is required. It is used in any case when the server asks for it, or its URL is
    /// `tls://`. Default `false`.
    pub require_tls: bool,
    /// The name of the connection, as the server shows it. Default `nexo-pairing`.
    #[setters(into)]
    pub name: String,
    /// Whether [`Bus::connect`](crate::Bus::connect) returns when no server can be reached yet, and
    /// keeps trying in the background. Default `false`, so that a wrong address is reported at once.
    pub wait_for_server: bool,
    /// How long connecting to one server may take. Default 5 s.
    pub connect_timeout: Duration,
    /// How long the server may take to confirm a message. Default 5 s.
    pub confirm_timeout: Duration,
    /// How many messages a subscription buffers; further ones are lost. Default 65,536.
    pub subscription_capacity: usize,
    /// The prefix of the subjects on which the server and plugins reply. Default `_INBOX`.
    #[setters(into)]
    pub inbox_prefix: String,
}

impl NatsOptions {
    /// Options for the servers of one cluster, without authentication. Each item is a URL,
    /// `nats://host:port` or `tls://host:port`, or several, separated by commas; the default port is
    /// 4222. The connection is to any one of them, and to another one when that fails.
    ///
    /// # Errors
    ///
    /// [`NatsError::Server`] when a URL is invalid or has user info, which other users could see;
    /// [`NatsError::Options`] when no server is given.
    pub fn new<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, NatsError> {
        Ok(Self {
            servers: parse_servers(servers)?,
            #[cfg(feature = "nkeys")]
            credentials_file: None,
            #[cfg(feature = "nkeys")]
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
        })
    }

    /// A user, and the file that has the password. Default: no authentication.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>, password_file: impl Into<PathBuf>) -> Self {
        self.user = Some((user.into(), password_file.into()));
        self
    }

    /// Our certificate and its key, as PEM files. Default: none.
    #[must_use]
    pub fn with_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Hosts and ports of the servers, separated by commas.
    #[must_use]
    pub fn servers(&self) -> String {
        let address = |url: &Url| {
            format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(4222))
        };
        self.servers.iter().map(address).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn addresses(&self) -> io::Result<Vec<ServerAddr>> {
        self.servers.iter().cloned().map(ServerAddr::from_url).collect()
    }

    pub(crate) fn check(&self) -> Result<(), NatsError> {
        #[cfg(feature = "nkeys")]
        let keys = [self.credentials_file.is_some(), self.nkey_file.is_some()];
        #[cfg(not(feature = "nkeys"))]
        let keys = [false; 2];
        let others = [self.user.is_some(), self.token_file.is_some()];
        let ways = others.iter().chain(&keys).filter(|is_given| **is_given).count();
        if ways > 1 {
            return Err(NatsError::Options("only one way to authenticate can be set"));
        }
        if self.connect_timeout.is_zero() || self.confirm_timeout.is_zero() {
            return Err(NatsError::Options("a time-out must not be 0"));
        }
        if self.subscription_capacity == 0 {
            return Err(NatsError::Options("the capacity of a subscription must not be 0"));
        }
        check_subject(&self.inbox_prefix)
    }
}

fn parse_servers<S: AsRef<str>>(lists: impl IntoIterator<Item = S>) -> Result<Vec<Url>, NatsError> {
    let mut servers = Vec::new();
    for list in lists {
        for text in list.as_ref().split(',') {
            let number = servers.len() + 1;
            let server = parse_server(text.trim());
            servers.push(server.map_err(|reason| NatsError::Server { number, reason })?);
        }
    }
    if servers.is_empty() {
        return Err(NatsError::Options("no server is given"));
    }
    Ok(servers)
}

/// Parses the URL of a server. The error does not repeat it: it may hold a secret.
fn parse_server(text: &str) -> Result<Url, &'static str> {
    if !text.starts_with("nats://") && !text.starts_with("tls://") {
        return Err("it must begin with nats:// or tls://");
    }
    let url = Url::parse(text).map_err(|_| "it is invalid")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it has a user or a secret, which other users could see: set the user by name, and \
             the password, token or credentials by file",
        );
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host");
    }
    let has_path = !matches!(url.path(), "" | "/");
    if has_path || url.query().is_some() || url.fragment().is_some() {
        return Err("it has more than a host and a port");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_scheme_a_host_and_an_optional_port() {
        for (url, shown) in [
            ("nats://127.0.0.1:4333", "127.0.0.1:4333"),
            ("tls://nats.example.com", "nats.example.com:4222"),
            ("nats://[::1]:4222/", "[::1]:4222"),
        ] {
            assert_eq!(NatsOptions::new([url]).unwrap().servers(), shown);
        }
    }

    #[test]
    fn an_invalid_server_is_refused_and_its_secrets_are_not_repeated() {
        for url in [
            "",
            "127.0.0.1:4222",
            "ws://nats.example.com",
            "nats://",
            "nats://hidden@nats.example.com",
            "nats://:hidden@nats.example.com",
            "nats://me:hidden@nats.example.com:4222",
            "nats://nats.example.com/hidden",
            "nats://nats.example.com?token=hidden",
            "nats://nats.example.com#hidden",
            "nats://nats.example.com:99999",
        ] {
            let error = NatsOptions::new(["nats://127.0.0.1", url]).unwrap_err();
            assert!(matches!(error, NatsError::Server { number: 2, .. }), "{url}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
        assert!(matches!(NatsOptions::new([""; 0]), Err(NatsError::Options(_))));
    }

    #[test]
    fn only_one_way_to_authenticate_can_be_set() {
        let mut options = NatsOptions::new(["nats://127.0.0.1"]).unwrap();
        options.token_file = Some("token".into());
        assert!(options.check().is_ok());
        options.user = Some(("me".into(), "password".into()));
        assert!(matches!(options.check(), Err(NatsError::Options(_))));
    }
}
