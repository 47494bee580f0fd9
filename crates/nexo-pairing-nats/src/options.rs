//! Where to connect to, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::{NatsError, Subject};

/// Where to connect to, and as whom.
///
/// Secrets are never given as such, but as the file that holds them: what stands in an argument or in
/// an environment variable is seen by others. Files are read once, when the connection is made.
///
/// ```
/// use nexo_pairing_nats::NatsOptions;
///
/// let options = NatsOptions::new(["tls://nats-1.example.com,tls://nats-2.example.com"])?
///     .with_user("pairing", "/etc/nexo/nats.password");
/// assert_eq!(options.servers().to_string(), "nats-1.example.com:4222, nats-2.example.com:4222");
///
/// let refused = NatsOptions::new(["nats://pairing:hunter2@nats.example.com"]).unwrap_err();
/// assert!(!refused.to_string().contains("hunter2"));
/// # Ok::<(), nexo_pairing_nats::NatsError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NatsOptions {
    servers: Servers,
    /// A `.creds` file: a JWT and the seed of an nkey.
    #[cfg(feature = "nkeys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "nkeys")))]
    pub credentials_file: Option<PathBuf>,
    /// A file that holds the seed of an nkey (`SU…`).
    #[cfg(feature = "nkeys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "nkeys")))]
    pub nkey_file: Option<PathBuf>,
    /// A user, and a file that holds his password.
    pub user: Option<(String, PathBuf)>,
    /// A file that holds a token.
    pub token_file: Option<PathBuf>,
    /// Authorities that may vouch for the server, as PEM; the system's if not given.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key, as PEM, for servers that ask for one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Whether TLS is spoken with every server, also with those that do not ask for it. With a server
    /// that asks, and with one whose URL is `tls://`, it always is.
    pub require_tls: bool,
    /// What the server calls the connection: `nexo-pairing` by default.
    pub name: String,
    /// Whether [`Bus::connect`](crate::Bus::connect) returns although no server is there yet, and
    /// goes on trying. `false` by default: a wrong address is told at once.
    pub wait_for_server: bool,
    /// How long one server may take until it has let us in: 5 s by default.
    pub connect_timeout: Duration,
    /// How long the server may take to confirm a message: 5 s by default.
    pub confirm_timeout: Duration,
    /// How many messages a subscription keeps until they are taken: 65,536 by default. Further ones
    /// are lost.
    pub subscription_capacity: usize,
    /// What the subjects begin with on which the server and plugins answer us: `_INBOX` by default.
    pub inbox_prefix: String,
}

impl NatsOptions {
    /// Options for servers that ask for no authentication. Each is a URL, `nats://host:port` or
    /// `tls://host:port`, or several with commas between them; the port is 4222 where none is given.
    /// They are servers of one cluster: we connect to any of them, and to another when it dies.
    ///
    /// # Errors
    ///
    /// [`NatsError::Server`] when one is no such URL or holds user info, which others would see;
    /// [`NatsError::Options`] when there is none.
    pub fn new<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, NatsError> {
        Ok(Self {
            servers: Servers::parse(servers)?,
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

    /// The same options, with this [`credentials_file`](Self::credentials_file).
    #[cfg(feature = "nkeys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "nkeys")))]
    #[must_use]
    pub fn with_credentials_file(mut self, credentials_file: impl Into<PathBuf>) -> Self {
        self.credentials_file = Some(credentials_file.into());
        self
    }

    /// The same options, with this [`nkey_file`](Self::nkey_file).
    #[cfg(feature = "nkeys")]
    #[cfg_attr(docsrs, doc(cfg(feature = "nkeys")))]
    #[must_use]
    pub fn with_nkey_file(mut self, nkey_file: impl Into<PathBuf>) -> Self {
        self.nkey_file = Some(nkey_file.into());
        self
    }

    /// The same options, with this [`user`](Self::user).
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>, password_file: impl Into<PathBuf>) -> Self {
        self.user = Some((user.into(), password_file.into()));
        self
    }

    /// The same options, with this [`token_file`](Self::token_file).
    #[must_use]
    pub fn with_token_file(mut self, token_file: impl Into<PathBuf>) -> Self {
        self.token_file = Some(token_file.into());
        self
    }

    /// The same options, with this [`ca_file`](Self::ca_file).
    #[must_use]
    pub fn with_ca_file(mut self, ca_file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(ca_file.into());
        self
    }

    /// The same options, with this [`client_certificate`](Self::client_certificate).
    #[must_use]
    pub fn with_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// The same options, with this [`require_tls`](Self::require_tls).
    #[must_use]
    pub fn with_require_tls(mut self, require_tls: bool) -> Self {
        self.require_tls = require_tls;
        self
    }

    /// The same options, with this [`name`](Self::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same options, with this [`wait_for_server`](Self::wait_for_server).
    #[must_use]
    pub fn with_wait_for_server(mut self, wait_for_server: bool) -> Self {
        self.wait_for_server = wait_for_server;
        self
    }

    /// The same options, with this [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn with_connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// The same options, with this [`confirm_timeout`](Self::confirm_timeout).
    #[must_use]
    pub fn with_confirm_timeout(mut self, confirm_timeout: Duration) -> Self {
        self.confirm_timeout = confirm_timeout;
        self
    }

    /// The same options, with this [`subscription_capacity`](Self::subscription_capacity).
    #[must_use]
    pub fn with_subscription_capacity(mut self, subscription_capacity: usize) -> Self {
        self.subscription_capacity = subscription_capacity;
        self
    }

    /// The same options, with this [`inbox_prefix`](Self::inbox_prefix).
    #[must_use]
    pub fn with_inbox_prefix(mut self, inbox_prefix: impl Into<String>) -> Self {
        self.inbox_prefix = inbox_prefix.into();
        self
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Says whether the options go together.
    pub(crate) fn check(&self) -> Result<(), NatsError> {
        #[cfg(feature = "nkeys")]
        let keys = [self.credentials_file.is_some(), self.nkey_file.is_some()];
        #[cfg(not(feature = "nkeys"))]
        let keys = [false; 2];
        let others = [self.user.is_some(), self.token_file.is_some()];
        let ways = others.iter().chain(&keys).filter(|is_given| **is_given).count();
        if ways > 1 {
            return Err(NatsError::Options("there is more than one way to authenticate"));
        }
        if self.connect_timeout.is_zero() || self.confirm_timeout.is_zero() {
            return Err(NatsError::Options("a time-out is 0"));
        }
        if self.subscription_capacity == 0 {
            return Err(NatsError::Options("a subscription has room for no message"));
        }
        Subject::check(&self.inbox_prefix)
    }
}

/// The addresses of servers, without secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Servers(Vec<Url>);

impl Servers {
    fn parse<S: AsRef<str>>(lists: impl IntoIterator<Item = S>) -> Result<Self, NatsError> {
        let mut servers = Vec::new();
        for list in lists {
            for text in list.as_ref().split(',') {
                let number = servers.len() + 1;
                let server = server(text.trim());
                servers.push(server.map_err(|reason| NatsError::Server { number, reason })?);
            }
        }
        if servers.is_empty() {
            return Err(NatsError::Options("no server is given"));
        }
        Ok(Self(servers))
    }

    pub(crate) fn addresses(&self) -> std::io::Result<Vec<async_nats::ServerAddr>> {
        self.0.iter().cloned().map(async_nats::ServerAddr::from_url).collect()
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// Reads the URL of a server; what is wrong with it is told without showing it.
fn server(text: &str) -> Result<Url, &'static str> {
    if !text.starts_with("nats://") && !text.starts_with("tls://") {
        return Err("it has to begin with nats:// or tls://");
    }
    let url = Url::parse(text).map_err(|_| "it is none")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it holds a user or a secret, which others can see: give the user by name, and \
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

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let host = url.host_str().unwrap_or_default();
            write!(f, "{separator}{host}:{}", url.port().unwrap_or(4222))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_perhaps_a_port() {
        for (url, shown) in [
            ("nats://127.0.0.1:4333", "127.0.0.1:4333"),
            ("tls://nats.example.com", "nats.example.com:4222"),
            ("nats://[::1]:4222/", "[::1]:4222"),
        ] {
            assert_eq!(NatsOptions::new([url]).unwrap().servers().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_server_is_refused_and_secrets_are_not_repeated() {
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
    fn there_is_one_way_to_authenticate() {
        let mut options = NatsOptions::new(["nats://127.0.0.1"]).unwrap();
        options.token_file = Some("token".into());
        assert!(options.check().is_ok());
        options.user = Some(("me".into(), "password".into()));
        assert!(matches!(options.check(), Err(NatsError::Options(_))));
    }
}
