//! The gateway that a setup code names, and connections to it.

use std::fmt;
use std::io;
use std::time::Duration;

use hyper::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::deadline::Deadline;
use crate::error::Step;
use crate::{ClientError, MAX_ANSWER_BYTES};

/// The time limit of one address of a host, so that time is left for the next one.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);

/// A connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The address of a gateway: where a setup code is claimed and its session renewed.
///
/// Displayed as host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    uri: Uri,
    pub(crate) is_websocket: bool,
    pub(crate) is_tls: bool,
    /// An IPv6 address is without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Gateway {
    /// Parses the URL of a setup code: `wss://`, `https://`, `ws://` or `http://`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Url`] when it is invalid or has a user name.
    pub fn parse(url: &str) -> Result<Self, ClientError> {
        let wrong = |rule| ClientError::Url { rule };
        let uri: Uri = url.parse().map_err(|_| wrong("is invalid"))?;
        let (is_websocket, is_tls) = match uri.scheme_str() {
            Some("ws") => (true, false),
            Some("wss") => (true, true),
            Some("http") => (false, false),
            Some("https") => (false, true),
            _ => return Err(wrong("must begin with wss://, https://, ws:// or http://")),
        };
        let authority = uri.authority().ok_or(wrong("must have a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not have a user name"));
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => {
                return Err(wrong("must have a port of 1 to 65535, or no port"));
            }
            None if is_tls => 443,
            None => 80,
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { is_websocket, is_tls, host, port, uri })
    }

    /// Host and port as in the URL, for the `Host` header.
    pub(crate) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The path and query of claims.
    pub(crate) fn claim_path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// The path that all endpoints of the gateway have in common, without a trailing slash.
    pub(crate) fn base_path(&self) -> &str {
        let path = self.uri.path().trim_end_matches('/');
        path.strip_suffix("/pair").unwrap_or(path)
    }

    /// The path of the session endpoint.
    pub(crate) fn session_path(&self) -> String {
        format!("{}/session", self.base_path())
    }

    /// Connects, with TLS if there is a connector for it.
    pub(crate) async fn connect(
        &self,
        tls: Option<&TlsConnector>,
        deadline: &Deadline,
    ) -> Result<Box<dyn Stream>, ClientError> {
        let failed = |step| move |source| self.unreachable(step, source);
        let addresses = async {
            let found = lookup_host((self.host.as_str(), self.port)).await;
            found.map(Vec::from_iter).map_err(failed(Step::Resolve))
        };
        let addresses = deadline.within(Step::Resolve, addresses).await?;
        let stream = async {
            let mut error = io::Error::new(io::ErrorKind::NotFound, "it has no address");
            for address in addresses {
                match tokio::time::timeout(ADDRESS_LIMIT, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(cause)) => error = cause,
                    Err(late) => error = late.into(),
                }
            }
            Err(failed(Step::Connect)(error))
        };
        let stream = deadline.within(Step::Connect, stream).await?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| ClientError::Url {
            rule: "must have a host that a certificate can name",
        })?;
        let stream = async { tls.connect(name, stream).await.map_err(failed(Step::Tls)) };
        Ok(Box::new(deadline.within(Step::Tls, stream).await?))
    }

    pub(crate) fn unreachable(&self, step: Step, source: io::Error) -> ClientError {
        ClientError::Unreachable { step, gateway: self.to_string(), source }
    }

    pub(crate) fn bad_answer(&self, what: impl Into<String>) -> ClientError {
        ClientError::BadAnswer { gateway: self.to_string(), what: what.into() }
    }

    pub(crate) fn too_long(&self) -> ClientError {
        self.bad_answer(format!("its answer has more than {MAX_ANSWER_BYTES} bytes"))
    }

    pub(crate) fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Lost { gateway: self.to_string(), source }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.host().unwrap_or_default(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_path_is_beside_the_claim_path() {
        for (url, path) in [
            ("wss://nexo.example.com/pair", "/session"),
            ("wss://nexo.example.com/pair/", "/session"),
            ("wss://nexo.example.com", "/session"),
            ("https://example.com/ana/pair?x=1", "/ana/session"),
            ("https://example.com/ana/", "/ana/session"),
            ("https://example.com/repair", "/repair/session"),
        ] {
            assert_eq!(Gateway::parse(url).unwrap().session_path(), path, "{url}");
        }
    }

    #[test]
    fn a_gateway_is_displayed_as_host_and_port() {
        for (url, displayed) in [
            ("wss://nexo.example.com/pair", "nexo.example.com:443"),
            ("ws://127.0.0.1:7780/pair", "127.0.0.1:7780"),
            ("http://[fd00::1]/pair", "[fd00::1]:80"),
        ] {
            assert_eq!(Gateway::parse(url).unwrap().to_string(), displayed);
        }
    }
}
